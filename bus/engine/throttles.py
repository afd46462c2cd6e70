"""Throttles: a step's ``limit``, at most so many calls of its operation in so many seconds.

Each process that works has its share of the count, so that all together keep the limit without asking each other: three of them have 4, 3
and 3 of ten. Whoever has none, because the count is smaller than the number of processes, leaves the call to the others. The past calls are
kept in memory only: a restart, or a worker that has just come, may let one more burst through, which a limit of courtesy bears.

A call that must wait is promised a turn of its own, and comes back once, at that moment: if all came back when the next few may go, each of
them would be claimed, and its record written, as many times as there are such moments before its own. Another process may come upon it
then, or after this one has ended: it goes out there as well, if there is room, and not behind all that were promised a turn there. Where
one more process has come, those that find no room at their turn are left to it.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import dataclass, field
from itertools import islice, takewhile

from bus.clock import APART
from bus.engine.asks import Call

SPREAD = 1.05
"""Turns are so much further apart than the limit says: one that is taken a little late need not put off those behind it."""

LATE = 5.0
"""Seconds by which a call whose turn has come is put off at most: it holds a thread of its adapter meanwhile."""

_NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass
class _Turns:
    """The turns at one place: when the last calls went out, and what those that wait were promised, by their keys.

    ``late`` are those whose turn another process had promised, and that came too late for it: they come within the time of the limit.
    ``over`` are those that were promised one while fewer processes worked (``workers`` is how many did last). ``asked``: when somebody
    asked last.
    """

    went: deque[dt.datetime]
    promised: dict[str, dt.datetime] = field(default_factory=dict)
    late: dict[str, dt.datetime] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    workers: int = 1
    asked: dt.datetime = _NEVER

    def after(self, ahead: int, share: int, seconds: float) -> dt.datetime:
        """When one more may go, behind the last calls and ``ahead`` of those that wait."""
        if ahead >= share:
            return next(islice(reversed(self.promised.values()), share - 1, None)) + dt.timedelta(seconds=seconds * SPREAD)
        first = share - ahead
        return self.went[-first] + dt.timedelta(seconds=seconds) if len(self.went) >= first else _NEVER

    def forget(self, before: dt.datetime) -> None:
        """Turns that were promised and that nobody took: another process took the call over."""
        for line in (self.promised, self.late):
            while line and next(iter(line.values())) < before:
                del line[next(iter(line))]

    def until(self, moment: dt.datetime) -> int:
        """How many turns have been promised until then."""
        return len(self.late) + sum(1 for _ in takewhile(lambda due: due <= moment, self.promised.values()))


@dataclass
class Throttles:
    """Turns by place. Used from the engine's thread only; ``workers`` and ``rank``, which of them this process is, are set by any."""

    workers: int = 1
    rank: int = 0
    _turns: dict[str, _Turns] = field(default_factory=dict)
    _left: dict[str, deque[float]] = field(default_factory=dict)

    def share(self, call: Call) -> int:
        """How many of the calls that its limit allows are this process's; of a call without a limit one."""
        if call.limit is None:
            return 1
        each, more = divmod(call.limit.count, self.workers)
        return each + (self.rank < more)

    def next(self, call: Call, now: dt.datetime, *, promised: bool = False, first: bool = False) -> dt.datetime | None:
        """When this call may go out: ``now`` (and then it counts), or the moment its turn comes. It MUST have a `share`.

        None where it is for another process: our share has become smaller since it was promised a turn. ``promised``: some process had
        promised it a turn that has come. ``first``: those that were promised one wait for this very call, which holds their lane.
        """
        if call.limit is None:
            return now
        turns, share, seconds = self._turns_of(call.place, call.limit.count, now), self.share(call), call.limit.per
        turns.forget(now - dt.timedelta(seconds=seconds))
        line = turns.late if call.key in turns.late else turns.promised
        mine, free = None if first else line.get(call.key), turns.after(0, share, seconds)
        if mine is not None and free > now and call.key in turns.over:
            turns.over.discard(call.key)
            del line[call.key]
            return None
        if mine is not None:
            free = max(mine, free)
        elif not first and free > now and promised and (ahead := turns.until(now + dt.timedelta(seconds=seconds))) < share:
            line, free = turns.late, turns.after(ahead, share, seconds)
        elif not first and (free > now or not promised):
            free = turns.after(len(line), share, seconds)
        if free > now:
            if not first:
                line[call.key] = free
            return free
        line.pop(call.key, None)
        turns.went.append(now)
        return now

    def give_back(self, call: Call) -> None:
        """One that might have gone out did not: its lane is taken. Else those that wait for a lane use up the turns of whoever has it."""
        turns = self._turns.get(call.place)
        if call.limit is not None and turns is not None and turns.went:
            turns.went.pop()

    def delay(self, call: Call, ticks: float) -> float:
        """Seconds for which a call whose turn has come waits still, `LATE` at most: it counts as gone after them, by ``ticks``.

        What was to go out apart comes together where a commit was late.
        """
        if call.limit is None:
            return 0.0
        left, share = self._left.setdefault(call.place, deque()), max(self.share(call), 1)
        while left and left[0] <= ticks - call.limit.per:
            left.popleft()
        free = left[-share] + call.limit.per if len(left) >= share else ticks
        left.append(min(max(free, ticks), ticks + LATE))
        return left[-1] - ticks

    def _turns_of(self, place: str, count: int, now: dt.datetime) -> _Turns:
        """As many as the largest limit of this place asks for: other rules may say another one."""
        turns = self._turns.setdefault(place, _Turns(deque(maxlen=count), workers=self.workers))
        if (turns.went.maxlen or 0) < count:
            turns.went = deque(turns.went, maxlen=count)
        back = (turns.went and turns.went[-1] > now) or turns.asked > now + APART
        turns.asked = now
        if back:  # a clock that was set back must not make us wait until it is where it was
            turns.went = deque((min(moment, now) for moment in turns.went), maxlen=turns.went.maxlen)
            turns.promised.clear()
            turns.late.clear()
        if self.workers > turns.workers:
            turns.over = set(turns.promised)
        turns.workers = self.workers
        return turns
