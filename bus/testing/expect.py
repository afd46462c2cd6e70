"""What a route test expects, compared with what happened: one sentence for each difference."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bus.errors import counted
from bus.message import JsonValue
from bus.route.model import Expectation
from bus.testing.script import TrialError
from bus.testing.trial import Trial


def compare(expect: Expectation, trial: Trial) -> tuple[str, ...]:
    """The differences; empty when all that is expected holds."""
    wanted = expect.model_dump(exclude_unset=True)
    return tuple(fault for name, value in wanted.items() for fault in _faults(name, value, trial))


def _faults(name: str, wanted: Any, trial: Trial) -> Iterable[str]:
    """What is not as one field of an `Expectation` says."""
    replies = trial.run.replies
    match name:
        case "state":
            return _state(wanted, trial)
        case "dead":
            return _dead(wanted, trial)
        case "tries":
            return _tries(wanted, trial)
        case "calls" | "sent" | "records":
            return _sequence(name, wanted, getattr(trial, name))
        case "reply" if wanted is None and replies:
            return [f"reply: expected none, is {_said(replies[-1])}"]
        case "reply":
            found = replies[-1] if replies else None
        case "late":
            found = [run.state for run in trial.runs[1:]]
        case _:
            found = getattr(trial, name)
    return [f"{name}{fault}" for fault in differences(wanted, found)]


def _state(wanted: Any, trial: Trial) -> Iterable[str]:
    if trial.run.state != wanted:
        failure = trial.run.walk.failure
        why = f": {failure.place}: {failure.code}: {failure.sentence}" if failure else ""
        yield f"state: expected {wanted}, is {trial.run.state}{why}"


def _sequence(what: str, wanted: list[Any], happened: list[tuple[str, JsonValue]]) -> Iterable[str]:
    """Names in order; an entry may be a name or ``{name: part of the request or body}``."""
    entries = [_entry(what, one) for one in wanted]
    names = [name for name, _ in entries]
    if names != [name for name, _ in happened]:
        yield f"{what}: expected {', '.join(names) or 'none'}; were {', '.join(name for name, _ in happened) or 'none'}"
        return
    for position, ((name, fields), (_, body)) in enumerate(zip(entries, happened, strict=True)):
        which = f"[{position}]" if names.count(name) > 1 else ""
        yield from (f"{what}{which}: {name}{fault}" for fault in differences(fields, body))


def _entry(what: str, entry: Any) -> tuple[str, Any]:
    if isinstance(entry, str):
        return entry, {}
    if len(entry) != 1:
        raise TrialError(f"{what}: an entry is a name, or one name with the fields to look at", hint="a list item for each")
    [(name, fields)] = entry.items()
    return name, fields


def _tries(wanted: Any, trial: Trial) -> Iterable[str]:
    for name, count in wanted.items():
        if trial.tried.get(name, 0) != count:
            yield f"tries: {name}: expected {count}, were {trial.tried.get(name, 0)}"


def _dead(wanted: Any, trial: Trial) -> Iterable[str]:
    failure = trial.run.walk.failure
    if failure is None:
        return [f"dead: expected {_said(wanted)}, the run is {trial.run.state}"]
    found = {"code": failure.code, "step": failure.place.rpartition("/")[2], "sentence": failure.sentence}
    return [f"dead{fault}" for fault in differences(wanted, found)]


def differences(wanted: Any, found: Any, place: str = "") -> list[str]:
    """Where ``found`` lacks what is wanted. Maps may hold more than is wanted, lists may not; null is also what is not there."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return [f"{place}: expected an object, is {_said(found)}"]
        return [fault for key, value in wanted.items() for fault in differences(value, found.get(key), f"{place}.{key}")]
    if isinstance(wanted, list):
        if not isinstance(found, list) or len(found) != len(wanted):
            return [f"{place}: expected {counted(len(wanted), 'item')}, is {_said(found)}"]
        return [fault for i, value in enumerate(wanted) for fault in differences(value, found[i], f"{place}[{i}]")]
    return [] if wanted == found and type(wanted) is type(found) else [f"{place}: expected {_said(wanted)}, is {_said(found)}"]


def _said(value: Any) -> str:
    """A value as files of rules can say it."""
    return json.dumps(value, ensure_ascii=False)
