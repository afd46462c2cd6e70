"""What `bus validate` has found before, so that what is as it was is not checked again.

The findings of one thing that was checked are kept under the digest of all that they depend on: the files, what the adapters declare, the
code that checks, the libraries under it. Whatever changes, changes the digest: what is kept is right, or is not found. An outline is what
other rules need to know of a route without errors, so that it need not be read for their sake.

Only `bus validate` asks here. Whatever puts rules in force (`bus.activation`, the start of the bus, tests, plans) checks them anew.

The file is a cache in the user's own folder, a digest and JSON: one that is broken, of somebody else, or cannot be written is passed
over. Whoever writes it puts a whole new one in its place, so that two at once lose at most what one of them found out.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import astuple, fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bus.adapter import Operation, schema_of, told_by
from bus.disk import FOLDER_OWNER_ONLY, OWNER_ONLY, whole
from bus.message import JsonObject, canonical
from bus.rulefiles import Files
from bus.source import Finding, Place

KEPT = 4
"""How many entries are kept for each that is of use now: an edit that is taken back needs no second check."""


class Earlier:
    """Findings and outlines by key. ``path`` is their file (None: they live as long as this object); ``ground`` is part of every key."""

    def __init__(self, ground: str = "", path: Path | None = None) -> None:
        self._ground = ground.encode()
        self._path = path
        self._old = _read(path)
        self._new: dict[str, dict[str, Any]] = {"findings": {}, "outlines": {}}

    def stand_on(self, ground: str) -> None:
        """Another ground for the keys from now on."""
        self._ground = ground.encode()

    def key(self, *parts: bytes) -> str:
        """The key of what depends on these parts, and on the ground."""
        return _digest((self._ground, *parts))

    def findings(self, key: str) -> list[Finding] | None:
        """What was found; None when that is not known."""
        found = self._known("findings", key)
        return None if found is None else [Finding(*own, others=tuple(Place(*place) for place in others)) for *own, others in found]

    def outline(self, key: str) -> JsonObject | None:
        """What was kept of a route; None when that is not known."""
        found: JsonObject | None = self._known("outlines", key)
        return found

    def keep(self, key: str, findings: Iterable[Finding]) -> None:
        self._new["findings"][key] = [astuple(one) for one in findings]

    def keep_outline(self, key: str, outline: JsonObject) -> None:
        self._new["outlines"][key] = outline

    def save(self) -> None:
        """Write down what is new, if anything is and it can be written."""
        if self._path is None or all(new.keys() <= self._old[kind].keys() for kind, new in self._new.items()):
            return
        kept = {kind: _youngest(new, self._old[kind]) for kind, new in self._new.items()}
        with suppress(OSError):
            _write(self._path, json.dumps(kept).encode())

    def _known(self, kind: str, key: str) -> Any:
        """An entry; one that is used again counts as new, so that it stays."""
        found = self._new[kind].get(key)
        if found is None and (found := self._old[kind].get(key)) is not None:
            self._new[kind][key] = found
        return found


def of_folder(rules: Path, ground: str) -> Earlier:
    """What was found in the rules of a folder; kept in the user's folder of caches, when there is one."""
    with suppress(RuntimeError):
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return Earlier(ground, home / "snodo" / f"findings-{_digest([os.fsencode(rules.resolve())])[:16]}")
    return Earlier(ground)


def _youngest(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """New entries, and old ones up to a limit; those of the last time come first."""
    kept = dict.fromkeys((*new, *old))
    return {key: new.get(key, old.get(key)) for key in list(kept)[: KEPT * len(new) + KEPT]}


def _read(path: Path | None) -> dict[str, dict[str, Any]]:
    """What an earlier process wrote; nothing of a file that is not exactly that."""
    with suppress(OSError, ValueError):
        if path is not None and _ours(path.parent):
            said, _, text = path.read_bytes().partition(b"\n")
            if said == _digest([text]).encode():
                found: dict[str, dict[str, Any]] = json.loads(text)
                return found
    return {"findings": {}, "outlines": {}}


def _write(path: Path, text: bytes) -> None:
    path.parent.mkdir(FOLDER_OWNER_ONLY, parents=True, exist_ok=True)
    if not _ours(path.parent):
        return
    with whole(path, OWNER_ONLY) as file:
        file.write(_digest([text]).encode() + b"\n" + text)


def _ours(folder: Path) -> bool:
    """Whether only this user writes in a folder: findings that somebody else put there would be believed."""
    known = folder.stat()
    return known.st_uid == os.geteuid() and not known.st_mode & 0o022


# --- what findings depend on beside the rules ----------------------------------------------------------------------------


def written_ground(adapters: Iterable[str], settings: Mapping[str, str]) -> str:
    """As `ground_of`, where the code of the adapters (``module:Class``) alone says what they offer: none has to be imported."""
    return _ground(sorted(adapters), {name.partition(":")[0].partition(".")[0] for name in adapters}, settings)


def ground_of(operations: Mapping[str, Operation], settings: Mapping[str, str]) -> str:
    """The digest of what all findings depend on: operations, the code that declares and checks them, libraries, settings of adapters."""
    declared = [[name, _declared(one)] for name, one in sorted(operations.items())]
    models = [model for one in operations.values() for model in (one.request, one.answer)]
    return _ground(declared, {model.__module__.partition(".")[0] for model in models}, settings)


def _ground(declared: Any, packages: Set[str], settings: Mapping[str, str]) -> str:
    code = (part for package in sorted({"bus", *packages}) for part in _code_of(package))
    adapters = {name: said for name, said in settings.items() if name.startswith("adapters.")}
    return _digest([sys.version.encode(), canonical([declared, adapters, sorted(_distributions())]), *code])


def _declared(operation: Operation) -> JsonObject:
    """A declaration as JSON, its models as their schemas."""
    said: dict[str, Any] = {field.name: getattr(operation, field.name) for field in fields(operation)}
    plain = {"refusals": dict(operation.refusals), "expected": sorted(operation.expected), "echoes": sorted(operation.echoes)}
    return {**said, **plain, "request": schema_of(operation.request), "answer": told_by(operation.answer)}


@cache
def _code_of(package: str) -> tuple[bytes, ...]:
    """Names and contents of the files of a package, contracts that lie in it included; of a module its file."""
    found = None
    with suppress(ValueError):  # a name that no package can have
        found = find_spec(package)
    folders = found.submodule_search_locations if found else None
    files = [path for folder in folders or () for path in sorted(_files_in(folder))]
    own = [found.origin] if found and found.origin else []
    return tuple(part for path in files or own for part in (os.fsencode(path), Path(path).read_bytes()))


def _files_in(folder: str) -> Iterator[str]:
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (f"{here}/{name}" for name in names)


def _distributions() -> Iterator[str]:
    """The installed libraries with their versions."""
    for folder in sys.path:
        with suppress(OSError):
            yield from (one.name for one in Path(folder).iterdir() if one.suffix in {".dist-info", ".egg-info"})


def digest_of(files: Files) -> bytes:
    """The digest of files with their names."""
    return _digest([part for name, content in sorted(files.items()) for part in (os.fsencode(name), content)]).encode()


def _digest(parts: Iterable[bytes]) -> str:
    """SHA-256 over parts, each with its length before it."""
    found = hashlib.sha256()
    for part in parts:
        found.update(b"%d:" % len(part))
        found.update(part)
    return found.hexdigest()
