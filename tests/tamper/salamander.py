"""One ciphertext of AES-GCM that opens to two texts under two keys, because GCM commits to no key.

The tag is linear in the blocks of the ciphertext, over GF(2^128), with powers of a number H that each key has. So one free block can be
chosen for which the tags under both keys are the same (Dodis, Grubbs, Ristenpart, Woodage, "Fast message franking", 2018).
"""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

BLOCK = 16
_POLYNOMIAL = 0xE1 << 120


def ciphertext(one: bytes, other: bytes, nonce: bytes, text: bytes) -> bytes:
    """Ciphertext and tag which both keys open; under ``one`` it begins with ``text``, of whole blocks. ``nonce``: 12 bytes."""
    blocks = [AESGCM(one).encrypt(nonce, text, None)[at : at + BLOCK] for at in range(0, len(text), BLOCK)]
    length = (8 * BLOCK * (len(blocks) + 1)).to_bytes(BLOCK, "big")
    sums = [_Key(key, nonce).tag([*blocks, bytes(BLOCK), length]) for key in (one, other)]
    first, second = (_Key(key, nonce).h for key in (one, other))
    free = _times(sums[0] ^ sums[1], _inverse(_times(first, first) ^ _times(second, second)))
    whole = [*blocks, free.to_bytes(BLOCK, "big")]
    return b"".join(whole) + _Key(one, nonce).tag([*whole, length]).to_bytes(BLOCK, "big")


class _Key:
    def __init__(self, key: bytes, nonce: bytes) -> None:
        block = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
        self.h = int.from_bytes(block(bytes(BLOCK)), "big")
        self._mask = int.from_bytes(block(nonce + b"\0\0\0\1"), "big")

    def tag(self, blocks: list[bytes]) -> int:
        found = 0
        for block in blocks:
            found = _times(found ^ int.from_bytes(block, "big"), self.h)
        return found ^ self._mask


def _times(a: int, b: int) -> int:
    """In the field of GCM (NIST SP 800-38D, 6.3): the first bit is the lowest power."""
    found = 0
    for bit in range(127, -1, -1):
        if a >> bit & 1:
            found ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return found


def _inverse(a: int) -> int:
    """The 2^128 - 2nd power."""
    found, square = 1 << 127, a
    for _ in range(127):
        square = _times(square, square)
        found = _times(found, square)
    return found
