"""Dead letters over HTTP: list, show, and the three acts of a person. Each act needs a reason; it is kept in the log with the actor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from bus.errors import Invalid
from bus.message import JsonObject
from bus.web.acts import asked
from bus.web.answer import Answer, Call, json_answer, number_of
from bus.web.matters import MOST_RUNS


async def letters(call: Call) -> Answer:
    """A page of the dead runs, newest first; ``code`` and ``route`` choose among them, ``after`` is the ``next`` of the page before."""
    code, route, after = map(call.query.get, ("code", "route", "after"))
    most = number_of(call.query, "limit", 1, MOST_RUNS, MOST_RUNS)
    return json_answer(await call.run(lambda: call.app.letters(code, route, after, most)))


async def letter(call: Call) -> Answer:
    """Why, where and since when; what was said is opened for a purpose. ``doubt``: a call must be decided."""
    return json_answer(asdict(await call.run(lambda: call.app.open_letter(call.path["run"], call.looker))))


async def evidence(call: Call) -> Answer:
    """One piece of evidence, byte for byte as it crossed the border; that somebody looked is written in the log."""
    content, media = await call.run(lambda: call.app.open_evidence(call.path["run"], call.path["id"], call.looker))
    # Whatever another system sent is given as a file: nothing here may run or be shown in a browser.
    return Answer(200, content, [(b"content-disposition", b"attachment")], media.encode("latin-1", "replace"))


async def redeliver(call: Call) -> Answer:
    """Make a dead run ready again, same keys; ``current_rules`` under the route as it is now."""
    given = await asked(call, {"reason": str, "current_rules": bool})
    reason, current = given.get("reason", ""), given.get("current_rules", False)
    return await _act(call, lambda: call.app.redeliver(call.path["run"], call.caller.name, reason, current_rules=current))


async def decide(call: Call) -> Answer:
    """Say what became of a call in doubt: it ``happened`` (with its ``answer``), or send it ``again``."""
    given = await asked(call, {"reason": str, "decision": str, "answer": dict})
    decision = given.get("decision")
    if decision not in ("happened", "again"):
        raise Invalid("decision must be happened or again", code="input.invalid", hint="look at the other system first")
    reason, answer = given.get("reason", ""), given.get("answer")
    return await _act(call, lambda: call.app.decide(call.path["run"], call.caller.name, reason, decision, answer))


async def discard(call: Call) -> Answer:
    """Give a run up that is dead, or waits; what it did stays done."""
    given = await asked(call, {"reason": str})
    return await _act(call, lambda: call.app.discard(call.path["run"], call.caller.name, given.get("reason", "")))


async def _act(call: Call, act: Callable[[], None]) -> Answer:
    def work() -> JsonObject:
        act()
        return call.app.run(call.path["run"])

    return json_answer(await call.run(work))
