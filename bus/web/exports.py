"""Bundles over HTTP: what is asked for, by whom, and why, is in the log before the first byte leaves."""

from __future__ import annotations

from bus.bundle.export import Wanted, messages_of
from bus.bundle.export import export as exported
from bus.engine.accesses import needs_all, purpose_of
from bus.web.acts import asked
from bus.web.answer import Answer, Call

SCOPE = ("case", "message", "from", "to")


async def export(call: Call) -> Answer:
    """The bundle of a case, a message or a time, as a file."""
    given = await asked(call, {**dict.fromkeys((*SCOPE, "purpose"), str), "payloads": bool})
    purpose, payloads = purpose_of(given.get("purpose", "")), given.get("payloads", False)
    if payloads:
        needs_all(call.caller.looks(purpose), "a bundle with payloads")
    scope = {name: given[name] for name in SCOPE if given.get(name)}
    app = call.house.app

    def work() -> bytes:
        wanted = Wanted(scope, messages_of(app.store, scope), call.caller.name, purpose, payloads)
        schemas = {name: declared.schema for name, declared in app.catalog().types.items()}
        return exported(app.store, app.clock, app.config.log.origin, wanted, schemas)

    content = await call.house.run(work)
    return Answer(200, content, [(b"content-disposition", b'attachment; filename="fascicolo.zip"')], b"application/zip")
