"""A gather that may end by number, by condition or in time, while the bus is stopped and started between its messages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bus import config
from bus.app import App, Role
from bus.engine.arrival import Submission
from bus.testing.patience import until
from tests.integration.workshop import write_rules
from tests.small_bus import at_work, settings, wait_reply

GATHER = """
case: {{a: body.a}}
steps:
  - id: pezzi
    gather: prova.pezzo
    case: a
    count: 3
    until: items.exists(p, p.c == "fine")
    deadline: {deadline}
    as: pezzi
    on_deadline: [{{id: scaduta, send: prova.nota, with: {{c: '"in tempo: " + text(size(items))'}}}}]
    on_late: [{{id: tardi, send: prova.nota, with: {{c: '"tardi: " + body.a + body.c'}}}}]
  - id: rispondi
    reply: {{pezzi: 'pezzi.map(p, p.c).join(" ")'}}
"""
ROUTES = {
    "prova.lunga": GATHER.format(deadline="30d"),
    "prova.breve": GATHER.format(deadline="1h"),
    "prova.nota": "order: none\nsteps: [{id: nota, reply: {nota: body.c}}]",
}
TYPES = {"prova.lunga": "", "prova.breve": "", "prova.nota": "", "prova.pezzo": "case: {a: body.a}"}


class MovedClock:
    """The machine's clock, as far ahead as it was moved."""

    def __init__(self) -> None:
        self._ahead = dt.timedelta()

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self._ahead

    def move(self, by: dt.timedelta) -> None:
        self._ahead += by


@contextmanager
def started(folder: Path, clock: MovedClock, role: Role = "all", **more: object) -> Iterator[App]:
    told = {"store": {"url": f"sqlite:///{folder}/prova.db"}, "engine": {"sweep": 0.1}, **more}
    with at_work(App(config.parse(settings(**told), folder / "config.yaml"), role=role, clock=clock)) as app:
        yield app


def send(app: App, type: str, **body: str) -> str:
    return app.send(Submission(f"prova.{type}", body, "prova")).result(60).id


def reply_of(app: App, message: str) -> object:
    return wait_reply(app, message, 60)["reply"]


def notes(app: App) -> list[str]:
    """What was sent on by deadlines and by late runs."""
    replies = [app.message(str(run["message"]))["reply"] for run in app.runs("done", "prova.nota")]
    return sorted(str(reply["nota"]) for reply in replies)  # type: ignore[index, call-overload]


def test_each_end_of_a_gather_is_kept_over_restarts_and_what_comes_after_it_is_late(tmp_path: Path) -> None:
    write_rules(tmp_path, ROUTES, TYPES)
    clock = MovedClock()
    with started(tmp_path, clock) as app:
        begun = {case: send(app, route, a=case) for case, route in {"numero": "lunga", "fine": "lunga", "tempo": "breve"}.items()}
        for case in begun:
            send(app, "pezzo", a=case, c="1")
        until(lambda: len(app.runs(state="waiting")) == 3, "they gather")
    clock.move(dt.timedelta(hours=2))
    with started(tmp_path, clock) as app:
        assert {"pezzi": "1"} == reply_of(app, begun["tempo"])
        send(app, "pezzo", a="numero", c="2")
        send(app, "pezzo", a="fine", c="fine")
        assert {"pezzi": "1 fine"} == reply_of(app, begun["fine"])
    with started(tmp_path, clock) as app:
        several = [app.send(Submission("prova.pezzo", {"a": "numero", "c": c}, "prova")) for c in ("3", "4")]  # two at once
        for one in several:
            one.result(60)
        for case in ("fine", "tempo"):
            send(app, "pezzo", a=case, c="5")
        reply = reply_of(app, begun["numero"])
        assert reply in ({"pezzi": "1 2 3"}, {"pezzi": "1 2 4"})
        late = "4" if reply == {"pezzi": "1 2 3"} else "3"
        expected = sorted(["in tempo: 1", "tardi: fine5", f"tardi: numero{late}", "tardi: tempo5"])
        until(lambda: notes(app) == expected, f"each that came late is told once: {expected}")
    with started(tmp_path, clock) as app:
        assert notes(app) == expected
        assert not app.runs(state="waiting")


def test_what_a_door_takes_while_no_worker_is_there_is_in_time_or_late_by_the_deadline(
    tmp_path: Path, postgresql_url: str, rabbitmq_url: str
) -> None:
    write_rules(tmp_path, ROUTES, TYPES)
    here: dict[str, object] = {"store": {"url": postgresql_url}, "channel": {"url": rabbitmq_url}}
    clock = MovedClock()
    with started(tmp_path, clock, "web", **here) as door:
        with started(tmp_path, clock, "worker", **here) as worker:
            begun = send(door, "breve", a="b")
            until(lambda: worker.runs(state="waiting"), "it gathers")
        send(door, "pezzo", a="b", c="1")
        send(door, "pezzo", a="b", c="2")
        clock.move(dt.timedelta(hours=2))
        send(door, "pezzo", a="b", c="fine")
        with started(tmp_path, clock, "worker", **here) as worker:
            assert {"pezzi": "1 2"} == reply_of(worker, begun)
            until(lambda: notes(worker) == ["in tempo: 2", "tardi: bfine"], "the last one came late")
