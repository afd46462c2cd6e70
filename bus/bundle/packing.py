"""Packing: the very bytes that `verify.packed` would make, piece by piece: what is long is read anew as it is packed, and never kept."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, NamedTuple, TypeAlias, cast

from bus.bundle import verify
from bus.errors import StoreError


class Long(NamedTuple):
    """A file that is not kept: ``pieces`` reads it, and what it was when it was measured."""

    pieces: Callable[[], Iterable[bytes]]
    size: int
    checksum: int
    digest: str


File: TypeAlias = "bytes | Long"


class Packed(NamedTuple):
    """A bundle of ``size`` bytes, to be read once."""

    size: int
    pieces: Iterator[bytes]


def measured(pieces: Callable[[], Iterable[bytes]]) -> Long:
    """Read a file through."""
    size, checksum, digest = 0, 0, hashlib.sha256()
    for piece in pieces():
        size, checksum = size + len(piece), zlib.crc32(piece, checksum)
        digest.update(piece)
    return Long(pieces, size, checksum, digest.hexdigest())


def digest_of(file: File) -> str:
    return file.digest if isinstance(file, Long) else verify.digest_of(file)


def packed(files: Mapping[str, File]) -> Packed:
    """The ZIP of these files. Its pieces raise `StoreError` (``export.erased``) where a long one is not what it was any more."""
    frame, parts = _Frame(), list[tuple[bytes, File]]()
    with zipfile.ZipFile(cast("IO[bytes]", frame), "w") as archive:
        for name in sorted(files):
            entry = _entry(name, files[name])
            entry.header_offset = frame.tell()
            frame.write(entry.FileHeader(zip64=entry.file_size * 1.05 > zipfile.ZIP64_LIMIT))
            parts.append((frame.taken(), files[name]))
            frame.at += entry.file_size
            archive.filelist.append(entry)
            archive.start_dir = frame.tell()
    return Packed(frame.tell(), _pieces(parts, frame.taken()))


def _entry(name: str, file: File) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.create_system, entry.external_attr = 3, 0o100644 << 16
    entry.file_size = entry.compress_size = file.size if isinstance(file, Long) else len(file)
    entry.CRC = file.checksum if isinstance(file, Long) else zlib.crc32(file)
    return entry


def _pieces(parts: Iterable[tuple[bytes, File]], end: bytes) -> Iterator[bytes]:
    for head, file in parts:
        yield head
        if isinstance(file, Long):
            yield from _again(file)
        else:
            yield file
    yield end


def _again(file: Long) -> Iterator[bytes]:
    """A long file once more; what differs from what was measured ends the bundle before it is whole."""
    digest = hashlib.sha256()
    for piece in file.pieces():
        digest.update(piece)
        yield piece
    if digest.hexdigest() != file.digest:
        sentence = "while the bundle was sent, some of what is in it was erased, or destroyed for its age"
        raise StoreError(sentence, code="export.erased", hint="ask for it again: what is gone is left out then")


class _Frame:
    """What `zipfile` writes to: it is given all but the content of the files, of which it counts the bytes (``at``)."""

    def __init__(self) -> None:
        self.at, self._kept = 0, bytearray()

    def write(self, data: bytes) -> int:
        self._kept += data
        self.at += len(data)
        return len(data)

    def tell(self) -> int:
        return self.at

    def flush(self) -> None:
        """Nothing is kept back."""

    def taken(self) -> bytes:
        kept, self._kept = bytes(self._kept), bytearray()
        return kept
