"""The keys that sign: files that only the process that signs may read, and their history, which is in the log itself.

A record ``keys`` says which public keys sign from then on, as ``checkpoints`` (the log's own) or ``receipts`` (a door's). The log's
keys follow each other: a set is announced only when one of the set before is in it, and the announcement is signed by all of them, so that
nobody's new key passes for the log's. A key that was lost signs nothing any more: then the announcement names it (``lost``), and whoever
verifies must know the new key from elsewhere.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from bus.clock import Clock
from bus.disk import OWNER_ONLY, make_folder, save
from bus.errors import ConfigError, EvidenceError, StoreError
from bus.log.note import ED25519, Note, Signer, Verifier, parse, read_signer, verifier, verify
from bus.log.record import Record, record_of
from bus.message import new_id, parsed
from bus.store import Tx

Purpose = Literal["checkpoints", "receipts"]
SAYS_KEYS = b'"kind":"keys"'
"""Without this no record announces keys."""


def make(path: Path, name: str) -> Signer:
    """A new key in a file of its own, which only its owner can read; raises `ConfigError` when there is a file already."""
    made = Signer.new(name, ED25519)
    make_folder(path.parent)
    try:
        save(path, f"{made.secret()}\n".encode(), OWNER_ONLY, anew=True)
    except FileExistsError:
        raise ConfigError(f"there is a key in {path} already", code="config.key-file", hint="give the new one another name") from None
    return made


def at(path: Path, name: str, *, makes: bool) -> Signer:
    """The key in a file, ``name`` being who it signs for; where none is, a new one if ``makes``. Raises `ConfigError`."""
    if makes and not path.exists():
        with contextlib.suppress(ConfigError):  # another process was quicker
            make(path, name)
    if not path.exists():
        hint = "put it back from its backup; where it is lost: docs/sysadmin/witness.md, log.lost_keys"
        raise ConfigError(f"there is no key in {path}, and this log has been signed", code="config.log-key", hint=hint)
    found = read_signer(path)
    if found.verifier.name != name:
        raise ConfigError(
            f"the key in {path} signs for {found.verifier.name}, the log is {name}", code="config.key-file",
            hint="set log.origin, which never changes, or name another key",
        )  # fmt: skip
    return found


def history(tx: Tx, purpose: Purpose) -> list[Record]:
    """The records that say which keys sign, the newest last."""
    records = [record_of(bytes(row["content"])) for row in tx.all("records_of_keys")]
    return [record for record in records if record.data["purpose"] == purpose]


def announcement(purpose: Purpose, origin: str, signers: Sequence[Signer], clock: Clock, lost: Sequence[str] = ()) -> Record:
    """The record that says that these keys sign from now on, signed by them; ``lost``: public keys in the place of which they come."""
    keys = [str(signer.verifier) for signer in signers]
    text = _text(purpose, origin, keys, lost)
    signed = Note(text, tuple(signer.sign(text) for signer in signers))
    data = {"purpose": purpose, "origin": origin, "keys": keys, "signed": signed.encode().decode()}
    return Record(new_id(), "keys", clock.now(), data={**data, "lost": list(lost)} if lost else data)


class Announcement(NamedTuple):
    """What a record says of the log's own keys: the public keys that sign from then on, those that are lost, and in the place of which
    they come; ``text`` is what must be signed of it, ``signed`` the note that was.
    """

    origin: str
    keys: frozenset[Verifier]
    lost: frozenset[Verifier]
    text: str
    signed: bytes

    def vouched(self, known: Iterable[Verifier]) -> bool:
        """Whether it names only known keys, or one of these has signed it: anybody can write a record, not sign one.

        Nobody but a key can say that another is lost.
        """
        trusted = set(known)
        if not self.lost and self.keys <= trusted:
            return True
        try:
            signed = parse(self.signed)
            verify(signed, trusted)
        except EvidenceError:
            return False
        return signed.text == self.text


def announced(content: bytes) -> Announcement | None:
    """What a record announces; None of one that says nothing of the log's own keys. Raises `EvidenceError` for what cannot be read."""
    if SAYS_KEYS not in content:
        return None
    try:
        said = parsed(content)
        data = said["data"]
        if (said["kind"], data["purpose"]) != ("keys", "checkpoints"):
            return None
        named, lost = data["keys"], data.get("lost", ())
        text, signed = _text("checkpoints", data["origin"], named, lost), str(data.get("signed", "")).encode()
        return Announcement(str(data["origin"]), frozenset(map(verifier, named)), frozenset(map(verifier, lost)), text, signed)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EvidenceError("a record that announces keys of the log cannot be read", code="evidence.malformed") from error


def _of_log(contents: Iterable[bytes], origin: str) -> Iterator[Announcement]:
    """The announcements of a log that can be read: what is wrong with another one its hash tells."""
    for content in contents:
        with contextlib.suppress(EvidenceError):
            said = announced(content)
            if said is not None and said.origin == origin:
                yield said


def former(contents: Iterable[bytes], origin: str, known: Iterable[Verifier]) -> set[Verifier]:
    """Keys of this log that signed it before the ``known`` ones: these, or one of them, have signed an announcement that names both."""
    trusted, found = set(known), set[Verifier]()
    for said in reversed([*_of_log(contents, origin)]):
        if said.vouched(trusted | found):
            found |= said.keys | said.lost
    return found - trusted


def later(contents: Iterable[bytes], origin: str, known: Iterable[Verifier]) -> set[Verifier]:
    """The ``known`` keys of this log, and those that came after them: one of these has signed the announcement of each."""
    found, before = set(known), set[Verifier]()
    for said in _of_log(contents, origin):
        if said.vouched(found):
            found = (found | said.keys - before) - said.lost
        before |= said.keys
    return found


def refuse_strangers(contents: Iterable[bytes], known: set[Verifier]) -> None:
    """Raises `StoreError` for an announcement of keys of the log among these records that no key known before has signed.

    Whoever can write to the database could name a key of his own, and sign with it what comes after. ``known`` grows by those announced.
    """
    for content in contents:
        try:
            said = announced(content)
            good = said is None or (bool(said.keys) and said.vouched(known))
        except EvidenceError:
            said, good = None, False
        if not good:
            raise StoreError(
                "a record names keys of the log, and none of its keys has signed it", code="store.keys",
                hint="somebody wrote it to the database with other tools: a record of the kind `keys`; nothing is sealed meanwhile",
            )  # fmt: skip
        if said is not None:
            known |= said.keys
            known -= said.lost


def sealed(tx: Tx, last: int) -> set[Verifier]:
    """The keys of the log that records up to number ``last`` announced, and those with which it began; without those that are lost."""
    said = [(row["seq"], one) for row in tx.all("records_of_keys") if (one := announced(bytes(row["content"]))) is not None]
    heard = [one for at, (seq, one) in enumerate(said) if at == 0 or seq <= last]
    return {key for one in heard for key in one.keys} - {key for one in heard for key in one.lost}


def to_tell(history: Sequence[Record], signers: Sequence[Signer], lost: Iterable[str]) -> list[str]:
    """Which of the keys that the settings call lost once were this log's, sign no more, and are not yet told to be lost."""
    named, told = ({key for record in history for key in record.data.get(what, ())} for what in ("keys", "lost"))
    return [key for key in lost if key in named - told - {str(signer.verifier) for signer in signers}]


def _text(purpose: str, origin: str, keys: Sequence[str], lost: Sequence[str]) -> str:
    lines = ("snodo.keys/v1", f"purpose {purpose}", f"origin {origin}", *(f"key {key}" for key in keys), *(f"lost {key}" for key in lost))
    return "".join(f"{line}\n" for line in lines)


def follows(history: Sequence[Record], origin: str, signers: Sequence[Signer], lost: Collection[str]) -> bool:
    """Whether the log must be told of these keys: they are not the newest set.

    Raises `ConfigError` for keys that may not sign this log: none of the set before is among them, and not all of that set are ``lost``.
    """
    if not history:
        return True
    before, ours = history[-1].data, [str(signer.verifier) for signer in signers]
    if before["origin"] != origin:
        raise ConfigError(
            f"this log is {before['origin']}, not {origin}", code="config.log-key", hint=f"set log.origin to {before['origin']}"
        )
    if not set(ours) & set(before["keys"]) and not set(before["keys"]) <= set(lost):
        raise ConfigError(
            f"this log is signed by {', '.join(before['keys'])}, not by {', '.join(ours)}", code="config.log-key",
            hint="put the log's key back, or name it as log.previous_key beside the new one; if it is lost, see log.lost_keys",
        )  # fmt: skip
    return bool(before["keys"] != ours)


def begun_with(contents: Sequence[bytes]) -> set[Verifier]:
    """The keys that the log says it began with, in the first of these records; raises `EvidenceError`."""
    if not contents:
        raise EvidenceError("the log does not say its key", code="evidence.unsigned", hint="give it with --key")
    try:
        return set(map(verifier, parsed(contents[0])["data"]["keys"]))
    except (ValueError, KeyError, TypeError) as error:
        raise EvidenceError(
            "the record that says the log's key cannot be read", code="evidence.unsigned", hint="give it with --key"
        ) from error
