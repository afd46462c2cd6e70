"""Places in a version of rules: a step and what of it, as ``file:line:column`` in the files these rules were read from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bus.route.parse import Parsed, parse_route
from bus.source import Pointer, Source, read

_PARTS: Mapping[str, tuple[str, ...]] = {
    "request": ("with", "mapping"), "message": ("with", "mapping"), "reply": ("reply",), "keys": ("case",), "key": ("case",),
    "deadline": ("by", "deadline"), "operation": ("call",), "type": ("wait", "gather", "send"), "sentence": ("reason",), "code": ("fail",),
}  # fmt: skip
"""What a difference is in, by the field of the step that says it."""


class Places:
    """``texts`` are the files of one route's rules by name, in any order (`bus.catalog.Route.texts`)."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        sources = [read(text.encode(), file) for file, text in texts.items()]
        self._route = next((source for source in sources if source.name("route")), None)
        self._mappings = {name: source for source in sources if (name := source.name("mapping"))}
        parsed = parse_route(self._route.plain(), self._route) if self._route and self._route.root else None
        self._steps: dict[str, Parsed] = {step.model.id: step for step in parsed.every} if parsed else {}

    def of(self, place: str, fields: Sequence[str] = (), than: Places | None = None) -> str:
        """Where ``route@version/step-id`` is written; with ``fields`` (``request.oggetto``) as near to the first of them as can be told.

        Where one of several parts of the step may have told the field, the one that is not as in ``than``.
        """
        if self._route is None:
            return place
        step = self.step(place)
        if step is None:
            head = [("case", *_pointer(one)[1:]) if one.startswith("keys.") else _pointer(one) for one in fields]
            return _at(self._route, head[0]) if head else f"{self._route.file}:1:1"
        for field in fields:
            found = self._inside(step, field, than.step(place) if than else None)
            if found is not None:
                return found
        return _at(self._route, (*step.pointer, "id"))

    def step(self, place: str) -> Parsed | None:
        """The step ``route@version/step-id``, as it is written; None where there is none."""
        return self._steps.get(place.partition("/")[2])

    def part(self, place: str, what: str) -> str:
        """Where a part of a step is written, named as the interpreter does: ``when``, ``choose[1].when``, ``until``."""
        step = self.step(place)
        if self._route is None or step is None:
            return self.of(place)
        return _at(self._route, (*step.pointer, *_pointer(what)))

    def way(self, way: str) -> str:
        """Where one of the ways of a route (`bus.route.branches`) begins: a step, its condition when it does not hold, or a branch."""
        step, passed_over, _ = way.partition("!")
        step, _, branch = step.partition(".")
        part = "wait" if branch == "message" else branch or "id"
        return self.part(f"/{step}", "when" if passed_over else part)

    def at(self, pointer: Pointer, mapping: str = "") -> str:
        """Where a value of the route's document, or of a mapping's, is written."""
        source = self._mappings.get(mapping) if mapping else self._route
        return _at(source, pointer) if source else mapping

    def _inside(self, step: Parsed, field: str, other: Parsed | None) -> str | None:
        first, *rest = _pointer(field)
        assert self._route is not None
        parts = [part for part in _PARTS.get(str(first), ()) if _written(step, part)]
        if not parts:
            return None
        part = next((one for one in parts if other is not None and _written(step, one) != _written(other, one)), parts[0])
        if part == "mapping" and (mapping := self._mappings.get(step.model.mapping)):
            return _at(mapping, ("fields", *rest))
        return _at(self._route, (*step.pointer, part, *rest))


def _written(step: Parsed, part: str) -> Any:
    """What a step says as a part; None, or nothing, where it does not."""
    return getattr(step.model, f"{part}_" if part == "with" else part, None)


def _at(source: Source, pointer: Pointer) -> str:
    line, column = source.place(pointer)
    return f"{source.file}:{line}:{column}"


def _pointer(field: str) -> Pointer:
    """``request.mappali[0].foglio`` as ``("request", "mappali", 0, "foglio")``."""
    return tuple(int(piece) if piece.isdigit() else piece for piece in re.findall(r"[^.\[\]]+", field))
