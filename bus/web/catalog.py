"""The catalogue over HTTP: what citizens can ask for, and the shapes of messages. Public: it holds nothing of anybody."""

from __future__ import annotations

from typing import Any

from bus.errors import NotFound
from bus.source import suggestion
from bus.web.answer import Answer, Call, json_answer


async def services(call: Call) -> Answer:
    """All services, by code."""
    return json_answer({"servizi": [_shown(one) for one in call.house.app.catalog().services.values()]})


async def service(call: Call) -> Answer:
    """One service."""
    found = call.house.app.catalog().services.get(call.path["codice"])
    if found is None:
        hint = suggestion(call.path["codice"], call.house.app.catalog().services) or "GET /catalog and `bus services` list them"
        raise NotFound("there is no service with that code", code="service.unknown", hint=hint)
    return json_answer(_shown(found))


def _shown(one: Any) -> dict[str, Any]:
    shown: dict[str, Any] = one.model_dump(mode="json", by_alias=True, exclude_none=True)
    return shown


async def type_schema(call: Call) -> Answer:
    """The JSON Schema of a message type."""
    known = call.house.app.catalog()
    name = call.path["type"]
    found = known.types.get(name)
    if found is None:
        raise NotFound("there is no type with that name", code="type.missing", hint=known.nearest_type(name))
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": found.title, **found.schema}
    return json_answer(schema, media_type=b"application/schema+json")
