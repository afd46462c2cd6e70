"""The keys that sign: files that only the process that signs may read, and their history, which is in the log itself.

A record ``keys`` says which public keys sign from then on, as ``checkpoints`` (the log's own) or ``receipts`` (a door's). The log's
keys follow each other: a set is taken only when one of the set before is in it, so that nobody's new key passes for the log's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bus.clock import Clock
from bus.errors import ConfigError
from bus.log.note import ED25519, Signer, read_signer
from bus.log.record import Record, record_of
from bus.message import new_id, parsed
from bus.store import Tx

Purpose = Literal["checkpoints", "receipts"]


def make(path: Path, name: str) -> Signer:
    """A new key in a file of its own, which only its owner can read; raises `ConfigError` when there is a file already."""
    made = Signer.new(name, ED25519)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(made.secret() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # whole or not at all, and never over another one
    except FileExistsError:
        raise ConfigError(f"there is a key in {path} already", code="config.key-file", hint="give the new one another name") from None
    finally:
        draft.unlink()
    return made


def at(path: Path, name: str, *, makes: bool) -> Signer:
    """The key in a file, ``name`` being who it signs for; where none is, a new one if ``makes``. Raises `ConfigError`."""
    if makes and not path.exists():
        with contextlib.suppress(ConfigError):  # another process was quicker
            make(path, name)
    found = read_signer(path)
    if found.verifier.name != name:
        raise ConfigError(
            f"the key in {path} signs for {found.verifier.name}, the log is {name}", code="config.key-file",
            hint="set log.origin, which never changes, or name another key",
        )  # fmt: skip
    return found


def history(tx: Tx, purpose: Purpose) -> list[Record]:
    """The records that say which keys sign, the newest last."""
    records = [record_of(parsed(bytes(row["content"]))) for row in tx.all("records_of_keys")]
    return [record for record in records if record.data["purpose"] == purpose]


def announcement(purpose: Purpose, origin: str, signers: Sequence[Signer], clock: Clock) -> Record:
    """The record that says that these keys sign from now on."""
    data = {"purpose": purpose, "origin": origin, "keys": [str(signer.verifier) for signer in signers]}
    return Record(new_id(), "keys", clock.now(), data=data)


def follows(history: Sequence[Record], origin: str, signers: Sequence[Signer]) -> bool:
    """Whether the log must be told of these keys: they are not the newest set. Raises `ConfigError` for keys that may not sign this log."""
    if not history:
        return True
    before, ours = history[-1].data, [str(signer.verifier) for signer in signers]
    if before["origin"] != origin:
        raise ConfigError(
            f"this log is {before['origin']}, not {origin}", code="config.log-key", hint=f"set log.origin to {before['origin']}"
        )
    if not set(ours) & set(before["keys"]):
        raise ConfigError(
            f"this log is signed by {', '.join(before['keys'])}, not by {', '.join(ours)}", code="config.log-key",
            hint="put the log's key back, or name it as log.previous_key beside the new one",
        )  # fmt: skip
    return bool(before["keys"] != ours)
