"""``Prefer`` (RFC 7240): of the preferences only ``wait`` means something here; the others are ignored, as the RFC wants."""

from __future__ import annotations

import re

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*(\d+)\s*(?=$|[,;])", re.IGNORECASE)


def wait_of(header: str | None, most: float) -> float:
    """How long the client is ready to wait, in seconds, at most ``most``; 0 when it is not."""
    found = _WAIT.search(_QUOTED.sub(_bare, header)) if header else None
    return min(float(found[1]), most) if found else 0.0


def _bare(quoted: re.Match[str]) -> str:
    """A number may be quoted; what else is quoted is no preference, whatever it says."""
    return quoted[0][1:-1] if quoted[0][1:-1].isdigit() else ""
