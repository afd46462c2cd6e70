"""Cases, runs and records: what may be looked at, by whom."""

from __future__ import annotations

from typing import Any

from bus.engine.inquiry import unknown_case
from bus.errors import Invalid
from bus.web.answer import Answer, Call, json_answer, number_of

STATES = ("ready", "running", "waiting", "done", "dead", "cancelled")
MOST_RUNS = 500


async def case(call: Call) -> Answer:
    """A case by one of its keys, with its timeline. A portal sees the cases that one of its messages is in."""
    shown: dict[str, Any] = await call.house.run(lambda: call.house.app.case(call.path["key"]))
    if not call.caller.sees_all and call.caller.name not in {message["sender"] for message in shown["messages"]}:
        raise unknown_case()
    return json_answer(shown)


async def runs(call: Call) -> Answer:
    """The newest runs; ``state``, ``route`` and ``limit`` choose among them."""
    query = call.query
    state = query.get("state")
    if state is not None and state not in STATES:
        raise Invalid(f"there is no state {state!r}", code="input.query", hint=f"one of {', '.join(STATES)}")
    most = number_of(query, "limit", 1, MOST_RUNS, 50)
    # A run that is running is a ready one that somebody holds.
    kept, held = {"running": ("ready", True), "ready": ("ready", False)}.get(state or "", (state, None))
    return json_answer({"runs": await call.house.run(lambda: call.house.app.runs(kept, query.get("route"), most, held))})


async def run(call: Call) -> Answer:
    """A run with its journal and its waits."""
    return json_answer(await call.house.run(lambda: call.house.app.run(call.path["id"])))


async def log(call: Call) -> Answer:
    """The records of one message, run or case, in order; no payloads."""
    query = call.query
    if len(query) != 1:
        raise Invalid("say whose records: one of message, run, case", code="input.query", hint="GET /log?message=…")
    [(what, key)] = query.items()
    return json_answer({"records": await call.house.run(lambda: call.house.app.records(what, key))})
