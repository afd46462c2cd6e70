"""What adapters share of their settings: addresses and headers; and, where ``config.yaml`` describes a whole system, operations and shapes.

Shapes are a small part of JSON Schema, made into pydantic models. Known keywords: ``type`` (one, or one and ``null``), ``properties``,
``required``, ``items``, ``enum``, ``pattern``, ``minLength``, ``maxLength``, ``minimum``, ``maximum``, ``minItems``, ``maxItems``,
``description``. Any other keyword is refused rather than ignored.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError, create_model, model_validator

from bus.adapter import Adapter, Call, Contract, Operation, Refused, Settings
from bus.faults import placed


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or " " in text or not text.isprintable():
            raise ValueError("another form")
    except ValueError:
        raise ValueError("is no address: it begins with http:// or https:// and a host, a port is a number up to 65535") from None
    if "@" in parts.netloc:
        raise ValueError("must hold no user and no password: an address is shown, and kept")
    return text


WebAddress = Annotated[str, AfterValidator(_web_address)]
"""Where a system is called over HTTP."""
WebAddressOrNone = Annotated[str, AfterValidator(lambda text: text and _web_address(text))]
"""The same; empty where there is none."""
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OF_THE_CONNECTION = frozenset({"host", "content-length", "transfer-encoding", "connection"})


def _web_headers(given: dict[str, str]) -> dict[str, str]:
    for name, value in given.items():
        if not _HEADER.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header")
        if name.lower() in _OF_THE_CONNECTION:
            raise ValueError(f"{name} is said by the bus itself, of each request")
        if any(ord(sign) > 255 or (ord(sign) < 32 and sign != "\t") for sign in value):
            raise ValueError(f"the value of {name} holds a line end, or a sign that no header carries")
    if len({name.lower() for name in given}) < len(given):
        raise ValueError("two headers have one name: capitals make no other")
    return given


FORM = "application/x-www-form-urlencoded"
WebHeaders = Annotated[dict[str, str], AfterValidator(_web_headers)]
"""Headers that go with every request."""
_CONSTRAINTS = {
    "pattern": "pattern", "minLength": "min_length", "maxLength": "max_length", "minItems": "min_length", "maxItems": "max_length",
    "minimum": "ge", "maximum": "le", "description": "description",
}  # fmt: skip
_KNOWN = {"type", "properties", "required", "items", "enum", *_CONSTRAINTS}
_SCALARS: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool}
_IN_JSON: dict[str, Any] = {name: Annotated[_SCALARS[name], Strict()] for name in ("integer", "number", "boolean")}
"""What only they are in JSON: ``true`` and ``"1"`` are no number."""


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 12.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _checked(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type") != "object":
        raise ValueError("a request or an answer is an object: type: object")
    shape_of("schema", schema, closed=True)
    return schema


class _Open(BaseModel):
    """An answer may hold more than we asked for; what is not declared is dropped, so rules that read it are wrong."""

    model_config = ConfigDict(extra="ignore", frozen=True, json_schema_extra={"additionalProperties": False})


def shape_of(name: str, schema: dict[str, Any], *, closed: bool, json: bool = False) -> type[BaseModel]:
    """The model of an object schema; ``closed`` refuses undeclared fields. Raises ValueError, with the place, on an unknown schema.

    ``json``: numbers and truth values come as such. Else texts that say one are taken too (databases and XML have kinds of their own).
    """
    _refuse_unknown(name, schema)
    required = set(schema.get("required", ()))
    properties = schema.get("properties", {})
    if missing := required - set(properties):
        raise ValueError(f"{name}: required but not declared: {', '.join(sorted(missing))}")
    fields: dict[str, Any] = {}
    for field_name, inner in properties.items():
        kind = _kind(f"{name}.{field_name}", inner, closed=closed, json=json)
        fields[field_name] = (kind, ...) if field_name in required else (kind | None, None)
    return create_model(name, __base__=Contract if closed else _Open, **fields)


def _kind(place: str, schema: dict[str, Any], *, closed: bool, json: bool) -> Any:
    _refuse_unknown(place, schema)
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    said = schema.get("type")
    names = [said] if isinstance(said, str) else list(said or ())
    kinds = [_plain(place, name, schema, closed=closed, json=json) for name in names if name != "null"]
    if len(kinds) != 1:
        raise ValueError(f"{place}: one type is needed, {said!r} was given")
    limits = {_CONSTRAINTS[word]: value for word, value in schema.items() if word in _CONSTRAINTS}
    kind: Any = Annotated[kinds[0], Field(**limits)]
    if json and "integer" in names:
        kind = Annotated[kind, BeforeValidator(_whole)]
    return kind | None if "null" in names else kind


def _plain(place: str, name: str, schema: dict[str, Any], *, closed: bool, json: bool) -> Any:
    if name == "array":
        if "items" not in schema:
            return list[Any]
        items = _kind(f"{place}[]", schema["items"], closed=closed, json=json)
        return Annotated[list[items], Field(fail_fast=True)]  # type: ignore[valid-type]  # a million wrong ones would be a gigabyte of faults
    if name == "object":
        return shape_of(place, schema, closed=closed, json=json) if "properties" in schema else dict[str, Any]
    if name not in _SCALARS:
        raise ValueError(f"{place}: no type named {name!r}")
    return (_IN_JSON if json else _SCALARS).get(name, _SCALARS[name])


def _refuse_unknown(place: str, schema: dict[str, Any]) -> None:
    if unknown := sorted(set(schema) - _KNOWN):
        raise ValueError(f"{place}: keyword not known here: {', '.join(unknown)}; known: {', '.join(sorted(_KNOWN))}")


Shape = Annotated[dict[str, Any], AfterValidator(_checked)]
"""A JSON Schema of an object, within the part that this module knows."""


class Unfit(ValueError):
    """What does not fit a contract; its text names the place, and no value."""


def faults_of(error: ValidationError) -> str:
    """Where what another system gave is not of its shape, and how: the first five faults, without a value of it."""
    return "; ".join(_fault(fault) for fault in error.errors(include_url=False)[:5])


def _fault(fault: Mapping[str, Any]) -> str:
    said = fault.get("ctx", {}).get("error")
    if isinstance(said, Unfit):
        return str(said)
    return placed({**fault, "type": "unfit"} if said else fault)  # a check of an adapter's own may quote the value


EFFECT = "read: changes nothing; keyed: one effect for one key; once: another one each time"


class ConfiguredOperation(Settings):
    """What ``config.yaml`` says of one operation, of whatever kind its system is."""

    effect: Literal["read", "keyed", "once"] = Field(description=EFFECT)
    timeout: float = Field(10.0, gt=0, description="seconds for one call")
    undo: str | None = Field(None, description="the operation that takes it back, which is asked with what it takes of its answer")
    concurrency: int | None = Field(None, ge=1, description="its calls at once, at most, in one process")
    purpose: str = Field("", description="what it is for, in one sentence")

    def declared(self, name: str, request: type[BaseModel], answer: type[BaseModel], refusals: Mapping[str, str], **more: Any) -> Operation:
        """The operation; whether its system knows its own doing again nobody has said, so that every refusal may be an echo."""
        said = {
            "effect": self.effect,
            "timeout": self.timeout,
            "undo": self.undo,
            "concurrency": self.concurrency,
            "doc": self.purpose,
            **more,
        }
        method = "ask_" + name.replace("-", "_")
        return Operation(name, request=request, answer=answer, method=method, refusals=refusals, echoes=frozenset(refusals), **said)


IN_BAND = "IN_BAND"
"""Refused inside a success with a code that nobody declared; which one stands in the evidence."""


def refused_in_band(declared: Operation, said: str) -> Refused:
    """That a reply which is a success says no with a code."""
    code = said if said in declared.refusals else IN_BAND
    return Refused(f"{declared.name}: refused in the reply with {code}", outside_code=code, evidence={"code": said})


def taking_back(request: type[BaseModel], answers: Sequence[type[BaseModel]]) -> type[BaseModel]:
    """The request of an undo. It is asked with the whole answer of what it takes back: what only that has is taken and not sent."""

    @cache
    def unread() -> frozenset[str]:
        known = [frozenset(form.get("properties", {})) for form in _closed(request.model_json_schema())]
        told = frozenset(name for one in answers for form in _forms(one.model_json_schema()) for name in form.get("properties", {}))
        return told - frozenset.union(*known) if known else frozenset()

    class TakingBack(request):  # type: ignore[misc, valid-type]  # made at run time
        @model_validator(mode="before")
        @classmethod
        def _its_own(cls, value: Any) -> Any:
            return {name: inner for name, inner in value.items() if name not in unread()} if isinstance(value, Mapping) else value

        @classmethod
        def model_json_schema(cls, *said: Any, **more: Any) -> dict[str, Any]:
            schema = copy.deepcopy(request.model_json_schema(*said, **more))
            for form in _closed(schema):
                form.setdefault("properties", {}).update({name: {"description": "not sent"} for name in sorted(unread())})
            return schema

    TakingBack.__name__ = TakingBack.__qualname__ = request.__name__
    return TakingBack


def _forms(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return list(schema.get("anyOf", [schema]))


def _closed(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The forms of a request, if none of them takes fields of any name."""
    forms = _forms(schema)
    return forms if all(form.get("additionalProperties") is False for form in forms) else []


class Configured(Adapter):
    """An adapter whose operations exist per instance; each is asked through `_ask`, by its name."""

    def _offer(self, operations: Mapping[str, Operation]) -> None:
        """These are its operations from now on, by name."""
        offered = {name: self._taking_back(name, one, operations) for name, one in operations.items()}
        vars(self)["operations"] = offered  # those of an instance stand before those of its class
        for name, one in offered.items():
            setattr(self, one.method, partial(self._ask, name))

    def _taking_back(self, name: str, operation: Operation, operations: Mapping[str, Operation]) -> Operation:
        """The operation, whose request takes the answers of those that it takes back."""
        answers = [one.answer for one in operations.values() if one.undo in (name, f"{self.name}.{name}")]
        return replace(operation, request=taking_back(operation.request, answers)) if answers else operation

    def _ask(self, name: str, request: BaseModel, ctx: Call) -> BaseModel:
        raise NotImplementedError
