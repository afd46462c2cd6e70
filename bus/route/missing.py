"""What may be missing or null where an expression is evaluated: doubts, which are told when a whole document was checked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from bus.expression.literals import misfit
from bus.expression.reading import Reference, as_written
from bus.expression.typing import ANYTHING
from bus.mapping.compile import place_of
from bus.mapping.shapes import SIFTED, TOLD_BY, conditions_of, lacks, leads_to_null, schema_at
from bus.mapping.template import Used, part_of, tested_in
from bus.route.doubts import Doubts, asked_by_has, asked_for_null, conditions_above, conditions_before, kept_nulls
from bus.route.known import type_of
from bus.route.values import NEEDED, Values
from bus.source import Reporter, line_and_column

Lack: TypeAlias = tuple[str, int]
"""Why a path may lead to nothing, ``missing`` or ``null``, and how many of its pieces tell."""
_OR_ELSE = re.compile(r"\s*[A-Za-z_]\w*(?:\.\??\w+)+\.orValue\([^()]*\)\s*")
_WITHOUT_A_CONTRACT = frozenset({"case", "error"})
"""Names whose fields nobody declares to be surely there."""
_NONE_OF = {"array": "[]", "string": '""', "boolean": "false", "integer": "0", "number": "0.0"}
"""What could stand for a value that is not there, by its kind."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What of the paths that expressions of one place read may not be there. Its parts are those of `bus.route.paths.Paths`."""

    values: Values
    report: Reporter
    asked: frozenset[tuple[str, ...]]
    elsewhere: frozenset[tuple[str, ...]]
    doubts: Doubts

    def null(self, used: Used) -> bool:
        """Whether the value that a path reads, plain or with ``orValue``, may be null, though the route never asks."""
        expression = used.expression
        if expression.in_cel or not expression.reads.references:
            return bool(_OR_ELSE.fullmatch(expression.text) and self._kept_nulls(used))
        path = expression.reads.references[0].path
        return self._lack(used, path, self.asked) == ("null", len(path)) or (len(path) > 1 and self._there_as_null(path, used))

    def needed(self, used: Used) -> list[tuple[str, ...]]:
        """The paths without whose value the expression has none, and that may have none, as long as nobody asks."""
        needed = (one.path for one in _needed(used) if one.path[0] not in _WITHOUT_A_CONTRACT)
        return [path for path in needed if self._stops(used, path, frozenset())]

    def tell(self, used: Used, needed: Collection[tuple[str, ...]]) -> None:
        """What may be missing or null is doubtful; ``needed``: see `Missing.needed`, none where its names are not surely there."""
        self._never(used)
        if needed and not used.guarded:
            self._missing(used, needed)
        self._kept(used)
        self._unfit(used)
        self._null_on_the_way(used)
        self._null_though_there(used)
        if used.reads.items and not used.guarded:
            self._null_items(used)
        if used.reads.places and not used.guarded:
            self._no_item(used)

    def _stops(self, used: Used, path: tuple[str, ...], asked: frozenset[tuple[str, ...]]) -> Lack | None:
        """What may be lacking at a path so that the expression has no value. A null at the path's end is a value, if nothing refuses it."""
        lack = self._lack(used, path, asked)
        walked = part_of(used.pointer) in {"each", "$each"} and not used.expression.in_cel
        bare = any(one.bare and one.needed and one.path == path for one in used.reads.references)
        return None if lack == ("null", len(path)) and not walked and not bare else lack

    def _lack(self, used: Used, path: tuple[str, ...], asked: frozenset[tuple[str, ...]]) -> Lack | None:
        """Why a path may lead to nothing; None where it does not, or somebody asks."""
        there = max(1, min((one.settled for one in _needed(used) if one.path == path), default=0))
        while there < len(path):
            schema = self.values.at(path[:there], used).schema
            near = [one[there:] for one in asked if one[:there] == path[:there]]
            if not lacks(schema, path[there:], near):
                return None
            lengths = range(there + 1, len(path) + 1)
            lack = next((why, length) for length in lengths if (why := lacks(schema, path[there:length], near)))
            if not any(len(one) >= max(lack[1], 2) and path[: len(one)] == one for one in asked):
                return lack
            there = lack[1]  # somebody asks about that: whether there is more in it is another question
        return None

    def _told_beside(self, used: Used, path: tuple[str, ...]) -> bool:
        """Whether a neighbour tells if a field is there, by a condition of the schema (``if``) or by the form that goes with it, and the
        way to a place asks about that.
        """
        told = [one for one in conditions_of(schema_at(self.values.named(path[0], used).schema, path[1:-1])) if isinstance(one["if"], dict)]
        sides = ((one["if"], one.get(word)) for one in told for word in ("then", "else"))
        asked = [condition for condition, side in sides if isinstance(side, dict) and path[-1] in side.get("required", ())]
        beside = {(*path[:-1], name) for one in asked for name in (*one.get("properties", ()), *one.get("required", ()))}
        for end in range(2, len(path)):
            told_by = schema_at(self.values.named(path[0], used).schema, path[1:end]).get(TOLD_BY, ())
            beside.update((*path[: end - 1], name) for name in told_by)
        before = conditions_before(used.pointer, self.values.by_pointer) if beside else ()
        return not beside.isdisjoint(self.elsewhere.union(*([one.path for one in each.reads.references] for each in before)))

    def _missing(self, used: Used, needed: Collection[tuple[str, ...]]) -> None:
        """What the expression needs and the contract lets be missing, if nobody asks; a condition is not asked by itself."""
        asked = self.asked_of(used)
        found = ((one, *lack) for one in needed if (lack := self._stops(used, one, asked | _sifted(used, one))))
        first = next((one for one in found if not self._told_beside(used, one[0][: one[2]])), None)
        if first is None:
            return
        path, why, length = first
        name = as_written(path[:length])
        hint = _asked_for_null(used, path, length) if why == "null" else self._instead(used, path, length)
        within = place_of(used, tuple(piece for piece in path[:length] if piece != "[]"))
        sentence = f"`{name}` may be {why}: then this has no value"
        tell = partial(self.report.report, used.pointer, "path.maybe-missing", sentence, hint, "warning", within=within)
        clause = used.pointer[-3:-2] == ("choose",)  # the first that cannot be told ends the run
        self.doubts.add((*used.pointer[:-2], name) if clause else used.pointer, path[0], tell)

    def _never(self, used: Used) -> None:
        """What is read just where ``has`` has said that it is not there: its two sides were exchanged."""
        for one in used.reads.references:
            if one.never:
                name = as_written(one.path)
                sentence = f"`{name}` is read only where `has` says that something of it is missing: then this has no value"
                hint = "exchange the two sides: `has(a) && a > 1`, `has(a) ? a : 0`"
                within = line_and_column(used.expression.text, one.offset + 1)
                tell = partial(self.report.report, used.pointer, "path.maybe-missing", sentence, hint, "warning", within=within)
                self.doubts.add((*used.pointer, name), one.path[0], tell)

    def asked_of(self, used: Used) -> frozenset[tuple[str, ...]]:
        """The paths that some condition asks about. What a condition reads itself it asks with `has` alone; else another one must."""
        if not used.is_condition:
            return self.asked
        read = {one.path for one in used.reads.references if not one.tested}
        return self.asked - read | tested_in(self.values.by_pointer.values()) | self.elsewhere.union(self._asked_by_others(used))

    def _asked_by_others(self, used: Used) -> Iterator[tuple[str, ...]]:
        """The paths of which another condition asks whether they are null; all that are read by those that hold where this one is asked,
        and surely by those that do not.
        """
        hold = set(conditions_above(used.pointer))
        for one in self.values.by_pointer.values():
            if one.is_condition and one is not used:
                yield from asked_for_null(one)
        for one in conditions_before(used.pointer, self.values.by_pointer):
            if one is not used:
                yield from (reference.path for reference in one.reads.references if reference.free or one.pointer in hold)

    def _kept(self, used: Used) -> None:
        """Where ``orValue`` is to stand for what may be null, too: it gives the null on. Of a whole value its target says so, if any."""
        text = used.expression.text
        given = "orValue" not in text or (_OR_ELSE.fullmatch(text) and NEEDED.get(part_of(used.pointer), "key") == "key")
        for path in () if given else self._kept_nulls(used):
            name = as_written(path)
            hint = f"write default({as_written(path[:-1])}.?{path[-1]}.orValue(null), …): it has another value for both"
            sentence = f"`{name}` may be null, and orValue has another value only where it is missing"
            self._doubt(used, path, "path.kept-null", sentence, hint)

    def _unfit(self, used: Used) -> None:
        """Where `orValue` or `default` has a value for what is not there, and a function or an operator gets it that never takes it."""
        for one in used.reads.literals:
            found = misfit(one.function, one.operand, one.value) if one.path and one.path not in self.asked_of(used) else None
            if found is not None:
                sentence = f"{found[0]}: where `{as_written(one.path)}` is missing, this has no value"
                within = line_and_column(used.expression.text, one.offset)
                hint = found[1] or "ask first with ? :"
                tell = partial(self.report.report, used.pointer, "expression.literal", sentence, hint, "warning", within=within)
                self.doubts.add((*used.pointer, as_written(one.path)), one.path[0], tell)

    def _doubt(self, used: Used, path: tuple[str, ...], code: str, sentence: str, hint: str) -> None:
        """A warning about a path in an expression, for `Doubts` to tell."""
        tell = partial(self.report.report, used.pointer, code, sentence, hint, "warning", within=place_of(used, path))
        self.doubts.add((*used.pointer, as_written(path)), path[0], tell)

    def _null_on_the_way(self, used: Used) -> None:
        """An object that may be null, of which ``.?`` asks a field: it passes over one that is missing, and fails at a null."""
        if ".?" not in used.expression.text:
            return
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
        asking = self.asked_of(used)
        for one in used.reads.places:
            known, name = self.values.named(one.path[0], used), as_written(one.path)
            listed = schema_at(known.schema, one.path[1:])
            of_contract = known.typed != ANYTHING and len(one.path) > 1 and "[]" not in one.path and type_of(listed) == "array"
            lack = self._lack(used, one.path, asking)
            asked = one.path in asking or (lack and not one.or_none)  # that it may be missing is told
            if of_contract and not asked and (lack or one.number >= listed.get("minItems", 0)):
                hint = f"ask first: `when: size({name}) > {one.number}`, or say `minItems: {one.number + 1}` in its contract"
                if lack:
                    hint = f"ask first: `when: size(default({'.?'.join(one.path)}.orValue(null), [])) > {one.number}`"
                self._doubt(used, one.path, "path.maybe-missing", f"`{name}` may have no item [{one.number}]: then this has no value", hint)

    def _null_item(self, path: tuple[str, ...], used: Used) -> bool:
        schema = self.values.named(path[0], used).schema
        return path not in self.asked and leads_to_null(schema, path[1:]) and SIFTED not in schema_at(schema, path[1:])

    def _there_as_null(self, path: tuple[str, ...], used: Used) -> bool:
        """Whether what is at a path may be null, and is asked by nobody but `has`."""
        if path not in self.asked or "[]" in path or not leads_to_null(self.values.named(path[0], used).schema, path[1:]):
            return False
        asking = [one for one in self.values.by_pointer.values() if one.is_condition]
        return asked_by_has(path, [used, *asking] if used.expression.in_cel else asking)

    def _kept_nulls(self, used: Used) -> list[tuple[str, ...]]:
        paths = kept_nulls(used, self.values.by_pointer.values())
        return [path for path in paths if leads_to_null(self.values.named(path[0], used).schema, path[1:])]

    def _instead(self, used: Used, path: tuple[str, ...], length: int) -> str:
        """What to write where a path may end after ``length`` pieces."""
        listed, last = "[]" in path[:length], part_of(used.pointer)
        asked = "`has(...)`" if listed else f"`has({'.'.join(path[:length])})`"
        ask = f"ask first: {asked}, or make it mandatory in its contract"
        if path in {one.path for one in used.reads.holders} - {one.path for one in used.reads.references if one.needed}:
            return f"ask of that first: {asked.removesuffix('`')} && has(...)`, or make it mandatory in its contract"
        if not used.expression.in_cel and last in {"", "with", "collect", "$value", "$default"}:
            return f"say what then: {{$value: {used.expression.text.strip()}, $default: ...}}, {ask}"
        if "[]" in path[length:]:  # an item of what may be missing has no optional form
            return ask
        schema = self.values.at(path, used).schema
        kind = "" if schema.get("format") in {"date", "date-time"} else type_of(schema)  # an empty text is no date
        lead, end = ("", length) if listed else (".".join(path[: length - 1]), len(path))
        optional = "".join(f".?{piece}" for piece in path[length - 1 : end])
        return f"write `{lead}{optional}.orValue({_NONE_OF.get(kind, '...')})`, {ask}"


def _needed(used: Used) -> Iterator[Reference]:
    """What an expression needs a value of: also that of which `has` asks a field."""
    yield from (one for one in used.reads.references if one.needed)
    yield from used.reads.holders


def _sifted(used: Used, path: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    """What is asked by filters around each place where an expression needs the value of a path."""
    return frozenset.intersection(*(frozenset(one.sifted) for one in _needed(used) if one.path == path))


def _asked_for_null(used: Used, path: tuple[str, ...], length: int) -> str:
    """How to ask of what may be null after ``length`` pieces of a path; of what is in a list, each item by itself."""
    *_, listed = (0, *(end for end, piece in enumerate(path[:length], 1) if piece == "[]"))
    if listed:
        field = as_written(("x", *path[listed:length]))
        return f"ask of each item: {field} != null && …, or {field} == null ? … : …"
    name = as_written(path[:length])
    other = f", or write default({name}, …)" if length == len(path) and used.expression.in_cel else ""
    return f"ask first: `when: {name} != null`{other}"
