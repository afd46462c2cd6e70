"""Routes that an earlier check found sound: known by their outlines until their findings are needed, and those may be known too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bus.earlier import Earlier, digest_of
from bus.message import JsonObject, canonical
from bus.route.outline import Outline, outline_from
from bus.route.world import World
from bus.rulefiles import Files, beside_of, is_beside, is_route
from bus.source import Finding


class Kept(NamedTuple):
    """What is kept of a sound route: its outline under the digest of its files, what was found under that and of the world it was in."""

    files: str
    outline: JsonObject
    world: str
    findings: list[Finding]


class Recalled:
    """What is known from earlier of the routes of these files."""

    def __init__(self, files: Files, earlier: Earlier) -> None:
        self._earlier = earlier
        others = digest_of({path: content for path, content in files.items() if not is_route(path) and not is_beside(path)})
        self._keys = {path: self._key(others, path, files) for path in files if is_route(path)}
        known = {path: earlier.outline(key) for path, key in self._keys.items()}
        self.outlines = {path: outline_from(outline) for path, outline in known.items() if outline}

    def _key(self, others: bytes, path: str, files: Files) -> str:
        parts = [files[name] for name in (path, beside_of(path)) if name in files]
        return self._earlier.key(others, path.encode(errors="surrogateescape"), *parts)

    def findings(self, paths: Iterable[str], world: World) -> dict[str, list[Finding] | None]:
        """What is known to be found of these routes in this world; None where it is not known."""
        state = _state(world)
        return {path: self._earlier.findings(self._in(state, path, self.outlines[path], world)) for path in paths}

    def worth(self, sound: Iterable[tuple[str, Outline, list[Finding]]], findings: Iterable[Finding], world: World) -> Iterator[Kept]:
        """What to keep of sound routes, each with what was found elsewhere for its sake, and of what was found in this world.

        Nothing of one with an error: that takes nothing away that other rules would have had.
        """
        found: dict[str, list[Finding]] = {}
        state = _state(world)
        for one in findings:
            found.setdefault(one.file, []).append(one)
        for path, outline, elsewhere in sound:
            own = [*found.get(path, ()), *found.get(beside_of(path), ()), *elsewhere]
            if all(one.severity != "error" for one in own):
                yield Kept(self._keys[path], outline.written(), self._in(state, path, outline, world), own)

    def keep(self, kept: Iterable[Kept]) -> None:
        for one in kept:
            self._earlier.keep_outline(one.files, one.outline)
            self._earlier.keep(one.world, one.findings)

    def _in(self, state: bytes, path: str, outline: Outline, world: World) -> str:
        about = world.traffic.about(outline) if world.traffic else None
        return self._earlier.key(self._keys[path].encode(), state, canonical(about))


def _state(world: World) -> bytes:
    """What a route's findings depend on of all other routes: what these bring into the world."""
    return canonical([None if world.keys is None else sorted(world.keys), sorted(world.broken)])
