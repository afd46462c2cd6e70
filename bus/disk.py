"""What outlives a power cut."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bus.errors import StoreError


def sync_folder(folder: Path) -> None:
    """What was made, renamed or removed in a folder is there after a power cut only once the folder itself is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def kept(sentence: str, *, code: str, hint: str) -> Iterator[None]:
    """A disk that fails is a store that fails: the same may do well later. Raises `StoreError` for what the system says of it."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{sentence}: {error.strerror}", code=code, hint=hint) from error
