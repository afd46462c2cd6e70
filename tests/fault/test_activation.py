"""Two hundred edits under load: no run mixes rules, none is lost, none is doubled; judged by what the outside systems wrote down."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bus.client import Client, ClientError
from bus.testing.patience import until
from tests.fault import marked
from tests.fault.house import House, opened
from tests.fault.portal import Portal
from tests.fault.rules import Sending

pytestmark = pytest.mark.timeout(900)  # on a crowded machine two hundred edits and a restart take their time
SENDERS = 3
PAUSE = 0.03
"""Seconds between two messages of one sender."""


class Sysadmins:
    """Those who edit: an edit is an activation, a mistake, a remark, a way back, or two people at once."""

    def __init__(self, house: House, seed: int) -> None:
        self._house, self._dice = house, random.Random(seed)
        self._marks = itertools.count(1)
        self.changes = self.refused = self.raced = 0
        self.mark = ""

    def begin(self, operator: Client) -> None:
        self._activate(operator, marked.version(f"v{next(self._marks)}"))

    def edit(self, operator: Client) -> None:
        what = self._dice.choices(["activate", "mistake", "remark", "back", "both"], [70, 10, 5, 10, 5])[0]
        getattr(self, f"_{what}")(operator)

    def _activate(self, operator: Client, files: dict[str, str] | None = None) -> None:
        self.mark = f"v{next(self._marks)}"
        told = operator.post("/rules/activate", {"reason": "an edit", "files": files or marked.version(self.mark)})
        assert told["changed"]
        self.changes += 1

    def _mistake(self, operator: Client) -> None:
        path, text = self._dice.choice(marked.BAD)
        before = operator.get("/rules")["rules"]
        with pytest.raises(ClientError) as refused:
            operator.post("/rules/activate", {"reason": "a mistake", "files": {**marked.version(f"v{next(self._marks)}"), path: text}})
        assert "rules.invalid" == refused.value.code
        assert before == operator.get("/rules")["rules"]
        self.refused += 1

    def _remark(self, operator: Client) -> None:
        files = marked.version(self.mark, f"looked at {next(self._marks)} times")
        self.changes += operator.post("/rules/activate", {"reason": "a remark", "files": files})["changed"]

    def _back(self, operator: Client) -> None:
        steps = 1 if self._dice.random() < 0.7 else 2
        with contextlib.suppress(ClientError):  # before anything was activated twice there is no way back
            self.changes += operator.post("/rules/rollback", {"reason": "a way back", "steps": steps})["changed"]

    def _both(self, operator: Client) -> None:
        """Two who saw the same: one is told that the other was first."""
        seen = operator.get("/rules")["rules"]

        def act(mark: str) -> bool:
            body = {"reason": "at once", "files": marked.version(mark), "expected": seen}
            with self._house.client() as own:
                try:
                    return bool(own.post("/rules/activate", body)["changed"])
                except ClientError as error:
                    if error.code != "rules.moved-on":
                        raise
                    return False

        with ThreadPoolExecutor(2) as pool:
            assert [False, True] == sorted(pool.map(act, [f"v{next(self._marks)}" for _ in range(2)]))
        self.changes += 1
        self.raced += 1


def _all_work_under_them(operator: Client, processes: int) -> bool:
    """Whether so many processes say that they work under the rules in force."""
    told = operator.get("/rules")
    return [told["rules"]] * processes == [one["rules"] for one in told["processes"]]


def _history(operator: Client) -> list[Any]:
    found: list[Any] = operator.get("/rules/history", limit=1000)["activations"]
    return found


class Load:
    """Senders that go on until they are told to stop; half of what they send waits for a receipt."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self.sent: dict[str, str] = {}
        self.waiting: list[str] = []
        self._over = threading.Event()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(SENDERS) as pool:
            begun = [pool.submit(self._go_on, number) for number in range(SENDERS)]
            try:
                yield
            finally:
                self._over.set()
            for one in begun:
                one.result()

    def _go_on(self, sender: int) -> None:
        for number in itertools.count():
            if self._over.wait(PAUSE):
                return
            name, kind = f"s{sender}n{number}", "paziente" if number % 3 == 0 else "diretta"
            self._portal.send(Sending(name, f"prova.{kind}", {"chi": name}))
            self.sent[name] = kind
            if kind == "paziente":
                self.waiting.append(name)
                if len(self.waiting) > 40 and number % 2 == 0:  # the others wait longer than the house stands
                    self.receipt(self.waiting.pop(0))

    def receipt(self, name: str) -> None:
        self._portal.send(Sending(f"{name}-ricevuta", "prova.ricevuta", {"chi": name}))


def _edited(house: House, portal: Portal, edits: int, within: float) -> tuple[Sysadmins, Load]:
    """The house works while it is edited; then it is started anew, and those who still wait get their receipts."""
    house.start()
    sysadmins, load = Sysadmins(house, seed=edits), Load(portal)
    end = time.monotonic() + within
    with house.client() as operator:
        sysadmins.begin(operator)
        if house.shape == "production":
            until(lambda: _all_work_under_them(operator, len(house.members)), "each process knows our types")
        with load.running():
            for _ in range(edits):
                sysadmins.edit(operator)
                assert time.monotonic() < end, "the edits take too long"
        # what was begun may wait; its first call has gone out
        while operator.get("/runs", state="ready", limit=1)["runs"] or operator.get("/runs", state="running", limit=1)["runs"]:
            time.sleep(0.05)
        in_force, told = operator.get("/rules"), _history(operator)
        assert in_force["earlier"], "nobody waits under earlier rules: then a restart shows nothing"
    assert sysadmins.changes + 1 == len(told), "each change is a record, and nothing else is"
    house.stop()
    house.start()
    with house.client() as operator:
        assert in_force["edition"] == operator.get("/rules")["edition"]
        for name in load.waiting:
            load.receipt(name)
        house.drained()
        assert [] == operator.get("/dead")["dead"]
        assert [] == operator.get("/rules")["earlier"]
    return sysadmins, load


def _effects(house: House) -> list[str]:
    return [effect["detail"]["chi"] for system in house.systems.values() for effect in system.ledger()]


def _judge(house: House, load: Load) -> None:
    effects = _effects(house)
    assert [] == marked.judged(load.sent, effects)
    versions = {effect.split(" ")[1] for effect in effects}
    assert len(versions) > 10, f"only {len(versions)} versions did any work: this was no load"


def test_two_hundred_edits_under_load_in_one_process(tmp_path: Path) -> None:
    with opened(tmp_path / "house", "embedded") as (house, portal):
        sysadmins, load = _edited(house, portal, 200, within=500)
        _judge(house, load)
        assert min(sysadmins.refused, sysadmins.raced) > 2


def test_edits_under_load_with_two_workers_and_a_door(tmp_path: Path) -> None:
    with opened(tmp_path / "house", "production", workers=2) as (house, portal):
        _, load = _edited(house, portal, 40, within=500)
        _judge(house, load)


@pytest.mark.parametrize(
    ("effects", "fault"),
    [
        (["primo v1 v1 v1 a", "secondo v1 v1 v2 a"], "a mixes rules"),
        (["primo v1 v1 v1 a"], "and did ['primo']"),
        (["primo v1 v1 v1 a", "secondo v1 v1 v1 a", "secondo v1 v1 v1 a"], "and did ['primo', 'secondo', 'secondo']"),
        (["primo v1 v1 v1 a", "secondo v1 v1 v1 a", "primo v1 v1 v1 b"], "b was done and nobody asked for it"),
    ],
)
def test_the_judge_sees_what_is_mixed_lost_doubled_or_invented(effects: list[str], fault: str) -> None:
    [said] = marked.judged({"a": "paziente"}, effects)
    assert fault in said
