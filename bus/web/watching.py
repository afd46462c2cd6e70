"""The log as it grows, and how busy everything is: for people who watch."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from bus.engine.watching import Filter, kinds_of
from bus.source import suggestion
from bus.web.answer import Answer, Call, json_answer, number_of

MOST = 1000
LONGEST = 30
EVERY = 0.25
"""Seconds between two looks while a caller waits."""


async def tail(call: Call) -> Answer:
    """Records in order, with their numbers; no payloads. With ``wait`` the answer comes when there is one, or with none when time is up."""
    query = call.query
    limit, wait = number_of(query, "limit", 1, MOST, 100), number_of(query, "wait", 0, LONGEST, 0)
    after = number_of(query, "after", 0, 2**62, 0) if "after" in query else None
    kinds = kinds_of(query.get("outcome", ""), "input.query")
    wanted = Filter(query.get("route", ""), query.get("adapter", ""), kinds, query.get("case", ""))
    until = time.monotonic() + wait
    while True:
        found = await call.run(partial(call.app.tail, after, limit, wanted))
        if found["records"] or after is None or time.monotonic() >= until or call.app.leaving:
            hint = "" if found["records"] else _meant(call, wanted)
            return json_answer({**found, "hint": hint} if hint else found)
        after = int(str(found["next"]))
        await asyncio.sleep(EVERY)


def _meant(call: Call, wanted: Filter) -> str:
    """Which route or system there is not, or not any more, and the one that is near it."""
    known = (("route", wanted.route, call.app.catalog().routes), ("adapter", wanted.adapter, call.app.adapters))
    strange = ((what, name, suggestion(name, there)) for what, name, there in known if name and name not in there)
    return "; ".join(f"there is no {what} {name!r}{near and f': {near}'}" for what, name, near in strange)


async def top(call: Call) -> Answer:
    """Rates, latencies and failures of the last minute by route and by adapter; gates and circuits of all processes."""
    return json_answer(await call.run(call.app.top))
