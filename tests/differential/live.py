"""The real intake, engine and store in one thread, before systems that do what a test says, in a time that moves from one due moment to the next."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bus import calendar
from bus.adapter import InDoubt
from bus.catalog import Catalog
from bus.clock import moment_of
from bus.copying import rows_of
from bus.engine.arrival import Submission
from bus.engine.circuit import Habits
from bus.engine.engine import Pace
from bus.engine.intake import Intake
from bus.engine.outside import Asking, Outside, Result
from bus.message import JsonValue, Message, canonical
from bus.testing.script import End, Script
from tests.clocks import FixedClock
from tests.differential.rules import OPERATIONS, SYSTEMS, Sistema
from tests.keyrings import in_memory
from tests.simulation.parts import SimulatedStore, TurnedEngine

PATIENCE = 20_000
"""Turns after which something is taken to run in circles."""
QUIET = 6
"""Turns in which nothing comes before a call comes home, or time moves: what the bus does by itself takes less time than any call."""


class Out(NamedTuple):
    """A call that is on its way; it ends when it is ``due``, with ``what``."""

    due: dt.datetime
    number: int
    asking: Asking
    message: Message
    began: dt.datetime
    done: Callable[[Result], None]
    ours: Callable[[], bool]
    what: Any


class ScriptedOutside(Outside):
    """Calls end as the script of a test says. ``asked``: each call once, with its request; ``tried``: how often each operation was."""

    def __init__(self, script: Script, clock: FixedClock) -> None:
        self._took = [0.0]
        super().__init__({name: Sistema(name) for name in SYSTEMS}, ticks=lambda: self._took.pop())
        self.script, self.clock = script, clock
        self.out: list[Out] = []
        self.asked: dict[str, tuple[str, Any]] = {}
        self.tried: Counter[str] = Counter()
        self._doubts: dict[str, End] = {}
        self._probes: Counter[str] = Counter()
        self._count = 0

    def perform(
        self, asking: Asking, message: Message, now: dt.datetime, done: Callable[[Result], None],
        ours: Callable[[], bool] = lambda: True, delay: float = 0.0,
    ) -> None:  # fmt: skip
        self._count += 1
        due, what = self._probe(asking) if asking.probe else self._call(asking)
        self.out.append(Out(due, self._count, asking, message, now, done, ours, what))

    def end_next(self) -> None:
        """The call that is due first comes home."""
        self.out.sort(key=lambda one: (one.due, one.number))
        call = self.out.pop(0)
        self.adapters[call.asking.call.adapter].next = call.what  # type: ignore[attr-defined]
        self._took = [(self.clock.now() - call.began).total_seconds(), 0.0]
        self._perform(call.asking, call.message, call.began, call.done, call.ours)

    def _call(self, asking: Asking) -> tuple[dt.datetime, Any]:
        call, now = asking.call, self.clock.now()
        self.tried[call.operation] += 1
        self._probes[call.key] = 0
        self.asked.setdefault(call.key, (call.operation, asking.request.model_dump(mode="json")))
        end = self.script.end(call.operation, call.place, call.key)
        timeout = call.timeout or asking.operation.timeout
        if end.delay > timeout:
            end = replace(end, delay=timeout, error=InDoubt("too late"), done=now + dt.timedelta(seconds=end.delay))
        if end.error is not None:
            self._doubts[call.key] = end
        return now + dt.timedelta(seconds=end.delay), end.error or end.answer

    def _probe(self, asking: Asking) -> tuple[dt.datetime, Any]:
        end, now = self._doubts[asking.call.key], self.clock.now()
        happened = end.happened if end.done is None else end.done <= now
        if happened is None or self._probes[asking.call.key] < end.unseen:
            self._probes[asking.call.key] += 1
            return now, end.error
        return now, end.answer if happened else None


class Live:
    """A bus with one engine. With ``kills`` it is, now and then, another one that knows nothing but what is stored."""

    def __init__(self, folder: Path, catalog: Catalog, given: Mapping[str, Any], kills: random.Random | None = None) -> None:
        self.catalog, self.kills = catalog, kills
        self.clock, self.ticks = FixedClock(moment_of(given["clock"])), 0.0
        self.store = SimulatedStore(folder / "bus.db", keys=in_memory(b"k" * 32))
        self.outside = ScriptedOutside(Script(given, OPERATIONS), self.clock)
        self._rung: list[str] = []
        self._sent = 0
        self.intake = Intake(self.store, lambda: self.catalog, self.clock, self._rung.extend, None)
        plans = [route.plan for route in catalog.routes.values()]
        kept = [{"digest": plan.digest, "kind": "route", "content": canonical(plan.rules)} for plan in plans]
        self.store.write(lambda tx: tx.many("add_rules", kept)).result()
        self._begin()

    def close(self) -> None:
        self.outside.close()
        self.store.close()

    def play(self, test: Mapping[str, Any]) -> str:
        """All that happens in a test; returns the message that it sends."""
        begun = self.clock.now()
        for one in test.get("earlier", []):
            self.clock.moment = moment_of(one["at"])
            self.send(one["arrive"], one["body"])
        self.clock.moment = begun
        message = self.send("p.inizio", test["send"])
        self.rest()
        for one in test["then"]:
            if "arrive" in one:
                self.send(one["arrive"], one["body"])
            else:
                self.rest(calendar.moment_after(one["pass"])(self.clock.now()))
            self.rest()
        return message

    def send(self, type: str, body: JsonValue) -> str:
        self._sent += 1
        return self.intake.send(Submission(type, body, "portale", key=f"k{self._sent}")).result().id

    def rest(self, until: dt.datetime | None = None) -> None:
        """Go on until nothing moves but waits; ``until``: theirs up to that moment, too."""
        quiet = 0
        for _ in range(PATIENCE):
            self._turn()
            if self._rung:
                quiet = 0
            elif quiet < QUIET:
                quiet += 1
            elif self._comes_home():
                quiet = 0
            elif (after := self._next(until)) is not None:
                self._pass(after)
                quiet = 0
            else:
                self._pass(until or self.clock.now())
                return
        raise AssertionError("it never comes to rest")

    def _begin(self) -> None:
        pace = Pace(lease=30.0, sweep=0.0, circuit=Habits(after=PATIENCE))
        self.engine = TurnedEngine(
            self.store, lambda: self.catalog, self.outside, self.clock, self._rung.extend, pace, ticks=lambda: self.ticks
        )

    def _turn(self) -> None:
        rung = list(self._rung)
        self._rung.clear()
        self.engine.ring(rung)
        self.engine.turn(patient=False)
        self.ticks += 0.001

    def _comes_home(self) -> bool:
        if not any(call.due <= self.clock.now() for call in self.outside.out):
            return False
        self.outside.end_next()
        return True

    def _next(self, until: dt.datetime | None) -> dt.datetime | None:
        """The next moment at which something is due: of a deadline only while others are, or up to the moment ``until``."""
        now = self.clock.now()
        with self.store.read() as tx:
            dues = [moment_of(row["due"]) for row in tx.all("runs_by_state", state="ready", route=None, most=1000)]
            deadlines = [moment_of(row["deadline"]) for row in rows_of(tx, "waits") if row["deadline"] and row["state"] == "open"]
        dues += [*(call.due for call in self.outside.out), *(moment for moment, run in self.engine._alarms if run in self.engine._live)]
        found = [one for one in dues if one > now] + [one for one in deadlines if until is not None and now < one <= until]
        return min((*found, *(one for one in deadlines if one > now))) if found else None

    def _pass(self, moment: dt.datetime) -> None:
        self.ticks += max(0.0, (moment - self.clock.now()).total_seconds())
        self.clock.moment = max(moment, self.clock.now())
        if self.kills is not None and not self.outside.out and self.kills.random() < 0.3:
            self.catalog = replace(self.catalog, _by_digest={})
            self._begin()
            self.engine.take_over()
