"""Claims: runs become ours for the time of a lease. All here are pieces of a transaction; the rules stand in the query ``claim_runs``.

A claim whose owner vanished before anything came of it is a *strike*. Two may be those of a neighbour, or chance: a run that has them is a
*suspect*, and is worked apart, while its engine begins nothing else. So the third strike is its own, and with it it is poison.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from bus.clock import text_of
from bus.engine.gates import Crowd
from bus.errors import SnodoError
from bus.store import Row, Tx, listed

SUSPECT, POISON = 2, 3
"""Strikes with which a run is worked apart, and with which it is given up."""
POISONED = "run.poison"
"""The code of the dead letter that it is then."""

LONG, LINES = 50, 100
"""Runs from which on a line is long, and the lines that are known at most."""


def claim(
    tx: Tx, runs: Sequence[str], owner: str, now: dt.datetime, lease: dt.timedelta, *, suspects: bool = True
) -> list[Row]:  # fmt: skip
    """Claim those of ``runs`` that can be claimed, of one case one; they come in order of acceptance.

    Either none of the claimed is a suspect or it is one alone: then ask again for the rest. Without ``suspects`` they are left.
    """
    if not runs:
        return []
    rows = tx.all("claim_runs", runs=listed(runs), owner=owner, lease=text_of(now + lease), now=text_of(now), suspects=int(suspects))
    return sorted(rows, key=lambda row: int(row["turn"]))


def claim_opened(tx: Tx, runs: Sequence[str], owner: str, now: dt.datetime, lease: dt.timedelta) -> list[Row]:
    """`claim` for runs that this transaction has opened; a little faster for those that are alone in their case."""
    rows = list(tx.all("runs_alone", runs=listed(runs), now=text_of(now)))
    alone, until = {row["id"] for row in rows}, text_of(now + lease)
    for row in rows:
        tx.do("claim_run", id=row["id"], owner=owner, lease=until)
    rows += claim(tx, [run for run in runs if run not in alone], owner, now, lease, suspects=False)
    return sorted(rows, key=lambda row: int(row["turn"]))


class Lines(NamedTuple):
    """Cases in which many runs stand in line, and who is the first of each: nobody need ask of all the others whether they can go on."""

    cases: tuple[str, ...] = ()
    firsts: tuple[str, ...] = ()


class Part(NamedTuple):
    """The part of what is due that is looked at: of ``lines`` only the first, and nothing that was due before ``since``."""

    lines: Lines = Lines()
    since: str = ""


ALL = Part()


def long_lines(tx: Tx, now: dt.datetime) -> tuple[str, ...]:
    """The cases with the longest lines; walks through all that is due."""
    return tuple(row["case_id"] for row in tx.all("long_cases", now=text_of(now), many=LONG, most=LINES))


def lines_of(tx: Tx, cases: Sequence[str]) -> Lines:
    """These cases, with the run that stands first in each now. A case whose line is short by now, or gone, does no harm."""
    if not cases:
        return Lines()
    return Lines(tuple(cases), tuple(row["id"] for row in tx.all("runs_first", cases=listed(cases))))


def due(tx: Tx, now: dt.datetime, most: int, part: Part = ALL, *, suspects: bool = False) -> list[Row]:
    """Up to ``most`` runs that nobody rang for, with their strikes, those that are due longest first; for the sweeper."""
    long, firsts = map(listed, part.lines)
    return list(tx.all("runs_to_ring", now=text_of(now), since=part.since, most=most, suspects=int(suspects), long=long, firsts=firsts))


def blocking(tx: Tx, now: dt.datetime) -> list[Row]:
    """The suspects that hold an ordered lane: those who are due longer may wait for the lane, again and again."""
    return list(tx.all("suspects_with_lane", now=text_of(now)))


def turn_away(tx: Tx, runs: Sequence[str], crowds: Sequence[Crowd]) -> dict[str, list[str]]:
    """Leave alone for a while, unclaimed, those of ``runs`` that crowded gates have no room for: not the first ones. Returns their ids by
    gate. All gates are asked about at once: there may be hundreds.
    """
    tight = {digest: crowd for crowd in crowds if crowd.room < len(runs) for digest in crowd.rules}
    found = tx.all("runs_unbegun", runs=listed(runs), rules=listed(tight)) if tight else ()
    begins = {row["id"]: tight[row["digest"]] for row in found}
    asking, beyond = Counter[str](), dict[str, list[str]]()
    for run in runs:
        if (crowd := begins.get(run)) is not None:
            asking[crowd.gate] += 1
            if asking[crowd.gate] > crowd.room:
                beyond.setdefault(crowd.gate, []).append(run)
    for turned in beyond.values():
        tx.do("leave_alone", runs=listed(turned), until=text_of(begins[turned[0]].again))
    return beyond


def poisoned(row: Row) -> SnodoError:
    """Why a run is given up whose strikes are too many."""
    return SnodoError(
        f"{row['strikes']} times in a row the process that worked on this message ended before anything came of it",
        code=POISONED, hint="look at what the process said last, then redeliver or discard",
    )  # fmt: skip
