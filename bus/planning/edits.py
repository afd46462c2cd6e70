"""What was changed in the files, line by line, and which findings are new."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from bus.source import Finding


class Edit(NamedTuple):
    """Lines of a file that were ``added``, ``removed`` or ``changed``; ``first`` and ``last`` count in the edited file from 1.

    For removed lines they are those of the file in force.
    """

    file: str
    what: str
    first: int
    last: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.first}" if self.last <= self.first else f"{self.file}:{self.first}-{self.last}"


def edits(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[Edit]:
    """All edits by file and line."""
    for file in sorted({*before, *after}):
        old, new = (files.get(file, b"").decode("utf-8", "replace").splitlines() for files in (before, after))
        if file not in after:
            yield Edit(file, "removed", 1, len(old))
        elif file not in before:
            yield Edit(file, "added", 1, len(new))
        elif before[file] != after[file]:
            yield from _lines(file, old, new)


_WORDS = {"insert": "added", "delete": "removed", "replace": "changed"}


def _lines(file: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Edit]:
    for what, old_first, old_last, first, last in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what != "equal":
            start, end = (old_first, old_last) if what == "delete" else (first, last)
            yield Edit(file, _WORDS[what], start + 1, end)


def new_findings(before: Sequence[Finding], after: Sequence[Finding]) -> list[Finding]:
    """Findings of the edited rules that those in force do not have, wherever they stand now."""
    known = {(one.file, one.code, one.sentence) for one in before}
    return [one for one in after if (one.file, one.code, one.sentence) not in known]
