"""Payloads: what records commit to, kept apart from them so that they can be protected and erased without touching the log.

The commitment is ``SHA-256(nonce ‖ content)``, hex. The nonce (32 random bytes) keeps a short text from being guessed
from its commitment. How content is protected at rest is decided here and nowhere else.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any

from bus.log.record import Commitment
from bus.message import canonical

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A payload ready to be stored."""

    commitment: Commitment
    nonce: bytes
    content: bytes


def seal(role: str, content: bytes, media_type: str = JSON) -> Sealed:
    """Make a payload out of bytes."""
    nonce = os.urandom(32)
    identity = hashlib.sha256(nonce + content).hexdigest()
    return Sealed(Commitment(role, identity, len(content), media_type), nonce, content)


def seal_json(role: str, value: Any) -> Sealed:
    """Make a payload out of a JSON value, in canonical form."""
    return seal(role, canonical(value))


def matches(identity: str, nonce: bytes, content: bytes) -> bool:
    """Whether content is what the commitment promised."""
    return hashlib.sha256(nonce + content).hexdigest() == identity
