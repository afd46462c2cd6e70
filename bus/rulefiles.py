"""The files of rules in a folder, as bytes: routes, mappings, types, tables, services. Reading them asks for no rule to be understood."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from bus.source import LIMIT

Files: TypeAlias = Mapping[str, bytes]
"""Files of rules by their path in the folder, with ``/``."""
CATALOGUE = "routes/servizi.yaml"
BESIDE = ".test.yaml"
"""How the file of tests beside a route ends."""


def files_of(folder: Path) -> dict[str, bytes]:
    """What a folder holds of rules. Of a file that is too large only so much is read that it is seen to be."""
    found = sorted(_named(folder), key=lambda path: path.split("/"))
    return {shown: _content(path) for shown in found if (path := folder / shown).is_file()}


def _named(folder: Path) -> Iterator[str]:
    """The paths in a folder that are called as rules are. (`Path.glob` takes twice as long, each time that rules are checked.)"""
    start = len(str(folder / "routes")) - len("routes")  # of `.` nothing stands before it
    for part in ("routes", "mappings"):
        for here, _, names in os.walk(folder / part):
            inside = here[start:]
            yield from (f"{inside}/{name}" for name in names if name.endswith(".yaml") or is_table(f"{inside}/{name}"))


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LIMIT + 1)


def is_route(path: str) -> bool:
    return path.startswith("routes/") and path.endswith(".yaml") and path != CATALOGUE and not path.endswith(BESIDE)


def is_beside(path: str) -> bool:
    return path.startswith("routes/") and path.endswith(BESIDE)


def is_type(path: str) -> bool:
    return path.startswith("mappings/types/") and path.endswith(".yaml") and path.count("/") == 2


def is_table(path: str) -> bool:
    return path.startswith("mappings/tables/") and path.endswith(".csv") and path.count("/") == 2


def is_mapping(path: str) -> bool:
    return path.startswith("mappings/") and path.endswith(".yaml") and not path.startswith(("mappings/types/", "mappings/tables/"))


def beside_of(route: str) -> str:
    """The file of tests beside a route's."""
    return route.removesuffix(".yaml") + BESIDE


def route_of(path: str) -> str:
    """The file of the route whose tests a file beside it holds; any other file itself."""
    return path.removesuffix(BESIDE) + ".yaml" if is_beside(path) else path


def weights_of(files: Files) -> dict[str, int]:
    """How many bytes there are to read of each file, of a route with its tests."""
    weights: dict[str, int] = {}
    for path, content in files.items():
        weights[route_of(path)] = weights.get(route_of(path), 0) + len(content)
    return weights
