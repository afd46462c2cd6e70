"""Payloads: what records commit to, kept apart from them so that they can be protected and erased without touching the log.

The commitment is ``SHA-256(nonce ‖ content)``, hex. The nonce (32 random bytes) keeps a short text from being guessed
from its commitment. How content is protected at rest is decided here and nowhere else.
"""

from __future__ import annotations

import hashlib
import os
import threading
from typing import Any, NamedTuple

from bus.log.record import Commitment
from bus.message import canonical

JSON = "application/json"
NONCE = 32
"""Bytes of a nonce."""


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
        """In a forked process: its nonces are not its parent's."""
        self._lock = threading.Lock()
        self._block, self._at = b"", 0


_nonces = _Nonces()


class Sealed(NamedTuple):
    """A payload ready to be stored."""

    commitment: Commitment
    nonce: bytes
    content: bytes


def seal(role: str, content: bytes, media_type: str = JSON) -> Sealed:
    """Make a payload out of bytes."""
    nonce = _nonces.next()
    identity = hashlib.sha256(nonce + content).hexdigest()
    return Sealed(Commitment(role, identity, len(content), media_type), nonce, content)


def seal_json(role: str, value: Any) -> Sealed:
    """Make a payload out of a JSON value, in canonical form."""
    return seal(role, canonical(value))


def matches(identity: str, nonce: bytes, content: bytes) -> bool:
    """Whether content is what the commitment promised."""
    return hashlib.sha256(nonce + content).hexdigest() == identity
