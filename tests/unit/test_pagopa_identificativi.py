"""IUV and notice numbers are made right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.pagopa.identificativi import Emettitore, controllo, iban_valido, iuv_di

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
def test_a_notice_number_has_18_digits_and_holds_its_iuv(emettitore: Emettitore, numero: int) -> None:
    iuv, avviso = emettitore.emetti(numero)
    assert len(avviso) == 18
    assert iuv_di(avviso) == iuv


@given(emettitori, numeri, numeri)
def test_two_numbers_never_give_the_same_identifiers(emettitore: Emettitore, uno: int, altro: int) -> None:
    assert (emettitore.emetti(uno) == emettitore.emetti(altro)) == (uno == altro)


@pytest.mark.parametrize("numero", [-1, 10**13])
def test_a_number_that_does_not_fit_is_refused(numero: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Emettitore().emetti(numero)


@pytest.mark.parametrize("codice", ["", "1", "123", "4x", "²²"])
def test_a_segregation_code_is_two_digits(codice: str) -> None:
    with pytest.raises(ValueError, match="two digits"):
        Emettitore(segregazione=codice).emetti(1)


def test_the_published_examples_agree() -> None:
    if not ESEMPI.exists():
        pytest.skip("shared contracts absent: ../shared/contracts/datasets/identifier_examples.json")
    esempi = json.loads(ESEMPI.read_text())
    for esempio in esempi["notice_number"]["valid"]:
        assert esempio["nav"][-2:] == controllo(esempio["nav"][:-2])
    for avviso in esempi["notice_number"]["invalid_check_digit_but_seen_in_published_samples"]:
        assert avviso[-2:] != controllo(avviso[:-2])
    assert all(iban_valido(iban) for iban in esempi["iban"]["valid"])
    assert not any(iban_valido(iban) for iban in esempi["iban"]["invalid"])
