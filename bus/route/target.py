"""Templates against the schema of what they must make: an operation's request or a message's body.

Static: fields that do not exist or are missing, literals of the wrong type or outside an enumeration, and plain paths whose
declared type does not fit, also within objects that an expression writes out. What else it computes is checked when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from pydantic import BaseModel

from bus.adapter import schema_of, told_by
from bus.expression.unions import ALTERNATIVES, choices_of, fits, is_closed, kind_of, kinds_of, laid
from bus.mapping.shapes import by_pattern, conditions_of, decided, outside, resolve, takes_null
from bus.mapping.template import Used, dotted
from bus.route.doubts import conditions_above
from bus.route.known import type_of
from bus.route.narrowed import codes_left
from bus.route.paths import Paths
from bus.route.units import other_unit
from bus.source import Pointer, Reporter, line_and_column, suggestion

Within: TypeAlias = "tuple[int, int] | None"
_NUMBERS = frozenset({"integer", "number"})
_FORMS = {"date": "date", "date-time": "moment"}
_LEFT_OUT = "where there is no value, {$when: ..., $value: ...} leaves the field out"
_TO_FORM = {"date": "date_of(...) makes a date of a moment", "date-time": ""}


@lru_cache(maxsize=1024)
def shape_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a request as rules are checked against it: its alternatives laid together; the same object each time."""
    return laid(schema_of(model))


@lru_cache(maxsize=1024)
def answer_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of an answer as rules read it, its alternatives laid together; the same object each time."""
    return laid(told_by(model))


@dataclass(frozen=True, slots=True)
class Target:
    """What a template must make. ``name`` is said in findings; ``paths`` are its expressions."""

    name: str
    schema: dict[str, Any]
    paths: Paths

    @property
    def report(self) -> Reporter:
        """What takes the findings."""
        return self.paths.report

    def check(self, value: Any, pointer: Pointer) -> None:
        """Check a whole template."""
        self._value(value, self.schema, pointer, ())

    def takes(self, given: dict[str, Any], pointer: Pointer, text: str) -> None:
        """Check that it takes any value of a schema, as it is; ``text`` says what value that is."""
        self._given(given, given, self.schema, pointer, (), text)

    def _value(self, value: Any, schema: Any, pointer: Pointer, path: tuple[str, ...]) -> None:
        wanted = resolve(schema, self.schema)
        if not wanted:
            return
        if isinstance(value, dict):
            self._map(value, schema, pointer, path)
        elif isinstance(value, list):
            if self._is(wanted, "array", pointer, path):
                self._list(value, wanted, pointer, path)
        elif isinstance(value, str):
            self._expression(schema, pointer, path)
        else:
            self._literal(value, schema, pointer, path)

    def _list(self, value: list[Any], wanted: dict[str, Any], pointer: Pointer, path: tuple[str, ...]) -> None:
        for position, inner in enumerate(value):
            self._value(inner, wanted.get("items", {}), (*pointer, position), (*path, str(position)))
        if not any(isinstance(inner, dict) and "$when" in inner for inner in value):
            self._limits(value, wanted, pointer, path)

    def _limits(self, value: Any, wanted: dict[str, Any], pointer: Pointer, path: tuple[str, ...], within: Within = None) -> None:
        if problem := outside(value, wanted):
            sentence = f"{self.name}: `{dotted(path)}` {problem}"
            hint = str(wanted.get("description", "")) or (_LEFT_OUT if value == "" else "")
            self.report.report(pointer, "target.outside-limits", sentence, hint, within=within)

    def _map(self, value: dict[str, Any], schema: Any, pointer: Pointer, path: tuple[str, ...]) -> None:
        wanted = resolve(schema, self.schema)
        if "$each" in value:
            if self._is(wanted, "array", pointer, path) and "$value" in value:
                self._value(value["$value"], wanted.get("items", {}), (*pointer, "$value"), (*path, ""))
            return
        if any(key.startswith("$") for key in value):
            for key in ("$value", "$default"):
                if key in value:
                    self._value(value[key], schema, (*pointer, key), path)
            return
        if self._is(wanted, "object", pointer, path):
            self._fields(value, wanted, pointer, path)

    def _fields(self, value: dict[str, Any], wanted: dict[str, Any], pointer: Pointer, path: tuple[str, ...]) -> None:
        found = len(self.report.findings)
        fields = wanted.get("properties", {})
        more = wanted.get("additionalProperties")
        meant = set[str]()
        for name, inner in value.items():
            at, below = (*pointer, name), (*path, name)
            if name in fields:
                self._field(inner, fields[name], at, below)
            elif named := by_pattern(wanted, name):
                self._value(inner, named[0], at, below)
            elif isinstance(more, dict):
                self._value(inner, more, at, below)
            elif more is False:
                near = suggestion(name, fields.keys() - value.keys())
                meant.add(near)
                self._unknown(inner, near, wanted, at, below)
        for name in wanted.get("required", ()):
            if name not in value and f"did you mean {name}?" not in meant:
                place = dotted((*path, name))
                hint = str(resolve(fields.get(name, {}), self.schema).get("description", ""))
                self.report.report(pointer, "target.missing-field", f"{self.name} needs the field `{place}`", hint)
        for one in conditions_of(wanted):
            self._condition(one, value, wanted, pointer, path)
        if ALTERNATIVES in wanted and len(self.report.findings) == found:
            self._alternatives(value, wanted, pointer, path)

    def _field(self, value: Any, schema: dict[str, Any], pointer: Pointer, path: tuple[str, ...]) -> None:
        before = len(self.report.findings)
        self._value(value, schema, pointer, path)
        if len(self.report.findings) == before:
            self._never_null(value, schema, pointer, path)

    def _unknown(self, value: Any, near: str, wanted: dict[str, Any], pointer: Pointer, path: tuple[str, ...]) -> None:
        """A field that is none; ``near`` says which was meant, perhaps."""
        known = sorted(wanted.get("properties", {}))
        known += [f"those whose name matches {pattern}" for pattern in wanted.get("patternProperties", ())]
        hint = near or (f"it has {', '.join(known)}" if known else "")
        if value is None:
            hint = "a comma starts another field here: put the whole value in quotes, if it belongs to it"
        self.report.report(pointer, "target.unknown-field", f"{self.name} has no field `{dotted(path)}`", hint, key=True)

    def _condition(
        self, condition: Mapping[str, Any], value: dict[str, Any], wanted: dict[str, Any], pointer: Pointer, path: tuple[str, ...]
    ) -> None:
        """Fields that the contract makes mandatory under a condition, which those that are written out fulfil."""
        asked = condition["if"].get("properties", {}) if isinstance(condition["if"], dict) else {}
        beside = next((f" beside `{dotted((*path, name))}`" for name in asked if name in value), "")
        for name in decided(condition, value, self._literals(value, pointer)).get("required", ()):
            if name not in value and name not in wanted.get("required", ()):
                sentence = f"{self.name} needs the field `{dotted((*path, name))}`{beside}"
                self.report.report(pointer, "target.missing-field", sentence, "the contract asks for it under this condition")

    def _literals(self, value: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
        return {name: told for name, inner in value.items() if (told := self._told(inner, (*pointer, name))) is not None}

    def _alternatives(self, value: dict[str, Any], wanted: dict[str, Any], pointer: Pointer, path: tuple[str, ...]) -> None:
        """Fields that are all known, and that no alternative of the contract takes together: what the nearest lacks, or takes not."""
        literals = self._literals(value, pointer)
        perhaps = {name for name, inner in value.items() if self._may_be_left_out(inner, (*pointer, name))}
        judged = [(form, *self._judged(form, value, literals, perhaps)) for form in wanted[ALTERNATIVES]]
        if not all(missing or strange for _, missing, strange in judged):
            return
        form, missing, strange = min(
            judged, key=lambda one: (not one[0].get("properties", {}).keys().isdisjoint(one[2]), len(one[1] + one[2]))
        )
        shared = set.intersection(*(set(one.get("properties", ())) for one in wanted[ALTERNATIVES]))
        others = [name for name in value if name not in strange and (name in literals or name not in shared)]
        beside = f" beside `{dotted((*path, others[0]))}`" if others else ""
        own = [", ".join(name for name in one.get("required", ()) if name not in wanted.get("required", ())) for one, _, _ in judged]
        hint = f"the contract takes {' or '.join(own)}" if all(own) else f"the contract has {len(own)} alternatives"
        for name in missing:
            sentence = f"{self.name} needs the field `{dotted((*path, name))}`{beside}"
            self.report.report(pointer, "target.missing-field", sentence, hint)
        for name in strange if not missing else ():
            place = dotted((*path, name))
            if name in form.get("properties", {}):
                sentence = f"{self.name}: `{place}` cannot have this value{beside}"
                self.report.report((*pointer, name), "target.not-in-enumeration", sentence, hint)
            else:
                self.report.report(
                    (*pointer, name), "target.unknown-field", f"{self.name} does not take the field `{place}`{beside}", hint, key=True
                )

    @staticmethod
    def _judged(form: Any, value: dict[str, Any], literals: dict[str, Any], perhaps: set[str]) -> tuple[list[str], list[str]]:
        """What the fields lack of an alternative, and which of them it does not take. Those only ``perhaps`` there it need not take."""
        missing, strange = fits(form, value, literals)
        return missing, [name for name in strange if name not in perhaps]

    def _may_be_left_out(self, value: Any, pointer: Pointer) -> bool:
        """Whether a field may have no value: it stands under a condition, or is null at times."""
        used = self.paths.values.by_pointer.get(pointer) if isinstance(value, str) else None
        if used is None:
            return value is None or (isinstance(value, dict) and "$when" in value)
        return "null" in used.expression.text or self.paths.missing.null(used)

    def _told(self, value: Any, pointer: Pointer) -> Any:
        """The value of a literal; None of what is computed."""
        if not isinstance(value, str):
            return value if isinstance(value, (int, float, bool)) else None
        used = self.paths.values.by_pointer.get(pointer)
        return used.expression({}) if used is not None and not used.expression.in_cel and not used.reads.references else None

    def _never_null(self, value: Any, schema: Any, pointer: Pointer, path: tuple[str, ...]) -> None:
        """A field that is never null, fed by one that the contract lets be null."""
        used = self.paths.values.by_pointer.get(pointer) if isinstance(value, str) else None
        if used is not None and not used.guarded and self.paths.missing.null(used) and not takes_null(schema, self.schema):
            text = " ".join(used.expression.text.split())
            sentence = f"{self.name}: `{dotted(path)}` is never null, and {text} may be"
            hint = f"say what then: {{$value: {text}, $default: ...}}, or ask first: `when: {text} != null`"
            self.report.report(pointer, "target.maybe-null", sentence, hint, "warning")

    def _expression(self, schema: Any, pointer: Pointer, path: tuple[str, ...]) -> None:
        used = self.paths.values.by_pointer.get(pointer)
        if used is None:
            return
        if not used.expression.in_cel and not used.reads.references:
            self._literal(used.expression({}), schema, pointer, path)
            return
        found = len(self.report.findings)
        if (constant := self.paths.values.constant(used)) is not None:
            self._literal(constant, schema, pointer, path)
            if not isinstance(constant, dict | list) or len(self.report.findings) > found:
                return
        given = self._narrowed(used, self.paths.values.value(used).schema, schema)
        text = " ".join(used.expression.text.split())
        for side in self.paths.values.sides(used):
            self._given(side, side, schema, pointer, path, f"({text})")
        if given and len(self.report.findings) == found:  # each side tells more than what all have in common
            self._given(given, given, schema, pointer, path, text)
        if not (len(self.report.findings) == found and self._unit(used, schema, pointer, path)):
            self._decimals(given, used, schema, pointer, path, text)
        for told in used.reads.results if len(self.report.findings) == found else ():
            if told.value is None and self._asked(used):
                continue
            place = line_and_column(used.expression.text, told.offset)
            below = (*path, *("" if piece == "[]" else piece for piece in told.path))
            self._literal(told.value, self._below(schema, told.path), pointer, below, place)
        if len(self.report.findings) > found:
            self.paths.doubts.drop(pointer)  # who writes another value need not know whether this one may be missing

    def _narrowed(self, used: Used, given: dict[str, Any], schema: Any) -> dict[str, Any]:
        """What is known of a path's value, without the codes that are not taken and that conditions before it leave out."""
        codes, taken = choices_of(given), choices_of(resolve(schema, self.schema))
        paths = {one.path for one in used.reads.references}
        if not taken or len(paths) != 1 or all(one is None or one in taken for one in codes):
            return given
        path = paths.pop()
        asked = path in self.paths.elsewhere  # by the routes that apply this mapping: who asks is taken to know
        left = [one for one in codes if one in taken] if asked else codes_left(used, path, codes, self.paths.values)
        return given if left == codes else {"enum": left}

    def _decimals(self, given: Any, used: Used, schema: Any, pointer: Pointer, path: tuple[str, ...], text: str) -> None:
        """A number that may have decimals, where a whole one is wanted."""
        if type_of(given) == "number" and type_of(resolve(schema, self.schema)) == "integer" and self.paths.exact(used):
            sentence = f"{self._label(path)} is a whole number, {text} may have decimals: then it is refused"
            hint = f"int(math.round({text})) makes a whole one of it; amounts are whole cents"
            self.report.report(pointer, "target.wrong-type", sentence, hint, "warning")

    def _unit(self, used: Used, schema: Any, pointer: Pointer, path: tuple[str, ...]) -> bool:
        """Whether it is cents where the contract says euro, or the other way round."""
        wanted = {**resolve(schema, self.schema), **({"description": schema["description"]} if "description" in schema else {})}
        told = other_unit(used, self.paths.values, wanted, path[-1]) if path else None
        if told:
            self.report.report(pointer, "target.other-unit", f"{self._label(path)} {told[0]}", told[1], "warning")
        return told is not None

    def _asked(self, used: Used) -> bool:
        """Whether a null that an expression gives is provided for, or it stands under a condition that asks about what it reads."""
        above = filter(None, map(self.paths.values.by_pointer.get, conditions_above(used.pointer)))
        return used.guarded or any(not one.expression.names.isdisjoint(used.expression.names) for one in above)

    def _below(self, schema: Any, path: tuple[str, ...]) -> Any:
        """What is wanted at a path below; {} where nothing is said of it."""
        for piece in path:
            wanted = resolve(schema, self.schema)
            schema = wanted.get("items", {}) if piece == "[]" else wanted.get("properties", {}).get(piece, {})
        return schema

    def _given(self, given: Any, root: Any, wanted: Any, pointer: Pointer, path: tuple[str, ...], text: str) -> None:
        """A value whose schema is known, against the schema it must have, as deep as both go."""
        null = takes_null(wanted, self.schema)
        given, wanted = resolve(given, root), resolve(wanted, self.schema)
        kind, asked, kinds = type_of(given), type_of(wanted), kinds_of(wanted)
        numbers = kind in _NUMBERS and not _NUMBERS.isdisjoint(kinds)
        if kind and kinds and kind not in kinds and not numbers:
            if kind == "null" and null:
                return
            sentence = f"{self._label(path)} is {_either(kinds)}, {text} is {kind}"
            self.report.report(pointer, "target.wrong-type", sentence, _conversion(kind, kinds[0], computed=True))
        elif {given.get("format"), wanted.get("format")} == {"date", "date-time"}:
            sentence = f"{self.name}: `{dotted(path)}` is a {_FORMS[wanted['format']]}, {text} is a {_FORMS[given['format']]}"
            self.report.report(pointer, "target.wrong-type", sentence, _TO_FORM[wanted["format"]])
        elif asked == "object" and kind == "object":
            self._given_fields(given, root, wanted, pointer, path, text)
        elif asked == "array" and kind == "array" and given.get("items"):
            self._given(given["items"], root, wanted.get("items", {}), pointer, (*path, ""), f"{text}[]")
        else:
            self._given_codes(given, wanted, pointer, path, text)

    def _given_fields(self, given: Any, root: Any, wanted: Any, pointer: Pointer, path: tuple[str, ...], text: str) -> None:
        have, take = given.get("properties", {}), wanted.get("properties", {})
        others = wanted.get("additionalProperties")
        for name in have if isinstance(others, dict) else have.keys() & take.keys():
            self._given(have[name], root, take.get(name, others), pointer, (*path, name), f"{text}.{name}")
        missing = [name for name in wanted.get("required", ()) if name not in have] if is_closed(given) else []
        strange = [name for name in have if name not in take] if is_closed(wanted) else []
        said = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has {', '.join(strange)}, which it does not take"] * bool(strange)
        if said:
            code = "target.missing-field" if missing else "target.unknown-field"
            sentence = f"{self.name}: {text} does not fit{f' `{dotted(path)}`' if path else ''}: it {' and '.join(said)}"
            near = next((found for name in strange if (found := suggestion(name, take.keys() - have.keys()))), "")
            self.report.report(pointer, code, sentence, near or "write the fields one by one")

    def _given_codes(self, given: Any, wanted: Any, pointer: Pointer, path: tuple[str, ...], text: str) -> None:
        """Codes that the value may have and the field does not take."""
        codes = [one for one in choices_of(given) if one is not None]
        taken = choices_of(wanted)
        if taken and (strange := [str(one) for one in codes if one not in taken]):
            sentence = f"{self.name}: `{dotted(path)}` does not take {', '.join(strange)}, which {text} may be"
            hint = "it takes " + ", ".join(map(str, taken)) + ": ask before (`when`), choose with ? :, or look it up in a table"
            self.report.report(pointer, "target.not-in-enumeration", sentence, hint)

    def _literal(self, value: Any, schema: Any, pointer: Pointer, path: tuple[str, ...], within: Within = None) -> None:
        """A value that is written out; ``within``: where, in an expression that may give others too."""
        if value is None and takes_null(schema, self.schema):
            return
        wanted = resolve(schema, self.schema)
        choices = choices_of(wanted)
        kind = kind_of(value)
        kinds = kinds_of(wanted)
        if kinds and kind not in kinds and not (kind == "integer" and "number" in kinds):
            sentence = f"{self.name}: `{dotted(path)}` is {_either(kinds)}, not {kind}"
            self.report.report(pointer, "target.wrong-type", sentence, _conversion(kind, kinds[0]), within=within)
        elif choices and value not in choices:
            hint = suggestion(str(value), map(str, choices)) or "one of " + ", ".join(map(str, choices))
            sentence = f"{self.name}: `{dotted(path)}` cannot have this value"
            self.report.report(pointer, "target.not-in-enumeration", sentence, hint, within=within)
        else:
            self._limits(value, wanted, pointer, path, within)

    def _label(self, path: tuple[str, ...]) -> str:
        return f"{self.name}: `{dotted(path)}`" if path else self.name

    def _is(self, wanted: dict[str, Any], kind: str, pointer: Pointer, path: tuple[str, ...]) -> bool:
        kinds = kinds_of(wanted) or [kind]
        if kind not in kinds:
            self.report.report(pointer, "target.wrong-type", f"{self._label(path)} is {_either(kinds)}, not {kind}")
        return kind in kinds


def _either(kinds: list[str]) -> str:
    """The types of JSON that a value may have; that it may be null is told where it is."""
    return " or ".join(one for one in kinds if one != "null" or len(kinds) == 1)


def _conversion(given: str, asked: str, computed: bool = False) -> str:
    if given == "null":
        return _LEFT_OUT
    if (given, asked) == ("array", "string"):
        return '.join(", ") makes one text of several'
    if asked == "string":
        if computed:
            return "text(...) makes text of a number" if given in {"integer", "number"} else ""
        return "a text is written in two pairs of quotes: '\"testo\"'"
    if given == "string" and asked in {"integer", "number"}:
        return "number(...) makes a number of text; an amount is whole cents, as without euro(...)"
    if (given, asked) == ("number", "integer"):
        return "write it without decimals; amounts are whole cents"
    return ""
