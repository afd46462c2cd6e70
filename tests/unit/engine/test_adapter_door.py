"""What is kept of an answer that an adapter's endpoint gave: the bytes both ways, under the key of the message that it is about."""

from __future__ import annotations

from pathlib import Path

from bus.adapter import Fact, Wire
from bus.log import log
from tests.small_bus import running


def test_what_was_served_is_kept_with_its_bytes_and_goes_with_the_message_that_it_is_about(tmp_path: Path) -> None:
    exchanges = [Wire("in", b"<chiedi/>", "text/xml", ""), Wire("out", b"<paga/>", "text/xml", "")]
    asked, answered = {"avviso": "1"}, {"importo": 100}
    with running(tmp_path) as server:
        door = server.app.door("eco")
        message = door.accept("prova.saluto", {"nome": "Ada"}, key="k", facts=[Fact("avviso", "1", {"importo": 100})]).message_id
        for known in ("1", "2"):
            door.served("chiedi", "ok", request=asked, answer=answered, exchanges=exchanges, about=("avviso", known))
        with server.app.store.read() as tx:
            about, strange = [record for _, record in log.everything(tx) if record.kind == "served"]
            received = next(record for record in log.of_messages(tx, [message]) if record.kind == "received")
            texts = {one.role: log.payload(tx, one.id) for one in about.payloads}
            keys = [set(log.keys_of(tx, [one.id for one in record.payloads]).values()) for record in (received, about, strange)]
    assert texts == {"request": b'{"avviso":"1"}', "answer": b'{"importo":100}', "wire-in": b"<chiedi/>", "wire-out": b"<paga/>"}
    assert about.data == {"adapter": "eco", "operation": "chiedi", "outcome": "ok"}
    assert (keys[0] == keys[1], len(keys[1]), keys[2] & keys[1]) == (True, 1, set())
