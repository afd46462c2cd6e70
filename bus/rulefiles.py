"""The files of rules in a folder, as bytes: routes, mappings, types, tables, services. Reading them asks for no rule to be understood."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from bus.errors import RulesError, visible
from bus.source import LIMIT, Finding, Source

Files: TypeAlias = Mapping[str, bytes]
"""Files of rules by their path in the folder, with ``/``."""
_Read = TypeVar("_Read", tuple[Source, dict[str, Any]], tuple[Source, dict[str, Any], Any])
CATALOGUE = "routes/servizi.yaml"
BESIDE = ".test.yaml"
"""How the file of tests beside a route ends."""
_PLACES = {
    "route": ("a route", "put the file into routes/"),
    "mapping": ("a mapping", "put the file into mappings/, but not into types/ or tables/"),
    "type": ("a message type", "put the file into mappings/types/"),
    "servizi": ("the list of services", f"call the file {CATALOGUE}"),
    "tests": ("a file of tests", f"call the file as that of its route, with {BESIDE} at its end"),
}
"""What a file is and where it belongs, by the field that tells what it holds."""
_LOOKS = (".yaml", ".yml", ".csv", ".yaml.txt", ".yml.txt", ".csv.txt", ".xls", ".xlsx", ".ods")
"""How files end that somebody may take for files of rules."""
ASIDE = ("._", ".#")
"""How files begin that a Mac, and Emacs, put beside those that somebody wrote."""
PATIENCE, PAUSE = 5.0, 0.1
"""Seconds in which a folder should come to rest, and between two looks at it."""
LEFT = 60.0
"""Seconds; git holds its lock for less while it writes the files of a branch."""


def files_of(folder: Path) -> dict[str, bytes]:
    """What a folder holds of rules, all of one moment: read again while somebody writes in it, as a change of branch does file by file.

    While git holds its lock it may be writing, or only waiting for the message of a commit: then files that are at rest are read in the
    end. Of a file that is too large only so much is read that it is seen to be. Raises `RulesError` where files go on changing.
    """
    end, lock = time.monotonic() + PATIENCE, _lock_of_git(folder)
    while True:
        late, before = time.monotonic() > end, stamps(folder)
        with suppress(FileNotFoundError):  # it went while we read
            found = {path: _content(folder / path) for path in before}
            at_rest = late or lock is None or not _is_held(lock)
            if stamps(folder) == before and at_rest:
                return found
        if late:
            hint = "wait until whoever writes there is done, and try again"
            raise RulesError(f"the files in {folder} change while they are read", code="rules.changing", hint=hint)
        time.sleep(PAUSE)


def _is_held(lock: Path) -> bool:
    """Whether git may be writing; False also where we may not look. A lock of `LEFT` waits for a message, or was left lying."""
    try:
        return time.time() - os.stat(lock).st_mtime < LEFT  # noqa: PTH116  as in `_told`
    except OSError:
        return False


def _lock_of_git(folder: Path) -> Path | None:
    """What is there as long as git writes the files of the working tree that a folder is in; None where it is in none."""
    for above in (folder.absolute(), *folder.absolute().parents):
        if (own := above / ".git").is_dir():
            return own / "index.lock"
        if own.is_file() and os.access(own, os.R_OK):  # one of several working trees
            told = own.read_text("utf-8", "replace").removeprefix("gitdir:").strip()
            return above / told / "index.lock"
    return None


def stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    """The files that are read as rules, in order, each with what tells that somebody wrote it."""
    named = (path for path in paths_in(folder) if (path.endswith(".yaml") or is_table(path)) and is_path(path))
    found: dict[str, tuple[int, int, int]] = {}
    for path in sorted(named, key=lambda path: path.split("/")):
        told = _told(f"{folder}/{path}")
        if told is not None and stat.S_ISREG(told.st_mode):
            found[path] = (told.st_ino, told.st_mtime_ns, told.st_size)
    return found


def _told(path: str) -> os.stat_result | None:
    """What the system tells of a file; None of a link that leads to nothing, and of what went while we looked."""
    try:
        return os.stat(path)  # noqa: PTH116  a third of what `Path.stat` takes, twice for each file
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return None


def is_path(path: str) -> bool:
    """Whether a file of rules may be called so: a path below `routes` or `mappings` that can be written down, whatever its letters."""
    first, *inner = path.split("/")
    below = first in ("routes", "mappings") and inner and not {"", ".", ".."}.intersection(inner)
    return bool(below) and path.endswith((".yaml", ".csv")) and path.isprintable()


def fingerprints(files: Files) -> dict[str, str]:
    """The SHA-256 of each file."""
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


def paths_in(folder: Path) -> Iterator[str]:
    """All files where rules may be, but those that are `ASIDE`. (`Path.glob` takes twice as long, each time that rules are checked.)"""
    start = len(str(folder / "routes")) - len("routes")  # of `.` nothing stands before it
    for part in ("routes", "mappings"):
        for here, _, names in os.walk(folder / part, onerror=closed):
            yield from (f"{here[start:]}/{name}" for name in names if not name.startswith(ASIDE))


def closed(error: OSError) -> None:
    """Raise what `os.walk` meets at a folder that we may not read: its rules would be passed over, or taken for deleted ones."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LIMIT + 1)


def is_route(path: str) -> bool:
    return path.startswith("routes/") and path.endswith(".yaml") and path != CATALOGUE and not path.endswith(BESIDE)


def is_beside(path: str) -> bool:
    return path.startswith("routes/") and path.endswith(BESIDE)


def is_type(path: str) -> bool:
    return path.startswith("mappings/types/") and path.endswith(".yaml") and path.count("/") == 2


def is_table(path: str) -> bool:
    return path.startswith("mappings/tables/") and path.endswith(".csv") and path.count("/") == 2


def is_mapping(path: str) -> bool:
    return path.startswith("mappings/") and path.endswith(".yaml") and not path.startswith(("mappings/types/", "mappings/tables/"))


def strays(folder: Path) -> list[Finding]:
    """A warning for each file that looks like rules and is not read as such, for its name or place, or as a link to nothing."""
    looks = [path for path in paths_in(folder) if path.lower().endswith(_LOOKS)]
    read = (is_route, is_beside, is_type, is_table, is_mapping)
    named = [path for path in looks if path != CATALOGUE and not any(is_one(path) for is_one in read)]
    hint = "routes, mappings and types end in .yaml, tables in .csv; below mappings/types/ and mappings/tables/ there are no folders"
    found = dict.fromkeys(named, ("this file is not read: nothing of it counts", hint))
    unseen = "its name has a sign that cannot be printed, or is not UTF-8: nothing of it counts"
    found |= {path: (unseen, "give the file another name") for path in looks if not path.isprintable()}
    lost = "this is no file, or a link to one that is not there: nothing of it counts"
    found |= {path: (lost, "put the file here, or delete it") for path in looks if not (folder / path).is_file()}
    linked = "this link leads to a folder, and such are not followed: nothing in it counts"
    found |= dict.fromkeys(_linked_folders(folder), (linked, "put the folder itself here, or link each of its files"))
    return [Finding(visible(path), 1, 1, "catalog.not-read", "warning", *found[path]) for path in sorted(found)]


def _linked_folders(folder: Path) -> Iterator[str]:
    for part in ("routes", "mappings"):
        for here, inner, _ in os.walk(folder / part):
            yield from (str(path.relative_to(folder)) for name in inner if (path := Path(here, name)).is_symlink())


def misplaced(path: str, document: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """What is wrong with a file that is something else than what is read at its place: (the field that says so, sentence, hint)."""
    own = "tests" if is_beside(path) else "type" if is_type(path) else "route" if is_route(path) else "mapping"
    found = [word for word in _PLACES if word in document]
    if path == CATALOGUE or own in found or not found or (found == ["tests"] and document.keys() & {"steps", "fields"}):
        return None
    return found[0], f"this is {_PLACES[found[0]][0]}, and {_PLACES[own][0]} is read here", _PLACES[found[0]][1]


def called(path: str, word: str) -> str:
    """What a file of a route, mapping or type is called by its own name."""
    pieces = path.removesuffix(".yaml").split("/")
    return pieces[-1] if word == "type" else ".".join(pieces[1:])


def names_of(source: Source, word: str) -> set[str]:
    """What a file that cannot be read may be called by those who speak of it: as it says itself, or as its own name says."""
    return {source.name(word), called(source.file, word)}


def well_named(found: Iterable[_Read], word: str) -> list[_Read]:
    """Documents with their sources, those first whose files are called as they are: of two with one name the other is the copy."""
    return sorted(found, key=lambda one: str(one[1].get(word)) != called(one[0].file, word))


def beside_of(route: str) -> str:
    """The file of tests beside a route's."""
    return route.removesuffix(".yaml") + BESIDE


def route_of(path: str) -> str:
    """The file of the route whose tests a file beside it holds; any other file itself."""
    return path.removesuffix(BESIDE) + ".yaml" if is_beside(path) else path


def weights_of(files: Files) -> dict[str, int]:
    """How many bytes there are to read of each file, of a route with its tests."""
    weights: dict[str, int] = {}
    for path, content in files.items():
        weights[route_of(path)] = weights.get(route_of(path), 0) + len(content)
    return weights
