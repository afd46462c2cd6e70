"""A `bus.adapter.Door` in memory, for tests of endpoints and pollers: same promises, nothing durable."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bus.adapter import Delivery, Fact, Wire
from bus.errors import Conflict
from bus.message import JsonObject, JsonValue, digest, new_id


def _any_type(name: str, body: JsonObject) -> None:
    """Refuse nothing: here every body is of its type."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """One message that came in."""

    id: str
    type: str
    key: str
    body: JsonObject
    subject: str | None
    exchanges: tuple[Wire, ...]


@dataclass(frozen=True, slots=True)
class Served:
    """One question of the system that was answered."""

    operation: str
    outcome: str
    request: JsonObject
    answer: JsonObject
    exchanges: tuple[Wire, ...]
    about: tuple[str, str] | None


@dataclass(slots=True)
class MemoryDoor:
    """Keeps what it accepts in ``accepted``; ``facts`` may be set by the test. Thread-safe.

    ``check`` stands for the message type: it may raise `bus.errors.Invalid`. ``before_commit`` runs once between a look and its
    commit, to play a rival; ``fails`` is what `served` raises, whose questions are in ``told``. A repeated key gives the same delivery
    before ``expect`` is looked at, and changes no fact.
    """

    moment: dt.datetime
    facts: dict[tuple[str, str], JsonValue] = field(default_factory=dict)
    accepted: list[Accepted] = field(default_factory=list)
    check: Callable[[str, JsonObject], None] = _any_type
    before_commit: Callable[[], None] | None = None
    told: list[Served] = field(default_factory=list)
    fails: Exception | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def accept(
        self,
        type: str,
        body: JsonObject,
        *,
        key: str,
        subject: str | None = None,
        facts: Sequence[Fact] = (),
        expect: Mapping[tuple[str, str], JsonValue] | None = None,
        exchanges: Sequence[Wire] = (),
    ) -> Delivery:
        rival, self.before_commit = self.before_commit, None
        if rival is not None:
            rival()
        with self._lock:
            self.check(type, body)
            for known in self.accepted:
                if known.key == key:
                    if (known.type, digest(known.body)) != (type, digest(body)):
                        raise Conflict(f"key {key} was used with another body")
                    return Delivery(known.id, repeated=True)
            for (kind, name), value in (expect or {}).items():
                if self.facts.get((kind, name)) != value:
                    raise Conflict(f"fact {kind} {name} has changed", code="fact.changed")
            made = Accepted(new_id(), type, key, body, subject, tuple(exchanges))
            self.accepted.append(made)
            self.facts.update({(fact.kind, fact.key): fact.value for fact in facts})
            return Delivery(made.id, repeated=False)

    def served(
        self,
        operation: str,
        outcome: str,
        *,
        request: JsonObject,
        answer: JsonObject,
        exchanges: Sequence[Wire] = (),
        about: tuple[str, str] | None = None,
    ) -> None:
        if self.fails is not None:
            raise self.fails
        with self._lock:
            self.told.append(Served(operation, outcome, request, answer, tuple(exchanges), about))

    def fact(self, kind: str, key: str) -> JsonValue:
        with self._lock:
            return self.facts.get((kind, key))

    def now(self) -> dt.datetime:
        return self.moment

    def of_type(self, type: str) -> list[JsonObject]:
        """Bodies of the accepted messages of one type, oldest first."""
        return [message.body for message in self.accepted if message.type == type]
