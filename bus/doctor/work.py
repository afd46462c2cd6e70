"""The work: processes that do it, runs that wait for it, runs that wait for a person."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from bus.anchors import outside
from bus.anchors.lateness import ahead, expected, standing
from bus.clock import moment_of
from bus.doctor.verdict import Surroundings, Verdict, ok, warning, wrong
from bus.engine.attachments import NAME
from bus.engine.lifeline import gone
from bus.engine.presence import SILENT, silence
from bus.errors import counted
from bus.log.stored import CUT_OFF, cut_off
from bus.message import parsed
from bus.store import Row

LATE = dt.timedelta(minutes=1)


def same_attachments(at: Surroundings) -> Iterator[Verdict]:
    """The folder has a name inside; the processes agree on it in the store at their start."""
    agreed = at.value("folder_of_attachments", "value")
    folder = at.settings.attachments.folder
    if agreed is None or not folder.is_dir():
        return
    named = folder / NAME
    ours = named.read_text("utf-8").strip() if named.is_file() else "without a name"
    if ours == agreed:
        yield ok("doctor.attachments-same", "the folder is the one that all processes use", str(folder))
    else:
        yield wrong("doctor.attachments-same", f"the folder is {ours}, the processes use {agreed}", str(folder))


def all_attachments(at: Surroundings) -> Iterator[Verdict]:
    """A folder that was restored from a copy older than the database lacks the newest files."""
    folder = at.settings.attachments.folder
    files = [str(row["file"]) for row in at.rows("newest_attachments")]
    lacking = sum(not (folder / file[:2] / file).exists() for file in files) if folder.is_dir() else 0
    if lacking:
        said = f"of the newest {len(files)} files that the log names {lacking} are not there"
        cure = "put them back: a copy of the folder that is no older than the database's"
        why = "calls that need them are repeated until they are there, or given up"
        yield warning("doctor.attachments-same", said, str(folder), why=why, next=cure)


def processes(at: Surroundings) -> Iterator[Verdict]:
    said = at.rows("processes_at_work")
    left = [row for row in said if not gone(row["id"])]
    yield from map(_ended, (row for row in said if gone(row["id"])))
    yield from (_mute(row, silent) for row in left if (silent := silence(row, at.database.now)) > SILENT)
    yield from _differing(left)
    yield from _lacking(at, left)
    counts = ", ".join(f"{count} {role}" for role, count in sorted(Counter(row["role"] for row in left).items()))
    none = (
        "no bus web, no bus worker"
        if at.settings.store.shared
        else "SQLite is for one process at most, `bus serve`, which says at `/status` how it is"
    )
    yield ok("doctor.processes", f"at work: {counts or none}")


def _ended(row: Row) -> Verdict:
    cure = "start it again: it, or another one on this machine, goes on with its work at once"
    return warning("doctor.processes", f"{_named(row)} ended without a word", why="what it held waits for the end of its leases", next=cure)


def _mute(row: Row, silent: dt.timedelta) -> Verdict:
    return warning("doctor.processes", f"{_named(row)} has been silent for {_words(silent)}")


def _named(row: Row) -> str:
    return f"{row['role']} on {row['host']} (process {row['pid']})"


def _differing(rows: Sequence[Row]) -> Iterator[Verdict]:
    """Several versions or rules at once are as it is in the middle of an upgrade, and a doubt at any other time."""
    for what, name in (("versions", "version"), ("rules", "rules")):
        found = sorted({row[name] for row in rows})
        if len(found) > 1:
            yield warning("doctor.processes", f"{what} differ: {', '.join(one[:12] for one in found)}")


def _lacking(at: Surroundings, rows: Sequence[Row]) -> Iterator[Verdict]:
    """What processes of one store need from each other and have not got: a channel that all hear, and a worker."""
    at_work = sum(silence(row, at.database.now) <= SILENT for row in rows)
    if at_work > 1 and not at.settings.channel.shared:
        yield warning(
            "doctor.processes", f"{at_work} processes are at work on this store, and channel.url is heard in one process alone",
            why="what one of them rings the others find late, when they sweep", next="give all of them one amqp:// channel",
        )  # fmt: skip
    if rows and at.settings.store.shared and all(row["role"] == "web" for row in rows):
        yield warning(
            "doctor.processes", "there is no worker", why="messages are taken, and nobody works on them", next="start one: bus worker"
        )


def backlog(at: Surroundings) -> Iterator[Verdict]:
    [row] = at.rows("backlog") or [{"runs": 0, "oldest": None}]
    age = _age(at, row["oldest"])
    behind = at.value("count_behind_dead", "behind") or 0
    what = f"{counted(row['runs'], 'run')} due" + (f", the oldest for {_words(age)}" if row["runs"] else "")
    what += f", {behind:,} of them behind a dead letter of their case" if behind else ""
    full = row["runs"] - behind >= at.settings.engine.backlog
    what += "; doors refuse more (engine.backlog)" if full else ""
    if age <= LATE and not full:
        yield ok("doctor.backlog", what)
    else:
        silent = _silent(at)
        why = f"systems that do not answer: {', '.join(silent)}; what asks them waits until they do" if silent else ""
        cure = "bus dead: decide or redeliver it" if behind == row["runs"] else "see that they answer" if silent else ""
        yield warning("doctor.backlog", what, why=why, next=cure)


def _silent(at: Surroundings) -> list[str]:
    """Systems whose circuit is open in a process: for what waits for them another worker does nothing."""
    return sorted({name for name, gate in _gates(at) if gate["circuit"] == "open" and "." not in name})


def _gates(at: Surroundings) -> list[tuple[str, Any]]:
    """What each process said last of each gate."""
    return [gate for row in at.rows("gates_at_work") for gate in parsed(row["value"]).items()]


def locked_out(at: Surroundings) -> Iterator[Verdict]:
    for operation in sorted({one for _, gate in _gates(at) for one in gate.get("locked_out", ())}):
        yield warning("doctor.locked-out", f"{operation}: the system does not take our credentials")


def dead(at: Surroundings) -> Iterator[Verdict]:
    rows = at.rows("dead_by_reason")
    total = sum(row["runs"] for row in rows)
    if not total:
        yield ok("doctor.dead", "no dead letters")
        return
    reasons = ", ".join(f"{row['runs']:,} {row['reason']}" for row in rows)
    oldest = _words(_age(at, min(row["oldest"] for row in rows)))
    yield warning("doctor.dead", f"{counted(total, 'dead letter')} ({reasons}), the oldest for {oldest}")


def lanes(at: Surroundings) -> Iterator[Verdict]:
    for row in at.rows("lanes_of_the_dead"):
        yield wrong(
            "doctor.lanes", f"the dead letter {row['run']} holds the ordered lane {row['name']}", next=f"bus dead show {row['run']}"
        )


def leases(at: Surroundings) -> Iterator[Verdict]:
    for row in at.rows("expired_leases"):
        if (late := _age(at, row["lease"])) > LATE:
            what = f"{counted(row['runs'], 'run')} still claimed by {row['owner']}, whose lease ended {_words(late)} ago"
            yield warning("doctor.leases", what)


def tree(at: Surroundings) -> Iterator[Verdict]:
    """Whether the log is sealed in time. With workers of their own, and none at work, nobody seals, which is as it should be."""
    if lost := next((cut_off(row) for row in at.rows("ends_of_log")), ""):
        yield wrong("doctor.tree", lost, why="records that existed are gone", next=CUT_OFF)
        return
    age = _age(at, at.value("oldest_unsealed", "oldest"))
    workers = any(row["role"] != "web" for row in at.rows("processes_at_work"))
    if age > LATE and (workers or not at.settings.store.shared):
        yield warning("doctor.tree", f"records wait to be sealed, the oldest for {_words(age)}")
    else:
        yield ok("doctor.tree", "the log is sealed")


def anchors(at: Surroundings) -> Iterator[Verdict]:
    """Whether those who vouch for the log have seen it lately."""
    settings = at.settings.anchors
    if not settings.witnesses:
        yield warning("doctor.anchors", "the log has no witness: nobody but its operator vouches for it", next="docs/sysadmin/witness.md")
    if expected(settings) and at.readable:
        heads = outside.heads(settings.witnesses, at.settings.log.origin)  # first: a log that grows meanwhile was not rolled back
        with at.reading() as tx:
            for one in standing(tx, settings, at.database.now):
                what = f"{one.kind} {one.name}: {one.size:,} records"
                if one.name in heads and (denied := ahead(tx, one.name, heads[one.name])):
                    yield wrong(
                        "doctor.anchors", denied, why="records that existed are gone, or another history was signed", next=outside.BACK
                    )
                elif one.late:
                    yield warning("doctor.anchors", f"{what}, behind for {_words(dt.timedelta(seconds=one.behind))}")
                else:
                    yield ok("doctor.anchors", what)


def _age(at: Surroundings, time: str | None) -> dt.timedelta:
    """How long ago that was, by the database's clock."""
    return max(at.database.now - moment_of(time), dt.timedelta()) if time else dt.timedelta()


def _words(age: dt.timedelta) -> str:
    """``40 seconds``, ``5 minutes``, ``3 hours``, ``2 days``."""
    seconds = age.total_seconds()
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}s"
    return counted(round(seconds), "second")
