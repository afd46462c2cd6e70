"""Large bodies: one at a time, beside everything else."""

from __future__ import annotations

import asyncio

from bus.web.turns import LARGE, Turns


def test_large_bodies_are_understood_one_at_a_time_and_small_ones_do_not_wait_for_them() -> None:
    passed: list[str] = []

    async def understand(turns: Turns, name: str, size: int) -> None:
        await turns.take(size)
        passed.append(name)

    async def crowd() -> list[list[str]]:
        turns, seen = Turns(), []
        tasks = [asyncio.ensure_future(understand(turns, f"large {n}", LARGE + 1)) for n in range(3)]
        tasks.append(asyncio.ensure_future(understand(turns, "small", LARGE)))
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            seen.append(passed.copy())
            passed.clear()
        return seen

    seen = asyncio.run(crowd())
    assert seen[0] == ["small"]
    assert max(map(len, seen)) == 1
    assert [name for some in seen for name in some] == ["small", "large 0", "large 1", "large 2"]
