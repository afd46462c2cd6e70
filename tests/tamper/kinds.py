"""What somebody with the database in his hands could do to it. Each kind changes a copy at a random place and says what must be found.

``first``: the leaf that must be named, or the first of the leaves among which it must be sought when the tree was changed too.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from bus.log import tree
from bus.log.checkpoint import Checkpoint, checkpoint_of
from bus.log.note import Note, Signer
from bus.log.tiles import Edge
from bus.log.verify import Trust
from bus.message import canonical, new_id
from bus.store import Key
from tests.tamper.logs import DIGEST, ORIGIN, WITNESS, Small, sealed_with

ANY = frozenset(
    {
        "altered",
        "missing",
        "inserted",
        "reordered",
        "rewritten",
        "fork",
        "rollback",
        "tree",
        "checkpoint",
        "cosignature",
        "column",
        "payload",
        "unreadable",
        "table",
    }
)


class Expected(NamedTuple):
    """``kinds``: how it may be called; ``leaf``: the one that was tampered with; ``within``: how wide the answer may be."""

    kinds: frozenset[str]
    leaf: int | None = None
    within: tuple[int, int] | None = None
    trust: Trust | None = None
    opens: Key | None = None
    """The key with which somebody opens the payload that has two; the database is as it was."""


Tamper = Callable[[sqlite3.Connection, random.Random, Small], Expected]
KINDS: dict[str, Tamper] = {}


def kind(tamper: Tamper) -> Tamper:
    KINDS[tamper.__name__] = tamper
    return tamper


def found(*kinds: str, leaf: int | None = None, **more) -> Expected:
    assert set(kinds) <= ANY
    return Expected(frozenset(kinds), leaf, **more)


def _pick(rng: random.Random, small: Small) -> int:
    """A leaf behind the first, which says the keys."""
    return rng.randrange(1, len(small.leaves))


def _content(raw: sqlite3.Connection, small: Small, leaf: int, content: bytes) -> None:
    raw.execute("UPDATE records SET content = ? WHERE seq = ?", (content, small.leaves[leaf].seq))


def _shift(raw: sqlite3.Connection, seq: int) -> None:
    """Make room at a number: all behind it move up by one."""
    raw.execute("UPDATE records SET seq = -seq - 1 WHERE seq >= ?", (seq,))
    raw.execute("UPDATE records SET seq = -seq WHERE seq < 0")


def _another(content: bytes, rng: random.Random) -> bytes:
    """The same record with something else in it."""
    line = json.loads(content)
    what = rng.choice(("actor", "data", "time", "attempt"))
    line[what] = {"actor": "nessuno", "data": {"n": rng.random()}, "time": "2020-01-01T00:00:00.000Z", "attempt": rng.randrange(99)}[what]
    return canonical(line)


# -- records ----------------------------------------------------------------------------------------------------------


@kind
def one_bit_of_a_record(raw, rng, small):
    leaf = rng.randrange(len(small.leaves))
    content = bytearray(small.leaves[leaf].content)
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    _content(raw, small, leaf, bytes(content))
    return found("altered", leaf=leaf)


@kind
def another_text_in_a_record(raw, rng, small):
    leaf = _pick(rng, small)
    content = _another(small.leaves[leaf].content, rng)
    _content(raw, small, leaf, content)
    raw.execute("UPDATE records SET time = ? WHERE seq = ?", (json.loads(content)["time"], small.leaves[leaf].seq))
    return found("altered", leaf=leaf)


@kind
def a_record_emptied(raw, rng, small):
    leaf = _pick(rng, small)
    _content(raw, small, leaf, rng.choice((b"", b"{}", b"null", small.leaves[leaf].content + b" ")))
    return found("altered", leaf=leaf)


@kind
def a_record_deleted(raw, rng, small):
    leaf = _pick(rng, small)
    raw.execute("DELETE FROM records WHERE seq = ?", (small.leaves[leaf].seq,))
    return found("missing", leaf=leaf)


@kind
def several_records_deleted(raw, rng, small):
    leaf = _pick(rng, small)
    raw.execute("DELETE FROM records WHERE seq BETWEEN ? AND ?", (small.leaves[leaf].seq, small.leaves[leaf].seq + rng.randrange(1, 9)))
    return found("missing", leaf=leaf)


@kind
def the_end_cut_off(raw, rng, small):
    leaf = _pick(rng, small)
    raw.execute("DELETE FROM records WHERE seq >= ?", (small.leaves[leaf].seq,))
    return found("missing", leaf=leaf)


@kind
def the_last_record_deleted_and_a_new_one_written(raw, rng, small):
    leaf = len(small.leaves) - 1
    raw.execute("DELETE FROM records WHERE seq = ?", (small.leaves[leaf].seq,))
    _write(raw, small.leaves[leaf].seq + 5, _another(small.leaves[leaf].content, rng))
    return found("missing", leaf=leaf)


def _write(raw: sqlite3.Connection, seq: int, content: bytes) -> None:
    line = json.loads(content) | {"id": new_id()}
    row = (seq, line["id"], line["kind"], line["time"], line.get("message"), line.get("run"), canonical(line))
    raw.execute("INSERT INTO records (seq, id, kind, time, message, run, content) VALUES (?, ?, ?, ?, ?, ?, ?)", row)


@kind
def a_record_inserted(raw, rng, small):
    leaf = _pick(rng, small)
    _shift(raw, small.leaves[leaf].seq)
    _write(raw, small.leaves[leaf].seq, _another(small.leaves[leaf].content, rng))
    return found("inserted", leaf=leaf)


@kind
def a_record_inserted_and_its_neighbour_deleted(raw, rng, small):
    leaf = _pick(rng, small)
    raw.execute("DELETE FROM records WHERE seq = ?", (small.leaves[leaf].seq,))
    _write(raw, small.leaves[leaf].seq, _another(small.leaves[leaf].content, rng))
    return found("altered", leaf=leaf)


@kind
def a_record_inserted_before_all_others(raw, rng, small):
    """The right to insert suffices: no trigger forbids a number that the database would not give."""
    _write(raw, rng.choice((0, -3, -(2**63))), _another(small.leaves[_pick(rng, small)].content, rng))
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
    one, two = _pick(rng, small), _pick(rng, small)
    _content(raw, small, one, small.leaves[two].content if one != two else small.leaves[0].content)
    return found("altered", "reordered", "missing", leaf=one)


@kind
def a_record_of_another_sort(raw, rng, small):
    """A text or a number where bytes belong: SQLite lets anybody write it."""
    leaf = _pick(rng, small)
    _content(raw, small, leaf, rng.choice((7, 1.5, small.leaves[leaf].content.decode() + " ")))
    return found("altered", leaf=leaf)


@kind
def a_record_as_a_text_of_the_same_bytes(raw, rng, small):
    """Its hash is right, and the bus cannot read it."""
    leaf = _pick(rng, small)
    raw.execute("UPDATE records SET content = CAST(content AS TEXT) WHERE seq = ?", (small.leaves[leaf].seq,))
    return found("column", leaf=leaf)


# -- records together with the tree -----------------------------------------------------------------------------------


def _regrown(raw: sqlite3.Connection, signers: list[Signer] | None = None, until: int | None = None) -> None:
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
    leaf = _pick(rng, small)
    content = _another(small.leaves[leaf].content, rng)
    _content(raw, small, leaf, content)
    number, at = divmod(leaf, 256)
    [hashes] = raw.execute("SELECT hashes FROM tiles WHERE level = 0 AND number = ?", (number,)).fetchone()
    changed = hashes[: 32 * at] + tree.leaf_hash(content) + hashes[32 * at + 32 :]
    raw.execute("UPDATE tiles SET hashes = ? WHERE level = 0 AND number = ?", (changed, number))
    return found("rewritten", "altered", leaf=leaf, within=_between(small.sizes, leaf))


@kind
def a_record_and_the_whole_tree(raw, rng, small):
    leaf = _pick(rng, small)
    _content(raw, small, leaf, _another(small.leaves[leaf].content, rng))
    _regrown(raw)
    return found("rewritten", leaf=leaf, within=_between(small.sizes, leaf))


@kind
def a_record_deleted_and_the_whole_tree_made_again(raw, rng, small):
    leaf = rng.randrange(1, len(small.leaves) - 1)
    raw.execute("DELETE FROM records WHERE seq = ?", (small.leaves[leaf].seq,))
    _write(raw, small.leaves[-1].seq + 1, _another(small.leaves[leaf].content, rng))
    _regrown(raw)
    return found("rewritten", leaf=leaf, within=_between(small.sizes, leaf))


@kind
def a_record_and_everything_signed_by_a_stranger(raw, rng, small):
    """Also the record that says the keys: the auditor has the key from elsewhere."""
    stranger = Signer.new(ORIGIN)
    line = json.loads(small.leaves[0].content)
    _content(raw, small, 0, canonical(line | {"data": line["data"] | {"keys": [str(stranger.verifier)]}}))
    _regrown(raw, [stranger])
    return found("checkpoint")


@kind
def another_history_signed_with_the_key_of_the_log(raw, rng, small):
    """The operator himself. The witness saw the first history."""
    leaf = _pick(rng, small)
    content = _another(small.leaves[leaf].content, rng)
    _content(raw, small, leaf, content)
    raw.execute("UPDATE records SET time = ? WHERE seq = ?", (json.loads(content)["time"], small.leaves[leaf].seq))
    _regrown(raw, [small.signer])
    return found("fork", leaf=leaf, within=_between(list(small.cosigned), leaf))


@kind
def another_history_against_a_checkpoint_that_the_auditor_holds(raw, rng, small):
    """The operator himself, who also had his friends cosign, or threw the cosignatures away."""
    leaf = _pick(rng, small)
    held = next(note for note in small.checkpoints if checkpoint_of(note.text).size > leaf)
    content = _another(small.leaves[leaf].content, rng)
    _content(raw, small, leaf, content)
    raw.execute("UPDATE records SET time = ? WHERE seq = ?", (json.loads(content)["time"], small.leaves[leaf].seq))
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
    _flip(raw, rng, "tiles", "hashes", "level = 0 AND number = ?", number, at * 32, 32)
    return found("tree", leaf=leaf)


@kind
def a_node_of_the_stored_tree(raw, rng, small):
    """Above the leaves, where the log is large enough to have some."""
    rows = raw.execute("SELECT level, number, length(hashes) FROM tiles WHERE level > 0").fetchall()
    if not rows:
        return a_leaf_of_the_stored_tree(raw, rng, small)
    level, number, length = rng.choice(rows)
    at = rng.randrange(length // 32)
    _flip(raw, rng, "tiles", "hashes", "level = ? AND number = ?", (level, number), at * 32, 32)
    return found("tree", leaf=(number * 256 + at) << 8 * level)


@kind
def a_tile_removed(raw, rng, small):
    number = rng.randrange(-(-len(small.leaves) // 256))
    raw.execute("DELETE FROM tiles WHERE level = 0 AND number = ?", (number,))
    return found("tree", "rollback", leaf=number * 256)


def _flip(raw, rng, table, column, where, key, start=0, length=None) -> None:
    values = key if isinstance(key, tuple) else (key,)
    [content] = raw.execute(f"SELECT {column} FROM {table} WHERE {where}", values).fetchone()
    changed = bytearray(content)
    changed[start + rng.randrange(length or len(changed))] ^= 1 << rng.randrange(8)
    raw.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (bytes(changed), *values))


@kind
def one_bit_of_a_checkpoint(raw, rng, small):
    size = rng.choice(small.sizes)
    _flip(raw, rng, "checkpoints", rng.choice(("note", "root")), "size = ?", size)
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
def rubbish_in_the_tree_or_a_checkpoint(raw, rng, small):
    table, column = rng.choice(
        (("tiles", "hashes"), ("tiles", "first"), ("checkpoints", "note"), ("checkpoints", "root"), ("checkpoints", "last"))
    )
    [number] = rng.choice(raw.execute(f"SELECT rowid FROM {table}").fetchall())
    raw.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (rng.choice(("x", 7, -1, 10**12, b"", b"x", 1.5)), number))
    return found("tree", "checkpoint", "unreadable", "rollback", "missing", "altered")


# -- what repeats a record, and what it commits to --------------------------------------------------------------------


@kind
def a_column_that_says_something_else(raw, rng, small):
    leaf = _pick(rng, small)
    column = rng.choice(("id", "kind", "time", "message", "run"))
    raw.execute(f"UPDATE records SET {column} = ? WHERE seq = ?", (f"altro {rng.random()}", small.leaves[leaf].seq))
    return found("column", leaf=leaf)


def _payload(rng: random.Random, small: Small, wanted: Callable[[dict, str], bool] = lambda line, role: True) -> tuple[int, str]:
    """A leaf and a payload that it commits to, one that is ``wanted`` if there is one."""
    lines = [(leaf, json.loads(small.leaves[leaf].content)) for leaf in range(1, len(small.leaves))]
    gone = small.disposed.payloads if small.disposed else frozenset()
    there = [
        (leaf, one["id"])
        for leaf, line in lines
        for one in line.get("payloads", ())
        if line.get("message") not in small.erased and one["id"] not in gone and wanted(line, one["role"])
    ]
    return rng.choice(there) if there else _payload(rng, small)


@kind
def one_bit_of_a_payload(raw, rng, small):
    leaf, payload = _payload(rng, small)
    _flip(raw, rng, "payloads", rng.choice(("content", "nonce")), "id = ?", payload)
    return found("payload", leaf=leaf)


@kind
def a_payload_of_another_message_or_media_type(raw, rng, small):
    """What is shown with it, and what goes with the message when that is too old."""
    leaf, payload = _payload(rng, small)
    raw.execute(f"UPDATE payloads SET {rng.choice(('message', 'media_type'))} = 'altro' WHERE id = ?", (payload,))
    return found("column", leaf=leaf)


@kind
def a_payload_parted_elsewhere(raw, rng, small):
    """The commitment is over nonce and content, one behind the other: all its bytes are there, and the bus would read another text."""
    leaf, payload = _payload(rng, small)
    nonce, content = raw.execute("SELECT nonce, content FROM payloads WHERE id = ?", (payload,)).fetchone()
    both = nonce + content
    at = rng.choice([at for at in (0, 1, 31, 32, 34, len(both) - len(content) + 48, rng.randrange(len(both) + 1)) if at != len(nonce)])
    raw.execute("UPDATE payloads SET nonce = ?, content = ? WHERE id = ?", (both[:at], both[at:], payload))
    return found("payload", leaf=leaf)


@kind
def a_payload_as_a_text_of_the_same_bytes(raw, rng, small):
    leaf, payload = _payload(rng, small)
    column = rng.choice(("nonce", "content"))
    raw.execute(f"UPDATE payloads SET {column} = CAST({column} AS TEXT) WHERE id = ?", (payload,))
    return found("column", leaf=leaf)


@kind
def two_payloads_exchanged(raw, rng, small):
    (one, first), (two, second) = _payload(rng, small), _payload(rng, small)
    if first == second:
        return one_bit_of_a_payload(raw, rng, small)
    raw.execute("UPDATE payloads SET id = 'x' WHERE id = ?", (first,))
    raw.execute("UPDATE payloads SET id = ? WHERE id = ?", (first, second))
    raw.execute("UPDATE payloads SET id = ? WHERE id = 'x'", (second,))
    return found("payload", leaf=min(one, two))


@kind
def a_payload_removed(raw, rng, small):
    leaf, payload = _payload(rng, small)
    raw.execute("DELETE FROM payloads WHERE id = ?", (payload,))
    return found("payload", leaf=leaf)


@kind
def a_payload_removed_of_a_message_whose_wire_bytes_were_disposed_of(raw, rng, small):
    """The record `disposed` says why the wire bytes are gone, and nothing else."""
    named = small.disposed.messages if small.disposed else frozenset()
    leaf, payload = _payload(rng, small, lambda line, role: line.get("message") in named and not role.startswith("wire"))
    raw.execute("DELETE FROM payloads WHERE id = ?", (payload,))
    return found("payload", leaf=leaf)


@kind
def wire_bytes_removed_that_nobody_disposed_of(raw, rng, small):
    leaf, payload = _payload(rng, small, lambda line, role: role.startswith("wire"))
    raw.execute("DELETE FROM payloads WHERE id = ?", (payload,))
    return found("payload", leaf=leaf)


@kind
def what_was_disposed_of_told_otherwise(raw, rng, small):
    """The record that says what is gone, and why, removed or changed to name another message."""
    if small.disposed is None:
        return a_record_deleted(raw, rng, small)
    leaf = small.disposed.leaf
    if rng.random() < 0.5:
        raw.execute("DELETE FROM records WHERE seq = ?", (small.leaves[leaf].seq,))
        return found("missing", leaf=leaf)
    line = json.loads(small.leaves[leaf].content)
    _content(raw, small, leaf, canonical(line | {"data": line["data"] | {"wires": [new_id()]}}))
    return found("altered", leaf=leaf)


@kind
def a_payload_removed_and_a_record_written_that_says_why(raw, rng, small):
    """Written to the table, and not sealed: who could seal it has the key of the log."""
    leaf, payload = _payload(rng, small)
    line = json.loads(small.leaves[leaf].content)
    whose = line.get("message", line["id"])
    raw.execute("DELETE FROM payloads WHERE id = ?", (payload,))
    data = {"messages": [whose], "wires": [], "records": [whose], "files": [], "keys": []}
    told = {"v": 1, "kind": rng.choice(("erased", "disposed")), "time": line["time"], "actor": "chiara", "data": data}
    _write(raw, small.leaves[-1].seq + 1, canonical(told))
    return found("payload", leaf=leaf)


@kind
def a_payload_opened_to_another_text(raw, rng, small):
    """Nothing is changed: the key store now has another key, which opens the very ciphertext to another text."""
    return Expected(frozenset(), opens=small.opening.wrong)


@kind
def a_payload_and_the_commitment_to_it(raw, rng, small):
    """A new payload, right in itself, and the record changed so that it names it."""
    leaf, payload = _payload(rng, small)
    other = sealed_with(rng, "body", b'{"x": "un altro testo"}')
    raw.execute(
        "UPDATE payloads SET id = ?, nonce = ?, content = ? WHERE id = ?", (other.commitment.id, other.nonce, other.content, payload)
    )
    _content(raw, small, leaf, small.leaves[leaf].content.replace(payload.encode(), other.commitment.id.encode()))
    return found("altered", leaf=leaf)


# -- tables that are made from the log --------------------------------------------------------------------------------


def _last(small: Small, about: str, what: Callable[[dict], bool]) -> int:
    """The last leaf of a run or message of which ``what`` is true."""
    lines = [json.loads(leaf.content) for leaf in small.leaves]
    return max(n for n, line in enumerate(lines) if about in (line.get("run"), line.get("message")) and what(line))


def _some_row(raw, rng, table: str) -> dict:
    raw.row_factory = sqlite3.Row
    rows = [dict(row) for row in raw.execute(f"SELECT * FROM {table}")]
    raw.row_factory = None
    return rng.choice(rows)


def _told_state(small: Small, run: str, message: str) -> int:
    """The leaf that told the state of a run last; the one that opened it when none did."""
    try:
        return _last(small, run, lambda line: "state" in line.get("data", ()))
    except ValueError:
        return _last(small, message, lambda line: line["kind"] == "received")


@kind
def a_run_that_ended_otherwise(raw, rng, small):
    """What the console shows of a run, and the portal of its message."""
    row = _some_row(raw, rng, "runs")
    column, value = rng.choice(
        (
            ("state", "dead" if row["state"] == "done" else "done"),
            ("reason", "nessuna ragione"),
            ("place", "altro@1/passo"),
            ("due", "2020-01-01T00:00:00.000Z"),
            ("changed", "2020-01-01T00:00:00.000Z"),
        )
    )
    raw.execute(f"UPDATE runs SET {column} = ? WHERE id = ?", (value, row["id"]))
    return found("table", leaf=_told_state(small, row["id"], row["message"]))


@kind
def a_run_of_other_rules_or_another_message(raw, rng, small):
    row = _some_row(raw, rng, "runs")
    column, value = rng.choice((("route", "altro"), ("version", 7), ("digest", "f" * 64), ("entry", "x"), ("ordered", 0), ("message", "x")))
    raw.execute(f"UPDATE runs SET {column} = ? WHERE id = ?", (value, row["id"]))
    return found("table")


@kind
def a_reply_in_the_place_of_another(raw, rng, small):
    """What the portal is answered."""
    row, other = _some_row(raw, rng, "messages"), _some_row(raw, rng, "payloads")
    value = other["id"] if row["reply"] is None else rng.choice((None, other["id"] if other["id"] != row["reply"] else None))
    raw.execute("UPDATE messages SET reply = ? WHERE id = ?", (value, row["id"]))
    return found("table")


@kind
def a_message_that_somebody_else_sent(raw, rng, small):
    row = _some_row(raw, rng, "messages")
    column = rng.choice(("type", "sender", "time", "payload"))
    raw.execute(f"UPDATE messages SET {column} = 'altro' WHERE id = ?", (row["id"],))
    return found("table", leaf=_last(small, row["id"], lambda line: line["kind"] == "received") if row["reply"] is None else None)


@kind
def a_message_or_run_moved_into_another_case(raw, rng, small):
    table = rng.choice(("messages", "runs"))
    row, other = _some_row(raw, rng, table), _some_row(raw, rng, "cases")
    value = other["id"] if other["id"] != row["case_id"] else "0" * 36
    raw.execute(f"UPDATE {table} SET case_id = ? WHERE id = ?", (value, row["id"]))
    return found("table")


@kind
def two_cases_made_one(raw, rng, small):
    """With everything that belongs to them, so that each row fits the others."""
    one, two = _some_row(raw, rng, "cases")["id"], _some_row(raw, rng, "cases")["id"]
    if one == two:
        return a_message_or_run_moved_into_another_case(raw, rng, small)
    for table in ("messages", "runs", "case_keys"):
        raw.execute(f"UPDATE {table} SET case_id = ? WHERE case_id = ?", (one, two))
    raw.execute("DELETE FROM cases WHERE id = ?", (two,))
    return found("table")


@kind
def a_row_taken_out_of_a_table(raw, rng, small):
    table = rng.choice(("messages", "runs", "cases", "case_keys"))
    row = _some_row(raw, rng, table)
    if table == "case_keys":
        raw.execute("DELETE FROM case_keys WHERE value = ?", (row["value"],))
    elif table == "cases":
        raw.execute("UPDATE cases SET opened = '2020-01-01T00:00:00.000Z' WHERE id = ?", (row["id"],))
    else:
        raw.execute(f"DELETE FROM {table} WHERE id = ?", (row["id"],))
    return found("table")


@kind
def a_row_that_no_record_made(raw, rng, small):
    table = rng.choice(("messages", "runs", "cases", "case_keys"))
    row = _some_row(raw, rng, table)
    if table == "case_keys":
        row["value"] = f"altro {rng.random()}"
    else:
        row["id"] = new_id()
    row.pop("turn", None)
    names = ", ".join(row)
    raw.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    return found("table")


@kind
def a_record_that_searches_do_not_find(raw, rng, small):
    """Nor as what it is: its trace taken out, put elsewhere, or under what another record is."""
    rows = raw.execute("SELECT facet, at, seq FROM traces").fetchall()
    if not rows:
        return a_row_taken_out_of_a_table(raw, rng, small)
    facet, at, seq = rng.choice(rows)
    where = "facet = ? AND at = ? AND seq = ?"
    what = rng.choice(("DELETE FROM traces", "UPDATE traces SET at = at + 1", "UPDATE traces SET facet = -1", "UPDATE traces SET seq = -1"))
    raw.execute(f"{what} WHERE {where}", (facet, at, seq))
    return found("table", leaf=next(n for n, leaf in enumerate(small.leaves) if leaf.seq == seq))


@kind
def a_trace_that_no_record_made(raw, rng, small):
    facets = [row[0] for row in raw.execute("SELECT id FROM facets").fetchall()]
    if not facets:
        return a_row_that_no_record_made(raw, rng, small)
    raw.execute(
        "INSERT INTO traces (facet, at, seq) VALUES (?, ?, ?)", (rng.choice(facets), rng.randrange(10**9), rng.choice(small.leaves).seq)
    )
    return found("table")


@kind
def what_records_are_in_searches_called_otherwise(raw, rng, small):
    ids = [row[0] for row in raw.execute("SELECT id FROM facets").fetchall()]
    if not ids:
        return a_row_taken_out_of_a_table(raw, rng, small)
    column = rng.choice(("kind", "place", "type"))
    raw.execute(f"UPDATE facets SET {column} = 'altro' WHERE id = ?", (rng.choice(ids),))
    return found("table")


@kind
def rules_that_are_not_those_of_their_fingerprint(raw, rng, small):
    """What was in force is read in a bundle, and recomputed by a replay."""
    content = canonical({"route": f"altro {rng.random()}"})
    raw.execute("INSERT INTO rules (digest, kind, content) VALUES (?, 'route', ?)", (rng.randbytes(32).hex(), content))
    return found("table")


@kind
def rules_as_a_text_of_the_same_bytes(raw, rng, small):
    raw.execute("UPDATE rules SET content = CAST(content AS TEXT) WHERE digest = ?", (DIGEST,))
    return found("table")


@kind
def rules_that_stand_under_bytes_in_the_place_of_a_text(raw, rng, small):
    """Of their fingerprint, or of another one."""
    if rng.random() < 0.5:
        raw.execute("UPDATE rules SET digest = CAST(digest AS BLOB) WHERE digest = ?", (DIGEST,))
    else:
        raw.execute("INSERT INTO rules (digest, kind, content) VALUES (?, 'route', ?)", (rng.randbytes(32), b"{}"))
    return found("table")


@kind
def rules_by_which_there_are_runs_taken_out(raw, rng, small):
    """Then nobody can say any more whether it was done as they said."""
    raw.execute("DELETE FROM rules WHERE digest = ?", (DIGEST,))
    return found("table")


@kind
def texts_that_no_rules_in_force_were_read_from(raw, rng, small):
    """Where a replay says that a difference is."""
    content = canonical({"routes/prova.yaml": f"route: altro {rng.random()}"})
    raw.execute("INSERT INTO rules (digest, kind, content) VALUES (?, 'text', ?)", (f"text {rng.randbytes(32).hex()}", content))
    return found("table")


@kind
def a_name_of_a_message_that_nobody_received(raw, rng, small):
    """Whom it is about, or a file of it."""
    table, column = rng.choice((("holders", "holder"), ("enclosures", "file")))
    raw.execute(f"INSERT INTO {table} ({column}, message) VALUES (?, ?)", (rng.randbytes(16).hex(), new_id()))
    return found("table")


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
