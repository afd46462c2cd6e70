"""Destruction over HTTP: the erasure of a person, and what is old enough to go.

One person asks for an erasure, another confirms it. Who it is about stands in a body, never in an address.
"""

from __future__ import annotations

from bus.engine.retention import KINDS, Kind
from bus.errors import Invalid
from bus.web.acts import asked
from bus.web.answer import Answer, Call, json_answer


async def ask(call: Call) -> Answer:
    """Ask for it, with a reason: what it would touch, and which runs are still open."""
    given = await asked(call, {"subject": str, "reason": str})
    subject, reason = given.get("subject", ""), given.get("reason", "")
    return json_answer(await call.run(lambda: call.app.destruction.ask(subject, reason, call.caller.name)))


async def waiting(call: Call) -> Answer:
    """The requests that wait for a second person; whom they are about is not said."""
    return json_answer({"requests": await call.run(call.app.destruction.waiting)})


async def confirm(call: Call) -> Answer:
    """Do it, as another person than the one who asked; for good."""
    await asked(call, {})
    return json_answer(await call.run(lambda: call.app.destruction.confirm(call.path["id"], call.caller.name)))


async def look(call: Call) -> Answer:
    """What would go and what is held back, by month; ``after`` of the page before goes on."""
    kind, after = _kind(call.query.get("kind", "")), call.query.get("after", "")
    return json_answer(await call.run(lambda: call.app.destruction.look(kind, after)))


async def dispose(call: Call) -> Answer:
    """Destroy a page of what is old enough, with a reason that the log keeps."""
    given = await asked(call, {"kind": str, "after": str, "reason": str})
    kind, reason, after = _kind(given.get("kind", "")), given.get("reason", ""), given.get("after", "")
    return json_answer(await call.run(lambda: call.app.destruction.dispose(kind, call.caller.name, reason, after)))


def _kind(text: str) -> Kind:
    found = next((kind for kind in KINDS if kind == text), None)
    if found is None:
        raise Invalid(f"there is no kind {text!r}", code="input.query", hint=f"one of {', '.join(KINDS)}")
    return found
