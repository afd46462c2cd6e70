"""An ordered lane is as fast as its system: the next number goes out in the turn in which the last call came home, or another engine is called."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bus.adapter import Call, operation
from bus.engine import engine, lanes
from bus.engine.arrival import Submission
from bus.engine.engine import Engine, Pace
from bus.engine.outside import Outside
from bus.engine.words import LANE
from bus.testing.patience import until
from tests.fault.conduct import Cosa, Sistema, bus, gate, send

MESSAGES = 100


class Fila(Sistema):
    numbers: list[int | None]

    @operation(effect="keyed", timeout=5, sequence="fila", concurrency=1)
    def fai(self, request: Cosa, ctx: Call) -> Cosa:
        self.numbers.append(ctx.number)
        self.conduct()
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


def test_a_door_keeps_no_news_of_lanes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    with bus(tmp_path, Fila("fila", lambda: None)) as app, monkeypatch.context() as patched:
        patched.setattr(app.engine, "hear", heard.append)
        app._hear([f"{LANE}fila.fila"])
        patched.setattr(app, "role", "web")
        app._hear([f"{LANE}fila.altra"])
    assert heard == [f"{LANE}fila.fila"]


def test_who_waits_for_a_lane_that_another_engine_holds_is_called_when_it_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (engine, lanes):  # else it would be found by looking
        monkeypatch.setattr(module, "LANE_PAUSE", dt.timedelta(hours=1))
    answer = threading.Event()
    system = Fila("fila", lambda: bool(answer.wait(60)) and None)
    system.numbers = []
    with bus(tmp_path, system, sweep=60) as app:
        outside = Outside(app.adapters, threads=4)
        other = Engine(app.store, app.catalog, outside, app.clock, app.channel.publish, Pace(sweep=60), app.channel.publish_news)
        engines = [app.engine, other]

        def hear(news: Sequence[str]) -> None:
            for word in [one for one in news if one.startswith(LANE)]:
                for one in engines:
                    one.hear(word)

        monkeypatch.setattr(app.engine, "welcome", lambda tx, runs, known: None)
        app.channel.consume(lambda runs: engines[len(system.numbers) % 2].ring(runs))
        app.channel.on_news(hear)
        other.start()
        for one in engines:
            one.works_beside(2, 0)
        send(app, "fila", 1)
        until(lambda: system.numbers == [1])
        app.send(Submission("prova.fila", {"a": "fila-altra"}, "prova")).result(60)
        until(lambda: bool(other._lanes.anybody("fila.fila")))
        answer.set()
        until(lambda: system.done == {"fila-0", "fila-altra"})
        other.stop(5)
        outside.close()
    assert system.numbers == [1, 2]
