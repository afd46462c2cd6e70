"""The whole of a plan: rules in force out of the store, edited rules out of a folder, messages out of the log."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

from bus.adapter import Operation
from bus.catalog import Catalog
from bus.clock import moment_of
from bus.config import Config
from bus.engine import editions
from bus.errors import ConfigError, RulesError
from bus.examine import load
from bus.message import JsonObject, JsonValue, Message
from bus.planning.borrowed import ErasedError, Logged
from bus.planning.course import Course, Waiting
from bus.planning.edits import edits, new_findings
from bus.planning.report import Planned
from bus.replay.evidence import Rulebook, light, pages
from bus.replay.window import CHANGED
from bus.route.plan import GatherStep, WaitStep
from bus.route.traffic import BUS
from bus.rulefiles import Files, files_of
from bus.store import listed
from bus.store.opening import Reader


def in_force(reader: Reader) -> Files:
    """The files of the rules that the log says are in force; raises `ConfigError` where no bus has begun yet."""
    with reader.read() as tx:
        record = editions.newest(tx)
        if record is None:
            hint = "start the bus once with rules that are good"
            raise ConfigError("no rules were ever in force in this database", code="plan.nothing-in-force", hint=hint)
        return editions.files_of(tx, editions.edition_of(tx, record).manifest)


def origins_of(settings: Config) -> dict[str, str]:
    """By sender, what `senders` of a type calls it: the role of its key, an adapter itself, the bus. The log knows senders by name alone,
    so nothing is said of a name without a key, or with several meanings.
    """
    said = {(key.name, key.role) for key in settings.keys} | {(name, name) for name in settings.adapters} | {(BUS, BUS)}
    several = Counter(name for name, _ in said)
    return {name: origin for name, origin in said if several[name] == 1}


def _loaded(files: Files, operations: Mapping[str, Operation]) -> Catalog:
    """The rules in force. Raises `RulesError` where these settings have not what they need, or this version would not take them again."""
    try:
        return load(files, operations)
    except RulesError as error:
        sentence = f"the rules in force do not go with these settings, or not with this version of Snodo: {error.sentence}"
        hint = "these files are in the log, not in your folder: name the settings with which the bus runs (--config)"
        hint += ", or try the edit with `bus test`"
        raise RulesError(sentence, error.findings, code="plan.in-force-unfit", hint=hint) from error


def planned(
    reader: Reader,
    folder: Path,
    operations: Mapping[str, Operation],
    messages: Iterable[Sequence[tuple[str, str]]],
    examples: int,
    *,
    values: bool = True,
    origins: Mapping[str, str] = MappingProxyType({}),
) -> Planned:
    """Plan the rules of a folder over messages (ids and types, page by page); ``values``: the examples show what was said; ``origins``:
    see `origins_of`.

    Raises `RulesError` with the findings of the edited rules, or of those in force, and says which.
    """
    before, edited = in_force(reader), files_of(folder)
    old, new = _loaded(before, operations), load(folder, operations)
    found = Planned(old.digest, new.digest, edits=tuple(edits(before, edited)), before=before, after=edited, values=values)
    if old.digest == new.digest:  # comments at most
        return found
    book = Rulebook.of(reader)
    found.course = course = Course(
        old,
        new,
        operations,
        examples,
        evidence=lambda ids: next(pages(reader, [ids], book)),
        woken=lambda ids: next(pages(reader, [_woken(reader, ids)], book)),
        waits=partial(_waiting, reader),
        logged=_logged(reader, book),
        origins=origins,
    )
    _take(found, course, messages, reader, book)
    found.findings = new_findings(old.findings, new.findings)
    found.flight = _in_flight(reader, book, course)
    return found


def _take(found: Planned, course: Course, messages: Iterable[Sequence[tuple[str, str]]], reader: Reader, book: Rulebook) -> None:
    """Count all messages, and plan those that the edits may concern."""
    types = course.types
    if not types:
        found.messages = sum(map(len, messages))
        return
    for some in messages:
        found.messages += len(some)
        concerned = [identity for identity, type in some if type in types or type == CHANGED]
        for part in light(reader, concerned):
            page = next(pages(reader, [part], book))
            course.take(page, part)
            found.unopened += len(page.unopened) + len(page.broken)


def _woken(reader: Reader, messages: Sequence[str]) -> list[str]:
    with reader.read() as tx:
        return [str(row["message"]) for row in tx.all("messages_of_woken", messages=listed(messages))]


def _waiting(reader: Reader, message: str, type: str, keys: Mapping[str, str]) -> list[Waiting]:
    """The waits for a type in the case of a message, or by one of the keys, that are open or were ever, but in its own run."""
    with reader.read() as tx:
        found = list(tx.all("waits_ever_for_case", message=message, type=type))
        for name, value in sorted(keys.items()):
            found += tx.all("waits_ever_for_key", type=type, name=name, value=tx.keys.token(value))
    return sorted({Waiting(**row) for row in found if row["message"] != message})


def _logged(reader: Reader, book: Rulebook) -> Logged:
    """What the log has for waits that were not there."""
    with reader.read() as tx:
        newest = tx.one("newest_record")
        last = tx.one("record_from", seq=newest["seq"]) if newest else None
    end = moment_of(last["time"]) if last else dt.datetime.min.replace(tzinfo=dt.UTC)
    return Logged(partial(_came, reader, book), end)


def _came(reader: Reader, book: Rulebook, message: str, type: str, key: tuple[str, str] | None) -> list[Message]:
    """The messages of a type in the case of a message, or with a key, but itself; raises `ErasedError` where one can be read no more."""
    with reader.read() as tx:
        if key is None:
            rows = tx.all("arrived_ever_for_case", message=message, type=type)
        else:
            rows = tx.all("arrived_ever_for_key", type=type, name=key[0], value=tx.keys.token(key[1]))
        found = [str(row["message"]) for row in rows if row["message"] != message]
    page = next(pages(reader, [found], book))
    messages = [one for identity in found if (one := page.message(identity))]
    if len(messages) < len(found):
        raise ErasedError
    return messages


def _in_flight(reader: Reader, book: Rulebook, course: Course) -> list[JsonObject]:
    """Runs that have not ended, under whatever rules they began, of routes that the edits change, or that wait for changed types."""
    with reader.read() as tx:
        rows = tx.all("runs_in_flight")
    found: list[JsonObject] = []
    for row in rows:
        types: JsonObject = {"types": list[JsonValue](sorted(_awaited(book, str(row["digest"])) & course.changed))}
        if row["route"] in course.routes or types["types"]:
            found.append({**row, **types})
    return found


def _awaited(book: Rulebook, digest: str) -> set[str]:
    """The types that steps of stored rules wait for; none where this version cannot read them."""
    try:
        steps = book.plan(digest).walk()
    except RulesError:
        return set()
    return {step.type for step in steps if isinstance(step, WaitStep | GatherStep) and step.type}
