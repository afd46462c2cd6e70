"""Small logs to tamper with: written by the store and the sequencer of the bus, cosigned by a witness, then copied into memory."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bus.engine import search
from bus.engine.leases import Leases
from bus.engine.projection import Entry, write
from bus.engine.sequencer import Sequencer
from bus.log.checkpoint import checkpoint_of
from bus.log.note import COSIGNATURE, Note, Signer, parse
from bus.log.payload import BINDING, SEALED_NONCE, TAG, Sealed, new_nonce, payload_key, sealed_again
from bus.log.record import Commitment, Record
from bus.log.stored import StoredTree
from bus.log.verify import Trust
from bus.message import canonical, new_id, parsed
from bus.store import Key, Store, Tx
from bus.store.opening import open_store
from bus.store.sqlite import SqliteConnection
from tests.clocks import FixedClock
from tests.tamper.salamander import ciphertext

ORIGIN = "prova.example/log"
NOW = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
NEVER = "2100-01-01T00:00:00.000Z"
WITNESS = Signer.new("testimone.example/t1", COSIGNATURE)
RULES = canonical({"route": "prova.percorso"})
DIGEST = hashlib.sha256(RULES).hexdigest()
TRIGGERS = ("SELECT name FROM sqlite_master WHERE type = 'trigger'", "DROP TRIGGER {}")


class Leaf(NamedTuple):
    seq: int
    id: str
    content: bytes


class Opening(NamedTuple):
    """A payload whose ciphertext two keys open; it was sealed with the first, and the record committed to that."""

    payload: str
    right: Key
    wrong: Key


class Disposed(NamedTuple):
    """The wire bytes of ``messages`` were too old: ``payloads`` are gone, and the record ``leaf`` says why."""

    leaf: int
    messages: frozenset[str]
    payloads: frozenset[str]


class Small(NamedTuple):
    """A log as bytes of a database, and what an auditor would have from elsewhere."""

    raw: bytes
    signer: Signer
    leaves: tuple[Leaf, ...]
    checkpoints: tuple[Note, ...]
    cosigned: tuple[int, ...]
    erased: frozenset[str] = frozenset()
    """Messages of a person who was erased: their payloads are gone."""
    opening: Opening | None = None
    disposed: Disposed | None = None

    @property
    def trust(self) -> Trust:
        return Trust((self.signer.verifier,), (WITNESS.verifier,))

    @property
    def sizes(self) -> list[int]:
        return [checkpoint_of(note.text).size for note in self.checkpoints]


def make(folder: Path, rng: random.Random, size: int) -> Small:
    """A log as a file, read into memory."""
    path = folder / f"{rng.random()}.db"
    small = write_log(f"sqlite:///{path}", rng, size)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.executemany("DELETE FROM payloads WHERE message = ?", [(message,) for message in small.erased])
        raw.executemany("DELETE FROM payloads WHERE id = ?", [(one,) for one in small.disposed.payloads] if small.disposed else [])
        raw.commit()
        raw.execute("PRAGMA journal_mode=DELETE")
        content = raw.serialize()
    raw.close()
    path.unlink()
    return small._replace(raw=content)


def write_log(url: str, rng: random.Random, size: int) -> Small:
    """``size`` records in turns of random length, behind the one that says the key; each with payloads; a cosignature now and then."""
    store, clock, signer = open_store(url), FixedClock(NOW), Signer.new(ORIGIN)
    sequencer = Sequencer(store, clock, Leases(store, clock, "prova"), ORIGIN, [signer], lambda: 0.0)
    sequencer.turn()
    store.write(lambda tx: tx.do("add_rules", digest=DIGEST, kind="route", content=RULES)).result()
    left, cosigned, story = size, [], Story(rng)
    while left > 0:
        some = min(left, rng.choice((1, 1, 2, 3, 7, 20, 60)))
        store.write(lambda tx, some=some: [story.add(tx) for _ in range(some)]).result()
        left -= some
        sequencer.turn()
        if rng.random() < 0.4 or left <= 0:
            cosigned.append(_cosign(store))
    sealed, opening = sealed_for_two_keys(rng)
    record = Record(new_id(), "access", NOW, payloads=(sealed.commitment,))
    store.write(lambda tx: write(tx, Entry(record, (sealed,)))).result()
    sequencer.turn()
    cosigned.append(_cosign(store))
    erased = _erase(store, rng) if rng.random() < 0.3 else frozenset()
    if erased:
        sequencer.turn()
        cosigned.append(_cosign(store))
    gone = _dispose(store, rng) if rng.random() < 0.5 else None
    if gone:
        sequencer.turn()
        cosigned.append(_cosign(store))
    while rng.random() < 0.9 and search.trace(store):
        pass
    with store.read() as tx:
        rows = tx.all("whole_records_after", after=0, most=StoredTree(tx).size())
        leaves = tuple(Leaf(row["seq"], row["id"], row["content"]) for row in rows)
        notes = tuple(parse(row["note"]) for row in tx.all("checkpoints_beyond", size=0, until=10**9, most=10**6))
    store.close()
    disposed = Disposed(next(n for n, leaf in enumerate(leaves) if leaf.id == gone[0]), *gone[1:]) if gone else None
    return Small(b"", signer, leaves, notes, tuple(cosigned), erased, opening, disposed)


def _erase(store: Store, rng: random.Random) -> frozenset[str]:
    with store.read() as tx:
        messages = sorted({row["message"] for row in tx.all("whole_records_after", after=0, most=1000) if row["message"]})
    gone = rng.sample(messages, min(2, len(messages)))
    record = Record(new_id(), "erased", NOW, actor="chiara", data={"messages": gone, "files": [], "keys": []})
    store.write(lambda tx: write(tx, Entry(record))).result()
    return frozenset(gone)


def _dispose(store: Store, rng: random.Random) -> tuple[str, frozenset[str], frozenset[str]] | None:
    """The wire bytes of some messages: the record that says so, those messages, those payloads; None where there are no wire bytes."""
    with store.read() as tx:
        lines = [parsed(row["content"]) for row in tx.all("whole_records_after", after=0, most=10**6)]
    wires: dict[str, set[str]] = {}
    for line in lines:
        for one in line.get("payloads", ()):
            if one["role"].startswith("wire"):
                wires.setdefault(line["message"], set()).add(one["id"])
    if not wires:
        return None
    some = frozenset(rng.sample(sorted(wires), min(len(wires), rng.randrange(1, 4))))
    data = {
        "what": "wire",
        "before": "2026-01-01T00:00:00.000Z",
        "messages": [],
        "wires": sorted(some),
        "files": [],
        "records": [],
        "keys": [],
    }
    record = Record(new_id(), "disposed", NOW, actor="chiara", data=data)
    store.write(lambda tx: write(tx, Entry(record))).result()
    return record.id, some, frozenset(one for message in some for one in wires[message])


class Story:
    """Messages come in, some with the key of a matter that was there before; their runs ask, wait, are replied to, end, are redelivered."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._open: list[tuple[str, str]] = []
        self._dead: list[tuple[str, str]] = []
        self._matters: list[str] = []
        self._number = 0

    def add(self, tx: Tx) -> None:
        """One record, with one or two payloads, and what it makes of the tables."""
        if not self._open or self._rng.random() < 0.3:
            self._receive(tx)
        elif self._dead and self._rng.random() < 0.3:
            self._redeliver(tx)
        else:
            self._go_on(tx)

    def _go_on(self, tx: Tx) -> None:
        at = self._rng.randrange(len(self._open))
        message, run = self._open[at]
        kind = self._rng.choice(("asked", "answered", "replied", "parked", "waiting", "waiting", "matched", "done", "done", "dead"))
        data = {
            "parked": {"state": "waiting"}, "done": {"state": "done"}, "dead": {"state": "dead", "code": "prova.rotta"},
            "answered": {"adapter": "prova", "facts": [["stato", f"token-{self._rng.randrange(9)}"]]}, "asked": self._numbered(),
            "waiting": {"type": "prova.sveglia", "deadline": NEVER, "key": ["pratica", self._matters[-1]]}, "matched": {"arrival": message},
        }.get(kind, {})  # fmt: skip
        self._write(tx, kind, message, run, data, "reply" if kind == "replied" else "answer")
        if kind == "dead":
            self._dead.append(self._open[at])
        if kind in ("done", "dead"):
            del self._open[at]

    def _numbered(self) -> dict[str, Any]:
        """What a call tells of the number it took, if it took one: those of a sequence that come once and in order."""
        self._number += self._rng.randrange(2)
        return {"sequence": "prova.numeri", "number": self._number} if self._number else {}

    def _receive(self, tx: Tx) -> None:
        message, run = new_id(), new_id()
        matter = self._rng.choice(self._matters) if self._matters and self._rng.random() < 0.3 else f"token-{self._rng.random()}"
        data = {
            "type": "prova.messaggio", "sender": "portale", "intake": [["key portale", new_id()]][: self._rng.randrange(2)],
            "content": new_id(), "keys": {"pratica": matter},
            "runs": [{"id": run, "route": "prova.percorso", "version": 1, "digest": DIGEST, "ordered": True}],
        }  # fmt: skip
        self._write(tx, "received", message, None, data, "message")
        self._matters.append(matter)
        self._open.append((message, run))

    def _redeliver(self, tx: Tx) -> None:
        message, run = self._dead.pop(self._rng.randrange(len(self._dead)))
        self._write(tx, "redelivered", message, run, {"state": "ready"}, "reason")
        self._open.append((message, run))

    def _write(self, tx: Tx, kind: Any, message: str, run: str | None, data: dict[str, Any], role: str) -> None:
        roles = [role, *["facts"][: "facts" in data], *self._rng.sample(("wire-in", "wire-out"), self._rng.randrange(2))]
        sealed = tuple(sealed_with(self._rng, one, canonical({"x": self._rng.random()})) for one in roles)
        committed = tuple(one.commitment for one in sealed)
        record = Record(
            new_id(), kind, NOW, message=message, run=run, payloads=committed, data=data, place="prova.percorso@1" if run else None,
            path=self._rng.choice("ab") if kind in ("waiting", "matched") else None,
        )  # fmt: skip
        write(tx, Entry(record, sealed))


def sealed_with(rng: random.Random, role: str, text: bytes) -> Sealed:
    """A payload as it is stored: verifying does not open it."""
    nonce, content = rng.randbytes(SEALED_NONCE), text + rng.randbytes(TAG + BINDING)
    return Sealed(Commitment(role, hashlib.sha256(nonce + content).hexdigest(), len(text), "application/json"), nonce, content)


def sealed_for_two_keys(rng: random.Random) -> tuple[Sealed, Opening]:
    """What a dishonest operator seals, to say one thing today and another tomorrow."""
    right, wrong = (Key(1, rng.randbytes(32)) for _ in range(2))
    nonce, text = new_nonce(right), b'{"esito": "accolta", "nota": ""}'
    content = ciphertext(payload_key(right, nonce), payload_key(wrong, nonce), nonce[-12:], text)
    plain = AESGCM(payload_key(right, nonce)).decrypt(nonce[-12:], content, None)
    binding = sealed_again(nonce, plain, right)[-BINDING:]
    identity = hashlib.sha256(nonce + content + binding).hexdigest()
    sealed = Sealed(Commitment("body", identity, len(plain), "application/json"), nonce, content + binding)
    return sealed, Opening(identity, right, wrong)


def _cosign(store: Store) -> int:
    with store.read() as tx:
        newest = StoredTree(tx).checkpoint()
    note = parse(newest.note)
    evidence = note.signed(WITNESS.sign(note.text, 1_800_000_000)).encode()
    store.write(
        lambda tx: tx.do("add_anchor", kind="witness", name=WITNESS.verifier.name, size=newest.size, time="", evidence=evidence)
    ).result()
    return newest.size


@contextmanager
def copied(small: Small) -> Iterator[sqlite3.Connection]:
    """A copy in memory without the triggers, as somebody with the file and a tool has it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        raw.deserialize(small.raw)
        for (name,) in raw.execute(TRIGGERS[0]).fetchall():
            raw.execute(TRIGGERS[1].format(name))
        yield raw


def reader(raw: sqlite3.Connection):
    """The function that opens views, as `bus.store.opening.open_reader` gives it."""
    connection = SqliteConnection(Path("memory"), read_only=True, opened=lambda _: raw)

    @contextmanager
    def read():
        with connection.view():
            yield connection

    return read
