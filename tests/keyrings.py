"""Key stores that are gone with their process; and how an auditor who has a payload's own key looks at what was opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from bus.log.keyring import BLOCK, GONE, SLOT, Folder, Keyring
from bus.log.payload import divided, matches
from bus.message import new_id


def verify_opening(identity: str, nonce: bytes, content: bytes, own: bytes, text: bytes) -> bool:
    """Whether ``text`` is what the record committed to, shown by the payload's own key, by SHA-256 alone: what the format promises."""
    bound = content[-32:] == hashlib.sha256(b"snodo.text/1" + own + text).digest()
    return bound and divided(len(text), nonce, content) and matches(identity, nonce, content)


def in_memory(index: bytes = b"", kind: type[Keyring] = Keyring) -> Keyring:
    """A key store without a folder. The same ``index`` makes the same tokens."""
    return kind(new_id(), os.urandom(32), index or os.urandom(32), _Memory())


class _Memory(Folder):
    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))
        self._blocks: dict[int, bytearray] = {}

    def _add(self, content: Callable[[int], bytes]) -> int:
        number = len(self._blocks) + 1
        self._blocks[number] = bytearray(content(number))
        return number

    def read(self, key: int) -> bytes:
        return self.whole(key // BLOCK)[key % BLOCK * SLOT :][:SLOT]

    def whole(self, block: int) -> bytes:
        return bytes(self._blocks.get(block, b""))

    def destroy(self, keys: Iterable[int]) -> None:
        for key in keys:
            if key // BLOCK in self._blocks:
                self._blocks[key // BLOCK][key % BLOCK * SLOT : (key % BLOCK + 1) * SLOT] = GONE

    def generation(self) -> object:
        return 0
