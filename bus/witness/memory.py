"""What a witness remembers: of each log the last checkpoint that it cosigned, in a file of its own.

The file is replaced whole, and is on the disk before anybody hears of the cosignature: at no moment can a crash bring an older one back
that was not the last. It is also what ``GET /<hash>/checkpoint`` answers.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from bus.disk import sync_folder
from bus.errors import ConfigError, EvidenceError
from bus.log.checkpoint import Checkpoint, checkpoint_of, cosigned
from bus.log.note import Note, Verifier, parse


def place_of(origin: str) -> str:
    """The name of a log in addresses and folders: SHA-256 of its origin."""
    return hashlib.sha256(origin.encode()).hexdigest()


class Memory:
    """A folder, of one process. Raises `ConfigError` when it is not there, taken, or holds what our own keys did not sign."""

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
        """The last checkpoint of a log, with its signatures and ours; None when there never was one."""
        try:
            return parse(self._file(origin).read_bytes())
        except FileNotFoundError:
            return None

    def keep(self, origin: str, note: Note) -> None:
        """Put a checkpoint in the place of the last one; returns when a power cut could not take it back. Raises OSError."""
        final = self._file(origin)
        new = final.with_name("checkpoint.new")
        if not final.parent.is_dir():
            final.parent.mkdir()
            sync_folder(self._folder)
        with new.open("wb") as file:
            file.write(note.encode())
            file.flush()
            os.fsync(file.fileno())
        new.replace(final)
        sync_folder(final.parent)

    def close(self) -> None:
        self._lock.close()

    def _file(self, origin: str) -> Path:
        return self._folder / place_of(origin) / "checkpoint"

    def _check(self, origin: str, keys: list[Verifier]) -> None:
        try:
            note = self.last(origin)
            if note is not None and not (cosigned(note, keys) and head_of(note).origin == origin):
                raise EvidenceError("no cosignature of ours", code="evidence.unsigned")
        except EvidenceError as error:
            raise ConfigError(
                f"{self._file(origin)} is not a checkpoint that we cosigned: {error.sentence}", code="witness.memory",
                hint="put the newest checkpoint of this log that carries our cosignature in its place; never delete it",
            ) from error  # fmt: skip


def head_of(note: Note) -> Checkpoint:
    return checkpoint_of(note.text)


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
