"""Models of what an OpenAPI document says: they judge what crosses by its schema, and tell the schema to the rules."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
from pydantic import BaseModel, ConfigDict, model_validator

from adapters.openapi.schema import BODY, NULL, Schema, alternatives, each_of
from adapters.shapes import Unfit
from bus.message import EXACT


def model_of(name: str, schema: Schema, *, closed: bool, judged: bool = True) -> type[BaseModel]:
    """A model that takes what a schema takes, and tells it to the rules.

    Not ``closed``: also fields that the contract does not know; not ``judged``: anything.
    """
    validator = jsonschema_rs.validator_for(schema if closed else opened(schema))

    class Told(BaseModel):
        model_config = ConfigDict(extra="allow", frozen=True)

        @model_validator(mode="before")
        @classmethod
        def _fits(cls, value: Any) -> Any:
            kept = without_nulls(value, schema)
            try:
                if judged:
                    validator.validate(kept)  # ends at the first fault: a list of wrong items has as many
            except jsonschema_rs.ValidationError as fault:
                place = ".".join(str(piece) for piece in fault.instance_path)
                raise Unfit(f"{place or 'the whole'} does not fit the contract: {fault.kind.name}") from None
            return in_kind(kept, schema, told=not closed)

        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return schema

    Told.__name__ = Told.__qualname__ = name
    return Told


def without_nulls(value: Any, *schemas: Any) -> Any:
    """A value without the nulls that none of its schemas takes: an optional field that is null is one that is left out."""
    forms = [form for schema in schemas for form in alternatives(schema)]
    if isinstance(value, list):
        return [without_nulls(inner, *(form.get("items", {}) for form in forms)) for inner in value]
    if not isinstance(value, dict):
        return value
    fields = {name: [one for form in forms if isinstance(one := _field(form, name), dict)] for name in value}
    kept = {name: inner for name, inner in value.items() if inner is not None or any(NULL in one.get("anyOf", ()) for one in fields[name])}
    return {name: without_nulls(inner, *fields[name]) for name, inner in kept.items()}


def in_kind(value: Any, *schemas: Any, told: bool) -> Any:
    """A value whose numbers are of the kind that its schemas say, as rules are checked by it: JSON has one kind, expressions have two.

    12.0 is a whole number where one is due; of what a system ``told``, 12 is one with decimals.
    """
    forms = [form for schema in schemas for form in alternatives(schema)]
    if isinstance(value, list):
        return [in_kind(inner, *(form.get("items", {}) for form in forms), told=told) for inner in value]
    if isinstance(value, dict):
        known = {name: [form["properties"][name] for form in forms if name in form.get("properties", {})] for name in value}
        return {name: in_kind(inner, *known[name], told=told) for name, inner in value.items()}
    kinds = [form.get("type") for form in forms if form != NULL]
    if isinstance(value, float) and value.is_integer() and set(kinds) == {"integer"}:
        return int(value)
    return float(value) if told and type(value) is int and set(kinds) == {"number"} and abs(value) <= EXACT else value


def _field(form: Schema, name: str) -> Any:
    return form.get("properties", {}).get(name, form.get("additionalProperties"))


def opened(schema: Any) -> Any:
    """A schema whose objects take other fields too."""
    if isinstance(schema, list):
        return [opened(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {word: {name: opened(one) for name, one in inner.items()} if word == "properties" else opened(inner)
            for word, inner in schema.items() if not (word == "additionalProperties" and inner is False)}  # fmt: skip


def never_said(answer: Schema, path: str, value: Any) -> str:
    """Why a contract's answer surely never has this value at names joined with dots; empty where it may."""
    leaves = [form["properties"][BODY] if form.get("properties", {}).keys() == {BODY} else form for form in alternatives(answer)]
    for name in path.split("."):
        forms = [form for leaf in leaves for form in each_of(leaf)]
        if any("properties" not in form or form.get("additionalProperties") is not False for form in forms):
            return ""
        leaves = [form["properties"][name] for form in forms if name in form["properties"]]
    if not leaves:
        return f"the contract's answer has no {path}"
    if any(jsonschema_rs.is_valid(form, value) for leaf in leaves for form in each_of(leaf)):
        return ""
    return f"{path} of the contract's answer is never {json.dumps(value, ensure_ascii=False)}"
