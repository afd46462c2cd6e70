"""Attachments: files by content address (claim checks). Streamed to disk, sealed on the way; never in memory whole.

The folder is apart from the database. A file is durable before its record is written, so a record never points at nothing. Callers name
a file by its SHA-256; on the disk it is named by that address's token, so that nobody can ask the folder whether a known file is in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from bus.clock import Clock
from bus.disk import FOLDER_OWNER_ONLY, kept, make_folder, sync_folder
from bus.engine import accesses
from bus.engine.accesses import Looker
from bus.engine.erasure import keys_told
from bus.engine.projection import entry, write
from bus.errors import ConfigError, Erased, Invalid, NotFound, StoreError, TooLarge
from bus.log import log, stream
from bus.log.record import Record
from bus.message import Attachment, is_file_name, new_id
from bus.store import Key, Store, Tx, listed

NAME = ".snodo-folder"
"""The file that names the folder, so that processes on several machines can tell whether theirs is the same."""
COMING = ".coming-"
"""Begins the name of a file that has no place yet."""
LEFT = 3600.0
"""Seconds without another piece after which a file comes no more: whoever took it in has ended."""
CHUNK = 1 << 18
TOO_LARGE, SPLIT = "attachment.too-large", "split it, or ask the operator"
NAMED = 1000
"""Messages with a file that one record of a look at it names; a record has a bound (`bus.log.record.LONGEST`)."""

DROPPED = 50
"""Files removed in one transaction: meanwhile nobody else writes."""


class Attachments:
    """Files under ``folder``, at most ``limit`` bytes each. Thread-safe."""

    def __init__(self, folder: Path, store: Store, clock: Clock, limit: int = 200_000_000) -> None:
        self.folder, self._store, self._clock, self.limit = folder, store, clock, limit
        self._agreed: str | None = None
        make_folder(folder, FOLDER_OWNER_ONLY)

    def agree(self) -> None:
        """Make sure that this is the folder that all processes of the store use; raises `ConfigError` when it is another one."""
        name = _name_of(self.folder)

        def work(tx: Tx) -> str:
            tx.do("add_mark", name="attachments", value=name)
            row = tx.one("mark", name="attachments")
            return str(row["value"] if row else name)

        if self._store.write(work).result() != name:
            raise ConfigError(
                f"{self.folder} is not the folder in which the other processes keep attachments", code="config.attachments",
                hint=f"give all of them the same shared folder; after moving it, move its {NAME} too",
            )  # fmt: skip
        self._agreed = name

    def assure(self) -> None:
        """Raises `StoreError` where the folder is not the agreed one any more: a disk that is not mounted leaves an empty one behind."""
        with _disk("the folder of attachments cannot be read"):
            if self._agreed is not None and (self.folder / NAME).read_text("utf-8").strip() != self._agreed:
                raise StoreError(f"{self.folder} is not the folder that was agreed on", hint=f"is its disk mounted? put back its {NAME}")

    def clear(self) -> None:
        """Throw away, with their keys, files that were coming when a process was killed: no record names them, none erases them.

        The number in a damaged head may be that of another key: one by which nothing of the file opens stays.
        """
        coming = [*self.folder.glob(f"{COMING}*")]
        now = self._disk_now() if coming else 0.0
        for path in coming:
            gone = contextlib.suppress(FileNotFoundError)  # it has got its place, or another process clears too
            with _disk("what is left of a file that was coming cannot be thrown away"), gone:
                if now - path.stat().st_mtime < LEFT:
                    continue
                with path.open("rb") as file:
                    alone = os.fstat(file.fileno()).st_nlink == 1  # else it has its place, too
                    key = stream.proven_key(file, self._store.keys) if alone else None
                path.unlink()
                if key is not None:
                    self._store.keys.forget([key])

    def _disk_now(self) -> float:
        """The time as the disk has it, which the times of files are of: our clock may be hours ahead of a file server's."""
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                return os.fstat(file.fileno()).st_mtime
        except OSError:  # it is full: what is cleared makes room
            return time.time()

    def receive(self, name: str, media_type: str) -> Receiving:
        """Start taking a file in, piece by piece."""
        if not is_file_name(name):
            sentence = f"{name!r} is no name for a file" if name else "the file has no name"
            hint = "in Content-Disposition or ?name=: 1 to 255 printable characters, no slashes, not dots alone"
            raise Invalid(sentence, code="attachment.name", hint=hint)
        return Receiving(self, name, media_type, self._store.keys.fresh())

    def save(self, content: IO[bytes], media_type: str, name: str, sender: str = "bus", message: str | None = None) -> Attachment:
        """Keep a whole stream, ``message`` when another system gave it for one; blocks until durable."""
        with self.receive(name, media_type) as receiving:
            while piece := content.read(CHUNK):
                receiving.write(piece)
            return receiving.finish(sender, message)

    def open(self, sha256: str) -> IO[bytes]:
        """Read a file; raises `NotFound`, `Erased`, `StoreError` for one that is not what was sealed."""
        with _disk("the file cannot be read"):
            with contextlib.suppress(FileNotFoundError):
                return self._unsealed(self._path(sha256))
            with contextlib.suppress(FileNotFoundError):
                return (self.folder / sha256[:2] / sha256).open("rb")  # how older files were named, which were not sealed
        self.assure()
        raise NotFound("there is no such attachment", code="attachment.unknown", hint="send the file first: POST /attachments")

    def _unsealed(self, path: Path) -> IO[bytes]:
        file = path.open("rb")
        try:
            return stream.opened(file, self._store.keys)
        except BaseException:
            file.close()
            raise

    def describe(self, sha256: str, sender: str | None = None) -> Attachment:
        """What is known of a file, as ``sender`` sent it if one is named; raises `NotFound`."""
        with self._store.read() as tx:
            row = tx.one("attachment", file=tx.keys.token(sha256), sender=sender)
            if row is None:
                raise NotFound("there is no such attachment", code="attachment.unknown", hint="send it to POST /attachments first")
            return Attachment(**log.json_payload(tx, row["payload"]))

    def look(self, sha256: str, looker: Looker) -> Attachment:
        """`describe` for whoever did not send it: that somebody looks is a record. Raises `NotFound`, `Forbidden`, `Invalid`."""
        found = self.describe(sha256)
        accesses.needs_all(looker, "a file")

        def work(tx: Tx) -> None:
            token = tx.keys.token(sha256)
            with_it = [row["message"] for row in tx.all("enclosures_of_file", file=token)]
            for at in range(0, max(len(with_it), 1), NAMED):
                part = with_it[at : at + NAMED]
                data = {"file": token, **({"messages": part} if len(with_it) > 1 else {})}
                accesses.look(tx, looker, "file", self._clock, message=next(iter(part), None), data=data)

        self._store.write(work).result()
        return found

    def _path(self, sha256: str) -> Path:
        if len(sha256) != 64 or not all(c in "0123456789abcdef" for c in sha256):
            raise NotFound(
                "that is not the address of an attachment", code="attachment.unknown", hint="an address is 64 lowercase hex digits"
            )
        return self.place(self._store.keys.token(sha256))

    def place(self, token: str) -> Path:
        """Where the file with a token is."""
        return self.folder / token[:2] / token

    def key_of(self, token: str) -> int | None:
        """The number of the key that opens a file; None when there is no such file, it is not sealed, or it is damaged.

        The number in a damaged head may be that of another key, which is not to be destroyed.
        """
        try:
            with self.place(token).open("rb") as file:
                return stream.proven_key(file, self._store.keys)
        except FileNotFoundError:
            return None

    def keep(self, temporary: Path, own: Key, file: Attachment, sender: str, message: str | None) -> Attachment:
        """Give a received file, sealed under its ``own`` key, its place and its record; used by `Receiving`.

        What is told of it is sealed under a key of its own; sent again by the same sender, as before: the table points at one key only.
        Raises `Erased`, and keeps nothing, when its message was erased while the system took its time.
        """
        token = self._store.keys.token(file.sha256)
        self._place_first(temporary, self.place(token))
        replaced = set[int]()

        def work(tx: Tx) -> None:
            if message is not None and log.is_erased(tx, message):
                raise Erased("the message that the file was for was erased meanwhile")
            number = self._place(tx, temporary, own, token, replaced)
            data = {"file": token, "size": file.size, "key": number, **({"sender": sender} if message else {})}
            actor = "bus" if message else sender
            record = Record(new_id(), "attached", self._clock.now(), message=message, actor=actor, data=data)
            known = tx.one("attachment", file=token, sender=sender)
            about = tx.keys.fresh() if known is None else log.key_of_payload(tx, known["payload"])
            write(tx, entry(record, about, {"attachment": file._asdict()}))

        try:
            self._store.write(work).result()
        except Erased:
            self._store.keys.forget([own.id])
            self.drop([token], [own.id])
            raise
        finally:
            self._store.keys.forget(replaced)
        return file

    def _place_first(self, temporary: Path, target: Path) -> None:
        """Give a file its place, unless there is one already; no transaction waits for the disk then."""
        target.parent.mkdir(FOLDER_OWNER_ONLY, exist_ok=True)
        try:
            os.link(temporary, target)
        except OSError:  # there is one, or there are no links on this disk: it is decided in the transaction
            return
        sync_folder(target.parent)
        temporary.unlink()
        sync_folder(self.folder)

    def _place(self, tx: Tx, temporary: Path, own: Key, token: str, replaced: set[int]) -> int:
        """One file has one key: the one that is known and can be opened stays, and the key of one that is ``replaced`` is destroyed.
        Returns the number of the one that the file has now.

        Else copies of what was replaced (free blocks, backups of the folder) could be opened after everybody in it was erased. It is
        decided where the file becomes known, in one transaction: others send it too, at the same moment, or erase it.
        """
        known, target, there = bool(tx.all("attachments_of_file", file=token)), self.place(token), self.key_of(token)
        if known and there in (None, own.id):  # it was lost: a backup of the folder may have it under the key that it had
            replaced.update({*keys_told(tx, {token}).values()} - {own.id})
        if there is not None and (there == own.id or (known and self._opens(there))):
            return there
        if not temporary.exists():
            sentence, hint = "the file was sent by somebody else and erased, this very moment", "send it again"
            raise StoreError(sentence, code="store.failed", hint=hint)
        temporary.replace(target)
        for folder in (target.parent, self.folder):
            sync_folder(folder)
        if there is not None:
            replaced.add(there)
        return own.id

    def _opens(self, number: int) -> bool:
        with contextlib.suppress(Erased):
            return bool(self._store.keys.key(number))
        return False

    def drop(self, tokens: Sequence[str], keys: Collection[int]) -> None:
        """Remove files whose ``keys`` were destroyed; those that came again this very moment stay."""
        gone = {0, *keys}

        def work(tx: Tx, some: Sequence[str]) -> None:  # nobody else gives a file its place meanwhile, where there is one
            again = {row["file"] for row in tx.all("attachments_of_files", files=listed(some))}
            for token in some:
                place = self.place(token)
                if token not in again and place.exists() and (self.key_of(token) or 0) in gone:
                    place.unlink()

        with _disk("a file whose key is destroyed cannot be removed"):
            for at in range(0, len(tokens), DROPPED):
                self._store.write(partial(work, some=tokens[at : at + DROPPED])).result()

    def discard(self, temporary: Path, key: Key) -> None:
        """Throw away a file that got no place, with its key; what fails there is left to `clear`, and hides no other error."""
        with contextlib.suppress(StoreError, OSError):
            if temporary.exists():
                self._store.keys.forget([key.id])
                temporary.unlink()


class Receiving:
    """One file on its way in: `write` pieces, then `finish`, and `close` in any case (a ``with`` block does)."""

    def __init__(self, home: Attachments, name: str, media_type: str, key: Key) -> None:
        self._home, self._name, self._media_type, self._key = home, name, media_type, key
        home.assure()
        with _kept():
            descriptor, path = tempfile.mkstemp(prefix=COMING, dir=home.folder)
            self._file, self._path = os.fdopen(descriptor, "wb"), Path(path)
            self._sealed = stream.Writer(self._file, key)
        self._hash, self._size = hashlib.sha256(), 0

    def __enter__(self) -> Receiving:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Throw it away, if it was not finished."""
        with contextlib.suppress(OSError):  # what could not be written when it was asked for is not wanted any more
            self._file.close()
        self._home.discard(self._path, self._key)

    def write(self, piece: bytes) -> None:
        """Take a piece; raises `TooLarge` beyond the limit."""
        self._size += len(piece)
        if self._size > self._home.limit:
            raise TooLarge(f"the file is larger than {self._home.limit} bytes", code=TOO_LARGE, hint=SPLIT)
        self._hash.update(piece)
        with _kept():
            self._sealed.write(piece)

    def digest(self) -> str:
        """SHA-256 (hex) of what came so far."""
        return self._hash.hexdigest()

    def finish(self, sender: str, message: str | None = None) -> Attachment:
        """Make it durable and known, for a message that waits for it; blocks. Raises `StoreError` when the disk is full or broken."""
        file = Attachment(self._hash.hexdigest(), self._size, self._media_type, self._name)
        with _kept():
            self._sealed.finish()
            self._file.flush()
            os.fsync(self._file.fileno())
            return self._home.keep(self._path, self._key, file, sender, message)


def _kept() -> contextlib.AbstractContextManager[None]:
    return _disk("the file cannot be kept")


def _disk(sentence: str) -> contextlib.AbstractContextManager[None]:
    return kept(sentence, code="store.failed", hint="look at the folder of attachments: is its disk mounted? space, rights, errors")


def _name_of(folder: Path) -> str:
    """The name that is written in the folder; whoever asks first writes it, whole or not at all."""
    target = folder / NAME
    if not target.exists():
        with tempfile.NamedTemporaryFile("w", prefix=COMING, dir=folder, encoding="utf-8") as file:
            file.write(new_id())
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(file.name, target)
        sync_folder(folder)
    return target.read_text("utf-8").strip()
