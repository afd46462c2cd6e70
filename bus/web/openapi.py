"""The OpenAPI 3.0 document, made from the table of what is served; follows the rules of the Italian API checker."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from bus.web.answer import Answer, Call, json_answer
from bus.web.schemas import SCHEMAS
from bus.web.served import HEADERS, OF_PROBLEMS, PROBLEMS, SOMETIMES, Served

TAGS = {
    "messages": "Send messages and ask questions.",
    "attachments": "Files that travel beside messages.",
    "cases": "All that concerns one matter.",
    "operation": "For those who run and audit the bus.",
    "public": "Without a key.",
}


async def show(call: Call) -> Answer:
    """The document of this very bus."""
    from bus.web.api import SERVED

    config = call.app.config
    return json_answer(document(SERVED, config.organization.name, config.http.prefix))


def document(served: Iterable[Served], organization: str, prefix: str = "") -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for one in served:
        paths.setdefault(one.path, {})[one.method.lower()] = _described(one)
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Snodo",
            "version": version("snodo"),
            "x-summary": "Interoperability bus of a municipality",
            "description": f"Messages in, cases out: the bus of {organization}. Every error is a problem with a documented code.",
            "contact": {"name": organization},
            "license": {"name": "EUPL-1.2", "url": "https://eupl.eu/1.2/en/"},
        },
        "servers": [{"url": prefix or "/", "description": "This bus"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": {f"Problem{status}": _problem(status, text) for status, text in PROBLEMS.items()},
            "headers": {name: _header(name, text) for name, text in HEADERS.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Api-Key",
                    "description": "In place of Authorization: Bearer, which alone counts where both are sent",
                },
            },
        },
    }


def _described(one: Served) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "description": inspect.getdoc(one.handler) or one.summary,
        "tags": [one.tag],
        "security": [{"bearer": []}, {"key": []}] if one.roles else [],
        "responses": {str(status): _answer(*answer) | _headers(one.headers.get(status)) for status, answer in one.answers.items()},
    }
    described["responses"] |= {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in one.all_problems()}
    if one.fields:
        described["parameters"] = [
            {
                "name": f.name,
                "in": f.place,
                "required": f.required or f.place == "path",
                "description": f.description,
                "schema": dict(f.schema),
            }
            for f in one.fields
        ]
    if one.body:
        content = {media: {"schema": _schema(name, media)} for media, name in one.body.items()}
        described["requestBody"] = {"required": True, "content": content}
    if one.roles:
        described["x-roles"] = sorted(one.roles)
    return described


def _answer(text: str, schema: str, media: str) -> dict[str, Any]:
    return {"description": text, **({"content": {media: {"schema": _schema(schema, media)}}} if media else {})}


def _schema(name: str, media: str) -> dict[str, Any]:
    """What ``name`` says; without one text or bytes, as the media type has it."""
    if name:
        return {"$ref": f"#/components/schemas/{name}"}
    return {"type": "string"} if media.startswith("text/") else {"type": "string", "format": "binary"}


def _problem(status: int, text: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _schema("Problem", "application/problem+json")}}
    return {"description": text, "content": content, **_headers(OF_PROBLEMS.get(status))}


def _headers(names: Iterable[str] | None) -> dict[str, Any]:
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names}} if names else {}


def _header(name: str, text: str) -> dict[str, Any]:
    kind = "integer" if name == "Retry-After" else "string"
    return {"description": text, "required": name not in SOMETIMES, "schema": {"type": kind}}
