"""The reference page of the HTTP API, from what serves it and from the shapes of its JSON (see `tools.reference`)."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from bus.web.api import SERVED
from bus.web.schemas import SCHEMAS
from bus.web.served import ALWAYS, HEADERS, OF_PROBLEMS, PROBLEMS, Field, Served
from tools.text import limits_of, link_to, row

PLAIN: Mapping[str, str] = {"integer": "whole number", "number": "number", "boolean": "true or false", "object": "map", "string": "text"}
FORMATS: Mapping[str, str] = {"uuid": "text (UUID)", "date-time": "moment", "uri": "text (URI)"}


def api() -> Iterator[str]:
    yield "# The HTTP API\n"
    yield "The same as OpenAPI: `GET /openapi.json` of a running bus. Bodies and answers are JSON where nothing else is said; their fields"
    yield "are under [shapes](#shapes). Moments are written `2026-12-01T09:00:00Z`, in UTC.\n"
    yield "## Problems\n"
    yield "Every error is a [problem](#problem) with a code: [errors](errors.md). Any address may answer with those that are marked.\n"
    yield from _table(
        ("status", "meaning", "any address"), ((str(s), PROBLEMS[s] + _named(OF_PROBLEMS.get(s, ())), _yes(s in ALWAYS)) for s in PROBLEMS)
    )
    for served in SERVED:
        yield from ("", f"## {served.method} {served.path}\n", inspect.getdoc(served.handler) or served.summary, "", *_served(served))
    yield from ("", "## Headers of answers\n", *_table(("header", "meaning"), ((f"`{name}`", text) for name, text in HEADERS.items())))
    yield from ("", "## Shapes\n", "What is not `required` may be missing. Nothing else may be in a body.")
    for name in _used(SERVED):
        yield from ("", f"### {name}\n", *_fields(SCHEMAS[name]))


def _served(served: Served) -> Iterator[str]:
    """Who may ask, what is taken, what is answered."""
    yield f"Roles: {', '.join(sorted(served.roles))}." if served.roles else "No key needed."
    if served.body:
        taken = [f"`{media}`" + (f": {link_to(name)}" if name else "") for media, name in served.body.items()]
        yield f"\nBody, as {'; or as '.join(taken)}."
    yield ""
    if served.fields:
        yield from (*_table(("parameter", "in", "meaning"), ((f"`{one.name}`", one.place, _taken(one)) for one in served.fields)), "")
    answers = (
        (str(status), text + _named(served.headers.get(status, ())), link_to(shape) if shape else f"`{media}`" if media else "")
        for status, (text, shape, media) in served.answers.items()
    )
    yield from _table(("status", "meaning", "holds"), answers)
    if others := [str(status) for status in served.all_problems() if status not in ALWAYS]:
        yield from ("", f"Problems, besides those of any address: {', '.join(others)}.")


def _taken(field: Field) -> str:
    """What a parameter means and, where not any text is taken, what it may be."""
    told = [", ".join(f"`{one}`" for one in field.schema["enum"])] if "enum" in field.schema else []
    if "maximum" in field.schema:
        told.append(f"{field.schema['minimum']} to {field.schema['maximum']}")
    if "default" in field.schema:
        told.append(f"{field.schema['default']} where it is left out")
    if field.required:
        told.append("must be there")
    return field.description + (f" Taken: {'; '.join(told)}." if told else "")


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    """The fields of an object, if it says them."""
    named, required = schema.get("properties", {}), schema.get("required", ())
    if not named:
        yield "Any fields." if schema.get("additionalProperties") else "No fields."
        return
    rows = ((f"`{name}`", _holds(one), _yes(name in required), _meaning(one)) for name, one in named.items())
    yield from _table(("name", "holds", "required", "meaning"), rows)
    if schema.get("additionalProperties"):
        yield from ("", "Other fields may be there besides.")


def _meaning(shape: Mapping[str, Any]) -> str:
    told = [*limits_of(shape, patterns=True), *([f"{shape['default']} where it is left out"] if "default" in shape else [])]
    return " ".join(filter(None, (shape.get("description", ""), _sentence(told))))


def _sentence(limits: Collection[str]) -> str:
    said = "; ".join(limits)
    return f"{said[0].upper()}{said[1:]}." if said else ""


def _holds(shape: Mapping[str, Any]) -> str:
    """What stands there, in words."""
    null = " or null" if shape.get("nullable") else ""
    if "$ref" in shape:
        return link_to(shape["$ref"].rpartition("/")[2])
    if "enum" in shape:
        return " or ".join(f"`{one}`" for one in shape["enum"]) + null
    if "anyOf" in shape:
        return " or ".join(map(_holds, shape["anyOf"]))
    if shape.get("type") == "array":
        return f"list of {_holds(shape['items'])}{null}"
    if "properties" in shape:
        return f"{{{', '.join(f'`{name}`' for name in shape['properties'])}}}{null}"
    if isinstance(values := shape.get("additionalProperties"), Mapping):
        return f"map from name to {_holds(values)}{null}"
    return (FORMATS.get(shape.get("format", "")) or PLAIN.get(shape.get("type", ""), "anything")) + null


def _used(served: Iterable[Served]) -> list[str]:
    """The shapes that bodies and answers name, and those within these, each once."""
    found = [
        "Problem",
        *(name for one in served for name in (*one.body.values(), *(shape for _, shape, _ in one.answers.values())) if name),
    ]
    for name in found:
        found += [inner for inner in _within(SCHEMAS[name]) if inner not in found]  # grows while it is walked
    return list(dict.fromkeys(found))


def _within(shape: Any) -> Iterator[str]:
    if isinstance(shape, Mapping):
        if "$ref" in shape:
            yield str(shape["$ref"]).rpartition("/")[2]
        for one in shape.values():
            yield from _within(one)
    elif isinstance(shape, list):
        for one in shape:
            yield from _within(one)


def _named(headers: Iterable[str]) -> str:
    told = ", ".join(f"`{name}`" for name in headers)
    return f" Headers: {told}." if told else ""


def _yes(said: bool) -> str:
    return "yes" if said else ""


def _table(titles: Collection[str], rows: Iterable[Collection[str]]) -> Iterator[str]:
    yield from (row(*titles), row(*("---" for _ in titles)))
    yield from (row(*cells) for cells in rows)
