"""For auditors: bundles, reports, and word of what is recomputed or shown elsewhere. Each is in the log before anything leaves.

A page of a report is asked for by POST: that it was given is written. Replays, and commands that show what was said, are done with no right
to write, and written in the log here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from bus.bundle.export import Wanted, messages_of
from bus.bundle.export import export as exported
from bus.bundle.packing import Packed
from bus.engine.accesses import ACTS, needs_all, purpose_of
from bus.errors import Invalid
from bus.message import JsonObject, as_id
from bus.replay.window import times
from bus.reports import named
from bus.web.acts import asked
from bus.web.answer import Answer, Call, json_answer

SCOPE = ("case", "message", "from", "to")


async def export(call: Call) -> Answer:
    """The bundle of a case, a message or a time, as a file."""
    given = await asked(call, {**dict.fromkeys((*SCOPE, "purpose"), str), "payloads": bool})
    purpose, payloads = purpose_of(given.get("purpose", "")), given.get("payloads", False)
    if payloads:
        needs_all(call.caller.looks(purpose), "a bundle with payloads")
    scope = {name: as_id(given[name]) if name == "message" else given[name] for name in SCOPE if given.get(name)}

    def work() -> Packed:
        wanted = Wanted(scope, messages_of(call.app.store, scope), call.caller.name, purpose, payloads)
        schemas = {name: declared.schema for name, declared in call.app.catalog().types.items()}
        return exported(call.app.store, call.app.clock, call.app.config.log.origin, wanted, schemas)

    made = await call.run(work)
    name = [(b"content-disposition", b'attachment; filename="fascicolo.zip"')]
    return Answer(200, _sent(call, made.pieces), name, b"application/zip", made.size)


async def _sent(call: Call, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await call.run(lambda: next(pieces, None))) is not None:
        yield piece


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


async def reports(call: Call) -> Answer:
    """All reports with their fields and the source of each."""
    found = call.app.reports.values()
    return json_answer({"reports": [{"name": r.name, "title": r.title, "source": r.source, "fields": dict(r.fields)} for r in found]})


async def report(call: Call) -> Answer:
    """One page of a report's lines; ``next`` is what to send as ``after`` for the page that follows, or null.

    ``unopened``, where there are any: the texts that cannot be opened though nobody erased them; their fields are empty.
    """
    given: dict[str, Any] = await asked(call, {"from": str, "to": str, "purpose": str, "after": int})
    named(call.app.reports, call.path["name"])
    since, until = times(given.get("from"), given.get("to"))
    if since is None or until is None:
        missing = " and ".join(sorted({"from", "to"} - set(given)))
        raise Invalid(f"the time of the report is missing: {missing}", code="input.time", hint="a day, or a moment with its offset")
    looker, after = call.caller.looks(given.get("purpose", "")), given.get("after", 0)
    found = await call.run(lambda: call.app.report(call.path["name"], since, until, looker, after))
    unopened = {"unopened": found.unopened} if found.unopened else {}
    return json_answer({"lines": found.lines, "next": found.next, **unopened})
