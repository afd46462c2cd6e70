"""A system that hangs, or is dead, has its own places and its own line, and nothing of the others. Judged by structure, not by time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from bus.adapter import Unreachable
from bus.testing.patience import until
from tests.fault.conduct import Sistema, bus, gate, send

HANGING, WELL = 5_000, 500


def test_a_system_that_hangs_for_ever_takes_its_own_places_and_its_line_and_nothing_else(tmp_path: Path) -> None:
    for_ever = threading.Event()
    stuck, well = Sistema("ferma", lambda: bool(for_ever.wait(280)) and None), Sistema("sana", lambda: None)
    with bus(tmp_path, stuck, well) as app:
        send(app, "ferma", HANGING)
        send(app, "sana", WELL)
        until(lambda: len(well.done) == WELL)
        until(lambda: gate(app, "sana")["out"] == gate(app, "sana")["in_line"] == 0)
        until(lambda: gate(app, "ferma")["turned_away"] == HANGING - 4 - gate(app, "ferma")["in_line"])
        until(lambda: app.engine.describe()["live"] == 4 + gate(app, "ferma")["in_line"] == 4 + 1000 // 2 // 2)
        shown = app.engine.describe()
        assert stuck.asked == gate(app, "ferma")["out"] == 4
        assert int(shown["threads"]) <= 8  # type: ignore[arg-type]
        with app.store.read() as tx:
            claims = [row["fence"] for row in tx.all("runs_by_state", state="ready", route="prova.ferma", most=HANGING)]
            away = gate(app, "ferma")["turned_away"]
            assert len([n for n in claims if n <= 1]) >= away - 2 * 200, "beyond a page or two nobody is claimed in vain twice"
            assert claims.count(0) >= away // 2, "once are those that came while the engine had time: claimed as they were accepted"
            assert len([row for row in tx.all("records_after", after=0, most=20_000) if b'"asked"' in row["content"]]) == 4 + WELL
        for_ever.set()
        until(lambda: len(stuck.done) == HANGING)


def test_a_dead_system_is_left_alone_and_its_messages_lose_no_attempt(tmp_path: Path) -> None:
    down = True

    def conduct() -> None:
        if down:
            raise Unreachable("nobody there")

    system = Sistema("giu", conduct)
    with bus(tmp_path, system, circuit={"after": 3, "pause": 0.5, "longest": 0.5}) as app:
        begun = time.monotonic()
        send(app, "giu", 300)
        until(lambda: gate(app, "giu")["circuit"] == "open" and gate(app, "giu")["turned_away"] > 250)
        time.sleep(2)  # the time of all attempts, if they were made
        assert system.asked < 20 + 2 * (time.monotonic() - begun), "one trial in each half second"
        assert app.runs("dead") == []
        down = False
        until(lambda: len(system.done) == 300)
        until(lambda: not app.runs("ready"))
        assert app.runs("dead") == []
        assert gate(app, "giu")["circuit"] == "closed"


def test_a_route_with_a_plan_for_a_silent_system_does_not_wait_longer_than_its_own_tries_would_take(tmp_path: Path) -> None:
    plan = """order: none
steps:
  - id: chiedi
    call: giu.fai
    with: {x: body.a}
    retry: {attempts: 2, wait: 1s}
    on_error:
      - when: error.kind == "unreachable"
        steps: [{id: ripiega, set: {senza: error.code}}]
"""

    def conduct() -> None:
        raise Unreachable("nobody there")

    system = Sistema("giu", conduct)
    with bus(tmp_path, system, steps=plan, circuit={"after": 2, "pause": 600}) as app:
        send(app, "giu", 100)
        until(lambda: len(app.runs("done", most=200)) == 100)
        assert system.asked < 20
        told = [line["data"]["code"] for run in app.runs("done") for line in app.run(run["id"])["journal"] if line["kind"] == "unanswered"]  # type: ignore[index,union-attr,call-overload]
        assert "call.circuit-open" in told
