"""Text files that tests put in a folder, and change there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def put(folder: Path, files: Mapping[str, str]) -> None:
    """Texts by their path in the folder, each with the folders above it."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def edit(file: Path, old: str, new: str) -> None:
    """Another text in the place of one that must be there."""
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")
