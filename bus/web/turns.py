"""Turns: who hands in a large body waits for those before."""

from __future__ import annotations

import asyncio

LARGE = 50_000
"""Bytes of a body that takes some milliseconds to understand."""


class Turns:
    """Large bodies are understood one at a time, and between two of them the event loop does what else there is to do.

    Each takes it some ten milliseconds. Hundreds that came together kept all others waiting, whatever was committed of them meanwhile, and
    were in memory all at once. One for each event loop.
    """

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    async def take(self, size: int) -> None:
        """Returns when it is the turn of a body of ``size`` bytes: at once for one that is not large."""
        if size > LARGE:
            async with self._one:
                await asyncio.sleep(0)
