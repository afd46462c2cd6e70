"""A system that hangs, or is dead, has its own places and its own line, and nothing of the others. Judged by structure, not by time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bus import config
from bus.adapter import Adapter, Call, Contract, Settings, Unreachable, operation
from bus.app import App
from bus.engine.arrival import Submission
from tests.integration.workshop import write_rules

HANGING, WELL = 5_000, 500
STEPS = "order: none\nsteps:\n  - {id: chiedi, call: SISTEMA.fai, with: {x: body.a}}\n"


class Cosa(Contract):
    x: str


class Sistema(Adapter):
    """Does as ``conduct`` says; counts who asked and what was done."""

    def __init__(self, name: str, conduct: Callable[[], None], tell: Callable[[str], None] = lambda x: None) -> None:
        super().__init__(name, Settings())
        self.conduct, self.tell = conduct, tell
        self.asked, self.done = 0, set[str]()

    @operation(effect="keyed", timeout=1)
    def fai(self, request: Cosa, ctx: Call) -> Cosa:
        self.asked += 1
        self.conduct()
        self.tell(request.x)
        self.done.add(request.x)
        return request


@contextmanager
def bus(folder: Path, *systems: Sistema, steps: str = STEPS, case: str = "key: body.a", **engine: Any) -> Iterator[App]:
    rules = write_rules(
        folder, {f"prova.{s.name}": steps.replace("SISTEMA", s.name) for s in systems}, {f"prova.{s.name}": case for s in systems}
    )
    settings = {
        "organization": {"name": "Prova", "fiscal_code": "80001130857"}, "store": {"url": "sqlite:///prova.db"}, "log_level": "error",
        "engine": {"sweep": 0.1, "lease": 30, "threads": 4, **engine},
    }  # fmt: skip
    app = App(config.parse(settings, rules / "config.yaml"), adapters={s.name: s for s in systems})
    app.start()
    try:
        yield app
    finally:
        app.stop()


def send(app: App, system: str, count: int) -> None:
    coming = [app.send(Submission(f"prova.{system}", {"a": f"{system}-{n}"}, "prova")) for n in range(count)]
    for one in coming:
        one.result(60)


def until(what: Callable[[], bool], within: float = 100) -> None:
    end = time.monotonic() + within
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def gate(app: App, name: str) -> Any:
    return app.engine.describe()["gates"][name]  # type: ignore[index,call-overload]


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
