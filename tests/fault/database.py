"""What the tests of databases share: records of a name, added, followed and counted, and a setting of the server, changed for all."""

from __future__ import annotations

import psycopg

from bus.message import new_id
from bus.store import Store, Tx, listed

WITHOUT_LOCK = ""  # the numbering query without its FROM


def add(tx: Tx, name: str) -> None:
    """One record about message ``name``; its id is new each time the work is run, so that a doubled work is seen."""
    tx.do("add_record", id=new_id(), kind="read", time="t", message=name, run=None, content=b"{}")


def numbers(store: Store, after: int = 0) -> list[int]:
    """What a follower of the log sees."""
    with store.read() as tx:
        return [row["seq"] for row in tx.all("records_after", after=after, most=1_000_000)]


def times(store: Store, name: str) -> int:
    with store.read() as tx:
        return len(tx.all("records_of_messages", messages=listed([name]), after=0))


def switch(url: str, setting: str, value: str) -> None:
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("SET synchronous_commit = local")
        session.execute(f"ALTER SYSTEM SET {setting} = {value}")  # type: ignore[call-overload]
        session.execute("SELECT pg_reload_conf()")
