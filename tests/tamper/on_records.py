"""Tamperings with records, with the tree and its checkpoints, and with what the witness said."""

from __future__ import annotations

import json
import random
import sqlite3

from bus.log import tree
from bus.log.checkpoint import Checkpoint, checkpoint_of
from bus.log.note import Note, Signer
from bus.log.tiles import Edge
from bus.log.verify import Trust
from bus.message import canonical
from tests.tamper.logs import ORIGIN, WITNESS, Small
from tests.tamper.tampering import another, flip, found, kind, pick, put, write

# -- records ----------------------------------------------------------------------------------------------------------


@kind
def one_bit_of_a_record(raw, rng, small):
    leaf = rng.randrange(len(small.leaves))
    content = bytearray(small.leaves[leaf].content)
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    put(raw, small, leaf, bytes(content))
    return found("altered", leaf=leaf)


@kind
def another_text_in_a_record(raw, rng, small):
    leaf = pick(rng, small)
    _rewritten(raw, rng, small, leaf)
    return found("altered", leaf=leaf)


@kind
def a_record_emptied(raw, rng, small):
    leaf = pick(rng, small)
    put(raw, small, leaf, rng.choice((b"", b"{}", b"null", small.leaves[leaf].content + b" ")))
    return found("altered", leaf=leaf)


@kind
def a_record_deleted(raw, rng, small):
    leaf = pick(rng, small)
    raw.execute("DELETE FROM records WHERE seq = ?", (small.leaves[leaf].seq,))
    return found("missing", leaf=leaf)


@kind
def several_records_deleted(raw, rng, small):
    leaf = pick(rng, small)
    raw.execute("DELETE FROM records WHERE seq BETWEEN ? AND ?", (small.leaves[leaf].seq, small.leaves[leaf].seq + rng.randrange(1, 9)))
    return found("missing", leaf=leaf)


@kind
def the_end_cut_off(raw, rng, small):
    leaf = pick(rng, small)
    raw.execute("DELETE FROM records WHERE seq >= ?", (small.leaves[leaf].seq,))
    return found("missing", leaf=leaf)


@kind
def the_last_record_deleted_and_a_new_one_written(raw, rng, small):
    leaf = len(small.leaves) - 1
    raw.execute("DELETE FROM records WHERE seq = ?", (small.leaves[leaf].seq,))
    write(raw, small.leaves[leaf].seq + 5, another(small.leaves[leaf].content, rng))
    return found("missing", leaf=leaf)


@kind
def a_record_inserted(raw, rng, small):
    leaf = pick(rng, small)
    _shift(raw, small.leaves[leaf].seq)
    write(raw, small.leaves[leaf].seq, another(small.leaves[leaf].content, rng))
    return found("inserted", leaf=leaf)


@kind
def a_record_inserted_and_its_neighbour_deleted(raw, rng, small):
    leaf = pick(rng, small)
    raw.execute("DELETE FROM records WHERE seq = ?", (small.leaves[leaf].seq,))
    write(raw, small.leaves[leaf].seq, another(small.leaves[leaf].content, rng))
    return found("altered", leaf=leaf)


@kind
def a_record_inserted_before_all_others(raw, rng, small):
    """The right to insert suffices: no trigger forbids a number that the database would not give."""
    write(raw, rng.choice((0, -3, -(2**63))), another(small.leaves[pick(rng, small)].content, rng))
    return found("inserted", leaf=0)


@kind
def two_records_exchanged(raw, rng, small):
    one, two = sorted(rng.sample(range(len(small.leaves)), 2))
    for leaf, number in ((one, -1), (two, small.leaves[one].seq)):
        raw.execute("UPDATE records SET seq = ? WHERE seq = ?", (number, small.leaves[leaf].seq))
    raw.execute("UPDATE records SET seq = ? WHERE seq = -1", (small.leaves[two].seq,))
    return found("reordered", leaf=one)


@kind
def a_record_moved_forward(raw, rng, small):
    one, two = sorted(rng.sample(range(len(small.leaves)), 2))
    _shift(raw, small.leaves[one].seq)
    raw.execute("UPDATE records SET seq = ? WHERE seq = ?", (small.leaves[one].seq, small.leaves[two].seq + 1))
    return found("reordered", leaf=one)


@kind
def a_record_written_twice(raw, rng, small):
    one, two = pick(rng, small), pick(rng, small)
    put(raw, small, one, small.leaves[two].content if one != two else small.leaves[0].content)
    return found("altered", "reordered", "missing", leaf=one)


@kind
def a_record_of_another_sort(raw, rng, small):
    """A text or a number where bytes belong: SQLite lets anybody write it."""
    leaf = pick(rng, small)
    put(raw, small, leaf, rng.choice((7, 1.5, small.leaves[leaf].content.decode() + " ")))
    return found("altered", leaf=leaf)


@kind
def a_record_as_a_text_of_the_same_bytes(raw, rng, small):
    """Its hash is right, and the bus cannot read it."""
    leaf = pick(rng, small)
    raw.execute("UPDATE records SET content = CAST(content AS TEXT) WHERE seq = ?", (small.leaves[leaf].seq,))
    return found("column", leaf=leaf)


def _shift(raw: sqlite3.Connection, seq: int) -> None:
    """Make room at a number: all behind it move up by one."""
    raw.execute("UPDATE records SET seq = -seq - 1 WHERE seq >= ?", (seq,))
    raw.execute("UPDATE records SET seq = -seq WHERE seq < 0")


def _rewritten(raw: sqlite3.Connection, rng: random.Random, small: Small, leaf: int) -> None:
    """Another text in a record, and its time in the column that repeats it."""
    content = another(small.leaves[leaf].content, rng)
    put(raw, small, leaf, content)
    raw.execute("UPDATE records SET time = ? WHERE seq = ?", (json.loads(content)["time"], small.leaves[leaf].seq))


# -- records together with the tree -----------------------------------------------------------------------------------


def _regrown(raw: sqlite3.Connection, signers: list[Signer] | None = None) -> None:
    """Make the whole tree again over what the records say now; with ``signers`` the checkpoints too."""
    sizes = [row[0] for row in raw.execute("SELECT size FROM checkpoints ORDER BY size")]
    edge = Edge()
    raw.execute("DELETE FROM tiles")
    for seq, content in raw.execute("SELECT seq, content FROM records ORDER BY seq LIMIT ?", (sizes[-1],)).fetchall():
        edge.extend([tree.leaf_hash(content)], [seq])
        if edge.size in sizes:
            for tile in edge.changed():
                raw.execute("INSERT OR REPLACE INTO tiles (level, number, hashes, first) VALUES (?, ?, ?, ?)", tile)
            if signers is not None:
                note = Checkpoint(ORIGIN, edge.size, edge.root()).signed(signers).encode()
                raw.execute("UPDATE checkpoints SET root = ?, last = ?, note = ? WHERE size = ?", (edge.root(), seq, note, edge.size))


def _between(sizes: list[int], leaf: int) -> tuple[int, int]:
    """The leaves from the last of these sizes that is before the leaf to the next."""
    return max((size for size in sizes if size <= leaf), default=0), min(size for size in sizes if size > leaf) - 1


@kind
def a_record_and_its_leaf_in_the_tree(raw, rng, small):
    leaf = pick(rng, small)
    content = another(small.leaves[leaf].content, rng)
    put(raw, small, leaf, content)
    number, at = divmod(leaf, 256)
    [hashes] = raw.execute("SELECT hashes FROM tiles WHERE level = 0 AND number = ?", (number,)).fetchone()
    changed = hashes[: 32 * at] + tree.leaf_hash(content) + hashes[32 * at + 32 :]
    raw.execute("UPDATE tiles SET hashes = ? WHERE level = 0 AND number = ?", (changed, number))
    return found("rewritten", "altered", leaf=leaf, within=_between(small.sizes, leaf))


@kind
def a_record_and_the_whole_tree(raw, rng, small):
    leaf = pick(rng, small)
    put(raw, small, leaf, another(small.leaves[leaf].content, rng))
    _regrown(raw)
    return found("rewritten", leaf=leaf, within=_between(small.sizes, leaf))


@kind
def a_record_deleted_and_the_whole_tree_made_again(raw, rng, small):
    leaf = rng.randrange(1, len(small.leaves) - 1)
    raw.execute("DELETE FROM records WHERE seq = ?", (small.leaves[leaf].seq,))
    write(raw, small.leaves[-1].seq + 1, another(small.leaves[leaf].content, rng))
    _regrown(raw)
    return found("rewritten", leaf=leaf, within=_between(small.sizes, leaf))


@kind
def a_record_and_everything_signed_by_a_stranger(raw, rng, small):
    """Also the record that says the keys: the auditor has the key from elsewhere."""
    stranger = Signer.new(ORIGIN)
    line = json.loads(small.leaves[0].content)
    put(raw, small, 0, canonical(line | {"data": line["data"] | {"keys": [str(stranger.verifier)]}}))
    _regrown(raw, [stranger])
    return found("checkpoint")


@kind
def another_history_signed_with_the_key_of_the_log(raw, rng, small):
    """The operator himself. The witness saw the first history."""
    leaf = pick(rng, small)
    _rewritten(raw, rng, small, leaf)
    _regrown(raw, [small.signer])
    return found("fork", leaf=leaf, within=_between(list(small.cosigned), leaf))


@kind
def another_history_against_a_checkpoint_that_the_auditor_holds(raw, rng, small):
    """The operator himself, who also had his friends cosign, or threw the cosignatures away."""
    leaf = pick(rng, small)
    held = next(note for note in small.checkpoints if checkpoint_of(note.text).size > leaf)
    _rewritten(raw, rng, small, leaf)
    raw.execute("DELETE FROM anchors")
    _regrown(raw, [small.signer])
    return found("fork", leaf=leaf, within=(0, checkpoint_of(held.text).size - 1), trust=Trust((small.signer.verifier,), held=(held,)))


@kind
def an_older_state_restored(raw, rng, small):
    """Records, tree, checkpoints and cosignatures, all as they once were."""
    if len(small.sizes) < 3:
        return the_newest_checkpoint_removed(raw, rng, small)
    size = rng.choice(small.sizes[1:-1])
    raw.execute("DELETE FROM records WHERE seq > (SELECT last FROM checkpoints WHERE size = ?)", (size,))
    raw.execute("DELETE FROM checkpoints WHERE size > ?", (size,))
    raw.execute("DELETE FROM anchors WHERE size > ?", (size,))
    _regrown(raw)
    held = rng.choice([note for note in small.checkpoints if checkpoint_of(note.text).size > size])
    return found("rollback", leaf=size, trust=Trust((small.signer.verifier,), held=(held,)))


# -- tree and checkpoints ---------------------------------------------------------------------------------------------


@kind
def a_leaf_of_the_stored_tree(raw, rng, small):
    leaf = rng.randrange(len(small.leaves))
    number, at = divmod(leaf, 256)
    flip(raw, rng, "tiles", "hashes", "level = 0 AND number = ?", number, at * 32, 32)
    return found("tree", leaf=leaf)


@kind
def a_node_of_the_stored_tree(raw, rng, small):
    """Above the leaves, where the log is large enough to have some."""
    rows = raw.execute("SELECT level, number, length(hashes) FROM tiles WHERE level > 0").fetchall()
    if not rows:
        return a_leaf_of_the_stored_tree(raw, rng, small)
    level, number, length = rng.choice(rows)
    at = rng.randrange(length // 32)
    flip(raw, rng, "tiles", "hashes", "level = ? AND number = ?", (level, number), at * 32, 32)
    return found("tree", leaf=(number * 256 + at) << 8 * level)


@kind
def a_tile_removed(raw, rng, small):
    number = rng.randrange(-(-len(small.leaves) // 256))
    raw.execute("DELETE FROM tiles WHERE level = 0 AND number = ?", (number,))
    return found("tree", "rollback", leaf=number * 256)


@kind
def one_bit_of_a_checkpoint(raw, rng, small):
    size = rng.choice(small.sizes)
    flip(raw, rng, "checkpoints", rng.choice(("note", "root")), "size = ?", size)
    return found("checkpoint", "rewritten")


@kind
def a_checkpoint_signed_by_a_stranger(raw, rng, small):
    note = rng.choice(small.checkpoints)
    text, size = note.text, checkpoint_of(note.text).size
    forged = Note(text, (Signer.new(rng.choice((ORIGIN, "altro.example"))).sign(text),))
    raw.execute("UPDATE checkpoints SET note = ? WHERE size = ?", (forged.encode(), size))
    return found("checkpoint")


@kind
def a_checkpoint_of_more_records_than_there_ever_were(raw, rng, small):
    """No record is gone: nobody signed that there were more. With a note of nobody's, or a good one of another size."""
    size = len(small.leaves) + rng.choice((1, 256, 10**6, 2**61))
    text = Checkpoint(ORIGIN, size, rng.randbytes(32)).signed([Signer.new(ORIGIN)]).encode()
    note, root = rng.choice(((text, rng.randbytes(32)), raw.execute("SELECT note, root FROM checkpoints").fetchone()))
    raw.execute("INSERT INTO checkpoints (size, root, last, time, fence, note) VALUES (?, ?, 1, '', 1, ?)", (size, root, note))
    return found("checkpoint")


@kind
def a_checkpoint_in_the_place_of_another(raw, rng, small):
    if len(small.sizes) < 2:
        return one_bit_of_a_checkpoint(raw, rng, small)
    one, two = rng.sample(small.checkpoints, 2)
    raw.execute("UPDATE checkpoints SET note = ? WHERE size = ?", (one.encode(), checkpoint_of(two.text).size))
    return found("checkpoint", "rewritten")


@kind
def the_newest_checkpoint_removed(raw, rng, small):
    if len(small.sizes) < 2:
        return one_bit_of_a_checkpoint(raw, rng, small)
    raw.execute("DELETE FROM checkpoints WHERE size = ?", (small.sizes[-1],))
    return found("rollback", leaf=small.sizes[-2])


@kind
def all_checkpoints_removed(raw, rng, small):
    """With or without the tree and what others said of it; the auditor holds one, or the tree is there without them."""
    raw.execute("DELETE FROM checkpoints")
    if rng.random() < 0.3:
        return found("rollback", leaf=0)
    held = rng.choice(small.checkpoints)
    for table in rng.sample(("tiles", "anchors", "records"), rng.randrange(4)):
        raw.execute(f"DELETE FROM {table}")
    return found("rollback", leaf=0, trust=Trust((small.signer.verifier,), held=(held,)))


@kind
def a_tree_or_a_checkpoint_as_a_text_of_the_same_bytes(raw, rng, small):
    table, column = rng.choice((("tiles", "hashes"), ("checkpoints", "note"), ("checkpoints", "root")))
    [number] = rng.choice(raw.execute(f"SELECT rowid FROM {table}").fetchall())
    raw.execute(f"UPDATE {table} SET {column} = CAST({column} AS TEXT) WHERE rowid = ?", (number,))
    return found("tree", "checkpoint", "unreadable")


@kind
def a_tile_that_is_too_long_or_one_too_many(raw, rng, small):
    """The sequencer would take what is there for hashes, and stand still."""
    last = raw.execute("SELECT max(number) FROM tiles WHERE level = 0").fetchone()[0]
    if rng.random() < 0.5:
        more = (rng.randbytes(rng.choice((1, 16, 31))), last)
        raw.execute("UPDATE tiles SET hashes = CAST(hashes || ? AS BLOB) WHERE level = 0 AND number = ?", more)
    else:
        raw.execute("INSERT INTO tiles SELECT level + 1 + ?, number + 1000, hashes, first FROM tiles LIMIT 1", (rng.randrange(3),))
    return found("tree")


@kind
def rubbish_in_the_tree_or_a_checkpoint(raw, rng, small):
    table, column = rng.choice(
        (("tiles", "hashes"), ("tiles", "first"), ("checkpoints", "note"), ("checkpoints", "root"), ("checkpoints", "last"))
    )
    number, was = rng.choice(raw.execute(f"SELECT rowid, {column} FROM {table}").fetchall())
    rubbish = [one for one in ("x", 7, -1, 10**12, b"", b"x", 1.5) if one != was]  # 7 may be what is right
    raw.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (rng.choice(rubbish), number))
    return found("tree", "checkpoint", "unreadable", "rollback", "missing", "altered")


# -- what the witness said --------------------------------------------------------------------------------------------


@kind
def a_cosignature_forged(raw, rng, small):
    size = rng.choice(small.cosigned)
    [evidence] = raw.execute("SELECT evidence FROM anchors WHERE size = ?", (size,)).fetchone()
    mark = evidence.rindex(WITNESS.verifier.name.encode()) + len(WITNESS.verifier.name) + 20
    forged = bytearray(evidence)
    forged[mark] = ord("A") if forged[mark] != ord("A") else ord("B")
    raw.execute("UPDATE anchors SET evidence = ? WHERE size = ?", (bytes(forged), size))
    return found("cosignature")


@kind
def a_cosignature_stored_for_another_size(raw, rng, small):
    size = rng.choice(small.cosigned)
    other = rng.choice([n for n in range(1, len(small.leaves) + 1) if n not in small.cosigned] or [10**6])
    raw.execute("UPDATE anchors SET size = ? WHERE size = ?", (other, size))
    return found("cosignature")


@kind
def all_cosignatures_removed(raw, rng, small):
    raw.execute("DELETE FROM anchors")
    return found("cosignature")
