"""IUV, notice numbers and references: made right, and checked when typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.pagopa.identificativi import Emettitore, controllo, difetto_avviso, iban_valido, iuv_di, rf_di, rf_valido

ESEMPI = Path(__file__).parents[3] / "shared/contracts/datasets/identifier_examples.json"
due_cifre = st.integers(0, 99).map(lambda n: f"{n:02d}")
emettitori = st.builds(Emettitore, aux=st.sampled_from([0, 1, 2, 3]), segregazione=due_cifre, applicazione=due_cifre)
numeri = st.integers(0, 10**13 - 1)


@pytest.mark.parametrize(
    ("emettitore", "numero", "iuv", "avviso"),
    [
        (Emettitore(aux=3, segregazione="47"), 1649930701845, "47164993070184562", "347164993070184562"),
        (Emettitore(aux=3, segregazione="02"), 1, "02000000000000184", "302000000000000184"),
        (Emettitore(aux=3, segregazione="00"), 93, "00000000000009303", "300000000000009303"),
        (Emettitore(aux=0, applicazione="01"), 7, "000000000000747", "001000000000000747"),
        (Emettitore(aux=1), 12, "00000000000000012", "100000000000000012"),
        (Emettitore(aux=2), 1, "00000000000000103", "200000000000000103"),
    ],
)
def test_identifiers_follow_the_published_layout(emettitore: Emettitore, numero: int, iuv: str, avviso: str) -> None:
    assert emettitore.emetti(numero) == (iuv, avviso)


@given(emettitori, numeri)
def test_what_we_issue_passes_our_own_check(emettitore: Emettitore, numero: int) -> None:
    iuv, avviso = emettitore.emetti(numero)
    assert len(avviso) == 18
    assert difetto_avviso(avviso) is None
    assert iuv_di(avviso) == iuv


@given(emettitori, numeri, numeri)
def test_two_numbers_never_give_the_same_identifiers(emettitore: Emettitore, uno: int, altro: int) -> None:
    assert (emettitore.emetti(uno) == emettitore.emetti(altro)) == (uno == altro)


@given(st.sampled_from([0, 2, 3]), numeri, st.integers(0, 17), st.integers(1, 9))
def test_one_mistyped_digit_is_noticed(aux: int, numero: int, posto: int, scarto: int) -> None:
    """Nearly always: modulo 93 misses a digit only when it changes the aux into another layout or the sum by 93."""
    avviso = Emettitore(aux=aux).emetti(numero).numero_avviso  # type: ignore[arg-type]
    sbagliato = avviso[:posto] + str((int(avviso[posto]) + scarto) % 10) + avviso[posto + 1 :]
    if sbagliato[0] != "1":
        assert difetto_avviso(sbagliato) is not None


@pytest.mark.parametrize("numero", [-1, 10**13])
def test_a_number_that_does_not_fit_is_refused(numero: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Emettitore().emetti(numero)


@pytest.mark.parametrize("codice", ["", "1", "123", "4x", "²²"])
def test_a_segregation_code_is_two_digits(codice: str) -> None:
    with pytest.raises(ValueError, match="two digits"):
        Emettitore(segregazione=codice).emetti(1)


@pytest.mark.parametrize(
    "avviso", ["", "30200000000000018", "3020000000000001845", "30200000000000018a", "402000000000000184", "30200000000000018٤"]
)
def test_what_is_not_a_notice_number_is_named(avviso: str) -> None:
    assert difetto_avviso(avviso) is not None


def test_references_of_iso_11649_have_their_check_digits() -> None:
    assert rf_di("539007547034") == "RF18539007547034"
    assert rf_valido("RF8602000000000000083")
    assert not rf_valido("RF8702000000000000083")
    assert not rf_valido("RF18")
    with pytest.raises(ValueError, match="1 to 21"):
        rf_di("a b")


@given(st.from_regex(r"[0-9A-Z]{1,21}", fullmatch=True))
def test_every_reference_we_make_is_valid(testo: str) -> None:
    assert rf_valido(rf_di(testo))


def test_the_published_examples_agree() -> None:
    if not ESEMPI.exists():
        pytest.skip("shared contracts absent: ../shared/contracts/datasets/identifier_examples.json")
    esempi = json.loads(ESEMPI.read_text())
    for esempio in esempi["notice_number"]["valid"]:
        assert difetto_avviso(esempio["nav"]) is None
        assert esempio["nav"][-2:] == controllo(esempio["nav"][:-2])
    for avviso in esempi["notice_number"]["invalid_check_digit_but_seen_in_published_samples"]:
        assert difetto_avviso(avviso) is not None
    assert all(rf_valido(rf) for rf in esempi["creditor_reference_iso11649"]["valid"])
    assert all(iban_valido(iban) for iban in esempi["iban"]["valid"])
    assert not any(iban_valido(iban) for iban in esempi["iban"]["invalid"])
