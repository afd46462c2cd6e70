"""An ordered lane is as fast as its system: the next number goes out in the turn in which the last call came home."""

from __future__ import annotations

from pathlib import Path

from bus.adapter import Call, operation
from tests.fault.test_gates import Cosa, Sistema, bus, gate, send, until

MESSAGES = 100


class Fila(Sistema):
    numbers: list[int | None]

    @operation(effect="keyed", timeout=5, sequence="fila", concurrency=1)
    def fai(self, request: Cosa, ctx: Call) -> Cosa:
        self.numbers.append(ctx.number)
        self.done.add(request.x)
        return request


def test_a_lane_does_not_wait_for_a_pause_between_two_calls(tmp_path: Path) -> None:
    system = Fila("fila", lambda: None)
    system.numbers = []
    with bus(tmp_path, system) as app:
        send(app, "fila", MESSAGES)
        until(lambda: len(system.done) == MESSAGES, within=45)  # half a second of pause for each would be fifty
        assert gate(app, "fila.fai")["places"] == 1
    assert system.numbers == list(range(1, MESSAGES + 1))
