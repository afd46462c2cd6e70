"""What a kind of tampering is made of: how it is declared, what it says must be found, and how it changes a database at a random place."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from bus.log.verify import Trust
from bus.message import canonical, new_id
from bus.store import Key
from tests.tamper.logs import Small

ANY = frozenset((
    "altered", "missing", "inserted", "reordered", "rewritten", "fork", "rollback", "tree", "checkpoint", "cosignature", "column",
    "payload", "unreadable", "table",
))  # fmt: skip
"""What a fault may be called."""


class Expected(NamedTuple):
    """``kinds``: how it may be called; ``leaf``: the one that was tampered with; ``within``: how wide the answer may be."""

    kinds: frozenset[str]
    leaf: int | None = None
    within: tuple[int, int] | None = None
    trust: Trust | None = None
    opens: Key | None = None
    """The key with which somebody opens the payload that has two; the database is as it was."""


Tamper = Callable[[sqlite3.Connection, random.Random, Small], Expected]
KINDS: dict[str, Tamper] = {}


def kind(tamper: Tamper) -> Tamper:
    KINDS[tamper.__name__] = tamper
    return tamper


def found(*kinds: str, leaf: int | None = None, **more) -> Expected:
    assert set(kinds) <= ANY
    return Expected(frozenset(kinds), leaf, **more)


def pick(rng: random.Random, small: Small) -> int:
    """A leaf behind the first, which says the keys."""
    return rng.randrange(1, len(small.leaves))


def put(raw: sqlite3.Connection, small: Small, leaf: int, content: bytes) -> None:
    raw.execute("UPDATE records SET content = ? WHERE seq = ?", (content, small.leaves[leaf].seq))


def another(content: bytes, rng: random.Random) -> bytes:
    """The same record with something else in it."""
    line = json.loads(content)
    what = rng.choice(("actor", "data", "time", "attempt"))
    line[what] = {"actor": "nessuno", "data": {"n": rng.random()}, "time": "2020-01-01T00:00:00.000Z", "attempt": rng.randrange(99)}[what]
    return canonical(line)


def write(raw: sqlite3.Connection, seq: int, content: bytes) -> None:
    line = json.loads(content) | {"id": new_id()}
    row = (seq, line["id"], line["kind"], line["time"], line.get("message"), line.get("run"), canonical(line))
    raw.execute("INSERT INTO records (seq, id, kind, time, message, run, content) VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def flip(raw, rng, table, column, where, key, start=0, length=None) -> None:
    """One bit of a value, or of ``length`` bytes of it from ``start`` on; ``key``: what the question marks in ``where`` stand for."""
    values = key if isinstance(key, tuple) else (key,)
    [content] = raw.execute(f"SELECT {column} FROM {table} WHERE {where}", values).fetchone()
    changed = bytearray(content)
    changed[start + rng.randrange(length or len(changed))] ^= 1 << rng.randrange(8)
    raw.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (bytes(changed), *values))
