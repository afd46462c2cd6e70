"""What is wrong with a log that is not what was signed: which leaf, and what was done to it.

The leaves of the tree as it is stored speak for the records, as long as they have a root that was signed: then the first record that does
not fit them is the one that was tampered with, and what stands around it tells how. When the stored tree was changed together with the
records, all that can be said is between which two right roots the fault lies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from operator import itemgetter
from typing import Any, NamedTuple, TypeGuard, TypeVar

from bus.errors import Changed, EvidenceError, visible
from bus.log import tree
from bus.log.checkpoint import Checkpoint
from bus.log.note import Note, Verifier
from bus.log.stored import NoTile, StoredCheckpoint, StoredTree
from bus.log.tiles import HEIGHT, WIDTH, Tile, hashes_in
from bus.log.tree import HASH, leaf_hash
from bus.message import parsed
from bus.store import Row, Tx

Name = TypeVar("Name")
Content = Mapping[str, Any]
"""A record, parsed."""
STRANGE = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What reading something comes to that the bus does not write."""
AHEAD = 4096
"""Leaves and records behind the first that does not fit, among which its fellows are looked for."""
CHANGED = "the records, and the tree over them, were changed"
BY_ID = itemgetter("id")
UNTOUCHED = "every leaf before it is as it was signed"
MISLED = "the records are as they were; what portals, commands and searches show is not what happened"


class Fault(NamedTuple):
    """What is wrong. ``leaf``: the first bad one; ``until``: where the tree was changed too, the last one that it may be.

    ``record`` names the record that stands there, by its columns.
    """

    kind: str
    sentence: str
    leaf: int | None = None
    until: int | None = None
    record: str | None = None
    seq: int | None = None
    hint: str = ""


class Broken(EvidenceError):
    """The log is not what was signed. What it says of columns, which hold whatever somebody wrote there, a terminal and JSON can take."""

    default_code = "evidence.broken"

    def __init__(self, fault: Fault) -> None:
        record = None if fault.record is None else visible(fault.record)
        self.fault = fault._replace(sentence=visible(fault.sentence), record=record, hint=visible(fault.hint))
        super().__init__(self.fault.sentence, hint=self.fault.hint)


class Line(NamedTuple):
    """A record as it is read: its number, its content, its whole row."""

    seq: int
    content: bytes
    row: Row

    @classmethod
    def of(cls, row: Row) -> Line:
        return cls(row["seq"], octets(row["content"]), row)

    def name(self) -> str:
        """What an auditor finds it by."""
        of = f" of message {self.row['message']}" if self.row["message"] else ""
        return f"{self.row['id']} ({self.row['kind']}{of})"

    def fault(self, kind: str, leaf: int, said: str, hint: str = "") -> Fault:
        """What is wrong with it, at its leaf."""
        return Fault(kind, f"leaf {leaf:,}: {said}", leaf, leaf, self.name(), self.seq, hint)


class Page(NamedTuple):
    """Records that are compared together; ``first`` is the leaf of the first of them."""

    first: int
    lines: Sequence[Line]
    contents: Sequence[Content]

    @classmethod
    def of(cls, first: int, lines: Sequence[Line]) -> Page:
        return cls(first, lines, [parsed(line.content) for line in lines])

    def leaves(self) -> Iterator[tuple[int, Line, Content]]:
        return zip(count(self.first), self.lines, self.contents, strict=False)

    def broken(self, at: int, said: str, hint: str) -> Broken:
        """What a table says otherwise than the record at that place of the page."""
        return Broken(self.lines[at].fault("table", self.first + at, said, hint))


def once(table: str, rows: Sequence[Row], name: Callable[[Row], Name]) -> dict[Name, Row]:
    """Rows by their key. Raises `Broken` where two have one: whoever reads the table is shown the one or the other."""
    found = {name(row): row for row in rows}
    if len(found) < len(rows):
        names = [name(row) for row in rows]
        twice = next(one for one in names if names.count(one) > 1)
        said = f"two rows stand in the table `{table}` under the key {twice!r}, which it takes once"
        raise Broken(Fault("table", said, hint="somebody dropped the key of the table; what is read may be either of them"))
    return found


def octets(value: object) -> bytes:
    """The bytes of a column: SQLite lets anybody put a text or a number where bytes belong."""
    if type(value) is bytes:
        return value
    return bytes(value) if are_octets(value) else str(value).encode("utf-8", "surrogateescape")


def are_octets(value: object) -> TypeGuard[bytes | bytearray | memoryview]:
    """Whether a column holds bytes: the bus cannot read the same ones as a text."""
    return isinstance(value, bytes | bytearray | memoryview)


def not_cosigned(found: Note, size: int, said: Checkpoint, origin: str) -> Fault:
    """The fault of a stored cosignature that is of none of the keys given. A witness may have changed its key: the auditor needs both."""
    what = f"what is stored as the cosigned checkpoint of {size:,} records"
    by = ", ".join(f"{one.name} ({one.key_id.hex()})" for one in found.signatures)
    hint = f"signed by: {by}; if the witness changed its key, give every key that it ever had, each with --witness-key"
    if (said.origin, said.size) != (origin, size):
        return Fault("cosignature", f"{what} is one of {said.size:,} records of {said.origin}")
    return Fault("cosignature", f"{what} bears no good cosignature of a key given", hint=hint)


def of_keys(leaf: int, line: Line, named: Iterable[Verifier], lost: Iterable[Verifier], *, signed: bool) -> Fault:
    """The fault of a record that names keys for which nobody vouches. ``signed``: whether anybody signed it at all."""
    what = f"keys of the log that none of those before it has signed: {', '.join(sorted(map(str, named)))}"
    why = f", in the place of {', '.join(sorted(map(str, lost)))}, said to be lost" if lost else ""
    how = "" if signed else " without any signature, as versions did before changes of keys were signed"
    hint = (
        f"leaf {leaf:,} names them{how}; if the minutes of the change name them too, give those before and these, each with --key; "
        "a witness whom you trust vouches too: --witness-key"
    )
    return line.fault("keys", leaf, f"it names {what}{why}", hint)


def not_ours(error: Changed) -> Fault:
    """The fault of a database in which a table, or a column, is missing or was replaced."""
    return Fault("unreadable", f"{error.sentence}; a table, or a column, was dropped or replaced")


def same(stored: StoredTree, tile: Tile) -> bool:
    """Whether a tile that was computed is the stored one, as far as it goes."""
    try:
        found = stored.tile(tile.level, tile.number)
    except NoTile:
        return False
    return found.first == tile.first and found.hashes.startswith(tile.hashes)


def of(
    tx: Tx, signed: Iterable[Checkpoint], before: int, size: int, lines: Sequence[Line], changed: Sequence[Tile], newest: StoredCheckpoint
) -> Fault:
    """The first fault among the leaves ``[before, size)``, which are not as they are stored; ``signed``: roots of this size or later."""
    stored = StoredTree(tx)
    ours = [leaf_hash(line.content) for line in lines]
    theirs = _leaves(stored, before, size)
    at = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    heads = list(signed)
    vouched = any(_root(stored, before, _leaves(stored, before, head.size)) == head.root for head in heads) or not heads
    if at == size - before:  # all leaves fit: something above them does not
        return _above(stored, changed) if vouched else _between(before, size, CHANGED)
    if vouched:
        return _of_record(tx, stored, before + at, lines[at:], newest)
    leaf = before + at
    if len(ours) >= size - before and any(head.size == size and _root(stored, before, ours) == head.root for head in heads):
        return _tree(leaf, f"leaf {leaf:,}: the stored tree has another hash than its record, and the record is what was signed")
    return _between(before, size, CHANGED)


def nothing_beyond(tx: Tx, hashed: int) -> None:
    """Raises `Broken` for a stored tree that has more leaves than its last checkpoint, or more hashes than its leaves make.

    Of the tiles that the tree has, as much as belongs there is compared while records are hashed. The bus would take the rest for hashes.
    """
    row, newest = tx.one("leaves_stored"), StoredTree(tx).size()
    size = 0 if row is None else (row["number"] << HEIGHT) + len(bytes(row["hashes"])) // HASH
    if size != newest or newest < hashed:
        sentence = f"the tree has {size:,} leaves, its last checkpoint {newest:,}"
        raise Broken(Fault("rollback", sentence, newest, size - 1, hint="checkpoints were removed"))
    levels = [newest >> HEIGHT * level for level in range(newest.bit_length() // HEIGHT + 1)]
    tiles, octets = sum(-(-one // WIDTH) for one in levels), HASH * sum(levels)
    stored = tx.all("size_of_tree")[0]
    if (stored["tiles"], stored["octets"]) != (tiles, octets):
        said = f"{stored['tiles']:,} tiles of {stored['octets']:,} bytes; one of {newest:,} leaves has {tiles:,} of {octets:,}"
        raise Broken(Fault("tree", f"the stored tree has {said}", hint=UNTOUCHED))


def nothing_before(tx: Tx) -> None:
    """The database numbers records from 1, and the walk begins there. Raises `Broken` for a record that somebody put before that."""
    row = tx.one("record_before_all")
    if row is not None:
        said = "before it, and before all records, stands one that was never in the log"
        raise Broken(Line.of(row).fault("inserted", 0, said, UNTOUCHED))


def another_root(size: int, whose: str, before: int) -> Fault:
    """Records and stored tree agree with each other and not with the root of this size; ``whose``: outside, who vouches for it."""
    if not whose:
        return _between(before, size, CHANGED)
    said = f"the log does not go on from the checkpoint of {size:,} records that {whose}: another history was signed"
    return _between(before, size, said, kind="fork")


def rolled_back(what: str, size: int, newest: int) -> Fault:
    """Somebody outside has (``what``) a checkpoint of this size, larger than the log's own newest one."""
    said = f"{what} a checkpoint of {size:,} records; the log has one of {newest:,}"
    return Fault("rollback", said, newest, size - 1, hint="the log was rolled back: records that existed are gone")


def read_before(size: int, whose: str) -> Fault:
    """What was read at an earlier time does not go on from a checkpoint of this size for which somebody outside vouches."""
    said = f"what was read at an earlier time does not go on from the checkpoint of {size:,} records that {whose}"
    return Fault("fork", said, 0, size - 1, hint="verify again without --resume: every record is hashed then, and the first bad one named")


def another_beginning(size: int) -> Fault:
    """What was read at an earlier time does not stand in the stored tree."""
    said = f"what was read at an earlier time, {size:,} records, is not what this log begins with"
    hint = "does the file of --resume belong to another log? else verify again without it: every record is hashed, the first bad one named"
    return Fault("fork", said, 0, size - 1, hint=hint)


def _between(before: int, size: int, what: str, kind: str = "rewritten") -> Fault:
    where = f"leaf {before:,}" if size == before + 1 else f"one of the leaves {before:,} to {size - 1:,}"
    return Fault(kind, f"{where}: {what}", before, size - 1, hint=f"the root of {before:,} leaves is right, that of {size:,} is not")


def _above(stored: StoredTree, changed: Sequence[Tile]) -> Fault:
    """The first stored hash above the leaves, or the first pointer to a record, that is not what the records make."""
    wrong = [tile for tile in changed if not same(stored, tile)]
    leaf = min(_first_leaf(stored, tile) for tile in wrong)
    return _tree(leaf, f"the stored tree is wrong above leaf {leaf:,}")


def _tree(leaf: int, sentence: str) -> Fault:
    return Fault("tree", sentence, leaf, leaf, hint="the records are as they were; proofs made from the stored tree are not good")


def _first_leaf(stored: StoredTree, tile: Tile) -> int:
    hashes = b""
    with suppress(NoTile):
        hashes = stored.tile(tile.level, tile.number).hashes
    pairs = ((tile.hashes[n : n + HASH], hashes[n : n + HASH]) for n in range(0, len(tile.hashes), HASH))
    at = next((n for n, (ours, theirs) in enumerate(pairs) if ours != theirs), 0)
    return ((tile.number << HEIGHT) + at) << HEIGHT * tile.level


def _of_record(tx: Tx, stored: StoredTree, leaf: int, lines: Sequence[Line], newest: StoredCheckpoint) -> Fault:
    """What was done to the record of that leaf, by what stands around it; the stored leaves are right."""
    theirs = _leaves(stored, leaf, min(newest.size, leaf + AHEAD))
    after = lines[-1].seq if lines else newest.last
    more = tx.all("whole_records_after", after=after, most=max(AHEAD - len(lines), 1))
    around = [*lines, *map(Line.of, more)]
    ours = [leaf_hash(line.content) for line in around]
    known = bool(ours) and (ours[0] in theirs or bool(theirs and theirs[0] in ours))
    if not known and (not ours or around[0].seq > newest.last):
        gone = newest.size - leaf
        what = f"its record is gone, and all {gone:,} behind it" if gone > 1 else "its record, the last one, is gone"
        return Fault("missing", f"leaf {leaf:,}: {what}", leaf, newest.size - 1, hint=UNTOUCHED)
    here = around[0]
    if ours[0] in theirs:
        place = theirs.index(ours[0])
        if theirs[0] in ours:
            return here.fault("reordered", leaf, f"here stands the record of leaf {leaf + place:,}", UNTOUCHED)
        lost = "its record is gone" if place == 1 else f"its record is gone, and those of the {place - 1:,} leaves behind it"
        return Fault(
            "missing", f"leaf {leaf:,}: {lost}; the record before was the last one that fits", leaf, leaf + place - 1, hint=UNTOUCHED
        )
    if theirs and theirs[0] in ours:
        return here.fault("inserted", leaf, "before it stands a record that was never in the log", UNTOUCHED)
    return here.fault("altered", leaf, "its record was changed, or another one put in its place", UNTOUCHED)


def _leaves(stored: StoredTree, start: int, end: int) -> list[bytes]:
    """Stored leaf hashes ``[start, end)``; fewer when the tree ends before."""
    found: list[bytes] = []
    for number in range(start >> HEIGHT, ((end - 1) >> HEIGHT) + 1):
        try:
            found += [leaf for leaf in hashes_in(stored.tile(0, number).hashes) if len(leaf) == HASH]
        except NoTile:
            break
    first = (start >> HEIGHT) << HEIGHT
    return found[start - first : end - first]


def _root(stored: StoredTree, before: int, leaves: Sequence[bytes]) -> bytes:
    """The root of the tree whose first leaves, as they are stored, were found right, with these behind them."""
    edge = tree.CompactRange()
    edge.extend([*_leaves(stored, 0, before), *leaves])
    return edge.root()


@contextmanager
def of_the_bus() -> Iterator[None]:
    """For who makes evidence of the log's tables: what somebody put there is told, and is no error of ours."""
    try:
        yield
    except STRANGE as error:
        sentence = f"something stands in the tables of the log that the bus does not write: {visible(str(error))[:200]}"
        raise EvidenceError(sentence, code="evidence.broken", hint="bus log verify says what; restore it from a backup") from error
