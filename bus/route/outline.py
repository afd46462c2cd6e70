"""The outline of a route: what other rules need to know of it. A route that is kept as its outline need not be read for their sake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bus.message import JsonObject
from bus.route.compile import CompiledRoute

_INSIDE = frozenset({"send", "wait", "gather"})
"""Steps whose messages pass inside the bus, or come from other systems: no portal presents them."""


@dataclass(frozen=True, slots=True)
class Outline:
    """``names``: what its expressions may use; ``keys``: what it may give its case; ``inside``: types that it sends or waits for;
    ``mappings``: those that it applies; ``asked``: the paths that its conditions ask about.
    """

    route: str
    on: str
    names: frozenset[str]
    keys: frozenset[str]
    inside: frozenset[str]
    mappings: frozenset[str]
    asked: frozenset[tuple[str, ...]]

    def written(self) -> JsonObject:
        """As JSON."""
        sets = {name: sorted(getattr(self, name)) for name in ("names", "keys", "inside", "mappings")}
        return {"route": self.route, "on": self.on, **sets, "asked": [list(path) for path in sorted(self.asked)]}


def outline_of(compiled: CompiledRoute) -> Outline:
    """The outline of a route that was compiled."""
    model, steps = compiled.parsed.model, list(compiled.parsed.walk())
    learnt = [name for step in steps if step.kind == "call" for name in step.model.case]
    inside = [getattr(step.model, step.kind) for step in steps if step.kind in _INSIDE]
    return Outline(
        model.route, model.on, compiled.parsed.names, frozenset([*model.case, *learnt]), frozenset(filter(None, inside)),
        frozenset(compiled.mappings), compiled.asked,
    )  # fmt: skip


def outline_from(written: Mapping[str, Any]) -> Outline:
    """An outline that was written as JSON."""
    sets = {name: frozenset(written[name]) for name in ("names", "keys", "inside", "mappings")}
    return Outline(written["route"], written["on"], asked=frozenset(map(tuple, written["asked"])), **sets)
