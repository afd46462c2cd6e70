"""Tamper at random, verify, and judge the verdict: everything found, the right leaf named, no false alarm."""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from unittest.mock import patch

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bus.errors import StoreError
from bus.log import verify as verifying
from bus.log.diagnosis import Broken, Fault
from bus.log.payload import BINDING, opened_with, payload_key
from bus.log.verify import verify
from bus.store import Key
from tests.keyrings import verify_opening
from tests.tamper.kinds import KINDS, Expected
from tests.tamper.logs import Small, copied, make, reader


def logs(folder: Path, count: int, seed: str) -> list[Small]:
    """Most are small; each tenth has more leaves than a tile."""
    rng = random.Random(seed)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else folder  # each commit is synced: no disk is needed
    with tempfile.TemporaryDirectory(dir=memory) as name:
        return [make(Path(name), rng, rng.randrange(258, 700) if n % 10 == 0 else rng.randrange(3, 90)) for n in range(count)]


def tampered(small: Small, kind: str, seed: str) -> str | None:
    """One tampering; what is wrong with the verdict, or None."""
    with copied(small) as raw:
        expected = KINDS[kind](raw, random.Random(seed), small)
        if expected.opens is not None:
            return opened_otherwise(raw, small, expected.opens)
        try:
            with patch.object(verifying, "SEALED_WITHIN", 0.0):
                verify(reader(raw), expected.trust or small.trust)
        except Broken as broken:
            return complaint(broken.fault, expected)
        except Exception as error:
            return f"broke with {error!r}"
    return "not found"


def opened_otherwise(raw: sqlite3.Connection, small: Small, key: Key) -> str | None:
    """The cipher opens the payload to another text; the commitment to key and text must give that away to the bus and to an auditor."""
    assert small.opening is not None
    nonce, content = raw.execute("SELECT nonce, content FROM payloads WHERE id = ?", (small.opening.payload,)).fetchone()
    own, right = payload_key(key, nonce), payload_key(small.opening.right, nonce)
    other = AESGCM(own).decrypt(nonce[-12:], content[:-BINDING], None)
    text = opened_with(right, nonce, content)
    shown = partial(verify_opening, small.opening.payload, nonce, content)
    if other == text or not shown(right, text):
        return "the right text is not the one that is committed to"
    if shown(own, other) or shown(own, text) or shown(right, other):
        return "an auditor takes the other text, or the other key, for the one that is committed to"
    try:
        opened_with(own, nonce, content)
    except StoreError as error:
        return None if error.code == "payload.swapped" else f"called {error.code}"
    return "not found"


def complaint(fault: Fault, expected: Expected) -> str | None:
    if fault.kind not in expected.kinds:
        return f"called {fault.kind}, expected {sorted(expected.kinds)}: {fault.sentence}"
    if expected.leaf is None:
        return None
    if expected.within is None:
        return None if fault.leaf == expected.leaf else f"names leaf {fault.leaf}, it was {expected.leaf}: {fault.sentence}"
    low, high = expected.within
    assert fault.leaf is not None and fault.until is not None
    if not fault.leaf <= expected.leaf <= fault.until:
        return f"names {fault.leaf} to {fault.until}, it was {expected.leaf}: {fault.sentence}"
    return None if low <= fault.leaf and fault.until <= high else f"names {fault.leaf} to {fault.until}, wider than {low} to {high}"


def clean(small: Small) -> str | None:
    """A log that nobody touched; what is wrong with the verdict, or None."""
    with copied(small) as raw:
        try:
            report = verify(reader(raw), small.trust._replace(held=small.checkpoints[-1:]))
        except Exception as error:
            return f"false alarm: {error!r}"
    return None if report.size == len(small.leaves) else f"{report.size} leaves of {len(small.leaves)}"


def storm(small: Sequence[Small], count: int, seed: str) -> tuple[Counter[str], list[str]]:
    """``count`` tamperings, all kinds equally often; how many of each, and the complaints."""
    rng, done, complaints = random.Random(seed), Counter[str](), []
    names = sorted(KINDS)
    for n in range(count):
        kind, at = names[n % len(names)], rng.randrange(len(small))
        done[kind] += 1
        if said := tampered(small[at], kind, f"{seed}-{n}"):
            complaints.append(f"{kind} (log {at}, seed {seed}-{n}): {said}")
    return done, complaints
