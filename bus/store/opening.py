"""Which store a URL names."""

from __future__ import annotations

import os
from pathlib import Path

from bus.errors import ConfigError
from bus.store import Store

SCHEMES = ("sqlite:///", "postgresql://", "postgres://")


def open_store(url: str, *, exclusive: bool = False) -> Store:
    """``sqlite:///path`` or ``postgresql://user@host/database``; raises `ConfigError` or `StoreError`.

    ``exclusive``: refuse to share a file with another process. A server is there to be shared.
    """
    if url.startswith("sqlite:///"):
        from bus.store.sqlite import SqliteStore

        path = Path(url.removeprefix("sqlite:///"))
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            _sync(path.parent.parent)
        return SqliteStore(path, exclusive=exclusive)
    if url.startswith(SCHEMES):
        from bus.store.postgres import PostgresStore

        return PostgresStore(url)
    hint = "use sqlite:///path or postgresql://user@host/database"
    raise ConfigError(f"no store speaks {url.partition(':')[0]!r}", code="config.store", hint=hint)


def _sync(folder: Path) -> None:
    """A folder that was just made outlives a power cut only when the one that names it is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
