"""Evidence out of a bundle (`bus log export`): a run exported from production is replayed offline, where there is no database.

Only what a recount needs is read: ``records.jsonl``, ``payloads.jsonl``, ``rules/route/`` and ``rules/text/``. Whether the bundle proves
itself is for its own ``verify.py`` to say; replay says whether what it holds was done as the rules say.
"""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bus.errors import Invalid
from bus.log.record import record_of
from bus.message import parsed
from bus.replay.evidence import Gathered
from bus.replay.places import Places

LIMIT = 2_000_000_000
"""Bytes that a file of a bundle may have when it is unpacked."""


class Bundle:
    """A bundle opened to be replayed. Raises `Invalid` for what is none."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
            payloads = {str(line["id"]): _content(line) for line in self._lines("payloads.jsonl")}
            records = [record_of(parsed(str(line["record"]).encode())) for line in self._lines("records.jsonl")]
            self.evidence = Gathered(records, payloads.get, lambda digest: self._json(f"rules/route/{digest}.json"))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            hint = "bus log export makes them; its own verify.py says what is wrong with one"
            raise Invalid(f"{path} is no bundle: {error!r}", code="replay.bundle", hint=hint) from error
        self.evidence.missing = "unavailable: absent"

    def places(self, digest: str) -> Places:
        """Where the steps of these rules are written; their files may not be in it."""
        return Places(self._json(f"rules/text/{digest}.json") or {})

    def _json(self, name: str) -> Any:
        return parsed(self._read(name)) if name in self._zip.namelist() else None

    def _lines(self, name: str) -> Iterator[Mapping[str, Any]]:
        return (parsed(line) for line in self._read(name).splitlines() if line)

    def _read(self, name: str) -> bytes:
        if self._zip.getinfo(name).file_size > LIMIT:
            raise ValueError(f"{name} has more than {LIMIT:,} bytes")
        return self._zip.read(name)


def _content(line: Mapping[str, Any]) -> bytes:
    return str(line["text"]).encode() if "text" in line else base64.b64decode(line["base64"])
