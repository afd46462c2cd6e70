"""What the key store remembers of the database's servers: the newest timeline of each that was ever seen (see `bus.store.hosts`).

It lies beside the keys because all machines have that folder and no server of the database does: where everything went down at once, the
old primary may be the first to come up again, and then nobody is left who knows of the other.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from bus.disk import OWNER_ONLY, save

FILE = "timelines.json"


def newest(folder: Path, system: str) -> int:
    """0 where none was seen, or the file cannot be read: whether the key store itself is there, is told by who needs its keys."""
    return _seen(folder).get(system, 0)


def saw(folder: Path, system: str, timeline: int) -> int:
    """Remember that this one was seen; returns the newest of before, 0 where there was none."""
    seen = _seen(folder)
    before = seen.get(system, 0)
    if timeline > before:
        with contextlib.suppress(OSError):
            save(folder / FILE, json.dumps({**seen, system: timeline}, indent=1).encode(), OWNER_ONLY)
    return before


def _seen(folder: Path) -> dict[str, int]:
    try:
        told = json.loads((folder / FILE).read_bytes())
        return {str(system): int(timeline) for system, timeline in told.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
