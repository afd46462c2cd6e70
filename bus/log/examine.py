"""What records say beside their hash: columns that repeat them, payloads that they commit to, tables that are made from them.

A stretch of records is examined by itself, here or in another process (`Beside`), and what was found of several is put together in their
order: whoever does it, the answer is the same.
"""

from __future__ import annotations

import operator
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import Any, Generic, NamedTuple, TypeVar

from bus.log import tables, traces
from bus.log.diagnosis import BY_ID, STRANGE, Broken, Content, Fault, Line, Page, are_octets, octets, once
from bus.log.payload import divided, matches
from bus.log.stretches import Read
from bus.store import Row, Tx, listed
from bus.store.opening import open_reader

Mark = TypeVar("Mark")
PAGE = 2048
COLUMNS = ("id", "kind", "time", "message", "run")
"""The columns of a record that repeat its content for searching."""
_IN_COLUMNS = operator.itemgetter(*COLUMNS)
WIRE = " wire"
"""Behind the id of a message: its wire bytes alone."""
LARGE = 100_000
"""Records from which on other processes help."""
MOST = 4
"""Processes that help, at most; there are as many as processors."""
PIECE = 8 * PAGE
"""Records that are handed over at once."""


class Stretch(NamedTuple):
    """The ``records`` (how many) behind number ``after``; the first is leaf ``first``. Up to number ``traced`` searches look at traces."""

    first: int
    after: int
    records: int
    traced: int = 0


class Counts(NamedTuple):
    """How many were compared."""

    payloads: int = 0
    gone: int = 0
    messages: int = 0
    runs: int = 0
    traces: int = 0

    def plus(self, others: Counts) -> Counts:
        return Counts(*map(operator.add, self, others))


class Found(NamedTuple):
    """``absent``: of each message the first payload that is gone, unless ``excused``; ``row``: the first row that says something else.

    ``broken``: a fault that ends everything.
    """

    counts: Counts = Counts()
    absent: Mapping[str, Fault] = {}
    excused: frozenset[str] = frozenset()
    row: Fault | None = None
    broken: Fault | None = None

    def then(self, later: Found) -> Found:
        """What was found here together with what was found later in the log."""
        absent, excused = {**later.absent, **self.absent}, self.excused | later.excused
        return Found(self.counts.plus(later.counts), absent, excused, self.row or later.row)


def lines_of(tx: Tx, after: int, count: int) -> list[Line]:
    """Records behind number ``after``, in order; fewer where there are no more."""
    lines: list[Line] = []
    while len(lines) < count:
        rows = tx.all("whole_records_after", after=lines[-1].seq if lines else after, most=min(PAGE, count - len(lines)))
        if not rows:
            break
        lines += map(Line.of, rows)
    return lines


def examine(read: Read, stretch: Stretch, lines: Sequence[Line], journals: tables.Journals) -> Found:
    """The records of a stretch; never raises for what is wrong with them."""
    found, first, at = Found(), stretch.first, 0
    try:
        with read() as tx:
            for at in range(0, len(lines), PAGE):
                found = found.then(_of_page(tx, Page.of(first + at, lines[at : at + PAGE]), stretch.traced, journals))
    except Broken as broken:
        return found._replace(broken=broken.fault)
    except STRANGE as error:
        said = f"something stands behind leaf {first + at:,} that the bus does not write: {error}"
        return found._replace(broken=Fault("unreadable", said, first + at))
    return found


def _of_page(tx: Tx, page: Page, traced: int, journals: tables.Journals) -> Found:
    excused = set[str]()
    for leaf, line, content in page.leaves():
        _columns(leaf, line, content)
        if content["kind"] in tables.GONE:
            excused.update(excuses(content["data"]))
    payloads, gone, absent = _commitments(tx, page)
    messages, runs, row = _rows(tx, page, journals)
    told, untraced = traces.compare(tx, page, traced)
    return Found(Counts(payloads, gone, messages, runs, told), absent, frozenset(excused), row or untraced)


def _columns(leaf: int, line: Line, content: Content) -> None:
    row = line.row
    if not are_octets(row["content"]):
        said = "its record stands there as a text, not as bytes"
        raise Broken(line.fault("column", leaf, said, "the record is as it was; the bus cannot read it"))
    if _IN_COLUMNS(row) == tuple(map(content.get, COLUMNS)):
        return
    for name in COLUMNS:
        if row[name] != content.get(name):
            said = f"the column `{name}` says {row[name]!r}, the record {content.get(name)!r}"
            raise Broken(line.fault("column", leaf, said, "the record is as it was; searches go astray"))


def _commitments(tx: Tx, page: Page) -> tuple[int, int, dict[str, Fault]]:
    """How many payloads are what was committed to, how many are gone, and of each message the first of these."""
    wanted = [payload["id"] for content in page.contents for payload in content.get("payloads", ())]
    kept = once("payloads", tx.all("payloads_among", payloads=listed(wanted)), BY_ID) if wanted else {}
    absent, gone = dict[str, Fault](), 0
    for leaf, line, content in page.leaves():
        for payload in content.get("payloads", ()):
            row = kept.get(payload["id"])
            if row is None:
                absent.setdefault(_whose(content, payload["role"]), _of_payload("payload", "is gone", leaf, line, payload))
                gone += 1
            elif wrong := _unlike(row, payload, content.get("message")):
                raise Broken(_of_payload(*wrong, leaf, line, payload))
    return len(wanted) - gone, gone, absent


def _of_payload(kind: str, said: str, leaf: int, line: Line, payload: Content) -> Fault:
    return line.fault(kind, leaf, f"the payload `{payload['role']}` of a record `{line.row['kind']}` {said}")


def _unlike(row: Row, payload: Content, message: str | None) -> tuple[str, str] | None:
    """What is wrong with a payload that is there: the kind of the fault, and in words."""
    nonce, content = octets(row["nonce"]), octets(row["content"])
    if not (divided(payload["size"], nonce, content) and matches(payload["id"], nonce, content)):
        return "payload", "is not the one that the record commits to"
    if not (are_octets(row["nonce"]) and are_octets(row["content"])):
        return "column", "stands there as a text, not as bytes"
    if (row["message"], row["media_type"]) != (message, payload["type"]):
        return "column", "stands with another message, or as of another media type, than the record says"
    return None


def _whose(content: Content, role: str) -> str:
    """What a payload goes with: its message, the wire bytes of that, or its record where it concerns no message."""
    message = content.get("message")
    return str(content["id"]) if message is None else f"{message}{WIRE if role.startswith('wire') else ''}"


def excuses(data: Mapping[str, Any]) -> Iterator[str]:
    """What a record says may be gone."""
    yield from (*data.get("messages", ()), *data.get("records", ()))
    yield from (f"{message}{WIRE}" for message in data.get("wires", ()))


def _rows(tx: Tx, page: Page, journals: tables.Journals) -> tuple[int, int, Fault | None]:
    """A row that says something else is told at the end: until then a record behind it, not yet hashed, may be what was changed."""
    try:
        return *tables.compare(tx, page, journals), None
    except Broken as broken:
        return 0, 0, broken.fault
    except STRANGE as error:
        said = f"what the tables say of leaf {page.first:,} and those behind it cannot be compared: {error!r}"
        return 0, 0, Fault("unreadable", said, page.first)


# -- in other processes ------------------------------------------------------------------------------------------------

_mine: list[tuple[Read, tables.Journals]] = []
"""How this process reads, if it is one that helps, and what it has read of journals."""


def _begin(url: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked for help says when it is over
    threading.Thread(target=_end_with_who_asked, daemon=True).start()
    _mine[:] = [(open_reader(url).read, tables.Journals())]


def _end_with_who_asked() -> None:
    """A process that was killed tells nobody: its helpers would wait for work for ever, each with its connection to the database."""
    asked = parent_process()
    if asked is not None:
        asked.join()
        os._exit(1)


def _help(stretch: Stretch) -> Found:
    read, journals = _mine[0]
    return _read_and_examine(read, stretch, journals)


def _read_and_examine(read: Read, stretch: Stretch, journals: tables.Journals) -> Found:
    with read() as tx:
        lines = lines_of(tx, stretch.after, stretch.records)
    return examine(read, stretch, lines, journals)


class Beside(Generic[Mark]):
    """Stretches are examined by other processes, which read by themselves, while the caller goes on; ``read`` is for where these fail.

    ``mark`` is what the caller wants to know again when a stretch is done.
    """

    def __init__(self, read: Read, url: str) -> None:
        self._read, self._workers = read, min(MOST, len(os.sched_getaffinity(0)))
        self._pool = ProcessPoolExecutor(self._workers, get_context("spawn"), _begin, (url,))
        self._waiting: deque[tuple[Stretch, Mark, Future[Found]]] = deque()

    def hand_over(self, stretch: Stretch, mark: Mark) -> None:
        try:
            future = self._pool.submit(_help, stretch)
        except BrokenExecutor as error:
            future = Future()
            future.set_exception(error)
        self._waiting.append((stretch, mark, future))

    def done(self, *, all: bool = False) -> Iterator[tuple[Found, Mark]]:
        """What was found, in order: what is there by now, and what must be waited for because too much, or ``all``, is waited for."""
        while self._waiting and (all or len(self._waiting) > 2 * self._workers or self._waiting[0][2].done()):
            stretch, mark, future = self._waiting.popleft()
            try:
                found = future.result()
            except BrokenExecutor:  # it was killed, perhaps for its memory: this one has enough
                found = _read_and_examine(self._read, stretch, tables.Journals())
            yield found, mark

    def close(self) -> None:
        """Waits for nothing that is still examined: whoever is interrupted wants to go."""
        self._pool.shutdown(wait=not self._waiting, cancel_futures=True)


def helped(read: Read, url: str, records: int) -> Beside[Any] | None:
    """Help for so many records; None where it would not pay, or there is none to be had."""
    if not url or records < LARGE or len(os.sched_getaffinity(0)) < 2:
        return None
    try:
        return Beside(read, url)
    except (ImportError, NotImplementedError, OSError):
        return None
