"""The work that the bus and the hand-written script both do: the messages, and where they go. ``kind`` names one of the benchmarks."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["deposito", "pratica", "lenta", "lentissima", "altrove", "iscrizione", "avviso", "richiesta"]
"""Intake alone; transform and deliver; wait for a slow system; another system; SOAP and insert; join by IUV; deliver and reply."""

THREADS = 16
"""Outside calls at once, for each system: the default of the bus, and what the script uses."""
WIDTH = 12
"""Digits of the number that makes each message another one; fixed, so that all messages of a kind have one length."""
PLACE = "0" * WIDTH
INSERT = (
    "INSERT INTO iscrizioni (chiave, istanza, servizio, codice_fiscale, cognome, nome, nascita) "
    "VALUES (:chiave, :istanza, :servizio, :codice_fiscale, :cognome, :nome, :nascita) ON CONFLICT (chiave) DO NOTHING"
)
TABLE = (
    "CREATE TABLE IF NOT EXISTS iscrizioni (chiave text PRIMARY KEY, istanza text NOT NULL, servizio text NOT NULL, "
    "codice_fiscale text NOT NULL, cognome text NOT NULL, nome text NOT NULL, nascita date NOT NULL)"
)
PERSON = "BLLDAA71E43B429M"
"""An invented codice fiscale."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A message type and its body; `PLACE` stands where the number goes."""

    type: str
    body: dict[str, Any]


_PRATICA: dict[str, Any] = {
    "istanza": f"B-{PLACE}",
    "procedimento": "SCIA",
    "oggetto": "Ristrutturazione edilizia con opere interne e rifacimento del tetto",
    "richiedente": {"codice_fiscale": PERSON, "cognome": "Bellomo", "nome": "Ada", "email": "ada.bellomo@posta.example"},
    "indirizzo": {"via": "Via delle Zagare", "civico": "12", "cap": "93100", "comune": "Caltanissetta", "provincia": "CL"},
    "mappale": {"foglio": "0083", "particella": "412", "sub": "7"},
    "importo": 10_000,
    "presentata": "2026-03-01T09:30:00Z",
}
SAMPLES: dict[Kind, list[Sample]] = {
    "deposito": [Sample("banco.deposito", _PRATICA)],
    "pratica": [Sample("banco.pratica", _PRATICA)],
    "lenta": [Sample("banco.lenta", _PRATICA)],
    "lentissima": [Sample("banco.lenta", {**_PRATICA, "importo": 40_000})],
    "altrove": [Sample("banco.altrove", _PRATICA)],
    "richiesta": [Sample("banco.richiesta", _PRATICA)],
    "iscrizione": [Sample("banco.iscrizione", {"istanza": f"S-{PLACE}", "codice_fiscale": PERSON, "servizio": "mensa scolastica"})],
    "avviso": [
        Sample("banco.avviso", {"iuv": f"470{PLACE}", "importo": 10_000, "causale": "Diritti di segreteria"}),
        Sample("banco.ricevuta", {"iuv": f"470{PLACE}", "importo": 10_000, "ricevuta": f"R-{PLACE}"}),
    ],
}


def requests_of(kind: Kind, start: int, count: int, headers: str) -> list[bytes]:
    """HTTP requests, ready to be sent. Of a join: all notices, then their receipts in another order."""
    numbers = list(range(start, start + count))
    made: list[bytes] = []
    for sample in SAMPLES[kind]:
        template = _request(sample, headers)
        made += [template.replace(PLACE.encode(), f"{number:0{WIDTH}d}".encode()) for number in numbers]
        random.Random(start).shuffle(numbers)
    return made


def bodies_of(kind: Kind, start: int, count: int) -> list[tuple[str, bytes]]:
    """The same messages as type and JSON text, for a script that takes them out of memory."""
    made = [request.partition(b"\r\n\r\n")[2] for request in requests_of(kind, start, count, "")]
    return [(json.loads(body)["type"], body) for body in made]


def _request(sample: Sample, headers: str) -> bytes:
    content = json.dumps({"type": sample.type, "source": "/banco", "data": sample.body}, separators=(",", ":")).encode()
    key = f"Idempotency-Key: {sample.type}-{PLACE}\r\n"
    head = (
        f"POST /messages HTTP/1.1\r\nHost: banco\r\nContent-Type: application/json\r\n{key}{headers}Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
