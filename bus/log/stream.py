"""Files sealed piece by piece: what does not fit in memory is sealed as a row of pieces that can neither be reordered nor cut short.

::

    head    "SNODO\x01" ‖ nonce of 33 bytes, as a payload has it
    pieces  AES-256-GCM(own key, up to 64 KiB); the 12-byte nonce of a piece is its number (11 bytes) ‖ 1 for the last one, else 0
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import IO, Any

from bus.errors import Erased, StoreError
from bus.log import payload
from bus.log.payload import TAG
from bus.store import Key, Keys

MAGIC = b"SNODO\x01"
PIECE = 1 << 16


class Writer:
    """Seals what is written to it into ``file``, which it does not close."""

    def __init__(self, file: IO[bytes], key: Key) -> None:
        nonce = payload.new_nonce(key)
        self._file, self._cipher = file, payload.cipher(payload.payload_key(key, nonce))
        self._kept, self._number = bytearray(), 0
        file.write(MAGIC + nonce)

    def write(self, content: bytes) -> None:
        self._kept += content
        while len(self._kept) > PIECE:
            self._put(bytes(self._kept[:PIECE]), last=False)
            del self._kept[:PIECE]

    def finish(self) -> None:
        """The last piece; what was kept goes out."""
        self._put(bytes(self._kept), last=True)
        self._kept.clear()

    def _put(self, piece: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last), piece, None))
        self._number += 1


def _head(file: IO[bytes]) -> tuple[bytes, int] | None:
    """The nonce of a sealed file, and the number of its key; None for one that is not sealed. Leaves the file at its first piece."""
    head = file.read(len(MAGIC) + payload.SEALED_NONCE)
    nonce = head[len(MAGIC) :]
    number = payload.key_number(nonce) if head.startswith(MAGIC) else None
    return None if number is None else (nonce, number)


def proven_key(file: IO[bytes], keys: Keys) -> int | None:
    """The number of the key of a sealed file, if its first piece opens with it or it was destroyed; None where the head was changed.

    The file may lack its end: the only piece that is there need not be the last one.
    """
    head = _head(file)
    if head is None:
        return None
    (nonce, number), first = head, file.read(PIECE + TAG)
    try:
        cipher = payload.cipher(payload.payload_key(keys.key(number), nonce))
    except Erased:
        return number
    except StoreError:
        return None
    return number if any(_opens(cipher, first, last) for last in (False, True)) else None


def _opens(cipher: Any, first: bytes, last: bool) -> bool:
    from cryptography.exceptions import InvalidTag

    try:
        cipher.decrypt(_nonce(0, last), first, None)
    except InvalidTag:
        return False
    return True


def opened(file: IO[bytes], keys: Keys) -> IO[bytes]:
    """What was sealed, as a stream; ``file`` is closed with it. Raises `Erased`; it and reading raise `StoreError` where it was changed."""
    head = _head(file)
    if head is None:
        raise _changed()
    nonce, number = head
    size = os.fstat(file.fileno()).st_size - file.tell()
    return io.BufferedReader(_Reader(file, payload.cipher(payload.payload_key(keys.key(number), nonce)), size), PIECE)


class _Reader(io.RawIOBase):
    """Opens piece by piece."""

    def __init__(self, file: IO[bytes], cipher: Any, size: int) -> None:
        self._file, self._pieces = file, _pieces(file, cipher, size)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = next(self._pieces, b"")
        taken = self._left[: len(buffer)]
        buffer[: len(taken)], self._left = taken, self._left[len(taken) :]
        return len(taken)

    def close(self) -> None:
        self._file.close()
        super().close()


def _pieces(file: IO[bytes], cipher: Any, size: int) -> Iterator[bytes]:
    from cryptography.exceptions import InvalidTag

    for number in range(max(1, -(-size // (PIECE + TAG)))):
        size -= PIECE + TAG
        try:
            piece: bytes = cipher.decrypt(_nonce(number, size <= 0), file.read(PIECE + TAG), None)
        except InvalidTag:
            raise _changed() from None
        if piece:
            yield piece


def _changed() -> StoreError:
    return StoreError("a file is not what was sealed", code="payload.swapped", hint="restore it from a backup")


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
