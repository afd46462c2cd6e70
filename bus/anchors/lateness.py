"""How far each anchor is behind the log: what `bus doctor`, `/metrics` and the log lines say."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from bus.anchors import outside
from bus.clock import moment_of
from bus.config import Anchors
from bus.log import note
from bus.log.checkpoint import Checkpoint
from bus.log.stored import StoredTree
from bus.store import Tx

REGISTER, TIMESTAMP, WITNESS = "register", "timestamp", "witness"
DAILY = "giornaliero"
"""The name of the anchor in the protocol register."""


class Expected(NamedTuple):
    """An anchor that the settings ask for; ``late``: seconds for which a checkpoint may be without it."""

    kind: str
    name: str
    late: float


class Standing(NamedTuple):
    """What is known of one anchor: the size that it has vouched for, and since when (seconds) there is a checkpoint that it has not."""

    kind: str
    name: str
    size: int
    behind: float
    late: bool


def expected(settings: Anchors) -> list[Expected]:
    found = [Expected(WITNESS, note.verifier(one.key).name, settings.late) for one in settings.witnesses]
    if settings.timestamps is not None:
        found.append(Expected(TIMESTAMP, settings.timestamps.url, settings.timestamps.late))
    if settings.daily is not None:
        found.append(Expected(REGISTER, DAILY, settings.daily.late))
    return found


def standing(tx: Tx, settings: Anchors, now: dt.datetime) -> list[Standing]:
    """How each anchor that the settings ask for stands."""
    tree, found = StoredTree(tx), []
    for one in expected(settings):
        row = tx.one("last_anchor", kind=one.kind, name=one.name)
        size = row["size"] if row else 0
        first = tree.checkpoint_of(size + 1)
        behind = max((now - moment_of(first.time)).total_seconds(), 0.0) if first else 0.0
        found.append(Standing(one.kind, one.name, size, behind, behind > one.late))
    return found


def ahead(tx: Tx, name: str, head: Checkpoint) -> str:
    """A sentence where a witness has cosigned a log that this one does not begin with; empty where all is well."""
    tree = StoredTree(tx)
    if head.size > (size := tree.size()):
        return outside.rolled_back(name, head.size, size)
    return "" if tree.root(head.size) == head.root else f"the witness {name} has cosigned another history of {head.size:,} records"
