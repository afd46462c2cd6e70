"""Anchoring: as long as the process works, the newest checkpoint goes to whoever vouches for it, and what comes back is kept.

Of several processes one does it at a time. Each anchor is asked on its own: one that is away holds up no other, and is asked again at
the next turn. What is late, or failed, is said in a line of the log (`anchor.late`, `anchor.failed`), once and then every hour.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

from bus.anchors import outside
from bus.anchors.lateness import DAILY, REGISTER, TIMESTAMP, WITNESS, Standing, standing
from bus.clock import ROME, Clock, moment_of, text_of, text_of_posix
from bus.config import Anchors, DailyAnchor, Timestamps, WitnessAt
from bus.diagnostics import logger
from bus.engine.arrival import Submission
from bus.engine.intake import Accepted
from bus.engine.leases import Leases
from bus.errors import Conflict, EvidenceError, Refused, SnodoError, StoreError
from bus.log import log, note
from bus.log.checkpoint import checkpoint_of
from bus.log.stored import StoredCheckpoint, StoredTree
from bus.message import Attachment, JsonObject
from bus.store import Row, Store, Tx

DUTY = "anchors"
LATE, FAILED = "late", "failed"
APART = dt.timedelta(hours=1)
"""How far the time of a stamp, or of a cosignature, may be from ours."""
AGAIN = dt.timedelta(hours=1)
"""How long after it was told of what is still late, or fails as before, is told of again."""


class Ways(NamedTuple):
    """What of the bus the daily anchor goes through: like any other message, with a file."""

    send: Callable[[Submission], Future[Accepted]]
    state: Callable[[str], JsonObject]
    keep: Callable[[bytes, str, str], Attachment]
    """Content, media type, name."""


class Anchoring:
    """See the module."""

    def __init__(self, settings: Anchors, store: Store, clock: Clock, leases: Leases, ways: Ways) -> None:
        self._settings, self._store, self._clock, self._leases, self._ways = settings, store, clock, leases, ways
        self._log = logger("snodo.anchors")
        self._told: dict[tuple[str, ...], tuple[str, dt.datetime]] = {}
        self._asked: set[str] = set()
        """Witnesses that have answered us: each is asked once at the start, for a log that was rolled back may have nothing new."""
        self._filed: tuple[str, Attachment] | None = None
        """The day whose last checkpoint was kept as a file, and that file."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="snodo-anchors", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the question that is out, which takes some 15 seconds at most."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(2 * sum(outside.TIMEOUT))

    def _go_on(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = self._settings.every
            try:
                if self._leases.take(DUTY, 60 + 2 * self._settings.every) is not None:
                    self.turn()
                self._goes_on()
            except StoreError as error:
                if self._is_news((FAILED,), error.code):
                    self._log.error("anchor.failed", code=error.code, sentence=error.sentence, hint=error.hint)
            except Exception as error:  # noqa: BLE001 - the anchoring outlives whatever one turn meets
                if self._is_news((FAILED,), repr(error)):
                    self._log.exception("anchor.failed")

    def turn(self) -> list[Standing]:
        """Ask everybody who has not seen the newest checkpoint; how all stand afterwards."""
        with self._store.read() as tx:
            newest = StoredTree(tx).checkpoint()
        if newest is not None:
            for witness in self._settings.witnesses:
                self._quietly(WITNESS, witness.url, partial(self._witness, witness, newest))
            if (stamps := self._settings.timestamps) is not None:
                self._quietly(TIMESTAMP, stamps.url, partial(self._stamp, stamps, newest))
            if (daily := self._settings.daily) is not None:
                self._quietly(REGISTER, DAILY, partial(self._register, daily))
        return self._tell()

    def _quietly(self, kind: str, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except SnodoError as error:
            outside_code = error.outside_code if isinstance(error, Refused) else ""
            if not self._is_news((FAILED, kind, name), f"{error.code} {outside_code} {error.hint}"):  # sentences have sizes in them
                return
            denied = outside_code in outside.DENIED
            say, event = (self._log.error, "log.rolled-back") if denied else (self._log.warning, "anchor.failed")
            say(event, kind=kind, name=name, code=error.code, sentence=error.sentence, hint=error.hint)
        except Exception as error:  # noqa: BLE001 - whatever one anchor meets, the others are asked, and who is late is told
            if self._is_news((FAILED, kind, name), type(error).__name__):
                self._log.exception("anchor.failed", kind=kind, name=name)
        else:
            self._goes_on(kind, name)

    def _witness(self, at: WitnessAt, newest: StoredCheckpoint) -> None:
        key = note.verifier(at.key)
        row = self._last(WITNESS, key.name)
        last = min(row["size"], newest.size) if row else 0
        if last == newest.size and key.name in self._asked:
            return
        signed = note.parse(newest.note)
        signature = outside.cosign(at, signed, last, lambda old: self._proof(old, newest.size))
        self._look_at_time(f"the witness {key.name}", "cosignature", signature.time)
        self._keep(WITNESS, key.name, newest.size, signed.signed(signature).encode())
        self._asked.add(key.name)

    def _proof(self, old: int, size: int) -> list[bytes]:
        with self._store.read() as tx:
            return StoredTree(tx).consistency(old, size)

    def _stamp(self, at: Timestamps, newest: StoredCheckpoint) -> None:
        row, now = self._last(TIMESTAMP, at.url), self._clock.now()
        if row is not None and (row["size"] == newest.size or now - moment_of(row["time"]) < dt.timedelta(seconds=at.every)):
            return
        answer, time = outside.stamp(at.url, newest.note, at.ca.read_bytes(), at.proxy)
        self._look_at_time("the authority", "stamp", int(time.timestamp()))
        self._keep(TIMESTAMP, at.url, newest.size, answer)

    def _look_at_time(self, whose: str, what: str, time: int) -> None:
        """Raises `EvidenceError` where their time (POSIX) is not ours: what is kept is kept for ever."""
        now = self._clock.now()
        if abs(time - int(now.timestamp())) > APART.total_seconds():
            raise EvidenceError(
                f"the time of {whose} is {text_of_posix(time)}, ours {text_of(now)}", code="evidence.timestamp",
                hint=f"one of the clocks is wrong, and so are times of records or of each {what}; no such {what} is kept",
            )  # fmt: skip

    # -- the day's last checkpoint -----------------------------------------------------------------------------------------

    def _register(self, daily: DailyAnchor) -> None:
        """Hand in the last checkpoint of the day that has ended, and look what became of it. The key is the day: it is taken once.

        What was kept at a time that has not come yet was so by a clock that was ahead: the days until then are handed in all the same.
        """
        now = self._clock.now()
        ends = _end_of_day(now, daily.at)
        with self._store.read() as tx:
            last = tx.one("last_anchor", kind=REGISTER, name=DAILY)
            if last is not None and text_of(ends) <= last["time"] <= text_of(now + APART):
                return
            row = tx.one("last_checkpoint_until", time=text_of(ends))
        if row is None or (last is not None and row["size"] <= last["size"]):
            return
        day = _named(ends)
        head = checkpoint_of(note.parse(bytes(row["note"])).text)
        if self._filed is None or self._filed[0] != day:  # once, and not at every turn while the register is away
            self._filed = day, self._ways.keep(bytes(row["note"]), "text/plain", f"sigillo-{day}.txt")
        file = self._filed[1]
        body: JsonObject = {
            "giorno": day, "registro": head.origin, "annotazioni": head.size, "radice": head.root.hex(),
            "sigillo": {"sha256": file.sha256, "name": file.name},
        }  # fmt: skip
        submission = Submission(daily.type, body, "bus", "/anchors", key=f"sigillo-{day}", attachments=(file,))
        message, size, sha256 = self._handed_in(submission, head.size, file.sha256)
        if last is not None and size <= last["size"]:
            return
        state = self._ways.state(message)
        if state["state"] == "done":
            said = {"message": message, "giorno": day, "reply": state["reply"], "sha256": sha256}
            evidence = json.dumps(said, ensure_ascii=False, sort_keys=True)
            self._keep(REGISTER, DAILY, size, evidence.encode())

    def _handed_in(self, submission: Submission, size: int, sha256: str) -> tuple[str, int, str]:
        """The message of a day, with the size of its checkpoint and what that hashes to.

        Where the day was handed in before with another one, by a clock that was ahead, that stands.
        """
        try:
            return self._ways.send(submission).result().id, size, sha256
        except Conflict as stands:
            if "message_id" not in stands.detail:
                raise
            message = str(stands.detail["message_id"])
        with self._store.read() as tx:
            body = log.message(tx, message)[0]["body"]
        return message, int(body["annotazioni"]), str(body["sigillo"]["sha256"])

    # -- what is kept, what is told ------------------------------------------------------------------------------------------

    def _last(self, kind: str, name: str) -> Row | None:
        with self._store.read() as tx:
            return tx.one("last_anchor", kind=kind, name=name)

    def _keep(self, kind: str, name: str, size: int, evidence: bytes) -> None:
        time = text_of(self._clock.now())

        def work(tx: Tx) -> None:
            tx.do("add_anchor", kind=kind, name=name, size=size, time=time, evidence=evidence)

        self._store.write(work).result()
        self._log.info("anchor.kept", kind=kind, name=name, size=size)

    def _is_news(self, about: tuple[str, ...], what: str = "") -> bool:
        """Whether it is to be told: when it begins, when it became another, and every hour."""
        now = self._clock.now()
        told = self._told.get(about)
        if told is not None and told[0] == what and abs(now - told[1]) < AGAIN:
            return False
        self._told[about] = what, now
        return True

    def _goes_on(self, *about: str) -> None:
        if self._told.pop((FAILED, *about), None) is not None:
            self._log.warning("anchor.goes-on", **dict(zip(("kind", "name"), about, strict=False)))

    def _tell(self) -> list[Standing]:
        with self._store.read() as tx:
            all = standing(tx, self._settings, self._clock.now())
        for one in all:
            if not one.late:
                self._told.pop((LATE, one.kind, one.name), None)
            elif self._is_news((LATE, one.kind, one.name)):
                self._log.error("anchor.late", kind=one.kind, name=one.name, size=one.size, seconds=round(one.behind))
        return all


def _end_of_day(now: dt.datetime, at: str) -> dt.datetime:
    """The last time that the clock in Rome showed ``at`` (``HH:MM``): the first of two in October, an hour later in March."""
    today, time = now.astimezone(ROME).date(), dt.time.fromisoformat(at)
    ends = (dt.datetime.combine(today - dt.timedelta(days=ago), time, ROME).astimezone(dt.UTC) for ago in (0, 1))
    return next(end for end in ends if end <= now)


def _named(ends: dt.datetime) -> str:
    """The date of the day that ended then, by the clock of Rome: the one that the greater part of it was, the day before up to noon."""
    return (ends.astimezone(ROME) - dt.timedelta(hours=12)).date().isoformat()
