"""Expressions checked against what is known of the names that they use."""

from __future__ import annotations

import re
from collections.abc import Container, Hashable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bus import calendar
from bus.expression import Lookup
from bus.expression.literals import DAYS, misfit, misfits
from bus.expression.overloads import field_of, of_two_kinds
from bus.expression.reading import OF_DATES, RECKONING, as_written
from bus.expression.typing import ANYTHING
from bus.expression.unions import choices_of, shapes_within
from bus.mapping.compile import place_of
from bus.mapping.shapes import CODES, SIFTED, lacks, leads_to_null, schema_at, unknown_field, without_fields
from bus.mapping.template import Used, part_of, tested_in
from bus.route.doubts import Doubts, asked_by_has, kept_nulls
from bus.route.known import SCALARS, type_of
from bus.route.values import Values
from bus.source import Reporter, Severity, line_and_column, nearest, suggestion

_OR_ELSE = re.compile(r"\s*[A-Za-z_]\w*(?:\.\??\w+)+\.orValue\([^()]*\)\s*")

_FITTING = {"integer": {"integer", "number"}, "key": {"string", "integer", "number", "null"}, "date": {"string"}}
_TO_FIT = {
    "boolean": "compare it with something, such as != null", "key": "name the field of it that tells one case from the others",
    "date": 'name a field of format date, or move one: date_add(body.inizio, "-10d")',
}  # fmt: skip

_QUOTED_PATH = re.compile(r"""(["'])([a-z_]\w*(?:\.[a-z_]\w*)+)\1(?!\s*[.\])])|\$?\{+\s*([a-z_]\w*(?:\.[a-z_]\w*)+)\s*\}+""")
"""A text that is a path, or the place of one in a text."""

_BY_DAYS, _BY_DAYS_TURNED = frozenset({"_<_", "_>=_"}), frozenset({"_>_", "_<=_"})
"""How a moment, and turned how a date, is compared with the other: before that day, or from it on."""

_KINDS = {
    "string": "string", "boolean": "boolean", "integer": "number", "number": "number",
    "string_value": "string", "bool_value": "boolean", "int64_value": "number", "double_value": "number",
}  # fmt: skip
"""What goes together in an operator: of a type, and of a value that is written out."""

_DATED = frozenset({"date", "date-time"})

_WITHOUT_A_CONTRACT = frozenset({"case", "error"})
"""Names whose fields nobody declares to be surely there."""

_OF_A_CONTRACT = frozenset({"body", "arrival", "items", "message", "now"})
"""Names that hold what their contracts say, and nothing that is computed."""

_NUMBER = re.compile(r"(?<!\bint\()(?<!\bdouble\()\bnumber\(")
"""`number` where it is not made a whole one, or one with decimals, at once."""
_NONE_OF = {"array": "[]", "string": '""', "boolean": "false", "integer": "0", "number": "0.0"}

_NEEDED = {
    "when": "boolean", "match": "boolean", "until": "boolean", "$when": "boolean", "each": "array", "$each": "array", "count": "integer",
    "case": "key", "key": "key", "by": "date",
}  # fmt: skip
"""What the expression of a part must give."""

WORDS = {
    "boolean": "true or false", "array": "a list", "integer": "a whole number", "string": "a text", "object": "an object",
    "null": "null", "number": "a number", "key": "a text or a number",
    "date": "a date or a moment",
}  # fmt: skip


@dataclass(slots=True)
class Paths:
    """Expressions of one place, against what is known of the ``values`` there. ``asked`` are the paths that some condition asks about,
    ``doubts`` are told by who checks a whole document, at the end.
    """

    values: Values
    report: Reporter
    asked: frozenset[tuple[str, ...]] = frozenset()
    doubts: Doubts = field(default_factory=Doubts)

    def check(self, used: Used, *, sure: bool = True) -> bool:
        """Fields that do not exist, texts that a code never is, types that do not go together, results that do not fit their part.
        Where its names are ``sure`` to be there, also what of them may be missing.

        Whether nothing is wrong; what may be missing is only doubtful.
        """
        self._written_out(used)
        key = self._question(used)
        passed = self.values.types.passed.get(key) if key is not None else None
        if passed is not None:
            doubts = passed[0]
        else:
            before = len(self.report.findings)
            self._unknown_fields(used)
            self._no_object(used)
            self._comparisons(used)
            self._misfits(used)
            strange = len(self.report.findings) > before
            told = self._arguments(used)
            self._keys(used)
            self._converted(used)
            self._picks(used)
            self._dates(used)
            good = self._types(used, told, mixed=not strange) and not strange and not told
            if not good or len(self.report.findings) > before:
                return good
            doubts = self._doubts(used)
            if key is not None:
                names = self.values.names
                self.values.types.passed[key] = doubts, [names[name] for name in used.expression.names if name in names]
        if doubts and sure and not used.guarded:
            self._missing(used, doubts)
        self._kept(used)
        self._null_on_the_way(used)
        self._null_though_there(used)
        if used.reads.items and not used.guarded:
            self._null_items(used)
        if used.reads.places and not used.guarded:
            self._no_item(used)
        return True

    def _tell(self, used: Used, offset: int, code: str, sentence: str, hint: str, severity: Severity = "error") -> None:
        """A finding at an offset in the text of an expression."""
        self.report.report(used.pointer, code, sentence, hint, severity, within=line_and_column(used.expression.text, offset))

    def _written_out(self, used: Used) -> None:
        """A path within quotes, which is a text: written so as a whole, or in braces that nothing fills in."""
        text = used.expression.text
        for found in _QUOTED_PATH.finditer(text) if '"' in text or "'" in text or "{" in text else ():
            whole, braced = found[2], found[3]
            path = (whole or braced).split(".")
            if path[0] in self.values.names and schema_at(self.values.names[path[0]].schema, path[1:]):
                sentence, hint = f"nothing fills in {found[0]}", f'+ joins texts: "…" + {braced}'
                if whole:
                    sentence = f"`{whole}` stands in quotes here: it is this text, not what the field holds"
                    hint = f"write it without them: {whole}"
                self._tell(used, found.start(), "expression.quoted-path", sentence, hint, "warning")

    def _question(self, used: Used) -> Hashable | None:
        """What the answer depends on: the expression, its part, what is known of each name, whether what it looks up was asked about.

        None where local names are read too.
        """
        if used.local:
            return None
        known = [self.values.names.get(name) for name in used.expression.names]
        shapes = [(id(one.schema), one.typed, one.texts) if one else None for one in known]
        asked = [one.path in self.asked for one in used.reads.lookups]
        return used.expression, _NEEDED.get(part_of(used.pointer), ""), *shapes, *asked

    def null(self, used: Used) -> bool:
        """Whether the value that a path reads, plain or with ``orValue``, may be null, though the route never asks."""
        expression = used.expression
        if expression.in_cel or not expression.reads.references:
            return bool(_OR_ELSE.fullmatch(expression.text) and self._kept_nulls(used))
        path = expression.reads.references[0].path
        return self._lack(used, path, self.asked) == ("null", len(path)) or (len(path) > 1 and self._there_as_null(path, used))

    def _doubts(self, used: Used) -> list[tuple[str, ...]]:
        """The paths without whose value the expression has none, and that may have none, as long as nobody asks."""
        needed = (one.path for one in used.reads.references if one.needed and one.path[0] not in _WITHOUT_A_CONTRACT)
        return [path for path in needed if self._stops(used, path, frozenset())]

    def _stops(self, used: Used, path: tuple[str, ...], asked: frozenset[tuple[str, ...]]) -> tuple[str, int]:
        """Why there may be no value of the expression for want of that of a path, and how much of the path tells."""
        why, length = self._lack(used, path, asked)
        walked = part_of(used.pointer) in {"each", "$each"} and not used.expression.in_cel
        bare = any(one.bare and one.needed and one.path == path for one in used.reads.references)
        return ("", 0) if why == "null" and length == len(path) and not walked and not bare else (why, length)

    def _lack(self, used: Used, path: tuple[str, ...], asked: frozenset[tuple[str, ...]]) -> tuple[str, int]:
        """Why a path may lead to nothing, ``missing`` or ``null``, and how much of it tells; empty where it does not, or somebody asks."""
        schema = self.values.named(path[0], used).schema
        near = [one[1:] for one in asked if one[0] == path[0]]
        if not lacks(schema, path[1:], near) or any(path[: len(one)] == one for one in asked if len(one) > 1):
            return "", 0
        return next((why, length) for length in range(2, len(path) + 1) if (why := lacks(schema, path[1:length], near)))

    def _missing(self, used: Used, doubts: list[tuple[str, ...]]) -> None:
        """What the expression needs and the contract lets be missing, if nobody asks; a condition is not asked by itself."""
        expression = used.expression
        asked = self._asked(used)
        path, (why, length) = next(((one, found) for one in doubts if (found := self._stops(used, one, asked))[0]), ((), ("", 0)))
        if not path:
            return
        name = as_written(path[:length])
        other = f", or write default({name}, …)" if length == len(path) and expression.in_cel and "[]" not in path else ""
        hint = f"ask first: `when: {name} != null`{other}" if why == "null" else self._instead(used, path, length)
        within = place_of(used, tuple(piece for piece in path[:length] if piece != "[]"))
        sentence = f"`{name}` may be {why}: then this has no value"
        tell = partial(self.report.report, used.pointer, "path.maybe-missing", sentence, hint, "warning", within=within)
        clause = used.pointer[-3:-2] == ("choose",)  # the first that cannot be told ends the run
        self.doubts.add((*used.pointer[:-2], name) if clause else used.pointer, path[0], tell)

    def _asked(self, used: Used) -> frozenset[tuple[str, ...]]:
        """The paths that some condition asks about; a condition is not asked by itself."""
        if part_of(used.pointer) not in {"when", "$when"}:
            return self.asked
        return self.asked - {one.path for one in used.reads.references if not one.tested} | tested_in(self.values.lists.values())

    def _kept(self, used: Used) -> None:
        """Where ``orValue`` is to stand for what may be null, too: it gives the null on. Of a whole value its target says so, if any."""
        given = _OR_ELSE.fullmatch(used.expression.text) and _NEEDED.get(part_of(used.pointer), "key") == "key"
        for path in () if given else self._kept_nulls(used):
            name = as_written(path)
            hint = f"write default({as_written(path[:-1])}.?{path[-1]}.orValue(null), …): it has another value for both"
            sentence = f"`{name}` may be null, and orValue has another value only where it is missing"
            self._doubt(used, path, "path.kept-null", sentence, hint)

    def _doubt(self, used: Used, path: tuple[str, ...], code: str, sentence: str, hint: str) -> None:
        """A warning about a path in an expression, for `Doubts` to tell."""
        tell = partial(self.report.report, used.pointer, code, sentence, hint, "warning", within=place_of(used, path))
        self.doubts.add((*used.pointer, as_written(path)), path[0], tell)

    def _null_on_the_way(self, used: Used) -> None:
        """An object that may be null, of which ``.?`` asks a field: it passes over one that is missing, and fails at a null."""
        asked = self.asked.union(one.path for one in used.reads.references)
        for one in used.reads.references:
            path, schema = one.path, self.values.named(one.path[0], used).schema
            optional = not one.needed and not one.tested and f".?{path[-1]}" in used.expression.text
            nulls = (path[:end] for end in range(2, len(path)) if "[]" not in path[:end] and leads_to_null(schema, path[1:end]))
            place = next((found for found in nulls if optional and found not in asked), ())
            if place:
                name = as_written(place)
                hint = f"ask first: `when: {name} != null`, or write default({as_written(place[:-1])}.?{place[-1]}.orValue(null), {{}})"
                self._doubt(used, place, "path.maybe-missing", f"`{name}` may be null: then this has no value", hint)

    def _null_though_there(self, used: Used) -> None:
        """What may be null, of which only `has` is asked, where a field of it is read, or what it is goes to what refuses null."""
        for one in used.reads.references:
            ends = range(2, len(one.path) + (one.bare and not one.tested))
            if place := next((found for end in ends if self._there_as_null(found := one.path[:end], used)), ()):
                name = as_written(place)
                sentence = f"`{name}` may be null: then this has no value, and has(...) asks only whether it is there"
                hint = f"ask `{name} != null`, too, or write default({as_written(place[:-1])}.?{place[-1]}.orValue(null), …)"
                self._doubt(used, place, "path.maybe-missing", sentence, hint)

    def _null_items(self, used: Used) -> None:
        """Items of a list that may be null, of which each is read as if it were not."""
        for one in used.reads.items:
            read = [one.path[:end] for end in range(2, len(one.path) + one.bare) if one.path[end - 1] == "[]"]
            if place := next((found for found in read if self._null_item(found, used)), ()):
                name = as_written(place[:-1])
                hint = f"leave those out: {name}.filter(x, x != null), or ask of each: x == null ? … : …"
                self._doubt(used, place[:-1], "path.maybe-missing", f"an item of `{name}` may be null: then this has no value", hint)

    def _no_item(self, used: Used) -> None:
        """An item at a place of a list that its contract lets be shorter, where nobody asks about the list."""
        for one in used.reads.places:
            known, name = self.values.named(one.path[0], used), as_written(one.path)
            listed = schema_at(known.schema, one.path[1:])
            of_contract = known.typed != ANYTHING and len(one.path) > 1 and "[]" not in one.path and listed.get("type") == "array"
            asked = one.path in self.asked or self._lack(used, one.path, self.asked)[0]  # that it may be missing is told
            if of_contract and not asked and one.number >= listed.get("minItems", 0):
                hint = f"ask first: `when: size({name}) > {one.number}`, or say `minItems: {one.number + 1}` in its contract"
                self._doubt(used, one.path, "path.maybe-missing", f"`{name}` may have no item [{one.number}]: then this has no value", hint)

    def _null_item(self, path: tuple[str, ...], used: Used) -> bool:
        schema = self.values.named(path[0], used).schema
        return path not in self.asked and leads_to_null(schema, path[1:]) and SIFTED not in schema_at(schema, path[1:])

    def _there_as_null(self, path: tuple[str, ...], used: Used) -> bool:
        """Whether what is at a path may be null, and is asked by nobody but `has`."""
        if path not in self.asked or "[]" in path or not leads_to_null(self.values.named(path[0], used).schema, path[1:]):
            return False
        asking = [one for one in self.values.lists.values() if part_of(one.pointer) in {"when", "$when"}]
        return asked_by_has(path, [used, *asking] if used.expression.in_cel else asking)

    def _kept_nulls(self, used: Used) -> list[tuple[str, ...]]:
        paths = kept_nulls(used, self.values.lists.values())
        return [path for path in paths if leads_to_null(self.values.named(path[0], used).schema, path[1:])]

    def _instead(self, used: Used, path: tuple[str, ...], length: int) -> str:
        """What to write where a path may end after ``length`` pieces."""
        listed, last = "[]" in path[:length], part_of(used.pointer)
        asked = "`has(...)`" if listed else f"`has({'.'.join(path[:length])})`"
        ask = f"ask first: {asked}, or make it mandatory in its contract"
        if not used.expression.in_cel and last in {"", "with", "collect", "$value", "$default"}:
            return f"say what then: {{$value: {used.expression.text.strip()}, $default: ...}}, {ask}"
        if "[]" in path[length:]:  # an item of what may be missing has no optional form
            return ask
        kind = type_of(self.values.at(path, used).schema)
        lead, end = ("", length) if listed else (".".join(path[: length - 1]), len(path))
        optional = "".join(f".?{piece}" for piece in path[length - 1 : end])
        return f"write `{lead}{optional}.orValue({_NONE_OF.get(kind, '...')})`, {ask}"

    def _unknown_fields(self, used: Used) -> None:
        for reference in used.reads.references:
            name, path = reference.path[0], reference.path[1:]
            known = self.values.named(name, used)
            if known.schema and (left := unknown_field(known.schema, path)) is not None:
                position, fields = left
                wrong = path[position]
                if reference.tested or part_of(used.pointer) in {"when", "$when"}:
                    self.doubts.misread.add(name)
                sentence = f"{as_written((name, *path[:position]))} has no field `{wrong}`"
                hint = suggestion(wrong, fields) or ("it has " + ", ".join(fields[:12]) if fields else "")
                if name == "body" and "arrival" in self.values.names and schema_at(self.values.names["arrival"].schema, path):
                    hint = f"the message that came is `arrival`: arrival.{'.'.join(path)}"
                within = place_of(used, (name, *path[: position + 1]))
                self.report.report(used.pointer, "path.unknown-field", sentence, hint, within=within)

    def _no_object(self, used: Used) -> None:
        """A plain path that asks a field of a text, a number or a list; CEL's checker finds it in other expressions."""
        if used.expression.in_cel or not used.reads.references:
            return
        name, *path = used.reads.references[0].path
        found = without_fields(self.values.named(name, used).schema, path)
        if found is None:
            return
        position, kind = found
        sentence, hint = field_of(WORDS.get(kind, kind), of_list=kind == "array")
        within = place_of(used, (name, *path[: position + 1]))
        self.report.report(used.pointer, "expression.wrong-type", sentence, hint, within=within)

    def _comparisons(self, used: Used) -> None:
        """Texts that a code never is."""
        for one in used.reads.compared:
            choices = self._choices(one.path, used)
            for text, offset in one.texts if choices else ():
                if text not in choices and not (one.path[0] == "error" and "." in text):  # that is a code of our own errors
                    hint = suggestion(text, choices) or "it is one of " + ", ".join(choices[:12])
                    self._tell(used, offset, "path.not-in-enumeration", f"{as_written(one.path)} is never `{text}`", hint)

    def _choices(self, path: tuple[str, ...], used: Used) -> list[str]:
        """The texts of which a path leads to one, by a contract, a table or the `set` before; empty where there may be others."""
        schema = self.values.at(path, used).schema
        texts = self.values.named(path[0], used).texts if len(path) == 1 else ()
        found = [choice for choice in choices_of(schema) if choice is not None] or [*schema.get(CODES, ())] or sorted(texts)
        return found if all(isinstance(choice, str) for choice in found) else []

    def _keys(self, used: Used) -> None:
        """Codes of a contract that the table which they are looked up in does not have."""
        for lookup in used.reads.lookups:
            rows = self.values.types.tables.get(lookup.table or "")
            if rows and lookup.by and lookup.by[0] != "servizi":  # the offices of services are checked where they stand
                table, column = lookup.by
                cells = {row.get(column) for row in self.values.types.tables.get(table, {}).values()}
                self._no_keys(used, lookup, sorted(str(one) for one in cells if isinstance(one, str)), f"column `{column}` of `{table}`")
            if not rows or not lookup.path or lookup.path in self.asked or not lookup.whole:
                continue
            codes = self.values.at(lookup.path, used).schema.get("enum", ())
            self._no_keys(used, lookup, [str(code) for code in codes if code is not None], as_written(lookup.path))

    def _picks(self, used: Used) -> None:
        """Codes of a contract for which nothing is written out in the object that they pick from."""
        for one in used.reads.picks if not used.guarded else ():
            codes = self._choices(one.path, used)
            if one.path in self._asked(used) or not (left := [code for code in codes if code not in one.keys]):
                continue
            odd = sorted(one.keys.difference(codes))
            hint = suggestion(left[0], odd) and f"did you mean {left[0]}, where {nearest(left[0], odd)} is written?"
            sentence = f"nothing stands here for {', '.join(left)}, which {as_written(one.path)} may be: then this has no value"
            self._tell(used, one.offset, "path.maybe-missing", sentence, hint or "write it too, or ask before: a `when`", "warning")

    def _no_keys(self, used: Used, lookup: Lookup, codes: Iterable[str], source: str) -> None:
        if strange := [code for code in codes if code not in self.values.types.tables[lookup.table or ""]]:
            sentence = f"table `{lookup.table}` has no key {', '.join(strange)}, which {source} may be"
            hint = "add the rows, or ask before: a `when`, or `path in [...] ? ... : ...`"
            self._tell(used, lookup.offset, "table.unknown-key", sentence, hint, "warning")

    def _dates(self, used: Used) -> None:
        """Dates that are compared with moments, as the texts that they are, where it matters that a day is less than its moments."""
        for pair in used.reads.pairs:
            forms = {self._form(side, used): side for side in (pair.left, pair.right)}
            if len(forms) == 2 and "text" in forms and not forms.keys().isdisjoint({"date", "date-time"}):
                sentence, hint = "what is a date is compared with a text that is none", "a date is written 2026-03-01"
                self._tell(used, pair.offset, "expression.literal", sentence, hint)
            if forms.keys() == {"date", "date-time"}:
                moment = forms["date-time"]
                if pair.function in (_BY_DAYS if moment is pair.left else _BY_DAYS_TURNED):
                    continue
                hint = f"write date_of({as_written(moment)})" if isinstance(moment, tuple) else "write the date alone"
                sentence = "a date is compared with a moment: for that day the answer is wrong"
                self._tell(used, pair.offset, "expression.date-with-moment", sentence, hint, "warning")

    def _form(self, side: tuple[str, ...] | str, used: Used) -> str:
        return side if isinstance(side, str) else str(self.values.at(side, used).schema.get("format", ""))

    def _misfits(self, used: Used) -> None:
        """Literals with which the expression fails on every message."""
        for sentence, hint, offset in misfits(used.expression):
            self._tell(used, offset, "expression.literal", sentence, hint)

    def _converted(self, used: Used) -> None:
        """Cells of a table that are none of which a number is made: it would fail on each message that leads to such a row."""
        read = [*(one.path for one in used.reads.references), *((one.table, one.column) for one in used.reads.cells)]
        read += [(one.table or "", one.fields[0]) for one in used.reads.lookups if one.fields]
        for one in used.reads.converted:
            table, column = one.table or self._table_of(one.path, used), one.column or one.path[-1]
            asked = read.count(one.path or (table, column)) > 1 or one.path in self.asked
            cells = ((key, row.get(column)) for key, row in self.values.types.tables.get(table, {}).items() if one.key in ("", key))
            wrong = ((key, cell) for key, cell in cells if isinstance(cell, str) and misfit(one.function, 0, cell) is not None)
            if (found := next(wrong, None)) is not None and not asked:
                held = f"`{found[1]}`" if found[1] else "nothing"
                sentence = f"table `{table}` holds {held} in `{column}` of `{found[0]}`, and {one.function}(...) makes no number of it"
                self._tell(
                    used, one.offset, "table.no-number", sentence, f"correct it in mappings/tables/{table}.csv, or ask first", "warning"
                )

    def _table_of(self, path: tuple[str, ...], used: Used) -> str:
        """The table of which a path reads a column of any row; empty where it reads something else, or one row that is written out."""
        types = self.values.types
        schema = self.values.named(path[0], used).schema if len(path) == 2 else {}
        table = next((name for name in types.tables if schema and types.row(name) is schema), "")
        fixed = any(one.table == table and one.key for each in self.values.lists.values() for one in each.reads.lookups)
        return "" if fixed else table

    def _arguments(self, used: Used) -> set[tuple[int, int]]:
        """Moments in the place of dates, and whole numbers reckoned with decimals: each fails on every message. Gives their places."""
        found = set()
        for one in used.reads.arguments:
            if one.offset in used.reads.mixed:
                continue  # told by itself
            schema, path = self.values.at(one.path, used).schema, as_written(one.path)
            if one.function in OF_DATES and schema.get("format") == "date-time":
                sentence, hint = f"{one.function} takes dates, {path} is a moment", f"write date_of({path})"
            elif one.function == "text" and type_of(schema) == "integer":
                sentence, hint = f"a duration has a unit, text({path}) is a number alone", f'write text({path}) + "d"'
            elif one.spared and (holds := _KINDS.get(type_of(schema))) and holds != (given := _KINDS[one.beside]):
                sentence = f"`{one.function.strip('_')}` cannot be applied to {WORDS[holds]} and {WORDS[given]}"
                hint = f"where {path} is there, it is {WORDS[holds]}"
            elif one.function == "_+_" and schema.get("format") in _DATED and (by := self._duration(used)):
                day = path if schema["format"] == "date" else f"date_of({path})"
                sentence, hint = f"+ joins texts, and does not move {path} by {by}", f'write date_add({day}, "{by}")'
            elif one.beside == "double_value" and one.function in RECKONING and type_of(schema) == "integer":
                sentence, hint = of_two_kinds(one.function, path)  # also of what `set` made, whose types CEL is not told
            else:
                continue
            start = one.offset - (len(one.function) if one.function in OF_DATES | {"text"} else 0)  # CEL points at the bracket
            within = line_and_column(used.expression.text, start)
            found.add(within)
            self.report.report(used.pointer, "expression.wrong-type", sentence, hint, within=within)
        return found

    @staticmethod
    def _duration(used: Used) -> str:
        """A duration, as a text or a number of days, that the expression joins to something; empty where there is none."""
        added = (one.value for one in used.reads.literals if one.function == "_+_")
        joined = (one if isinstance(one, str) else f"{one}d" for one in added)
        return next((text for text in joined if DAYS.fullmatch(text)), "")

    def _types(self, used: Used, told: Container[tuple[int, int]], mixed: bool) -> bool:
        expression, bound = used.expression, self.values.bound(used) if used.expression.in_cel else {}
        if self.values.types.finds_text(expression.reads.lookups) or any(typed != ANYTHING for typed in bound.values()):
            checked = self.values.checked(used)
            faults = checked.faults + (checked.mixed if mixed and checked.mixed and self._exact(used) else ())
            for fault in (one for one in faults if (one.line, one.column) not in told):
                self.report.report(used.pointer, fault.code, fault.sentence, fault.hint, within=(fault.line, fault.column))
            if faults:
                return False
        needed = _NEEDED.get(part_of(used.pointer), "")
        return not needed or self._result(used, needed)

    def _exact(self, used: Used) -> bool:
        """Whether its numbers with decimals have them when it runs: `number` makes a whole one of some texts, also for a `set`."""
        if _NUMBER.search(used.expression.text):
            return False
        given = (self.values.named(name, used).schema for name in used.expression.names if name not in _OF_A_CONTRACT)
        return not any(one == SCALARS["number"] for schema in given for one in shapes_within(schema))

    def _result(self, used: Used, needed: str) -> bool:
        """Whether the value fits the part: a condition is true or false."""
        given = type_of(self.values.value(used).schema)
        if given and given not in _FITTING.get(needed, {needed}):
            part = str(used.pointer[-1])
            hint = "size(…) > 0 asks whether there is any" if (needed, given) == ("boolean", "array") else _TO_FIT.get(needed, "")
            hint = "size(…) counts its items" if (needed, given) == ("integer", "array") else hint
            hint = "so many times: [0, 1, 2, 3].filter(n, n < …)" if (needed, given) == ("array", "integer") else hint
            sentence = f"`{part}` needs {WORDS[needed]}, this is {WORDS.get(given, given)}"
            self.report.report(used.pointer, "expression.wrong-result", sentence, hint)
            return False
        if needed == "boolean":
            self._constant(used)
        elif needed == "key" and self.values.constant(used) is not None:
            self._same(used)
        return needed != "date" or self._date(used)

    def _date(self, used: Used) -> bool:
        """Whether a text may say when a wait ends: one of another format never does, nor does one that is written out and is no date."""
        form, always = self.values.value(used).schema.get("format"), self.values.constant(used)
        said = [(always, 0)] if isinstance(always, str) else [(one.value, one.offset) for one in used.reads.results]
        faults = [(f"{value!r} is none", offset) for value, offset in said if not _is_moment(value)]
        if form not in {None, *_DATED}:
            faults = [(f"this is a text of format {form}", 0)]
        for fault, offset in faults:
            self._tell(used, offset, "expression.wrong-result", f"`by` needs a date or a moment, {fault}", _TO_FIT["date"])
        return not faults

    def _constant(self, used: Used) -> None:
        always = self.values.constant(used)
        if isinstance(always, bool):
            sentence = f"this condition is always {str(always).lower()}"
            hint = "delete it" if always else "delete what it guards"
            self.report.report(used.pointer, "condition.constant", sentence, hint, "warning")

    def _same(self, used: Used) -> None:
        """A key that reads nothing. By one of the message (``key``) all but the first are refused; one of the case may be meant."""
        intake = used.pointer == ("key",)
        sentence = "this key is the same for every message" + (
            ": all but the first are refused" if intake else ", so that all are of one case"
        )
        hint = "name the field that tells one from the other: body.…"
        self.report.report(used.pointer, "key.constant", sentence, hint, "error" if intake else "warning")


def read_keys(used: Used) -> set[str]:
    """The keys of the case without which an expression has no value."""
    asks = "case" in used.expression.names and "case" not in used.local and not used.guarded
    reads = used.reads.references if asks else ()
    return {one.path[1] for one in reads if one.path[0] == "case" and len(one.path) > 1 and one.needed and not one.tested}


def given_here(used: Used) -> str:
    """What to write where a step reads the name that it gives itself, at its end."""
    meanwhile = {"match": "what came is `arrival` here", "until": "those gathered so far are `items` here"}
    return meanwhile.get(part_of(used.pointer), "this very step gives it: let one before do so")


def _is_moment(value: Any) -> bool:
    """Whether a value, written out, is a date or a moment."""
    try:
        return isinstance(value, str) and calendar.moment_at(value, whole_day=False) is not None
    except ValueError:
        return False
