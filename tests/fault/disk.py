"""A disk for SQLite that remembers what was written and what was synced, and can say what is left of it after a power cut.

`Disk` is an apsw VFS over real files: SQLite works on them as ever, while every write, truncation, creation, deletion and sync is
noted in order. `Platter` plays the notes up to any moment and gives the files as they might be found after the current failed there:
what was synced, and of the rest whatever chance lets through, whole, in part, torn within a sector's bounds, out of order.

What is believed of a disk is what SQLite says it relies on: a sync makes a file's content durable; a folder's entries are durable when
the folder was synced, which SQLite does with the first sync of a new journal or WAL; a torn write harms no byte outside of it.

`Connection` is what `bus.store.sqlite` uses of `sqlite3.Connection`, so that the store's own code runs on it.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import apsw

FAILS = (
    apsw.FullError,
    apsw.IOError,
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.LockedError,
    apsw.ProtocolError,
    apsw.ReadOnlyError,
    apsw.SQLError,
)
"""What `sqlite3` raises as OperationalError."""
CODES = {type(apsw.exception_for(code)): code for code in range(sqlite3.SQLITE_ERROR, sqlite3.SQLITE_NOTADB + 1)}
"""What SQLite numbers them as."""
_numbers = count(1)


@dataclass(frozen=True)
class Note:
    """One thing that happened, in order. ``file`` numbers a file from its creation to its deletion, whatever its name."""

    kind: str
    file: int = 0
    name: str = ""
    offset: int = 0
    data: bytes = b""
    value: Any = None


class Disk(apsw.VFS):
    """One folder's disk. ``before`` is called with ``kind, name`` before each write, sync, truncation and deletion, and may raise."""

    def __init__(self, before: Callable[[str, str], None] | None = None) -> None:
        self.label = f"disk-{next(_numbers)}"
        self.notes: list[Note] = []
        self.files: dict[str, int] = {}
        self.before = before or (lambda kind, name: None)
        super().__init__(self.label, "")

    def mark(self, kind: str, value: Any) -> None:
        """Note something from outside the disk: an acknowledgement, an effect."""
        self.notes.append(Note(kind, value=value))

    def open(self, path: Path) -> Connection:
        """For ``opened`` of the store."""
        return Connection(path, self.label)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        if path.name not in self.files:
            if not path.exists():
                self.before("create", path.name)
            self.files[path.name] = next(_numbers)
            self.notes.append(Note("create", self.files[path.name], path.name))
            if path.exists() and path.stat().st_size:
                self.notes.append(Note("write", self.files[path.name], data=path.read_bytes()))
                self.notes += [Note("sync", self.files[path.name]), Note("sync-folder")]
        return _File(self, name, path.name, flags)

    def xDelete(self, path: str, sync: bool) -> None:
        name = Path(path).name
        self.before("delete", name)
        super().xDelete(path, sync)
        self.notes.append(Note("delete", name=name))
        self.files.pop(name, None)
        if sync:
            self.notes.append(Note("sync-folder"))


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, filename: Any, name: str, flags: list[int]) -> None:
        self._disk, self._name, self._file = disk, name, disk.files[name]
        journal = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
        self._folder_too = bool(flags[0] & apsw.SQLITE_OPEN_CREATE and flags[0] & journal)
        super().__init__("", filename, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.before("write", self._name)
        super().xWrite(data, offset)
        self._disk.notes.append(Note("write", self._file, offset=offset, data=bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        self._disk.before("truncate", self._name)
        super().xTruncate(newsize)
        self._disk.notes.append(Note("truncate", self._file, offset=newsize))

    def xSync(self, flags: int) -> None:
        self._disk.before("sync", self._name)
        super().xSync(flags)
        self._disk.notes.append(Note("sync", self._file))
        if self._folder_too:
            self._folder_too = False
            self._disk.notes.append(Note("sync-folder"))


@dataclass
class _Content:
    """A file: what is durable, and what came since the last sync."""

    durable: bytearray = field(default_factory=bytearray)
    since: list[Note] = field(default_factory=list)


@dataclass
class Platter:
    """Plays notes. ``honest`` false: syncs do nothing, as with a disk that lies."""

    honest: bool = True
    contents: dict[int, _Content] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    since: list[Note] = field(default_factory=list)

    def play(self, note: Note) -> None:
        match note.kind:
            case "create":
                self.contents[note.file] = _Content()
                self.since.append(note)
            case "delete":
                self.since.append(note)
            case "write" | "truncate":
                self.contents[note.file].since.append(note)
            case "sync" if self.honest:
                content = self.contents[note.file]
                for one in content.since:
                    _apply(content.durable, one)
                content.since = []
            case "sync-folder" if self.honest:
                for one in self.since:
                    _enter(self.names, one)
                self.since = []
            case _:
                pass

    def cut(self, dice: random.Random) -> dict[str, bytes]:
        """The files as they might be found: by name. Changes nothing here."""
        names = dict(self.names)
        for note in _survivors(self.since, dice):
            _enter(names, note)
        sector = dice.choice((512, 4096))
        return {name: self._found(self.contents[file], dice, sector) for name, file in names.items()}

    @staticmethod
    def _found(content: _Content, dice: random.Random, sector: int) -> bytes:
        image = bytearray(content.durable)
        for note in _survivors(content.since, dice):
            _apply(image, note, dice if dice.random() < 0.3 else None, sector)
        return bytes(image)


def _survivors(notes: Sequence[Note], dice: random.Random) -> list[Note]:
    """What gets through of things not synced: nothing, all, the first so many, or any of them."""
    way = dice.randrange(5)
    if way == 0:
        return []
    if way == 1:
        return list(notes)
    if way == 2:
        return list(notes[: dice.randrange(len(notes) + 1)])
    share = dice.random()
    return [note for note in notes if dice.random() < share]


def _enter(names: dict[str, int], note: Note) -> None:
    if note.kind == "create":
        names[note.name] = note.file
    else:
        names.pop(note.name, None)


def _apply(image: bytearray, note: Note, torn: random.Random | None = None, sector: int = 512) -> None:
    """Write or truncate; ``torn``: only some of the sectors get through, and what lies between was never written."""
    if note.kind == "truncate":
        if torn is None:
            del image[note.offset :]
            image.extend(bytes(max(0, note.offset - len(image))))
        return
    for start, piece in _sectors(note, sector) if torn else ((note.offset, note.data),):
        if torn is None or torn.random() < 0.5:
            gap = start - len(image)
            if gap > 0:
                image.extend(torn.randbytes(gap) if torn is not None and torn.random() < 0.5 else bytes(gap))
            image[start : start + len(piece)] = piece


def _sectors(note: Note, sector: int) -> Iterator[tuple[int, bytes]]:
    at, end = note.offset, note.offset + len(note.data)
    while at < end:
        until = min(end, (at // sector + 1) * sector)
        yield at, note.data[at - note.offset : until - note.offset]
        at = until


def put(files: Mapping[str, bytes], folder: Path) -> None:
    """Lay files into a folder that has none of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


class Row(dict[str, Any]):
    """A row by name or by place, as `sqlite3.Row`."""

    def __getitem__(self, key: str | int) -> Any:
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)


@dataclass
class Cursor:
    rows: list[Row]
    rowcount: int

    def fetchone(self) -> Row | None:
        return self.rows.pop(0) if self.rows else None

    def fetchall(self) -> list[Row]:
        rows, self.rows = self.rows, []
        return rows


class Connection:
    """What the store uses of `sqlite3.Connection`, over apsw. Errors are those of `sqlite3`."""

    def __init__(self, path: Path, vfs: str, checkpoint: int = 25) -> None:
        self.row_factory: object = None
        self._checkpoint = checkpoint
        with _translated():
            self._raw = apsw.Connection(str(path), vfs=vfs, statementcachesize=512)

    @property
    def in_transaction(self) -> bool:
        return self._raw.in_transaction

    def execute(self, text: str, parameters: Mapping[str, Any] | Sequence[Any] = ()) -> Cursor:
        if text.startswith("PRAGMA wal_autocheckpoint="):  # some pages are enough: what is to be seen is that it happens, not how seldom
            text = f"PRAGMA wal_autocheckpoint={self._checkpoint}"
        with _translated():
            cursor = self._raw.cursor()
            cursor.row_trace = _row
            rows = cursor.execute(text, parameters).fetchall()
            return Cursor(rows, self._raw.changes())

    def executemany(self, text: str, rows: Any) -> None:
        with _translated():
            self._raw.executemany(text, rows)

    def executescript(self, text: str) -> None:
        with _translated():
            self._raw.execute(text).fetchall()

    def close(self) -> None:
        with suppress(apsw.Error):  # its files may be gone
            self._raw.close(True)


def _row(cursor: apsw.Cursor, row: tuple[Any, ...]) -> Row:
    return Row(zip((column[0] for column in cursor.getdescription()), row, strict=True))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        kind = sqlite3.OperationalError if isinstance(error, FAILS) else sqlite3.DatabaseError
        told = sqlite3.IntegrityError if isinstance(error, apsw.ConstraintError) else kind
        said = told(f"{type(error).__name__}: {error}")
        said.sqlite_errorcode = CODES.get(type(error), 0)
        raise said from error
