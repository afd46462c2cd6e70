"""A bus in this very process, with systems that do as they are told: for what only the inside shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bus import config
from bus.adapter import Adapter, Call, Contract, Settings, operation
from bus.app import App
from bus.engine.arrival import Submission
from tests.integration.workshop import write_rules
from tests.small_bus import at_work, settings

STEPS = "order: none\nsteps:\n  - {id: chiedi, call: SISTEMA.fai, with: {x: body.a}}\n"
IN_ORDER = """case: {a: body.a}
steps:
  - {id: prima, call: SISTEMA.fai, with: {x: body.b}}
  - {id: dopo, call: SISTEMA.fai, with: {x: '"fine " + body.b'}}
"""
"""Two steps of a run of a case."""


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
    told = settings(store={"url": "sqlite:///prova.db"}, engine={"sweep": 0.1, "lease": 30, "threads": 4, **engine})
    with at_work(App(config.parse(told, rules / "config.yaml"), adapters={s.name: s for s in systems})) as app:
        yield app


def send(app: App, system: str, count: int) -> None:
    coming = [app.send(Submission(f"prova.{system}", {"a": f"{system}-{n}"}, "prova")) for n in range(count)]
    for one in coming:
        one.result(60)


def gate(app: App, name: str) -> Any:
    return app.engine.describe()["gates"][name]  # type: ignore[index,call-overload]
