"""The file of a SQLite database: who makes it, who has it, where it must stay, and what to do about what SQLite says of it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

from bus.disk import FULL, READ_ONLY, is_read_only
from bus.errors import Changed, StoreError

LOCAL_DISK = "put the file on a local disk that supports WAL"
LITTLE = 1 << 20
"""Bytes below which a disk is full for SQLite, which makes its files by larger pieces."""
MISTAKES = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError)
"""Errors of `sqlite3` that say something of what was asked; all others say something of the database."""
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NOT_UNDERSTOOD = re.compile(r"no such (?:table|column)|table \w+ has no column named|ON CONFLICT clause does not match")
CHANGED = "keep it as it is: who dropped a table, or a column? compare with a backup"
"""What to do where the revision is ours, and a table is not there."""
MENDING = "look at the disk, stop the bus, start again; if it stays so, restore the backup, with no -wal of this file beside it"
"""What to do with a damaged file."""


def kind_of(error: BaseException | None) -> int:
    """SQLite's primary result code; 0 where the error is another's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def failed(error: sqlite3.Error, path: Path, *, looking: bool = False) -> StoreError:
    """The database itself failed (disk full, I/O, locked, damaged), not what it was asked; or somebody has changed its tables.

    ``looking``: it was only asked, and what it does not understand then, or cannot reckon, is not what we made.
    """
    asked = kind_of(error) == sqlite3.SQLITE_ERROR and (looking or _NOT_UNDERSTOOD.match(str(error)))
    if asked or isinstance(error, MISTAKES):
        return Changed(f"the database is not as this program knows it: {error}", hint=CHANGED)
    hint = _remedy(error, path) or "look at the disk: space, errors (dmesg: did it become read-only?), who else has the file open"
    return StoreError(f"the database failed: {error}", hint=hint)


def unreachable(error: Exception, path: Path) -> StoreError:
    """The error of a database that could not be opened."""
    hint = _remedy(error, path) or "is the folder there, and yours to write?"
    said = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.filename else error
    return StoreError(f"cannot open the database {path}: {said}", code="store.unreachable", hint=hint)


def unreadable(error: Exception, path: Path) -> StoreError:
    """The error of a database that could not be read by somebody who only looks."""
    hint = _remedy(error, path) or "is the file there, and yours to read?"
    return StoreError(f"cannot read the database {path}: {error}", code="store.unreachable", hint=hint)


def _remedy(error: Exception, path: Path) -> str:
    """What to do, by what SQLite says of the error and the system of the disk; empty where neither says."""
    kind, number = kind_of(error), error.errno if isinstance(error, OSError) else 0
    if number == errno.EROFS or is_read_only(path.resolve().parent):
        return READ_ONLY
    if kind == sqlite3.SQLITE_FULL or number in FULL or _is_full(path.resolve().parent):
        return f"the disk of {path} is full: make room, nothing else; what was accepted is safe"
    if kind == sqlite3.SQLITE_READONLY:
        return f"is {path} yours to write?"
    if kind in DAMAGED:
        return MENDING
    if number in (errno.EMFILE, errno.ENFILE) or (kind == sqlite3.SQLITE_CANTOPEN and not _may_open()):
        return "this process has no file descriptor left: raise LimitNOFILE (ulimit -n)"
    return ""


def _is_full(folder: Path) -> bool:
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    counts_room, counts_files = disk.f_blocks > 0, disk.f_files > 0  # some file systems of others' disks say nothing of either
    return (counts_room and disk.f_bavail * disk.f_frsize < LITTLE) or (counts_files and disk.f_favail == 0)


def _may_open() -> bool:
    """SQLite does not tell why it could not open a file."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return False
    return True


def make(path: Path) -> None:
    """An empty file where there is none, which SQLite takes for an empty database. Nothing else makes one."""
    with suppress(FileExistsError):
        os.close(os.open(path.resolve(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))


def address(path: Path, mode: Literal["rw", "ro"]) -> str:
    """The address of a file for SQLite, which then opens what is there and makes no new one."""
    return f"{path.resolve().as_uri()}?mode={mode}"


class Place:
    """Which files had the names of a database when it was opened. When they go, SQLite goes on with them, and the next start without."""

    def __init__(self, path: Path, *, with_log: bool) -> None:
        """``with_log``: the ``-wal`` must stay, too."""
        self._path, self._log_path = path, Path(f"{path.resolve()}-wal")
        self._file = _file_of(path)
        self._log = _file_of(self._log_path) if with_log else None

    def check(self) -> None:
        """Raises `StoreError` where another file, or none, has such a name: what is written now nobody finds again."""
        if _file_of(self._path) != self._file:
            raise _vanished(f"the database {self._path}", "stop the bus, put the file back with its -wal, and start again")
        if self._log is not None and _file_of(self._log_path) != self._log:
            hint = "stop the bus, which moves what it still has of it into the database, and start again"
            raise _vanished(f"{self._log_path}, a part of the database,", hint)


def _vanished(what: str, hint: str) -> StoreError:
    sentence = f"{what} was moved, deleted or replaced while the bus works on it"
    return StoreError(sentence, code="store.vanished", hint=f"{hint}: nothing is taken in meanwhile")


def _file_of(path: Path) -> tuple[int, int] | None:
    """Which file has this name now."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def own(path: Path) -> IO[bytes]:
    """Hold the lock beside the database, whatever name leads to it; it goes with the process, whose number stands in it.

    Raises `StoreError` when another has it, or when the ``-wal`` beside it is another file's. MUST be called before it is opened.
    """
    path = path.resolve()
    refuse_folder(path)
    if path.exists() and path.stat().st_nlink > 1:
        raise StoreError(
            f"{path} has another name, under which another bus may work on it", code="store.taken",
            hint="delete the other one (a hard link: find -samefile), or give this bus a store of its own",
        )  # fmt: skip
    try:
        held = _lock_file(path.with_name(f"{path.name}.lock"))
    except OSError as error:
        raise unreachable(error, path) from error
    if not _locked(held):
        with held:
            held.seek(0)
            raise _taken(path, held.read(20).decode("ascii", "replace"))
    try:
        refuse_strange_log(path)
    except StoreError:
        held.close()
        raise
    with suppress(OSError):  # a full disk: nobody needs to know who has it
        held.truncate(0)
        held.write(str(os.getpid()).encode())
    return held


def _lock_file(path: Path) -> IO[bytes]:
    """The file that is locked, made where there is none: nobody else may write it whatever the umask is."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644), "a+b", buffering=0)


def refuse_folder(path: Path) -> None:
    """Raises `StoreError` for what can be no database."""
    if path.is_dir():
        raise StoreError(
            f"{path} is a folder", code="store.unreachable", hint="name a file in store.url, such as sqlite:////var/lib/snodo/snodo.db"
        )


def refuse_strange_log(path: Path) -> None:
    """Raises `StoreError` before SQLite believes a log that is another file's; who only looks is told so, too."""
    path = path.resolve()
    if _has_strange_log(path):
        raise StoreError(
            f"{path}-wal belongs to another file, such as the one in whose place a backup was put", code="store.strange-log",
            hint=f"put {path}-wal and {path}-shm away: SQLite would write them into this file, and damage it; then start again",
        )  # fmt: skip


def _has_strange_log(path: Path) -> bool:
    """Whether a write-ahead log lies beside a file that never had one: what `VACUUM INTO` makes says so in bytes 18 and 19 of its header.

    SQLite would believe the log, whose pages know nothing of the file they are of.
    """
    try:
        with path.open("rb") as file:
            return file.read(20)[18:] == b"\x01\x01" and Path(f"{path}-wal").stat().st_size > 0
    except OSError:
        return False


def own_file(path: Path) -> IO[bytes]:
    """Hold the database itself: the lock beside it may have been deleted, or the file mounted elsewhere. Raises as `own`.

    MUST be closed after all connections of the process: closing any file of a database takes SQLite's own locks from it.
    """
    held = path.open("rb")
    if not _locked(held):
        with held:
            raise _taken(path)
    return held


def _locked(held: IO[bytes]) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken(path: Path, who: str = "") -> StoreError:
    hint = "stop it first (where it is bus migrate, wait for its end), or give this one a store of its own"
    return StoreError(f"another bus works on {path}{who and f' (process {who})'}", code="store.taken", hint=hint)
