"""A route's document as a tree of steps: each step known by its kind and checked against its model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from bus.expression import name_problem
from bus.mapping.template import local_names
from bus.mapping.types import BUILT_IN
from bus.route.model import RouteDocument
from bus.route.steps import KINDS
from bus.source import Pointer, Reporter, meant_by, nearest, report_empty, validated, wrong_fields

MOST_STEPS = 500
_NEVER_EMPTY = frozenset(
    {"as", "case", "when", "timeout", "retry", "mapping", "undo", "limit", "match", "deadline", "by", "count", "until", "dead_on", "reason"}
)

_STAND_INS: dict[str, Any] = {
    "timeout": None,
    "retry": None,
    "limit": None,
    "undo": None,
    "again": 0,
    "deadline": "1d",
    "dead_on": "any",
    "fail": "not.read",
}
"""What stands for a field that is wrong, and on which nothing else depends: the rest of the step is checked all the same."""
_ELSEWHERE = {
    "switch": "choose", "for": "each", "loop": "each", "request": "call", "invoke": "call", "respond": "reply", "return": "reply",
    "sleep": "wait", "delay": "wait", "publish": "send", "emit": "send", "assign": "set", "throw": "fail", "abort": "fail",
    "chiama": "call", "attendi": "wait", "raccogli": "gather", "scegli": "choose", "per_ogni": "each", "invia": "send", "manda": "send",
    "rispondi": "reply", "imposta": "set", "fallisci": "fail",
}  # fmt: skip
"""What kinds of steps are called in other notations, and in Italian."""
_OF_STEPS = frozenset({"id", "when", "with", "as"})
"""Fields that no kind of step is meant by."""
_OF_CALLS = frozenset({"case", "timeout", "retry", "on_error", "dead_on", "undo", "limit"})
"""Fields of a call that a `send` has not."""
_OTHER_CASE = frozenset({"otherwise", "else", "default", "altrimenti"})
"""What people call the steps for when no clause holds."""
_PERHAPS = frozenset({"dead_on", "deadline"})
"""What a step may have meant by a field that nobody knows: that it lacks these has the same cause."""


@dataclass(slots=True)
class Parsed:
    """One step as written. ``blocks`` are its nested steps, by where they stand: ``("on_error", 0, "steps")``, ``("otherwise",)`` ...

    ``gives`` are the names that it gives to the steps after it, with where they are written; ``unclear``: it says something that is not
    understood, so that what it seems to lack has that cause; ``written`` is the kind that stands there where another one was meant.
    """

    kind: str
    model: Any
    pointer: Pointer
    blocks: dict[Pointer, list[Parsed]] = field(default_factory=dict)
    gives: list[tuple[str, Pointer]] = field(default_factory=list)
    unclear: bool = False
    written: str = ""

    @property
    def what(self) -> Any:
        """What stands behind its kind: the operation that it calls, the type that it sends or waits for, the list that it goes through."""
        return getattr(self.model, self.kind)

    def block(self, *where: str | int) -> list[Parsed]:
        return self.blocks.get(where, [])


@dataclass
class ParsedRoute:
    """A route as written: its head and its steps; ``complete`` when every step could be read.

    ``lost`` are the names, and ``lost_keys`` the keys of the case, that steps which could not be read would have given; and what is read in
    the place of names that cannot be one.
    """

    model: RouteDocument
    document: dict[str, Any]
    steps: list[Parsed]
    complete: bool
    lost: frozenset[str] = frozenset()
    lost_keys: frozenset[str] = frozenset()

    @cached_property
    def names(self) -> frozenset[str]:
        """All names that some expression of the route may see beside those that are always there."""
        found = {*local_names(self.document.get("steps")), *self.lost, "error", "arrival", "items"}
        for step in self.every:
            found.update(name for name, _ in step.gives)
            if step.kind == "each":
                found.update((step.model.item, "index"))
        return frozenset(name for name in found if not name_problem(name))

    @cached_property
    def every(self) -> tuple[Parsed, ...]:
        """All steps in file order, nested ones after their parent."""
        return tuple(walk(self.steps))


def walk(steps: list[Parsed]) -> Iterator[Parsed]:
    for step in steps:
        yield step
        for inner in step.blocks.values():
            yield from walk(inner)


def leaking(steps: list[Parsed]) -> Iterator[tuple[str, Pointer]]:
    """Names that a list of steps defines for the steps after it."""
    for step in steps:
        yield from step.gives
        if step.kind != "each":
            for inner in step.blocks.values():
                yield from leaking(inner)


def parse_route(document: Any, report: Reporter) -> ParsedRoute | None:
    """Read a route's document; None when its head says nothing that its steps could be checked with."""
    whole = validated(document, RouteDocument, report)
    model = whole or _what_can_be_read(document)
    if model is None:
        return None
    reader = _Reader(report)
    if "key" in document and document["key"] is None:
        report_empty(report, ("key",))
    steps = reader.steps(document["steps"], ("steps",))
    complete = whole is not None and not reader.failed
    return ParsedRoute(model, document, steps, complete, frozenset({*reader.lost, *_spoilt(steps)}), frozenset(reader.lost_keys))


def written_as_name(text: str) -> str:
    """How one would write what was given as a name and cannot be one: `nome_breve` for `nome-breve`, `eta` for `età`."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return re.sub(r"\W+", "_", plain)


def _may_name(identity: Any) -> bool:
    """Whether a step's id may be the name of what it gives, too."""
    return isinstance(identity, str) and not name_problem(identity) and identity not in BUILT_IN


def _spoilt(steps: list[Parsed]) -> Iterator[str]:
    """What an expression reads where a name is given that cannot be one (`nome-breve`): its words, and how it would be written."""
    for step in walk(steps):
        for name in (*(name for name, _ in step.gives), *([step.model.item] if step.kind == "each" else ())):
            if name_problem(name):
                yield from (written_as_name(name), *re.findall(r"\w+", name))


def _what_can_be_read(document: Any) -> RouteDocument | None:
    """The head of a route without the fields that are wrong, so that what is wrong elsewhere is told in the same run."""
    wrong = wrong_fields(document, RouteDocument)
    if wrong & {"", "route", "on", "case", "steps"}:
        return None
    wrong |= {"given", "tests"} if wrong & {"given", "tests"} else set()
    return RouteDocument.model_validate({"version": 1, **{name: value for name, value in document.items() if name not in wrong}})


class _Reader:
    def __init__(self, report: Reporter) -> None:
        self.report = report
        self.failed = False
        self.seen: dict[str, Pointer] = {}
        self.lost: set[str] = set()
        self.lost_keys: set[str] = set()

    def steps(self, written: Any, pointer: Pointer) -> list[Parsed]:
        torn = {position for position, (one, other) in enumerate(pairwise(written)) if _torn(one, other)}
        for position in torn:
            self.failed = True
            self._lose(written[position + 1])
            sentence = "a second step begins here, and the one above has no kind"
            hint = f"delete the dash, and write `{next(iter(written[position + 1]))}` in the column of `id`"
            self.report.report((*pointer, position + 1), "step.unknown-kind", sentence, hint)
        rest = [number for number in range(len(written)) if not {number, number - 1} & torn]
        found = (self._step(written[number], (*pointer, number)) for number in rest)
        return [one for one in found if one is not None]

    def _step(self, written: dict[str, Any], pointer: Pointer) -> Parsed | None:
        written = whole = self._named(written, pointer)
        kind, right = self._kind(written, pointer)
        model = validated(written, KINDS[kind], self.report, pointer) if kind and right is written else None
        self._identity(written, pointer)
        unclear = self._empty(written, pointer, wrong_fields(written, KINDS[kind]) if kind and model is None else set())
        if not kind or model is None:
            self.failed = True
            right, more = self._righted(right, KINDS[kind], pointer) if kind else ({}, False)
            unclear = unclear or more
            if not right:
                self._lose(written)
                return None
            written, model = right, KINDS[kind].model_validate(right)
        other = next((one for one in KINDS if one in whole and one != kind), "")
        parsed = Parsed(kind, model, pointer, gives=_names(kind, model, pointer), unclear=unclear, written=other)
        for where, inner in _blocks(kind, written):
            parsed.blocks[where] = self.steps(inner, (*pointer, *where))
        return parsed

    def _named(self, written: dict[str, Any], pointer: Pointer) -> dict[str, Any]:
        """A step whose id stands in the place of a field, ``- rispondi:``, as it was meant."""
        if "id" in written:
            return written
        kinds = [key for key in written if key in KINDS]
        known = {info.alias or name for kind in kinds for name, info in KINDS[kind].model_fields.items()}
        alone = [name for name, value in written.items() if value is None and name not in known]
        if len(kinds) != 1 or len(alone) != 1:
            return written
        self.failed = True
        hint = f"write `- id: {alone[0]}`"
        self.report.report((*pointer, alone[0]), "field.unknown", f"there is no field `{alone[0]}` here", hint, key=True)
        self.report.also(pointer, alone[0], "id")
        return {"id": alone[0], **{name: value for name, value in written.items() if name != alone[0]}}

    def _righted(self, written: dict[str, Any], kind: type[BaseModel], pointer: Pointer) -> tuple[dict[str, Any], bool]:
        """A step with wrong fields as it can be checked all the same, and whether it says more than is understood; empty if it cannot.

        A misspelt field is taken for the one that was meant, another unknown one is left out, and something stands for what is wrong.
        """
        known = {info.alias or name for name, info in kind.model_fields.items()}
        meant = _meant(written, known)
        right = {meant.get(name, name): value for name, value in written.items() if name in known or name in meant}
        wrong = wrong_fields(right, kind)
        meant = {name: near for name, near in meant.items() if near not in wrong}
        right = {name: value for name, value in right.items() if name in written or name in meant.values()}
        unknown = written.keys() - known - meant.keys()
        perhaps = _PERHAPS - right.keys() if unknown else set()
        right |= {name: _STAND_INS[name] for name in known & _STAND_INS.keys() & (wrong | perhaps)}
        if "as" in wrong - right.keys() and _may_name(written.get("id")):
            right["as"] = written["id"]  # by which it is read, perhaps
        if wrong_fields(right, kind):
            return {}, False
        for name, near in meant.items():
            self.report.also(pointer, name, near)
        self._lose([{"as": written[name]} for name in unknown] + [written[name] for name in unknown])
        return right, bool(unknown)

    def _empty(self, written: dict[str, Any], pointer: Pointer, wrong: set[str]) -> bool:
        """Whether fields hold nothing: written so they would be passed over in silence. ``wrong`` are told already."""
        empty: list[Pointer] = [(name,) for name in written.keys() & _NEVER_EMPTY - wrong if written[name] is None]
        for part in {"choose", "on_error"} & written.keys() - wrong:
            clauses = written[part] if isinstance(written[part], list) else []  # of a step of no kind nobody has looked at them
            empty += [(part, at, "when") for at, one in enumerate(clauses) if isinstance(one, dict) and one.get("when", "") is None]
        for where in empty:
            self.failed = True
            report_empty(self.report, (*pointer, *where), key=True)
        return bool(empty)

    def _lose(self, written: Any) -> None:
        """Remember what a step that cannot be read would have given, so that those after it are not found wrong too."""
        if isinstance(written, list):
            for inner in written:
                self._lose(inner)
        elif isinstance(written, dict):
            self.lost |= {name for part in ("as", "item") if isinstance(name := written.get(part), str)}
            self.lost |= set(written["set"]) if isinstance(written.get("set"), dict) else set()
            self.lost_keys |= set(written["case"]) if isinstance(written.get("case"), dict) else set()
            for inner in written.values():
                self._lose(inner)

    def _kind(self, written: dict[str, Any], pointer: Pointer) -> tuple[str, dict[str, Any]]:
        """The kind of a step, and the step; of one whose kind is misspelt, as it was meant, where nothing else is wrong."""
        kinds = [key for key in written if key in KINDS]
        if len(kinds) == 1:
            return self._of_several(written, pointer) or self._of_an_operation(written, pointer) or (kinds[0], written)
        if kinds:
            names = " and ".join(f"`{kind}`" for kind in kinds)
            sentence = f"a step has one kind, this one has {names}"
            self.report.report((*pointer, kinds[1]), "step.two-kinds", sentence, "make two steps of it", key=True)
            return "", {}
        named = [key for key in written if key in _ELSEWHERE]
        for key in named or [key for key in written if key not in _OF_STEPS]:
            if (near := _ELSEWHERE.get(key) or nearest(key, KINDS)) is not None:
                sentence = f"there is no step kind `{key}`"
                self.report.report((*pointer, key), "step.unknown-kind", sentence, f"did you mean {near}?", key=True)
                right = {near if name == key else name: value for name, value in written.items()}
                if wrong_fields(right, KINDS[near]):
                    return "", {}
                self.report.also(pointer, key, near)
                return near, right
        self.report.report(pointer, "step.unknown-kind", "the step has no kind", _hint_of_no_kind(written))
        return "", {}

    def _of_several(self, written: dict[str, Any], pointer: Pointer) -> tuple[str, dict[str, Any]] | None:
        """A `wait` for several messages, as the `gather` that is meant; None of another step."""
        said = next((name for name in ("count", "until") if name in written), "")
        right = {"gather" if name == "wait" else name: value for name, value in written.items()}
        if not written.get("wait") or (said != "count" and "items" not in str(written.get(said))) or wrong_fields(right, KINDS["gather"]):
            return None
        sentence = f"a `wait` is for one message, and has no `{said}`"
        self.report.report((*pointer, "wait"), "field.unknown", sentence, f"several are a `gather: {written['wait']}`", key=True)
        self.report.also(pointer, "wait", "gather")
        return "gather", right

    def _of_an_operation(self, written: dict[str, Any], pointer: Pointer) -> tuple[str, dict[str, Any]] | None:
        """A `send` with what only a `call` has, as the call that is meant; None of another step."""
        said = [name for name in written if name in _OF_CALLS]
        right = {"call" if name == "send" else name: value for name, value in written.items()}
        if not written.get("send") or not said or wrong_fields(right, KINDS["call"]):
            return None
        sentence = f"a `send` puts a message in, and has no `{said[0]}`"
        hint = f"leave it out, or ask an operation: `call: {written['send']}`"
        self.report.report((*pointer, said[0]), "field.unknown", sentence, hint, key=True)
        self.report.also(pointer, "send", "call")
        return "call", right

    def _identity(self, written: dict[str, Any], pointer: Pointer) -> None:
        identity = written.get("id")
        if not isinstance(identity, str):
            return
        if identity in self.seen:
            self.failed = True
            sentence = f"there is already a step `{identity}`"
            self.report.report((*pointer, "id"), "step.duplicate-id", sentence, "ids are unique in the whole route")
        self.seen.setdefault(identity, pointer)
        if len(self.seen) == MOST_STEPS + 1:
            self.failed = True
            self.report.report(pointer, "route.too-long", f"a route has at most {MOST_STEPS} steps", "send a message to a second route")


def _meant(written: dict[str, Any], known: set[str]) -> dict[str, str]:
    """The field that was meant by each misspelt one, where no other field says it already."""
    meant: dict[str, str] = {}
    for name in written.keys() - known:
        near = meant_by(name, known - written.keys() - set(meant.values()))
        if near is not None:
            meant[name] = near
    return meant


def _torn(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two steps are one that a dash divides: the first has nothing but its id, the second has none."""
    return one.keys() <= {"id", "when"} and "id" in one and "id" not in other and any(key in KINDS for key in other)


def _blocks(kind: str, written: dict[str, Any]) -> Iterator[tuple[Pointer, Any]]:
    if kind == "call":
        for position, clause in enumerate(written.get("on_error", ())):
            yield ("on_error", position, "steps"), clause["steps"]
    elif kind == "choose":
        for position, clause in enumerate(written["choose"]):
            yield ("choose", position, "steps"), clause["steps"]
        yield ("otherwise",), written.get("otherwise", ())
    elif kind in {"wait", "gather"}:
        yield ("on_deadline",), written.get("on_deadline", ())
        yield ("on_late",), written.get("on_late", ())
    elif kind == "each":
        yield ("steps",), written["steps"]
    elif kind == "parallel":
        for name, steps in written["parallel"].items():
            yield ("parallel", name), steps


def _names(kind: str, model: Any, pointer: Pointer) -> list[tuple[str, Pointer]]:
    if kind == "set":
        return [(name, (*pointer, "set", name)) for name in model.set]
    name = model.__dict__.get("as_")  # many kinds have none, and pydantic is slow in saying so
    return [(name, (*pointer, "as"))] if name else []


def _hint_of_no_kind(written: dict[str, Any]) -> str:
    if not _OTHER_CASE.isdisjoint(written):
        return "what is done otherwise belongs to the `choose` above: write `otherwise:` in the column of `choose`, without a dash"
    if written.keys() == {"steps"}:
        return "delete `steps:`, and write its steps here"
    if "if" in written or {"when", "steps"} <= written.keys():
        return "steps under a condition are a `choose`, whose clauses have `when` and `steps`; one step alone has a `when`"
    if len(written) == 1 and isinstance(inner := next(iter(written.values())), dict) and not inner.keys().isdisjoint(KINDS):
        return f"write `- id: {next(iter(written))}`, and the kind below it in the same column as `id`"
    return "it needs one of " + ", ".join(KINDS)
