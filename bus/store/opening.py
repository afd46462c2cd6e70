"""Which store a URL names."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl

from bus.config import SCHEMES, file_of
from bus.disk import IN_MEMORY, filesystem, make_folder, sync_folder
from bus.errors import ConfigError, StoreError
from bus.source.findings import nearest
from bus.store import Keys, Store, Tx

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "beegfs",
    "fuse.sshfs", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.s3fs", "fuse.rclone",
})  # fmt: skip
DOUBTFUL = {
    **IN_MEMORY,
    **dict.fromkeys(("9p", "virtiofs", "vboxsf", "fuse.vmhgfs-fuse"), "another machine's"),
}
"""File systems of which nobody knows whether they keep what they say they wrote."""
CLEAR = frozenset({"disable", "allow", "prefer"})
"""Where `sslmode` is one of these, a server that speaks no TLS is spoken to without."""


def open_store(url: str, *, exclusive: bool = False) -> Store:
    """``sqlite:///path`` or ``postgresql://user@host/database``; raises `ConfigError` or `StoreError`.

    ``exclusive``: refuse to share a file with another process. A server is there to be shared.
    """
    refuse_unusable(url)
    if (path := file_of(url)) is not None:
        from bus.store.sqlite import SqliteStore

        refuse_network(path)
        _make_folder(path)
        return SqliteStore(path, exclusive=exclusive)
    from bus.store.postgres import PostgresStore

    return PostgresStore(url)


def _make_folder(path: Path) -> None:
    from bus.store.sqlite_file import unreachable

    try:
        if not path.parent.is_dir():
            make_folder(path.parent)
            sync_folder(path.parent.parent)
    except OSError as error:
        raise unreachable(error, path) from error


def refuse_network(path: Path) -> None:
    """Raises `StoreError` for a SQLite file on a network folder: its locks and its log in shared memory work on one machine's disk only."""
    kind = filesystem(path.parent)
    if kind in NETWORK:
        from bus.store.sqlite_file import LOCAL_DISK

        raise StoreError(f"{path} is on the network ({kind}), where SQLite can lose what it wrote", code="store.unsafe", hint=LOCAL_DISK)


def refuse_unusable(url: str) -> None:
    """Raises `ConfigError` for what is no address of a database. Nothing of it is repeated: it may be a part of the password."""
    if not url.startswith(SCHEMES):
        hint = "use sqlite:///path or postgresql://user@host/database"
        raise ConfigError(f"no store speaks {url.partition(':')[0]!r}", code="config.store", hint=hint)
    if file_of(url) is not None:
        return
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        ports = str(conninfo_to_dict(url).get("port") or "")
    except ProgrammingError:
        _refuse_unknown_parameters(url)
        ports = "none"
    if not all(port.isdecimal() for port in ports.split(",") if port):
        hint = "postgresql://user:password@host:5432/database; in a password, / is written %2F, # %23, @ %40, % %25"
        raise ConfigError("store.url is no address", code="config.store", hint=hint)


def _refuse_unknown_parameters(url: str) -> None:
    """Raises `ConfigError` where libpq knows no such parameter as stands behind the ``?``; names it where it is surely no secret."""
    from psycopg.pq import Conninfo

    known = [one.keyword.decode() for one in Conninfo.get_defaults()]
    strange = [name for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True) if name not in known]
    if strange:
        meant = nearest(strange[0], known, least=0.8)
        what = f"{strange[0]!r}, no parameter of PostgreSQL" if meant else "what is no parameter of PostgreSQL"
        hint = f"write {meant}" if meant else "sslmode, sslrootcert, target_session_attrs …; in a password, ? is written %3F"
        raise ConfigError(f"behind the ? of store.url stands {what}", code="config.store", hint=hint)
    said = (one.partition("=") for one in url.partition("?")[2].split("&"))
    if broken := next((name for name, _, value in said if name in known and "=" in value), None):
        hint = "in a value, = is written %3D, a blank %20: options=-csearch_path%3Dcomune"
        raise ConfigError(f"behind the ? of store.url the value of {broken} has a = in it", code="config.store", hint=hint)


class Reader(Protocol):
    """A database that is only looked at: nothing is made in it, not even a schema. ``keys`` open its payloads, once they are given."""

    keys: Keys

    def read(self) -> AbstractContextManager[Tx]:
        """A consistent view of what is committed; for the ``with`` block only."""
        ...

    def close(self) -> None: ...


def open_reader(url: str) -> Reader:
    """Open a database to read: SQLite's file read only, PostgreSQL in a session of its own that may not write. One thread at a time.

    Raises `ConfigError`, or `StoreError` where there is none, or one of another schema.
    """
    refuse_unusable(url)
    if (path := file_of(url)) is not None:
        from bus.store.sqlite import SqliteReader

        return SqliteReader(path)
    from bus.store.postgres import PostgresLook

    return PostgresLook(url)


def doubts(url: str) -> list[str]:
    """What is doubtful of a database's place, or of the way to it, a sentence each."""
    if (path := file_of(url)) is not None:
        kind = filesystem(path.parent)
        place = DOUBTFUL.get(kind)
        return [f"the folder of the database is {place} ({kind}): a power cut can take what was accepted"] if place else []
    away = sorted(hosts_of(url) - LOOPBACK)
    if not away:
        return []
    from psycopg.conninfo import conninfo_to_dict

    mode = conninfo_to_dict(url).get("sslmode") or os.environ.get("PGSSLMODE", "prefer")
    if mode == "verify-full":
        return []
    what = "what is asked of the database on {}, and what it answers, may travel in the clear" if mode in CLEAR else (
        "whether it is the database that answers on {} is not looked at"
    )  # fmt: skip
    return [f"{what.format(', '.join(away))}: add sslmode=verify-full, and sslrootcert with its authority, to store.url"]


def hosts_of(url: str) -> frozenset[str]:
    """The names of the machines that a database is reached at; none for a file, or for a socket of this machine."""
    if file_of(url) is not None:
        return frozenset()
    from psycopg import ProgrammingError

    from bus.store.hosts import machines

    try:
        named = machines(url)
    except ProgrammingError:  # opening it will say what is wrong
        return frozenset()
    return frozenset(host for host, _ in named if host and not host.startswith("/"))
