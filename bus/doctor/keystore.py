"""The key store: is it there, closed to others, and the one that this database was written with? Nothing is made, no key is unwrapped."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from bus.config import file_of
from bus.disk import READ_ONLY, is_read_only, standing
from bus.doctor.systems import SOON
from bus.doctor.verdict import Surroundings, Verdict, ok, warning, wrong
from bus.errors import ConfigError
from bus.log import keys, log, payload, timestamp
from bus.log.checkpoint import RECEIPTS
from bus.log.keyring import BLOCK
from bus.log.keystore import blocks, left, look, refuse_used, unnamed

CODE = "doctor.keystore"
OURS = "chown it to the user of the bus: was the bus run as root once?"


def keystore(at: Surroundings) -> Iterator[Verdict]:
    """Whether the key store is the one of the database. Before the first start there is none; without its own a database is lost."""
    folder, master = at.settings.keystore.folder, at.settings.keystore.master
    expected = at.value("keystore_of_payloads", "value")
    try:
        if expected is None and _sealed(at):
            raise unnamed()
        if expected is None:
            refuse_used(folder)
        found = look(folder, master, expected)
    except ConfigError as error:
        yield wrong(CODE, error.sentence, str(folder), next=error.hint)
        return
    except OSError as error:
        yield wrong(CODE, f"cannot be read: {error.strerror}", str(folder))
        return
    fit = ok(CODE, "the key store is there, closed to others" + (", and this database's own" if expected else ""), str(folder))
    yield next(chain(_of_its_files(folder, found), _of_its_keys(at, folder, master)), fit)


def _of_its_files(folder: Path, found: bool) -> Iterator[Verdict]:
    if is_read_only(standing(folder)):
        yield wrong(CODE, "the disk takes no writes", str(folder), next=READ_ONLY)
    elif not found:
        yield warning(CODE, "there is no key store yet; the first start makes it", str(folder), next="back it up then")
    elif not os.access(folder, os.W_OK):
        yield wrong(CODE, "the folder is not ours to write", str(folder))
    elif closed := [part for part in folder.rglob("*") if not os.access(part, os.R_OK | os.W_OK)]:
        yield wrong(CODE, f"not ours to read and write: {len(closed):,} of its files", str(closed[0]), next=OURS)


def _of_its_keys(at: Surroundings, folder: Path, master: Path) -> Iterator[Verdict]:
    if again := _destroyed_and_there(at):
        why, cure = "what was erased can be read: was the key store restored?", "start the bus again: it destroys them"
        yield wrong(CODE, f"keys are there that the log says are destroyed: {again:,}", str(folder), why=why, next=cure)
    elif lacking := _lacking(at):
        said = f"the key store is old, cut, or without some of its files: it lacks keys of payloads, {lacking:,} of their blocks"
        cure = "put a newer copy of it there before the start; where there is none, what is due is parked: bus dead"
        yield warning(CODE, said, str(folder), why="what they seal cannot be opened", next=cure)
    elif folder.resolve() in master.resolve().parents:
        said = "the master key lies in the key store that it wraps"
        why = "a copy of the one is a copy of both, and reads everything with one of the database"
        yield warning(CODE, said, str(master), why=why, next="move it out, and name its place in keystore.master")


def _sealed(at: Surroundings) -> bool:
    """Whether the database has payloads that are sealed."""
    return bool(at.value("sealed", "payloads")) and not at.rows("lies_open")


def _destroyed_and_there(at: Surroundings) -> int:
    if not at.readable:
        return 0
    with at.reading() as tx:
        return sum(left(at.settings.keystore.folder, page) for page in log.erased_keys(tx))


def _lacking(at: Surroundings) -> int:
    """How many blocks of keys payloads name that the key store does not have; one look in the database for each block."""
    if not at.readable:
        return 0
    there, count, after = blocks(at.settings.keystore.folder), 0, ""
    with at.reading() as tx:
        while (row := tx.one("sealed_payload_after", after=after)) is not None:
            block = payload.number_in(row["id"]) // BLOCK
            count += block not in there
            after = payload.beginning((block + 1) * BLOCK)
    return count


def signers(at: Surroundings) -> Iterator[Verdict]:
    """The keys that sign the log and its receipts, where this machine has them: read as the start reads them."""
    log = at.settings.log
    files = ((log.key, log.origin), (log.previous_key, log.origin), (log.receipt_key, f"{log.origin}{RECEIPTS}"))
    for path, name in files:
        try:
            if path is not None and path.exists():
                keys.at(path, name, makes=False)
        except ConfigError as error:
            yield wrong("doctor.secrets", error.sentence, str(path), next=error.hint)
        except OSError as error:
            yield wrong("doctor.secrets", f"cannot be read: {error.strerror}", str(path), why="the bus does not start", next=OURS)


def authority(at: Surroundings) -> Iterator[Verdict]:
    """The root certificates by which time stamps are verified: read as each stamp reads them. Earlier ones need not be good any more."""
    stamps = at.settings.anchors.timestamps
    if stamps is None:
        return
    try:
        until = max(one.not_valid_after_utc for one in timestamp.roots(stamps.ca.read_bytes()))
    except OSError as error:
        yield wrong("doctor.authority", f"anchors.timestamps.ca cannot be read: {error.strerror}", str(stamps.ca))
    except ConfigError as error:
        yield wrong("doctor.authority", error.sentence, str(stamps.ca), next=error.hint)
    else:
        if (left := until - at.now()) < SOON:
            tell = wrong if left < dt.timedelta() else warning
            said = f"the last certificate in anchors.timestamps.ca is good until {until:%Y-%m-%d}"
            yield tell("doctor.authority", said, str(stamps.ca), next="ask the authority for its new root, and put it behind the others")


def signs(at: Surroundings) -> Iterator[Verdict]:
    """Whether the log's key of this machine is the one that signs this log, as the start asks; `signers` tells what cannot be read."""
    log, files = at.settings.log, (at.settings.log.key, at.settings.log.previous_key)
    if not at.readable:
        return
    with at.reading() as tx:
        history = keys.history(tx, "checkpoints")
    try:
        lost = not log.key.exists()
    except OSError:  # told by `signers`
        return
    if lost and not (history and file_of(at.settings.store.url)):  # a worker on another machine may have it
        return
    try:
        ours = [keys.at(path, log.origin, makes=False) for path in files if path is not None]
        keys.follows(history, log.origin, ours, log.lost_keys)
    except OSError:  # told by `signers`
        return
    except ConfigError as error:
        if lost or error.code == "config.log-key":
            yield wrong("doctor.secrets", error.sentence, str(log.key), next=error.hint)
