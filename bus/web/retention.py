"""Retention over HTTP: a page of what is old enough, looked at or destroyed."""

from __future__ import annotations

from bus.engine.retention import KINDS, Kind
from bus.errors import Invalid
from bus.web.acts import asked
from bus.web.answer import Answer, Call, json_answer


async def look(call: Call) -> Answer:
    """What would go and what is held back, by month; ``after`` of the page before goes on."""
    query = call.query
    kind, after = _kind(query.get("kind", "")), query.get("after", "")
    return json_answer(await call.house.run(lambda: call.house.app.destruction.look(kind, after)))


async def dispose(call: Call) -> Answer:
    """Destroy a page of what is old enough, with a reason that the log keeps."""
    given = await asked(call, {"kind": str, "after": str, "reason": str})
    kind, who, app = _kind(given.get("kind", "")), call.caller.name, call.house.app
    return json_answer(await call.house.run(lambda: app.destruction.dispose(kind, who, given.get("reason", ""), given.get("after", ""))))


def _kind(text: str) -> Kind:
    found = next((kind for kind in KINDS if kind == text), None)
    if found is None:
        raise Invalid(f"there is no kind {text!r}", code="input.query", hint=f"one of {', '.join(KINDS)}")
    return found
