"""Numbers of messages: JSON has one kind of them, expressions have two; the type of the message says which it is."""

from __future__ import annotations

from tests.small_bus import Caller, running, wait_reply

FILES = {
    "routes/prova/conta.yaml": """
route: prova.conta
version: 1
owner: prove@comune.example
purpose: reckons with a whole number
on: prova.conto
case: {conto: text(body.cents)}
steps:
  - id: rispondi
    reply: {euro: euro(body.cents), di_piu: body.cents + 1}
""",
    "mappings/types/prova.conto.yaml": """
type: prova.conto
title: An amount
schema:
  type: object
  additionalProperties: false
  required: [cents]
  properties: {cents: {type: integer}}
""",
}


def test_a_whole_number_is_one_and_the_same_however_it_is_written(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with running(tmp_path) as server:
        call = Caller(server.port)
        head = {"Idempotency-Key": "uno", "Content-Type": "application/json"}
        first, again, other = (
            call("POST", "/messages", b'{"type": "prova.conto", "data": {"cents": %s}}' % cents, head)
            for cents in (b"1200.0", b"1200", b"1201.0")
        )
        assert (first.status, again.status, other.status) == (202, 202, 422)
        assert first.json["id"] == again.json["id"]
        assert wait_reply(server.app, first.json["id"], 10)["reply"] == {"euro": "12.00", "di_piu": 1201}
