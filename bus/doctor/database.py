"""The database: there, of a version and with settings that keep what they promise, with our schema, with space."""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Iterator

from bus.clock import moment_of, text_of
from bus.config import file_of
from bus.disk import READ_ONLY, filesystem, is_read_only, standing
from bus.doctor.here import FULL, space
from bus.doctor.keystore import OURS
from bus.doctor.systems import WITHIN
from bus.doctor.verdict import UNGUARDED, UNTOLD, Surroundings, Verdict, ok, warning, wrong
from bus.errors import ConfigError, StoreError, counted
from bus.log import timelines
from bus.log.keystore import refuse_used
from bus.store.opening import doubts, refuse_network, refuse_unusable
from bus.store.schema import REVISION, WHOLE
from bus.store.shape import some
from bus.store.survey import Survey, of_late, survey, where_is

PUT_OFF = "nothing is lost: while a worker works, what is ready goes on within seconds, and what waits at its deadline"
AHEAD = "set it by chrony or systemd-timesyncd; records keep the time that they have, and are in the order of their commits all the same"
SKEW = dt.timedelta(seconds=1)
FORGETFUL = "network folders and memory do not keep what they say they wrote"
SERVERS_DISK = "make room on the disk of the server, or look at it; the bus takes messages again by itself"
STORE_TLS = "give the server a certificate (`ssl = on`), and store.url sslmode=verify-full"
FORKED = "who writes there goes on with another log: what it takes in is in no other"
NO_TIMELINE = "the server does not tell on which timeline it writes: its functions for that are forbidden"
UNSEEN = "an old primary that comes back is not known from the one that was promoted in its place"
TELL_TIMELINE = "GRANT EXECUTE ON FUNCTION pg_control_system(), pg_is_in_recovery(), pg_current_wal_lsn(), pg_walfile_name(pg_lsn)"
CHECKSUMS = "stop the server, then pg_checksums --enable --pgdata …, and start it; a new one: initdb --data-checksums"
LONG = dt.timedelta(seconds=5)
"""A commit that a standby has not confirmed after so long is not just on its way."""


def reachable(at: Surroundings) -> Iterator[Verdict]:
    if not at.settings.store.url:
        yield warning("doctor.store", UNTOLD, str(at.path), next="set the secret that store.url names")
        return
    where, path = where_is(at.settings.store.url), file_of(at.settings.store.url)
    try:
        if path is not None and not path.exists():
            refuse_used(at.settings.keystore.folder)
            yield ok("doctor.store", "there is no database yet; the first start makes it", where)
            return
        refuse_unusable(at.settings.store.url)
        at.store = survey(at.settings.store.url)
    except (ConfigError, StoreError) as error:
        yield wrong("doctor.store", error.sentence, where, next=error.hint)
    else:
        yield from _is_the_one(at, at.store)
        yield from _silent(at.settings.store.url)


def _is_the_one(at: Surroundings, store: Survey) -> Iterator[Verdict]:
    """Whether the server that answers is the one that goes on with the log, by what its other hosts and the key store say."""
    if file_of(at.settings.store.url) is None:
        from bus.store.hosts import OLD, behind, replaced
        from bus.store.postgres_session import look_around

        for said in replaced(look_around(at.settings.store.url)):
            yield wrong("doctor.store", said, why=FORKED, next=OLD)
        server = store.server
        if server is None:
            yield warning("doctor.store", NO_TIMELINE, store.where, why=UNSEEN, next=f"as a superuser: {TELL_TIMELINE} TO {store.user}")
        if server and server.timeline and (seen := timelines.newest(at.settings.keystore.folder, server.system)) > server.timeline:
            yield wrong("doctor.store", behind(server, seen), store.where, why="the bus does not work upon it", next=OLD)
            return
    yield ok("doctor.store", f"{store.kind} answers", store.where)


def _silent(url: str) -> Iterator[Verdict]:
    """Hosts of an address with several that do not answer: the database is reached all the same."""
    from bus.store.hosts import machines

    several = machines(url) if file_of(url) is None else []
    for host, port in several if len(several) > 1 else ():
        if host.startswith("/"):
            continue
        try:
            socket.create_connection((host, int(port)), timeout=WITHIN).close()
        except (OSError, ValueError) as error:
            said = f"{host}:{port}, one of the hosts of store.url, does not answer: {getattr(error, 'strerror', None) or error}"
            cure = (
                "start it, or take it from store.url; with target_session_attrs=read-write there the host that answered last is asked first"
            )
            yield warning("doctor.store", said, why="a session that tries it first waits up to 5 s for it", next=cure)


def version(at: Surroundings) -> Iterator[Verdict]:
    store = at.database
    what = f"{store.kind} {store.version}"
    yield wrong("doctor.store-version", what, store.where) if store.too_old else ok("doctor.store-version", what)


def safety(at: Surroundings) -> Iterator[Verdict]:
    store = at.database
    for refused in store.unsafe:
        yield wrong("doctor.store-settings", refused.sentence, store.where, next=refused.hint)
    for said in doubts(at.settings.store.url) if at.settings.store.shared else ():
        yield warning("doctor.store-settings", said, store.where, why=UNGUARDED, next=STORE_TLS)
    if not store.checksums:
        said, why = "the server keeps no checksums of its pages (data_checksums)", "what a disk damages is read as if it were sound"
        yield warning("doctor.store-settings", said, store.where, why=why, next=CHECKSUMS)
    if not store.unsafe:
        yield ok("doctor.store-settings", store.durability)


def schema(at: Surroundings) -> Iterator[Verdict]:
    store = at.database
    if at.rows("lies_open"):
        yield wrong("doctor.store-schema", "payloads in this database lie open: a migration was interrupted", store.where)
    elif store.altered:
        said = f"the tables are not as the bus made them: {some(store.altered)}"
        yield wrong("doctor.store-schema", said, store.where, why="what needs them is refused, or kept wrong", next=WHOLE[store.kind])
    elif store.lacking:
        said = f"keys, indexes or triggers are not there, on other columns, or switched off: {some(store.lacking)}"
        why = "without keys the bus does not start, without indexes it is slow, without triggers records can be changed"
        yield wrong("doctor.store-schema", said, store.where, why=why, next=WHOLE[store.kind])
    elif store.revision == REVISION:
        yield ok("doctor.store-schema", f"revision {store.revision}")
    elif store.revision == 0:
        if not store.too_old:
            yield warning("doctor.store-schema", "the database is empty; the first start makes the tables, if its user may", store.where)
    else:
        said = f"the database has revision {store.revision}, this program speaks {REVISION}"
        back = f"run the program that made it, or with that program: bus migrate down --to {REVISION}"
        yield wrong("doctor.store-schema", said, store.where, next=back if store.revision > REVISION else "")


def rights(at: Surroundings) -> Iterator[Verdict]:
    store = at.database
    if store.revision and store.kind == "PostgreSQL":
        if store.may_change:
            yield warning("doctor.store-rights", f"the user {store.user} {store.may_change}", store.where)
        else:
            yield ok("doctor.store-rights", f"the user {store.user} can add records, and neither change nor delete them")


def connections(at: Surroundings) -> Iterator[Verdict]:
    """Whether the server lets in as many connections as the processes at work take; before there are any, a door and a worker."""
    store = at.database
    if store.room is None:
        return
    from bus.store.postgres_session import CONNECTIONS

    processes = max(2, len(at.rows("processes_at_work")))
    (most, limit), wanted = store.room, processes * CONNECTIONS
    what = f"{limit} lets {most:,} in, and {processes} processes of the bus take up to {wanted:,}"
    yield (warning if most < wanted else ok)("doctor.store-connections", what, store.where if most < wanted else "")


def locks(at: Surroundings) -> Iterator[Verdict]:
    """Tables that could not be looked at, each once."""
    store = at.database
    held = {missed.sentence: missed.hint for missed in store.missed.values() if missed.code == "store.locked"}
    for said, remedy in held.items():
        yield wrong("doctor.store-locks", said, store.where, next=remedy)
    if not held and store.kind == "PostgreSQL":
        yield ok("doctor.store-locks", "nobody keeps a table from us")


def standby(at: Surroundings) -> Iterator[Verdict]:
    """Whether a standby confirms commits, where commits wait for one."""
    store = at.database
    if store.standbys is None:
        return
    named = f"synchronous_standby_names is {store.standbys.names!r}"
    waiting = f"sessions of the bus that wait in a commit: {store.standbys.waiting}"
    if store.standbys.lacking:
        yield wrong("doctor.store-standby", f"{named}, and no such standby confirms commits: each waits for ever; {waiting}", store.where)
    elif store.standbys.longest > LONG:
        longest = f"the first for {store.standbys.longest.total_seconds():.0f} s: perhaps too few standbys confirm"
        yield warning("doctor.store-standby", f"{named}; {waiting}, {longest}", store.where)
    else:
        yield ok("doctor.store-standby", f"{named}, and a standby is connected")


def keeps(at: Surroundings) -> Iterator[Verdict]:
    """The disk of a server is not ours to measure: what is written there, and taken back, tells."""
    store = at.database
    if store.kind != "PostgreSQL" or not at.readable:
        return
    if store.full:
        what = f"the server cannot keep what is written: {store.full}"
        yield wrong("doctor.store-disk", what, store.where, why=FULL, next=SERVERS_DISK)
    else:
        yield ok("doctor.store-disk", "the server has room for what is written")


def disk(at: Surroundings) -> Iterator[Verdict]:
    """Whether a database that is a file of this machine can be written and will last."""
    path = file_of(at.settings.store.url)
    if path is None:
        return
    folder = standing(path.parent)
    try:
        refuse_network(path)
    except StoreError as refused:
        yield wrong("doctor.store-disk", refused.sentence, str(folder), why=FORGETFUL, next=refused.hint)
    if is_read_only(folder):
        yield wrong("doctor.store-disk", "the disk takes no writes", str(folder), why="the bus cannot keep anything there", next=READ_ONLY)
        return
    for part in (folder, path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", ".lock"))):
        if part.exists() and not os.access(part, os.W_OK):
            yield wrong("doctor.store-disk", "this is not ours to write", str(part), why="the bus cannot keep anything there", next=OURS)
    for said in doubts(at.settings.store.url):
        yield warning("doctor.store-disk", said, str(folder), why=FORGETFUL, next="put the file on a local disk")
    if filesystem(folder) == "overlay":
        said, why = "the database is in the layer of this container alone", "it goes with the container, as at the next version"
        yield warning("doctor.store-disk", said, str(folder), why=why, next="mount a volume there, and others for keys and attachments")
    yield from space("doctor.store-disk", folder, f"{filesystem(folder) or 'disk'}, ")


def rolled_back(at: Surroundings) -> Iterator[Verdict]:
    """Several processes may have found out the same, each with the last commit of before its own: the earliest tells what is gone."""
    store = at.database
    if told := of_late(at.rows("rolled_back"), store.now):
        since, found = min(row["since"] for row in told), max(row["found"] for row in told)
        what = f"what was committed after {since} is not in this database any more, as a process found at {found}"
        yield warning("doctor.rolled-back", what, store.where)


def clock(at: Surroundings) -> Iterator[Verdict]:
    """Against the database's clock, and against the log: of SQLite there is no other clock than this machine's."""
    store = at.database
    time = at.value("time_of_last_record", "time")
    last = moment_of(time) if time else store.now
    if last - store.now > SKEW:
        what = f"the last record is of {text_of(last)}, and now it is {text_of(store.now)}"
        yield warning("doctor.clock", what, why="the clock was ahead, or is behind: times, deadlines and retention follow it", next=AHEAD)
    if (runs := at.value("runs_ahead", "runs")) and moment_of(until := at.value("runs_ahead", "until")) - store.now > SKEW:
        what = f"the clock was set back: {counted(runs, 'open run')} of a time that has not come yet, up to {until}"
        yield warning(
            "doctor.clock",
            what,
            why="a worker that works puts right what is ready; deadlines that were reckoned from that time are so much later",
            next=PUT_OFF,
        )
    if (ahead := store.ahead) is None:
        return
    what = f"this machine is {abs(ahead).total_seconds():.1f} s {'ahead of' if ahead > dt.timedelta() else 'behind'} the database"
    yield warning("doctor.clock", what) if abs(ahead) > SKEW else ok("doctor.clock", what)
