"""Records: the lines of the log. A record says what happened and commits to payloads; it holds no personal data and no secrets.

`content` is the canonical JSON of a record: the bytes that a Merkle leaf hashes, that an auditor verifies and that are
never changed. Whatever a person could be known by (bodies, answers, business keys) is in a payload.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from bus import clock
from bus.errors import Damaged
from bus.message import canonical, parsed

Kind = Literal[
    "received", "joined", "asked", "answered", "refused", "unanswered", "waiting", "matched", "expired", "closed", "late",
    "sent", "replied", "parked", "done", "dead", "redelivered", "decided", "discarded", "rules", "attached",
    "polled", "served", "access",
    "read", "exported", "replayed", "erasure", "erased", "disposed", "keys",
]  # fmt: skip
LONGEST = 65_535
"""Bytes of a record: an entry of a tiled log (c2sp.org/tlog-tiles) says its length in two bytes."""
KINDS: frozenset[str] = frozenset(get_args(Kind))
WEAK = frozenset({"codice_fiscale", "partita_iva", "email", "richiedente"})
"""Names of business keys that name persons: no record tells them, and they never join cases by themselves."""
_ITEM = re.compile(r"(?:^|/)([^/!\[]+)\[(\d+)\](?=/)")
"""A step ``each`` in a path, and the index of its item."""
_NAMED = re.compile(r'"id":"([0-9a-f-]{36})","kind":')
"""A record's own id in its bytes, not one that it tells."""


class Commitment(NamedTuple):
    """What a record says of a payload: its role in the record, its id (`bus.log.payload`), size and media type."""

    role: str
    id: str
    size: int
    media_type: str


class Record(NamedTuple):
    """One line. ``place`` is ``route@version/step-id``, ``path`` the place in this very run (``each[2]/step``).

    ``data`` is small and says nothing of persons.
    """

    id: str
    kind: Kind
    time: dt.datetime
    message: str | None = None
    run: str | None = None
    place: str | None = None
    path: str | None = None
    rules: str | None = None
    actor: str = "bus"
    attempt: int | None = None
    data: Mapping[str, Any] = MappingProxyType({})
    payloads: tuple[Commitment, ...] = ()

    def payload(self, role: str) -> str | None:
        """The id of the payload with that role, or None."""
        return next((c.id for c in self.payloads if c.role == role), None)


def content(record: Record) -> bytes:
    """The canonical bytes of a record. Raises `ValueError` for one that no log could publish."""
    made = canonical(as_line(record))
    if len(made) > LONGEST:
        raise ValueError(f"a record `{record.kind}` of {len(made):,} bytes; the most is {LONGEST:,}")
    return made


def as_line(record: Record) -> dict[str, Any]:
    """The record as a JSON object; absent fields are left out."""
    line: dict[str, Any] = {"v": 1, "id": record.id, "kind": record.kind, "time": clock.text_of(record.time), "actor": record.actor}
    if record.message is not None:
        line["message"] = record.message
    if record.run is not None:
        line["run"] = record.run
    if record.place is not None:
        line["place"] = record.place
    if record.path is not None:
        line["path"] = record.path
    if record.rules is not None:
        line["rules"] = record.rules
    if record.attempt is not None:
        line["attempt"] = record.attempt
    if record.data:
        line["data"] = dict(record.data)
    if record.payloads:
        line["payloads"] = [{"role": c.role, "id": c.id, "size": c.size, "type": c.media_type} for c in record.payloads]
    return line


def record_of(content: bytes) -> Record:
    """The inverse of `content`. Raises `Damaged` for what no bus writes: somebody changed it."""
    try:
        return _record_of(parsed(content))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        named = _NAMED.search(str(content))
        which = f"the record {named[1]}" if named else "a record"
        hint = "bus log verify says which, and what was done to it; change nothing, and compare it with a backup"
        raise Damaged(f"{which} is not as it was written, and cannot be read", code="evidence.broken", hint=hint) from error


def _record_of(line: Mapping[str, Any]) -> Record:
    if line["kind"] not in KINDS or not isinstance(line.get("data", {}), dict):
        raise ValueError(line["kind"])
    return Record(
        id=line["id"], kind=line["kind"], time=clock.moment_of(line["time"]), actor=line["actor"],
        message=line.get("message"), run=line.get("run"), place=line.get("place"), path=line.get("path"),
        rules=line.get("rules"), attempt=line.get("attempt"), data=line.get("data", {}),
        payloads=tuple(Commitment(p["role"], p["id"], p["size"], p["type"]) for p in line.get("payloads", ())),
    )  # fmt: skip


def items_of(path: str) -> str:
    """The items of an ``each`` that a path names, in words: ``, item 3 of mappali`` for ``mappali[2]/registra``; or nothing."""
    return "".join(f", item {int(index) + 1} of {each}" for each, index in _ITEM.findall(path))
