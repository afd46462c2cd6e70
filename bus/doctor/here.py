"""This machine and what lies on it: Python, limits, settings, secrets, rules, the folder of attachments."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

from bus import config as settings_file
from bus.config import file_of
from bus.disk import IN_MEMORY, READ_ONLY, filesystem, is_read_only, standing
from bus.doctor.verdict import Surroundings, Verdict, megabytes, ok, warning, wrong
from bus.errors import ConfigError, counted
from bus.examine import examine
from bus.message import texts_in
from bus.secrets import secrets_in
from bus.systems import class_of, operations_of

FEWEST_FILES = 4096
FLEETING = {**IN_MEMORY, "overlay": "in the layer of this container alone"}
WITHOUT = {
    "keys": "no payload can be opened without it",
    "the master key": "no payload can be opened without it",
    "the log's key": "nothing more is sealed without it",
    "attachments": "messages name its files",
}
LITTLE, TOO_LITTLE = 1e9, 1e8
"""Bytes of free space below which it is a warning, and wrong."""


def python(at: Surroundings) -> Iterator[Verdict]:
    try:
        os.getrandom(32, os.GRND_NONBLOCK)
    except BlockingIOError:
        yield warning("doctor.python", "this machine has no random numbers yet")
    else:
        yield ok("doctor.python", f"Python {'.'.join(map(str, sys.version_info[:3]))}")


def limits(at: Surroundings) -> Iterator[Verdict]:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if 0 <= files < FEWEST_FILES:
        yield warning("doctor.limits", f"{files:,} files may be open at once")
    else:
        yield ok("doctor.limits", f"{files:,} files may be open at once" if files >= 0 else "any number of files may be open")


def settings(at: Surroundings) -> Iterator[Verdict]:
    """Whether the settings can be used; where only a secret is missing, the rest of them is looked at all the same."""
    try:
        at.config = settings_file.load(at.path)
    except ConfigError as error:
        if error.code != "config.secret-missing":
            yield wrong("doctor.settings", error.sentence, why=error.code, next=error.hint)
            return
        try:
            at.config = settings_file.load(at.path, secrets=None)
        except ConfigError:  # of one secret and not of those that lack: without all of them the rest can be looked at
            at.config = settings_file.load(at.path, secrets=False)
    yield ok("doctor.settings", f"{counted(len(at.config.adapters), 'adapter')}, {counted(len(at.config.keys), 'API key')}", str(at.path))


def secrets(at: Surroundings) -> Iterator[Verdict]:
    named = list(dict.fromkeys(secrets_in(at.settings.written)))
    lacking: dict[str, str] = {}
    for line, column, sentence in at.settings.lacking():
        lacking.setdefault(sentence, f"{at.path}:{line}:{column}")
    at.lacking = bool(lacking)
    for sentence, place in lacking.items():
        yield wrong("doctor.secrets", sentence, place, why="the bus does not start without it", next="set it before starting")
    files = [at.path.parent / name for kind, name in named if kind == "file"]
    files += [at.path] if any(_has_password(text) for text in texts_in(dict(at.settings.written))) else []
    open_to_all = [file for file in files if file.is_file() and stat.S_IMODE(file.stat().st_mode) & stat.S_IROTH]
    for file in open_to_all:
        yield wrong("doctor.secrets", "every user of this machine can read it", str(file))
    if named and not at.lacking and not open_to_all:
        yield ok("doctor.secrets", f"{counted(len(named), 'secret')} at hand, in no file that is open to others")


def files(at: Surroundings) -> Iterator[Verdict]:
    """What every user of this machine may write: whoever does has keys, rules and a database of his own making."""
    rules, database = at.settings.rules, file_of(at.settings.store.url)
    ours = [at.path, at.settings.attachments.folder, *(part for name in ("routes", "mappings") for part in _all_of(rules / name))]
    ours += [database, Path(f"{database}-wal"), database.parent] if database else []
    found = [place for place in ours if _may_all_write(place)]
    for place in found:
        yield wrong("doctor.files", "every user of this machine can write it", str(place), next=f"chmod o-w {quote(str(place))}")
    if not found:
        yield ok("doctor.files", "settings, rules, database and files are not for everybody to write")


def _all_of(folder: Path) -> Iterator[Path]:
    yield folder
    yield from folder.rglob("*")


def _may_all_write(place: Path) -> bool:
    """False for what is not there, and for a folder such as /tmp, in which each may take away only his own."""
    try:
        mode = place.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def places(at: Surroundings) -> Iterator[Verdict]:
    """Folders that must outlive this boot and this container; that of the database is looked at for itself."""
    config = at.settings
    folders = {config.keystore.folder: "keys", config.keystore.master.parent: "the master key", config.log.key.parent: "the log's key"}
    folders |= {config.attachments.folder: "attachments"}
    found = [(what, folder, kind) for folder, what in folders.items() if (kind := filesystem(folder)) in FLEETING]
    for what, folder, kind in found:
        why = f"what is in it goes with {'this container' if kind == 'overlay' else 'this boot of the machine'}, and {WITHOUT[what]}"
        yield warning("doctor.places", f"the folder of {what} is {FLEETING[kind]}", str(folder), why=why)
    if not found:
        yield ok("doctor.places", "keys and attachments outlive a restart")


def _has_password(text: str) -> bool:
    try:
        return bool(urlsplit(text).password)
    except ValueError:
        return False


def shape(at: Surroundings) -> Iterator[Verdict]:
    store, channel = at.settings.store, at.settings.channel
    if store.shared == channel.shared:
        yield ok(
            "doctor.shape", "any number of processes on any number of machines" if store.shared else "everything in one process: bus serve"
        )
    else:
        several, one = ("store.url", "channel.url") if store.shared else ("channel.url", "store.url")
        yield warning("doctor.shape", f"{several} is for several processes, {one} is for one")


def keys(at: Surroundings) -> Iterator[Verdict]:
    roles = sorted({key.role for key in at.settings.keys})
    if not roles:
        yield warning("doctor.keys", "there is no API key")
    elif "sysadmin" not in roles:
        what, next = f"there is no key for a sysadmin, only for: {', '.join(roles)}", "bus keys new NAME --role sysadmin"
        yield warning("doctor.keys", what, why="nobody could look at dead letters", next=next)
    else:
        yield ok("doctor.keys", f"{counted(len(at.settings.keys), 'API key')}, for: {', '.join(roles)}")


def rules(at: Surroundings) -> Iterator[Verdict]:
    # of an adapter whose settings are wrong there is only the class
    offering = {name: at.adapters.get(name) or class_of(at.settings, name) for name in at.settings.adapters}
    where = str(at.settings.rules)
    try:
        catalog, findings = examine(at.settings.rules, operations_of(offering))
    except OSError as error:
        next = "let the user of the bus read all files of rules, and enter their folders"
        yield wrong("doctor.rules", f"cannot be read: {error.strerror}", error.filename or where, next=next)
        return
    errors = sum(finding.severity == "error" for finding in findings)
    if errors or catalog is None:
        yield wrong("doctor.rules", counted(errors, "error"), where)
        return
    what = f"{counted(len(catalog.routes), 'route')}, fingerprint {catalog.digest[:12]}"
    if findings:
        yield warning("doctor.rules", f"{what}, {counted(len(findings), 'warning')}", where, why="they may not do what was meant")
    else:
        yield ok("doctor.rules", what, where)


def attachments(at: Surroundings) -> Iterator[Verdict]:
    folder = at.settings.attachments.folder
    if folder.exists() and not folder.is_dir():
        yield wrong("doctor.attachments", "this is no folder", str(folder))
        return
    above = standing(folder)
    if is_read_only(above):
        yield wrong("doctor.attachments", "the disk takes no writes", str(folder), next=READ_ONLY)
        return
    if not folder.is_dir():
        if os.access(above, os.W_OK):
            yield warning(
                "doctor.attachments", "the folder is not there; the first start makes it", str(folder), why="its disk was not tried"
            )
        else:
            yield wrong("doctor.attachments", f"the folder is not there, and {above} is not ours to write", str(folder))
        return
    try:
        _try_disk(folder)
    except OSError as error:
        yield wrong("doctor.attachments", f"cannot write there: {error.strerror}", str(folder))
        return
    yield from space("doctor.attachments", folder, "writable and synced, ")


def _try_disk(folder: Path) -> None:
    """Write a file, sync it, take it away again; raises OSError."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"bus doctor")
        file.flush()
        os.fsync(file.fileno())


FULL, ROOM = "a full disk refuses messages", "make room on it, or move to a larger one"


def space(code: str, folder: Path, also: str = "") -> Iterator[Verdict]:
    """Whether there is room on the disk of a folder."""
    free = shutil.disk_usage(folder).free
    what = f"{also}{megabytes(free)} free"
    if free < TOO_LITTLE:
        yield wrong(code, what, str(folder), why=FULL, next=ROOM)
    elif free < LITTLE:
        yield warning(code, what, str(folder), why=FULL, next=ROOM)
    else:
        yield ok(code, what, str(folder))
