"""What the tests of bundles share: what is found in one, and one whose manifest fits whatever was put in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from bus.bundle import verify


def verdict(raw: bytes, key: str = "") -> list[str]:
    return [word for word, _ in verify.Bundle(raw, [verify.Key(key)] if key else []).found]


def fitting(raw: bytes, files: Mapping[str, bytes]) -> bytes:
    """As an operator writes it who makes the manifest fit: the log does not know that one, and only that would be left to find."""
    kept = {**verify.unpacked(raw), **files}
    manifest = json.loads(kept["manifest.json"])
    manifest["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in kept.items() if name not in verify.APART}
    return verify.packed({**kept, "manifest.json": json.dumps(manifest).encode()})
