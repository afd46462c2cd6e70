"""A way: what one message would do under one plan, as far as the log's answers lead."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from bus.adapter import Operation
from bus.engine.asks import Ask, Await, Call, Close, Join, Reply, Send
from bus.engine.interpreter import Walk
from bus.engine.recorded import Told, follow
from bus.errors import ExpressionError
from bus.message import JsonValue, Message, canonical
from bus.planning.borrowed import Borrowed, Logged, Memory
from bus.route.branches import watched
from bus.route.plan import CallStep, Plan

A = TypeVar("A", bound=Ask)
_EVER = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Way:
    """``branches`` are the names of `bus.route.branches`; ``end`` is ``done``, ``open`` or ``dead <code>``, at ``place``.

    ``unanswered``: calls to which the log has no answer. The way goes on behind one whose answer nothing reads, taking it that it is
    made; else it is ``cut`` there, and what would come behind it is not known.
    """

    calls: tuple[Call, ...]
    sends: tuple[Send, ...]
    replies: tuple[Reply, ...]
    joins: tuple[Join, ...]
    waits: tuple[Await, ...]
    branches: frozenset[str]
    unanswered: tuple[Call, ...]
    end: str
    place: str
    sentence: str = ""
    cut: bool = False
    moments: Mapping[str, dt.datetime] = field(default_factory=dict)
    """When each call is made, each message sent and each reply given, by path."""
    began: dt.datetime = _EVER
    """When its message came, or is sent by a way before it."""
    taken: Mapping[str, Await] = field(default_factory=dict)
    """Which wait took which message, by its id."""
    told: frozenset[str] = frozenset()
    """Those of which it is told with whoever sends them."""
    closed: frozenset[str] = frozenset()
    """Steps whose wait is over and that take what comes late."""
    vain: tuple[Await, ...] = ()
    """Steps whose last wait for a message is open still, or ended with its deadline."""


@dataclass
class Walker:
    """Walks plans. What it notes of branches is of the walk at hand: one thread at a time."""

    operations: Mapping[str, Operation]
    valid: Callable[[Plan, str, JsonValue], str]
    logged: Logged
    keys_of: Callable[[Message], Mapping[str, str]]

    def __post_init__(self) -> None:
        self._watched: dict[str, tuple[Plan, frozenset[str], frozenset[str]]] = {}
        self._noted: set[str] = set()

    def way(self, plan: Plan, message: Message, entry: str, memory: Memory, like: Way | None = None) -> Way:
        """The way of a message through a plan; ``like`` is that under the rules in force, whose requests and bodies are known to be good.

        For what a wait would find that the run had not, or the rules in force have not, a way looks in the log; any other had what it had.
        """
        watching, ids, unread = self._watch(plan)
        self._noted.clear()
        walk = Walk(watching, message, entry)
        known, waits = ({}, None) if like is None else (_known(like), like.waits)
        valid = partial(self.valid, plan)
        answers = Borrowed(memory, message, self.operations, valid, ids, unread, self.logged, walk.moment_of, self.keys_of, known, waits)
        moments: dict[str, dt.datetime] = {}

        def told(ask: Ask) -> Told | None:
            if isinstance(ask, Call | Send | Reply):
                moments[ask.path] = walk.moment_of(ask.path)
            return answers(ask)

        try:
            asked = follow(walk, told)
        except ExpressionError as error:  # the keys of the case cannot be told: the door would refuse the message
            return replace(NOTHING, end="refused", place=plan.name, sentence=error.sentence)
        end, place, sentence = _end_of(walk, plan)
        waits = _of(Await, asked)
        return Way(
            calls=_of(Call, asked),
            sends=_of(Send, asked),
            replies=_of(Reply, asked),
            joins=_of(Join, asked),
            waits=waits,
            branches=frozenset(self._noted),
            unanswered=tuple(answers.unanswered),
            end=end,
            place=place,
            sentence=sentence,
            cut=end == "open" and any(call.path in walk.pending for call in answers.unanswered),
            moments=moments,
            began=message.time,
            taken=answers.taken,
            told=memory.told | answers.besides.keys(),
            closed=frozenset(close.entry for close in _of(Close, asked)),
            vain=_vain(waits, answers.taken.values()),
        )

    def _watch(self, plan: Plan) -> tuple[Plan, frozenset[str], frozenset[str]]:
        if plan.digest not in self._watched:
            ids = frozenset(step.id for step in plan.walk())
            self._watched[plan.digest] = watched(plan, self._noted.add), ids, _unread(plan)
        return self._watched[plan.digest]


NOTHING = Way((), (), (), (), (), frozenset(), (), "no run", "")
"""The way of a message that starts no run."""


def _of(kind: type[A], asked: Iterable[Ask]) -> tuple[A, ...]:
    return tuple([ask for ask in asked if isinstance(ask, kind)])


def _end_of(walk: Walk, plan: Plan) -> tuple[str, str, str]:
    """How a walk ends, where, and why."""
    if walk.failure is not None:
        return f"{'dead' if walk.failure.dead else 'done'} {walk.failure.code}", walk.failure.place, walk.failure.sentence
    return "done" if walk.finished else "open", plan.name, ""


def _vain(waits: Iterable[Await], taken: Iterable[Await]) -> tuple[Await, ...]:
    last, paths = {wait.place: wait for wait in waits if wait.type}, {wait.path for wait in taken}
    return tuple(wait for wait in last.values() if wait.path not in paths)


def _known(way: Way) -> dict[str, bytes]:
    return {**{call.path: canonical(call.request) for call in way.calls}, **{sent.path: canonical(sent.body) for sent in way.sends}}


def _unread(plan: Plan) -> frozenset[str]:
    """The places of the calls whose answers nothing in these rules reads: no name is given to them, or one that stands nowhere else."""
    text = canonical(plan.rules).decode()
    calls = (step for step in plan.walk() if isinstance(step, CallStep) and not step.case)
    return frozenset(step.place for step in calls if step.as_ is None or len(re.findall(rf"\b{re.escape(step.as_)}\b", text)) == 1)
