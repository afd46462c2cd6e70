"""Files where a contract has bytes: in a request one of the case's attachments, in an answer one that the bus keeps from now on."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adapters.http.files import SAVED, contents, is_file, kept, names_one
from bus.adapter import Call

Schema = dict[str, Any]


def with_contents(values: Any, schema: Schema, ctx: Call, most: int, code: str) -> Any:
    """A request with the bytes of its files, which are together ``most`` at most; ``schema`` says where files may stand.

    Raises `Refused` with that ``code`` when they are more.
    """
    found: list[Mapping[str, Any]] = []
    _each(values, [schema], found.append)
    if not found:
        return values
    sent = contents(ctx, found, most, code)
    return _each(values, [schema], lambda file: sent[file["sha256"]])


def _each(value: Any, schemas: Sequence[Schema], made: Callable[[Mapping[str, Any]], Any]) -> Any:
    """A value with what is ``made`` of each file in it."""
    forms = [form for schema in schemas for form in schema.get("anyOf", [schema])]
    if isinstance(value, list):
        items = [form["items"] for form in forms if "items" in form]
        return [_each(one, items, made) for one in value]
    if not isinstance(value, Mapping):
        return value
    if any(map(is_file, forms)) and names_one(value):
        return made(value)
    return {
        name: _each(inner, [form["properties"][name] for form in forms if name in form.get("properties", ())], made)
        for name, inner in value.items()
    }


def with_kept(said: Any, names: Sequence[str], name: str, ctx: Call) -> Any:
    """An answer whose bytes at these names, in each item of a list, are kept as a file of that ``name``, and told as such.

    Some contracts call base64 a text. Raises ValueError for a text that is none.
    """
    if isinstance(said, list):
        return [with_kept(one, names, name, ctx) for one in said]
    if names:
        inner = said.get(names[0]) if isinstance(said, Mapping) else None
        return said if inner is None else {**said, names[0]: with_kept(inner, names[1:], name, ctx)}
    if not isinstance(said, str):
        return said
    media = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return dict(kept(ctx, base64.b64decode("".join(said.split()), validate=True), media, name))


def told(schema: Schema, names: Sequence[str]) -> Schema:
    """The schema of an answer whose bytes at these names are told as a file."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [told(one, names) for one in schema["anyOf"]]}
    if schema.get("type") == "array":
        return {**schema, "items": told(schema["items"], names)}
    if not names:
        return SAVED
    if names[0] not in schema.get("properties", {}):
        return schema
    return {**schema, "properties": {**schema["properties"], names[0]: told(schema["properties"][names[0]], names[1:])}}
