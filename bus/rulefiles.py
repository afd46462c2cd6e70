"""The files of rules in a folder, as bytes: routes, mappings, types, tables, services. Reading them asks for no rule to be understood."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from bus.source import LIMIT

Files: TypeAlias = Mapping[str, bytes]
"""Files of rules by their path in the folder, with ``/``."""


def files_of(folder: Path) -> dict[str, bytes]:
    """What a folder holds of rules. Of a file that is too large only so much is read that it is seen to be."""
    found = [*folder.glob("routes/**/*.yaml"), *folder.glob("mappings/**/*.yaml"), *folder.glob("mappings/tables/*.csv")]
    return {path.relative_to(folder).as_posix(): _content(path) for path in sorted(found) if path.is_file()}


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LIMIT + 1)
