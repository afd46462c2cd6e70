"""The database: there, of a version and with settings that keep what they promise, with our schema, with space."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from bus.doctor.here import space
from bus.doctor.verdict import Surroundings, Verdict, ok, warning, wrong
from bus.errors import ConfigError, StoreError
from bus.store.opening import doubts, refuse_unusable
from bus.store.survey import Survey, survey, where_is

NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs"})
MEMORY = frozenset({"tmpfs", "ramfs"})
SKEW = dt.timedelta(seconds=1)


def reachable(at: Surroundings) -> Iterator[Verdict]:
    where = where_is(at.settings.store.url)
    if not at.settings.store.shared and not _file(at).exists():
        yield ok("doctor.store", "there is no database yet; the first start makes it", where)
        return
    try:
        refuse_unusable(at.settings.store.url)
        at.store = survey(at.settings.store.url)
    except (ConfigError, StoreError) as error:
        yield wrong("doctor.store", error.sentence, where, next=error.hint)
    else:
        yield ok("doctor.store", f"{at.store.kind} answers", where)


def version(at: Surroundings) -> Iterator[Verdict]:
    store = _of(at)
    what = f"{store.kind} {store.version}"
    yield wrong("doctor.store-version", what, store.where) if store.too_old else ok("doctor.store-version", what)


def safety(at: Surroundings) -> Iterator[Verdict]:
    store = _of(at)
    for said in store.unsafe:
        yield wrong("doctor.store-settings", said, store.where)
    for said in doubts(at.settings.store.url):
        yield warning("doctor.store-settings", said, store.where)
    if not store.unsafe:
        yield ok("doctor.store-settings", store.durability)


def schema(at: Surroundings) -> Iterator[Verdict]:
    store = _of(at)
    if store.revision == store.speaks:
        yield ok("doctor.store-schema", f"revision {store.revision}")
    elif store.revision == 0:
        yield warning("doctor.store-schema", "the database is empty; the first start makes the tables, if its user may", store.where)
    else:
        said = f"the database has revision {store.revision}, this program speaks {store.speaks}"
        back = (
            ""
            if store.revision < store.speaks
            else f"run the program that made it, or with that program: bus migrate down --to {store.speaks}"
        )
        yield wrong("doctor.store-schema", said, store.where, next=back)


def rights(at: Surroundings) -> Iterator[Verdict]:
    store = _of(at)
    if store.revision and store.kind == "PostgreSQL":
        if store.may_change:
            yield warning("doctor.store-rights", f"the user {store.user} {store.may_change}", store.where)
        else:
            yield ok("doctor.store-rights", f"the user {store.user} can add records, and neither change nor delete them")


def disk(at: Surroundings) -> Iterator[Verdict]:
    """Only what lies on this machine."""
    if at.settings.store.shared:
        return
    folder = next((parent for parent in _file(at).parents if parent.is_dir()), Path("/"))
    kind = _filesystem(folder)
    if kind in NETWORK | MEMORY:
        yield warning("doctor.store-disk", f"the folder is {'in memory' if kind in MEMORY else 'on the network'} ({kind})", str(folder))
    yield from space("doctor.store-disk", folder, f"{kind or 'disk'}, ")


def clock(at: Surroundings) -> Iterator[Verdict]:
    ahead = _of(at).ahead
    if ahead is None:
        return
    what = f"this machine is {abs(ahead).total_seconds():.1f} s {'ahead of' if ahead > dt.timedelta() else 'behind'} the database"
    yield warning("doctor.clock", what) if abs(ahead) > SKEW else ok("doctor.clock", what)


def _of(at: Surroundings) -> Survey:
    assert at.store is not None
    return at.store


def _file(at: Surroundings) -> Path:
    return Path(at.settings.store.url.removeprefix("sqlite:///"))


def _filesystem(folder: Path) -> str:
    """The kind of file system that a folder is on, as Linux names it; empty where nobody says."""
    try:
        mounts = [
            line.split(" - ")[0].split()[4:5] + line.split(" - ")[1].split()[:1]
            for line in Path("/proc/self/mountinfo").read_text("utf-8").splitlines()
        ]
    except OSError:
        return ""
    above = {str(folder.resolve()), *map(str, folder.resolve().parents)}
    return max(((point, kind) for point, kind in mounts if point in above), key=lambda mount: len(mount[0]), default=("", ""))[1]
