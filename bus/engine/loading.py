"""Loading: from the row of a claimed run to a live one: its message, its rules, its journal.

A message may have a megabyte, and takes several times as much in memory. So of what was claimed a turn loads a *portion*; the rest waits
for the next one, claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import islice
from typing import Any

from bus.clock import moment_of
from bus.diagnostics import logger
from bus.engine import journal
from bus.engine.holding import Known
from bus.engine.interpreter import Walk
from bus.engine.live import Live, Surroundings
from bus.engine.names import about
from bus.errors import Damaged, KeyMissing, SnodoError, StoreError
from bus.log import log, rules
from bus.log.record import Record
from bus.message import as_kept, message_of, parsed
from bus.route.plan import Plan
from bus.store import Key, Row, Store, Tx

Loaded = tuple[Live, journal.Journal]
SMALL = 16_384
"""Bytes of a message that is small: to follow its run takes little time."""
PORTION = 8_000_000
"""Bytes of JSON from which on a turn loads no other run."""


class Loading:
    """Reads claimed runs. Plans that are not in force any more are read from the store once.

    ``look``: see whether other rules are in force by now. A plan that nobody here has seen may be newer than our rules, and what its run
    sends must be known when it is sent.
    """

    def __init__(self, store: Store, around: Surroundings, look: Callable[[], object]) -> None:
        self._store, self._around, self._catalog, self._look = store, around, around.catalog, look
        self._log = logger("snodo.engine")
        self.waiting: dict[str, Row] = {}
        """Claimed runs that no portion had room for yet, by id."""
        self._known: dict[str, Any] = {}
        self._usual = 0
        """Bytes of a run of the last portion, on average."""

    def takes(self, known: Known) -> bool:
        """Whether these messages may stay in memory until their runs are loaded: others wait no longer for that."""
        return not self.waiting and sum(size for _, _, size in known.values()) <= PORTION

    def opened(self, tx: Tx, rows: Sequence[Row], known: Known) -> list[Loaded]:
        """Runs that ``tx`` has just opened for a small message, under rules that we remember: nothing is read. The rest is for `load`."""
        loaded: list[Loaded] = []
        for row in rows:
            if row["fence"] > 1 or row["message"] not in known or self._catalog().plan(row["digest"]) is None:
                continue
            said, key, size = known[row["message"]]
            if size <= SMALL:
                loaded.append(self._load(tx, row, (as_kept(said), key, size), ()))
        return loaded

    def load(self, rows: Sequence[Row], known: Known) -> tuple[list[Loaded], list[tuple[Row, Exception]]]:
        """A portion of what waits, these rows behind the others: runs with their journals, and rows of which no run can be made, with the
        reason; all in one view of the store.

        ``known``: messages that this process has just accepted. They become what reading them back would give, the order of keys too.
        Where the store fails, a run is in neither: it is given back, and the sweeper finds it again.
        """
        self.waiting.update({row["id"]: row for row in rows})
        self._known.update(known)
        if not self.waiting:
            return [], []
        portion = [self.waiting.pop(run) for run in [*islice(self.waiting, max(PORTION // max(self._usual, 1), 1))]]
        loaded, unreadable, left = self._read(portion, self._known)
        self.waiting = {row["id"]: row for row in left} | self.waiting
        messages = {row["message"] for row in self.waiting.values()}
        self._known = {message: said for message, said in self._known.items() if message in messages}
        if loaded:
            self._usual = sum(live.weight for live, _ in loaded) // len(loaded)
        return loaded, unreadable

    def _read(self, rows: Sequence[Row], known: Known) -> tuple[list[Loaded], list[tuple[Row, Exception]], Sequence[Row]]:
        """`load`, of these alone, and those that were left for the next portion."""
        loaded: list[Loaded] = []
        unreadable: list[tuple[Row, Exception]] = []
        weight = 0
        if any(self._catalog().plan(row["digest"]) is None for row in rows):
            self._look()
        try:
            with self._store.read() as tx:
                messages = log.messages(tx, {row["message"] for row in rows} - known.keys())
                journals = log.journals(tx, [row["id"] for row in rows if row["fence"] > 1])
                for at, row in enumerate(rows):
                    if weight >= PORTION:
                        return loaded, unreadable, rows[at:]
                    try:
                        opened = _opened(tx, row["message"], known, messages)
                        loaded.append(self._load(tx, row, opened, journals(row["id"])))
                        weight += loaded[-1][0].weight
                    except (KeyMissing, Damaged) as error:  # a person must see it: what is amiss comes with a backup, or never
                        unreadable.append((row, error))
                    except StoreError as error:
                        self._log.error("run.not-read", run=row["id"], error=repr(error))
                    except Exception as error:  # noqa: BLE001 - a run that cannot be read is parked, the others go on
                        unreadable.append((row, error))
        except StoreError as error:
            self._log.error("runs.not-read", runs=[row["id"] for row in rows], error=repr(error))
        return loaded, unreadable, ()

    def _load(self, tx: Tx, row: Row, opened: tuple[Any, Key, int], records: Sequence[Record]) -> Loaded:
        stored, key, size = opened
        payloads, messages = journal.loaded(records)
        known = journal.fold(records, log.json_payloads(tx, payloads), log.bodies(tx, messages))
        message = message_of(stored["envelope"], stored["body"])
        plan = self._plan(tx, row["digest"])
        turn = records[-1].place if records and records[-1].kind == "parked" else None
        live = Live(
            row["id"], row["fence"], message, plan, Walk(plan, message, row["entry"]), key, tx.keys, self._around,
            about=cache(partial(about, stored)), tries=known.tries, since=moment_of(row["due"]), strikes=row["strikes"], turn=turn,
            weight=size + sum(held.size for record in records for held in record.payloads if not held.role.startswith("wire")),
        )  # fmt: skip
        return live, known

    def _plan(self, tx: Tx, digest: str) -> Plan:
        found = self._catalog().plan(digest)
        if found is not None:
            return found
        content = rules.kept(tx, digest)
        if content is None:
            raise SnodoError(f"the rules {digest[:12]}… are not in the database", code="rules.missing")
        return self._catalog().remember(parsed(content))


def _opened(tx: Tx, message: str, known: Known, sealed: Mapping[str, Row]) -> tuple[Any, Key, int]:
    if message in known:
        said, key, size = known[message]
        return as_kept(said), key, size
    row = sealed.get(message)
    return *log.opened(tx, row), len(row["content"]) if row is not None else 0
