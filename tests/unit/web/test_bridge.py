from __future__ import annotations

import asyncio
import gc
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from bus.errors import NotFound
from bus.store import writer
from bus.web.bridge import PATIENCE, Bridge
from bus.web.house import House
from bus.web.messages import _hand_in


def test_results_and_errors_of_other_threads_arrive_each_at_its_own_waiter():
    async def story():
        bridge = Bridge()
        waiters, tells = zip(*(bridge.waiter() for _ in range(500)), strict=True)

        def resolve():
            for number, tell in enumerate(tells):
                tell(number if number % 7 else ValueError(number))

        thread = threading.Thread(target=resolve)
        thread.start()
        ends = await asyncio.wait_for(asyncio.gather(*waiters, return_exceptions=True), 10)
        thread.join()
        return ends

    for number, end in enumerate(asyncio.run(story())):
        assert end == number if number % 7 else isinstance(end, ValueError)


def test_what_asyncio_takes_for_no_end_is_one_for_whoever_waits():
    """`StopIteration` can be no end of an awaitable: whoever waited was never answered, nor those behind him before somebody else came."""

    def missing() -> object:
        return next(iter(()))

    async def story():
        bridge, house = Bridge(), SimpleNamespace(_reading=ThreadPoolExecutor(1))
        (first, tell_first), (second, tell_second) = bridge.waiter(), bridge.waiter()
        tell_first(StopIteration())
        tell_second(2)
        ends = asyncio.gather(first, second, House.run(house, missing), return_exceptions=True)
        return await asyncio.wait_for(ends, 10)

    first, second, third = asyncio.run(story())
    assert (type(first), second, type(third)) == (RuntimeError, 2, RuntimeError)


def test_many_ends_wake_the_loop_once(monkeypatch):
    async def story():
        bridge, calls = Bridge(), []
        loop = asyncio.get_running_loop()
        waiters, tells = zip(*(bridge.waiter() for _ in range(50)), strict=True)
        real = loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *a: calls.append(a) or real(*a))
        for tell in tells:
            tell(None)
        await asyncio.gather(*waiters)
        return len(calls)

    assert asyncio.run(story()) == 1


def test_a_waiter_that_gave_up_is_passed_over():
    async def story():
        bridge = Bridge()
        (first, tell_first), (second, tell_second) = bridge.waiter(), bridge.waiter()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(first, 0.01)
        tell_first(1)
        tell_second(2)
        return await asyncio.wait_for(second, 5)

    assert asyncio.run(story()) == 2


def test_a_message_that_is_refused_at_once_leaves_nobody_to_be_told_later_that_nothing_was_heard(monkeypatch):
    monkeypatch.setattr("bus.web.bridge.PATIENCE", 0.0)
    monkeypatch.setattr("bus.web.bridge._EVERY", 0.01)
    complaints = []

    def refuse(*_):
        raise NotFound("there is no such type")

    async def story():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        house = SimpleNamespace(bridge=Bridge(), app=SimpleNamespace(intake=SimpleNamespace(hand_in=refuse)))
        with pytest.raises(NotFound):
            await _hand_in(house, None)
        await asyncio.sleep(0.05)
        gc.collect()

    asyncio.run(story())
    assert complaints == []


def test_portals_are_told_how_long_an_answer_may_take():
    told = (Path(__file__).parents[3] / "docs/portal-developer.md").read_text("utf-8")
    assert PATIENCE > writer.PATIENCE
    assert f"An answer may take {PATIENCE:g} seconds" in told


def test_portals_are_told_what_to_do_with_each_status_of_an_error():
    """Those of the list of codes, and the one of a mistake of the bus."""
    docs = Path(__file__).parents[3] / "docs"
    named = re.findall(r"^\| `[^`]+` \| ([\d, ]+) \|", (docs / "reference/errors.md").read_text("utf-8"), re.MULTILINE)
    rows = re.findall(r"^\| ([45]\d\d[^|]*) \|", (docs / "portal-developer.md").read_text("utf-8"), re.MULTILINE)
    told = set(re.findall(r"\d{3}", " ".join(rows)))
    assert {"400", "503"} <= set(re.findall(r"\d{3}", " ".join(named)))
    assert set(re.findall(r"\d{3}", " ".join(named))) | {"500"} <= told
