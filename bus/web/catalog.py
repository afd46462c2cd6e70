"""The catalogue over HTTP: what citizens can ask for, and the shapes of messages. Public: it holds nothing of anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bus.engine.arrival import asked_with
from bus.errors import NotFound
from bus.source import suggestion
from bus.web.answer import Answer, Call, json_answer

if TYPE_CHECKING:
    from bus.catalog import Catalog
    from bus.services import Servizio


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
