"""Outcomes: how a call ended, as a value. Decide → record → act: `bus.engine.fate` decides it, `Live.record_outcome` makes its record.

::

    Done    the ask has its event; the walk goes on
    Retry   ask again at ``due``, or probe first when the last try is in doubt

What becomes of the run is told by its walk: it waits while asks are open, and is dead when it has failed.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TypeAlias

from bus.engine.asks import Answered, Failed
from bus.message import JsonObject


@dataclass(frozen=True, slots=True)
class Done:
    event: Answered | Failed


@dataclass(frozen=True, slots=True)
class Retry:
    """``doubt``: the last try may have had its effect. ``probe``: look before asking again."""

    due: dt.datetime
    error: JsonObject
    doubt: bool = False
    probe: bool = False


Outcome: TypeAlias = Done | Retry
