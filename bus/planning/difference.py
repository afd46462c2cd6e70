"""Two ways of one message compared: what would be otherwise outside the bus, not how the rules are written.

Calls and messages are matched by their place; where a step was renamed or moved, by what they ask. What is matched and equal is no
difference, wherever it stands, unless a wait makes it sooner or later.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeAlias

from bus.clock import text_of
from bus.engine.asks import Ask, Await, Call, Join, Reply, Send
from bus.message import JsonValue
from bus.planning.way import Way
from bus.replay.fields import MISSING, changes

Kind: TypeAlias = Literal[
    "branch", "call added", "call removed", "call changed", "call moved", "call shifted",
    "message added", "message removed", "message changed", "message shifted",
    "reply added", "reply removed", "reply changed", "reply shifted", "key changed", "run key changed",
    "wait added", "wait removed", "wait changed",
    "arrival added", "arrival removed", "no arrival", "no answer", "end changed", "run added", "run removed",
    "run renamed", "refused",
]  # fmt: skip


SHIFT = dt.timedelta(minutes=1)
"""Calls that are made in another order shift each other by less; a wait, by more."""


class Change(NamedTuple):
    """One thing that would be otherwise. ``place`` and ``fields`` say where; ``subject``: which operation, type or end.

    ``old``: the place is in the rules in force, because the edited ones have none for it. ``before`` and ``after`` are values, `MISSING`
    where there is none.
    """

    kind: Kind
    place: str
    subject: str
    fields: tuple[str, ...] = ()
    before: JsonValue = MISSING
    after: JsonValue = MISSING
    old: bool = False


def declared(schema: Mapping[str, Any], pointer: str) -> str:
    """The field of a type that a JSON pointer leads to, ``body.mappali[].foglio``, or the nearest around it that the schema has."""
    field, inner = "body", schema
    for step in pointer.split("/")[1:]:
        if step in inner.get("properties", {}):
            field, inner = f"{field}.{step}", inner["properties"][step]
        elif step.isdigit() and isinstance(inner.get("items"), Mapping):
            field, inner = f"{field}[]", inner["items"]
        else:
            break
    return field


def _ended(way: Way) -> tuple[str, str]:
    """How it ended; one that did not come to its last step also where."""
    return way.end, way.place.partition("/")[2] if " " in way.end else ""


_DECISIONS = re.compile(r"(.+?)(\.choose\[\d+\]|\.otherwise|\.on_error\[\d+\]|\.on_deadline|!passed-over)$")
_UNIQUE = re.compile(r"\[\d+\]")


def differences(before: Way, after: Way, steps: Callable[[str], str]) -> Iterator[Change]:
    """All changes, in the order of the edited way. ``steps`` gives the place of a step id in the edited rules.

    Where the edited way is cut, nothing is said of what it does not reach.
    """
    found = _differences(before, after, steps)
    yield from (one for one in found if not (one.old or one.kind == "end changed")) if after.cut else found


def _differences(before: Way, after: Way, steps: Callable[[str], str]) -> Iterator[Change]:
    yield from _branches(before, after, steps)
    yield from _matched("call", before.calls, after.calls, "request")
    yield from _matched("message", before.sends, after.sends, "message")
    yield from _replies(before.replies, after.replies)
    yield from _keys(before.joins, after.joins)
    waits = [*_waits(before.waits, after.waits)]
    yield from waits or _shifted(before, after)
    yield from _arrivals(before, after)
    known = {(call.path, call.operation) for call in before.unanswered}
    for call in after.unanswered:
        if (call.path, call.operation) not in known:
            yield Change("no answer", call.place, call.operation, (), MISSING, call.request)
    if _ended(before) != _ended(after):
        where, end = after.place or before.place, f"{before.end} → {after.end}"  # a message that starts no run has no place
        yield Change("end changed", where, end, (), before.sentence or MISSING, after.sentence or MISSING, old=not after.place)


def _branches(before: Way, after: Way, steps: Callable[[str], str]) -> Iterator[Change]:
    if before.branches == after.branches:
        return
    was, now = _decided(before), _decided(after)
    for step in sorted(was.keys() & now.keys()):
        if was[step] != now[step]:
            yield Change("branch", steps(step), f"{' and '.join(sorted(was[step]))} → {' and '.join(sorted(now[step]))}")


def _decided(way: Way) -> dict[str, set[str]]:
    """Which ways were taken at each step that has more than one; what comes to a wait is a change of its own (`_arrivals`)."""
    found: dict[str, set[str]] = {}
    taken = [name for name in way.branches if not name.endswith(".message")]
    for name in taken:
        if match := _DECISIONS.fullmatch(name):
            found.setdefault(match[1], set()).add(match[2].lstrip(".!"))
    for name in taken:
        if not _DECISIONS.fullmatch(name) and name not in found:
            found[name] = {"straight on"}
    return found


def _said(one: Call | Send) -> tuple[str, JsonValue]:
    """What a call or a message says: of which operation or type it is, and the request or body."""
    return (one.operation, one.request) if isinstance(one, Call) else (one.type, one.body)


def _matched(what: Literal["call", "message"], before: Sequence[Any], after: Sequence[Any], role: str) -> Iterator[Change]:
    """Added, removed and changed ones among calls, or among messages sent."""
    if [(one.path, _said(one)) for one in before] == [(one.path, _said(one)) for one in after]:
        return
    pairs, left = paired(before, after)
    for position, new in enumerate(after):
        subject, value = _said(new)
        if position not in pairs:
            yield Change(f"{what} added", new.place, subject, (), MISSING, value)  # type: ignore[arg-type]
            continue
        for field, was, is_now in changes(_said(pairs[position])[1], value, role):
            yield Change(f"{what} changed", new.place, subject, (_UNIQUE.sub("[]", field),), was, is_now)  # type: ignore[arg-type]
    for old in left:
        subject, value = _said(old)
        yield Change(f"{what} removed", old.place, subject, (), value, old=True)  # type: ignore[arg-type]
    if what == "call":
        yield from _order(pairs, before, after)


def paired(before: Sequence[Any], after: Sequence[Any]) -> tuple[dict[int, Any], list[Any]]:
    """Which earlier one each later one is, by position, the surest first; and the earlier ones that became none of the later."""

    def alike(old: Any, new: Any, *, here: bool, equal: bool) -> bool:
        (name, value), (other, content) = _said(old), _said(new)
        return name == other and (not here or old.path == new.path) and (not equal or value == content)

    left, pairs = list(before), dict[int, Any]()
    for here, equal in ((True, True), (False, True), (True, False), (False, False)):
        for position, new in enumerate(after):
            old = next((one for one in left if alike(one, new, here=here, equal=equal)), None) if position not in pairs else None
            if old is not None:
                pairs[position] = old
                left = [one for one in left if one is not old]
    return pairs, left


def _order(pairs: Mapping[int, Call], before: Sequence[Call], after: Sequence[Call]) -> Iterator[Change]:
    """Calls that are made in another order than before."""
    ranks = {id(one): rank for rank, one in enumerate(before)}
    highest = -1
    for position in sorted(pairs):
        rank = ranks[id(pairs[position])]
        if rank < highest:
            yield Change("call moved", after[position].place, after[position].operation)
        highest = max(highest, rank)


def _replies(before: Sequence[Reply], after: Sequence[Reply]) -> Iterator[Change]:
    for old, new in zip(before, after, strict=False):
        for field, was, is_now in changes(old.body, new.body, "reply"):
            yield Change("reply changed", new.place, "", (_UNIQUE.sub("[]", field),), was, is_now)
    for new in after[len(before) :]:
        yield Change("reply added", new.place, "", (), MISSING, new.body)
    for old in before[len(after) :]:
        yield Change("reply removed", old.place, "", (), old.body, old=True)


def _keys(before: Sequence[Join], after: Sequence[Join]) -> Iterator[Change]:
    was = {name: (join.place, value) for join in before for name, value in join.keys.items()}
    now = {name: (join.place, value) for join in after for name, value in join.keys.items()}
    nothing: tuple[str, JsonValue] = "", MISSING
    for name in [*now, *(name for name in was if name not in now)]:
        (old_place, old), (place, new) = was.get(name, nothing), now.get(name, nothing)
        if old != new:
            yield Change("key changed", place or old_place, name, (f"keys.{name}",), old, new, old=name not in now)


def _waits(before: Sequence[Await], after: Sequence[Await]) -> Iterator[Change]:
    def shown(wait: Await) -> dict[str, JsonValue]:
        deadline = None if wait.deadline is None else text_of(wait.deadline)
        return {"key": None if wait.key is None else ":".join(wait.key), "deadline": deadline}

    left = list(before)
    for new in after:
        old = next((one for one in left if one.type == new.type and (one.path == new.path or one.key == new.key)), None)
        if old is None:
            yield Change("wait added", new.place, new.type or "time", (), MISSING, shown(new))
            continue
        left = [one for one in left if one is not old]
        ends = old.deadline if _about(old.deadline, new.deadline) else new.deadline
        for field, was, is_now in changes(shown(old), shown(replace(new, deadline=ends))):
            yield Change("wait changed", new.place, new.type or "time", (field,), was, is_now)
    for old in left:
        yield Change("wait removed", old.place, old.type or "time", (), shown(old), old=True)


def _shifted(before: Way, after: Way) -> Iterator[Change]:
    """What comes before or behind a wait that it was on the other side of: it is the same, and weeks later.

    Later than its own message: what another way sends later is told there.
    """
    if before.moments == after.moments:
        return
    calls, sends = paired(before.calls, after.calls)[0], paired(before.sends, after.sends)[0]
    yield from _later("call shifted", [(old, after.calls[at], old.operation) for at, old in sorted(calls.items())], before, after)
    yield from _later("message shifted", [(old, after.sends[at], old.type) for at, old in sorted(sends.items())], before, after)
    yield from _later("reply shifted", [(old, new, "") for old, new in zip(before.replies, after.replies, strict=False)], before, after)


def _later(kind: Kind, pairs: Iterable[tuple[Ask, Ask, str]], before: Way, after: Way) -> Iterator[Change]:
    for old, new, subject in pairs:
        was, now = before.moments.get(old.path), after.moments.get(new.path)
        if was is not None and now is not None and abs((was - before.began) - (now - after.began)) > SHIFT:
            yield Change(kind, new.place, subject, ("time",), text_of(was), text_of(now))


def _about(one: dt.datetime | None, other: dt.datetime | None) -> bool:
    """Whether two deadlines are less than a second apart, as no edit of one makes them: a step before the wait took time."""
    return one is not None and other is not None and abs(one - other) < dt.timedelta(seconds=1)


def _arrivals(before: Way, after: Way) -> Iterator[Change]:
    """Messages of the log that are taken besides, or not any more though such ones are awaited; and new waits that would be in vain."""
    for message, wait in after.taken.items():
        if message not in before.taken and message not in after.told:
            yield Change("arrival added", wait.place, str(wait.type), (), MISSING, message)
    awaited = {wait.type: wait.place for wait in reversed(after.waits)}
    for message, wait in before.taken.items():
        if message not in after.taken and message not in after.told and wait.type in awaited:
            yield Change("arrival removed", awaited[wait.type], str(wait.type), (), message, MISSING)
    for wait in after.vain:
        if not any((wait.type, wait.key) == (one.type, one.key) for one in before.waits):
            yield Change("no arrival", wait.place, str(wait.type))
