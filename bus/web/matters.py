"""Cases, runs and records: what may be looked at, by whom; searches, the log as it grows, and how busy everything is.

Searches are asked for by POST, so that no value stands in an address, which others write down.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, cast

from bus.engine import accesses
from bus.engine.inquiry import MOST_RECORDS
from bus.engine.names import folded
from bus.engine.search import FINDS, Find, Question
from bus.engine.search import MOST as MOST_FOUND
from bus.engine.watching import Filter, kinds_of
from bus.errors import Invalid
from bus.message import as_id
from bus.replay.window import times
from bus.source import suggestion
from bus.web.acts import asked
from bus.web.answer import Answer, Call, json_answer, number_of

STATES = ("ready", "running", "waiting", "done", "dead", "cancelled")
MOST_RUNS = 500
LONGEST_WAIT = 30
EVERY = 0.25
"""Seconds between two looks while a caller waits."""
_SEARCHED = ("find", "key", "type", "route", "step", "outcome", "from", "to", "text", "purpose", "after")
LONGEST = 200
"""Characters of what is searched for, each."""
LARGEST = 16_384
"""Bytes of a question."""
_LONGEST = {"after": LARGEST, "purpose": accesses.LONGEST}


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
    """A run with its journal: a page of it, and most journals are one; and the waits that it tells of, or that are open."""
    after, most = _page(call)
    return json_answer(await call.run(lambda: call.app.run(call.path["id"], after, most)))


async def log(call: Call) -> Answer:
    """A page of the records of one message, run or case, in order; no payloads."""
    after, most = _page(call)
    ids: list[Any] = [(name, as_id(call.query[name])) for name in ("message", "run") if name in call.query]
    named = ids + [(name, call.query[name]) for name in ("case",) if name in call.query]
    if len(named) != 1:
        raise Invalid("say whose records: one of message, run, case", code="input.query", hint="GET /log?message=…")
    [(what, key)] = named
    return json_answer(await call.run(lambda: call.app.records(what, key, after, most)))


def _page(call: Call) -> tuple[int, int]:
    """What a page is asked for: the number of the record to go on behind, and how many records at most."""
    return number_of(call.query, "after", 0, 2**62, 0), number_of(call.query, "limit", 1, MOST_RECORDS, MOST_RECORDS)


async def tail(call: Call) -> Answer:
    """Records in order, with their numbers; no payloads. With ``wait`` the answer comes when there is one, or with none when time is up."""
    query = call.query
    limit, wait = number_of(query, "limit", 1, MOST_RECORDS, 100), number_of(query, "wait", 0, LONGEST_WAIT, 0)
    after = number_of(query, "after", 0, 2**62, 0) if "after" in query else None
    kinds, at = kinds_of(query.get("outcome", ""), "input.query"), query.get("at", "")
    wanted = Filter(query.get("route", ""), query.get("adapter", ""), kinds, query.get("case", ""))
    until = time.monotonic() + wait
    while True:
        found = await call.run(partial(call.app.tail, after, limit, wanted, at))
        if found["records"] or "put_back" in found or after is None or time.monotonic() >= until or call.app.leaving:
            hint = "" if found["records"] else _meant(call, wanted)
            return json_answer({**found, "hint": hint} if hint else found)
        after, at = int(str(found["next"])), str(found["at"])
        await asyncio.sleep(EVERY)


def _meant(call: Call, wanted: Filter) -> str:
    """Which route or system there is not, or not any more, and the one that is near it."""
    known = (("route", wanted.route, call.app.catalog().routes), ("adapter", wanted.adapter, call.app.adapters))
    strange = ((what, name, suggestion(name, there)) for what, name, there in known if name and name not in there)
    return "; ".join(f"there is no {what} {name!r}{near and f': {near}'}" for what, name, near in strange)


async def top(call: Call) -> Answer:
    """Rates, latencies and failures of the last minute by route and by adapter; gates and circuits of all processes."""
    return json_answer(await call.run(call.app.top))


async def search(call: Call) -> Answer:
    """One page of what has a record that is all of what is asked for, newest first; ``next`` is what to send as ``after``, or null."""
    given: dict[str, Any] = await asked(call, {**dict.fromkeys(_SEARCHED, str), "limit": int}, LARGEST)
    for name in _SEARCHED:
        longest = _LONGEST.get(name, LONGEST)
        if name in given and not 0 < len(given[name]) <= longest:
            raise Invalid(f"{name} must have 1 to {longest} characters", code="input.invalid", hint="leave it out to let all pass")
    limit = given.get("limit", 50)
    if not 1 <= limit <= MOST_FOUND:
        raise Invalid(f"limit is {limit}", code="input.invalid", hint=f"a number from 1 to {MOST_FOUND}")
    question, looker = _question(given), call.caller.looks(given.get("purpose", ""))
    return json_answer(await call.run(lambda: call.app.search(question, limit, given.get("after", ""), looker)))


def _question(given: dict[str, Any]) -> Question:
    find = given.get("find", "messages" if "text" in given else "records")
    if find not in FINDS:
        raise Invalid(f"there is nothing to find that is called {find!r}", code="input.invalid", hint=f"one of {', '.join(FINDS)}")
    if "text" in given and (find != "messages" or not folded(given["text"])):
        raise Invalid(
            "text is looked for in messages", code="search.text", hint="some letters or digits, and find: messages, which show their cases"
        )
    kinds = kinds_of(given.get("outcome", ""), "input.invalid")
    since, until = times(given.get("from"), given.get("to"))
    texts = {name: given[name] for name in ("key", "type", "route", "step", "text") if name in given}
    return Question(cast(Find, find), kinds=kinds, since=since, until=until, **texts)
