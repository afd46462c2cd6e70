"""The house: everything put together from the settings. Doors (`bus.web`, `bus.cli`) open onto this.

::

    door → intake → log → channel → engine → step → adapter, and home

`App` is one process of the bus, in one of three roles: ``all`` (doors and engine together: the embedded default), ``web`` (doors only)
and ``worker`` (engine and pollers only). The last two share a PostgreSQL store and a broker with any number of others.
"""

from __future__ import annotations

import datetime as dt
import io
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Literal, TypeAlias

from bus import channel as channels
from bus import failpoint, reports
from bus.activation import NEWS, Activation
from bus.adapter import Adapter, Endpoint
from bus.anchors.anchoring import Anchoring, Ways
from bus.anchors.lateness import expected, standing
from bus.catalog import Catalog
from bus.channel import Channel
from bus.clock import Clock, SharedClock, SystemClock, text_of
from bus.config import Config
from bus.diagnostics import configure, logger
from bus.engine import accesses, dead, inquiry, least, searching, watching
from bus.engine.accesses import NOBODY, Looker
from bus.engine.adapter_door import AdapterDoor
from bus.engine.arrival import Submission
from bus.engine.attachments import Attachments
from bus.engine.backlog import Backlog
from bus.engine.circuit import Habits
from bus.engine.destruction import Destruction
from bus.engine.engine import Engine, Pace
from bus.engine.faltering import repeat
from bus.engine.intake import Accepted, Intake
from bus.engine.leases import Leases
from bus.engine.lifeline import Lifelines
from bus.engine.outside import Outside
from bus.engine.polling import Polling
from bus.engine.presence import Presence, facts_of, gates, processes
from bus.engine.projection import Entry, write
from bus.engine.search import Question
from bus.engine.sequencer import Sequencer
from bus.engine.words import LANE, RUN, Bulletin
from bus.errors import UNOPENED, ConfigError, Conflict, StoreError
from bus.log import keys
from bus.log.checkpoint import RECEIPTS
from bus.log.keystore import unlock
from bus.log.log import Owner
from bus.log.receipt import Promises, of_message
from bus.message import JsonObject, JsonValue
from bus.news import News
from bus.route.plan import Plan
from bus.rulefiles import Files
from bus.store import Tx
from bus.store.opening import doubts, open_store
from bus.store.writer import FALLEN
from bus.systems import adapters_of, minima_of, operations_of

Role: TypeAlias = Literal["all", "web", "worker"]
STUCK = 15.0
"""Seconds of one transaction after which a process does not call itself well."""
FOLLOW = 10.0
"""Seconds between two looks at the database's clock."""


def refuse_unsafe(config: Config, role: Role) -> None:
    """Raises `ConfigError` where the settings are unsafe, or would let processes of this role lose sight of each other."""
    for doubt in channels.refuse_unsafe(config.channel.url, config.channel.options):
        logger("snodo.channel").warning("channel.doubtful", sentence=doubt)
    for doubt in doubts(config.store.url):
        logger("snodo.store").warning("store.doubtful", sentence=doubt)
    if role == "all":
        return
    if not config.store.shared:
        raise ConfigError(
            f"bus {role} is one of several processes, and {config.store.url.partition(':')[0]} is for one alone", code="config.not-shared",
            hint="set store.url to postgresql://…, or run everything in one process: bus serve",
        )  # fmt: skip
    if not config.channel.shared:
        raise ConfigError(
            f"bus {role} is one of several processes, and memory:// is heard in one process alone", code="config.not-shared",
            hint="set channel.url to amqp://user@host/vhost, or run everything in one process: bus serve",
        )  # fmt: skip


class App:
    """One process of the bus. ``start`` begins to work, ``stop`` ends gracefully; everything else is thread-safe in between."""

    def __init__(
        self, config: Config, *, role: Role = "all", clock: Clock | None = None, adapters: Mapping[str, Adapter] | None = None
    ) -> None:
        configure(config.log_level)
        if point := failpoint.armed():
            logger("snodo.app").warning("failpoint.armed", point=point, sentence="this process will kill itself: it is under test")
        refuse_unsafe(config, role)
        self.config, self.role = config, role
        self.adapters = dict(adapters if adapters is not None else adapters_of(config))
        least.check(config.retention, minima_of(self.adapters))
        self.leaving = False
        """Whether the process was told to stop: whoever waits for news is answered with what is there."""
        self.unfit: StoreError | None = None
        """Why this process can work no more until another program takes its place."""
        self.on_unfit: Callable[[], None] = lambda: None
        self._stopped = threading.Event()
        self.store = open_store(config.store.url, exclusive=True)
        try:
            self._begin(clock)
            self._furnish()
        except BaseException:
            self.store.close()
            raise

    def _begin(self, clock: Clock | None) -> None:
        """What must be there before anything works: the keys, the time, nothing left that is to be destroyed, the rules."""
        self.keys = unlock(self.store, self.config.keystore)
        self.store.refuse_old()
        self.clock = clock or (SharedClock(self.store.now) if self.config.store.shared else SystemClock())
        self.attachments = Attachments(self.config.attachments.folder, self.store, self.clock, self.config.attachments.limit)
        self.destruction = Destruction(
            self.config.retention, minima_of(self.adapters), self.store, self.clock, self.keys, self.attachments
        )  # fmt: skip
        self.destruction.again()
        self._started = self.clock.now()
        self.rules = Activation(self.store, self.clock, operations_of(self.adapters))
        self.rules.begin(self.config.rules, activate=self.config.activate_at_start)

    def _furnish(self) -> None:
        """The rooms of the house, each with what it needs of the others."""
        config, role = self.config, self.role
        if config.store.shared:
            self.attachments.agree()
        self.attachments.clear()
        self.outside = Outside(self.adapters, self.attachments, config.engine.threads)
        self.channel = Channel(config.channel.url, log=self._say, options=config.channel.options)
        self.backlog = Backlog(self.store, self.clock, config.engine.backlog)
        circuit = Habits(**config.engine.circuit.model_dump())
        pace = Pace(lease=config.engine.lease, sweep=config.engine.sweep, phase=random.random(), circuit=circuit)  # noqa: S311 - no secret
        self.engine = Engine(
            self.store, self.catalog, self.outside, self.clock, self.channel.publish, pace, self._tell, look=self.rules.look,
            heard=self.hear_failure,
        )  # fmt: skip
        host = self.engine if role == "all" else None
        self.intake = Intake(self.store, self.catalog, self.clock, self.channel.publish, self.backlog, host, self._promises())
        self.reports = reports.of_adapters(self.adapters)
        self.news = News()
        self.leases = Leases(self.store, self.clock, self.engine.owner)
        self.polling = Polling(self.store, self.clock, self.door, self.leases if config.store.shared else None)
        self.sequencer = self._sequencer()
        ways = Ways(self.send, self.message, lambda content, media, name: self.attachments.save(io.BytesIO(content), media, name))
        self.anchoring = Anchoring(config.anchors, self.store, self.clock, self.leases, ways)
        self._presence = self._present() if config.store.shared else None

    def _present(self) -> Presence:
        lifelines = Lifelines(self.config.attachments.folder)
        presence = Presence(
            self.store, self.clock, self.engine.owner, self.role, self.catalog().digest, self.engine.works_beside, self._gates, lifelines,
            self.hear_failure,
        )  # fmt: skip
        self.rules.on_swap(presence.works_under)
        return presence

    def catalog(self) -> Catalog:
        """The rules in force."""
        return self.rules.catalog()

    def start(self) -> None:
        self.channel.check()
        if self.role != "worker" or any(one.in_lane for adapter in self.adapters.values() for one in adapter.operations.values()):
            self.channel.on_news(self._hear)
        if self._presence is not None:
            self._presence.begin()
        if isinstance(self.clock, SharedClock):
            repeat("snodo-clock", FOLLOW, self._stopped, partial(self._follow, self.clock), self._not_followed)
        self.rules.follow(self.config.engine.sweep)
        if self.role == "web":
            return
        self.destruction.start(self.leases)
        if not self.config.store.shared:
            self.engine.take_over()
        self.engine.start()
        if self.sequencer is not None:
            self.sequencer.start(alone=not self.config.store.shared)
        if expected(self.config.anchors):
            self.anchoring.start()
        self.channel.consume(self.engine.ring)
        for name, adapter in self.adapters.items():
            for poller in adapter.pollers():
                self.polling.start(name, poller)

    def stop(self) -> None:
        self._stopped.set()
        self.destruction.stop()
        self.rules.close()
        self.polling.stop()
        if self.role != "web":
            self.engine.stop(self.config.engine.stop)
        self.anchoring.stop()
        if self.sequencer is not None:
            self.sequencer.stop()
        self.channel.close()
        self.outside.close(1.0)
        self.backlog.close()
        self._leave()
        self.store.close()

    def hear_failure(self, error: Exception) -> None:
        """Something failed; thread-safe. A database that got another schema while we ran, or to which nobody writes any more, is told
        once, and ends the process.
        """
        if isinstance(error, StoreError) and error.code in ("store.schema", FALLEN) and self.unfit is None:
            self.unfit = error
            logger("snodo.app").error("process.unfit", code=error.code, sentence=f"{error.sentence}: this process ends", hint=error.hint)
            self.on_unfit()

    def _leave(self) -> None:
        """Give duties to the other processes and say good-bye; where the store is away, leases run out by themselves."""
        try:
            if self.role != "web":
                self.leases.give_back()
            if self._presence is not None:
                self._presence.end()
        except StoreError as error:
            logger("snodo.app").warning("duties.not-left", error=repr(error))

    def _promises(self) -> Promises | None:
        """The log is told of a door's key before the first receipt. None in a worker: it has no door."""
        settings = self.config.log
        if self.role == "worker":
            return None
        signer = keys.at(settings.receipt_key, f"{settings.origin}{RECEIPTS}", makes=True)

        def announce(tx: Tx) -> None:
            if not any(str(signer.verifier) in record.data["keys"] for record in keys.history(tx, "receipts")):
                write(tx, Entry(keys.announcement("receipts", settings.origin, [signer], self.clock)))

        self.store.write(announce).result()
        return Promises(signer, settings.origin, settings.promise)

    def _sequencer(self) -> Sequencer | None:
        """What numbers and signs the log; None in a process that does not: a door, or a worker on a machine without the log's key."""
        settings = self.config.log
        if self.role == "web":
            return None
        with self.store.read() as tx:
            history = keys.history(tx, "checkpoints")
        signed = bool(history)
        if self.role == "worker" and signed and not settings.key.exists():
            logger("snodo.app").warning("log.no-key", sentence=f"no key in {settings.key}: other workers number and sign the log")
            return None
        files = [(settings.key, not signed), *([(settings.previous_key, False)] if settings.previous_key else [])]
        signers = [keys.at(path, settings.origin, makes=makes) for path, makes in files]
        keys.follows(history, settings.origin, signers, settings.lost_keys)  # refuses a key that is not the log's
        return Sequencer(self.store, self.clock, self.leases, settings.origin, signers, lost=settings.lost_keys)

    def _follow(self, clock: SharedClock) -> None:
        """Both are the database's to tell: the time, and whether it is still the one that goes on."""
        clock.follow()
        self.store.refuse_old()

    def _not_followed(self, error: Exception) -> None:
        """The database's time cannot be asked: meanwhile the running time does. Or it is an old primary, which is left."""
        if isinstance(error, StoreError) and error.code == "store.old-primary":
            logger("snodo.store").error(error.code, sentence=error.sentence, hint=error.hint)
            return
        logger("snodo.clock").warning("clock.not-followed", error=repr(error))

    def _say(self, event: str, detail: str) -> None:
        logger("snodo.channel").warning(event, detail=detail)

    # -- news --------------------------------------------------------------------------------------------------------

    def _tell(self, news: Bulletin) -> None:
        """Hand what our engine replied to those who wait for it here, and tell everybody else, here and elsewhere, that there is news."""
        self.news.tell({message: reply for message, reply in news.items() if reply is not None})
        self.channel.publish_news(news)

    def _hear(self, messages: Sequence[str]) -> None:
        """Wake those who wait for the reply of a message; among them may be word of other rules, or among engines."""
        for message in messages:
            if message == NEWS:
                self.rules.ring()
            elif message.startswith((LANE, RUN)) and self.role != "web":  # the engine of a door does not turn: it would keep what it hears
                self.engine.hear(message)
        self.news.tell(dict.fromkeys(messages))

    # -- reading -----------------------------------------------------------------------------------------------------

    def message(self, identity: str, *, said: bool = True) -> JsonObject:
        """See `bus.engine.inquiry.message`; for the bus itself and for the sender of the message."""
        with self.store.read() as tx:
            return inquiry.message(tx, identity, self._now(), said=said)

    def open_message(self, identity: str, looker: Looker) -> JsonObject:
        """A message with its body and its reply as somebody may see them; that it was opened is recorded first.

        A reply that nobody can open hides nothing else: ``unopened`` says why.
        """
        self.store.write(lambda tx: accesses.look(tx, looker, "message", self.clock, message=identity)).result()
        types = self.catalog().types
        with self.store.read() as tx:
            shown, row = inquiry.message(tx, identity, self._now(), said=False), tx.one("message", id=identity)
            said = accesses.said(tx, identity, types, looker)
            try:
                reply = inquiry.reply(tx, row["reply"] if row else None)
            except UNOPENED as error:
                return {**shown, **said, "unopened": {"reply": error.sentence}}
            return {**shown, **said, "reply": accesses.replied(reply, str(shown["type"]), types, looker)}

    def receipt(self, identity: str) -> str:
        """The receipt that was given for a message, as it was; empty when none was."""
        with self.store.read() as tx:
            return of_message(tx, identity)

    def case(self, key: str, *, sender: str | None = None, after: int = 0, most: int = inquiry.MOST_RECORDS) -> JsonObject:
        """See `bus.engine.inquiry.case`."""
        with self.store.read() as tx:
            return inquiry.case(tx, key, self._now(), sender=sender, after=after, most=most)

    def run(self, identity: str, after: int = 0, most: int = inquiry.MOST_RECORDS) -> JsonObject:
        """See `bus.engine.inquiry.run`."""
        with self.store.read() as tx:
            return inquiry.run(tx, identity, self._now(), after=after, most=most)

    def runs(
        self, state: str | None = None, route: str | None = None, most: int = 50, held: bool | None = None
    ) -> list[JsonObject]:  # fmt: skip
        """See `bus.engine.inquiry.runs`."""
        with self.store.read() as tx:
            return inquiry.runs(tx, self._now(), state, route, most, held)

    def records(self, what: Owner, key: str, after: int = 0, most: int = inquiry.MOST_RECORDS) -> JsonObject:
        """See `bus.engine.inquiry.records`."""
        with self.store.read() as tx:
            return inquiry.records(tx, what, key, after, most)

    def tail(self, after: int | None, most: int, wanted: watching.Filter, at: str = "") -> JsonObject:
        """See `bus.engine.watching.tail`."""
        with self.store.read() as tx:
            return watching.tail(tx, after, most, wanted, at)

    def search(self, question: Question, most: int, after: str = "", looker: Looker = NOBODY) -> JsonObject:
        """See `bus.engine.searching.find`."""
        return searching.find(self.store, self.clock, self.catalog().types, question, most, after, looker)

    def top(self) -> JsonObject:
        """See `bus.engine.watching.top`; with the gates of all processes, and what the whole bus has to do."""
        now = self.clock.now()
        with self.store.read() as tx:
            shown = watching.top(tx, now)
            present = self.at_work(tx, now)
            others = gates(tx, now, but=self.engine.owner)
        return {
            **watching.with_gates(shown, [self._gates(), *others]),
            "time": text_of(now),
            "rules": self.catalog().digest,
            "processes": list[JsonValue](present),
        }

    def at_work(self, tx: Tx, now: dt.datetime) -> list[JsonObject]:
        """All that are at work; on a database that is for one process this one, which tells nobody."""
        if self._presence is not None:
            return processes(tx, now)
        rules = self.catalog().digest
        return [{**facts_of(self.engine.owner, self.role, rules, self._started), "seen": text_of(now), "silent": 0.0}]

    def _gates(self) -> JsonObject:
        """The gates of this process; a door has none."""
        found: Any = {} if self.role == "web" else self.engine.describe()["gates"]
        return dict(found)

    def _now(self) -> str:
        return text_of(self.clock.now())

    # -- people's acts on dead letters -------------------------------------------------------------------------------

    def open_letter(self, run: str, looker: Looker) -> dead.Letter:
        """See `bus.engine.dead.open_letter`."""
        return self.store.write(lambda tx: dead.open_letter(tx, run, looker, self.clock)).result()

    def open_evidence(self, run: str, identity: str, looker: Looker) -> tuple[bytes, str]:
        """See `bus.engine.dead.open_evidence`."""
        return self.store.write(lambda tx: dead.open_evidence(tx, run, identity, looker, self.clock)).result()

    def letters(self, code: str | None, route: str | None, after: str | None, most: int) -> JsonObject:
        """See `bus.engine.dead.letters`."""
        with self.store.read() as tx:
            return dead.letters(tx, self._now(), code, route, after, most)

    def redeliver(self, run: str, actor: str, reason: str, *, current_rules: bool = False) -> None:
        """Make a dead run ready again; with ``current_rules`` under the route as it is now."""
        rules = self._current_plan(run) if current_rules else None
        self._act(run, lambda tx: dead.redeliver(tx, run, actor, reason, self.clock, rules))

    def decide(self, run: str, actor: str, reason: str, decision: dead.Decision, answer: JsonValue = None) -> None:
        """Say what became of a call in doubt."""
        self._act(run, lambda tx: dead.decide(tx, run, actor, reason, self.clock, decision, answer))

    def discard(self, run: str, actor: str, reason: str) -> None:
        """Give a run up that is dead, or waits."""
        self._act(run, lambda tx: dead.discard(tx, run, actor, reason, self.clock))

    def _act(self, run: str, work: Callable[[Tx], None]) -> None:
        self.store.write(work).result()
        self.channel.publish([run])

    def _current_plan(self, run: str) -> Plan:
        name = str(self.run(run)["route"])
        route = self.catalog().routes.get(name)
        if route is None:
            hint = "without the current rules it goes on under those that it had; or put the route in force again"
            raise Conflict(f"no route {name} is in force", code="dead.no-route", hint=hint)
        return route.plan

    # -- what is looked at, by whom ----------------------------------------------------------------------------------

    def announce_read(self, looker: Looker, act: accesses.Act, scope: JsonObject) -> str:
        """Write in the log that a command is about to show what was said; the id of the record. Raises `Invalid`."""
        return self.store.write(lambda tx: accesses.announce(tx, looker, act, scope, self.clock)).result()

    def announce_replay(self, actor: str, purpose: str, scope: JsonObject) -> str:
        """Write in the log that somebody recomputes runs: ``what``, ``bundle``, or a time. Raises `Invalid`."""
        return self.store.write(lambda tx: accesses.announce_replay(tx, actor, purpose, scope, self.clock)).result()

    def report(self, name: str, since: dt.datetime, until: dt.datetime, looker: Looker, after: int = 0) -> reports.Page:
        """A page of a report; that it was given is recorded first. Raises `NotFound`, `Invalid`."""
        report = reports.named(self.reports, name)
        self.store.write(lambda tx: reports.export(tx, self.clock.now(), report, since, until, looker)).result()
        with self.store.read() as tx:
            return reports.page(tx, report, since, until, after)

    def accessed(self, events: Sequence[reports.Access]) -> None:
        """Keep in the log who came in, went, or was refused."""
        now = self.clock.now()
        self.store.write(lambda tx: reports.keep(tx, now, events)).result()

    # -- the rules ---------------------------------------------------------------------------------------------------

    def activate(self, files: Files | None, actor: str, reason: str, **how: str) -> JsonObject:
        """Put other rules in force, those of our own folder without ``files``; see `bus.activation.Activation.activate`."""
        told = self.rules.activate(self.config.rules if files is None else files, actor, reason, **how)
        self.channel.publish_news([NEWS])
        return told

    def rollback(self, actor: str, reason: str, **how: Any) -> JsonObject:
        """Put earlier rules in force again; see `bus.activation.Activation.rollback`."""
        told = self.rules.rollback(actor, reason, **how)
        self.channel.publish_news([NEWS])
        return told

    def rules_in_force(self) -> JsonObject:
        """See `bus.activation.Activation.describe`; and which process works under which rules, what the settings were at its start."""
        with self.store.read() as tx:
            present = self.at_work(tx, self.clock.now())
        return {**self.rules.describe(), "processes": list[JsonValue](present), "settings": dict(self.config.fingerprints)}

    # -- the adapters' doors -----------------------------------------------------------------------------------------

    def endpoints(self) -> list[tuple[str, Endpoint]]:
        """Where outside systems call us: adapter name and endpoint."""
        return [(name, endpoint) for name, adapter in self.adapters.items() for endpoint in adapter.endpoints()]

    def door(self, adapter: str) -> AdapterDoor:
        """What an endpoint or a poller of one adapter is given."""
        return AdapterDoor(adapter, self.store, self.clock, self.send)

    def send(self, submission: Submission) -> Future[Accepted]:
        """See `bus.engine.intake.Intake.send`."""
        return self.intake.send(submission)

    # -- how it is ---------------------------------------------------------------------------------------------------

    def well(self) -> bool:
        """Whether this process does what it is there for, whatever the database or others do; a glance from another thread."""
        if self.role == "web":
            return True
        return not (self.engine.stuck() or self.engine.fallen() or (self.sequencer is not None and self.sequencer.fallen()))

    def status(self) -> JsonObject:
        """How the bus is, for `/status`; no personal data. Raises `StoreError` while the store does not answer, or takes nothing."""
        store = dict(self.store.describe())
        if (failing := self.store.failing()) is not None:
            raise failing.with_traceback(None)
        self.store.keys.stock()
        if store.get("writing_for", 0) > STUCK:
            raise StoreError(
                f"the database has not ended a transaction of {store['writing_for']:g} s", code="store.stuck",
                hint="does somebody hold a lock on a table, or is a synchronous standby away? bus doctor looks",
            )  # fmt: skip
        with self.store.read() as tx:
            present = self.at_work(tx, self.clock.now())
            anchors: list[JsonValue] = [dict(one._asdict()) for one in standing(tx, self.config.anchors, self.clock.now())]
        return {
            "role": self.role, "time": self._now(), "rules": self.catalog().digest, "routes": len(self.catalog().routes),
            "adapters": list[JsonValue](sorted(self.adapters)), "engine": self.engine.describe(), "channel": self.channel.describe(),
            "store": store, "processes": list[JsonValue](present), "anchors": anchors,
        }  # fmt: skip
