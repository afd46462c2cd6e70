"""Digests that a sender says of what it sends: `Content-Digest` and `Repr-Digest` (RFC 9530), and `Digest` as ModI's INTEGRITY_REST_01 has
it (RFC 3230). Without content coding all three are of the body. Only SHA-256 is looked at.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

from bus.errors import Invalid

_FIELDS = re.compile(r"sha-256=:([A-Za-z0-9+/=]+):", re.IGNORECASE)
_OLD = re.compile(r"(?<![^,\s])sha-256=([A-Za-z0-9+/=]+)(?![^,\s])", re.IGNORECASE)
_SAID = re.compile(r"(?:^|[,\s])sha-256\s*=", re.IGNORECASE)


def announced(headers: Mapping[bytes, bytes], code: str) -> set[str]:
    """The SHA-256 (hex) that headers announce: none, one, or some that differ. Raises `Invalid` with ``code`` for what is none."""
    new, repeated, old = headers.get(b"content-digest"), headers.get(b"repr-digest"), headers.get(b"digest")
    if new is None and repeated is None and old is None:
        return set()
    found = [*_read(b", ".join(filter(None, (new, repeated))), _FIELDS, code), *_read(old or b"", _OLD, code)]
    return set(found)


def _read(said: bytes, form: re.Pattern[str], code: str) -> list[str]:
    text = said.decode("latin-1")
    found = form.findall(text)
    try:
        if len(found) != len(_SAID.findall(text)):
            raise ValueError("another form")
        return [base64.b64decode(one, validate=True).hex() for one in found]
    except ValueError:
        hint = "Content-Digest: sha-256=:base64: (RFC 9530), or Digest: SHA-256=base64"
        raise Invalid("the digest is not base64", code=code, hint=hint) from None


def compare(headers: Mapping[bytes, bytes], content: bytes) -> None:
    """Raises `Invalid` where a message is not the one that its digest names: something on the way changed it, or cut it."""
    said = announced(headers, "input.digest")
    if said and said != {hashlib.sha256(content).hexdigest()}:
        raise Invalid("the body is not the one that its digest names", code="input.digest", hint="send it again, under the same key")
