"""Who comes in, goes or is refused: which lines the log gets, and how many."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from bus.errors import StoreError
from bus.reports import Access
from bus.web.accesses import EVERY, IDLE, Accesses
from bus.web.auth import Caller

REVIEWER = Caller("revisore", "auditor")


class Scene:
    def __init__(self) -> None:
        self.now, self.kept, self.fails = 0.0, [], False
        self.accesses = Accesses(self.keep, lambda: self.now)

    def keep(self, events: Sequence[Access]) -> None:
        if self.fails:
            raise StoreError("the disk is full")
        self.kept += events

    def refuse(self, times: int) -> None:
        for _ in range(times):
            if self.accesses.refuse("192.0.2.1"):
                self.accesses.tell()


def test_refusals_are_told_at_once_and_then_together_each_minute() -> None:
    scene = Scene()
    scene.refuse(100)
    assert [event.times for event in scene.kept] == [1]
    scene.now += EVERY
    scene.refuse(100)
    assert [event.times for event in scene.kept] == [1, 100], "the 99 that waited, and the one that found it was time"
    scene.accesses.close()
    assert sum(event.times for event in scene.kept) == 200


def test_what_waited_is_due_after_its_time_though_nobody_comes_any_more() -> None:
    scene = Scene()
    scene.accesses.enter(REVIEWER, "192.0.2.1")
    scene.refuse(3)
    assert not scene.accesses.due()
    scene.now += EVERY
    assert scene.accesses.due()
    scene.accesses.tell()
    assert [event.times for event in scene.kept if event.event == "refused"] == [1, 2]
    assert not scene.accesses.due()
    scene.now += IDLE + 1
    assert scene.accesses.due()
    scene.accesses.tell()
    assert scene.kept[-1].event == "left"
    assert scene.accesses.refuse("192.0.2.1"), "the first one is told at once, also when something else was told just now"


def test_what_could_not_be_written_is_counted_on() -> None:
    scene = Scene()
    scene.fails = True
    scene.refuse(3)
    scene.fails, scene.now = False, EVERY
    scene.refuse(1)
    assert [event.times for event in scene.kept] == [4]


def test_who_left_while_nothing_could_be_written_is_told_later() -> None:
    scene = Scene()
    scene.accesses.enter(REVIEWER, "192.0.2.1")
    scene.now, scene.fails = IDLE + 1, True
    scene.accesses.tell()
    scene.fails = False
    scene.accesses.tell()
    assert [event.event for event in scene.kept] == ["entered", "left"]


def test_an_access_begins_once_and_ends_when_nothing_comes_any_more() -> None:
    scene = Scene()
    assert scene.accesses.enters(REVIEWER, "192.0.2.1")
    scene.accesses.enter(REVIEWER, "192.0.2.1")
    assert not scene.accesses.enters(REVIEWER, "192.0.2.1")
    assert not scene.accesses.enters(Caller("portale", "portal"), "192.0.2.1"), "a portal is a program"
    scene.now += IDLE + 1
    scene.accesses.tell()
    assert scene.kept == [Access(what, "revisore", "auditor", "192.0.2.1") for what in ("entered", "left")]
    assert scene.accesses.enters(REVIEWER, "192.0.2.1")


def test_of_two_first_requests_at_once_one_makes_the_line_and_the_other_waits_for_it() -> None:
    scene, writing, written = Scene(), threading.Event(), threading.Event()

    def keep(events: Sequence[Access]) -> None:
        writing.set()
        written.wait(60)
        scene.keep(events)

    accesses = Accesses(keep, lambda: scene.now)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(accesses.enter, REVIEWER, "192.0.2.1")
        assert writing.wait(60)
        second = pool.submit(accesses.enter, REVIEWER, "192.0.2.1")
        assert second not in wait((first, second), 0.2).done, "who cannot be recorded does not come in"
        written.set()
        first.result(60)
        second.result(60)
    assert [event.event for event in scene.kept] == ["entered"]


def test_an_end_that_could_not_be_written_is_written_later() -> None:
    scene = Scene()
    scene.accesses.enter(REVIEWER, "192.0.2.1")
    scene.now, scene.fails = IDLE + 1, True
    scene.accesses.tell()
    with pytest.raises(StoreError):
        scene.accesses.enter(Caller("altra", "auditor"), "192.0.2.2")
    scene.fails = False
    scene.accesses.tell()
    assert [event.event for event in scene.kept] == ["entered", "left"]
