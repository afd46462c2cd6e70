from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from bus.web.bridge import Bridge


def test_results_and_errors_of_other_threads_arrive_each_at_its_own_waiter():
    async def story():
        bridge, futures = Bridge(), [Future() for _ in range(500)]
        waiters = [bridge.wait(future) for future in futures]

        def resolve():
            for number, future in enumerate(futures):
                if number % 7:
                    future.set_result(number)
                else:
                    future.set_exception(ValueError(number))

        thread = threading.Thread(target=resolve)
        thread.start()
        ends = await asyncio.wait_for(asyncio.gather(*waiters, return_exceptions=True), 10)
        thread.join()
        return ends

    for number, end in enumerate(asyncio.run(story())):
        assert end == number if number % 7 else isinstance(end, ValueError)


def test_many_ends_wake_the_loop_once(monkeypatch):
    async def story():
        bridge, calls, futures = Bridge(), [], [Future() for _ in range(50)]
        loop = asyncio.get_running_loop()
        waiters = [bridge.wait(future) for future in futures]
        real = loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *a: calls.append(a) or real(*a))
        for future in futures:
            future.set_result(None)
        await asyncio.gather(*waiters)
        return len(calls)

    assert asyncio.run(story()) == 1


def test_a_waiter_that_gave_up_is_passed_over():
    async def story():
        bridge, first, second = Bridge(), Future(), Future()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(bridge.wait(first), 0.01)
        waiter = bridge.wait(second)
        first.set_result(1)
        second.set_result(2)
        return await asyncio.wait_for(waiter, 5)

    assert asyncio.run(story()) == 2
