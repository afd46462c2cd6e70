"""What the interpreter asks of its driver, and what it is told: asks and events.

The interpreter does no I/O. It yields asks; a driver (live, test, replay, plan) carries them out or looks them up, and
feeds back events. Every ask has a ``path``: its place in this very run, e.g. ``mappali[2]/registra``, unique in the run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from bus.message import JsonObject, JsonValue
from bus.route.plan import Retry, Throttle

if TYPE_CHECKING:
    from bus.engine.interpreter import Strand


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every ask says: its place in this very run, and the step that asks (``route@version/step-id``)."""

    path: str
    place: str


@dataclass(frozen=True, slots=True)
class Call(_Asked):
    """Ask an outside system. ``key`` is the outgoing idempotency key, ``undo`` the operation that takes it back.

    ``planned``: the route says what to do when it fails.

    Answered by `Answered` or `Failed`.
    """

    operation: str
    request: JsonValue
    key: str
    timeout: float | None = None
    retry: Retry = field(default_factory=Retry)
    limit: Throttle | None = None
    undo: str | None = None
    planned: bool = False

    @property
    def adapter(self) -> str:
        return self.operation.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Await(_Asked):
    """Park until a message of ``type`` with the business key ``key`` (None: any message of the case) or the deadline.

    Without a ``type`` only the deadline counts. Answered by `Arrived` or `Expired`.
    """

    type: str | None
    key: tuple[str, str] | None
    deadline: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Close(_Asked):
    """This wait is over: messages of ``type`` with ``key`` are late from here on, each opens a run at ``entry``. Answered by `Noted`."""

    type: str
    key: tuple[str, str] | None
    entry: str


@dataclass(frozen=True, slots=True)
class Send(_Asked):
    """Hand a new message to the bus. Answered by `Noted` with ``{"id": …}``."""

    type: str
    body: JsonValue


@dataclass(frozen=True, slots=True)
class Reply(_Asked):
    """Answer whoever sent the message. Answered by `Noted`."""

    body: JsonValue


@dataclass(frozen=True, slots=True)
class Join(_Asked):
    """From here on the case is known by these keys too. Answered by `Noted`."""

    keys: Mapping[str, str]


Ask: TypeAlias = Call | Await | Close | Send | Reply | Join


@dataclass(slots=True)
class Fork:
    """Yielded, in the place of an ask, by a step that opens strands side by side; the step goes on when all of them have ended."""

    children: list[tuple[Strand, StepCode]]


StepCode: TypeAlias = Generator[Ask | Fork, Any, None]
"""How one step, or several, run: yields asks and is sent the event of each."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The system answered."""

    time: dt.datetime
    answer: JsonValue


@dataclass(frozen=True, slots=True)
class Failed:
    """The call ended without an answer, for good. ``error`` is what ``on_error`` sees: kind, code, sentence, operation, attempts."""

    time: dt.datetime
    error: JsonObject


@dataclass(frozen=True, slots=True)
class Arrived:
    """The awaited message is here."""

    time: dt.datetime
    message: str
    body: JsonValue


@dataclass(frozen=True, slots=True)
class Expired:
    """The deadline passed."""

    time: dt.datetime


@dataclass(frozen=True, slots=True)
class Noted:
    """Done at once: sent, replied, joined."""

    time: dt.datetime
    value: JsonObject = field(default_factory=dict)


Event: TypeAlias = Answered | Failed | Arrived | Expired | Noted


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run goes no further: its dead letter or, where it is not ``dead``, its end. ``undo`` asks to take back what was done."""

    code: str
    sentence: str
    place: str
    path: str
    undo: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)
    dead: bool = True


class StepFailed(Exception):
    """Raised by a step's code to end the run with a `Failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure
