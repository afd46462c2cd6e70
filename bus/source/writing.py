"""Values as YAML that people go on writing in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from bus.message import JsonValue


def in_blocks(value: JsonValue) -> Iterator[str]:
    """The lines of a map or a list: blocks, texts quoted, so that nothing is read as anything else."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _entry(f"{_key(name)}:", inner)
    elif isinstance(value, list):
        for inner in value:
            first, *rest = list(in_blocks(inner)) if isinstance(inner, dict | list) and inner else [_scalar(inner)]
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)


def _entry(head: str, value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from (f"  {line}" for line in in_blocks(value))
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][\w.-]*", name) else json.dumps(name, ensure_ascii=False)
