"""Message types (mappings/types/*.yaml): a name, a JSON Schema 2020-12, and what of the body identifies the case.

::

    type: pagopa.ricevuta
    title: The node delivered a receipt
    case: {iuv: body.iuv}          # business keys of the case, as expressions
    key: body.ricevuta             # idempotency key, if the sender gives none
    schema: {type: object, ...}

Schemas stand by themselves: references stay inside (``#/$defs/...``), unknown keywords are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
from pydantic import BaseModel, ConfigDict, Field

from bus.errors import ExpressionError
from bus.expression import Environment, Expression, name_problem
from bus.message import JsonValue
from bus.source import Pointer, Reporter, suggestion, validated

BUILT_IN = frozenset({"body", "message", "case", "now"})
"""Names that every expression sees: the message's body and envelope, the case's keys, the moment (RFC 3339 text)."""

TYPE_NAME = r"^[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$"


class TypeDocument(BaseModel):
    """A message type, as its file says it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: str = Field(pattern=TYPE_NAME, max_length=120, description="Name of the type, such as edilizia.pratica.presentata")
    title: str = Field(default="", description="One line on what the message says")
    case: dict[str, str] = Field(default_factory=dict, description="Business keys of the case: name to expression")
    key: str | None = Field(default=None, description="Idempotency key of the message: an expression")
    schema_: dict[str, Any] = Field(alias="schema", description="JSON Schema 2020-12 of the body")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a body: a JSON pointer and a sentence without the value."""

    pointer: str
    sentence: str


@dataclass(frozen=True)
class MessageType:
    """A checked message type."""

    name: str
    title: str
    schema: dict[str, Any]
    case: Mapping[str, Expression] = field(default_factory=dict)
    key: Expression | None = None
    _validator: Any = None

    def validate(self, body: JsonValue) -> list[Fault]:
        """What is wrong with a body; empty when it is of this type. About 3 µs for a good one."""
        if self._validator.is_valid(body):
            return []
        return [_fault(error) for error in self._validator.iter_errors(body)]


def _fault(error: Any) -> Fault:
    pointer = "".join(f"/{str(piece).replace('~', '~0').replace('/', '~1')}" for piece in error.instance_path)
    return Fault(pointer, str(error.message))


def compile_type(document: Any, report: Reporter) -> MessageType | None:
    """Check a type's document and compile it; None when a finding is an error."""
    model = validated(document, TypeDocument, report)
    if model is None:
        return None
    environment = Environment(BUILT_IN)
    case = {name: _expression(environment, text, ("case", name), report) for name, text in model.case.items()}
    key = _expression(environment, model.key, ("key",), report) if model.key is not None else None
    for name in case:
        if problem := name_problem(name):
            report.report(("case", name), "name.reserved", problem, key=True)
    validator = compile_schema(model.schema_, ("schema",), report)
    if validator is None or any(one is None for one in case.values()) or (model.key is not None and key is None):
        return None
    return MessageType(model.type, model.title, model.schema_, {name: one for name, one in case.items() if one}, key, validator)


def _expression(environment: Environment, text: str, pointer: Pointer, report: Reporter) -> Expression | None:
    try:
        return environment.compile(text)
    except ExpressionError as error:
        report.report(pointer, error.code, error.sentence, error.hint, within=(error.line, error.column))
        return None


# --- schemas ---------------------------------------------------------------------------------------------------------

_ANY = frozenset({
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "const", "enum", "type", "format",
    "$comment", "contentEncoding", "contentMediaType", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
    "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains", "maxProperties",
    "minProperties", "required", "dependentRequired", "$ref", "$schema", "$id", "$anchor",
})  # fmt: skip
_ONE = frozenset({
    "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedProperties",
    "unevaluatedItems",
})  # fmt: skip
_MANY = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
_LIST = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_KEYWORDS = _ANY | _ONE | _MANY | _LIST


def compile_schema(schema: Any, pointer: Pointer, report: Reporter) -> Any:
    """A validator for a JSON Schema 2020-12; None, with findings, when it is not one."""
    faults = list(_schema_faults(schema, pointer))
    for place, code, sentence, hint in faults:
        report.report(place, code, sentence, hint, key=code == "schema.unknown-keyword")
    if faults:
        return None
    try:
        return jsonschema_rs.Draft202012Validator(schema, mask="the value", validate_formats=True)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        place = (*pointer, *getattr(error, "instance_path", ()))
        report.report(place, "schema.invalid", f"this is no JSON Schema: {str(error).splitlines()[0]}")
        return None


def _schema_faults(schema: Any, pointer: Pointer) -> Iterator[tuple[Pointer, str, str, str]]:
    if not isinstance(schema, dict):
        return
    for word, inner in schema.items():
        here = (*pointer, word)
        if word not in _KEYWORDS:
            yield here, "schema.unknown-keyword", f"`{word}` is no keyword of JSON Schema", suggestion(word, _KEYWORDS)
        elif word == "$ref" and not str(inner).startswith("#"):
            hint = "put the schema under $defs and refer to #/$defs/..."
            yield here, "schema.outside-reference", "a reference may not leave the file", hint
        elif word in _ONE:
            yield from _schema_faults(inner, here)
        elif word in _MANY and isinstance(inner, dict):
            for name, one in inner.items():
                yield from _schema_faults(one, (*here, name))
        elif word in _LIST and isinstance(inner, list):
            for position, one in enumerate(inner):
                yield from _schema_faults(one, (*here, position))


def resolve(schema: Any, root: Any) -> Any:
    """A schema with its ``$ref`` followed (inside the same document) and a lone non-null choice taken."""
    for _ in range(20):
        if not isinstance(schema, dict):
            return schema
        if isinstance(schema.get("$ref"), str):
            schema = _referred(schema["$ref"], root)
        elif len(chosen := [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]) == 1:
            schema = chosen[0]
        else:
            return schema
    return {}


def _referred(reference: str, root: Any) -> Any:
    found = root
    for piece in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(piece.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) and piece else found
    return found


def unknown_field(schema: Any, path: Sequence[str]) -> tuple[int, list[str]] | None:
    """Where a path leaves a schema that allows no other fields: (position in the path, fields known there); None when it does not."""
    here = schema
    for position, piece in enumerate(path):
        here = resolve(here, schema)
        if not isinstance(here, dict):
            return None
        if piece == "[]":
            here = here.get("items", {})
            continue
        fields = here.get("properties", {})
        if piece in fields:
            here = fields[piece]
        elif here.get("additionalProperties") is False and not here.get("patternProperties"):
            return position, sorted(fields)
        else:
            return None
    return None


def schema_at(schema: Any, path: Sequence[str]) -> dict[str, Any]:
    """The schema of what a path leads to; {} where nothing is said of it. ``$defs`` of the root are kept."""
    here = resolve(schema, schema)
    for piece in path:
        inner = here.get("items", {}) if piece == "[]" else here.get("properties", {}).get(piece, {})
        here = resolve(inner, schema)
        if not isinstance(here, dict):
            return {}
    return {**here, **({"$defs": schema["$defs"]} if "$defs" in schema else {})}
