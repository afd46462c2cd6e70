"""What rules are checked against, and mappings and types checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from bus.adapter import Operation
from bus.expression import Tables
from bus.expression.typing import Types
from bus.mapping.compile import CompiledMapping, place_of
from bus.mapping.shapes import TOLD_BY
from bus.mapping.template import Used, asked_in
from bus.mapping.types import MessageType, anything
from bus.route.doubts import Doubts
from bus.route.keys import check_key
from bus.route.known import ERROR_SCHEMA, MESSAGE_SCHEMA, MOMENT, SCALARS, Known, Schema, definitions, either
from bus.route.paths import Paths
from bus.route.persons import check_keys
from bus.route.target import Target, answer_of, shape_of
from bus.route.traffic import Traffic
from bus.route.values import Values
from bus.route.ways import Ends
from bus.source import Reporter, nearest, suggestion

NO_CASE = "the keys of the message tell the case: they read its body"


@dataclass(frozen=True)
class World:
    """What routes are checked against. ``broken`` are names of types and mappings whose own files have errors; ``keys`` are all business
    keys that a case can have (None: not known), ``asked`` the paths that routes ask about before they apply a mapping, ``traffic`` the
    messages between routes (None: not known), ``messages`` the types of those for which a mapping is applied,
    ``targets`` what the steps need that apply it ("": anything).
    """

    operations: Mapping[str, Operation]
    types: Mapping[str, MessageType]
    mappings: Mapping[str, CompiledMapping]
    broken: frozenset[str] = frozenset()
    tables: Tables = field(default_factory=Tables)
    keys: frozenset[str] | None = None
    asked: Mapping[str, frozenset[tuple[str, ...]]] = field(default_factory=dict)
    traffic: Traffic | None = None
    messages: Mapping[str, frozenset[str]] = field(default_factory=dict)
    targets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ends: Ends = field(default_factory=Ends)
    _made: dict[tuple[str, int], Known] = field(default_factory=dict)

    @cached_property
    def systems(self) -> frozenset[str]:
        """The adapters that offer operations, by name."""
        return frozenset(operation.partition(".")[0] for operation in self.operations)

    def no_system(self, operation: str) -> str:
        """A hint where an operation is of a system that is not there, nor written like one: empty where it is another slip."""
        system, dot, _ = operation.partition(".")
        if not dot or not self.systems or system in self.systems or nearest(system, self.systems):
            return ""
        return f"no adapter is called `{system}`: under `adapters` in the settings are {', '.join(sorted(self.systems))}"

    @cached_property
    def typed(self) -> Types:
        """The contracts as types of expressions."""
        types = Types(self.tables)
        asked = (shape for one in self.operations.values() for shape in (shape_of(one.request), answer_of(one.answer)))
        declared = filter(None, map(self.body, self.types.values()))
        rows = map(types.row, self.tables)
        for schema in (*SCALARS.values(), MOMENT, ERROR_SCHEMA, MESSAGE_SCHEMA, self.case_schema, *asked, *declared, *rows):
            types.declare(schema)
        return types

    @cached_property
    def taken(self) -> Mapping[str, MessageType]:
        """The types, and for each that cannot be read one that takes anything."""
        return {**{name: anything(name) for name in self.broken}, **self.types}

    @cached_property
    def case_schema(self) -> Schema:
        """The case as expressions see it."""
        if self.keys is None:
            return {"type": "object"}
        return {"type": "object", "additionalProperties": False, "properties": dict.fromkeys(sorted(self.keys), SCALARS["string"])}

    def body(self, declared: MessageType | None) -> Schema | None:
        """The shape of a message's body, the same object each time: of a field that has a form, what all types say that codes make it."""
        if declared is None or not declared.forms:
            return declared.shape if declared else None
        key = ("body of", id(declared))
        if key not in self._made:
            fields = declared.shape.get("properties", {})
            formed = {name: self._form(declared, name) for name in declared.forms if name in fields}
            there = {name: one for name, one in formed.items() if one}
            self._made[key] = Known(schema={**declared.shape, "properties": {**fields, **there}} if there else declared.shape)
        return self._made[key].schema

    def _form(self, declared: MessageType, name: str) -> Schema:
        """The shape of a field with a form; {} where nobody can say of which types it may be."""
        told = declared.forms_of(name)
        if told is None or not told[1] or not told[1] <= self.types.keys():
            return {}
        found = either([self.types[one].shape for one in sorted(told[1])])
        return {**found, TOLD_BY: [told[0]]} if found else {}

    def known(self, schema: Schema | None) -> Known:
        """A name that surely holds a value of a schema."""
        return Known(schema=schema, typed=self.typed.declare(schema)) if schema else Known()

    def error(self, operation: Operation | None) -> Known:
        """``error`` after a call of an operation; the same each time, so that what was found out of it is remembered."""
        name = operation.name if operation else ""
        key = (name, id(operation))
        if key not in self._made:
            self._made[key] = Known(schema=error_schema(operation), typed=self.typed.declare(ERROR_SCHEMA))
        return self._made[key]

    def several(self, gathered: MessageType | None) -> Known:
        """A list of messages of a type; the same each time."""
        if gathered is None:
            return Known(schema={"type": "array"})
        key = ("items of", id(gathered))
        if key not in self._made:
            shape = self.body(gathered) or {}
            items = {"type": "array", "items": shape, **definitions(shape)}
            self._made[key] = Known(schema=items, typed=f"[{self.known(shape).typed}]")
        return self._made[key]

    def built_in(self, body: Schema | None) -> dict[str, Known]:
        """The names that are always there."""
        shapes = {"body": body, "message": MESSAGE_SCHEMA, "case": self.case_schema, "now": MOMENT}
        return {name: self.known(schema) for name, schema in shapes.items()}


def check_mapping(mapping: CompiledMapping, world: World, report: Reporter) -> None:
    """A mapping against the types it goes from and to."""
    document = mapping.document
    if document.from_ not in world.types and document.from_ not in world.broken:
        hint = suggestion(document.from_, world.types)
        report.report(("from",), "type.unknown", f"there is no message type `{document.from_}`", hint)
    if target_schema(document.to, world) is None and document.to not in world.broken:
        near = nearest(document.to, [*world.operations, *world.types])
        hint = (near in world.operations and world.no_system(document.to)) or (f"did you mean {near}?" if near else "")
        report.report(("to",), "mapping.unknown-target", f"there is no operation or message type `{document.to}`", hint)
    doubts_in(mapping, {}, world.asked.get(mapping.name, frozenset()), world, report).tell()


def doubts_in(
    mapping: CompiledMapping, given: Mapping[str, Known], asked: frozenset[tuple[str, ...]], world: World, report: Reporter
) -> Doubts:
    """Report what is wrong in a mapping that is ``given`` these names beside the message, and return what may be missing; ``asked`` are the
    paths that the route asks about.
    """
    document = mapping.document
    other = mapping.name in world.messages and document.from_ not in world.messages[mapping.name]  # told where it is applied
    source = None if other else world.types.get(document.from_)
    schema = None if _made_for_another(mapping, world) else target_schema(document.to, world)
    names = {**world.built_in(world.body(source)), **given}
    values, doubts = Values(names, world.typed, mapping.by_pointer), Doubts(wrong=mapping.spoilt)
    paths = Paths(values, report, asked_in(mapping.used) | asked, doubts, elsewhere=asked)
    for used in mapping.used:
        paths.check(used)
    if schema is not None:
        Target(document.to, schema, paths).check(document.fields, ("fields",))
    return doubts


def _made_for_another(mapping: CompiledMapping, world: World) -> bool:
    """Whether all steps that apply it need something else than it makes: told there, and its fields tell nothing."""
    needed = world.targets.get(mapping.name, frozenset())
    return bool(needed) and all(name != mapping.document.to and target_schema(name, world) is not None for name in needed)


def check_type(declared: MessageType, world: World, report: Reporter) -> None:
    """What a type's own expressions read of its body."""
    paths = Paths(Values(world.built_in(declared.shape), world.typed), report)
    told = {("case", name): one for name, one in declared.case.items()} | {("forms", name): one for name, one in declared.forms.items()}
    for pointer, expression in (told | {("key",): declared.key}).items():
        if expression is not None:
            good = paths.check(Used(pointer, expression))
            if good and pointer[0] != "forms":
                check_key(Used(pointer, expression), paths.values, report, gathers=True)
            if "case" in expression.names:
                report.report(
                    pointer, "name.undefined", "there is no `case` here", NO_CASE, within=place_of(Used(pointer, expression), ("case",))
                )
    paths.doubts.tell()
    check_keys((Used(("case", name), one) for name, one in declared.case.items()), report)


def target_schema(name: str, world: World) -> Schema | None:
    """The schema of an operation's request or a message's body; None where there is no such name."""
    if name in world.operations:
        return shape_of(world.operations[name].request)
    return world.body(world.types.get(name))


def error_schema(operation: Operation | None) -> Schema:
    """What ``error`` holds after a call of an operation: its code is one that the operation declares."""
    if operation is None or not operation.refusals:
        return ERROR_SCHEMA
    code = {"type": "string", "enum": list(operation.refusals)}
    return {**ERROR_SCHEMA, "properties": {**ERROR_SCHEMA["properties"], "code": code, "outside_code": code}}
