"""The log as a folder of files that others can check: checkpoint, tiles and entry bundles, as c2sp.org/tlog-tiles has them.

The checkpoint is written last, so that whatever it promises is there. Full tiles never change; partial ones have their width in
their name. Entries are the records' exact bytes, each behind its length.
"""

from __future__ import annotations

import os
from pathlib import Path

from bus.errors import StoreError
from bus.log.stored import StoredTree
from bus.log.tiles import WIDTH, path, tiles_of
from bus.log.tree import HASH
from bus.store.opening import Reader

LONGEST = 65_535
"""Bytes of an entry: its length has two bytes."""


def publish(reader: Reader, folder: Path) -> tuple[int, int]:
    """Bring the folder up to the newest checkpoint; the size of the tree, and how many files were written. Raises `StoreError`."""
    written = 0
    with reader.read() as tx:
        stored = StoredTree(tx)
        newest = stored.checkpoint()
        if newest is None:
            raise StoreError("the log has no checkpoint yet", code="store.tree", hint="it has one a second after its first record")
        for level, number, width in tiles_of(newest.size):
            file = folder / path(level, number, width)
            if not file.exists():
                written += _put(file, stored.tile(level, number).hashes[: width * HASH])
            entries = folder / path("entries", number, width)
            if level == 0 and not entries.exists():
                written += _put(entries, _entries(stored, number * WIDTH, width))
    return newest.size, written + _put(folder / "checkpoint", newest.note)


def _entries(stored: StoredTree, start: int, width: int) -> bytes:
    contents = [leaf.content for leaf in stored.records(start, start + width)]
    if len(contents) < width or max(map(len, contents)) > LONGEST:
        raise StoreError("records are missing, or longer than an entry may be", code="store.tree", hint="bus log verify says which")
    return b"".join(len(content).to_bytes(2, "big") + content for content in contents)


def _put(file: Path, content: bytes) -> int:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.tmp")
    draft.write_bytes(content)
    os.replace(draft, file)  # noqa: PTH105 - Path.replace says the same, this says that it is atomic
    return 1
