"""Named queries: SQL lives in ``.sql`` files, each query under a line ``-- name: what_it_does``, perhaps with ``buffered`` behind it.

What each database says in its own way has a word of ours (`_WORDS`), so that a query need not be written twice for it.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Literal, NamedTuple

_NAME = re.compile(r"^-- name: (\w+)(?: buffered)?\s*$", re.MULTILINE)
_REMARK = re.compile(r"^--.*$", re.MULTILINE)
_BUFFERED = re.compile(r"^-- name: (\w+) buffered\s*$", re.MULTILINE)


class _Word(NamedTuple):
    ours: str
    sqlite: str
    postgresql: str


_WORDS = (
    # A parameter that is a JSON array of texts, or of numbers. To PostgreSQL it is an array, not a table to join with: each of its values
    # is looked up in an index, whatever the planner believes of either's size.
    _Word(
        r"\bIN :list\((\w+)\)",
        r"IN (SELECT value FROM json_each(:\1))",
        r"= ANY (ARRAY(SELECT jsonb_array_elements_text((:\1)::jsonb)))",
    ),
    _Word(
        r"\bIN :numbers\((\w+)\)",
        r"IN (SELECT value FROM json_each(:\1))",
        r"= ANY (ARRAY(SELECT j::bigint FROM jsonb_array_elements((:\1)::jsonb) j))",
    ),
    # `FROM :each(names) j`: the items of a JSON array, themselves arrays of texts; `:item(j, 0)`: one of those texts.
    _Word(r":each\((\w+)\)", r"json_each(:\1)", r"jsonb_array_elements((:\1)::jsonb)"),
    _Word(r":item\((\w+), (\d)\)", r"json_extract(\1.value, '$[\2]')", r"\1 ->> \2"),
    # Whether bytes have a text within.
    _Word(r":holds\(([\w.]+), ((?:[^()']|'[^']*')+)\)", r"instr(\1, CAST(\2 AS BLOB)) > 0", r"position(convert_to(\2, 'UTF8') IN \1) > 0"),
)


@cache
def load(*files: str, dialect: Literal["sqlite", "postgresql"] | None = None) -> dict[str, str]:
    """All queries of ``bus/store/<file>``; a name that is there twice is an error. Without a ``dialect`` they have none of our words."""
    words = [(re.compile(word.ours), str(getattr(word, dialect))) for word in _WORDS] if dialect else []
    found: dict[str, str] = {}
    for file in files:
        parts = _NAME.split(_text(file))[1:]
        names = parts[::2]
        if twice := {name for name in names if name in found or names.count(name) > 1}:
            raise ValueError(f"{file}: a query is named twice: {', '.join(sorted(twice))}")
        for name, text in zip(names, parts[1::2], strict=True):
            found[name] = _REMARK.sub("", text).strip()
            for ours, own in words:
                found[name] = ours.sub(own, found[name])
    return found


@cache
def buffered(*files: str) -> frozenset[str]:
    """The queries that may wait for the end of the transaction; see `bus.store.inserts`."""
    return frozenset(name for file in files for name in _BUFFERED.findall(_text(file)))


def _text(file: str) -> str:
    return resources.files("bus.store").joinpath(file).read_text("utf-8")
