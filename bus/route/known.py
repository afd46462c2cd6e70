"""What is known, at one point of a route, of the names an expression may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias

from bus.expression.made import NO_ITEMS
from bus.expression.typing import ANYTHING
from bus.expression.unions import kinds_of, laid
from bus.mapping.types import BUILT_IN
from bus.source import Pointer

Schema: TypeAlias = dict[str, Any]

SCALARS: Mapping[str, Schema] = {kind: {"type": kind} for kind in ("integer", "number", "string", "boolean")}
_TEXT = SCALARS["string"]
MOMENT: Schema = {"type": "string", "format": "date-time"}
ON_SOME_WAYS = "on some ways to this step"
"""Said of a name that steps, of their own accord, make null on one way and not on another."""
KINDS = ("refused", "unreachable", "in_doubt", "invalid")

ERROR_SCHEMA: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "kind": {"type": "string", "enum": list(KINDS)}, "code": _TEXT, "outside_code": _TEXT, "sentence": _TEXT, "operation": _TEXT,
        "attempts": {"type": "integer"}, "effect": {"enum": ["read", "keyed", "queryable", "once"]}, "evidence": {},
    },
}  # fmt: skip

_OF_A_FILE = {"sha256": _TEXT, "size": SCALARS["integer"], "media_type": _TEXT, "name": _TEXT}
_ATTACHMENT = {"type": "object", "additionalProperties": False, "required": list(_OF_A_FILE), "properties": _OF_A_FILE}
MESSAGE_SCHEMA: Schema = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "source", "type", "datacontenttype", "correlationid", "sender", "specversion", "time"],
    "properties": {
        **dict.fromkeys(
            ("id", "source", "type", "subject", "datacontenttype", "dataschema", "correlationid", "causationid", "key", "traceparent",
             "sender", "specversion"), _TEXT,
        ),
        "time": MOMENT,
        "attachments": {"type": "array", "items": _ATTACHMENT},
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a name: whether it is surely there, its schema ({}: nothing), how CEL comes to a value of its type, why it
    may be null where nobody asks (in words), where an `each` gave it another value, which ended with the item, and of which texts,
    written out in the route, it is one (empty: nobody knows).
    """

    sure: bool = True
    schema: Schema = field(default_factory=dict)
    typed: str = ANYTHING
    null: str = ""
    forgot: Pointer | None = None
    texts: frozenset[str] = frozenset()


@dataclass(slots=True)
class Scope:
    """The names and the business keys of the case at one point of a route."""

    names: dict[str, Known]
    keys: frozenset[str]

    def having(self, names: Mapping[str, Known], keys: Iterable[str] = ()) -> Scope:
        """The scope with more names. What is always there cannot be defined anew: which of the two is meant by it, nobody knows."""
        if not names.keys().isdisjoint(BUILT_IN):
            names = {name: Known() if name in BUILT_IN else known for name, known in names.items()}
        return Scope({**self.names, **names}, self.keys | set(keys))


def merged(scopes: list[Scope | None]) -> Scope | None:
    """What is known where several ways meet; ways that ended do not count."""
    going = [scope for scope in scopes if scope is not None]
    if len(going) < 2:
        return going[0] if going else None
    first, *rest = (scope.names for scope in going)
    names = dict(first)  # nearly all names are the same on all ways: only the others are looked at
    for other in rest:
        changed = [name for name, known, there in zip(other, other.values(), map(first.get, other), strict=True) if known is not there]
        for name in (*changed, *(first.keys() - other.keys())):
            names[name] = _met([way.get(name) for way in (first, *rest)])
    return Scope(names, frozenset.union(*(scope.keys for scope in going)))


def without(scope: Scope | None, outer: Scope, name: str) -> Scope | None:
    """The scope after steps that saw ``name`` only while they ran."""
    if scope is None:
        return None
    names = {key: known for key, known in scope.names.items() if key != name or key in outer.names}
    return Scope(names, scope.keys)


def _met(ways: list[Known | None]) -> Known:
    """What is known of a name that several ways give; null on one of them, or no items, leaves the shape of the others."""
    there = [one for one in ways if one]
    shapes = [one for one in there if one.schema.get("type") != "null"] or there
    shapes = [one for one in shapes if one.schema != NO_ITEMS] or shapes
    sure = len(there) == len(ways) and all(one.sure for one in there)
    null = next((one.null for one in there if one.null), "")
    forgot = next((one.forgot for one in there if one.forgot), None)
    if not all(one.schema == shapes[0].schema for one in shapes):
        return Known(sure, either([_told(one) for one in there]), null=null, forgot=forgot)
    typed = shapes[0].typed if all(one.typed == shapes[0].typed for one in shapes) else ANYTHING
    texts = frozenset[str]().union(*(one.texts for one in shapes)) if all(one.texts for one in shapes) else frozenset[str]()
    schema = shapes[0].schema
    if any(one.schema.get("type") == "null" for one in there) and schema.get("type") != "null":
        schema, null = _or_null(_This(schema)), null or ON_SOME_WAYS
    return Known(sure, schema, typed, null, forgot, texts)


def _told(known: Known) -> Schema:
    """The schema of a value on one of several ways; of a text that is written out, with that: on another way it may be a code."""
    return {**known.schema, "enum": sorted(known.texts)} if known.texts and known.schema == _TEXT else known.schema


def unsaid(scope: Scope, names: Iterable[str]) -> Scope:
    """The scope of steps that may run again and that set these names: the texts that are known of them now may then be others."""
    return scope.having({name: _unsaid(scope.names[name]) for name in names if name in scope.names})


def _unsaid(known: Known) -> Known:
    return replace(known, texts=frozenset(), schema=_TEXT if known.schema.get("type") == "string" else known.schema)


@dataclass(frozen=True, slots=True, eq=False)
class _This:
    """This very schema, not one that says the same: what was made of it can be found again without reading it."""

    schema: Schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _This) and self.schema is other.schema


def either(schemas: list[Schema]) -> Schema:
    """The shape of a value that has one of these, the same object each time; empty without any, where one is not known, or where
    references could be mistaken.
    """
    return _either(*map(_This, schemas))


@lru_cache(maxsize=1024)
def _either(*these: _This) -> Schema:
    schemas = [one.schema for one in these]
    named = [one["$defs"] for one in schemas if "$defs" in one]
    if not schemas or not all(schemas) or any(one != named[0] for one in named):
        return {}
    least = next(filter(_says_nothing, schemas), None)
    if least is not None and all(one.get("type") == least["type"] for one in schemas):
        return least
    return laid({"anyOf": schemas, **({"$defs": named[0]} if named else {})})


@lru_cache(maxsize=1024)
def _or_null(this: _This) -> Schema:
    """The shape of a value that has this one, or is null."""
    return {"anyOf": [this.schema, {"type": "null"}], **definitions(this.schema)}


def _says_nothing(schema: Schema) -> bool:
    """Whether a schema is that of an object, or of a list of some, of whose fields nobody knows: they may all be there."""
    return schema == {"type": "object"} or (schema.get("type") == "array" and _says_nothing(schema.get("items", {})))


def definitions(schema: Schema) -> Schema:
    """What its references lead to, for a schema made of a part of it."""
    return {"$defs": schema["$defs"]} if "$defs" in schema else {}


def type_of(schema: Schema) -> str:
    """The one JSON type of a value that is not null; ``null`` where it is never another, empty where it may be several."""
    kinds = kinds_of(schema)
    real = kinds if kinds == ["null"] else [one for one in kinds if one != "null"]
    return real[0] if len(real) == 1 else ""
