"""What a route test expects, compared with what happened: one sentence for each difference, and where the test expects otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bus.errors import counted
from bus.message import JsonValue
from bus.route.model import Expectation
from bus.source import Pointer
from bus.testing.script import TrialError
from bus.testing.trial import Trial


class Difference(NamedTuple):
    """What is not as a test expects, and where in the test that is written."""

    at: Pointer
    sentence: str


def compare(expect: Expectation, trial: Trial) -> tuple[Difference, ...]:
    """The differences; empty when all that is expected holds."""
    wanted = expect.model_dump(exclude_unset=True)
    return tuple(fault for name, value in wanted.items() for fault in _faults(name, value, trial))


def _faults(name: str, wanted: Any, trial: Trial) -> Iterable[Difference]:
    """What is not as one field of an `Expectation` says."""
    at, replies = ("expect", name), trial.run.replies
    match name:
        case "state":
            return _state(at, wanted, trial)
        case "dead":
            return _dead(at, wanted, trial)
        case "tries":
            return _tries(at, wanted, trial)
        case "calls" | "sent" | "records":
            return _sequence(at, name, wanted, getattr(trial, name))
        case "reply" if wanted is None and replies:
            return [Difference(at, f"reply: expected none, is {said(replies[-1])}")]
        case "reply":
            found = replies[-1] if replies else None
        case "ended":
            failure = trial.run.walk.failure
            found = None if failure is None or failure.dead else failure.code
        case "late":
            found = [*(run.state for run in trial.runs[1:]), *("ready" for _ in trial.held)]
        case _:
            found = getattr(trial, name)
    return differences(wanted, found, at, name)


def _state(at: Pointer, wanted: Any, trial: Trial) -> Iterable[Difference]:
    if trial.run.state != wanted:
        failure = trial.run.walk.failure
        why = f": {failure.place}: {failure.code}: {failure.sentence}" if failure and failure.dead else ""
        yield Difference(at, f"state: expected {wanted}, is {trial.run.state}{why}")


def _sequence(at: Pointer, what: str, wanted: list[Any], happened: list[tuple[str, JsonValue]]) -> Iterable[Difference]:
    """Names in order; an entry may be a name or ``{name: part of the request or body}``."""
    entries = [_entry(what, one) for one in wanted]
    names = [name for name, _ in entries]
    if names != [name for name, _ in happened]:
        yield Difference(at, f"{what}: expected {', '.join(names) or 'none'}; were {', '.join(name for name, _ in happened) or 'none'}")
        return
    for position, ((name, fields), (_, body)) in enumerate(zip(entries, happened, strict=True)):
        which = f"[{position}]" if names.count(name) > 1 else ""
        yield from differences(fields, body, (*at, position, name), f"{what}{which}: {name}")


def _entry(what: str, entry: Any) -> tuple[str, Any]:
    if isinstance(entry, str):
        return entry, {}
    if len(entry) != 1:
        raise TrialError(f"{what}: an entry is a name, or one name with the fields to look at", hint="a list item for each")
    [(name, fields)] = entry.items()
    return name, fields


def _tries(at: Pointer, wanted: Any, trial: Trial) -> Iterable[Difference]:
    for name, count in wanted.items():
        if trial.tried.get(name, 0) != count:
            yield Difference((*at, name), f"tries: {name}: expected {count}, were {trial.tried.get(name, 0)}")


def _dead(at: Pointer, wanted: Any, trial: Trial) -> Iterable[Difference]:
    failure = trial.run.walk.failure
    if failure is None or not failure.dead:
        return [Difference(at, f"dead: expected {said(wanted)}, the run is {trial.run.state}")]
    found = {"code": failure.code, "step": failure.place.rpartition("/")[2], "sentence": failure.sentence}
    return differences(wanted, found, at, "dead")


def differences(wanted: Any, found: Any, at: Pointer, place: str) -> list[Difference]:
    """Where ``found``, which is called ``place``, lacks what is wanted and written ``at``.

    Maps may hold more than is wanted, lists may not; null is also what is not there.
    """
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return [Difference(at, f"{place}: expected an object, is {said(found)}")]
        return [one for key, value in wanted.items() for one in differences(value, found.get(key), (*at, key), f"{place}.{key}")]
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return [Difference(at, f"{place}: expected {counted(len(wanted), 'item')}, is {said(found)}")]
        return [one for i, value in enumerate(wanted) for one in differences(value, found[i], (*at, i), f"{place}[{i}]")]
    same = wanted == found and type(wanted) is type(found)
    return [] if same else [Difference(at, f"{place}: expected {said(wanted)}, is {said(found)}")]


def said(value: Any) -> str:
    """A value as files of rules can say it."""
    return json.dumps(value, ensure_ascii=False)
