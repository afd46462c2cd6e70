"""Signed notes: a text with the signatures of one or more keys, as c2sp.org/signed-note has them.

Two kinds of signature are spoken: Ed25519 over the text (type 1), and the cosignature of a witness (type 4, c2sp.org/tlog-cosignature),
which is over the text and the second in which it was made. Signatures of other kinds, or of keys that nobody named, are kept and
prove nothing. A public key is one line, ``name+id+base64``; a private one is ``PRIVATE+KEY+name+id+base64``, as Go's tools write it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from bus.errors import ConfigError, EvidenceError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ED25519, COSIGNATURE = 1, 4
"""Types of signatures."""
MOST_BYTES, MOST_SIGNATURES = 1_000_000, 100
"""Limits of a note; the specification asks for 16 signatures at least."""
PRIVATE = "PRIVATE+KEY+"
_ID, _TIME, _SEED = 4, 8, 32
_MARK = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class Signature(NamedTuple):
    """One signature line. ``key_id`` is four bytes; ``value`` what the key made (for a cosignature its time comes first)."""

    name: str
    key_id: bytes
    value: bytes

    @property
    def time(self) -> int:
        """The second (POSIX) in which a cosignature was made."""
        return int.from_bytes(self.value[:_TIME])

    def line(self) -> str:
        return f"{_MARK}{self.name} {in_base64(self.key_id + self.value)}\n"


class Note(NamedTuple):
    """A text, with its last newline, and what stands below it."""

    text: str
    signatures: tuple[Signature, ...]

    def encode(self) -> bytes:
        return (self.text + "\n" + "".join(signature.line() for signature in self.signatures)).encode()

    def signed(self, *signatures: Signature) -> Note:
        """The same text with more signatures; those it has already are not said twice."""
        return Note(self.text, tuple(dict.fromkeys((*self.signatures, *signatures))))


class Verifier(NamedTuple):
    """A public key: its name, the type of its signatures, 32 bytes."""

    name: str
    type: int
    key: bytes

    @property
    def key_id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.key).digest()[:_ID]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{in_base64(bytes([self.type]) + self.key)}"

    def made(self, signature: Signature) -> bool:
        """Whether a signature claims to be of this key."""
        return signature.name == self.name and signature.key_id == self.key_id

    def verifies(self, text: str, signature: Signature) -> bool:
        """Whether this key really made it over that text."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        message, value = text.encode(), signature.value
        if self.type == COSIGNATURE:
            if len(value) < _TIME or signature.time >= 2**63:
                return False
            message, value = _timed(text, signature.time), value[_TIME:]
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(value, message)
        except (InvalidSignature, ValueError):
            return False
        return self.made(signature)


class Signer:
    """A private key. It never shows itself, except by `secret`."""

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, type: int, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = Verifier(name, type, private.public_key().public_bytes_raw())

    @classmethod
    def new(cls, name: str, type: int = ED25519) -> Signer:
        """A key of this very moment; raises `EvidenceError` for a name that cannot stand in a signature."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if not _is_name(name):
            raise _malformed(f"{name!r} cannot be the name of a key: no blanks, no +")
        return cls(name, type, Ed25519PrivateKey.generate())

    def sign(self, text: str, time: int = 0) -> Signature:
        """Over a text that ends in a newline; ``time`` (POSIX seconds) is part of a cosignature only."""
        name, type, _ = self.verifier
        if type == COSIGNATURE:
            return Signature(name, self.verifier.key_id, time.to_bytes(_TIME) + self._private.sign(_timed(text, time)))
        return Signature(name, self.verifier.key_id, self._private.sign(text.encode()))

    def secret(self) -> str:
        """The private key as one line; whoever has it signs as we do."""
        name, type, _ = self.verifier
        seed = self._private.private_bytes_raw()
        return f"{PRIVATE}{name}+{self.verifier.key_id.hex()}+{in_base64(bytes([type]) + seed)}"


def parse(raw: bytes) -> Note:
    """The parts of a note; nothing is verified yet. Raises `EvidenceError` for what is no note."""
    if len(raw) > MOST_BYTES:
        raise _malformed(f"a note of {len(raw):,} bytes; the limit is {MOST_BYTES:,}")
    try:
        said = raw.decode()
    except UnicodeDecodeError as error:
        raise _malformed("a note that is not UTF-8") from error
    if _CONTROL.search(said):
        raise _malformed("a note with control characters")
    text, empty_line, signatures = said.rpartition("\n\n")
    if not (empty_line and signatures.endswith("\n")):
        raise _malformed("a note ends in an empty line and lines of signatures")
    lines = signatures[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise _malformed(f"a note with {len(lines)} signatures; the limit is {MOST_SIGNATURES}")
    return Note(text + "\n", tuple(map(signature_of, lines)))


def signature_of(line: str) -> Signature:
    """A line of a signature, without its newline; raises `EvidenceError`."""
    name, blank, encoded = line.removeprefix(_MARK).partition(" ")
    value = unbase64(encoded)
    if not (line.startswith(_MARK) and blank and _is_name(name) and len(value) > _ID):
        raise _malformed(f"no line of a signature: {line[:100]!r}")
    return Signature(name, value[:_ID], value[_ID:])


def verify(note: Note, keys: Iterable[Verifier]) -> list[tuple[Verifier, Signature]]:
    """The signatures of these keys, all of them good, at least one; raises `EvidenceError` when there is none or one is false."""
    trusted = list(keys)
    claimed = [(key, signature) for signature in note.signatures for key in trusted if key.made(signature)]
    if not claimed:
        names = ", ".join(f"{signature.name} ({signature.key_id.hex()})" for signature in note.signatures)
        hint = f"signed by: {names}; if its owner has changed keys since, give the one that is published now too"
        raise EvidenceError("no key that is trusted has signed this", code="evidence.unsigned", hint=hint)
    for key, signature in claimed:
        if not key.verifies(note.text, signature):
            raise EvidenceError(f"a false signature in the name of {key.name} ({key.key_id.hex()})", code="evidence.signature")
    return claimed


def verifier(said: str) -> Verifier:
    """The public key of a line ``name+id+base64``; raises `EvidenceError`."""
    name, type, key = _key(said)
    found = Verifier(name, type, key)
    if said.strip() != str(found):
        raise _malformed(f"a public key whose parts do not fit together: {said[:200]!r}")
    return found


def signer(secret: str) -> Signer:
    """The inverse of `Signer.secret`; raises `EvidenceError` without saying the key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not secret.startswith(PRIVATE):
        raise _malformed("a private key begins with " + PRIVATE)
    try:
        name, type, seed = _key(secret.removeprefix(PRIVATE))
    except EvidenceError:
        raise _malformed("a private key in a form that we do not know") from None
    found = Signer(name, type, Ed25519PrivateKey.from_private_bytes(seed))
    if secret.strip() != found.secret():
        raise _malformed("a private key whose parts do not fit together")
    return found


def read_signer(path: Path) -> Signer:
    """A private key from its file, which nobody else may read; raises `ConfigError`."""
    if not path.is_file():
        raise ConfigError(f"there is no key in {path}", code="config.key-file", hint="make one: bus log key new, bus witness key")
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"others can read the key in {path}", code="config.key-file", hint=f"chmod 600 {quote(str(path))}")
    try:
        return signer(path.read_text("utf-8").strip())
    except (EvidenceError, UnicodeDecodeError) as error:
        raise ConfigError(f"no key in {path}: {error}", code="config.key-file") from None


def in_base64(value: bytes) -> str:
    """Standard base 64, in one line."""
    return binascii.b2a_base64(value, newline=False).decode()


def unbase64(text: str) -> bytes:
    """The inverse of `in_base64`, strictly: exactly one spelling of each value. Raises `EvidenceError`."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed(f"no base 64: {text[:100]!r}") from error
    if in_base64(value) != text:
        raise _malformed(f"base 64 with something left over: {text[:100]!r}")
    return value


def _key(said: str) -> tuple[str, int, bytes]:
    name, _, rest = said.strip().partition("+")
    try:
        material = unbase64(rest.partition("+")[2])
    except EvidenceError:
        material = b""
    if not (_is_name(name) and len(material) == 1 + _SEED and material[0] in (ED25519, COSIGNATURE)):
        raise _malformed(f"no key of a kind that we know: {said[:200]!r}; `bus log key show` prints them, each behind a word")
    return name, material[0], material[1:]


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def _timed(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _malformed(sentence: str) -> EvidenceError:
    return EvidenceError(sentence, code="evidence.malformed")
