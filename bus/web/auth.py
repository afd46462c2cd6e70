"""Who calls: API keys by their SHA-256, and the role each one has. The bus never keeps a key, only its hash.

Looking a hash up in a table tells an attacker by its timing nothing but hashes that he cannot steer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bus.config import Key, Rights, Role
from bus.engine.accesses import Looker
from bus.errors import Forbidden, Unauthorized

ANYBODY: frozenset[Role] = frozenset()
"""The roles of an address that needs no key."""
EVERYBODY: frozenset[Role] = frozenset({"portal", "sysadmin", "auditor"})
SENDERS: frozenset[Role] = frozenset({"portal", "sysadmin"})
OPERATORS: frozenset[Role] = frozenset({"sysadmin"})
WATCHERS: frozenset[Role] = frozenset({"sysadmin", "monitor"})
READERS: frozenset[Role] = frozenset({"sysadmin", "auditor"})
MOST = 200
"""Characters of the longest key that is looked at."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller who was authenticated; ``name`` becomes the sender of messages and the actor of records."""

    name: str
    role: Role | None
    sees: frozenset[str] = frozenset()

    @property
    def sees_all(self) -> bool:
        """Portals see what is their own, the others everything."""
        return self.role in READERS

    def looks(self, purpose: str) -> Looker:
        """This caller, with what it says it looks for."""
        return Looker(self.name, self.sees, purpose)


NOBODY = Caller("", None)


class Keys:
    """The API keys of the settings."""

    def __init__(self, keys: Iterable[Key], rights: Rights) -> None:
        self._callers = {bytes.fromhex(key.sha256): Caller(key.name, key.role, rights.of(key)) for key in keys}

    def caller(self, headers: Mapping[bytes, bytes], roles: frozenset[Role]) -> Caller:
        """Who calls, if one of ``roles``; raises `Unauthorized` or `Forbidden`. Where anybody may, a valid key still says who."""
        key = _key(headers)
        caller = self._callers.get(hashlib.sha256(key).digest(), NOBODY) if key else NOBODY
        if not roles:
            return caller
        if caller.role is None:
            sentence = "this API key is not known here" if key else "there is no API key"
            raise Unauthorized(sentence, hint="send Authorization: Bearer with a key of this bus, or X-Api-Key")
        if caller.role not in roles:
            raise Forbidden(f"a key with role {caller.role} may not do this", hint=f"it takes a key with role {' or '.join(sorted(roles))}")
        return caller


def _key(headers: Mapping[bytes, bytes]) -> bytes:
    """The key that a caller sends. X-Api-Key, which a gateway on the way may add for itself, counts only where Authorization has none."""
    authorization = headers.get(b"authorization", b"")
    if authorization[:7].lower() == b"bearer ":
        found = authorization[7:].strip()
    else:
        found = headers.get(b"x-api-key", b"").strip()
    return found if len(found) <= MOST else b""
