"""The outline of a route: what other rules need to know of it. A route that is kept as its outline need not be read for their sake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, TypeVar

from bus.message import JsonObject
from bus.route.compile import CompiledRoute
from bus.route.parse import Parsed, ParsedRoute

_Told = TypeVar("_Told")
_SETS = ("names", "keys", "told", "sent", "surely", "awaited", "mappings")
_PLAIN = frozenset({"call", "map", "set", "reply", "send"})
"""Kinds of step after which a run goes on at once, unless something fails."""


@dataclass(frozen=True, slots=True)
class Outline:
    """``names``: what its expressions may use; ``keys``: what it may give its case, ``told``: those of the message; ``sent`` and
    ``awaited``: types that it sends and waits for, ``surely``: those that every message which begins with it makes it send, at once;
    ``mappings``: those that it applies; ``asked``: the paths that its conditions ask about; ``targets``: mappings with
    what their steps need, "" for anything.
    """

    route: str
    on: str
    names: frozenset[str]
    keys: frozenset[str]
    told: frozenset[str]
    sent: frozenset[str]
    surely: frozenset[str]
    awaited: frozenset[str]
    mappings: frozenset[str]
    asked: frozenset[tuple[str, ...]]
    targets: frozenset[tuple[str, ...]]

    def written(self) -> JsonObject:
        """The outline as JSON."""
        sets = {name: sorted(getattr(self, name)) for name in _SETS}
        paths: JsonObject = {name: [list(path) for path in sorted(getattr(self, name))] for name in ("asked", "targets")}
        return {"route": self.route, "on": self.on, **sets, **paths}


def outline_of(compiled: CompiledRoute) -> Outline:
    """The outline of a route that was compiled."""
    model, steps = compiled.parsed.model, compiled.parsed.every
    learnt = [name for step in steps if step.kind == "call" for name in step.model.case]
    sent = [step.model.send for step in steps if step.kind == "send"]
    surely = frozenset(step.model.send for step in surely_sending(compiled.parsed))
    awaited = [step.what for step in steps if step.kind in {"wait", "gather"}]
    return Outline(
        model.route, model.on, compiled.parsed.names, frozenset([*model.case, *learnt]), frozenset(model.case),
        frozenset(sent), surely, frozenset(filter(None, awaited)), frozenset(compiled.mappings), compiled.looked_at,
        frozenset(_targets(steps)),
    )  # fmt: skip


def _targets(steps: Iterable[Parsed]) -> Iterator[tuple[str, str]]:
    """The mappings that steps apply, with the operation or type whose request or body it has to make; a step `map` takes any."""
    for step in steps:
        if step.kind == "map":
            yield step.what, ""
        elif (mapping := getattr(step.model, "mapping", None)) is not None:
            yield mapping, step.what


def surely_sending(route: ParsedRoute) -> list[Parsed]:
    """The steps that send for every message which begins with the route, at once. None where a key may tell that a message came before."""
    if route.model.key is not None:
        return []
    first = list(takewhile(lambda step: step.kind in _PLAIN, route.steps))
    return [step for step in first if step.kind == "send" and step.model.when is None]


def outline_from(written: Mapping[str, Any]) -> Outline:
    """An outline that was written as JSON."""
    sets = {name: frozenset(written[name]) for name in _SETS}
    asked, targets = (frozenset(map(tuple, written[name])) for name in ("asked", "targets"))
    return Outline(written["route"], written["on"], asked=asked, targets=targets, **sets)


def asked_of(outlines: Iterable[Outline]) -> dict[str, frozenset[tuple[str, ...]]]:
    """The paths that the routes which apply a mapping ask about, by mapping."""
    return united((mapping, one.asked) for one in outlines for mapping in one.mappings)


def messages_of(outlines: Iterable[Outline]) -> dict[str, frozenset[str]]:
    """The types of messages that the routes which apply a mapping begin with and wait for, by mapping."""
    return united((mapping, one.awaited | {one.on}) for one in outlines for mapping in one.mappings)


def targets_of(outlines: Iterable[Outline]) -> dict[str, frozenset[str]]:
    """What the steps that apply a mapping need of it, by mapping; "" for anything."""
    return united((mapping, frozenset({target})) for one in outlines for mapping, target in one.targets)


def united(told: Iterable[tuple[str, frozenset[_Told]]]) -> dict[str, frozenset[_Told]]:
    """All that is told of each name."""
    found: dict[str, frozenset[_Told]] = {}
    for name, some in told:
        found[name] = found.get(name, frozenset()) | some
    return found
