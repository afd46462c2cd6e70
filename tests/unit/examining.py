"""What the doctor says of settings, by code."""

from __future__ import annotations

from pathlib import Path

from bus import doctor
from bus.doctor.verdict import Verdict


def examined(path: Path) -> dict[str, list[Verdict]]:
    found: dict[str, list[Verdict]] = {}
    for verdict in doctor.examine(path):
        found.setdefault(verdict.code, []).append(verdict)
    return found


def levels(found: dict[str, list[Verdict]], code: str) -> list[str]:
    return [verdict.level for verdict in found.get(code, [])]
