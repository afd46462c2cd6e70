"""Whether the log is what was signed: every record hashed again, every stored root, signature and payload compared. It only reads.

Records are hashed in their order; at the size of every checkpoint the root must be the one that was signed. What an auditor holds
(checkpoints, public keys of witnesses) counts more than what the database says: whoever has the log's key can sign another history, but
not one that a witness has not seen. Where the tree as it is stored still has the signed root, its leaves tell which record is wrong
(`bus.log.diagnosis`); where it was changed too, the fault is named as the leaves between two roots that are right.
"""

from __future__ import annotations

import heapq
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any, NamedTuple

from bus.errors import EvidenceError
from bus.jsontext import dumps
from bus.log import diagnosis, note, tables, timestamp
from bus.log.checkpoint import Checkpoint, checkpoint_of, cosigned
from bus.log.diagnosis import Broken, Fault, Line, octets
from bus.log.note import Note, Verifier
from bus.log.payload import matches
from bus.log.stored import StoredCheckpoint, StoredTree
from bus.log.tiles import HEIGHT, WIDTH, Edge, Tile
from bus.log.tree import HASH, leaf_hash
from bus.message import parsed
from bus.store import Row, Tx

Read = Callable[[], AbstractContextManager[Tx]]
"""A new view of the database."""
Told = Callable[[int, int, Callable[[], "State"]], None]
"""Hears after each stretch how many leaves are done, how many there are, and how to go on from there."""
PAGE = 2048
STORED, WITNESS, HELD = range(3)
"""Who vouches for a root; of one size the log itself is asked first."""
COLUMNS = ("id", "kind", "time", "message", "run")
"""Of a record: what repeats its content for searching."""
_IN_COLUMNS = operator.itemgetter(*COLUMNS)


class Trust(NamedTuple):
    """What the auditor has from elsewhere. Without ``keys`` the log's own word is taken for its first key, which proves less.

    ``held``: signed checkpoints. ``witnesses``: public keys; a log without a cosignature of each of them is not what it claims to be.
    ``authorities``: root certificates (PEM) of time-stamping authorities; without them stamps are not looked at.
    """

    keys: tuple[Verifier, ...] = ()
    witnesses: tuple[Verifier, ...] = ()
    held: tuple[Note, ...] = ()
    authorities: bytes = b""


GONE = frozenset({"erased", "disposed"})
"""Records that say why payloads are gone."""
WIRE = " wire"
"""Behind the id of a message: its wire bytes alone."""


class State(NamedTuple):
    """How far it came: enough to go on from there, in another process, and to be a checkpoint that the auditor holds.

    ``vouched``: the last size whose root somebody outside vouched for. ``tiles``: the open tiles of the tree, level by level;
    ``absent``: of each message the first payload that is gone, as a fault, unless a record that comes says why (`GONE`); ``row``: the
    first row of a table that says something else than the records, as a fault.
    """

    origin: str
    size: int
    seq: int
    vouched: int
    keys: tuple[str, ...]
    tiles: tuple[tuple[int, int, str, int], ...]
    absent: Mapping[str, tuple[Any, ...]]
    row: tuple[Any, ...] = ()

    def encode(self) -> bytes:
        return dumps({"snodo": "log verify", **self._asdict()})

    @classmethod
    def decode(cls, raw: bytes) -> State:
        """Raises `EvidenceError` for what is no state."""
        try:
            said = dict(parsed(raw))
            if said.pop("snodo") != "log verify":
                raise ValueError
            absent = {str(message): tuple(Fault(*fault)) for message, fault in said.pop("absent").items()}
            tiles = tuple((int(level), int(number), str(hashes), int(first)) for level, number, hashes, first in said.pop("tiles"))
            return cls(tiles=tiles, absent=absent, keys=tuple(said.pop("keys")), **said)
        except (KeyError, TypeError, ValueError) as error:
            raise EvidenceError("this is not what `bus log verify --resume` wrote", code="evidence.malformed") from error


def _whose(content: Mapping[str, Any], role: str) -> str:
    """What a payload goes with: its message, the wire bytes of that, or its record where it concerns no message."""
    message = content.get("message")
    return str(content["id"]) if message is None else f"{message}{WIRE if role.startswith('wire') else ''}"


def _excused(data: Mapping[str, Any]) -> Iterator[str]:
    """What a record says may be gone."""
    yield from (*data.get("messages", ()), *data.get("records", ()))
    yield from (f"{message}{WIRE}" for message in data.get("wires", ()))


class Report(NamedTuple):
    """What was found right. ``time``: of the last checkpoint; ``start``: where it began.

    ``cosigned``, ``stamped``: of each witness and time-stamping authority its last size and time (POSIX). ``erased``: payloads that are
    gone with a person; ``messages``, ``runs``: compared with their rows; ``waiting``: records that are not yet in the tree; ``own_word``:
    no key was given.
    """

    origin: str
    size: int
    root: bytes
    time: str
    start: int
    checkpoints: int
    held: int
    cosigned: Mapping[str, tuple[int, int]]
    stamped: Mapping[str, tuple[int, int]]
    payloads: int
    messages: int
    runs: int
    erased: int
    waiting: int
    own_word: bool


class _Root(NamedTuple):
    """A root that somebody vouches for: the log itself (``stored``), a witness, the auditor's own copy."""

    size: int
    order: int
    head: Checkpoint | None
    by: str
    stored: StoredCheckpoint | None = None
    time: int = 0


def verify(read: Read, trust: Trust, start: State | None = None, told: Told = lambda size, of, state: None) -> Report:
    """Look at everything from ``start`` on. Raises `Broken` with the first fault, `EvidenceError` when there is nothing to judge by."""
    done = [0 if start is None else start.size]

    def heard(size: int, of: int, state: Callable[[], State]) -> None:
        done[:] = [size]
        told(size, of, state)

    try:
        return _Walk(read, trust, start, heard).run()
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        said = f"something stands behind leaf {done[0]:,}, or in the tree over it, that the bus does not write: {error}"
        raise Broken(Fault("unreadable", said, done[0])) from error


class _Walk:
    def __init__(self, read: Read, trust: Trust, start: State | None, told: Told) -> None:
        self._read, self._trust, self._told, self._start = read, trust, told, start
        with read() as tx:
            newest = StoredTree(tx).checkpoint()
            known = tx.all("records_of_keys")  # a door tells its key for receipts too, and may be first
            first = [row for row in known if b'"purpose":"receipts"' not in octets(row["content"])][:1]
        if newest is None:
            raise EvidenceError("the log has no checkpoint yet", code="evidence.empty", hint="it has one a second after its first record")
        self._newest = newest
        self._keys = set(trust.keys) or _announced(first)
        self._origin = _origin(newest, self._keys, first)
        self._edge, self._seq, self._agreed, self._vouched = Edge(), 0, 0, 0
        self._open: dict[int, Tile] = {}
        if start is not None:
            self._keys |= set(map(note.verifier, start.keys))
            self._open = {level: Tile(level, number, bytes.fromhex(hashes), first) for level, number, hashes, first in start.tiles}
            self._edge, self._seq = Edge(start.size, self._open), start.seq
            self._agreed, self._vouched = start.size, start.vouched
        self._cosigned: dict[str, tuple[int, int]] = {}
        self._checkpoints = self._held = self._payloads = self._gone = self._messages = self._runs = 0
        self._absent = {message: Fault(*fault) for message, fault in (start.absent if start else {}).items()}
        self._erased: set[str] = set()
        self._row = Fault(*start.row) if start is not None and start.row else None

    def run(self) -> Report:
        start, names = self._edge.size, sorted({key.name for key in self._trust.witnesses})
        self._not_rolled_back()
        for root in heapq.merge(self._stored(), self._mine(), *map(self._witnessed, names), key=lambda root: root[:2]):
            before, lines = self._edge.size, self._advance(root) if root.size > self._edge.size else []
            self._judge(root)
            self._examine(before, lines)
            self._told(self._edge.size, self._newest.size, self.state)
        self._end()
        stamped = self._stamps(start) if self._trust.authorities else {}
        with self._read() as tx:
            waiting = tx.one("records_beyond", seq=self._seq)
        assert waiting is not None
        return Report(
            origin=self._origin, size=self._edge.size, root=self._edge.root(), time=self._newest.time, start=start,
            checkpoints=self._checkpoints, held=self._held, cosigned=self._cosigned, stamped=stamped, payloads=self._payloads,
            messages=self._messages, runs=self._runs, erased=self._gone, waiting=waiting["records"], own_word=not self._trust.keys,
        )  # fmt: skip

    def state(self) -> State:
        keys = tuple(sorted(map(str, self._keys)))
        tiles = tuple((tile.level, tile.number, tile.hashes.hex(), tile.first) for tile in self._open.values())
        absent = {message: tuple(fault) for message, fault in self._absent.items() if not self._may_be_gone(message)}
        return State(self._origin, self._edge.size, self._seq, self._vouched, keys, tiles, absent, tuple(self._row or ()))

    # -- whose roots there are -------------------------------------------------------------------------------------------

    def _stored(self) -> Iterator[_Root]:
        """The log's own checkpoints, signed or not."""
        at = self._edge.size
        while True:
            with self._read() as tx:
                rows = tx.all("checkpoints_beyond", size=at, until=self._newest.size, most=PAGE)
            for row in rows:
                at = row["size"]
                yield _Root(
                    at, STORED, None, "the log", StoredCheckpoint(**{**row, "root": octets(row["root"]), "note": octets(row["note"])})
                )
            if not rows:
                return

    def _witnessed(self, name: str) -> Iterator[_Root]:
        """Checkpoints that carry a cosignature of a witness whom the auditor trusts."""
        at = self._edge.size
        while rows := self._anchors("witness", name, at):
            for row in rows:
                at = row["size"]
                yield from self._cosignature(octets(row["evidence"]), at)

    def _cosignature(self, evidence: bytes, size: int) -> Iterator[_Root]:
        try:
            found = note.parse(evidence)
            head, made = checkpoint_of(found.text), cosigned(found, self._trust.witnesses)
        except EvidenceError as error:
            raise Broken(Fault("cosignature", f"the cosigned checkpoint of {size:,} records: {error.sentence}")) from error
        if not made or (head.origin, head.size) != (self._origin, size):
            raise Broken(Fault("cosignature", f"what is stored as the cosigned checkpoint of {size:,} records is none"))
        for key, signature in made:
            yield _Root(size, WITNESS, head, key.name, time=signature.time)

    def _mine(self) -> Iterator[_Root]:
        """What the auditor holds, the smallest first."""
        for held in sorted(self._trust.held, key=lambda one: checkpoint_of(one.text).size):
            head = checkpoint_of(held.text)
            if head.size >= self._edge.size:
                self._of_this_log(held)
                yield _Root(head.size, HELD, head, "the checkpoint that you hold")

    def _of_this_log(self, held: Note) -> None:
        try:
            note.verify(held, [*self._keys, *self._trust.witnesses])
        except EvidenceError as error:
            raise Broken(Fault("checkpoint", f"the checkpoint that you hold: {error.sentence}", hint=error.hint)) from error

    def _not_rolled_back(self) -> None:
        """Raises `Broken` when somebody outside saw a larger log than there is."""
        seen: list[tuple[Checkpoint, str, Note | None]] = [(checkpoint_of(held.text), "you hold", held) for held in self._trust.held]
        if self._start is not None:
            seen.append((Checkpoint(self._start.origin, self._start.size, b""), "you verified", None))
        for head, what, held in seen:
            if head.origin != self._origin:
                raise EvidenceError(f"what {what} is of the log {head.origin!r}, this one is {self._origin!r}", code="evidence.origin")
            if head.size > self._newest.size:
                if held is not None:
                    self._of_this_log(held)
                said = f"{what} a checkpoint of {head.size:,} records; the log has one of {self._newest.size:,}"
                hint = "the log was rolled back: records that existed are gone"
                raise Broken(Fault("rollback", said, self._newest.size, head.size - 1, hint=hint))

    # -- step by step -----------------------------------------------------------------------------------------------------

    def _advance(self, root: _Root) -> list[Line]:
        """Hash the records up to that size, and compare them with the tree as it is stored."""
        before = self._edge.size
        with self._read() as tx:
            stored, lines = StoredTree(tx), self._lines(tx, root.size - before)
            for line in lines:
                self._edge.append(leaf_hash(line.content), line.seq)
            changed = self._edge.changed()
            if len(lines) < root.size - before or not all(diagnosis.same(stored, tile) for tile in changed):
                raise Broken(diagnosis.of(tx, self._signed_roots(tx, root), before, root.size, lines, changed, self._newest))
        for tile in changed:
            self._open[tile.level] = tile
        self._open = {level: tile for level, tile in self._open.items() if len(tile.hashes) < WIDTH * HASH}
        self._seq = lines[-1].seq
        return lines

    def _lines(self, tx: Tx, count: int) -> list[Line]:
        lines: list[Line] = []
        while len(lines) < count:
            after = lines[-1].seq if lines else self._seq
            rows = tx.all("whole_records_after", after=after, most=min(PAGE, count - len(lines)))
            if not rows:
                break
            lines += map(Line.of, rows)
        return lines

    def _examine(self, before: int, lines: Sequence[Line]) -> None:
        """What records commit to, the columns that repeat them, and the keys that they make known."""
        with self._read() as tx:
            for at in range(0, len(lines), PAGE):
                page = lines[at : at + PAGE]
                contents = [parsed(line.content) for line in page]
                for index, (line, content) in enumerate(zip(page, contents, strict=True), before + at):
                    self._columns(index, line, content)
                    if content["kind"] == "keys" and content["data"]["purpose"] == "checkpoints":
                        self._keys |= set(map(note.verifier, content["data"]["keys"]))
                    elif content["kind"] in GONE:
                        self._erased.update(_excused(content["data"]))
                self._commitments(tx, before + at, page, contents)
                self._compare(tx, before + at, page, contents)

    @staticmethod
    def _columns(index: int, line: Line, content: Mapping[str, Any]) -> None:
        row = line.row
        if _IN_COLUMNS(row) == tuple(map(content.get, COLUMNS)):
            return
        for name in COLUMNS:
            if row[name] != content.get(name):
                sentence = f"leaf {index:,}: the column `{name}` says {row[name]!r}, the record {content.get(name)!r}"
                raise Broken(Fault("column", sentence, index, index, line.name(), line.seq, "the record is as it was; searches go astray"))

    def _commitments(self, tx: Tx, first: int, page: Sequence[Line], contents: Sequence[Mapping[str, Any]]) -> None:
        wanted = [payload["id"] for content in contents for payload in content.get("payloads", ())]
        if not wanted:
            return
        kept = {row["id"]: row for row in tx.all("payloads_named", ids=dumps(wanted).decode())}
        for index, (line, content) in enumerate(zip(page, contents, strict=True), first):
            for payload in content.get("payloads", ()):
                row = kept.get(payload["id"])
                if row is not None and matches(payload["id"], octets(row["nonce"]), octets(row["content"])):
                    self._payloads += 1
                    continue
                what = f"leaf {index:,}: the payload `{payload['role']}` of a record `{content['kind']}`"
                if row is not None:
                    sentence = f"{what} is not the one that the record commits to"
                    raise Broken(Fault("payload", sentence, index, index, line.name(), line.seq))
                gone = Fault("payload", f"{what} is gone", index, index, line.name(), line.seq)
                self._absent.setdefault(_whose(content, payload["role"]), gone)
                self._gone += 1

    def _compare(self, tx: Tx, first: int, page: Sequence[Line], contents: Sequence[Mapping[str, Any]]) -> None:
        """A row that says something else is told at the end: until then a record behind it, not yet hashed, may be what was changed."""
        if self._row is not None:
            return
        try:
            messages, runs = tables.compare(tx, first, page, contents)
            self._messages, self._runs = self._messages + messages, self._runs + runs
        except Broken as broken:
            self._row = broken.fault
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self._row = Fault(
                "unreadable", f"what the tables say of leaf {first:,} and those behind it cannot be compared: {error!r}", first
            )

    def _rows(self) -> None:
        """Raises `Broken` when the tables do not say what the records say."""
        if self._row is not None:
            raise Broken(self._row)
        with self._read() as tx:
            tables.strangers(tx)

    def _judge(self, root: _Root) -> None:
        """Whether the records hashed so far have this root."""
        head = root.head
        if root.stored is not None:
            head = self._opened(root.stored)
        assert head is not None
        if head.root != self._edge.root():
            since = self._vouched if root.stored is None else self._agreed
            raise Broken(diagnosis.another_root(head.size, root.by, since, stored=root.stored is not None))
        self._agreed = head.size
        if root.stored is not None:
            if root.stored.last != self._seq:
                said = f"the checkpoint of {head.size:,} records is stored as if its last record were number {root.stored.last}"
                raise Broken(Fault("checkpoint", f"{said}; it is {self._seq}"))
            self._checkpoints += 1
            return
        self._vouched = head.size
        if root.order == WITNESS:
            self._cosigned[root.by] = head.size, root.time
        else:
            self._held += 1

    def _opened(self, stored: StoredCheckpoint) -> Checkpoint:
        """A checkpoint of the log, if its signature is of a key that the records before it made known."""
        try:
            found = note.parse(stored.note)
            note.verify(found, self._keys)
            head = checkpoint_of(found.text)
        except EvidenceError as error:
            raise Broken(Fault("checkpoint", f"the checkpoint of {stored.size:,} records: {error.sentence}", hint=error.hint)) from error
        if (head.origin, head.size, head.root) != (self._origin, stored.size, stored.root):
            raise Broken(Fault("checkpoint", f"the checkpoint stored as that of {stored.size:,} records says something else"))
        return head

    def _signed_roots(self, tx: Tx, root: _Root) -> Iterable[Checkpoint]:
        """Roots of this size and of later ones which are really signed: by them the stored tree is judged."""
        if root.head is not None:
            yield root.head
        for row in tx.all("checkpoints_beyond", size=root.size - 1, until=self._newest.size, most=PAGE):
            try:
                found = note.parse(octets(row["note"]))
                note.verify(found, self._keys)
                yield checkpoint_of(found.text)
            except EvidenceError:
                continue

    def _may_be_gone(self, whose: str) -> bool:
        return whose in self._erased or whose.removesuffix(WIRE) in self._erased

    def _all_there(self) -> None:
        """A payload may be gone with its person, or because it was too old, when the log says so; raises `Broken` for any other."""
        with self._read() as tx:  # whoever was erased this very moment is told in a record that is not in the tree yet
            late = tx.all("whole_records_after", after=self._seq, most=PAGE) if self._absent else ()
        for content in (parsed(octets(row["content"])) for row in late if row["kind"] in GONE):
            self._erased.update(_excused(content["data"]))
        gone = [fault for whose, fault in self._absent.items() if not self._may_be_gone(whose)]
        if gone:
            raise Broken(min(gone, key=lambda fault: fault.leaf or 0))

    def _stamps(self, start: int) -> dict[str, tuple[int, int]]:
        """The last time stamp of each authority; each one since ``start`` is verified over its checkpoint, which is right by now."""
        found: dict[str, tuple[int, int]] = {}
        with self._read() as tx:
            names = [row["name"] for row in tx.all("anchor_names") if row["kind"] == "timestamp"]
        for name in names:
            at = start
            while rows := self._anchors("timestamp", name, at):
                for row in rows:
                    at = row["size"]
                    found[name] = at, self._stamp(octets(row["evidence"]), at)
        return found

    def _stamp(self, evidence: bytes, size: int) -> int:
        with self._read() as tx:
            stored = StoredTree(tx).checkpoint_of(size)
        try:
            if stored is None or stored.size != size:
                raise EvidenceError("there is no such checkpoint")
            return int(timestamp.verified(evidence, stored.note, self._trust.authorities).timestamp())
        except EvidenceError as error:
            raise Broken(Fault("timestamp", f"the time stamp of the checkpoint of {size:,} records: {error.sentence}")) from error

    def _anchors(self, kind: str, name: str, after: int) -> Sequence[Row]:
        with self._read() as tx:
            return tx.all("anchors_beyond", kind=kind, name=name, after=after, most=PAGE)

    def _end(self) -> None:
        """Nothing in the stored tree lies beyond its last checkpoint, and the witnesses have seen it."""
        with self._read() as tx:
            row, newest = tx.one("leaves_stored"), StoredTree(tx).size()
        size = 0 if row is None else (row["number"] << HEIGHT) + len(bytes(row["hashes"])) // HASH
        if size != newest or newest < self._edge.size:
            raise Broken(Fault("rollback", f"the tree has {size:,} leaves, its last checkpoint {newest:,}", newest, size - 1,
                               hint="checkpoints were removed"))  # fmt: skip
        self._all_there()
        self._rows()
        missing = [key.name for key in self._trust.witnesses if key.name not in self._cosigned]
        if missing and (self._start is None or self._start.size < self._edge.size):
            raise Broken(Fault("cosignature", f"no checkpoint of this log carries a cosignature of {', '.join(missing)}",
                               hint="was the witness asked? compare with what the witness itself remembers"))  # fmt: skip


def _announced(rows: Sequence[Row]) -> set[Verifier]:
    """The keys that the log says it began with."""
    if not rows:
        raise EvidenceError("the log does not say its key", code="evidence.unsigned", hint="give it with --key")
    try:
        return set(map(note.verifier, parsed(bytes(rows[0]["content"]))["data"]["keys"]))
    except (ValueError, KeyError, TypeError) as error:
        raise EvidenceError(
            "the record that says the log's key cannot be read", code="evidence.unsigned", hint="give it with --key"
        ) from error


def _origin(newest: StoredCheckpoint, keys: set[Verifier], first: Sequence[Row]) -> str:
    """The name of the log: by its newest checkpoint if that is good, else by the record that says its keys; raises `Broken`."""
    try:
        found = note.parse(newest.note)
        note.verify(found, keys)
        return checkpoint_of(found.text).origin
    except EvidenceError as error:
        with suppress(ValueError, KeyError, TypeError, IndexError):
            return str(parsed(octets(first[0]["content"]))["data"]["origin"])
        raise Broken(Fault("checkpoint", f"the checkpoint of {newest.size:,} records: {error.sentence}")) from error
