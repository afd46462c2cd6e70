"""Message types (mappings/types/*.yaml): a name, a JSON Schema 2020-12, and what of the body identifies the case.

::

    type: pagopa.ricevuta
    title: The node delivered a receipt
    case: {iuv: body.iuv}          # business keys of the case, as expressions
    key: body.ricevuta             # idempotency key, if the sender gives none
    senders: [pagopa]              # who may send it: portal, sysadmin, an adapter, bus; anybody when not said
    codes: {procedimento: procedimenti-edilizi}       # fields that must be a key of a table
    forms: {dati: 'lookup("servizi", body.servizio, "modulo")'}       # fields that must be of another type, told by an expression
    personal: [richiedente, intestatari[].nome]       # fields that not everybody may see (`bus.mapping.protected`)
    sensitive: [certificato.diagnosi]
    reply: {shown: [esito], personal: [richiedente]}  # fields of what its sender is answered; the others take every right
    schema: {type: object, ...}

Schemas stand by themselves: references stay inside (``#/$defs/...``), unknown keywords are refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from typing import Annotated, Any, get_args

import jsonschema_rs
from pydantic import BaseModel, ConfigDict, Field

from bus.config import Role
from bus.errors import ExpressionError
from bus.expression import Environment, Expression, Table, Tables, name_problem
from bus.expression.unions import ALTERNATIVES, choices_of, laid
from bus.jsontext import pointer
from bus.mapping import protected as fields
from bus.mapping.model import NAME
from bus.mapping.protected import Protected
from bus.mapping.schema import compile_schema, without_defaults
from bus.mapping.shapes import CODES, schema_at
from bus.mapping.tables import hint_for
from bus.message import JsonObject, JsonValue, canonical, has_decimals, with_numbers
from bus.source import Pointer, Reporter, nearest, report_empty, suggestion, validated

SENDERS = ("bus", "portal", "sysadmin")
"""Who may send besides adapters: routes, and API keys of these roles."""
_OF_PEOPLE = frozenset({"portal", "sysadmin"})
_SILENT = frozenset(get_args(Role)).difference(SENDERS)
"""Roles of API keys that never send."""
BUILT_IN = frozenset({"body", "message", "case", "now"})
"""Names that every expression sees: the message's body and envelope, the case's keys, the moment (RFC 3339 text)."""
TITLE = "nome"
"""The column of a table that says what people call a code."""


class ReplyFields(BaseModel):
    """Which fields of a reply may be seen by whom; what is not named here takes the right to see everything."""

    model_config = ConfigDict(extra="forbid", strict=True)

    shown: list[str] = Field(default_factory=list, description="Fields that whoever opens the message may see, as paths")
    personal: list[str] = Field(default_factory=list, description="Fields that name or concern a person, as paths")
    sensitive: list[str] = Field(default_factory=list, description="Fields of special kinds, as paths")


class TypeDocument(BaseModel):
    """A message type, as its file says it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: str = Field(pattern=NAME, max_length=120, description="Name of the type, such as edilizia.pratica.presentata")
    title: str = Field(default="", description="One line on what the message says")
    case: dict[str, str] = Field(default_factory=dict, description="Business keys of the case: name to expression")
    senders: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="Who may send it: `portal` or `sysadmin` (roles of API keys), names of adapters, `bus` (routes); empty: anybody",
    )
    key: str | None = Field(default=None, description="Idempotency key of the message: an expression")
    codes: dict[str, str] = Field(default_factory=dict, description="Fields of the body that must be a key of a table: field to table")
    forms: dict[str, str] = Field(
        default_factory=dict, description="Fields of the body with a type of their own: field to the expression that names it"
    )
    personal: list[str] = Field(
        default_factory=list,
        description="Fields that name or concern a person, as paths: `richiedente.codice_fiscale`, `mappali[].intestatario`",
    )
    sensitive: list[str] = Field(
        default_factory=list, description="Fields of special kinds (health, belief, offences: GDPR, art. 9 and 10), as paths"
    )
    reply: ReplyFields = Field(default_factory=ReplyFields, description="Fields of replies to it, and who may see them")
    schema_: dict[str, Any] = Field(alias="schema", description="JSON Schema 2020-12 of the body")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a body: a JSON pointer and a sentence without the value; ``strange``: there is no such field."""

    pointer: str
    sentence: str
    strange: bool = False


@dataclass(frozen=True)
class MessageType:
    """A checked message type."""

    name: str
    title: str
    schema: dict[str, Any]
    case: Mapping[str, Expression] = field(default_factory=dict)
    key: Expression | None = None
    codes: Mapping[str, Table] = field(default_factory=dict)
    forms: Mapping[str, Expression] = field(default_factory=dict)
    senders: tuple[str, ...] = ()
    protected: Protected = field(default_factory=Protected)
    reply: Protected = field(default_factory=Protected)
    _validator: Any = None

    def presentable(self, *, unsaid: bool) -> bool:
        """Whether portals, or people in their place, send such messages; ``unsaid``: what is taken where it does not say who sends them."""
        return unsaid if not self.senders else not _OF_PEOPLE.isdisjoint(self.senders)

    def takes_from(self, origin: str) -> bool:
        """Whether messages of this type are taken from senders of a kind: without ``senders`` from all."""
        return not self.senders or origin in self.senders

    @cached_property
    def shape(self) -> dict[str, Any]:
        """The schema as rules are checked against it: its alternatives laid together, its fields with their codes, without defaults."""
        schema = without_defaults(self.schema)
        fields = schema.get("properties", {})
        coded = {
            name: {**one, CODES: sorted(self.codes[name])} for name, one in fields.items() if self.codes.get(name) and isinstance(one, dict)
        }
        return laid({**schema, "properties": {**fields, **coded}} if coded else schema)

    @cached_property
    def told(self) -> dict[str, Any]:
        """The schema as it is told to whoever sends: a text that must be a code names the codes in use, if a form goes with them, and what
        each is called (the ``title`` of an alternative) where their table says so.
        """
        fields = self.schema.get("properties", {})
        coded = {
            name: {**one, **self._told_codes(name, table, one)}
            for name, one in fields.items()
            if (table := self.codes.get(name)) and isinstance(one, dict) and one.get("type") == "string"
        }
        return {**self.schema, "properties": {**fields, **coded}} if coded else self.schema

    def _told_codes(self, name: str, table: Table, schema: Mapping[str, Any]) -> dict[str, Any]:
        codes = [code for code in sorted(table) if code in schema.get("enum", table) and self._has_form(name, code)]
        called = [{"const": code, "title": title} for code in codes if (title := table[code].get(TITLE))]
        return {"enum": codes, "oneOf": called} if called and len(called) == len(codes) and "oneOf" not in schema else {"enum": codes}

    def _has_form(self, name: str, code: str) -> bool:
        """Whether each required field whose form depends on the field ``name`` alone has a form when that says this code."""
        needed = (one for field, one in self.forms.items() if field in self.schema.get("required", ()) and _fields_read(one) == {name})
        try:
            return all(one({"body": {name: code}}) for one in needed)
        except ExpressionError:
            return True

    def forms_of(self, name: str) -> tuple[str, frozenset[str]] | None:
        """The field whose code tells of which type a field of ``forms`` is, and all that it may be; None where more than it tells."""
        expression = self.forms[name]
        read = {reference.path for reference in expression.reads.references}
        (path,) = read if len(read) == 1 else ((),)
        if len(path) != 2 or path[0] != "body":
            return None
        codes = self.codes.get(path[1]) or self.shape.get("properties", {}).get(path[1], {}).get("enum", ())
        found = set[str]()
        for code in codes:
            with suppress(ExpressionError):  # the door refuses that code
                found.add(str(expression({"body": {path[1]: code}}) or ""))
        return path[1], frozenset(found - {""})

    @cached_property
    def has_decimals(self) -> bool:
        """Whether a number with decimals may be due somewhere in its body."""
        return bool(self.forms) or b'"number"' in canonical(self.schema)

    @property
    def rules(self) -> JsonObject:
        """What decides how a message of this type is taken, as JSON."""
        return {
            "schema": self.schema,
            "case": {name: one.text for name, one in self.case.items()},
            "key": self.key.text if self.key else None,
            "senders": list[JsonValue](sorted(self.senders)),
            "forms": {name: one.text for name, one in self.forms.items()},
            "codes": {name: list[JsonValue](sorted(table)) for name, table in self.codes.items()},
        }

    def validate(self, body: JsonValue) -> list[Fault]:
        """What is wrong with a body; empty when it is of this type. About 3 µs for a good one. Forms: see `validate_whole`.

        Of a body of thousands of values only the first fault is told: a list of wrong items would take seconds, and megabytes.
        """
        if not self._validator.is_valid(body):
            errors = islice(self._validator.iter_errors(body), _MOST) if _is_small(body) else [_first(self._validator, body)]
            return _faults([*errors], body, self.shape)
        if not self.codes or not isinstance(body, dict):
            return []
        return [
            Fault(pointer((name,)), f"the value is not one of the codes in use: {_near(str(body[name]), table)}")
            for name, table in self.codes.items()
            if name in body and str(body[name]) not in table
        ]


def _is_small(body: JsonValue) -> bool:
    """Whether it holds at most `_SMALL` values: its faults are found all at once, or not at all."""
    left, todo = _SMALL, [body]
    while todo and left >= 0:
        one, left = todo.pop(), left - 1
        todo.extend(one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
    return left >= 0


def _first(validator: Any, body: JsonValue) -> Any:
    """The first fault of a body that has some."""
    try:
        validator.validate(body)
    except jsonschema_rs.ValidationError as error:
        return error
    raise AssertionError("a body with faults has a first one")


def _near(code: str, table: Table) -> str:
    """The code of a table that was probably meant, else some of its codes."""
    return suggestion(code, table) or (f"such as {', '.join(sorted(table)[:3])}" if table else "its table has no rows")


def _faults(errors: Sequence[Any], body: JsonValue, shape: dict[str, Any]) -> list[Fault]:
    """What a validator says of a body, in our words; a mandatory field that is misspelt is one fault, not two."""
    errors = [nearer for one in errors for nearer in _of_the_nearest(one, shape)]
    missing = {(*one.instance_path, one.kind.property) for one in errors if one.kind.name == "required"}
    strange = [(tuple(one.instance_path), name) for one in errors if one.kind.name in _STRANGE for name in one.kind.unexpected[:_MOST]]
    meant = {(*place, name): _meant(name, place, body, shape, missing) for place, name in strange}
    missing -= {(*place, meant[*place, name]) for place, name in strange}
    found: list[Fault] = []
    for error in errors:
        place = tuple(error.instance_path)
        if error.kind.name in _STRANGE:
            for name in error.kind.unexpected[:_MOST]:
                near = meant[*place, name]
                sentence = f"there is no field `{name}` here" + (f": did you mean {near}?" if near else "")
                found.append(Fault(pointer((*place, name)), sentence, strange=True))
        elif error.kind.name != "required":
            found.append(Fault(pointer(place), _WORDS.get(error.kind.name, str(error.message))))
        elif (*place, error.kind.property) in missing:
            found.append(Fault(pointer(place), f"the field `{error.kind.property}` is missing"))
    return found


def _of_the_nearest(error: Any, shape: dict[str, Any]) -> Sequence[Any]:
    """What keeps a value that is of no alternative from the one that is surely meant: the only one but null, or the only one that neither
    its kind nor its codes rule out. For all other errors, the error itself.
    """
    sides = getattr(error.kind, "context", ()) if error.kind.name in ("oneOf", "anyOf") else ()
    meant = [side for side in sides if not any(one.kind.name == "type" and one.message.endswith('"null"') for one in side)]
    if len(meant) > 1:
        meant = _not_ruled_out(meant, tuple(error.instance_path), shape)
    return [nearer for one in meant[0] for nearer in _of_the_nearest(one, shape)] if len(meant) == 1 else [error]


def _not_ruled_out(sides: Sequence[Any], own: Pointer, shape: dict[str, Any]) -> list[Any]:
    """The alternatives that the value at a place may be meant for: its kind fits, and no code of it is another alternative's."""
    forms = schema_at(shape, _as_path(own)).get(ALTERNATIVES, ())
    forms = [{**form, "$defs": shape.get("$defs", {})} for form in forms] if len(forms) == len(sides) else []
    codes = [{tuple(one.instance_path) for one in side if one.kind.name in ("const", "enum")} for side in sides]
    others = [any(one.kind.name == "type" and tuple(one.instance_path) == own for one in side) for side in sides]
    for form, wrong in zip(forms, codes, strict=False):  # a code that this alternative has, and takes, is one of its own
        for number, these in enumerate(codes):
            others[number] |= any(choices_of(schema_at(form, _as_path(place[len(own) :]))) for place in these - wrong)
    return [side for side, other in zip(sides, others, strict=True) if not other]


def _as_path(place: Pointer) -> list[str]:
    """The path of a place, for `schema_at`."""
    return ["[]" if isinstance(piece, int) else piece for piece in place]


_WORDS = {
    "oneOf": "the value is not of exactly one of the alternatives", "anyOf": "the value is of none of the alternatives",
    "not": "the value is one that may not be here", "falseSchema": "there may be nothing here",
    "contains": "none of the items is one that must be among them", "uniqueItems": "an item is there twice",
}  # fmt: skip
"""Faults that the library tells in words of JSON Schema."""
_SMALL, _MOST = 5_000, 100
_STRANGE = frozenset({"additionalProperties", "unevaluatedProperties"})


def _meant(
    name: str, place: tuple[str | int, ...], body: JsonValue, shape: dict[str, Any], missing: Collection[tuple[str | int, ...]]
) -> str | None:
    """The field that was probably meant by ``name``, of those that the body lacks at that place: a mandatory one before others."""
    given: Any = body
    for piece in place:
        given = given[piece]
    fields = schema_at(shape, _as_path(place)).get("properties", {})
    free = fields.keys() - given.keys()
    return nearest(name, [one for one in free if (*place, one) in missing]) or nearest(name, free)


def validate_whole(declared: MessageType, body: JsonValue, types: Mapping[str, MessageType]) -> list[Fault]:
    """What is wrong with a body, its forms included; pointers lead from the whole body."""
    faults = declared.validate(body)
    if faults or not declared.forms or not isinstance(body, dict):
        return faults
    return [fault for name, expression in declared.forms.items() if name in body for fault in _form_faults(name, expression, body, types)]


def in_kind(declared: MessageType, body: JsonValue, types: Mapping[str, MessageType]) -> JsonValue:
    """A good body whose numbers are of the kind that its type says: JSON has one kind of them, expressions have two.

    A schema takes 12.0 for an integer and 12 for a number, and expressions reckon with an integer alone or with decimals alone.
    """
    return with_numbers(body, partial(_kind, declared, body, types)) if declared.has_decimals or has_decimals(body) else body


def _kind(declared: MessageType, body: JsonValue, types: Mapping[str, MessageType], path: tuple[str, ...]) -> str:
    """The one JSON type, null apart, of what stands at a path of a good body, by its type or by that of the form that it stands in."""
    if path and path[0] in declared.forms and isinstance(body, dict):
        form = types[str(declared.forms[path[0]]({"body": body}))]
        return _kind(form, body[path[0]], types, path[1:])
    told = schema_at(declared.shape, path).get("type")
    kinds = [kind for kind in (told if isinstance(told, list) else [told]) if kind not in ("null", None)]
    return kinds[0] if len(kinds) == 1 else ""


def _form_faults(name: str, expression: Expression, body: dict[str, Any], types: Mapping[str, MessageType]) -> list[Fault]:
    try:
        form = expression({"body": body})
    except ExpressionError as error:
        return [Fault(_told_by(expression) or pointer((name,)), error.sentence)]
    declared = types.get(form) if isinstance(form, str) else None
    if declared is None:
        return [Fault(_told_by(expression) or pointer((name,)), f"no form for `{name}` goes with this value")]
    return [Fault(pointer((name,)) + fault.pointer, fault.sentence) for fault in validate_whole(declared, body[name], types)]


def _fields_read(expression: Expression) -> set[str]:
    """The fields of the body that an expression reads."""
    return {path[1] for path in (reference.path for reference in expression.reads.references) if path[0] == "body" and len(path) > 1}


def _told_by(expression: Expression) -> str:
    """The pointer of the field of the body that tells the form."""
    paths = (reference.path for reference in expression.reads.references)
    return next((pointer(path[1:]) for path in paths if path[0] == "body" and len(path) > 1), "")


def compile_type(document: Any, report: Reporter, tables: Tables | None = None) -> MessageType | None:
    """Check a type's document and compile it; None when a finding is an error. ``tables`` are those that codes and forms look into."""
    model = validated(document, TypeDocument, report)
    if model is None:
        return None
    tables = Tables() if tables is None else tables
    fields_of = model.schema_.get("properties")
    environment = Environment(BUILT_IN, tables, fields_of if isinstance(fields_of, dict) else ())
    case = {name: _expression(environment, text, ("case", name), report) for name, text in model.case.items()}
    key = _expression(environment, model.key, ("key",), report) if model.key is not None else None
    if model.key is None and "key" in document:
        report_empty(report, ("key",))
    for name in case:
        if problem := name_problem(name):
            report.report(("case", name), "name.reserved", problem, key=True)
    forms = {name: _expression(environment, text, ("forms", name), report) for name, text in model.forms.items()}
    validator = compile_schema(model.schema_, ("schema",), report)
    codes = _codes(model, tables, report, fields_known=validator is not None)
    paths = {"personal": model.personal, "sensitive": model.sensitive}
    protects = validator is not None and fields.check(paths, model.schema_, model.forms, report)
    replies = model.reply.model_dump()
    protects = fields.check_reply(replies, report) and protects
    failed = validator is None or codes is None or not protects or ("key" in document and key is None)
    if failed or None in case.values() or None in forms.values():
        return None
    return MessageType(
        model.type, model.title, model.schema_, {name: one for name, one in case.items() if one}, key, codes or {},
        {name: one for name, one in forms.items() if one}, tuple(model.senders), fields.protected(paths),
        fields.protected(replies), validator,
    )  # fmt: skip


def anything(name: str) -> MessageType:
    """A type that takes anything: in the place of one whose file cannot be read."""
    return MessageType(name, "", {}, _validator=jsonschema_rs.Draft202012Validator({}))


def _codes(model: TypeDocument, tables: Tables, report: Reporter, *, fields_known: bool) -> dict[str, Table] | None:
    """The tables of the codes; None, with findings, when one of them or a field is not there. Of a wrong schema no field is known."""
    good = True
    for part, named in (("codes", model.codes), ("forms", model.forms)):
        for name in named:
            if fields_known and name not in model.schema_.get("properties", {}):
                hint = suggestion(name, model.schema_.get("properties", {}))
                report.report((part, name), "type.unknown-field", f"the schema has no field `{name}`", hint, key=True)
                good = False
    for name, table in model.codes.items():
        if table not in tables:
            report.report(("codes", name), "table.unknown", f"there is no table `{table}`", hint_for(table, tables))
            good = False
    return {name: tables[table] for name, table in model.codes.items()} if good else None


def check_senders(declared: MessageType, systems: Collection[str], report: Reporter) -> None:
    """Warn of a sender that is surely a mistake: a name close to one that sends, a role that never does.

    ``systems`` are the adapters that offer operations; others may have endpoints alone, so that an unknown name is none the worse for it.
    """
    known = {*SENDERS, *systems}
    for number, name in enumerate(declared.senders):
        hint = f"who sends: {', '.join(sorted(SENDERS))}, adapters" if name in _SILENT else suggestion(name, known)
        if name not in known and hint:
            report.report(("senders", number), "type.unknown-sender", f"nobody who sends is called `{name}`", hint, "warning")


def check_forms(declared: MessageType, types: Mapping[str, MessageType], broken: Collection[str], tables: Tables, report: Reporter) -> None:
    """Whether what the forms' expressions can name are types: a text, or any value of a looked-up column."""
    for name, expression in declared.forms.items():
        pointer: Pointer = ("forms", name)
        for lookup in expression.reads.lookups:
            if lookup.table is not None and lookup.table not in tables:
                report.report(pointer, "table.unknown", f"there is no table `{lookup.table}`", hint_for(lookup.table, tables))
        for form in _possible(expression, tables):
            if form not in types and form not in broken:
                report.report(pointer, "type.unknown-form", f"there is no message type `{form}`", suggestion(form, types))


def _possible(expression: Expression, tables: Tables) -> list[str]:
    """The forms that an expression can name, as far as can be told without a body. Services are checked where they are written."""
    if not expression.reads.references and not expression.reads.lookups:
        return [str(expression({}))]
    looked = [(one.table, one.column) for one in expression.reads.lookups if one.table and one.column and one.table != "servizi"]
    cells = (row.get(column) for table, column in looked for row in tables.get(table, {}).values())
    return sorted({str(cell) for cell in cells if cell not in (None, "")})


def _expression(environment: Environment, text: str, pointer: Pointer, report: Reporter) -> Expression | None:
    try:
        return environment.compile(text)
    except ExpressionError as error:
        for one in (error, *error.others):
            report.report(pointer, one.code, one.sentence, one.hint, within=(one.line, one.column))
        return None
