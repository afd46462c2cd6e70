"""The log: append records with their payloads, read them back. Appending is all that can be done to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bus import clock
from bus.log.payload import Sealed
from bus.log.record import Record, content, record_of
from bus.message import canonical, parsed
from bus.store import Row, Tx

PAGE = 1000


def append(tx: Tx, record: Record, payloads: Sequence[Sealed] = ()) -> None:
    """Write one record and what it commits to, inside the transaction of the state change it tells of."""
    for sealed in payloads:
        tx.do(
            "add_payload",
            id=sealed.commitment.id, message=record.message, media_type=sealed.commitment.media_type,
            nonce=sealed.nonce, content=sealed.content,
        )  # fmt: skip
    tx.do(
        "add_record",
        id=record.id, kind=record.kind, time=clock.text_of(record.time), message=record.message, run=record.run, content=content(record),
    )  # fmt: skip


def of_run(tx: Tx, run: str) -> list[Record]:
    """A run's journal: its slice of the log, in order."""
    return [_record(row) for row in tx.all("records_of_run", run=run)]


def of_message(tx: Tx, message: str) -> list[Record]:
    """All that concerns one message, its runs included, in order."""
    return [_record(row) for row in tx.all("records_of_message", message=message)]


def of_case(tx: Tx, case_id: str) -> list[Record]:
    """All that happened in a case, in order."""
    return [_record(row) for row in tx.all("records_of_case", case_id=case_id)]


def everything(tx: Tx, after: int = 0) -> Iterator[tuple[int, Record]]:
    """All records with their numbers, in order, page by page."""
    while rows := tx.all("records_after", after=after, most=PAGE):
        for row in rows:
            after = row["seq"]
            yield after, _record(row)


def payload(tx: Tx, identity: str) -> bytes | None:
    """The content of a payload, or None when it is not there any more."""
    row = tx.one("payload", id=identity)
    return None if row is None else bytes(row["content"])


def payloads(tx: Tx, identities: Iterable[str]) -> dict[str, bytes]:
    """The contents of many payloads by id; those that cannot be opened any more are left out."""
    rows = tx.all("payloads_among", payloads=canonical(list(identities)).decode())
    return {row["id"]: bytes(row["content"]) for row in rows}


def json_payload(tx: Tx, identity: str) -> Any:
    """The JSON value of a payload; raises KeyError when it is not there any more."""
    found = payload(tx, identity)
    if found is None:
        raise KeyError(identity)
    return parsed(found)


def _record(row: Row) -> Record:
    return record_of(parsed(row["content"]))
