"""What is known of the values of expressions and templates at one place of a route or mapping: schemas, and how CEL gets their types."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bus.expression import Lookup
from bus.expression.literals import is_bare_date
from bus.expression.made import ASKED, NO_ITEMS, OF_PATH, OF_ROW, list_of
from bus.expression.typing import ANYTHING, Checked, Types, resolved
from bus.expression.unions import kind_of, kinds_of
from bus.mapping.shapes import SIFTED, resolve, schema_at
from bus.mapping.template import Used
from bus.message import JsonValue
from bus.route.known import SCALARS, Known, Schema, definitions, either
from bus.source import Pointer

_A_PATH = r"[A-Za-z_]\w*(?:\.\??\w+)+"
_OR_NONE = re.compile(rf"\s*(?:{_A_PATH}\.orValue\(\[\]\)|default\({_A_PATH}(?:\.orValue\(null\))?, *\[\]\))\s*")
"""A list that may not be there, or be null, or none: ``body.?righe.orValue([])``, ``default(body.righe, [])``."""

_OF_NONE = "where the list has none"
"""Said of the first item of a list that may have none."""
_AS_IT_IS = frozenset({"string", "integer", "boolean"})
"""Kinds whose values are of that kind when it runs, too: a number with decimals may be a whole one."""

NEEDED = {
    "when": "boolean", "match": "boolean", "until": "boolean", "$when": "boolean", "each": "array", "$each": "array", "count": "integer",
    "case": "key", "key": "key", "by": "date", "reason": "sentence",
}  # fmt: skip
"""What the expression of a part must give."""


@dataclass(frozen=True, slots=True)
class Values:
    """See the module. ``by_pointer`` are all expressions, among them the lists that local names are items of; ``ended`` are the places of
    conditions under which the run has ended.
    """

    names: Mapping[str, Known]
    types: Types
    by_pointer: Mapping[Pointer, Used] = field(default_factory=dict)
    ended: Collection[Pointer] = ()

    def value(self, used: Used) -> Known:
        """What is known of the value of an expression."""
        expression = used.expression
        whole, references = expression.reads.whole, expression.reads.references
        if references and (not expression.in_cel or (len(references) == 1 and _OR_NONE.fullmatch(expression.text))):
            whole = references[0].path
        if whole and ((known := self.at(whole, used)).schema or not expression.in_cel):
            return known
        if found := self._looked_up(used) or self._row(used) or self._sifted(used) or self._first(used):
            return found
        checked = self.checked(used)
        if is_bare_date(expression):
            return Known()
        sides = self._chosen(used)
        if schema := SCALARS.get(checked.returns.get("type", "") or _kind_of_all(sides)):
            forms = {side.get("format") for side, _ in sides}
            form = forms.pop() if len(forms) == 1 and schema == SCALARS["string"] else None
            return replace(self._declared(schema), schema={**schema, "format": form}) if form else self._declared(schema)
        if kinds := _scalars_of_all(sides):
            return Known(schema={"type": kinds})
        if item := self._item_of_all(used, sides):
            return Known(schema={"type": "array", "items": item, **definitions(item)})
        if len(sides) > 1 and all(kinds == {"object"} for _, kinds in sides) and (shape := either([one for one, _ in sides])):
            return Known(schema=shape)
        if not checked.returns:
            return Known()
        return Known(schema=self._filled(dict(expression.reads.made) or checked.returns, checked.returns, used))

    def made(self, template: Any, pointer: Pointer) -> Known:
        """What is known of the value that a template makes."""
        if isinstance(template, str):
            used = self.by_pointer.get(pointer)
            return replace(self.value(used), texts=used.reads.texts) if used else Known()
        if isinstance(template, dict):
            if "$each" in template and "$value" in template:
                return Known(schema=list_of([self.made(template["$value"], (*pointer, "$value")).schema]))
            if any(key.startswith("$") for key in template):
                return Known()
            fields = {name: self.made(inner, (*pointer, name)).schema for name, inner in template.items()}
            there = [name for name, inner in template.items() if not _left_out(inner)]
            return Known(schema={"type": "object", "additionalProperties": False, "properties": fields, "required": there})
        if isinstance(template, list):
            return Known(schema=list_of([self.made(inner, (*pointer, position)).schema for position, inner in enumerate(template)]))
        kind = kind_of(template)
        return self._declared(SCALARS[kind]) if kind in SCALARS else Known(schema={"type": kind})

    def _filled(self, made: Schema, returns: Schema, used: Used) -> Schema:
        """What an expression makes, with what is known of the paths in it, and what CEL says of the rest (``returns``)."""
        if path := made.get(OF_PATH):
            known = self.at(path, used).schema
            inner = resolve(known, known)
            return {**inner, **definitions(known), **({SIFTED: made[ASKED]} if ASKED in made else {})} if inner else returns
        if row := made.get(OF_ROW):
            return schema_at(self.types.row(row[0]), row[1:]) or returns
        if "items" in made:
            return {**made, "items": self._filled(made["items"], returns.get("items", {}), used)}
        if "properties" in made:
            return {**made, "properties": {name: self._filled(one, {}, used) for name, one in made["properties"].items()}}
        return made or returns

    def sides(self, used: Used) -> list[Schema]:
        """The shapes of the objects and lists that are written out, between which an expression chooses, or of which it joins some."""
        sides = used.reads.sides if len(used.reads.sides) > 1 and not used.reads.made else ()
        shapes = [dict(one.shape) for one in sides if one.shape.get("properties") or one.shape.get("items")]
        return [self._filled(one, {}, used) for one in shapes]

    def _chosen(self, used: Used) -> list[tuple[Schema, set[str]]]:
        """What is known of each value between which an expression chooses, and the kinds that it may have: an empty one of nobody knows."""
        found = list[tuple[Schema, set[str]]]()
        for side in used.reads.sides if len(used.reads.sides) > 1 else ():
            path = side.shape.get(OF_PATH)
            known = self.at(path, used) if path else Known(schema=self._filled(dict(side.shape), {}, used))
            shape, null = resolved(known.schema, known.schema)
            kinds = {*(kinds_of(shape) or [""]), *["null"] * (null or bool(known.null))} - {*["null"] * side.spared}
            found += [(shape, kinds)] if kinds else []
        return found

    def _item_of_all(self, used: Used, sides: Sequence[tuple[Schema, set[str]]]) -> Schema:
        """What is known of an item of several lists, between which an expression chooses, or which it joins; {} where nobody knows."""
        if len(sides) < 2 or any(kinds != {"array"} for _, kinds in sides):
            return {}
        shapes = [one.shape for one in used.reads.sides if one.shape != NO_ITEMS]
        paths = [one.get(OF_PATH) for one in shapes]
        items = [
            self.at((*path, "[]"), used).schema if path else self._filled(dict(one), {}, used).get("items", {})
            for path, one in zip(paths, shapes, strict=True)
        ]
        return items[0] if items and all(one == items[0] for one in items) else either(items)

    def _looked_up(self, used: Used) -> Known | None:
        """What is known of what is found in a table, where that is the value of the expression."""
        lookup = next((one for one in used.reads.lookups if one.whole), None)
        row = self.types.row(lookup.table) if lookup else {}
        if lookup is None or not row:
            return None
        known = self._declared(row)
        if lookup.rows:
            return Known(schema={"type": "array", "items": row}, typed=f"[{known.typed}]")
        if codes := self._codes(lookup):
            return Known(schema={"type": "string", "enum": codes}, typed=self.types.declare(SCALARS["string"]))
        return self._below(known, lookup.fields)

    def _row(self, used: Used) -> Known | None:
        """What is known of a row of a table; None where the expression gives something else."""
        row = self.types.row(used.reads.row)
        return replace(self._declared(row), null=_OF_NONE if used.reads.perhaps else "") if row else None

    def _sifted(self, used: Used) -> Known | None:
        """What is known of a list of items that a filter let through; None where nothing is.

        Each has all that is known of an item, except that what the filter asked for is missing (`SIFTED`).
        """
        paths = used.reads.sifted
        item = self._one_of(paths, used)
        if not item:
            return None
        typed = ANYTHING
        if len(paths) == 1 and paths[0][-1] == "[]":  # of one list: its own type, which CEL knows by the path to the list
            typed = self.at(paths[0][:-1], used).typed
        return Known(schema={"type": "array", "items": {**item, SIFTED: _asks(used)}, **definitions(item)}, typed=typed)

    def _first(self, used: Used) -> Known | None:
        """What is known of one of some items; None where the expression gives something else."""
        if len(used.reads.first) == 1 and not used.reads.asks and not used.reads.perhaps:
            return known if (known := self.at(used.reads.first[0], used)).schema else None
        item = self._one_of(used.reads.first, used)
        return Known(schema={**item, SIFTED: _asks(used)}, null=_OF_NONE if used.reads.perhaps else "") if item else None

    def _one_of(self, paths: Sequence[tuple[str, ...]], used: Used) -> Schema:
        """What is known of an item of which one of some paths is the list; {} where nothing is."""
        items = [self.at(path, used).schema for path in paths]
        return items[0] if items and all(one == items[0] for one in items) else either(items)

    def _codes(self, lookup: Lookup) -> list[str]:
        """All texts that a look into one column of a table can find."""
        if len(lookup.fields) != 1:
            return []
        rows = self.types.tables.get(lookup.table or "", {})
        found = [row.get(lookup.fields[0]) for key, row in rows.items() if lookup.key in (None, key)]
        return sorted({str(one) for one in found}) if all(isinstance(one, str) for one in found) else []

    def item(self, used: Used) -> Known:
        """What is known of the items of a list."""
        return self._below(self.value(used), ("[]",))

    def at(self, path: tuple[str, ...], used: Used) -> Known:
        """What is known of the value at a path that an expression reads."""
        return self._below(self.named(path[0], used), path[1:])

    def named(self, name: str, used: Used) -> Known:
        """What is known of a name that an expression reads."""
        if name not in used.local:
            return self.names.get(name, Known())
        over = used.local[name]
        if over is None:
            return self._declared(SCALARS["integer"])
        return self.item(self.by_pointer[over]) if over in self.by_pointer else Known()

    def _declared(self, schema: Schema) -> Known:
        """What is known of a value of a schema that CEL knows."""
        return Known(schema=schema, typed=self.types.declare(schema))

    def _below(self, known: Known, path: tuple[str, ...]) -> Known:
        """What is known of the value at a path below one; `[]` stands for an item of a list."""
        if not path:
            return known
        schema = schema_at(known.schema, path) if known.schema else {}
        if not schema or known.typed == ANYTHING:
            return Known(schema=schema)
        return Known(schema=schema, typed=known.typed + "".join("[0]" if piece == "[]" else f".{piece}" for piece in path))

    def checked(self, used: Used) -> Checked:
        """What CEL says of an expression, with the types of its names."""
        return self.types.check(used.expression.text, self.bound(used), self.types.finds_text(used.reads.lookups))

    def bound(self, used: Used) -> dict[str, str]:
        """How CEL comes to a value of the right type, for each name that the expression reads."""
        return {name: self._typed(self.named(name, used)) for name in used.expression.names}

    def _typed(self, known: Known) -> str:
        """How CEL comes to a value of its type; also of one that steps made and no contract declares, as far as its kind tells."""
        return known.typed if known.typed != ANYTHING or known.null else self._of_kind(known.schema)

    def _of_kind(self, schema: Schema) -> str:
        kind = schema.get("type")
        if kind == "array":
            return f"[{self._of_kind(schema.get('items', {}))}]"
        return self.types.declare(SCALARS[kind]) if isinstance(kind, str) and kind in _AS_IT_IS else ANYTHING

    def constant(self, used: Used) -> JsonValue:
        """The value of an expression that always gives the same; None where it may give several, or none."""
        if used.reads.references or used.reads.lookups or is_bare_date(used.expression):
            return None
        try:
            return used.expression({})
        except Exception:  # noqa: BLE001 - it fails on every message: what it says is found where it is compiled or run
            return None


def written(template: Any, schema: Schema, root: Schema) -> Schema:
    """The schema of what a template makes, where that is a value of ``schema``: the fields that it writes are there."""
    inner = resolve(schema, root)
    fields = inner.get("properties", {})
    if not isinstance(template, dict) or not fields or any(key.startswith("$") for key in template):
        return schema
    there = {name: written(one, fields[name], root) for name, one in template.items() if name in fields and not _left_out(one)}
    return {**inner, "properties": {**fields, **there}, "required": [*inner.get("required", ()), *there]}


def _kind_of_all(sides: list[tuple[Schema, set[str]]]) -> str:
    """The one kind of several values, `number` of whole ones and such with decimals; empty where there are others, or nobody knows."""
    kinds = set[str]().union(*(several for _, several in sides))
    return next(iter(kinds)) if len(kinds) == 1 else "number" if kinds == {"integer", "number"} else ""


def _scalars_of_all(sides: list[tuple[Schema, set[str]]]) -> list[str]:
    """The kinds of several values that are texts, numbers or truths; empty where there are others, or nobody knows."""
    kinds = set[str]().union(*(several for _, several in sides))
    return sorted(kinds) if len(kinds) > 1 and kinds <= SCALARS.keys() else []


def _asks(used: Used) -> list[list[str]]:
    """What the filters of an expression ask of each item, as a schema may hold it."""
    return sorted(map(list, set(used.reads.asks)))


def _left_out(template: Any) -> bool:
    """Whether a template may leave a field out."""
    return isinstance(template, dict) and "$when" in template and "$each" not in template
