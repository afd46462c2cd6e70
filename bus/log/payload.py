"""Payloads: what records commit to, kept apart from them so that they can be protected and erased without touching the log.

::

    nonce    0x01 ‖ number of the key (8 bytes) ‖ 24 random bytes
    own key  HMAC-SHA256(key, "snodo.payload/1" ‖ nonce): opens this payload and no other
    content  AES-256-GCM(own key, text) ‖ SHA-256("snodo.text/1" ‖ own key ‖ text)
    id       number of the key (8 bytes) ‖ SHA-256(nonce ‖ content), hex: the commitment in the record

The last 32 bytes of the content commit to key and text: nobody can find another key, or another text, that fits the id. The number comes
first so that what is said about one message lies together in the database, and new ones at the end. Earlier ids have no number; a
payload from before this scheme has a nonce of 32 bytes and its text as content. How content is protected is decided here and nowhere else.
"""

from __future__ import annotations

import hashlib
import os
import threading
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from bus.errors import Damaged
from bus.log.record import Commitment
from bus.store import Key, Keys, Row

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

JSON = "application/json"
NONCE = 24
"""Random bytes of a nonce."""
SEALED_NONCE = 33
"""Bytes of the nonce of a payload that is sealed."""
OPEN_NONCE = 32
"""Bytes of the nonce of a payload from before there were keys."""
TAG = 16
"""Bytes by which AES-GCM tells a changed ciphertext."""
BINDING = 32
"""Bytes of the commitment to key and text, at the end of the content."""
_SEALED = b"\x01"
_NUMBER = slice(1, 9)
"""Where a nonce has the number of the key."""
_DIGEST = 64
"""Hex digits of SHA-256, at the end of an id."""


class _Nonces:
    """Random bytes of the system, fetched 128 nonces at a time: each system call lets another thread take the interpreter's lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._block, self._at = b"", 0
        os.register_at_fork(after_in_child=self.forget)

    def next(self) -> bytes:
        with self._lock:
            if self._at == len(self._block):
                self._block, self._at = os.urandom(128 * NONCE), 0
            start, self._at = self._at, self._at + NONCE
            return self._block[start : self._at]

    def forget(self) -> None:
        """Called in a forked process: it must not make the nonces that its parent makes."""
        self._lock = threading.Lock()
        self._block, self._at = b"", 0


_nonces = _Nonces()


class Text(NamedTuple):
    """What is to be sealed: its role in the record, its bytes, their media type."""

    role: str
    content: bytes
    media_type: str = JSON


class Sealed(NamedTuple):
    """A payload ready to be stored."""

    commitment: Commitment
    nonce: bytes
    content: bytes


def seal(text: Text, key: Key) -> Sealed:
    """Make a payload out of bytes."""
    nonce = new_nonce(key)
    content = sealed_again(nonce, text.content, key)
    identity = nonce[_NUMBER].hex() + hashlib.sha256(nonce + content).hexdigest()
    return Sealed(Commitment(text.role, identity, len(text.content), text.media_type), nonce, content)


def key_number(nonce: bytes) -> int | None:
    """Which key of the key store opens a payload; None for one that was stored before payloads were sealed."""
    return int.from_bytes(nonce[_NUMBER], "big") if len(nonce) == SEALED_NONCE else None


def beginning(number: int) -> str:
    """What the ids of payloads begin with that a key seals: they sort by its number."""
    return number.to_bytes(8, "big").hex()


def is_numbered(identity: str) -> bool:
    """Whether the id of a payload begins with the number of its key: earlier ones do not."""
    return len(identity) > _DIGEST


def number_in(identity: str) -> int:
    """The number of the key in the id of a payload that is sealed."""
    return int(identity[:-_DIGEST], 16)


def payload_key(key: Key, nonce: bytes) -> bytes:
    """The key of one payload: it opens this one and no other, so it may be given to whoever may read this one."""
    return key.mac.of(b"snodo.payload/1" + nonce)


def parts(row: Row) -> tuple[bytes, bytes]:
    """Nonce and content of a payload as it is stored. Raises `Damaged` where one is a text, which SQLite takes in a column of bytes too."""
    return _octets(row["nonce"]), _octets(row["content"])


def committed(identity: str, row: Row) -> tuple[bytes, bytes]:
    """What `parts` gives, if it is what the id commits to; else raises `Damaged`: another content in its place might open as well."""
    nonce, content = parts(row)
    if not matches(identity, nonce, content) or (is_numbered(identity) and len(nonce) != SEALED_NONCE):
        raise _swapped()
    return nonce, content


def nonce_of(row: Row) -> bytes:
    """The nonce of a payload whose row was read without its content; raises as `parts` does."""
    return _octets(row["nonce"])


def _octets(stored: bytes | str) -> bytes:
    if isinstance(stored, str):
        raise _swapped()
    return bytes(stored)


def opened(nonce: bytes, content: bytes, keys: Keys) -> bytes:
    """The text of a stored payload. Raises `Erased` when its key was destroyed, `Damaged` when it is not what was sealed."""
    number = key_number(nonce)
    if number is None:
        return content
    return opened_with(payload_key(keys.key(number), nonce), nonce, content)


def opened_with(own: bytes, nonce: bytes, content: bytes) -> bytes:
    """The text of a payload, as `opened` gives it, by the payload's own key."""
    from cryptography.exceptions import InvalidTag

    try:
        text = cipher(own).decrypt(nonce[-12:], content[:-BINDING], None)
    except InvalidTag:
        raise _swapped() from None
    if _binding(own, text) != content[-BINDING:]:
        raise _swapped()
    return text


def matches(identity: str, nonce: bytes, content: bytes) -> bool:
    """Whether what is stored has the bytes that the record committed to; needs no key. See `divided` too."""
    number, digest = identity[:-_DIGEST], identity[-_DIGEST:]
    return hashlib.sha256(nonce + content).hexdigest() == digest and number in ("", nonce[_NUMBER].hex())


def divided(size: int, nonce: bytes, content: bytes) -> bool:
    """Whether nonce and content are parted where they were: the commitment is over both, one behind the other.

    ``size`` is that of the text, as the record tells it. A nonce one byte shorter would pass for one from before payloads were sealed.
    """
    return (len(nonce), len(content)) in ((SEALED_NONCE, size + TAG + BINDING), (OPEN_NONCE, size))


def _binding(own: bytes, text: bytes) -> bytes:
    """The key commitment: SHA-256 over key and text. AES-GCM alone lets one ciphertext open to two texts under two keys."""
    return hashlib.sha256(b"snodo.text/1" + own + text).digest()


def sealed_again(nonce: bytes, text: bytes, key: Key) -> bytes:
    """What sealing gave for this nonce, byte for byte."""
    own = payload_key(key, nonce)
    return cipher(own).encrypt(nonce[-12:], text, None) + _binding(own, text)


def new_nonce(key: Key) -> bytes:
    """A nonce that no other payload has."""
    return _SEALED + key.id.to_bytes(8, "big") + _nonces.next()


def cipher(key: bytes) -> AESGCM:
    """AES-256-GCM under a key, such as a payload's own."""
    return _library()(key)


@cache
def _library() -> type[AESGCM]:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM


def _swapped() -> Damaged:
    return Damaged("a payload is not what was sealed", code="payload.swapped", hint="bus log verify says which; restore it from a backup")
