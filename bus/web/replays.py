"""What is done elsewhere, with no right to write, and is written in the log here: replays, and commands that show what was said."""

from __future__ import annotations

from bus.engine.accesses import ACTS
from bus.errors import Invalid
from bus.message import JsonObject
from bus.web.acts import asked
from bus.web.answer import Answer, Call, json_answer


async def announce(call: Call) -> Answer:
    """Write in the log who replays ``what``, a ``bundle``, or what came between two times, and for what ``purpose``."""
    given = await asked(call, {"purpose": str, "what": str, "bundle": str, "from": str, "to": str})
    scope: JsonObject = {name: value for name, value in given.items() if name != "purpose" and value}
    record = await call.run(lambda: call.app.announce_replay(call.caller.name, given.get("purpose", ""), scope))
    return json_answer({"record": record})


async def read(call: Call) -> Answer:
    """Write in the log who is about to show what was said, and for what; ``sees``: what that key may see of protected fields.

    ``keystore`` names the log it is written in: of another one nothing may be shown.
    """
    given = await asked(call, {"act": str, "purpose": str, "what": str, "from": str, "to": str})
    if given.get("act") not in ACTS:
        raise Invalid(f"there is no act {given.get('act', '')!r}", code="input.invalid", hint=f"one of {', '.join(ACTS)}")
    scope: JsonObject = {name: value for name, value in given.items() if name not in ("act", "purpose") and value}
    looker = call.caller.looks(given.get("purpose", ""))
    record = await call.run(lambda: call.app.announce_read(looker, given["act"], scope))
    return json_answer({"record": record, "sees": sorted(looker.sees), "keystore": call.app.keys.id})
