"""Replays over HTTP: that somebody is about to recompute runs, and why. The recomputing is done elsewhere, with no right to write."""

from __future__ import annotations

from bus.message import JsonObject
from bus.web.acts import asked
from bus.web.answer import Answer, Call, json_answer


async def announce(call: Call) -> Answer:
    """Write in the log who replays ``what``, or what came between two times, and for what ``purpose``."""
    given = await asked(call, {"purpose": str, "what": str, "from": str, "to": str})
    scope: JsonObject = {name: value for name, value in given.items() if name != "purpose" and value}
    record = await call.house.run(lambda: call.house.app.announce_replay(call.caller.name, given.get("purpose", ""), scope))
    return json_answer({"record": record})
