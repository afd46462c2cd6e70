from __future__ import annotations

import asyncio
import threading

import pytest

from bus.web.bridge import Bridge


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
