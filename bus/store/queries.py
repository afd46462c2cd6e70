"""Named queries: SQL lives in ``.sql`` files, each query under a line ``-- name: what_it_does``, perhaps with ``buffered`` behind it.

``IN :list(name)`` takes a parameter that is a JSON array of texts, ``IN :numbers(name)`` one of numbers; each database says it in its own
way.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)(?: buffered)?\s*$", re.MULTILINE)
_LIST, _NUMBERS = re.compile(r"\bIN :list\((\w+)\)"), re.compile(r"\bIN :numbers\((\w+)\)")
_REMARK = re.compile(r"^--.*$", re.MULTILINE)
_BUFFERED = re.compile(r"^-- name: (\w+) buffered\s*$", re.MULTILINE)


@cache
def load(*files: str, in_list: tuple[str, str]) -> dict[str, str]:
    r"""All queries of ``bus/store/<file>``; a name that is there twice is an error. ``in_list`` is what ``IN :list(\1)``, and
    ``IN :numbers(\1)``, become.
    """
    texts, numbers = in_list
    found: dict[str, str] = {}
    for file in files:
        parts = _NAME.split(_text(file))[1:]
        names = parts[::2]
        if twice := {name for name in names if name in found or names.count(name) > 1}:
            raise ValueError(f"{file}: a query is named twice: {', '.join(sorted(twice))}")
        plain = (_REMARK.sub("", text).strip() for text in parts[1::2])
        found.update(zip(names, (_NUMBERS.sub(numbers, _LIST.sub(texts, text)) for text in plain), strict=True))
    return found


@cache
def buffered(*files: str) -> frozenset[str]:
    """The queries that may wait for the end of the transaction; see `bus.store.inserts`."""
    return frozenset(name for file in files for name in _BUFFERED.findall(_text(file)))


def _text(file: str) -> str:
    return resources.files("bus.store").joinpath(file).read_text("utf-8")
