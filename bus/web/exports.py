"""Bundles over HTTP: what is asked for, by whom, and why, is in the log before the first byte leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from bus.bundle.export import Wanted, messages_of
from bus.bundle.export import export as exported
from bus.bundle.packing import Packed
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
