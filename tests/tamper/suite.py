"""Tamper at random, verify, and judge the verdict: everything found, the right leaf named, no false alarm."""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bus.log.diagnosis import Broken, Fault
from bus.log.verify import verify
from tests.tamper.kinds import KINDS, Expected
from tests.tamper.logs import Small, copied, make, reader


def logs(folder: Path, count: int, seed: str) -> list[Small]:
    """Most are small; each tenth has more leaves than a tile."""
    rng = random.Random(seed)
    folder = (
        Path(tempfile.mkdtemp(dir="/dev/shm")) if os.access("/dev/shm", os.W_OK) else folder
    )  # each commit is synced: no disk is needed
    return [make(folder, rng, rng.randrange(258, 700) if n % 10 == 0 else rng.randrange(3, 90)) for n in range(count)]


def tampered(small: Small, kind: str, seed: str) -> str | None:
    """One tampering; what is wrong with the verdict, or None."""
    with copied(small) as raw:
        expected = KINDS[kind](raw, random.Random(seed), small)
        try:
            verify(reader(raw), expected.trust or small.trust)
        except Broken as broken:
            return complaint(broken.fault, expected)
        except Exception as error:
            return f"broke with {error!r}"
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
