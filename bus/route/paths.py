"""Expressions checked against what is known of the names that they use."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from bus import calendar
from bus.expression import Lookup
from bus.expression.failing import TOO_MANY
from bus.expression.literals import DAYS, misfit, misfits, unmoved
from bus.expression.overloads import field_of, of_two_kinds
from bus.expression.reading import COMPARING, OF_DATES, RECKONING, Argument, as_written
from bus.expression.typing import ANYTHING
from bus.expression.unions import choices_of, shapes_within
from bus.mapping.compile import named_at, place_of
from bus.mapping.shapes import CODES, schema_at, unknown_field, without_fields
from bus.mapping.template import Used, part_of
from bus.route.doubts import Doubts
from bus.route.known import SCALARS, Known, Schema, type_of
from bus.route.missing import Missing
from bus.route.values import NEEDED, Values
from bus.source import Reporter, Severity, line_and_column, nearest, suggestion

_FITTING = {
    "integer": {"integer", "number"},
    "key": {"string", "integer", "number", "null"},
    "date": {"string"},
    "sentence": {"string", "integer", "number"},
}
_TO_FIT = {
    "boolean": "compare it with something, such as != null", "key": "name the field of it that tells one case from the others",
    "date": 'name a field of format date, or move one: date_add(body.inizio, "-10d")',
    "sentence": "write a sentence for the person who looks at it, such as '\"no desk takes it\"'",
}  # fmt: skip
_OF_ANOTHER = {
    ("boolean", "array"): "size(…) > 0 asks whether there is any", ("integer", "array"): "size(…) counts its items",
    ("array", "integer"): "so many times: [0, 1, 2, 3].filter(n, n < …)",
}  # fmt: skip
"""How what a part needs is made of another kind of value."""

_QUOTED_PATH = re.compile(r"""(["'])([a-z_]\w*(?:\.[a-z_]\w*)+)\1(?!\s*[.\])])|\$?\{+\s*([a-z_]\w*(?:\.[a-z_]\w*)+)\s*\}+""")
"""A text that is a path, or the place of one in a text."""

_BY_DAYS, _BY_DAYS_TURNED = frozenset({"_<_", "_>=_"}), frozenset({"_>_", "_<=_"})
"""How a moment, and turned how a date, is compared with the other: before that day, or from it on."""

_KINDS = {
    "string": "string", "boolean": "boolean", "integer": "number", "number": "number",
    "string_value": "string", "bool_value": "boolean", "int64_value": "number", "double_value": "number",
}  # fmt: skip
"""What goes together in an operator: of a type, and of a value that is written out."""

_OURS = re.compile(r"(?:call|adapter)\.[a-z-]+")
"""A code of the bus itself, where one of a system is told otherwise: `error.code` may be either, also under another name."""

_DATED = frozenset({"date", "date-time"})

_ASKING: Mapping[str, Callable[[int, int], bool]] = {
    "_<_": operator.lt, "_<=_": operator.le, "_>_": operator.gt, "_>=_": operator.ge, "_==_": operator.eq, "_!=_": operator.ne,
}  # fmt: skip

_OF_A_CONTRACT = frozenset({"body", "arrival", "items", "message", "now"})
"""Names that hold what their contracts say, and nothing that is computed."""

_NUMBER = re.compile(r"(?<!\bint\()(?<!\bdouble\()\bnumber\(")
"""`number` where it is not made a whole one, or one with decimals, at once."""

WORDS = {
    "boolean": "true or false", "array": "a list", "integer": "a whole number", "string": "a text", "object": "an object",
    "null": "null", "number": "a number", "key": "a text or a number",
    "date": "a date or a moment", "sentence": "a text",
}  # fmt: skip


@dataclass(slots=True)
class Paths:
    """Expressions of one place, against what is known of the ``values`` there. ``asked`` are the paths that some condition asks about,
    of the same document or ``elsewhere``; ``doubts`` are told by who checks a whole document, at the end.
    """

    values: Values
    report: Reporter
    asked: frozenset[tuple[str, ...]] = frozenset()
    doubts: Doubts = field(default_factory=Doubts)
    elsewhere: frozenset[tuple[str, ...]] = frozenset()
    missing: Missing = field(init=False)

    def __post_init__(self) -> None:
        self.missing = Missing(self.values, self.report, self.asked, self.elsewhere, self.doubts)

    def check(self, used: Used, *, sure: bool = True) -> bool:
        """Whether nothing is wrong. Where its names are ``sure`` to be there, what of them may be missing is told too, as doubtful."""
        self._written_out(used)
        key = self._question(used)
        passed = self.values.types.passed.get(key) if key is not None else None
        if passed is not None:
            needed = passed[0]
        else:
            before = len(self.report.findings)
            good = self._is_sound(used)
            if not good or len(self.report.findings) > before:
                return good
            needed = self.missing.needed(used)
            if key is not None:
                names = self.values.names
                self.values.types.passed[key] = needed, [names[name] for name in used.expression.names if name in names]
        self.missing.tell(used, needed if sure else ())
        return True

    def _is_sound(self, used: Used) -> bool:
        """Whether its fields exist, its texts are codes that there are, its types go together, and its result fits its part."""
        before = len(self.report.findings)
        self._unknown_fields(used)
        self._no_object(used)
        self._comparisons(used)
        told = self._misfits(used)
        strange = len(self.report.findings) > before
        told |= self._arguments(used)
        self._keys(used)
        self._walks(used)
        self._converted(used)
        self._numbers(used)
        self._picks(used)
        self._dates(used)
        self._sizes(used)
        return self._types(used, told, mixed=not strange) and not strange and not told

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
        return used.expression, NEEDED.get(part_of(used.pointer), ""), *shapes, *asked

    def _unknown_fields(self, used: Used) -> None:
        for reference in used.reads.references:
            name, path = reference.path[0], reference.path[1:]
            known = self.values.named(name, used)
            if known.schema and (left := unknown_field(known.schema, path)) is not None:
                position, fields = left
                wrong = path[position]
                if reference.tested or used.is_condition:
                    self.doubts.misread.add(name)
                sentence = f"{as_written((name, *path[:position]))} has no field `{wrong}`"
                hint = suggestion(wrong, fields) or ("it has " + ", ".join(fields[:12]) if fields else "")
                if name == "message" and schema_at(self.values.named("body", used).schema, path):
                    hint = f"what the message says is `body`: {as_written(('body', *path))}"
                if name == "body" and "arrival" in self.values.names and schema_at(self.values.names["arrival"].schema, path):
                    hint = f"the message that came is `arrival`: {as_written(('arrival', *path))}"
                within = place_of(used, (name, *path[: position + 1]))
                self.report.report(used.pointer, "path.unknown-field", sentence, hint, within=within)
            elif known.schema and (left := unknown_field(known.schema, path, closed=False)) is not None:
                self._undeclared(used, name, path, *left)

    def _undeclared(self, used: Used, name: str, path: tuple[str, ...], position: int, fields: Sequence[str]) -> None:
        """A field of what may have others than its schema names, which is nearly one of those that it names."""
        wrong = path[position]
        if near := nearest(wrong, fields, 0.74) or next((one for one in fields if sorted(one) == sorted(wrong)), ""):
            sentence = f"{as_written((name, *path[:position]))} declares no field `{wrong}`"
            hint = f"did you mean {near}? Else declare it; with `additionalProperties: false` there are no others"
            within = place_of(used, (name, *path[: position + 1]))
            self.report.report(used.pointer, "path.unknown-field", sentence, hint, "warning", within=within)

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
            among = one.function == "@in" and "items" in self.values.at(one.path, used).schema  # keys of an object are no codes
            path = (*one.path, "[]") if among else one.path
            choices = self._choices(path, used)
            for text, offset in one.texts if choices else ():
                if text not in choices and not (path[0] == "error" and "." in text) and not _OURS.fullmatch(text):
                    hint = suggestion(text, choices) or "it is one of " + ", ".join(choices[:12])
                    self._tell(used, offset, "path.not-in-enumeration", f"{as_written(path)} is never `{text}`", hint)

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

    def _walks(self, used: Used) -> None:
        """Tables with more rows than an expression may go over."""
        tables = self.values.types.tables
        for walk in used.reads.walks:
            counts = [(prod(len(tables.get(name, ())) for name in names), names) for names in walk]
            whole, (_, (table, *_)) = sum(count for count, _ in counts), max(counts)
            if whole >= TOO_MANY:
                sentence = f"this goes over {whole:,} rows, one expression goes over {TOO_MANY - 1:,} at most: then it has no value"
                hint = f'lookup("{table}", …) reads one row by its key'
                within = named_at(used.expression.text, 0, table)
                self.report.report(used.pointer, "table.too-many-rows", sentence, hint, within=within)
                return

    def _picks(self, used: Used) -> None:
        """Codes of a contract for which nothing is written out in the object that they pick from."""
        for one in used.reads.picks if not used.guarded else ():
            codes = self._choices(one.path, used)
            if one.path in self.missing.asked_of(used) or not (left := [code for code in codes if code not in one.keys]):
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
        """A date compared with a moment: both are texts, and the text of a day is less than that of any moment in it."""
        for pair in used.reads.pairs:
            if pair.left == pair.right and isinstance(pair.left, tuple) and "[]" not in pair.left:
                sentence = f"`{as_written(pair.left)}` is compared with itself: the answer is always the same"
                self._tell(used, pair.offset, "condition.constant", sentence, "which other field is meant?", "warning")
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

    def _sizes(self, used: Used) -> None:
        """How many there are, compared with a number that decides it: no text and no list has fewer than none."""
        for one in used.reads.sizes:
            schema = self.values.at(one.path, used).schema if one.path and used.is_condition else {}
            least, most = max(schema.get("minItems", 0), schema.get("minLength", 0)), schema.get("maxItems", schema.get("maxLength"))
            near = {least, most, one.number - 1, one.number, one.number + 1, max(least, one.number) + 1} - {None}
            held = {_ASKING[one.function](count, one.number) for count in near if least <= count and (most is None or count <= most)}
            if len(held) == 1 and (False in held or one.number <= 0 >= least):
                sentence = f"this comparison is always {str(held.pop()).lower()}: size counts from {least}{f' to {most}' if most else ''}"
                self._tell(used, one.offset, "condition.constant", sentence, "which number is meant?", "warning")

    def _form(self, side: tuple[str, ...] | str, used: Used) -> str:
        return side if isinstance(side, str) else str(self.values.at(side, used).schema.get("format", ""))

    def _misfits(self, used: Used) -> set[tuple[int, int]]:
        """Literals with which the expression fails on every message. Gives their places."""
        found = list(misfits(used.expression))
        for sentence, hint, offset in found:
            self._tell(used, offset, "expression.literal", sentence, hint)
        return {line_and_column(used.expression.text, offset) for _, _, offset in found}

    def _converted(self, used: Used) -> None:
        """Cells of a table that are none of which a number is made: it would fail on each message that leads to such a row."""
        read = [*(one.path for one in used.reads.references), *((one.table, one.column) for one in used.reads.cells)]
        read += [(one.table or "", one.fields[0]) for one in used.reads.lookups if one.fields]
        for one in used.reads.converted:
            table, column = one.table or self._table_of(one.path, used), one.column or one.path[-1]
            asked = read.count(one.path or (table, column)) > 1 or one.path in self.asked
            cells = ((key, row.get(column)) for key, row in self.values.types.tables.get(table, {}).items() if one.key in ("", key))
            whole = one.function == "number" and any(type_of(self.values.at(path, used).schema) == "integer" for path in one.beside)
            wrong = ((key, cell, why) for key, cell in cells if isinstance(cell, str) and (why := _no_number(one.function, cell, whole)))
            if (found := next(wrong, None)) is not None and not asked:
                key, cell, why = found
                sentence = f"table `{table}` holds {f'`{cell}`' if cell else 'nothing'} in `{column}` of `{key}`, and {why}"
                self._tell(
                    used, one.offset, "table.no-number", sentence, f"correct it in mappings/tables/{table}.csv, or ask first", "warning"
                )

    def _numbers(self, used: Used) -> None:
        """What `number` makes, which is a whole number of some texts, reckoned with what surely has decimals."""
        for path, offset in used.reads.numbers:
            if not path or (type_of(self.values.at(path, used).schema) == "number" and self._of_contract(path[0], used)):
                sentence = (
                    "number(...) makes a whole number of a text such as 12, and none is reckoned with decimals: then this has no value"
                )
                self._tell(used, offset, "expression.wrong-type", sentence, "write double(number(...))", "warning")

    def _table_of(self, path: tuple[str, ...], used: Used) -> str:
        """The table of which a path reads a column of any row; empty where it reads something else, or one row that is written out."""
        types = self.values.types
        schema = self.values.named(path[0], used).schema if len(path) == 2 else {}
        table = next((name for name in types.tables if schema and types.row(name) is schema), "")
        fixed = any(one.table == table and one.key for each in self.values.by_pointer.values() for one in each.reads.lookups)
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
            elif (holds := _KINDS.get(type_of(schema))) and self._goes_unseen(one, used) and holds != (given := _KINDS[one.beside]):
                sentence = f"`{one.function.strip('_')}` cannot be applied to {WORDS[holds]} and {WORDS[given]}"
                hint = "text(...) makes text of a number" if (holds, given) == ("number", "string") and one.function == "_+_" else ""
                hint = hint or f"where {path} is there, it is {WORDS[holds]}"
            elif strange := self._strange_kind(one, schema, used):
                sentence = f"`{one.function.strip('_')}` cannot be applied to {WORDS[strange]} and {WORDS[_KINDS[one.beside]]}"
                hint = f"{path} may be {WORDS[strange]}: where it gets its value, make both of one kind"
            elif one.function == "_+_" and schema.get("format") in _DATED and (by := self._duration(used)):
                day = path if schema["format"] == "date" else f"date_of({path})"
                sentence, hint = unmoved(path, day, by)
            elif one.beside == "double_value" and one.function in RECKONING and type_of(schema) == "integer":
                sentence, hint = of_two_kinds(one.function, path)  # also of what `set` made, whose types CEL is not told
            else:
                continue
            start = one.offset - (len(one.function) if one.function in OF_DATES | {"text"} else 0)  # CEL points at the bracket
            within = line_and_column(used.expression.text, start)
            found.add(within)
            self.report.report(used.pointer, "expression.wrong-type", sentence, hint, within=within)
        return found

    def _strange_kind(self, one: Argument, schema: Schema, used: Used) -> str:
        """The kind that a name may have, beside others, and that an operator does not take with what is written out; empty of none."""
        kinds = schema.get("type")
        if one.function in COMPARING or not isinstance(kinds, list) or len(one.path) > 1 or not self._goes_unseen(one, used):
            return ""
        return next((kind for kind in map(_KINDS.get, kinds) if kind and kind != _KINDS[one.beside]), "")

    def _goes_unseen(self, one: Argument, used: Used) -> bool:
        """Whether a value is compared or reckoned with one that is written out, and CEL's checker does not know its type."""
        return one.beside != "" and (one.spared or self.values.named(one.path[0], used).typed == ANYTHING)

    @staticmethod
    def _duration(used: Used) -> str:
        """A duration, as a text or a number of days, that the expression joins to something; empty where there is none."""
        added = (one.value for one in used.reads.literals if one.function == "_+_" and not one.path)
        joined = (one if isinstance(one, str) else f"{one}d" for one in added)
        return next((text for text in joined if DAYS.fullmatch(text)), "")

    def _types(self, used: Used, told: Container[tuple[int, int]], mixed: bool) -> bool:
        expression, bound = used.expression, self.values.bound(used) if used.expression.in_cel else {}
        if self.values.types.finds_text(expression.reads.lookups) or any(typed != ANYTHING for typed in bound.values()):
            checked = self.values.checked(used)
            faults = checked.faults + (checked.mixed if mixed and checked.mixed and self.exact(used) else ())
            for fault in (one for one in faults if (one.line, one.column) not in told):
                self.report.report(used.pointer, fault.code, fault.sentence, fault.hint, within=(fault.line, fault.column))
            if faults:
                return False
        needed = NEEDED.get(part_of(used.pointer), "")
        return not needed or self._result(used, needed)

    def exact(self, used: Used) -> bool:
        """Whether its numbers with decimals have them when it runs: `number` makes a whole one of some texts, also for a `set`."""
        if _NUMBER.search(used.expression.text):
            return False
        given = (self.values.named(name, used).schema for name in used.expression.names if not self._of_contract(name, used))
        return not any(one == SCALARS["number"] for schema in given for one in shapes_within(schema))

    def _of_contract(self, name: str, used: Used) -> bool:
        """Whether a name holds what its contract says: it is one of `_OF_A_CONTRACT`, or a part of the message."""
        body = self.values.names.get("body", Known()).typed
        return name in _OF_A_CONTRACT or (body != ANYTHING and self.values.named(name, used).typed.startswith(f"{body}."))

    def _result(self, used: Used, needed: str) -> bool:
        """Whether the value fits the part: a condition is true or false."""
        given = type_of(self.values.value(used).schema)
        if given and given not in _FITTING.get(needed, {needed}):
            part = str(used.pointer[-1])
            hint = _OF_ANOTHER.get((needed, given)) or _TO_FIT.get(needed, "")
            sentence = f"`{part}` needs {WORDS[needed]}, this is {WORDS.get(given, given)}"
            self.report.report(used.pointer, "expression.wrong-result", sentence, hint)
            return False
        if (needed, given) == ("integer", "number"):
            return self._whole(used)
        if needed == "boolean":
            self._constant(used)
        elif needed == "key" and self.values.constant(used) is not None:
            self._same(used)
        return needed != "date" or self._date(used)

    def _whole(self, used: Used) -> bool:
        """Whether a number with decimals may be given where only a whole one is taken."""
        always = self.values.constant(used)
        if isinstance(always, int) or not self.exact(used):
            return True
        hint = f"int(math.round({used.expression.text.strip()})) makes a whole one of it"
        sentence = f"`{used.pointer[-1]}` needs a whole number, and this may have decimals"
        severity: Severity = "warning"
        if always is not None:
            sentence, hint, severity = sentence.replace("may have", "has"), "write it without", "error"
        self.report.report(used.pointer, "expression.wrong-result", sentence, hint, severity)
        return always is None

    def _date(self, used: Used) -> bool:
        """Whether a text may say when a wait ends: one of another format never does, nor does one that is written out and is no date."""
        form, always = self.values.value(used).schema.get("format"), self.values.constant(used)
        told = ((one.value, one.offset) for one in used.reads.results if not one.path and one.value is not None)
        said = [(always, 0)] if isinstance(always, str) else list(told)
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


def given_here(used: Used, names: Container[str]) -> str:
    """What to write where a step reads the name that it gives itself, at its end; ``names`` are those that are seen there."""
    gathered = "those gathered so far are `items` here"
    if "on_deadline" in used.pointer:
        return gathered if "items" in names else "nothing has come where `on_deadline` runs, so this is not there"
    meanwhile = {"match": "what came is `arrival` here", "until": gathered}
    return meanwhile.get(part_of(used.pointer), "this very step gives it: let one before do so")


def _no_number(function: str, cell: str, whole: bool) -> str:
    """Why no number is made of a cell, or, ``whole``, none that whole numbers are reckoned with; empty where one is."""
    if misfit(function, 0, cell) is not None:
        return f"{function}(...) makes no number of it"
    return "no number with decimals is reckoned with a whole one" if whole and not cell.strip(" +-").isdigit() else ""


def _is_moment(value: Any) -> bool:
    """Whether a value, written out, is a date or a moment."""
    try:
        return isinstance(value, str) and calendar.moment_at(value, whole_day=False) is not None
    except ValueError:
        return False
