"""Which way a route goes, told before it runs: clauses tried on every situation that the contracts allow.

A call can end in as many ways as its operation declares refusals (and a few more); a code of a message has as many values as its
enumeration. The clauses' own conditions are evaluated on all of them, so that what is told here is what the engine would do.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from bus.adapter import Operation
from bus.errors import ExpressionError
from bus.expression import Expression
from bus.expression.reading import COMPARING, Compared
from bus.expression.unions import choices_of
from bus.mapping.shapes import lacks, leads_to_null, schema_at
from bus.mapping.template import Used
from bus.route.known import KINDS, Known, Schema, type_of
from bus.route.parse import Parsed
from bus.source import Pointer, Reporter, nearest, suggestion

MOST = 200
"""More situations than these are not tried."""

_MISSING = object()
"""What stands for no value at all."""
_OTHER = "\ufffd"
"""A text with which no condition compares."""

_TOLD = frozenset({"kind", "code", "outside_code", "effect"})
"""Fields of ``error`` that are known before it happens."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Which clause surely takes a situation, or None; and whether an earlier one may, for all that can be told."""

    clause: int | None
    perhaps: bool


def tried(clauses: Sequence[Expression | None], situation: Mapping[str, Any]) -> Taken:
    """The clause that takes a situation. A condition that cannot be evaluated here may hold."""
    perhaps = False
    for position, when in enumerate(clauses):
        try:
            holds = True if when is None else when(situation)
        except ExpressionError:
            perhaps = True
            continue
        if holds is True:
            return Taken(position, perhaps)
    return Taken(None, perhaps)


# --- the ways a call can fail ----------------------------------------------------------------------------------------


def _failures(name: str, effect: str, refusals: tuple[str, ...]) -> list[dict[str, Any]]:
    """Every ``error`` that a call of an operation can end with, as far as it is declared."""
    ends = [("refused", code, code) for code in refusals]
    ends += [("unreachable", "outside.unreachable", ""), ("invalid", "call.invalid-request", "")]
    if effect != "read":
        ends.append(("in_doubt", "outside.in-doubt", ""))
    return [
        {
            "kind": kind, "code": code, "outside_code": outside, "sentence": "", "operation": name, "attempts": 1, "effect": effect,
            "evidence": None,
        }
        for kind, code, outside in ends
    ]  # fmt: skip


Ended: TypeAlias = "list[tuple[dict[str, Any], Taken]]"


class Ends:
    """Every ``error`` that a call can end with, and the clause that takes it: of all calls that one set of rules makes.

    Kept: many routes ask the same operation and say the same of its refusals. Expressions of the same text are the same object.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, tuple[Expression | None, ...]], Ended] = {}

    def of(self, operation: Operation, clauses: Sequence[Expression | None]) -> Ended:
        key = operation.name, tuple(clauses)
        if key not in self._kept:
            failures = _failures(operation.name, operation.effect, tuple(operation.refusals))
            self._kept[key] = [(error, tried(clauses, {"error": error})) for error in failures]
        return self._kept[key]


def check_failures(
    step: Parsed, clauses: Sequence[Expression | None], operation: Operation, ends: Ended, wrong: Collection[Pointer], report: Reporter
) -> None:
    """Refusals that nobody handles, and clauses that take none of what can happen. ``wrong`` are conditions with a finding of their own."""
    left = [] if step.model.dead_on == "any" or any(map(_is_of_no_kind, clauses)) else _left(ends, operation)
    accepted = step.model.dead_on if isinstance(step.model.dead_on, list) else []
    for position, code in enumerate(accepted):
        if code not in operation.refusals:
            hint = suggestion(code, operation.refusals) or "it declares " + (", ".join(operation.refusals) or "none")
            sentence = f"`{step.model.call}` never refuses with `{code}`"
            report.report((*step.pointer, "dead_on", position), "refusal.unknown", sentence, hint)
    told = {nearest(code, operation.refusals) for code in _misspelt(accepted, clauses, operation)}
    if left := [code for code in left if code not in accepted and code not in told]:
        shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        hint = "say what to do in `on_error`, or `dead_on: any` if a person should look at it"
        sentence = f"`{step.model.call}` may refuse with {shown}, and no clause takes it"
        report.report((*step.pointer, "call"), "refusal.unhandled", sentence, hint, "warning")
    taken = {one.clause for _, one in ends}
    if all(when is None or _told_by_error(when) for when in clauses):
        for position, when in _never_taken(clauses, taken):
            place = (*step.pointer, "on_error", position)
            if (*place, "when") not in wrong and not _of_our_own(when):
                sentence = f"`{step.model.call}` never ends so, or a clause above takes it: this one is never taken"
                report.report(place, "step.unreachable", sentence, "", "warning")


def _left(ends: Iterable[tuple[dict[str, Any], Taken]], operation: Operation) -> list[str]:
    """The refusals that no clause takes. Those of the protocol (HTTP_401) are nothing that a route could answer, so nobody is asked to."""
    codes = (str(error["code"]) for error, taken in ends if error["kind"] == "refused" and taken.clause is None and not taken.perhaps)
    return [code for code in codes if not operation.is_technical(code)]


def _misspelt(accepted: Sequence[str], clauses: Iterable[Expression | None], operation: Operation) -> Iterator[str]:
    """What a step takes for codes of the operation, and are none: there is a finding of its own for each."""
    compared = (text for when in clauses if when for text in when.reads.texts_beside(("error", "code")))
    yield from (code for code in (*accepted, *compared) if code not in operation.refusals)


def _is_of_no_kind(when: Expression | None) -> bool:
    """Whether a clause asks for a kind of error that there is not: nobody knows what it was to take."""
    return when is not None and any(text not in KINDS for text in when.reads.texts_beside(("error", "kind")))


def reached(step: Parsed, part: str, report: Reporter) -> Iterator[int]:
    """The positions of a step's clauses, each after what is said of it: none is taken after one that always holds."""
    always, seen = False, set[str]()
    for position, clause in enumerate(getattr(step.model, part)):
        why = "the clause above always holds" if always else "a clause above has the same condition" if clause.when in seen else ""
        if why:
            report.report((*step.pointer, part, position), "step.unreachable", f"{why}, so this one is never taken", "", "warning")
        always = always or clause.when is None
        seen.add(clause.when)
        yield position


def _never_taken(clauses: Sequence[Expression | None], taken: Collection[int | None]) -> Iterator[tuple[int, Expression]]:
    """Clauses that no situation takes. Of those behind one that always holds, or that has the same condition, it is said already."""
    for position, when in enumerate(clauses):
        if when is None:
            return
        if position not in taken and when not in clauses[:position]:
            yield position, when


def _told_by_error(when: Expression) -> bool:
    return all(one.path[0] == "error" and one.path[1:2] and one.path[1] in _TOLD for one in when.reads.references)


def _of_our_own(when: Expression) -> bool:
    """Compared with the code of one of our own errors: which of them can happen is not declared."""
    return any("." in text for one in when.reads.compared for text, _ in one.texts)


def ends_the_run(ends: Ended, ending: frozenset[int]) -> bool:
    """Whether a refusal of a call can end the run: no clause takes it, or one whose steps end (``ending``)."""
    taken = (one for error, one in ends if error["kind"] == "refused")
    return any((one.clause is None and not one.perhaps) or one.clause in ending for one in taken)


# --- the values of codes ---------------------------------------------------------------------------------------------


def situations(clauses: Sequence[Expression | None], names: Mapping[str, Known]) -> list[dict[str, Any]] | None:
    """Every combination of the codes, the truths, and the numbers and texts on either side of what they are compared with, that the clauses
    read; None when they read anything else.
    """
    domains: dict[tuple[str, ...], list[Any]] = {}
    plain = set[tuple[str, ...]]()
    conditions = [when for when in clauses if when]
    compared = [one for when in conditions for one in when.reads.compared if one.whole]
    for when in conditions:
        whole = {(one.path, one.offset) for one in when.reads.compared if one.whole}
        for one in when.reads.references:
            if "[]" in one.path or one.tested:
                return None
            values = _values_at(one.path, names, compared, sides=(one.path, one.offset) in whole)
            if values is None:
                return None
            domains[one.path] = values
            plain |= set() if one.kept or one.same else {one.path}
    for path in domains.keys() - plain:  # those for which `orValue` has another value, wherever they are read
        domains[path] += [_MISSING] if lacks(names[path[0]].schema, path[1:], ()) == "missing" else []
    return None if _overlap([*domains], ()) else _situations(domains) or None


def _values_at(path: tuple[str, ...], names: Mapping[str, Known], compared: Iterable[Compared], *, sides: bool) -> list[Any] | None:
    """What may stand at a path: its values, or with ``sides`` some on either side of what it is compared with; None where nobody knows."""
    known = names.get(path[0])
    schema = schema_at(known.schema, path[1:]) if known else {}
    values = _values(schema) or (_sides(schema, [one for one in compared if one.path == path]) if sides else None)
    if values is None:
        return None
    return [*values, None] if known and None not in values and leads_to_null(known.schema, path[1:]) else values


def _values(schema: Schema) -> list[Any] | None:
    """All values that a schema takes; None where there are too many to name."""
    if schema.get("type") == "boolean" and "anyOf" not in schema:
        return [True, False]
    return choices_of(schema) or None


def _sides(schema: Schema, compared: Sequence[Compared]) -> list[Any] | None:
    """Values of which each stands otherwise to what it is compared with, as the schema allows them; None where nobody knows."""
    told = {value for one in compared for value, _ in one.values}
    kind = type_of(schema)
    if kind == "string" and all(isinstance(one, str) for one in told) and all(one.function in COMPARING for one in compared):
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        return [*(one for one in sorted(told) if least <= len(one) <= most), _OTHER]
    if kind not in {"integer", "number"} or not all(type(one) in {int, float} for one in told):
        return None
    points = sorted({*told, *(schema[word] for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if word in schema)})
    near = {*points, *(one + step for one in points for step in (-1, 1)), *((a + b) / 2 for a, b in itertools.pairwise(points))}
    whole = {side(one) for one in near for side in (math.floor, math.ceil)}
    return [one for one in sorted(whole if kind == "integer" else near) if _within(one, schema)] or None


def _within(number: float, schema: Mapping[str, Any]) -> bool:
    over = number >= schema.get("minimum", number) and number > schema.get("exclusiveMinimum", -math.inf)
    return bool(over and number <= schema.get("maximum", number) and number < schema.get("exclusiveMaximum", math.inf))


def nested(values: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """What expressions see where some paths have values, and nothing else has one."""
    scope: dict[str, Any] = {}
    for path, value in values.items():
        here = scope
        for piece in path[:-1]:
            here = here.setdefault(piece, {})
        if value is not _MISSING:
            here[path[-1]] = value
    return scope


def check_choices(
    step: Parsed, clauses: Sequence[Expression | None], names: Mapping[str, Known], wrong: Collection[Pointer], report: Reporter
) -> bool:
    """Clauses of a choice that no value reaches, and an ``otherwise`` that none is left for; whether none is left."""
    always, place = any(clause.when is None for clause in step.model.choose), (*step.pointer, "choose")
    faulty = {at for at in range(len(clauses)) if (*place, at, "when") in wrong}
    sound = [(at, when) for at, when in enumerate(clauses) if when and at not in faulty]
    every, told = situations(clauses, names), [at for at, when in sound if ever(when, names)]
    for at in told:
        _tell_ever((*place, at, "when"), report)
    if every is None or told:
        for at, when in sound:
            if when not in clauses[:at] and never(when, names):
                _tell_unreached((*place, at), report)
        return always
    taken = [tried(clauses, one) for one in every]
    if faulty or any(one.perhaps for one in taken):
        return always
    reached = {one.clause for one in taken}
    for at, _ in _never_taken(clauses, reached):
        _tell_unreached((*place, at), report)
    if None not in reached and step.model.otherwise and all(clauses):
        _tell_unreached((*step.pointer, "otherwise"), report, key=True)
    return None not in reached


def _tell_unreached(pointer: Pointer, report: Reporter, *, key: bool = False) -> None:
    sentence = "no value that the contracts allow leads here: this is never taken"
    report.report(pointer, "step.unreachable", sentence, "", "warning", key=key)


def check_condition(used: Used, names: Mapping[str, Known], report: Reporter) -> None:
    """A condition that no value fulfils which the contracts allow, or that all do, whatever else it reads."""
    when = used.expression
    if never(when, names):
        sentence = "no value that the contracts allow makes this true"
        report.report(used.pointer, "condition.constant", sentence, "correct it, or delete what it guards", "warning")
    elif ever(when, names):
        _tell_ever(used.pointer, report)


def situations_of(when: Expression, names: Mapping[str, Known]) -> list[dict[str, Any]]:
    """Every combination of what is known of what a condition reads; none where nobody knows."""
    return situations([when], names) or _partly(when, names)


def never(when: Expression, names: Mapping[str, Known]) -> bool:
    """Whether a condition is false for every value that the contracts allow of what is known; what it reads beside may be anything."""
    every = situations_of(when, names)
    return bool(every) and all(tried([when], one) == Taken(None, False) for one in every)


def ever(when: Expression, names: Mapping[str, Known]) -> bool:
    """Whether a condition that asks for one thing or another is true for every value, also those that no contract allows."""
    every = _partly(when, names, more=True) if "||" in when.text else []
    return bool(every) and all(tried([when], one) == Taken(0, False) for one in every)


def _tell_ever(pointer: Pointer, report: Reporter) -> None:
    sentence = "every value makes this true: whatever it is not the one, it is not the other"
    report.report(pointer, "condition.constant", sentence, "is `&&` meant? Else delete it", "warning")


def _partly(when: Expression, names: Mapping[str, Known], *, more: bool = False) -> list[dict[str, Any]]:
    """Every combination of what is known of what a condition reads; ``more``: and a code that its contract does not have. What else it
    reads has no value, so that its operators tell whether that matters. None where a question would be answered by that.
    """
    asked = when.reads.references
    compared = [one for one in when.reads.compared if one.whole and "[]" not in one.path]
    if not compared or any(one.tested for one in asked) or ".?" in when.text or "[?" in when.text:
        return []
    domains: dict[tuple[str, ...], list[Any]] = {}
    whole = {(one.path, one.offset) for one in compared}
    for path in {one.path for one in compared}:
        alone = all((path, one.offset) in whole for one in asked if one.path == path)
        values = _values_at(path, names, compared, sides=alone)
        if values is not None:
            domains[path] = [*values, _OTHER] if more and isinstance(values[0], str) and _OTHER not in values else values
    around = [one.path for one in asked if one.path not in domains]
    return [] if _overlap([*domains], around) else _situations(domains)


def _overlap(paths: Sequence[tuple[str, ...]], around: Sequence[tuple[str, ...]]) -> bool:
    """Whether a path leads through another one, or through one of those ``around``: that could be no value of its own."""
    return any(a != b and b[: len(a)] == a for a in (*paths, *around) for b in paths)


def _situations(domains: Mapping[tuple[str, ...], list[Any]]) -> list[dict[str, Any]]:
    """Every combination of some values at some paths; none where there are too many."""
    if not domains or math.prod(map(len, domains.values())) > MOST:
        return []
    return [nested(dict(zip(domains, values, strict=True))) for values in itertools.product(*domains.values())]


def clauses_of(step: Parsed, part: str, uses: Mapping[Any, list[Any]]) -> list[Expression | None]:
    """The conditions of a step's clauses, in order."""
    found = {used.pointer: used.expression for used in uses.get(step.pointer, ())}
    return [found.get((*step.pointer, part, position, "when")) for position in range(len(getattr(step.model, part)))]
