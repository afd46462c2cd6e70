"""Claims: runs become ours for the time of a lease. Both are pieces of a transaction; the rules are those of the query ``claim_runs``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from bus.clock import text_of
from bus.message import canonical
from bus.store import Row, Tx


def claim(tx: Tx, runs: Sequence[str], owner: str, now: dt.datetime, lease: dt.timedelta) -> list[Row]:
    """Claim those of ``runs`` that can be claimed, of one case one; they come in order of acceptance.

    Either none of the claimed has strikes or it is one alone: then ask again for the rest.
    """
    if not runs:
        return []
    rows = tx.all("claim_runs", runs=canonical(runs).decode(), owner=owner, lease=text_of(now + lease), now=text_of(now))
    return sorted(rows, key=lambda row: int(row["turn"]))


def claim_due(tx: Tx, owner: str, now: dt.datetime, lease: dt.timedelta, most: int) -> list[Row]:
    """Claim up to ``most`` runs that nobody rang for, those that are due longest first; for the sweeper. As `claim` otherwise."""
    return claim(tx, [row["id"] for row in tx.all("runs_to_ring", now=text_of(now), most=most)], owner, now, lease)
