"""Subjects over HTTP: the erasure of a person. One asks, another confirms. Who it is stands in a body, never in an address."""

from __future__ import annotations

from bus.web.acts import asked
from bus.web.answer import Answer, Call, json_answer


async def ask(call: Call) -> Answer:
    """Ask for it, with a reason: what it would touch, and which runs are still open."""
    given = await asked(call, {"subject": str, "reason": str})
    app, who = call.house.app, call.caller.name
    return json_answer(await call.house.run(lambda: app.destruction.ask(given.get("subject", ""), given.get("reason", ""), who)))


async def waiting(call: Call) -> Answer:
    """The requests that wait for a second person; whom they are about is not said."""
    return json_answer({"requests": await call.house.run(call.house.app.destruction.waiting)})


async def confirm(call: Call) -> Answer:
    """Do it, as another person than the one who asked; for good."""
    await asked(call, {})
    app, who = call.house.app, call.caller.name
    return json_answer(await call.house.run(lambda: app.destruction.confirm(call.path["id"], who)))
