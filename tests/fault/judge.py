"""The judge of the fault suite. It knows three books and nothing else: what the portal was promised, what the systems did, and the log.

Faults are sentences with their evidence; none is what we want. No process of the bus may run while it reads.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bus.log import log
from bus.log.record import Record, as_line
from bus.store import Store, Tx
from tests.fault.portal import Promise
from tests.fault.rules import EFFECTS, ORDERED
from tests.simulation.judge import rebuilt

FLAGGED_WITHIN = 60.0
"""Seconds after a call in doubt within which a person must see it. The aim is 5 s, and figures are in ``benchmarks/results/``; the bound is for
machines so crowded that a process takes ten seconds to start."""
DOUBTFUL = ("call.in-doubt", "run.poison")
"""Why a run with a `once` call in doubt is a dead letter: nobody heard its end, or its process ended over it three times."""
Ledgers = dict[str, list[dict[str, Any]]]
"""The effects of each system, oldest first."""


@dataclass
class Verdict:
    """What was found. ``flagged`` are calls in doubt that wait for a person; ``waits`` how many seconds after the call each was flagged."""

    faults: list[str] = field(default_factory=list)
    messages: int = 0
    lost: int = 0
    doubled: int = 0
    flagged: int = 0
    waits: list[float] = field(default_factory=list)


@dataclass
class _Books:
    promises: list[Promise]
    ledgers: Ledgers
    records: list[tuple[int, Record]]
    runs: list[dict[str, Any]]
    children: dict[str, list[str]]
    gaps: bool

    def evidence(self, message: str, chi: str = "") -> str:
        """The log of a message and of what it sent, and what the systems did for it."""
        about = {message, *self.children.get(message, ())}
        lines = [f"    {seq} {as_line(record)}" for seq, record in self.records if record.message in about]
        effects = [f"    {name} {effect}" for name, ledger in self.ledgers.items() for effect in ledger if effect["detail"]["chi"] == chi]
        return "\n".join(["", *lines, *effects])


def judge(store: Store, promises: Sequence[Promise], ledgers: Ledgers) -> Verdict:
    """Compare the three books."""
    gaps = store.describe()["kind"] == "postgresql"
    with store.read() as tx:
        books = _read(tx, list(promises), ledgers, gaps=gaps)
    verdict = Verdict(messages=len({promise.name for promise in promises}))
    for check in (_accepted_once, _effects, _at_rest, _in_order, _lane, _log):
        verdict.faults += check(books, verdict)
    verdict.faults += _rebuilt(store)
    return verdict


def _read(tx: Tx, promises: list[Promise], ledgers: Ledgers, *, gaps: bool) -> _Books:
    children = defaultdict(list)
    records = list(log.everything(tx))
    for _, record in records:
        if record.kind == "sent" and record.message:
            children[record.message].append(str(record.data["sent"]))
    runs = [dict(row) for row in tx.all("runs_by_state", state=None, route=None, most=10_000_000)]
    return _Books(promises, ledgers, records, runs, children, gaps)


def _accepted_once(books: _Books, verdict: Verdict) -> Iterator[str]:
    """Every promise is in the log, one id for each name, and nothing of the portal is there that it was not promised."""
    ids = defaultdict(set)
    for promise in books.promises:
        ids[promise.name].add(promise.id)
    received = [record.message for _, record in books.records if record.kind == "received" and record.data.get("sender") == "portale"]
    yield from (f"{name} was promised under several ids: {sorted(those)}" for name, those in ids.items() if len(those) > 1)
    promised = {one for those in ids.values() for one in those}
    lost = promised - set(received)
    verdict.lost += len(lost)
    yield from (f"{identity} was promised and is not in the log" for identity in sorted(lost))
    yield from (f"{one} is in the log and was promised to nobody" for one in sorted({str(r) for r in received} - promised))
    yield from (f"{one} was received {count} times" for one, count in Counter(received).items() if count > 1)


def _effects(books: _Books, verdict: Verdict) -> Iterator[str]:
    """Each step has its effect once; a ``once`` step at most once, and where it has none a person is asked."""
    done = Counter(effect["detail"]["chi"] for ledger in books.ledgers.values() for effect in ledger)
    doubtful = {run["message"] for run in books.runs if run["state"] == "dead" and run["reason"] in DOUBTFUL}
    verdict.flagged = len(doubtful)
    verdict.waits = _waits(books)
    wanted = {}
    for promise in {promise.name: promise for promise in books.promises}.values():
        for effect, chi in EFFECTS[promise.type](promise.body):
            wanted[chi] = promise
            flagged = not doubtful.isdisjoint({promise.id, *books.children.get(promise.id, ())})
            if done[chi] > 1:
                verdict.doubled += 1
                yield f"{chi!r} ({effect}) was done {done[chi]} times{books.evidence(promise.id, chi)}"
            if done[chi] == 0 and not (effect == "once" and flagged):
                verdict.lost += 1
                yield f"{chi!r} ({effect}) was not done, and nobody is told{books.evidence(promise.id, chi)}"
    yield from (f"{chi!r} was done and nobody asked for it" for chi in done.keys() - wanted.keys())


def _waits(books: _Books) -> list[float]:
    """Seconds from each call in doubt to the moment at which a person could see it: its run was a dead letter, be it for another reason first."""
    asked, seen, waits = {}, {}, []
    for _, record in books.records:
        if record.kind == "asked":
            asked[record.run] = record.time
            seen.pop(record.run, None)
        if record.kind == "dead" and record.run in asked:
            seen.setdefault(record.run, record.time)
            if record.data.get("doubt"):
                waits.append((seen[record.run] - asked[record.run]).total_seconds())
    return waits


def _at_rest(books: _Books, verdict: Verdict) -> Iterator[str]:
    """Every run has ended; only a ``once`` call in doubt may be a dead letter."""
    for run in books.runs:
        expected = run["state"] == "done" or (run["state"] == "dead" and run["reason"] in DOUBTFUL and run["route"] == "prova.avviso")
        if not expected:
            yield f"run {run['id']} of {run['route']} is {run['state']} ({run['reason']}){books.evidence(run['message'])}"


def _in_order(books: _Books, verdict: Verdict) -> Iterator[str]:
    """What concerns one case is done in the order in which it was promised."""
    place = {e["detail"]["chi"]: e["id"] for e in reversed(books.ledgers["beta"])}
    last: dict[str, tuple[int, str]] = {}
    for promise in books.promises:
        first = next((chi for _, chi in EFFECTS[promise.type](promise.body) if chi.split()[0] in ORDERED and chi in place), None)
        case = promise.body.get("pratica")
        if first is None or case is None:
            continue
        before, chi = last.get(case, (0, ""))
        if place[first] < before:
            yield f"{first!r} was done before {chi!r}, which was promised earlier{books.evidence(promise.id, first)}"
        last[case] = max((before, chi), (place[first], first))


def _lane(books: _Books, verdict: Verdict) -> Iterator[str]:
    """The numbers of the ordered lane go out one after the other, none left out."""
    numbers = [effect["detail"]["numero"] for effect in books.ledgers["alfa"] if effect["kind"] == "fila"]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"the numbers of the lane went out as {numbers}"


def _log(books: _Books, verdict: Verdict) -> Iterator[str]:
    """Numbered without a gap; PostgreSQL leaves one where a transaction was rolled back, and the order is what it must keep."""
    sequence = [seq for seq, _ in books.records]
    if not books.gaps and sequence != list(range(1, len(sequence) + 1)):
        yield f"the log has gaps after {[a for a, b in pairwise(sequence) if b != a + 1][:5]}"


class _Undo(Exception):
    pass


def _rebuilt(store: Store) -> list[str]:
    """The tables are those that the log alone makes; leaves the store as it was."""
    found: list[str] = []

    def work(tx: Tx) -> None:
        found.extend(rebuilt(tx))
        raise _Undo

    future = store.write(work)
    try:
        future.result(120)
    except _Undo:
        pass
    return found
