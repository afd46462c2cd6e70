"""Search: records, and the messages, runs and cases that they belong to, by key, type, route, step, outcome and time.

What is found is what has a record that is all of what is asked for, newest such record first. A search sees the log as it was when its
first page was asked for: pages neither repeat nor leave out anything, whatever is written meanwhile. Facets (kind of record, place, type
of its message) are few; each has its traces in order of time, and a page merges those of the facets that are asked for. So a page costs
what it shows, however large the log is. What the traces have not come to yet is looked at by itself.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

from bus.clock import text_of
from bus.engine import inquiry
from bus.engine.cases import known_by
from bus.engine.names import holder
from bus.errors import Invalid
from bus.functions import cf_valid
from bus.log import log
from bus.log.record import WEAK, Record
from bus.message import JsonObject, canonical, parsed
from bus.store import Row, Store, Tx, listed

Find = Literal["records", "messages", "runs", "cases"]
FINDS: tuple[str, ...] = get_args(Find)
MOST = 200
"""Things on one page."""
AT_ONCE = 2000
"""Records traced in one transaction: others who write wait that long."""
LOOKED_AT = 5000
"""Matching records that one page passes by, at most; it may then have less than was asked for, and says where to go on."""
UNTRACED = 5000
"""Records looked at one by one that are newer than all traces."""
FEW = 5_000
"""Messages that are looked at by themselves when a key names them, at 2 µs for each of their records; of more, each match is asked whether
it is one of them, and a page may pass by all that it looks at.
"""
OF_CASES = 5000
"""Messages of the cases of a page that are looked at to see whether it is the first that shows them; the newest of each."""
_ROUND, _LEAST = 8_000, 8
"""Traces read in one round, of all facets and of each at least."""
_LARGEST = 500
_ROUNDS = (500, 2**31)
"""Records of a few messages that are named in one round; most pages need no second."""
_END = 2**62
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_APART = dt.timedelta(minutes=10)
"""How far the time of a record may be from those beside it, as long as nobody sets a clock."""
EVER, NEVER = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)
"""The first and the last moment."""
_LAST = (NEVER - _EPOCH) // dt.timedelta(microseconds=1)
Key = tuple[int, int]
"""Where a record stands: its time in microseconds, its number."""


class Question(NamedTuple):
    """What is searched for; what is empty lets all pass. ``route`` may have a version behind ``@``; ``kinds`` are outcomes.

    ``text`` is for messages, and not looked for here: whoever may see them opens each that is found (`bus.engine.searching`).
    """

    find: Find = "records"
    key: str = ""
    type: str = ""
    route: str = ""
    step: str = ""
    kinds: frozenset[str] = frozenset()
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    text: str = ""

    @property
    def _accepted(self) -> bool:
        """Whether things are asked for by nothing that later records tell of them."""
        return self.find in ("messages", "cases") and not (self.kinds or self.route or self.step)

    @property
    def only(self) -> frozenset[str]:
        """The kinds of the records that are asked for; empty where all are."""
        return frozenset({"received"}) if self._accepted else self.kinds

    def takes(self, row: Row) -> bool:
        """Whether a record of that kind, place and type is asked for."""
        if self._accepted:
            return bool(row["kind"] == "received") and self.type in ("", row["type"])
        route, _, step = row["place"].partition("/")
        return (
            (not self.kinds or row["kind"] in self.kinds)
            and self.type in ("", row["type"])
            and self.route in ("", route, route.partition("@")[0])
            and self.step in ("", step)
        )

    @property
    def first(self) -> int:
        return 0 if self.since is None else micros(self.since)

    @property
    def end(self) -> int:
        return _END if self.until is None else micros(self.until)

    def token(self, tx: Tx) -> str:
        """What a cursor carries to know the question that it belongs to; it gives nothing of the question away."""
        told = {**self._asdict(), "kinds": sorted(self.kinds), "since": self.first, "until": self.end}
        return tx.keys.token(canonical(told).decode())


class Cursor(NamedTuple):
    """Where a search goes on: behind that record, among those up to number ``top``; ``looked``: records that were passed by so far."""

    at: int
    seq: int
    top: int
    looked: int = 0

    def text(self, tx: Tx, question: Question) -> str:
        return base64.urlsafe_b64encode(canonical([*self, question.token(tx)])).decode().rstrip("=")

    @classmethod
    def read(cls, tx: Tx, text: str, question: Question) -> Cursor:
        """Raises `Invalid` for what is no cursor, or one of another question."""
        try:
            *numbers, of = parsed(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
            cursor = cls(*numbers)
            if of == question.token(tx) and all(type(number) is int and 0 <= number <= _END for number in cursor):
                return cursor
        except (ValueError, TypeError):
            pass
        raise Invalid(
            "this is not a cursor of this search", code="search.cursor", hint="send `next` of the page before, with the same question"
        )


class Page(NamedTuple):
    """``unseen``: about how many of the newest records were not looked at, because their traces are still being made."""

    found: list[JsonObject]
    after: Cursor | None
    unseen: int = 0


def micros(moment: dt.datetime) -> int:
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def _of_kinds(question: Question) -> dict[str, Any]:
    """The kinds that a question is about, as queries take them."""
    return {"kinds": listed(sorted(question.only)), "every": int(not question.only)}


def _text(at: int) -> str:
    """A time as records have it; of what is before or behind all of them, what sorts there."""
    if at <= 0:
        return ""
    return text_of(_EPOCH + dt.timedelta(microseconds=at)) if at < _LAST else "~"


# -- traces ------------------------------------------------------------------------------------------------------------


def trace(store: Store) -> int:
    """Make the traces of some records that have none yet; returns the number of the last one, 0 when none was left.

    What is dear is done before the transaction, which others who write wait for.
    """
    with store.read() as tx:
        after = log.traced_until(tx)
        rows = tx.all("traced_after", after=after, top=_END, most=AT_ONCE)
    if len(rows) == AT_ONCE:  # the last one may have been cut: a message that opened several runs has a line for each
        rows = [row for row in rows if row["seq"] < rows[-1]["seq"]] or rows
    return store.write(lambda tx: _add(tx, after, rows)).result() if rows else 0


def _add(tx: Tx, after: int, rows: Sequence[Row]) -> int:
    last = int(rows[-1]["seq"])
    if log.traced_until(tx) != after:  # another process was faster
        return last
    wanted = {(row["kind"], row["place"], row["type"]) for row in rows}
    known = _facets(tx)
    for kind, place, type in sorted(wanted - known.keys()):
        tx.do("add_facet", kind=kind, place=place, type=type)
    known = known if wanted <= known.keys() else _facets(tx)
    for facet, at, seq in sorted({(known[row["kind"], row["place"], row["type"]], row["at"], row["seq"]) for row in rows}):
        tx.do("add_trace", facet=facet, at=at, seq=seq)
    tx.do("set_traced_until", value=str(last))
    return last


def _facets(tx: Tx) -> dict[tuple[str, str, str], int]:
    return {(row["kind"], row["place"], row["type"]): row["id"] for row in _rows_of_facets(tx)}


def _rows_of_facets(tx: Tx) -> Sequence[Row]:
    """All facets. Raises `Damaged` for one that holds what is no text, as SQLite lets anybody write it."""
    rows = tx.all("facets")
    if not all(isinstance(row[name], str) for row in rows for name in ("kind", "place", "type")):
        raise log.amiss("something that is no text stands in the table `facets`, by which searches find")
    return rows


def before_any(tx: Tx, kinds: Iterable[str], since: dt.datetime, until: dt.datetime, after: int = 0) -> int:
    """Where to begin to look, behind number ``after``, for records of some kinds and of a time: up to there none is.

    Times follow numbers as a rule, but not where a clock was set. Seldom kinds have an index of their own. Of others the rule tells, and
    nothing is passed by in the time that it tells; what a clock put elsewhere the traces tell, of which one that is lost hides no more.
    """
    if log.SELDOM.issuperset(kinds):
        found = log.first_of_seldom_kinds(tx, kinds, since, until, after)
        return max(after, _newest(tx) if found is None else found - 1)
    first = tx.one("first_trace", kinds=listed(sorted(kinds)), since=micros(since), until=micros(until), after=after)
    traced = log.traced_until(tx) if first is None or first["seq"] is None else int(first["seq"]) - 1
    begin, end = log.before(tx, max(since, EVER + _APART) - _APART), log.before(tx, min(until, NEVER - _APART) + _APART)
    return max(after, min(traced, begin) if after < end else traced)


def page_end(
    tx: Tx, kinds: Iterable[str], since: dt.datetime, until: dt.datetime, found: Sequence[tuple[int, Record]], page: int
) -> int | None:
    """Behind which number to go on after a ``page`` of records by number; None at the end."""
    if len(found) < page:
        return None
    number, last = found[-1]
    return number if since <= last.time < until else before_any(tx, kinds, since, until, number)


# -- what a key names ----------------------------------------------------------------------------------------------------


class Named(NamedTuple):
    """What a key names: cases, or whom messages are about. ``few``: all of their messages, if they are not many."""

    cases: frozenset[str]
    holder: str | None
    few: Sequence[str] | None

    def among(self, tx: Tx, messages: Iterable[str]) -> set[str]:
        """Which of some messages are among those that the key names."""
        some = listed(messages)
        of_cases = {row["id"] for row in tx.all("messages_by_id", messages=some) if row["case_id"] in self.cases}
        about = tx.all("about_among", holder=self.holder, messages=some) if self.holder else ()
        return of_cases | {row["message"] for row in about}


def names_person(key: str) -> bool:
    """Whether a key is said to be one that names a person, or is a codice fiscale."""
    return key.partition(":")[0] in WEAK or cf_valid(key.strip().upper())


def named(tx: Tx, key: str, *, persons: bool) -> Named:
    """What a key names, as ``name:value`` or ``value``; ``persons``: also the persons known by it."""
    cases = frozenset(row["case_id"] for row in known_by(tx, key) if row["name"] not in WEAK)
    name, _, value = key.partition(":")
    about = tx.keys.token(holder(value if name in WEAK else key)) if persons else None
    some = [row["id"] for row in tx.all("messages_of_cases", cases=listed(cases), most=FEW + 1)] if cases else []
    some += [row["message"] for row in tx.all("messages_about", holder=about, most=FEW + 1)] if about else []
    return Named(cases, about, list(dict.fromkeys(some)) if len(some) <= FEW else None)


# -- walking -------------------------------------------------------------------------------------------------------------


class _Walk:
    """The records that are asked for, from a place on, newest first."""

    def __init__(self, tx: Tx, question: Question, start: Cursor, among: Named | None) -> None:
        self.tx, self.question, self.top, self.among = tx, question, start.top, among
        self.unseen = 0
        self._start = min((start.at, start.seq), (question.end, 0))

    def pieces(self) -> Iterator[list[Key]]:
        """The places of the records, in pieces, each newest first."""
        if self.among is not None and self.among.few is not None:
            yield from self._of_few(listed(self.among.few))
        else:
            yield from self._merged()

    def _of_few(self, messages: str) -> Iterator[list[Key]]:
        """The records of some messages, by their times; how they are found is looked up as far as the page goes."""
        asked = {"messages": messages, "top": self.top, "since": _text(self.question.first), **_of_kinds(self.question)}
        time, seq = _text(self._start[0]), self._start[1]
        for most in _ROUNDS:
            rows = self.tx.all("newest_of_messages", **asked, time=time, seq=seq, most=most)
            for start in range(0, len(rows), _LARGEST):
                some = listed(row["seq"] for row in rows[start : start + _LARGEST])
                yield self._wanted(self.tx.all("traced_among", seqs=some))
            if len(rows) < most:
                return
            time, seq = rows[-1]["time"], rows[-1]["seq"]

    def _wanted(self, rows: Iterable[Row]) -> list[Key]:
        takes, first = self.question.takes, (self.question.first, 0)
        return sorted({key for row in rows if first <= (key := (row["at"], row["seq"])) < self._start and takes(row)}, reverse=True)

    def _merged(self) -> Iterator[list[Key]]:
        """Traces of all facets that are asked for, and what has none yet. Those older than where a facet was cut come the next time."""
        facets = [row["id"] for row in _rows_of_facets(self.tx) if self.question.takes(row)]
        newest, before = self._untraced(), self._start
        each = max(_LEAST, min(MOST + 1, _ROUND // max(1, len(facets))))
        while True:
            rows = self.tx.all(
                "newest_traces", facets=listed(facets), since=self.question.first, at=before[0], seq=before[1], most=each
            )  # fmt: skip
            pieces = [[(at, seq) for at, seq in parsed((row["found"] or "[]").encode())] for row in rows]
            cut = max((min(piece) for piece in pieces if len(piece) == each), default=(-1, -1))
            known = {key for piece in (newest, *pieces) for key in piece if cut <= key < before}
            yield sorted((key for key in known if key[1] <= self.top), reverse=True)
            if cut < (0, 0):
                return
            before = cut

    def _untraced(self) -> list[Key]:
        after = log.traced_until(self.tx)
        rows = self.tx.all("traced_after", after=after, top=self.top, most=UNTRACED)
        self.unseen = max(0, self.top - rows[-1]["seq"]) if len(rows) == UNTRACED else 0
        return self._wanted(rows)


def search(tx: Tx, question: Question, after: Cursor | None, most: int, now: str, among: Named | None = None) -> Page:
    """One page, at most ``most`` things."""
    start = after or Cursor(_END, 0, _newest(tx))
    walk, found, looked = _Walk(tx, question, start, among), list[JsonObject](), 0
    show = _SHOWN[question.find](walk, now)
    at = start
    for keys in walk.pieces():
        for piece in _pieces(keys, most):
            shown = show(piece)
            for key in piece:
                found += shown.get(key, [])
                looked += 1
                at = Cursor(*key, start.top, start.looked + looked)
                if len(found) >= most or looked >= LOOKED_AT:
                    return Page(found, at, walk.unseen)
    return Page(found, None, walk.unseen)


def _newest(tx: Tx) -> int:
    row = tx.one("newest_record")
    return row["seq"] if row else 0


# -- what is shown ---------------------------------------------------------------------------------------------------------

Shown = dict[Key, list[JsonObject]]


class _Records:
    """Records as they are in the log, with their numbers."""

    def __init__(self, walk: _Walk, now: str) -> None:
        self._walk = walk

    def __call__(self, keys: Sequence[Key]) -> Shown:
        tx = self._walk.tx
        lines = {row["seq"]: parsed(row["content"]) for row in tx.all("records_among", seqs=listed(seq for _, seq in keys))}
        among = self._walk.among
        if among is not None and among.few is None:
            those = among.among(tx, {line["message"] for line in lines.values() if "message" in line})
            lines = {seq: line for seq, line in lines.items() if line.get("message") in those}
        return {key: [{"seq": key[1], **lines[key[1]]}] for key in keys if key[1] in lines}


class _Things:
    """What records belong to (messages, runs, cases): each shown once, at the place of its newest record that the question takes."""

    def __init__(self, walk: _Walk, now: str) -> None:
        self.tx, self.walk, self.now = walk.tx, walk, now
        self._known: dict[str, Key] = {}

    def __call__(self, keys: Sequence[Key]) -> Shown:
        among = self.walk.among
        of = {seq: at for at, seq in keys}
        rows = [row for row in self.rows(of) if row["message"]]
        if among is not None and among.few is None:
            those = among.among(self.tx, {row["message"] for row in rows})
            rows = [row for row in rows if row["message"] in those]
        things = self.things(rows)
        self._known |= self._newest([(one, row) for one, row in things if one not in self._known])
        new: dict[Key, dict[str, None]] = {}
        for one, row in things:
            if self._known.get(one) == (key := (of[row["seq"]], row["seq"])):
                new.setdefault(key, {})[one] = None
        shown = self.show({one for some in new.values() for one in some}) if new else {}
        return {key: [shown[one] for one in some if one in shown] for key, some in new.items()}

    def rows(self, seqs: Iterable[int]) -> Sequence[Row]:
        """The records with these numbers: ``seq`` and ``message``."""
        return self.tx.all("messages_of_records", seqs=listed(seqs))

    def things(self, rows: Iterable[Row]) -> list[tuple[str, Row]]:
        """What rows belong to; rows that belong to no such thing are left out."""
        raise NotImplementedError

    def neighbours(self, things: Sequence[tuple[str, Row]]) -> set[str]:
        """The messages whose records belong to these things."""
        return {row["message"] for _, row in things}

    def show(self, things: set[str]) -> dict[str, JsonObject]:
        raise NotImplementedError

    def _newest(self, things: Sequence[tuple[str, Row]]) -> dict[str, Key]:
        """The place of the newest record of each thing that the question takes, also where that is on another page."""
        question, found = self.walk.question, dict[str, Key]()
        if not things:
            return found
        asked = {"messages": listed(self.neighbours(things)), "top": self.walk.top, **_of_kinds(question)}
        rows = self.tx.all("traced_of_messages", **asked)
        for one, row in self.things(row for row in rows if question.takes(row) and question.first <= row["at"] < question.end):
            found[one] = max(found.get(one, (0, 0)), (row["at"], row["seq"]))
        return found


class _Messages(_Things):
    def things(self, rows: Iterable[Row]) -> list[tuple[str, Row]]:
        return [(row["message"], row) for row in rows]

    def show(self, things: set[str]) -> dict[str, JsonObject]:
        rows = self.tx.all("messages_by_id", messages=listed(things))
        return {row["id"]: {**inquiry.message_row(row), "case": row["case_id"]} for row in rows}


class _Runs(_Things):
    def rows(self, seqs: Iterable[int]) -> Sequence[Row]:
        return [row for row in self.tx.all("traced_among", seqs=listed(seqs)) if self.walk.question.takes(row)]

    def things(self, rows: Iterable[Row]) -> list[tuple[str, Row]]:
        return [(row["run"], row) for row in rows if row["run"]]

    def show(self, things: set[str]) -> dict[str, JsonObject]:
        return {row["id"]: inquiry.run_row(row, self.now) for row in self.tx.all("runs_among", runs=listed(things))}


class _Cases(_Things):
    """One of those few that have thousands of messages may come again on a later page."""

    def things(self, rows: Iterable[Row]) -> list[tuple[str, Row]]:
        rows = list(rows)
        of = {row["id"]: row["case_id"] for row in self.tx.all("messages_by_id", messages=listed({row["message"] for row in rows}))}
        return [(of[row["message"]], row) for row in rows if row["message"] in of]

    def neighbours(self, things: Sequence[tuple[str, Row]]) -> set[str]:
        some = self.tx.all("newest_messages_of_cases", cases=listed({one for one, _ in things}), most=OF_CASES)
        return {row["id"] for row in some} | super().neighbours(things)

    def show(self, things: set[str]) -> dict[str, JsonObject]:
        states: dict[str, list[str]] = {}
        for row in self.tx.all("states_of_cases", cases=listed(things)):
            states.setdefault(row["case_id"], []).append(row["state"])
        return {
            row["case_id"]: {
                "case": row["case_id"], "state": inquiry.state_of(states.get(row["case_id"], [])),
                "messages": row["messages"], "newest": row["newest"],
            }
            for row in self.tx.all("count_messages_of_cases", cases=listed(things))
        }  # fmt: skip


_SHOWN: dict[str, Any] = {"records": _Records, "messages": _Messages, "runs": _Runs, "cases": _Cases}


def _pieces(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    """Larger and larger: where the first does not fill the page, many belong to the same few things."""
    start = 0
    while start < len(keys):
        yield keys[start : start + size]
        start, size = start + size, min(2 * size, _LARGEST)
