"""What stands in the way of whoever looks at PostgreSQL: somebody's lock, a commit that waits for a standby. For `bus doctor`."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import errors

from bus.errors import Interrupted, StoreError
from bus.store.postgres_session import BUSY, Session

PATIENCE = "SET lock_timeout = '2s'; SET statement_timeout = '10s'"
"""How long a session that looks waits: what is found is told soon, and what cannot be found out, too."""
_SPENT = "SET lock_timeout = '100ms'"
# Whoever waits for a table for himself keeps us out as much as its owner of the moment: those before him are in the way, too.
_HOLDERS = """
SELECT c.relname AS name, a.pid, a.usename AS "user", a.application_name AS program,
  to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ') AS since, l.granted, pg_blocking_pids(a.pid) AS behind
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid
WHERE (l.mode = 'AccessExclusiveLock' OR %(looks)s) AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind = 'r'
ORDER BY l.granted DESC, c.relname, a.pid
"""
# A user who may not see other users' sessions sees that they are there and what they call themselves, and not how far a standby is.
_STANDBY = """
SELECT s.names, pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all, r.connected, r.confirming, w.waiting, w.longest
FROM (SELECT current_setting('synchronous_standby_names') AS names) s
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE s.names LIKE '%*%' OR strpos(lower(s.names), lower(application_name)) > 0) AS connected,
    count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS confirming
  FROM pg_stat_replication
) r CROSS JOIN (
  SELECT count(*) AS waiting, clock_timestamp() - min(query_start) AS longest
  FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()
) w
"""


@dataclass(frozen=True, slots=True)
class Standbys:
    """The standbys that must confirm each commit, by their ``names``. ``lacking``: surely none of them does.

    ``waiting``: how many of our sessions wait for them now, the first for ``longest``.
    """

    names: str
    lacking: bool
    waiting: int
    longest: dt.timedelta


def standbys(raw: Session) -> Standbys | None:
    """The standbys that commits wait for; None where they wait for no other server."""
    [row] = raw.execute(_STANDBY).fetchall()
    if not row["names"].strip():
        return None
    lacking = not row["connected"] or (row["sees_all"] and not row["confirming"])
    return Standbys(row["names"], lacking, row["waiting"], row["longest"] or dt.timedelta())


@contextmanager
def looking(raw: Session, query: str) -> Iterator[None]:
    """Say who holds the tables of a query that had to be given up, as `StoreError`. Whoever has waited once waits no more."""
    try:
        yield
    except errors.LockNotAvailable as error:
        raw.execute(_SPENT)
        raise locked(raw, query) from error
    except errors.QueryCanceled as error:
        raise Interrupted("the database took longer than 10 s to answer", hint=BUSY) from error


def locked(raw: Session, query: str = "", *, looks: bool = False) -> StoreError:
    """An error that says which session has a table of the bus locked; one that the query names, where there is such a one.

    ``looks``: a session that only looks counts too, since it keeps the table from being changed.
    """
    rows = raw.execute(_HOLDERS, {"looks": looks}).fetchall()
    named = [row for row in rows if re.search(rf"\b{re.escape(row['name'])}\b", query)] or rows
    if not named:
        hint = "look again; where it stays so: pg_locks and pg_stat_activity name who holds what"
        return StoreError("a table of the bus was locked, and is not any more", code="store.locked", hint=hint)
    row = named[0]
    who = f"process {row['pid']} of the database (user {row['user']}, program {row['program'] or 'without a name'}"
    who += f", since {row['since']})" if row["since"] else ")"
    has = "is locked by" if row["granted"] else f"is wanted, behind {_processes(row['behind'])}, by"
    ended = row["pid"] if row["granted"] or not row["behind"] else row["behind"][0]
    return StoreError(
        f"the table {row['name']} {has} {who}", code="store.locked",
        hint=f"end what it does there (COMMIT or ROLLBACK; a migration: wait), or the session itself: SELECT pg_terminate_backend({ended})",
    )  # fmt: skip


def _processes(pids: list[int]) -> str:
    return ("process " if len(pids) == 1 else "processes ") + ", ".join(map(str, pids))
