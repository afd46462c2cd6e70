"""Whether the log is what was signed: every record hashed again, every stored root, signature and payload compared. It only reads.

Records are hashed in their order; at the size of every checkpoint the root must be the one that was signed. What an auditor holds
(checkpoints, public keys of witnesses) counts more than what the database says: whoever has the log's key can sign another history, but
not one that a witness has not seen. Where the tree as it is stored still has the signed root, its leaves tell which record is wrong
(`bus.log.diagnosis`); where it was changed too, the fault is named as the leaves between two roots that are right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from bus.errors import Changed, EvidenceError
from bus.jsontext import dumps
from bus.log import diagnosis, keys, note, rules, tables, timestamp, traces, tree
from bus.log.checkpoint import RECEIPTS, Checkpoint, checkpoint_of, signed_by
from bus.log.diagnosis import STRANGE, Broken, Fault, Line, are_octets, octets
from bus.log.examine import PAGE, PIECE, WIRE, Beside, Counts, Found, Stretch, examine, excuses, helped, lines_of
from bus.log.note import Note, Verifier
from bus.log.roots import WITNESS, Root, Span, anchors, cosignatures, roots
from bus.log.signers import Signers
from bus.log.stored import StoredCheckpoint, StoredTree
from bus.log.stretches import Read
from bus.log.tiles import WIDTH, Edge, Tile
from bus.log.tree import HASH, leaf_hash
from bus.message import parsed
from bus.store import Row, Tx, listed
from bus.store.opening import open_reader

Progress = Callable[[int, int, Callable[[], "State"]], None]
"""Hears after each stretch how many leaves are done, how many there are, and how to go on from there."""
SEALED_WITHIN = 5.0
"""Seconds within which a record has its place in the tree, while a sequencer is at work."""
_EVERY = 2**31
_NONE_LEFT = StoredCheckpoint(0, b"", 0, "", b"")
"""The newest checkpoint of a log that has none, and had some."""
_ALL_REMOVED = Fault("rollback", "the log has no checkpoint any more: all of them were removed", 0, 0)


class Trust(NamedTuple):
    """What the auditor has from elsewhere. Without ``keys`` the log's own word is taken for its first key, which proves less.

    ``held``: signed checkpoints. ``witnesses``: public keys; a log without a cosignature of each of them is not what it claims to be.
    ``authorities``: root certificates (PEM) of time-stamping authorities; without them stamps are not looked at.
    """

    keys: tuple[Verifier, ...] = ()
    witnesses: tuple[Verifier, ...] = ()
    held: tuple[Note, ...] = ()
    authorities: bytes = b""


class State(NamedTuple):
    """How far it came: enough to go on from there, in another process, and to be a checkpoint that the auditor holds."""

    origin: str
    size: int
    seq: int
    vouched: int
    """The last size whose root somebody outside vouched for."""
    keys: tuple[str, ...]
    """Empty where the log's own word was taken for them."""
    tiles: tuple[tuple[int, int, str, int], ...]
    """The open tiles of the tree, level by level."""
    absent: Mapping[str, tuple[Any, ...]]
    """The first payload of each message that is gone, as a fault, unless a record that comes says why (`GONE`)."""
    row: tuple[Any, ...] = ()
    """The first row of a table that says something else than the records, as a fault."""
    lost: tuple[str, ...] = ()
    """Keys that were lost, and sign nothing any more."""
    traced: int = 0
    traces: int = 0
    """How many searches must find of the records up to number ``traced``."""

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
            made = cls(tiles=tiles, absent=absent, keys=tuple(said.pop("keys")), lost=tuple(said.pop("lost", ())), **said)
            made._checked()
            return made
        except (AttributeError, EvidenceError, KeyError, TypeError, ValueError) as error:
            raise EvidenceError("this is not what `bus log verify --resume` wrote", code="evidence.malformed") from error

    def open_tiles(self) -> list[Tile]:
        return [Tile(level, number, bytes.fromhex(hashes), first) for level, number, hashes, first in self.tiles]

    def _checked(self) -> None:
        """Raises what says that a part is none of a state."""
        if any(type(one) is not int or one < 0 for one in (self.size, self.seq, self.vouched, self.traced, self.traces)):
            raise ValueError
        for key in (*self.keys, *self.lost):
            note.verifier(key)
        self.open_tiles()
        Fault(*self.row or ("", ""))


class Report(NamedTuple):
    """What was found right. It tells no times of checkpoints: the database has some, and nobody signed them."""

    origin: str
    size: int
    root: bytes
    start: int
    """The size at which it began."""
    checkpoints: int
    held: int
    """Checkpoints that the auditor holds."""
    cosigned: Mapping[str, tuple[int, int]]
    """The last size and time (POSIX) of each witness."""
    stamped: Mapping[str, tuple[int, int]]
    """The same of each time-stamping authority."""
    payloads: int
    messages: int
    """Compared with their rows."""
    runs: int
    """Compared with their rows."""
    erased: int
    """Payloads that are gone with a person."""
    waiting: int
    """Records that are not yet in the tree."""
    own_word: bool
    """No key was given."""
    vouched: int
    """The largest size that a witness saw or the auditor holds."""
    ask: tuple[str, ...]
    """Witnesses who should be asked: the auditor holds no checkpoint of theirs that is as new as the one which the database says they saw.
    Whether they saw more, or another history, only they know.
    """


class _Place(NamedTuple):
    """How far everything is right; of ``tiles`` those that are not full; ``traces``: of all records up to there."""

    size: int
    seq: int
    vouched: int
    tiles: tuple[Tile, ...]
    keys: frozenset[Verifier]
    lost: frozenset[Verifier]
    traces: int


def verify(
    read: Read, trust: Trust, start: State | None = None, progress: Progress = lambda size, of, state: None, url: str = ""
) -> Report:
    """Look at everything from ``start`` on. Raises `Broken` with the first fault, `EvidenceError` when there is nothing to judge by.

    ``url``: where other processes may read the same database, to help with a large one.
    """
    done = [0 if start is None else start.size]

    def heard(size: int, of: int, state: Callable[[], State]) -> None:
        done[:] = [size]
        progress(size, of, state)

    try:
        return _Walk(read, trust, start, heard).run(url)
    except STRANGE as error:
        said = f"something stands behind leaf {done[0]:,}, or in the tree over it, that the bus does not write: {error}"
        raise Broken(Fault("unreadable", said, done[0])) from error
    except Changed as error:
        if url:
            open_reader(url).close()  # somebody may have migrated it meanwhile, which is no fault of the log
        raise Broken(diagnosis.not_ours(error)) from error


class _Walk:
    def __init__(self, read: Read, trust: Trust, start: State | None, progress: Progress) -> None:
        self._read, self._trust, self._progress, self._start = read, trust, progress, start
        with read() as tx:
            newest, traced = StoredTree(tx).checkpoint(), tx.one("traced_until")
            diagnosis.nothing_before(tx)
            announcements = tx.all("records_of_keys")
            begun = newest or trust.held or start or tx.one("leaves_stored") or tx.all("anchor_names")
            if not (begun or tx.one("messages_unfounded", first="", most=_EVERY)):
                hint = "it has one a second after its first record"
                raise EvidenceError("the log has no checkpoint yet", code="evidence.empty", hint=hint)
        self._newest, self._traced = newest or _NONE_LEFT, int(traced["value"]) if traced else 0
        self._know(announcements)
        self._edge, self._seq, self._agreed, self._vouched = Edge(), 0, 0, 0
        self._open: dict[int, Tile] = {}
        self._absent: dict[str, Fault] = {}
        self._row: Fault | None = None
        self._excused: set[str] = set()
        self._cosigned: dict[str, tuple[int, int]] = {}
        self._checkpoints = self._held = 0
        self._counts, self._todo = Counts(), Stretch(0, 0, 0)
        self._journals = tables.Journals()
        self._help: Beside[_Place] | None = None
        if start is not None:
            self._go_on_from(start)

    def _know(self, announcements: Sequence[Row]) -> None:
        """The name of the log, and whose signatures count: the keys that the auditor gave, else those that the log itself says first."""
        trust, start = self._trust, self._start
        said = [octets(row["content"]) for row in announcements]
        given = set(trust.keys) | set(map(note.verifier, start.keys if start else ()))
        # a door tells its key for receipts too, and may be first
        first = [content for content in said if b'"purpose":"receipts"' not in content][:1]
        self._own_word, known = not given, given or keys.begun_with(first)
        if start is not None and self._own_word:  # keys that came after the first one, in records that are not read again
            known = keys.later([octets(row["content"]) for row in announcements if row["seq"] <= start.seq], start.origin, known)
        self._origin = _origin(self._newest, known, first)
        if wrong := [key for key in trust.keys if key.name == self._origin + RECEIPTS]:
            sentence = f"{wrong[0].name} ({wrong[0].key_id.hex()}) signs receipts, not the log"
            raise EvidenceError(sentence, hint="bus log key show shows both: --key takes that of the log")
        lost = set(map(note.verifier, start.lost if start else ()))
        self._signers = Signers(self._read, known, lost, trust.witnesses)
        self._signers.look_back(said, self._origin, self._newest.note)

    def _go_on_from(self, start: State) -> None:
        self._open = {tile.level: tile for tile in start.open_tiles()}
        self._edge, self._seq = Edge(start.size, self._open), start.seq
        self._agreed, self._vouched = start.size, start.vouched
        self._absent = {message: Fault(*fault) for message, fault in start.absent.items()}
        self._row = Fault(*start.row) if start.row else None

    def run(self, url: str) -> Report:
        start = self._edge.size
        self._not_rolled_back()
        self._catch_up()
        self._kept, self._help = self._place(), helped(self._read, url, self._newest.size - start)
        try:
            self._walk()
        except (Broken, *STRANGE):
            self._await_help()  # what is wrong before it is told first
            self._look_at_start()
            raise
        finally:
            if self._help is not None:
                self._help.close()
        self._end()
        stamped = self._stamps(start) if self._trust.authorities else {}
        with self._read() as tx:
            [waiting] = tx.all("records_beyond", seq=self._seq)
        return Report(
            origin=self._origin, size=self._edge.size, root=self._edge.root(), start=start,
            checkpoints=self._checkpoints, held=self._held, cosigned=self._cosigned, stamped=stamped, payloads=self._counts.payloads,
            messages=self._counts.messages, runs=self._counts.runs, erased=self._counts.gone, waiting=waiting["records"],
            own_word=self._own_word, vouched=self._vouched, ask=self._to_ask(),
        )  # fmt: skip

    def _to_ask(self) -> tuple[str, ...]:
        held = max((checkpoint_of(one.text).size for one in self._trust.held), default=0)
        return tuple(name for name, (size, _) in sorted(self._cosigned.items()) if size > held)

    def state(self) -> State:
        """From where to go on another time. May be asked at any moment, also when interrupted: what is half done is not in it."""
        kept = self._kept
        tiles = tuple((tile.level, tile.number, tile.hashes.hex(), tile.first) for tile in kept.tiles)
        known, lost = (tuple(sorted(map(str, some))) for some in (() if self._own_word else kept.keys, kept.lost))
        absent = {message: tuple(fault) for message, fault in self._absent.items() if not self._may_be_gone(message)}
        row, traced = tuple(self._row or ()), min(self._traced, kept.seq)
        return State(self._origin, kept.size, kept.seq, kept.vouched, known, tiles, absent, row, lost, traced, kept.traces)

    def _place(self) -> _Place:
        tiles = tuple(self._open.values())
        known, lost = frozenset(self._signers.known), frozenset(self._signers.lost)
        return _Place(self._edge.size, self._seq, self._vouched, tiles, known, lost, self._counts.traces)

    def _look_at_start(self) -> None:
        """What is wrong was found by going on from an earlier time: raises `Broken` where that was not in this log at all."""
        if self._start is None:
            return
        with self._read() as tx:
            stored = StoredTree(tx)
            if not all(diagnosis.same(stored, tile) for tile in self._start.open_tiles()):
                raise Broken(diagnosis.another_beginning(self._start.size))

    def _catch_up(self) -> None:
        """Traces of records that were looked at before searches had come to them; raises `Broken`."""
        if self._start is None:
            return
        after, told = (self._start.traced, self._start.traces) if self._start.traced <= self._traced else (0, 0)
        until = min(self._start.seq, self._traced)
        with self._read() as tx:
            while after < until:
                last = min(after + PIECE, until)
                told, after = told + traces.count(tx, after, last), last
        self._counts = Counts(traces=told)

    def _walk(self) -> None:
        if self._newest.size == self._edge.size and self._opened(self._newest).root != self._edge.root():  # nothing is new
            raise Broken(diagnosis.another_beginning(self._edge.size))
        span = Span(self._read, self._origin, self._edge.size, self._newest.size)
        for root in roots(span, self._trust.witnesses, self._trust.held):
            before, after = self._edge.size, self._seq
            lines = self._advance(root) if root.size > before else []
            self._judge(root)
            if self._signers.strange is not None:
                raise Broken(self._signers.strange)
            self._examine(Stretch(before, after, len(lines), self._traced), lines)
            if self._help is None:
                self._kept = self._place()
            self._progress(self._edge.size, self._newest.size, self.state)
        self._await_help()
        self._kept = self._place()

    def _of_this_log(self, held: Note) -> None:
        try:
            note.verify(held, [*self._signers.all(), *self._trust.witnesses])
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
                raise Broken(diagnosis.rolled_back(what, head.size, self._newest.size))
            if held is not None and head.size < self._edge.size:  # they are not hashed again
                self._of_this_log(held)
                if not self._goes_on_from(head):
                    raise Broken(diagnosis.read_before(head.size, "you hold"))
                self._held, self._vouched = self._held + 1, max(self._vouched, head.size)
        if self._newest is _NONE_LEFT:
            raise Broken(_ALL_REMOVED)

    # -- step by step -----------------------------------------------------------------------------------------------------

    def _advance(self, root: Root) -> list[Line]:
        """Hash the records up to that size, and compare them with the tree as it is stored."""
        before = self._edge.size
        with self._read() as tx:
            stored, lines = StoredTree(tx), lines_of(tx, self._seq, root.size - before)
            self._edge.extend([leaf_hash(line.content) for line in lines], [line.seq for line in lines])
            changed = self._edge.changed()
            if len(lines) < root.size - before or not all(diagnosis.same(stored, tile) for tile in changed):
                heads = list(self._signed_roots(tx, root))
                fault = diagnosis.of(tx, heads, before, root.size, lines, changed, self._newest)
                if not heads and root.stored and fault.kind == "missing" and fault.until == self._newest.size - 1:
                    self._opened(root.stored)  # nobody signed that there were more records: the checkpoint that says so is wrong
                raise Broken(fault)
        for tile in changed:
            self._open[tile.level] = tile
        self._open = {level: tile for level, tile in self._open.items() if len(tile.hashes) < WIDTH * HASH}
        self._seq = lines[-1].seq
        self._signers.hear(before, lines)
        return lines

    def _examine(self, stretch: Stretch, lines: Sequence[Line]) -> None:
        """What records say beside their hash, here or by other processes."""
        if self._help is None:
            self._note(examine(self._read, stretch, lines, self._journals))
        elif lines:
            self._todo = stretch if not self._todo.records else self._todo._replace(records=self._todo.records + stretch.records)
            if self._todo.records >= PIECE:
                self._hand_over()

    def _hand_over(self, *, all: bool = False) -> None:
        assert self._help is not None
        if self._todo.records:
            self._help.hand_over(self._todo, self._place())
            self._todo = Stretch(0, 0, 0)
        for found, place in self._help.done(all=all):
            self._note(found)
            self._kept = place._replace(traces=self._counts.traces)

    def _await_help(self) -> None:
        """Wait for what others examine. Raises `Broken`."""
        if self._help is not None:
            self._hand_over(all=True)

    def _note(self, found: Found) -> None:
        for whose, fault in found.absent.items():
            self._absent.setdefault(whose, fault)
        self._excused |= found.excused
        self._row = self._row or found.row
        self._counts = self._counts.plus(found.counts)
        if found.broken is not None:
            raise Broken(found.broken)

    def _rows(self) -> None:
        """Raises `Broken` when the tables do not say what the records say."""
        if self._row is not None:
            raise Broken(self._row)
        tables.strangers(self._read)
        with self._read() as tx:
            rules.compare(tx)
        rules.named(self._read)
        traces.strangers(self._read, min(self._traced, self._seq), self._counts.traces)

    def _judge(self, root: Root) -> None:
        """Whether the records hashed so far have this root."""
        head = root.head
        if root.stored is not None:
            head = self._opened(root.stored)
        if root.held is not None:
            self._of_this_log(root.held)
        assert head is not None
        if head.root != self._edge.root():
            whose = "" if root.stored is not None else root.by if root.held is not None else f"{root.by} cosigned"
            raise Broken(diagnosis.another_root(head.size, whose, self._vouched if whose else self._agreed))
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
        if not (are_octets(stored.root) and are_octets(stored.note)):
            raise Broken(Fault("checkpoint", f"the checkpoint of {stored.size:,} records stands there as a text, not as bytes"))
        try:
            head = signed_by(self._signers.all(), stored.note)
        except EvidenceError as error:
            sentence = f"the checkpoint of {stored.size:,} records: {error.sentence}"
            raise Broken(Fault("checkpoint", sentence, hint=(self._signers.strange or error).hint)) from error
        if (head.origin, head.size, head.root) != (self._origin, stored.size, stored.root):
            raise Broken(Fault("checkpoint", f"the checkpoint stored as that of {stored.size:,} records says something else"))
        return head

    def _signed_roots(self, tx: Tx, root: Root) -> Iterable[Checkpoint]:
        """Roots of this size and of later ones which are really signed: by them the stored tree is judged."""
        if root.head is not None:
            yield root.head
        for row in tx.all("checkpoints_beyond", size=root.size - 1, until=self._newest.size, most=PAGE):
            with suppress(EvidenceError):
                head = signed_by(self._signers.all(), octets(row["note"]))
                if head.size == row["size"]:
                    yield head

    def _may_be_gone(self, whose: str) -> bool:
        return whose in self._excused or whose.removesuffix(WIRE) in self._excused

    def _all_there(self) -> None:
        """A payload may be gone with its person, or because it was too old, when the log says so; raises `Broken` for any other."""
        until = time.monotonic() + SEALED_WITHIN
        while self._unexcused():
            late = self._told_late()
            whose, fault = next(iter(self._unexcused()), ("", None))
            if fault is not None and not {whose, whose.removesuffix(WIRE)} & late:
                raise Broken(fault)
            if fault is not None and time.monotonic() > until:
                raise Broken(fault._replace(hint="the record that says why is not sealed: whoever can write to the database can add one"))
            time.sleep(0.1 if fault else 0)

    def _unexcused(self) -> list[tuple[str, Fault]]:
        gone = ((whose, fault) for whose, fault in self._absent.items() if not self._may_be_gone(whose))
        return sorted(gone, key=lambda one: one[1].leaf or 0)

    def _told_late(self) -> set[str]:
        """Whoever was erased this very moment is told in a record of after we began: taken when it is sealed, returned when it is not."""
        late = set[str]()
        with self._read() as tx:
            stored = StoredTree(tx)
            newest = stored.checkpoint()
            for row in tx.all("records_of_seldom_kinds", kinds=listed(sorted(tables.GONE)), after=self._seq, most=PAGE):
                content = octets(row["content"])
                sealed = self._is_sealed(stored, newest, row["seq"], content)
                (self._excused if sealed else late).update(excuses(parsed(content)["data"]))
        return late

    def _is_sealed(self, stored: StoredTree, newest: StoredCheckpoint | None, seq: int, content: bytes) -> bool:
        """Whether a record that came while we read is in the tree of a signed checkpoint."""
        index = stored.index_of(seq)
        if newest is None or index is None:
            return False
        head = self._opened(newest)
        return tree.includes(head.root, head.size, index, leaf_hash(content), stored.inclusion(index, head.size))

    def _stamps(self, start: int) -> dict[str, tuple[int, int]]:
        """The last time stamp of each authority; each one since ``start`` is verified over its checkpoint, which is right by now, and where
        there is none the last one before.
        """
        found: dict[str, tuple[int, int]] = {}
        with self._read() as tx:
            names = [row["name"] for row in tx.all("anchor_names") if row["kind"] == "timestamp"]
        for name in names:
            for size, evidence in anchors(self._read, "timestamp", name, start):
                found[name] = size, self._stamp(evidence, size)
            if name not in found and start:  # one that came when its checkpoint had been read
                with self._read() as tx:
                    row = tx.one("last_anchor_until", kind="timestamp", name=name, until=start)
                found |= {name: (row["size"], self._stamp(octets(row["evidence"]), row["size"], before=True))} if row else {}
        return found

    def _stamp(self, evidence: bytes, size: int, *, before: bool = False) -> int:
        """When it was given; ``before``: its checkpoint was read at an earlier time, and is looked at again."""
        with self._read() as tx:
            stored = StoredTree(tx).checkpoint_of(size)
        try:
            if stored is None or stored.size != size:
                raise EvidenceError("there is no such checkpoint")
            if before and not self._goes_on_from(checkpoint_of(note.parse(stored.note).text)):
                raise EvidenceError("what was read at an earlier time does not go on from that checkpoint")
            return int(timestamp.verified(evidence, stored.note, self._trust.authorities).timestamp())
        except EvidenceError as error:
            raise Broken(Fault("timestamp", f"the time stamp of {size:,} records: {error.sentence}", hint=error.hint)) from error

    def _end(self) -> None:
        """Check that nothing of the stored tree lies beyond its last checkpoint, and that the witnesses have seen it."""
        with self._read() as tx:
            diagnosis.nothing_beyond(tx, self._edge.size)
        self._all_there()
        self._rows()
        if self._start is not None:
            self._seen_before(self._start.size)
        missing = [key.name for key in self._trust.witnesses if key.name not in self._cosigned]
        if missing:
            raise Broken(Fault("cosignature", f"no checkpoint of this log carries a cosignature of {', '.join(missing)}",
                               hint="was the witness asked? compare with what the witness itself remembers"))  # fmt: skip

    def _seen_before(self, size: int) -> None:
        """What witnesses saw last of records that were read at an earlier time, where they saw nothing since; raises `Broken`."""
        for name in {key.name for key in self._trust.witnesses} - self._cosigned.keys():
            with self._read() as tx:
                row = tx.one("last_anchor_until", kind="witness", name=name, until=size)
            for root in cosignatures(octets(row["evidence"]), row["size"], self._origin, self._trust.witnesses) if row else ():
                assert root.head is not None
                if not self._goes_on_from(root.head):
                    raise Broken(diagnosis.read_before(root.size, f"{name} cosigned"))
                self._cosigned[root.by], self._vouched = (root.size, root.time), max(self._vouched, root.size)

    def _goes_on_from(self, head: Checkpoint) -> bool:
        """Whether what was read until now begins with the log of a smaller checkpoint."""
        with self._read() as tx:
            return StoredTree(tx).extends(head.root, head.size, self._edge.root(), self._edge.size)


def _origin(newest: StoredCheckpoint, keys: set[Verifier], first: Sequence[bytes]) -> str:
    """The name of the log: by its newest checkpoint if that is good, else by the record that says its keys; raises `Broken`."""
    try:
        return signed_by(keys, newest.note).origin
    except EvidenceError as error:
        with suppress(ValueError, KeyError, TypeError, IndexError):
            return str(parsed(first[0])["data"]["origin"])
        if newest is _NONE_LEFT:
            raise Broken(_ALL_REMOVED) from None
        raise Broken(Fault("checkpoint", f"the checkpoint of {newest.size:,} records: {error.sentence}")) from error
