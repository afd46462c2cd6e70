"""Cases, runs and records: what may be looked at, by whom."""

from __future__ import annotations

from typing import Any

from bus.engine.inquiry import MOST_RECORDS
from bus.errors import Invalid
from bus.web.answer import Answer, Call, json_answer, number_of

STATES = ("ready", "running", "waiting", "done", "dead", "cancelled")
MOST_RUNS = 500


async def case(call: Call) -> Answer:
    """A case by one of its keys, with its timeline. A portal sees the cases that one of its messages is in.

    A page of it, and most cases are one: ``limit`` records of the timeline, and the keys, messages and runs that these tell of.
    """
    after, most = _page(call)
    sender = None if call.caller.sees_all else call.caller.name
    return json_answer(await call.run(lambda: call.app.case(call.path["key"], sender=sender, after=after, most=most)))


async def runs(call: Call) -> Answer:
    """The newest runs; ``state``, ``route`` and ``limit`` choose among them."""
    state, route = call.query.get("state"), call.query.get("route")
    if state is not None and state not in STATES:
        raise Invalid(f"there is no state {state!r}", code="input.query", hint=f"one of {', '.join(STATES)}")
    most = number_of(call.query, "limit", 1, MOST_RUNS, 50)
    # A run that is running is a ready one that somebody holds.
    kept, held = {"running": ("ready", True), "ready": ("ready", False)}.get(state or "", (state, None))
    return json_answer({"runs": await call.run(lambda: call.app.runs(kept, route, most, held))})


async def run(call: Call) -> Answer:
    """A run with its waits and its journal: a page of it, and most journals are one."""
    after, most = _page(call)
    return json_answer(await call.run(lambda: call.app.run(call.path["id"], after, most)))


async def log(call: Call) -> Answer:
    """A page of the records of one message, run or case, in order; no payloads."""
    after, most = _page(call)
    asked: list[Any] = [(name, call.query[name]) for name in ("message", "run", "case") if name in call.query]
    if len(asked) != 1:
        raise Invalid("say whose records: one of message, run, case", code="input.query", hint="GET /log?message=…")
    [(what, key)] = asked
    return json_answer(await call.run(lambda: call.app.records(what, key, after, most)))


def _page(call: Call) -> tuple[int, int]:
    """What a page is asked for: the number of the record to go on behind, and how many records at most."""
    return number_of(call.query, "after", 0, 2**62, 0), number_of(call.query, "limit", 1, MOST_RECORDS, MOST_RECORDS)
