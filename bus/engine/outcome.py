"""Outcomes: what becomes of an ask, as a value. Decide → record → act: here it is decided, in `bus.engine.settle` recorded.

::

    Done    the ask has its event; the walk goes on
    Retry   ask again at ``due``, or probe first when the last try is in doubt
    Wait    parked until a message or a deadline
    Dead    the run needs a person
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TypeAlias

from bus.engine.asks import Event, Failure
from bus.message import JsonObject


@dataclass(frozen=True, slots=True)
class Done:
    event: Event


@dataclass(frozen=True, slots=True)
class Retry:
    """``doubt``: the last try may have had its effect. ``probe``: look before asking again."""

    due: dt.datetime
    error: JsonObject
    doubt: bool = False
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    due: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Dead:
    failure: Failure


Outcome: TypeAlias = Done | Retry | Wait | Dead
"""Every fate an ask or a run can have."""
