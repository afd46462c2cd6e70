"""Gates: how many calls of one adapter may be out at once, and what becomes of those that find no place.

A call takes its place before its intent is recorded. Where none is free it waits in the gate's *line*, live, with its run's lease; where
the line is full, or the circuit of the adapter is open, it is *turned away*: its run is held by nobody, nothing is recorded and no attempt
is counted. The gate remembers whom it turned away and calls them as soon as there is room; should it forget them (the
process ends), they come back by themselves when their pause is over.

A run that was never claimed, and whose rules say that it asks there first, is turned away without a claim (`Crowd`): claiming it in vain,
and again later, costs a fifth of what a message costs in all.

So a system that is slow or dead has at most its places and its line of what the engine has, and the others do not notice.
There is one gate for each adapter, and one more for each operation that declares its own ``concurrency``. Used by the engine's thread; the
thread that writes asks for `Gates.crowds`.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeAlias

from bus.adapter import Adapter
from bus.engine.circuit import Circuit, Habits, Place, Say, silent
from bus.errors import OutsideError
from bus.message import JsonObject, JsonValue
from bus.route.plan import CallStep

Admission: TypeAlias = Literal["in", "line", "away"]
SHORTEST, STUCK, LONGEST = 5.0, 60.0, 300.0
"""Seconds for which a run that was turned away is left alone, unless a gate calls it; for nothing moving at most `STUCK`."""
LOOKS = 50
"""Runs that were turned away and come back by themselves, in a second, about: what looking in vain may cost."""
LINES = 32_000_000
"""Bytes of JSON that the runs in all lines may have been read from, about: in memory they take several times as much."""
REMEMBERED = 50_000
"""Runs that were turned away and are remembered, at one gate."""
GOLDEN = 0.618034
"""The golden ratio without its 1. The fractional parts of its multiples spread evenly, however many there are."""


class Crowd(NamedTuple):
    """Runs of ``rules`` (digests) ask at ``gate`` first, which has ``room`` for so many that never began; the rest comes ``again``."""

    gate: str
    rules: Sequence[str]
    room: int
    again: dt.datetime


def sizes(adapters: Mapping[str, Adapter], threads: int) -> dict[str, int]:
    """Places of every gate by name: the adapter's, or the operation's where it declares its own ``concurrency``."""
    found = {name: adapter.concurrency or threads for name, adapter in adapters.items()}
    for name, adapter in adapters.items():
        own = {f"{name}.{o.name}": o.concurrency for o in adapter.operations.values() if o.concurrency is not None}
        found.update(own)
    return found


@dataclass
class Gate:
    """One gate: who is out, who stands in line, each with the bytes of its run, who was turned away.

    ``heaviest``: the bytes in its line, at most, but for the first. ``moved``: when a call last came home. ``locked_out``: operations of
    which the system, when it last answered, did not take our credentials.
    """

    size: int
    most_in_line: int
    circuit: Circuit
    heaviest: int = LINES
    out: set[Place] = field(default_factory=set)
    line: dict[Place, int] = field(default_factory=dict)
    away: dict[str, None] = field(default_factory=dict)
    moved: dt.datetime | None = None
    turned: int = 0
    locked_out: set[str] = field(default_factory=set)
    usual: int = 0
    """The bytes of the run that asked last: the next ones are taken for as many."""

    def enter(self, place: Place, now: dt.datetime, weight: int = 0) -> Admission:
        if place in self.out:
            return "in"
        if self.circuit.lets(place, now):
            if len(self.out) < self.size and not self.line:
                self.out.add(place)
                return "in"
            self.circuit.left(place)
            self.usual = weight
            if place in self.line or self._room_in_line() > 0:
                self.line[place] = weight
                return "line"
        self.line.pop(place, None)
        self.turn_away(place[0])
        return "away"

    def _length(self) -> int:
        """How many may stand in line when it is empty: one, however large it is."""
        return min(self.most_in_line, max(self.heaviest // max(self.usual, 1), 1))

    def _room_in_line(self) -> int:
        if not self.line:
            return self._length()
        return min(self.most_in_line - len(self.line), (self.heaviest - sum(self.line.values())) // max(self.usual, 1))

    def turn_away(self, run: str) -> None:
        self.turned += 1
        if len(self.away) < REMEMBERED:
            self.away[run] = None

    def again(self, now: dt.datetime) -> dt.datetime:
        """When a run that was turned away may come back by itself: longer, the more they are and the longer nothing has moved."""
        stuck = (now - self.moved).total_seconds() if self.moved else 0.0
        seconds = min(max(SHORTEST, len(self.away) / LOOKS, min(stuck, STUCK)), LONGEST)
        spread = 0.75 + 0.5 * (self.turned * GOLDEN % 1)  # evenly, and the same in every run of a simulation
        return max(self.circuit.trial_at(now), now) + dt.timedelta(seconds=seconds * spread)

    def next(self, now: dt.datetime) -> list[Place]:
        """The calls in line that may ask again: the first ones, as many as places are free. When the circuit is open all of them, to be
        turned away.
        """
        if not self.line:
            return []
        if self.circuit.is_open and not self.circuit.wants_trial(now):
            found, self.line = list(self.line), {}
            return found
        free = max(self.size - len(self.out), 0)
        found = list(self.line)[: min(free, 1) if self.circuit.is_open else free]
        for place in found:
            del self.line[place]
            if self.circuit.lets(place, now):
                self.out.add(place)
        return found

    def room(self, now: dt.datetime) -> int:
        """How many more would find a place, or one in line; one for a trial."""
        if self.circuit.is_open:
            return int(self.circuit.wants_trial(now) and not self.line and len(self.out) < self.size)
        return max(self.size - len(self.out), 0) + max(self._room_in_line(), 0)

    def calls(self, now: dt.datetime) -> int:
        """How many runs that were turned away may come again: as many as there is room for, once a place is free or half the line is;
        one, as a trial, when the circuit is open and its pause is over.
        """
        room = self.room(now)
        return room if self.circuit.is_open or 2 * room > self._length() or len(self.out) < self.size else 0

    def called(self, now: dt.datetime) -> list[str]:
        """Runs that were turned away and may come again now; they are not remembered any more."""
        runs = list(islice(self.away, self.calls(now)))
        for run in runs:
            del self.away[run]
        return runs

    def stirs(self, now: dt.datetime, *, calls: bool) -> bool:
        """Whether somebody in line, or, with ``calls``, turned away, has something to do now."""
        if self.line and (len(self.out) < self.size or (self.circuit.is_open and not self.circuit.wants_trial(now))):
            return True
        return calls and bool(self.away) and self.calls(now) > 0


class Gates:
    """All gates of an engine. ``most_live`` runs are its room: all lines together take at most half of it, and `LINES` bytes."""

    def __init__(self, places: Mapping[str, int], most_live: int, habits: Habits, say: Say = lambda event, **fields: None) -> None:
        share = max(most_live // (2 * max(len(places), 1)), 1)
        adapters = {name.partition(".")[0] for name in places}
        self.circuits = {name: Circuit(habits, partial(say, adapter=name)) for name in sorted(adapters)}
        bytes_in_line = LINES // max(len(places), 1)
        self._gates = {
            name: Gate(size, share, self.circuits[name.partition(".")[0]], bytes_in_line) for name, size in sorted(places.items())
        }
        self._held: dict[tuple[str, int], dict[str, tuple[Gate, str]]] = defaultdict(dict)
        self._begun: tuple[Any, Mapping[str, Sequence[tuple[str, CallStep]]]] = (None, {})
        self._say = say

    def of(self, operation: str) -> Gate:
        return self._gates[self._name_of(operation)]

    def _name_of(self, operation: str) -> str:
        return operation if operation in self._gates else operation.partition(".")[0]

    def enter(self, place: Place, operation: str, now: dt.datetime, weight: int = 0) -> Admission:
        """Take a place for a call, or stand in line, or be turned away. ``weight``: the bytes that its run was read from."""
        gate = self.of(operation)
        admission = gate.enter(place, now, weight)
        if admission != "away":
            gate.away.pop(place[0], None)  # one that came back by itself need not be called
            self._held[place[:2]][place[2]] = (gate, operation)
        return admission

    def next(self, now: dt.datetime) -> list[Place]:
        """The calls in line, at all gates, that may ask again; see `Gate.next`."""
        return [place for gate in self._gates.values() for place in gate.next(now)]

    def called(self, now: dt.datetime) -> list[str]:
        """Runs that were turned away and can be had in again; see `Gate.called`."""
        return [run for gate in self._gates.values() if gate.away for run in gate.called(now)]

    def crowds(self, first: Mapping[str, Sequence[tuple[str, CallStep]]], most: int, now: dt.datetime, coming: Counter[str]) -> list[Crowd]:
        """What to turn away unclaimed at the gates that have no room for ``most`` more. ``first``: see `bus.catalog.Catalog.first_calls`.

        ``coming``: how many runs of which rules are claimed and not live yet: the room that there is will be theirs.
        A route with a plan for a silent system must be asked what it does when the circuit is open.
        """
        crowds, all_coming = [], coming.total()
        for name, begun in self._begun_at(first).items():
            gate = self._gates[name]
            if (free := gate.room(now)) - all_coming >= most:
                continue
            room = max(free - sum(coming[digest] for digest, _ in begun), 0)
            rules = [digest for digest, step in begun if not (gate.circuit.is_open and step.on_error)]
            if room < most and rules:
                crowds.append(Crowd(name, rules, room, gate.again(now)))
        return crowds

    def _begun_at(self, first: Mapping[str, Sequence[tuple[str, CallStep]]]) -> Mapping[str, Sequence[tuple[str, CallStep]]]:
        """The same by gate; kept for as long as they are the same."""
        if self._begun[0] is not first:
            found: defaultdict[str, list[tuple[str, CallStep]]] = defaultdict(list)
            for operation, steps in first.items():
                found[self._name_of(operation)] += steps
            self._begun = first, {name: found[name] for name in self._gates if name in found}
        return self._begun[1]

    def turn_away(self, gate: str, runs: Iterable[str]) -> None:
        """Note that these runs were turned away at a gate, unclaimed."""
        for run in runs:
            self._gates[gate].turn_away(run)

    def stir(self, now: dt.datetime, *, calls: bool = True) -> bool:
        """Whether a turn would let somebody go on; with ``calls`` also of those that were turned away."""
        return any(gate.stirs(now, calls=calls) for gate in self._gates.values())

    def are_away(self, runs: Iterable[str]) -> list[str]:
        """Those of ``runs`` that were turned away and not called since."""
        return [run for run in runs if any(run in gate.away for gate in self._gates.values())]

    def away(self) -> bool:
        """Whether any run was turned away and not called since."""
        return any(gate.away for gate in self._gates.values())

    def came_home(self, place: Place, error: OutsideError | None, now: dt.datetime, *, asked: bool = True) -> None:
        """A call ended, whoever holds its run now: its place is free. Not ``asked``: it did not go out after all."""
        gate, operation = self._held.get(place[:2], {}).get(place[2], (None, ""))
        if gate is not None:
            gate.moved = now
            if asked:
                gate.circuit.ended(place, error, now)
                self._note_lock(gate, operation, error)
            self._free(place, gate)

    def _note_lock(self, gate: Gate, operation: str, error: OutsideError | None) -> None:
        """Say once that a system does not take us any more: a route may go on without the answer, so that no dead letter would."""
        if error is None or not error.locked_out:
            if not silent(error):
                gate.locked_out.discard(operation)
        elif operation not in gate.locked_out:
            gate.locked_out.add(operation)
            self._say("call.locked-out", operation=operation, code=error.outside_code or error.code, next="see the adapter's credentials")

    def keep(self, claim: tuple[str, int], paths: Collection[str]) -> None:
        """Give up all places that a run has, inside a gate or in line, but those of ``paths``."""
        for path, (gate, _) in list(self._held.get(claim, {}).items()):
            if path not in paths:
                self._free((*claim, path), gate)

    def leave(self, place: Place) -> None:
        """Nobody needs this place any more."""
        gate, _ = self._held.get(place[:2], {}).get(place[2], (None, ""))
        if gate is not None:
            self._free(place, gate)

    def _free(self, place: Place, gate: Gate) -> None:
        gate.out.discard(place)
        gate.line.pop(place, None)
        gate.circuit.left(place)
        held = self._held[place[:2]]
        held.pop(place[2], None)
        if not held:
            del self._held[place[:2]]

    def describe(self) -> JsonObject:
        """Every gate, for ``/status``: its places, who is out, in line and turned away, the circuit, and what is locked out."""
        return {
            name: {
                "places": gate.size, "out": len(gate.out), "in_line": len(gate.line), "turned_away": len(gate.away),
                "circuit": "open" if gate.circuit.is_open else "closed", "locked_out": list[JsonValue](sorted(gate.locked_out)),
            }
            for name, gate in self._gates.items()
        }  # fmt: skip
