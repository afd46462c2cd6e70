"""IUV and notice numbers are made right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.pagopa.identificativi import AuxDigit, controllo, emetti, iban_valido, iuv_di
from adapters.pagopa.modelli import PagopaSettings
from tests.unit.pagopa_settings import SETTINGS

ESEMPI = Path(__file__).parents[3] / "shared/contracts/datasets/identifier_examples.json"
punti = st.tuples(st.sampled_from([0, 3]), st.integers(0, 99).map(lambda n: f"{n:02d}")) | st.tuples(st.sampled_from([1, 2]), st.just(""))
numeri = st.integers(0, 10**13 - 1)


@pytest.mark.parametrize(
    ("aux", "codice", "numero", "iuv", "avviso"),
    [
        (3, "47", 1649930701845, "47164993070184562", "347164993070184562"),
        (3, "02", 1, "02000000000000184", "302000000000000184"),
        (3, "00", 93, "00000000000009303", "300000000000009303"),
        (0, "01", 7, "000000000000747", "001000000000000747"),
        (1, "", 12, "00000000000000012", "100000000000000012"),
        (2, "", 1, "00000000000000103", "200000000000000103"),
    ],
)
def test_identifiers_follow_the_published_layout(aux: AuxDigit, codice: str, numero: int, iuv: str, avviso: str) -> None:
    assert emetti(aux, codice, numero) == (iuv, avviso)


@given(punti, numeri)
def test_a_notice_number_has_18_digits_and_holds_its_iuv(punto: tuple[AuxDigit, str], numero: int) -> None:
    iuv, avviso = emetti(*punto, numero)
    assert len(avviso) == 18
    assert iuv_di(avviso) == iuv


@given(punti, numeri, numeri)
def test_two_numbers_never_give_the_same_identifiers(punto: tuple[AuxDigit, str], uno: int, altro: int) -> None:
    assert (emetti(*punto, uno) == emetti(*punto, altro)) == (uno == altro)


@pytest.mark.parametrize("numero", [-1, 10**13])
def test_a_number_that_does_not_fit_is_refused(numero: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        emetti(3, "00", numero)


@pytest.mark.parametrize("codice", ["", "1", "123", "4x", "²²"])
@pytest.mark.parametrize("campo", ["segregation_code", "application_code"])
def test_the_code_of_a_generation_point_is_two_digits(campo: str, codice: str) -> None:
    with pytest.raises(ValidationError, match=campo):
        PagopaSettings.model_validate(SETTINGS | {campo: codice})


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
