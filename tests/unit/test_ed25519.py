"""The Ed25519 of verify.py, which has no library: as in RFC 8032, and as the library has it."""

from __future__ import annotations

import random

import pytest

from bus.bundle import verify
from bus.log import note


@pytest.mark.parametrize(
    ("secret", "public", "message", "signature"),
    [
        ("", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
        ("", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
        ("", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
    ],
)  # fmt: skip
def test_the_verifiers_own_ed25519_agrees_with_rfc_8032(secret, public, message, signature):
    key, text, made = (bytes.fromhex(part) for part in (public, message, signature))
    assert verify.ed25519(key, text, made)
    order = verify.Q
    malleable = made[:32] + (int.from_bytes(made[32:], "little") + order).to_bytes(32, "little")
    for bad in (malleable, made[:-1], bytes([made[0] ^ 1]) + made[1:], made[:40] + bytes([made[40] ^ 4]) + made[41:]):
        assert not verify.ed25519(key, text, bad)
    assert not verify.ed25519(key, text + b"x", made)
    assert not verify.ed25519(b"\xff" * 32, text, made)


def test_the_verifiers_own_ed25519_agrees_with_the_library_on_random_keys():
    dice = random.Random(9)
    for _ in range(20):
        signer, text = note.Signer.new("prova", note.ED25519), dice.randbytes(dice.randrange(200)).hex() + "\n"
        signed = signer.sign(text)
        assert verify.ed25519(signer.verifier.key, text.encode(), signed.value)
        assert not verify.ed25519(note.Signer.new("prova", note.ED25519).verifier.key, text.encode(), signed.value)
