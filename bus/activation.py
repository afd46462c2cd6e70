"""Activation: which rules are in force, and how that changes while the bus works.

The rules in force are those of the newest record ``rules`` in the log, not whatever lies in a folder: every process, on whatever
machine, reads them from the store. An activation is checked as a whole, written in one transaction and then taken over by one
assignment; whoever holds a catalog goes on with it, and a run keeps the plan it began with.

::

    files ─ examine ─ what runs of earlier rules need ─ one transaction: files, plans, record ─ swap
                                                          └ the other processes: news, or a look every second

Rules with an error in them never get that far. Two people at once: the record that an activation was made on must still be the newest.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from bus import examine
from bus.adapter import Operation
from bus.catalog import Catalog, changed_types
from bus.clock import Clock, text_of
from bus.diagnostics import logger
from bus.engine import editions, reasons
from bus.engine.editions import Act, Draft, Edition
from bus.engine.faltering import repeat
from bus.errors import Conflict, Damaged, Invalid, NotFound, RulesError, SnodoError, counted, one_line
from bus.log import rules as kept_rules
from bus.log.record import Record
from bus.mapping.types import MessageType
from bus.message import JsonObject, JsonValue, parsed
from bus.route.compile import plan_of
from bus.route.plan import GatherStep, Plan, SendStep, WaitStep
from bus.rulefiles import Files, files_of, is_path, stamps
from bus.source import Finding
from bus.store import Store, Tx

NEWS = "rules"
"""What is published, among the ids of messages, when other rules are in force."""
SETTLING = dt.timedelta(minutes=1)
"""How long after an activation another process may still accept a message under the rules before."""
KEPT = 4
SHORTEST = 8
"""Digits by which rules are named, at least."""


class Now(NamedTuple):
    """What is in force in this process; ``parts`` are the fingerprints of what is in the files, without what is carried."""

    catalog: Catalog
    edition: Edition
    files: Files
    parts: Mapping[str, Mapping[str, str]]


class _Wish(NamedTuple):
    """What somebody wants: ``expected`` begins the fingerprint that must be in force; ``target`` is where a rollback goes back to."""

    act: Act
    actor: str
    reason: JsonObject
    expected: str = ""
    target: Record | None = None


class Activation:
    """The rules in force, as one process sees them. Thread-safe; `catalog` is cheap."""

    def __init__(self, store: Store, clock: Clock, operations: Mapping[str, Operation]) -> None:
        self._store, self._clock, self._operations = store, clock, operations
        self._now: Now | None = None
        self._made: dict[str, Catalog] = {}
        self._turn = threading.RLock()
        self._rung, self._over = threading.Event(), threading.Event()
        self._broken = ""
        self._unfit: Record | None = None
        self._swapped: list[Callable[[str], object]] = []
        self._log = logger("snodo.rules")

    @property
    def now(self) -> Now:
        assert self._now is not None, "nothing is in force before `begin`"
        return self._now

    def catalog(self) -> Catalog:
        """The rules in force."""
        return self.now.catalog

    # -- start -------------------------------------------------------------------------------------------------------

    def begin(self, folder: Path, *, activate: bool) -> None:
        """Take over what the store says is in force. The first start of all activates the folder; so does each with ``activate``.

        Raises `RulesError` when there is nothing good to begin with: a bad folder never replaces rules that work.
        """
        while not self._begins(activate=activate):
            with suppress(Conflict):  # another process was first
                self._start(folder, "activate_at_start" if self._unfit else "the first start")
        if activate:
            try:
                self._start(folder, "activate_at_start")
            except Conflict:
                self.look()
            except RulesError as error:
                self._log.error("activation.failed", sentence=error.sentence, hint="the earlier rules stay in force")

    def _start(self, folder: Path, why: str) -> None:
        self._propose(self._of(folder), _Wish("started", "bus", {"text": why}))

    def _of(self, folder: Path) -> Files:
        """What a folder holds. Raises `RulesError` where it has no `routes`."""
        if not (folder / "routes").is_dir():
            raise _no_routes(f"there is no folder routes in {folder.name or folder}")
        return files_of(folder)

    def _begins(self, *, activate: bool) -> bool:
        """Take over what is in force, if anything. What this process cannot work under gives way only to files that are to be activated."""
        try:
            return self.look(strict=True)
        except RulesError as error:
            with self._store.read() as tx:
                self._unfit = editions.newest(tx)
            if activate:
                return False
            hint = "mend the files, then start with activate_at_start: true"
            sentence = f"this process cannot work under the rules in force: {error.sentence}"
            raise RulesError(sentence, error.findings, hint=hint) from error

    # -- acts --------------------------------------------------------------------------------------------------------

    def activate(self, files: Files | Path, actor: str, reason: str, *, on_behalf: str = "", expected: str = "") -> JsonObject:
        """Put other rules in force. ``expected`` is the fingerprint that the activator saw in force.

        Raises `RulesError` with all findings, `Conflict` when others are in force than ``expected``, `Invalid` without a reason.
        """
        given = self._of(files) if isinstance(files, Path) else _checked(files)
        return self._change(given, _Wish("activated", actor, _reason(reason, on_behalf), expected))

    def rollback(self, actor: str, reason: str, *, steps: int = 1, to: str = "", on_behalf: str = "", expected: str = "") -> JsonObject:
        """Put an earlier edition in force again: ``steps`` back, or the newest whose fingerprint begins with ``to``.

        A rollback after a rollback goes on from where the first one went back to. Raises `NotFound`, and whatever `activate` raises.
        """
        with self._store.read() as tx:
            target = _earlier(tx, steps, to)
            files = editions.files_of(tx, editions.edition_of(tx, target).manifest, self.now.files)
        return self._change(files, _Wish("rolled-back", actor, _reason(reason, on_behalf), expected, target))

    def _change(self, files: Files, wish: _Wish) -> JsonObject:
        while True:
            try:
                return self._propose(files, wish)
            except _Raced:
                if wish.target is not None or not self.look():
                    raise  # a way back is counted from what is in force; an activation goes on from whatever is

    def _propose(self, files: Files, wish: _Wish) -> JsonObject:
        now = self._now
        own = examine.load(files, self._operations)
        if now and now.catalog.routes and not own.routes and wish.target is None:  # a disk that is not mounted, a copy that ended early
            raise _no_routes(f"there is no route in these files, and {counted(len(now.catalog.routes), 'route')} would end")
        draft = Draft(files, tuple(own.routes.values()), own.digest, self._carried(own, files, now))
        with self._turn:
            self._made[draft.id()] = own
        seen = now.edition.record if now else self._unfit
        record, changed = self._store.write(lambda tx: self._put(tx, draft, wish, seen)).result()
        self.look()
        return {"rules": record.rules, "edition": record.data["edition"], "changed": changed, "record": record.id}

    def _put(self, tx: Tx, draft: Draft, wish: _Wish, seen: Record | None) -> tuple[Record, bool]:
        found, hint = editions.newest(tx), "look at `bus status`, then activate again"
        if found is not None and not str(found.rules).startswith(wish.expected):
            sentence = f"other rules are in force than you saw: {str(found.rules)[:12]}, by {found.actor} at {text_of(found.time)}"
            raise Conflict(sentence, code="rules.moved-on", hint=hint)
        if (found and found.id) != (seen and seen.id):
            raise _Raced("somebody else was first", code="rules.moved-on", hint=hint)
        if found is not None and found.data["edition"] == draft.id():
            return found, False
        before, restores = (wish.target.data.get("before"), wish.target.id) if wish.target else (found and found.id, None)
        return editions.put(tx, draft, wish.act, self._clock, wish.actor, wish.reason, before, restores), True

    # -- what runs of earlier rules need -----------------------------------------------------------------------------

    def _carried(self, own: Catalog, files: Files, now: Now | None) -> dict[str, Any]:
        """Types and routes that are gone from the files, and that runs in flight still wait for or send to, by edition; and of types that
        are otherwise in the files the editions in which they were not, the newest first, since such runs may send them as they were.

        What goes now is carried in any case, since another process may be accepting under the earlier rules at this very moment; it
        ends with a later activation, when nothing in flight needs it.
        """
        if now is None:
            return {}
        if files == now.files:
            return dict(now.edition.carried)
        settled = self._clock.now() - now.edition.record.time > SETTLING
        asked = cache(lambda: self._needed(own))  # it asks the store: only where something hangs on it

        def needed(name: str) -> bool:
            return asked()(name)

        def stays(name: str) -> bool:
            """Whether what is carried already is carried on."""
            return not settled or needed(name)

        found = {"awaited": _awaited(own, now, stays), "sent": _sent(own, now, needed, stays), "changed": _changed(own, now, stays)}
        return {what: some for what, some in found.items() if some}

    def _needed(self, own: Catalog) -> Callable[[str], bool]:
        """Whether an earlier run that has not ended waits for a type, sends it, or wants to know when it comes late; or one that it
        will start.
        """
        known = {route.plan.digest for route in own.routes.values()}
        with self._store.read() as tx:
            plans = [self._plan(tx, str(row["digest"])) for row in editions.in_flight(tx, known)]
        types, left = set[str | None](), [plan for plan in plans if plan]
        while left:
            steps = (step for step in left.pop().walk() if isinstance(step, SendStep | WaitStep | GatherStep))
            new = {step.type for step in steps} - types
            types |= new
            left += [plan for name in new if name and not own.plans_for(name) for plan in self.now.catalog.plans_for(name, sent=True)]

        def needed(type: str) -> bool:
            with self._store.read() as tx:
                return type in types or tx.one("late_wait_for", type=type) is not None

        return needed

    def _plan(self, tx: Tx, digest: str) -> Plan | None:
        try:
            content = kept_rules.kept(tx, digest)
            return None if content is None else plan_of(parsed(content))
        except (RulesError, Damaged):  # rules of another version, or changed: the engine says so when it meets their runs
            return None

    # -- following ---------------------------------------------------------------------------------------------------

    def look(self, *, strict: bool = False) -> bool:
        """Take over the newest rules; whether there are any. ``strict`` raises what goes wrong, else the rules we have stay."""
        try:
            with self._turn:
                found = self._look()
        except Exception as error:
            if strict:
                raise
            if repr(error) != self._broken:
                self._log.error("activation.not-followed", error=repr(error), in_force=self._now and self._now.edition.rules)
            self._broken = repr(error)
            return False
        self._broken = ""
        return found

    def _look(self) -> bool:
        with self._store.read() as tx:
            record = editions.newest(tx)
            if record is None:
                return False
            if self._now is not None and record.id == self._now.edition.record.id:
                return True
            edition = editions.edition_of(tx, record)
            files = editions.files_of(tx, edition.manifest, self._now.files if self._now else None)
        own = self._catalog_of(edition.id, files)
        self._now = Now(self._carrying(own, edition), edition, files, own.parts)
        self._log.info("activation.in-force", rules=edition.rules[:12], act=record.data["act"], by=record.actor)
        for tell in self._swapped:
            tell(edition.rules)
        return True

    def _catalog_of(self, edition: str, files: Files) -> Catalog:
        found = self._made.get(edition)
        if found is None:
            found = self._made[edition] = examine.load(files, self._operations)
        while len(self._made) > KEPT:
            del self._made[next(iter(self._made))]
        return found

    def _carrying(self, own: Catalog, edition: Edition) -> Catalog:
        carried = edition.carried
        if not carried:
            return own
        types: dict[str, MessageType] = {}
        sent: dict[str, tuple[Plan, ...]] = {}
        for name, held in {**carried.get("awaited", {}), **carried.get("sent", {})}.items():
            for earlier in self._held(name, held):
                types |= {name: earlier.types[name]} if name in earlier.types else {}
                sent |= {name: tuple(earlier.plans_for(name))} if name in carried.get("sent", {}) else {}
        changed = carried.get("changed", {})
        return own.carrying(types, carried.get("awaited", ()), sent, lambda name: self._held(name, *changed.get(name, ())))

    def _held(self, type: str, *held: str) -> Iterator[Catalog]:
        """Earlier rules that are carried for a type, read when they are asked for."""
        for edition in held:
            try:
                with self._turn:
                    with self._store.read() as tx:
                        files = editions.files_of(tx, editions.manifest(tx, edition), self._now.files if self._now else None)
                    found = self._catalog_of(edition, files)
            except SnodoError as error:
                self._log.error("activation.not-carried", type=type, edition=edition[:12], error=repr(error))
                continue
            yield found

    def ring(self) -> None:
        """News: other rules may be in force. Never blocks."""
        self._rung.set()

    def on_swap(self, tell: Callable[[str], object]) -> None:
        """Call ``tell`` with the fingerprint after each swap, in the thread that made it."""
        self._swapped.append(tell)

    def follow(self, every: float) -> None:
        """Look whenever it rings, and every so many seconds, in a thread of its own."""

        def go_on() -> None:
            while not self._over.is_set():
                self._rung.wait(every)
                self._rung.clear()
                if not self._over.is_set():
                    self.look()

        threading.Thread(target=go_on, name="snodo-rules", daemon=True).start()

    def watch(self, folder: Path, say: Callable[[RulesError | None], object], every: float = 0.3) -> None:
        """Activate a folder whenever its files change, in a thread of its own; ``say`` hears the findings, or None when it went well."""
        tried, last = self.now.files, dict[str, tuple[int, int, int]]()

        def look() -> None:
            nonlocal tried, last
            before, last = last, stamps(folder)
            if last == before and (files := files_of(folder)) != tried:  # nobody is writing
                tried = files
                self._try(files, say)

        repeat("snodo-watch", every, self._over, look, lambda error: self._log.error("files.not-watched", error=repr(error)))

    def _try(self, files: Files, say: Callable[[RulesError | None], object]) -> None:
        try:
            if self.activate(files, "watch", "the files changed")["changed"]:
                say(None)
        except RulesError as error:
            say(error)
        except SnodoError as error:
            self._log.error("activation.failed", error=repr(error))

    def close(self) -> None:
        self._over.set()
        self._rung.set()

    # -- telling -----------------------------------------------------------------------------------------------------

    def describe(self) -> JsonObject:
        """What is in force: since when, by whom, why; fingerprints of its parts and files; runs that go on under earlier rules."""
        now = self.now
        known = {route.plan.digest for route in now.catalog.routes.values()}
        with self._store.read() as tx:
            told = _told(tx, now.edition.record)
            earlier = editions.in_flight(tx, known)
        parts: JsonObject = {kind: dict(found) for kind, found in now.parts.items()}
        carried = now.edition.carried
        return {
            **told, "parts": parts, "files": dict(now.edition.manifest["files"]), "earlier": list[JsonValue](earlier),
            "carried": sorted({*carried.get("awaited", ()), *carried.get("sent", ())}),
        }  # fmt: skip

    def history(self, most: int) -> list[JsonObject]:
        """Activations, the newest first."""
        with self._store.read() as tx:
            return [_told(tx, record) for record in editions.history(tx, most)]


class _Raced(Conflict):
    """Other rules came in force between our look and our transaction."""


def _no_routes(sentence: str) -> RulesError:
    hint = "is this the right folder, and is all of it there?"
    finding = Finding("routes", 1, 1, "catalog.no-routes", "error", sentence, hint)
    return RulesError(f"the rules cannot be used: {sentence}", [finding], hint=hint)


def _told(tx: Tx, record: Record) -> JsonObject:
    reason = editions.reason_of(tx, record)
    return {
        "rules": record.rules, "edition": record.data["edition"], "act": record.data["act"], "routes": record.data["routes"],
        "time": text_of(record.time), "actor": record.actor, "as": reason.get("as", ""), "reason": reason.get("text", ""),
        "restores": record.data.get("restores"), "record": record.id,
    }  # fmt: skip


def _earlier(tx: Tx, steps: int, to: str) -> Record:
    """The activation that a rollback goes back to."""
    all_of_them = editions.history(tx, 10_000)
    if to:
        if len(to) < SHORTEST and set(to) <= set("0123456789abcdef"):
            raise Invalid(f"{to} may be the beginning of several", code="rules.too-short", hint=f"say {SHORTEST} digits or more")
        found = next((record for record in all_of_them if str(record.rules).startswith(to)), None)
        if found is None:
            raise NotFound(f"no rules {to} were ever in force here", code="rules.unknown", hint="`bus status --history` lists them")
        return found
    by_id = {record.id: record for record in all_of_them}
    found = all_of_them[0]
    for step in range(steps):
        before = by_id.get(str(found.data.get("before")))
        if before is None:
            hint = "it goes on from where a rollback went; `bus status --history` lists all rules, and --to goes to any of them"
            raise NotFound(f"the way back from the rules in force ends after {step} of {steps} steps", code="rules.unknown", hint=hint)
        found = before
    return found


def _reason(text: str, on_behalf: str) -> JsonObject:
    return {"text": reasons.given(text, "rules.reason-missing"), **({"as": who} if (who := one_line(on_behalf)) else {})}


def _checked(files: Files) -> Files:
    """Files that somebody sent: their names must be those of rules."""
    strange = next((path for path in files if not is_path(path)), None)
    if strange is not None or not files:
        said = "there are no files" if strange is None else f"{strange!r} is no file of rules"
        raise Invalid(said, code="rules.files", hint="routes/**/*.yaml, mappings/**/*.yaml, mappings/tables/*.csv")
    return files


# -- what runs of earlier rules need: by name the edition that has it ---------------------------------------------------------


def _awaited(own: Catalog, now: Now, stays: Callable[[str], bool]) -> dict[str, str]:
    """Types that runs in flight wait for, and that nothing in the new rules waits for."""
    held = now.edition.carried.get("awaited", {})
    return {name: held.get(name, now.edition.id) for name in now.catalog.awaited - own.awaited if name not in held or stays(name)}


def _sent(own: Catalog, now: Now, needed: Callable[[str], bool], stays: Callable[[str], bool]) -> dict[str, str]:
    """Types that runs in flight send, and for which the new rules have no route: with what their routes send in turn."""
    held = now.edition.carried.get("sent", {})
    plans = [route.plan for route in now.catalog.routes.values()]
    takers = [plan for name in held for plan in now.catalog.plans_for(name, sent=True)]
    sent = {step.type for plan in (*plans, *takers) for step in plan.walk() if isinstance(step, SendStep)}
    gone = {plan.on for plan in plans if not own.plans_for(plan.on)}
    going = {name: now.edition.id for name in gone if name in sent or needed(name)}
    return going | {name: edition for name, edition in held.items() if not own.plans_for(name) and stays(name)}


def _changed(own: Catalog, now: Now, stays: Callable[[str], bool]) -> dict[str, list[str]]:
    """Types that are otherwise in the new rules, with the editions in which they were not, the newest first."""
    held = {name: earlier for name, earlier in now.edition.carried.get("changed", {}).items() if stays(name)}
    return held | {name: [now.edition.id, *held.get(name, ())] for name in changed_types(now.catalog, own) if name in own.types}
