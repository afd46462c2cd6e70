"""Numbers of messages: JSON has one kind of them, expressions have two; the type of the message says which it is."""

from __future__ import annotations

from tests.files import put
from tests.small_bus import Caller, running, wait_reply

FILES = {
    "routes/prova/conta.yaml": """
route: prova.conta
version: 1
owner: prove@comune.example
purpose: reckons with a whole number
on: prova.conto
case: {conto: text(body.cents), misura: body.misura}
steps:
  - id: rispondi
    reply: {euro: euro(body.cents), di_piu: body.cents + 1, doppia: body.misura * 2.0, misura: text(body.misura)}
""",
    "mappings/types/prova.conto.yaml": """
type: prova.conto
title: An amount
schema:
  type: object
  additionalProperties: false
  required: [cents, misura]
  properties: {cents: {type: integer}, misura: {type: number}}
""",
}


def test_a_number_is_one_and_the_same_however_it_is_written(tmp_path):
    put(tmp_path, FILES)
    with running(tmp_path) as server:
        call = Caller(server.port)
        head = {"Idempotency-Key": "uno", "Content-Type": "application/json"}
        first, again, other = (
            call("POST", "/messages", b'{"type": "prova.conto", "data": {"cents": %s, "misura": %s}}' % numbers, head)
            for numbers in ((b"1200.0", b"3"), (b"1200", b"3.0"), (b"1200", b"3.5"))
        )
        assert (first.status, again.status, other.status) == (202, 202, 422)
        assert first.json["id"] == again.json["id"]
        replied = {"euro": "12.00", "di_piu": 1201, "doppia": 6.0, "misura": "3"}
        assert wait_reply(server.app, first.json["id"], 10)["reply"] == replied
        assert call("GET", "/cases/misura:3").status == 200
