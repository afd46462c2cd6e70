"""Throttles: a step's ``limit``, at most so many calls of its operation in so many seconds.

Each process that works has an equal share of it: with three of them, so many calls in three times the seconds. So all together keep the
limit without asking each other. The past calls are kept in memory only: a restart, or a worker that has just come, may let one more
burst through, which a limit of courtesy bears.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import dataclass, field

from bus.engine.asks import Call


@dataclass
class Throttles:
    """The moments of the last calls, by place. Used from the engine's thread only; ``workers`` is set by any."""

    workers: int = 1
    _past: dict[str, deque[dt.datetime]] = field(default_factory=dict)

    def next(self, call: Call, now: dt.datetime) -> dt.datetime:
        """When this call may go out: ``now`` (and then it counts), or the moment its turn comes."""
        if call.limit is None:
            return now
        count, past = call.limit.count, self._past_of(call.place, call.limit.count, now)
        free = past[-count] + dt.timedelta(seconds=call.limit.per * self.workers) if len(past) >= count else now
        if free <= now:
            past.append(now)
            return now
        return free

    def _past_of(self, place: str, count: int, now: dt.datetime) -> deque[dt.datetime]:
        """As many as the largest limit of this place asks for: other rules may say another one."""
        past = self._past.get(place)
        if past is None or (past.maxlen or 0) < count:
            past = self._past[place] = deque(past or (), maxlen=count)
        if past and past[-1] > now:  # a clock that was set back must not make us wait until it is where it was
            past = self._past[place] = deque((min(moment, now) for moment in past), maxlen=past.maxlen)
        return past
