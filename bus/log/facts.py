"""Whether the bus remembers what records say that it does: `facts` (what systems told, by which they are answered), `sequences`, `lanes`.

Nobody is shown them. But whoever takes a fact away, or puts an older one in its place, has a system answered as if a payment had never
come; whoever sets a sequence back has a number given twice, whoever frees a lane has the next number used before the last one has arrived.
A fact too many is none: one that its payload does not tell is not found. A lane that is held for nobody stands still, which is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import dropwhile
from operator import itemgetter
from typing import NamedTuple

from bus.log import log, payload
from bus.log.diagnosis import Content, Page, octets, once
from bus.message import parsed
from bus.store import Row, Tx, listed

HINT = "the records are as they were; the next answer to that system, or the next call of it, would be another one"
REMEMBERED = frozenset({"received", "asked", "answered", "polled"})
"""Kinds whose facts are remembered."""
ENDINGS = frozenset({"answered", "refused", "unanswered"})
PAGE = 500
MOST = 1_000
"""Payloads of which it is kept what they tell."""
Name = tuple[str, str, str]
"""A fact: its adapter, its kind, the token of its key."""
_NAME = itemgetter("adapter", "kind", "key")


class Told(NamedTuple):
    """What the record number ``seq`` tells of facts; ``all``: it is of before records told their names."""

    seq: int
    names: frozenset[Name]
    all: bool = False


class Tellers:
    """Which record tells of the facts in a payload; kept from page to page. One for each process that verifies."""

    def __init__(self) -> None:
        self._told: dict[str, Told | None] = {}
        self._gone: dict[Name, int] | None = None

    def of(self, tx: Tx, identity: str) -> Told | None:
        if identity not in self._told:
            if len(self._told) >= MOST:
                self._told.clear()
            self._told[identity] = next((_told(row) for row in _rows_with(tx, identity) if _payload(_content(row)) == identity), None)
        return self._told[identity]

    def is_gone(self, tx: Tx, name: Name, seq: int) -> bool:
        """Whether that record or a later one told of a fact for a message that was erased, or destroyed for its age, perhaps just now."""
        return self._last_gone(tx, name) >= seq or self._last_gone(tx, name, anew=True) >= seq

    def _last_gone(self, tx: Tx, name: Name, *, anew: bool = False) -> int:
        if self._gone is None or anew:
            self._gone = {}
            for record in log.every_of_kinds(tx, ("erased", "disposed")):
                for row in log.rows_of_messages(tx, record.data.get("messages", ())):
                    for one in _names(_content(row)):
                        self._gone[one] = max(self._gone.get(one, 0), row["seq"])
        return self._gone.get(name, 0)


def compare(tx: Tx, page: Page, tellers: Tellers) -> None:
    """Raises `Broken` where the tables do not hold what these records, or later ones, say."""
    told: dict[Name, tuple[int, str]] = {}
    numbers: dict[str, tuple[int, int]] = {}
    lanes: dict[str, int] = {}
    for at, content in enumerate(page.contents):
        told.update((name, (at, str(_payload(content)))) for name in _names(content))
        if content["kind"] == "asked" and content.get("data", {}).get("number") is not None:
            numbers[content["data"]["sequence"]] = at, content["data"]["number"]
            lanes.update({content["data"]["sequence"]: at} if content["data"].get("lane") else {})
    if numbers:
        _sequences(tx, page, numbers)
    if lanes:
        _lanes(tx, page, lanes)
    if told:
        _facts(tx, page, told, tellers)


def _sequences(tx: Tx, page: Page, numbers: dict[str, tuple[int, int]]) -> None:
    rows = once("sequences", tx.all("sequences_among", names=listed(sorted(numbers))), itemgetter("name"))
    for name, (at, number) in numbers.items():
        if name not in rows or rows[name]["value"] < number:
            stands = f"with {rows[name]['value']}" if name in rows else "no more"
            said = (
                f"the sequence {name} stands in the table `sequences` {stands}, and the number {number} was given: it would be given again"
            )
            raise page.broken(at, said, HINT)


def _lanes(tx: Tx, page: Page, lanes: dict[str, int]) -> None:
    """The last call of each lane in the page holds it, or has surely ended."""
    rows = once("lanes", tx.all("lanes_among", names=listed(sorted(lanes))), itemgetter("name"))
    for name, at in lanes.items():
        asked = page.contents[at]
        row = rows.get(name)
        held = row is not None and (row["run"], row["path"]) == (asked["run"], asked["path"])
        if not (held or _has_ended(tx, asked)):
            said = f"a call of the run {asked['run']} holds the lane {name}, and the table `lanes` does not say so"
            raise page.broken(at, f"{said}: the next would overtake it", HINT)


def _has_ended(tx: Tx, asked: Content) -> bool:
    """Whether the call with the last number of a lane has surely ended, or its run was given up."""
    journal = [_content(row) for row in tx.all("records_among_runs", runs=listed([asked["run"]]))]
    behind = dropwhile(lambda one: one["id"] != asked["id"], journal)
    return any(_ends_lane(one, asked["path"]) for one in behind)


def _ends_lane(content: Content, path: str) -> bool:
    """Whether the call at ``path`` has ended by this record, as `bus.engine.projection` judges it."""
    kind, data = content["kind"], content.get("data", {})
    if kind == "discarded":
        return True
    if content.get("path") != path:
        return False
    if kind == "decided":
        return bool(data["decision"] == "happened")
    return kind in ENDINGS and bool(data.get("lane")) and "again" not in data and not data.get("doubt")


def _facts(tx: Tx, page: Page, told: dict[Name, tuple[int, str]], tellers: Tellers) -> None:
    rows = once("facts", tx.all("facts_among", names=listed(sorted(told))), _NAME)
    for name, (at, identity) in told.items():
        row = rows.get(name)
        if row is not None and row["payload"] == identity:
            continue
        seq = page.lines[at].seq
        later = _is_later(tellers.of(tx, row["payload"]), name, seq) if row else _is_gone(tx, identity) or tellers.is_gone(tx, name, seq)
        if not later:
            stands = "in the place of which an older or another one stands in the table" if row else "which is not in the table"
            raise page.broken(at, f"the record tells a fact of {name[0]} ({name[1]}), {stands} `facts`", HINT)


def _is_later(told: Told | None, name: Name, seq: int) -> bool:
    return told is not None and told.seq > seq and (told.all or name in told.names)


def _is_gone(tx: Tx, identity: str) -> bool:
    """Whether the key of a payload was destroyed: then what it told is forgotten."""
    key = payload.number_in(identity) if payload.is_numbered(identity) else log.keys_of(tx, [identity]).get(identity)
    return key is not None and bool(tx.all("erased_among", keys=listed([key])))


# -- what records tell ---------------------------------------------------------------------------------------------------


def _names(content: Content) -> Iterator[Name]:
    if content["kind"] in REMEMBERED and _payload(content) is not None:
        data = content.get("data", {})
        yield from ((data.get("adapter"), kind, key) for kind, key in data.get("facts", ()))


def _payload(content: Content) -> str | None:
    return next((one["id"] for one in content.get("payloads", ()) if one["role"] == "facts"), None)


def _told(row: Row) -> Told:
    content = _content(row)
    return Told(row["seq"], frozenset(_names(content)), "facts" not in content.get("data", {}))


def _content(row: Row) -> Content:
    found: Content = parsed(octets(row["content"]))
    return found


def _rows_with(tx: Tx, identity: str) -> Iterable[Row]:
    """Records among which the one is that commits to a payload: those of its message, or the polls, the newest first."""
    for one in tx.all("payloads_there", payloads=listed([identity])):
        if one["message"] is not None:
            return log.rows_of_messages(tx, [one["message"]])
    return _polls(tx)


def _polls(tx: Tx) -> Iterator[Row]:
    before = 2**62
    while rows := tx.all("polls_before", before=before, most=PAGE):
        yield from rows
        before = rows[-1]["seq"]
