"""What holds nothing of anybody: is the bus up, how is it, what can be asked for, and in what shape.

`/status` is public and minimal; who watches the bus sees more. Its 200 is a problem too, as the Italian API rules want. `/metrics` are
figures for Prometheus. The catalogue is what citizens can ask for, with the shapes of messages.
"""

from __future__ import annotations

from typing import Any

from bus import figures, metrics
from bus.catalog import Catalog
from bus.engine.arrival import asked_with
from bus.errors import NotFound, StoreError
from bus.services import Servizio
from bus.source import suggestion
from bus.web.answer import Answer, Call, json_answer
from bus.web.auth import WATCHERS
from bus.web.problems import MEDIA_TYPE

METRICS = b"text/plain; version=0.0.4; charset=utf-8"


async def status(call: Call) -> Answer:
    """200 when the store answers in seconds, takes what comes and is ours, and engine and sequencer turn, else 503; the log says why.

    Asked with a key of ``sysadmin`` or ``monitor`` it holds ``bus`` too: processes, store, channel, and how each outside system does.
    """
    if call.app.unfit is not None:
        raise call.app.unfit
    if not call.app.well():
        raise StoreError(
            "what was taken in is not worked on, or not sealed, here", code="bus.not-well",
            hint="restart this process; its log says what came before",
        )  # fmt: skip
    detail = await call.house.glance(call.app.status)
    # Still 200: a balancer that left this door would keep from everybody the answer that says when to come again.
    now = "the bus has more to do than it may have: it refuses messages for now" if call.app.backlog.full else "the bus takes messages"
    shown = {"type": "about:blank", "title": "OK", "status": 200, "detail": now}
    if call.caller.role in WATCHERS:
        shown = {**shown, "bus": detail}
    return json_answer(shown, media_type=MEDIA_TYPE)


async def show_metrics(call: Call) -> Answer:
    """Figures of this process and of the store in Prometheus' text format; counters begin with the process."""
    return Answer(200, await call.house.glance(lambda: metrics.page(lambda: figures.of(call.app))), media_type=METRICS)


async def services(call: Call) -> Answer:
    """All services, by code."""
    known = call.app.catalog()
    return json_answer({"servizi": [_shown(one, known) for one in known.services.values()]})


async def service(call: Call) -> Answer:
    """One service."""
    known = call.app.catalog()
    found = known.services.get(call.path["codice"])
    if found is None:
        hint = suggestion(call.path["codice"], known.services) or "GET /catalog and `bus services` list them"
        raise NotFound("there is no service with that code", code="service.unknown", hint=hint)
    return json_answer(_shown(found, known))


def _shown(one: Servizio, known: Catalog) -> dict[str, Any]:
    """An entry as written, and of an application the type of message (``messaggio``) that presents it."""
    shown: dict[str, Any] = one.model_dump(mode="json", by_alias=True, exclude_none=True)
    type = asked_with(known, one)
    return shown | ({"messaggio": type} if type else {})


async def type_schema(call: Call) -> Answer:
    """The JSON Schema of a message type, with the codes in use."""
    known = call.app.catalog()
    name = call.path["type"]
    found = known.types.get(name)
    if found is None:
        raise NotFound(
            "there is no type with that name",
            code="type.missing",
            hint=known.nearest_type(name) or "GET /catalog names the type of each service: `messaggio`",
        )
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": found.title, **found.told}
    return json_answer(schema, media_type=b"application/schema+json")
