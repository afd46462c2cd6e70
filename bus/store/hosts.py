"""The servers that an address names, and which of them goes on with the log.

A standby that is promoted begins a new *timeline*; the primary whose place it took has the one before. Should that one come back by
mistake it takes writes as ever, and who wrote there would go on with another log than the others do: each would lack what the other
accepted, and both would give out the same numbers. So no session is had with a server whose timeline is older than one that was seen
of the same database, and where an address names several servers, all are asked before one is written to.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bus.diagnostics import logger

if TYPE_CHECKING:
    from bus.store.postgres_session import Session

Dial = Callable[[str, str], "Session"]
"""Opens a session with one host of an address, by its port."""
_ASKED = """
SELECT system_identifier::text AS system, pg_postmaster_start_time()::text AS since,
  CASE WHEN NOT pg_is_in_recovery() THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS timeline
FROM pg_control_system()
"""
OLD = (
    "stop it; before it starts again make it a standby of the other (pg_rewind, pg_basebackup): what it alone took in is nowhere else. "
    "Only where it was restored on purpose: stop the bus, remove timelines.json from the key store, start"
)
PROMOTED = (
    "did it confirm commits (synchronous_standby_names)? else what was accepted in the last moments of the other may be missing; receipts "
    "and the witness know: see docs/sysadmin/running.md, where a standby is promoted"
)
TWO = "stop the one that is not to go on, and make it a standby of the other (pg_rewind, pg_basebackup); the bus goes on by itself"


class Divided(psycopg.OperationalError):
    """A server takes writes that is not, or perhaps not, the one that goes on."""

    def __init__(self, code: str, sentence: str, hint: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.hint = code, sentence, hint


class Server(NamedTuple):
    """A server as it answered: of the database cluster ``system``, begun at ``since``. ``timeline``: None where it takes no writes."""

    host: str
    port: str
    system: str
    since: str
    timeline: int | None

    def __str__(self) -> str:
        return f"{self.host}:{self.port} (timeline {self.timeline})"


_ANSWERED: dict[str, tuple[str, str]] = {}
"""The host of an address, and its port, that took our last session."""
_NEWEST: dict[str, int] = {}
"""The newest timeline of each cluster that this process has seen."""
_knowing = threading.Lock()


def machines(url: str) -> list[tuple[str, str]]:
    """The hosts that an address names, or the environment where it names none, in their order, each with its port."""
    told = conninfo_to_dict(url)
    hosts, ports = (str(told.get(name) or os.environ.get(f"PG{name.upper()}", "")).split(",") for name in ("host", "port"))
    ports = ports * len(hosts) if len(ports) == 1 else ports
    return [(host, port or "5432") for host, port in zip(hosts, ports, strict=False)]


def in_turn(url: str) -> dict[str, Any]:
    """The hosts of an address, the one first that answered last: one that is dead costs five seconds a session.

    Only where the address says that the server must take writes. Elsewhere its order may say which one is the primary.
    """
    told, last = conninfo_to_dict(url), _ANSWERED.get(url)
    if last is None or told.get("hostaddr") or told.get("target_session_attrs") not in ("read-write", "primary"):
        return {}
    several = sorted(machines(url), key=lambda one: one != last)
    return {"host": ",".join(host for host, _ in several), "port": ",".join(port for _, port in several)}


def answered(url: str, session: Session) -> None:
    """Remember who took a session that is good."""
    _ANSWERED[url] = session.info.host, str(session.info.port)


def asked(session: Session) -> Server | None:
    """What a server says of itself; None where it tells nobody, as one that is not quite PostgreSQL may."""
    try:
        [row] = session.execute(_ASKED, prepare=False).fetchall()
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        return None
    return Server(session.info.host, str(session.info.port), row["system"], row["since"], row["timeline"])


def is_old(server: Server | None) -> bool:
    """Whether a newer timeline was seen of its database than the one that it writes."""
    return server is not None and server.timeline is not None and server.timeline < _NEWEST.get(server.system, 0)


def behind(server: Server, newest: int) -> str:
    """What is to be said of a server whose timeline is not the newest."""
    return f"{server} is an old primary: another server was promoted in its place (timeline {newest})"


def refuse_old(server: Server | None, saw: Callable[[str, int], int] = lambda system, timeline: 0) -> None:
    """Raises `Divided` for a primary in whose place another one was promoted; remembers the timeline of any other one.

    ``saw``: what others remember, see `bus.store.Keys.saw`.
    """
    if server is None or server.timeline is None:
        return
    others = saw(server.system, server.timeline)
    with _knowing:
        newest = max(server.timeline, others, _NEWEST.get(server.system, 0))
        _NEWEST[server.system] = newest
    if server.timeline < newest:
        raise Divided("store.old-primary", behind(server, newest), OLD)
    if 0 < others < server.timeline:
        said = f"a standby was promoted: {server} goes on with the log, and timeline {others} was the last that anybody saw"
        logger("snodo.store").warning("store.promoted", sentence=said, hint=PROMOTED)


def primaries(url: str, dial: Dial) -> list[Server]:
    """Those of several hosts that take writes, the newest timeline first; one that goes by two names once.

    Of a single host nothing is asked.
    """
    several = machines(url)
    if len(several) < 2 or conninfo_to_dict(url).get("hostaddr"):
        return []
    found = (_at(dial, host, port) for host, port in several)
    distinct = {(one.system, one.since): one for one in found if one is not None and one.timeline is not None}
    return sorted(distinct.values(), key=lambda one: -(one.timeline or 0))


def _at(dial: Dial, host: str, port: str) -> Server | None:
    try:
        with dial(host, port) as session:
            return asked(session)
    except psycopg.Error:
        return None


def settle(url: str, found: Sequence[Server]) -> list[Server]:
    """Have the newest of several primaries be asked first from now on; returns it and the others, or nothing where there is but one. Raises
    `Divided` where nothing tells which is the newest.
    """
    if len(found) < 2:
        return []
    first, second = found[:2]
    if first.system != second.system or first.timeline == second.timeline:
        raise Divided(
            "store.two-primaries", f"two servers of store.url take writes, {first} and {second}: nothing tells which one goes on", TWO
        )
    refuse_old(first)
    _ANSWERED[url] = first.host, first.port
    return list(found)


def replaced(found: Sequence[Server]) -> Iterator[str]:
    """What is to be said of each but the first."""
    return (f"{old} takes writes, and is an old primary: {found[0]} was promoted in its place" for old in found[1:])


def tell(found: Sequence[Server]) -> None:
    """Say that old primaries are there, in the log of the process."""
    for said in replaced(found):
        logger("snodo.store").error("store.old-primary", sentence=said, hint=OLD)
