"""What a witness remembers: of each log the last checkpoint that it cosigned, in a file of its own.

The file is replaced whole, and is on the disk before anybody hears of the cosignature: at no moment can a crash bring an older one back
that was not the last. It is also what ``GET /<hash>/checkpoint`` answers.

Of a log of which it knows nothing a witness would believe whatever it is shown first. So that is taken for a loss, unless somebody said
that the log begins here (`begin`); what says so goes with the first checkpoint.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from bus.disk import save, sync_folder
from bus.errors import ConfigError, EvidenceError
from bus.log.checkpoint import checkpoint_of, cosigned, place_of
from bus.log.note import Note, Verifier, parse

LAST = "checkpoint"
"""The file of the last one that was cosigned."""
BEGINS = "begins"
"""The file that says that a log begins here."""


class Memory:
    """A folder, of one process. Raises `ConfigError` when it is not there, taken, knows nothing of a log, or holds what we did not sign."""

    def __init__(self, folder: Path, origins: Iterable[str], ours: Iterable[Verifier]) -> None:
        self._folder = folder
        self._lock = _taken(folder)
        keys = list(ours)
        try:
            for origin in origins:
                self._check(origin, keys)
        except ConfigError:
            self.close()
            raise

    def last(self, origin: str) -> Note | None:
        """The last checkpoint of a log, with its signatures and ours; None when the log begins here. Raises OSError when it is lost."""
        try:
            return parse((self._room(origin) / LAST).read_bytes())
        except FileNotFoundError:
            if (self._room(origin) / BEGINS).exists():
                return None
            raise

    def keep(self, origin: str, note: Note) -> None:
        """Put a checkpoint in the place of the last one; returns when a power cut could not take it back. Raises OSError."""
        _keep(self._room(origin), note)

    def close(self) -> None:
        self._lock.close()

    def _room(self, origin: str) -> Path:
        return self._folder / place_of(origin)

    def _check(self, origin: str, keys: list[Verifier]) -> None:
        try:
            note = self.last(origin)
            if note is not None:
                _of_ours(note, origin, keys)
        except FileNotFoundError:
            raise ConfigError(
                f"the memory {self._folder} knows nothing of the log {origin}", code="witness.memory",
                hint="if this witness never cosigned that log, say so once: bus witness begin. If it did, its memory is lost, and it would "
                "cosign a log that was rolled back: bus witness begin --from-checkpoint FILE, the newest one that carries its cosignature",
            ) from None  # fmt: skip
        except EvidenceError as error:
            raise ConfigError(
                f"{self._room(origin) / LAST} is not a checkpoint that we cosigned: {error.sentence}", code="witness.memory",
                hint="put the newest checkpoint of this log that carries our cosignature in its place; never delete it",
            ) from error  # fmt: skip


def begin(folder: Path, origins: Iterable[str]) -> list[str]:
    """Say that the logs of which a memory knows nothing begin here; which they are. Raises `ConfigError`, OSError."""
    with _taken(folder):
        new = [origin for origin in origins if not (folder / place_of(origin) / LAST).exists()]
        for room in (folder / place_of(origin) for origin in new):
            _make(room)
            (room / BEGINS).touch()
            sync_folder(room)
    return new


def put_back(folder: Path, note: Note, origins: Iterable[str], ours: Iterable[Verifier]) -> None:
    """Remember a checkpoint that we cosigned before our memory was lost. Raises `ConfigError`, `EvidenceError` when it is none, OSError."""
    head = checkpoint_of(note.text)
    room = folder / place_of(head.origin)
    if head.origin not in origins:
        raise EvidenceError(f"a checkpoint of {head.origin!r}, which is none of our logs", code="evidence.origin")
    _of_ours(note, head.origin, ours)
    with _taken(folder):
        known = 0
        with contextlib.suppress(FileNotFoundError, EvidenceError):  # a broken one may be replaced
            known = checkpoint_of(parse((room / LAST).read_bytes()).text).size
        if known > head.size:
            raise ConfigError(
                f"this is a checkpoint of {head.size:,} records, and the memory knows one of {known:,}", code="witness.memory",
                hint="keep the newer one: nothing is to be put back",
            )  # fmt: skip
        _keep(room, note)


def _of_ours(note: Note, origin: str, keys: Iterable[Verifier]) -> None:
    if not (cosigned(note, keys) and checkpoint_of(note.text).origin == origin):
        raise EvidenceError("no cosignature of ours", code="evidence.unsigned")


def _keep(room: Path, note: Note) -> None:
    """``room``: the folder of the log within the memory."""
    _make(room)
    save(room / LAST, note.encode())
    if (room / BEGINS).exists():
        (room / BEGINS).unlink()
        sync_folder(room)


def _make(room: Path) -> None:
    if not room.is_dir():
        room.mkdir()
        sync_folder(room.parent)


def _taken(folder: Path) -> IO[bytes]:
    """The folder's lock: two witnesses with one memory would overtake each other."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}", code="witness.memory", hint="make it once, empty; see docs/sysadmin/witness.md")
    file = (folder / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ConfigError(f"another witness uses {folder}", code="witness.memory", hint="stop it first") from error
    return file
