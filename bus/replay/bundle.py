"""Evidence out of a bundle (`bus log export`): a run exported from production is replayed offline, where there is no database.

Only what a recount needs is read: ``records.jsonl``, ``payloads.jsonl``, ``damaged.jsonl``, ``rules/route/`` and ``rules/text/``. Whether
the bundle proves itself must be known before (`bus.bundle.verify`): replay says whether what it holds was done as the rules say, as good
forgeries are.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from bus.errors import Damaged, Invalid
from bus.log.record import record_of
from bus.message import parsed
from bus.replay.evidence import Rulebook, gathered


class Bundle:
    """The files of a verified bundle, to be replayed. Raises `Invalid` for what is no bundle."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        try:
            payloads = {str(line["id"]): _content(line) for line in self._lines("payloads.jsonl")}
            records = [record_of(str(line["record"]).encode()) for line in self._lines("records.jsonl")]
            told = self._lines("damaged.jsonl") if "damaged.jsonl" in files else ()
            lost = {str(line["id"]): Damaged(str(line["why"]), code="payload.swapped") for line in told}
            self.evidence = gathered(records, payloads.get, Rulebook(self._rules), "unavailable: absent", lost)
        except (KeyError, ValueError) as error:
            raise Invalid(f"this is no bundle: {error!r}", code="replay.bundle", hint="bus log export makes them") from error

    @property
    def digest(self) -> str:
        """The SHA-256 of its manifest, which the record ``exported`` names."""
        return hashlib.sha256(self._files["manifest.json"]).hexdigest()

    def _rules(self, name: str) -> Any:
        kind, _, digest = name.rpartition(" ")
        content = self._files.get(f"rules/{kind or 'route'}/{digest}.json")
        return None if content is None else parsed(content)

    def _lines(self, name: str) -> Iterator[Mapping[str, Any]]:
        return (parsed(line) for line in self._files[name].split(b"\n") if line)


def _content(line: Mapping[str, Any]) -> bytes:
    return str(line["text"]).encode() if "text" in line else base64.b64decode(line["base64"])
