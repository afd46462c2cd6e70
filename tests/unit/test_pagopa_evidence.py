"""What is kept of what the node asks, and receipts that come as paSendRT and as paSendRTV2."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.pagopa.chiamate import Nodo
from adapters.pagopa.inbound import MAX_BYTES, MAX_TENUTI
from tests.unit.pagopa_scena import Scena
from tests.unit.pagopa_settings import ENTE


@pytest.fixture
def scena() -> Scena:
    return Scena()


def di(ricevuta: dict[str, Any], versione: int, **sole_v2: Any) -> dict[str, Any]:
    """A receipt as that version of the primitive writes it."""
    if versione == 1:
        return {nome: valore for nome, valore in ricevuta.items() if nome != "primaryCiIncurredFee"}
    trasferimenti = [uno | {"companyName": "Comune di Esempio"} for uno in ricevuta["transferList"]["transfer"]]
    return ricevuta | {"transferList": {"transfer": trasferimenti}, "paymentNote": "nota", "idBundle": "b1"} | sole_v2


@pytest.mark.parametrize("versioni", [(1, 2), (2, 1), (2, 1, 2), (1, 2, 1)])
def test_a_receipt_that_is_sent_again_in_the_other_version_is_a_repetition(scena: Scena, versioni: tuple[int, ...]) -> None:
    esiti = [scena.nodo.invia(di(scena.ricevuta(), versione), versione) for versione in versioni]
    assert [esito.riuscito for esito in esiti] == [True] * len(versioni), esiti
    assert (len(scena.ricevute), scena.anomalie) == (1, [])


@pytest.mark.parametrize(("prima", "poi", "campi"), [(1, 2, {"fee": "9.99"}), (2, 1, {"fee": "9.99"}), (2, 2, {"idBundle": "b2"})])
def test_one_that_says_something_else_is_none(scena: Scena, prima: int, poi: int, campi: dict[str, Any]) -> None:
    scena.nodo.invia(di(scena.ricevuta(), prima), prima)
    assert scena.nodo.invia(di(scena.ricevuta(), poi) | campi, poi).fault == "PAA_SEMANTICA"
    assert (len(scena.ricevute), [una["motivo"] for una in scena.anomalie]) == (1, ["CONTENUTO_DIVERSO"])


def test_a_receipt_taken_before_the_versions_were_compared_is_known_in_the_other_one(scena: Scena) -> None:
    scena.nodo.invia(di(scena.ricevuta(), 1), 1)
    (nota,) = [valore for (tipo, _), valore in scena.porta.facts.items() if tipo == "ricevuta"]
    assert isinstance(nota, dict)
    assert "comune" not in nota, "as facts were before"
    assert scena.nodo.invia(di(scena.ricevuta(), 2), 2).riuscito


def test_of_a_request_that_is_no_message_no_more_is_kept_than_the_node_would_write(scena: Scena) -> None:
    corpo = b"<a>" + b"x" * (MAX_BYTES - 3)
    scena.chiama(corpo, "paVerifyPaymentNotice")
    presa = scena.porta.told[0].exchanges[0]
    assert presa.content == corpo[:MAX_TENUTI]
    assert presa.note == f"POST /in/pagopa, the first {MAX_TENUTI} of {MAX_BYTES} bytes"


def test_a_receipt_that_becomes_a_message_is_kept_whole(scena: Scena) -> None:
    presi: list[bytes] = []
    Nodo(ENTE, lambda corpo, azione, secondi: presi.append(corpo) or b"").invia(scena.ricevuta())  # type: ignore[func-returns-value]
    corpo = presi[0] + b" " * MAX_TENUTI
    scena.chiama(corpo, "paSendRTV2")
    (messaggio,) = scena.porta.accepted
    assert messaggio.exchanges[0].content == corpo
