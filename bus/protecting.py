"""Across the revision that sealed payloads: up, tables are made again with tokens; down, what is sealed is laid open for older programs.

A payload that was laid open keeps its nonce, and what was sealed with it is sealed with it again to the same bytes: commitments hold.
What an older program wrote has no key. It stays as it is, and is deleted with the person it is about.

Either way has two transactions, the other one of the schema. A mark in the database says that one of the two is done, so that whatever
ended a migration between them, the same command, or the way back, goes on; meanwhile no process of the bus starts, since
`bus.log.keystore.unlock` refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from itertools import islice
from typing import Any

from bus.config import Config
from bus.engine import projection
from bus.errors import Erased
from bus.log import log, payload
from bus.log.keystore import unlock
from bus.log.record import Record
from bus.message import parsed
from bus.store import Row, Tx, listed, migrate, schema
from bus.store.opening import open_store

SEALED = 5
"""The first revision that seals."""
MOST = 500
TELLING = ("message", "keys", "key", "facts")
"""The roles of payloads that hold what stands in tables as tokens."""
OPEN = ("unprotected", "laid-open")
"""Marks of a database in which payloads lie open: after the way up, and before the way down."""


def change(config: Config, to: int) -> tuple[int, int]:
    """`bus.store.migrate.migrate`, with what lies in the database made fit for it; goes on where one ended.

    A database that is up to date is left alone, whoever works on it but another migration. Raises `StoreError`, `ConfigError`.
    """
    migrate.refuse_unknown(to)
    url = config.store.url
    before = migrate.status(url)[0]
    if before == to == schema.REVISION and not migrate.lies_open(url):
        migrate.refuse_changing(url)  # what it does is not to be seen before it ends
        return before, to
    if to < SEALED <= before:
        if before < schema.REVISION:  # our queries speak of the newest tables alone
            migrate.migrate(url)
        if "unprotected" in migrate.lies_open(url):  # a way up that did not end: tables of revision 5 are still to be made from the log
            _with(config, _protect)
        _with(config, _lay_open)
    _, after = migrate.migrate(url, to)
    if to == schema.REVISION and migrate.lies_open(url):
        _with(config, _protect)
    return before, after


def _with(config: Config, work: Callable[[Tx], None]) -> None:
    """Do a piece of work in one transaction while nobody else has the database, however long it takes."""
    migrate.refuse_busy(config.store.url)

    def alone(tx: Tx) -> None:
        if not tx.take_alone():  # somebody came in the moment since
            raise migrate.taken()
        work(tx)

    with closing(open_store(config.store.url, exclusive=True)) as store:
        unlock(store, config.keystore, changing=True)
        store.write(alone).result()


def _protect(tx: Tx) -> None:
    _seal(tx)
    if tx.one("mark", name="unprotected") is not None:  # else the tables of revision 5 are as they were
        for _, record in log.everything(tx):
            projection.protect(tx, record)
    for name in OPEN:
        tx.do("drop_mark", name=name)


def _seal(tx: Tx) -> None:
    for row in _payloads(tx):
        nonce, content = payload.parts(row)
        number = payload.key_number(nonce)
        if number is not None and not payload.matches(row["id"], nonce, content):
            tx.do("set_payload", id=row["id"], content=payload.sealed_again(nonce, content, tx.keys.key(number)))
    _tell(tx, ((text, tx.keys.token(text)) for text in _texts(tx)))


def _lay_open(tx: Tx) -> None:
    if tx.one("mark", name="laid-open") is not None:
        return
    for row in _payloads(tx):
        try:
            text = payload.opened(*payload.parts(row), tx.keys)
        except Erased:
            continue
        tx.do("set_payload", id=row["id"], content=text)
    _tell(tx, ((tx.keys.token(text), text) for text in _texts(tx)))
    tx.do("add_mark", name="laid-open", value="5")


def _texts(tx: Tx) -> Iterator[str]:
    """All of the log, one perhaps many times; a log may have more than go into memory."""
    records = (record for _, record in log.everything(tx))
    while page := list(islice(records, MOST)):
        wanted = [identity for record in page for role in TELLING if (identity := record.payload(role)) is not None]
        rows = {row["id"]: row for row in tx.all("payloads_among", payloads=listed(wanted))} if wanted else {}
        for record in page:
            yield from _told(tx, record, rows)


def _tell(tx: Tx, named: Iterable[tuple[str, str]]) -> None:
    """Put texts in the place of tokens, or tokens in the place of texts, wherever one stands."""
    tx.do("make_texts")
    for old, new in named:
        tx.do("add_text", old=old, new=new)
    for table in ("message_keys", "case_keys", "waits", "intake_keys", "facts"):
        tx.do(f"tell_{table}")
    tx.do("drop_texts")


def _payloads(tx: Tx) -> Any:
    after = ""
    while rows := tx.all("payloads_after", after=after, most=MOST):
        yield from rows
        after = rows[-1]["id"]


def _told(tx: Tx, record: Record, rows: Mapping[str, Row]) -> list[str]:
    """The texts behind the tokens of a record. ``rows``: its payloads."""

    def told(role: str) -> Any:
        """Payloads lie open here, whatever their nonce says, or are sealed."""
        row = rows.get(record.payload(role) or "")
        if row is None:
            return None
        with suppress(ValueError):
            return parsed(bytes(row["content"]))
        with suppress(Erased):
            return parsed(payload.opened(*payload.parts(row), tx.keys))
        return None

    found: list[str] = []
    match record.kind:
        case "received":
            message = told("message")
            keys: Any = message["keys"] if message else {"case": {}, "intake": (), "content": ""}
            found = [*keys["case"].values(), *[name for _, name in keys["intake"]], keys["content"]]
        case "joined":
            found = list((told("keys") or {}).values())
        case "waiting" | "closed":
            key = told("key")
            found = [key[1]] if key else []
    return [*found, *[fact[1] for fact in told("facts") or ()]]
