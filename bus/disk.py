"""What outlives a power cut."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bus.errors import StoreError

OWNER_ONLY = 0o600
"""The mode of a file that nobody else may read."""
FOLDER_OWNER_ONLY = 0o700
"""The mode of a folder that nobody else may enter."""
IN_MEMORY = {"tmpfs": "in memory", "ramfs": "in memory"}
"""File systems that keep nothing, each with where it is."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says where there is no more room."""
READ_ONLY = (
    "its disk is mounted read-only, as one that fails becomes: look at dmesg, mend it, mount it again, start again; "
    "or the systemd unit that starts us does not name the folder in ReadWritePaths"
)
"""What to do where the system says EROFS."""
MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\(\d{3})")
"""How it writes blanks and the like: by three octal digits."""


def sync_folder(folder: Path) -> None:
    """What was made, renamed or removed in a folder is there after a power cut only once the folder itself is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, mode: int = 0o755) -> None:
    """Make a folder where there is none, and those above it, into which nobody else may write whatever the umask is."""
    if not folder.parent.is_dir():
        make_folder(folder.parent)
    folder.mkdir(mode, exist_ok=True)


def filesystem(folder: Path) -> str:
    """The kind of file system that a folder is on, or will be, as Linux names it; empty where nobody says."""
    return _mounted(folder)[0]


def _mounted(folder: Path) -> tuple[str, list[str]]:
    """The kind of file system that a folder is on, or will be, and its options; empty where nobody says."""
    try:
        mounts = os.fsdecode(MOUNTS.read_bytes()).removesuffix("\n").split("\n")
    except OSError:
        return "", []
    above = {str(folder.resolve()), *map(str, folder.resolve().parents)}
    nearest, found = "", ""
    for mount in mounts:
        place, _, what = mount.partition(" - ")
        point = _ESCAPED.sub(lambda code: chr(int(code[1], 8)), place.split(" ")[4])  # names may hold any other white space
        if point in above and len(point) >= len(nearest):  # what is mounted later at the same place hides the other
            nearest, found = point, what
    kind, *rest = found.split() or [""]
    return kind, rest[-1].split(",") if rest else []


def standing(folder: Path) -> Path:
    """The folder, or where it is not there the nearest one above it that is."""
    return next((place for place in (folder, *folder.parents) if place.is_dir()), Path("/"))


def is_read_only(folder: Path) -> bool:
    """Whether the disk of a folder takes no writes, whoever asks: mounted so, or become so when it failed."""
    try:
        flags = os.statvfs(folder).f_flag
    except OSError:
        return False
    return bool(flags & os.ST_RDONLY) or "emergency_ro" in _mounted(folder)[1]  # an ext4 that failed, on a newer Linux


@contextmanager
def whole(path: Path, mode: int = 0o666, *, anew: bool = False) -> Iterator[IO[bytes]]:
    """A file that takes the place of ``path`` when the block ends well: whoever reads meanwhile sees all of the one or of the other.

    ``anew``: never over another file, which raises FileExistsError. Nothing is synced; see `save`.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            yield file
        if anew:
            os.link(draft, path)
        else:
            draft.replace(path)
    except OSError as error:
        if error.filename == str(draft) or (error.filename is None and error.errno in FULL):
            error.filename = str(path)  # the one that somebody asked for
        raise
    finally:
        draft.unlink(missing_ok=True)


def save(path: Path, content: bytes, mode: int = 0o666, *, anew: bool = False) -> None:
    """Write a file as `whole` does; it is on the disk when this returns."""
    with whole(path, mode, anew=anew) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


@contextmanager
def kept(sentence: str, *, code: str, hint: str) -> Iterator[None]:
    """A disk that fails is a store that fails: the same may do well later. Raises `StoreError` for what the system says of it."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{sentence}: {error.strerror}", code=code, hint=READ_ONLY if error.errno == errno.EROFS else hint) from error
