"""Tamperings with what repeats a record, what it commits to, and the tables that are made from the log."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable

from bus.message import canonical, new_id
from tests.tamper.logs import DIGEST, Small, sealed_with
from tests.tamper.on_records import a_record_deleted
from tests.tamper.tampering import Expected, flip, found, kind, pick, put, write

# -- what repeats a record, and what it commits to --------------------------------------------------------------------


@kind
def a_column_that_says_something_else(raw, rng, small):
    leaf = pick(rng, small)
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
    flip(raw, rng, "payloads", rng.choice(("content", "nonce")), "id = ?", payload)
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
    put(raw, small, leaf, canonical(line | {"data": line["data"] | {"wires": [new_id()]}}))
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
    write(raw, small.leaves[-1].seq + 1, canonical(told))
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
    put(raw, small, leaf, small.leaves[leaf].content.replace(payload.encode(), other.commitment.id.encode()))
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
        return _last(small, run, lambda line: line["kind"] == "matched" or "state" in line.get("data", ()))
    except ValueError:
        return _last(small, message, lambda line: line["kind"] == "received")


@kind
def a_run_that_ended_otherwise(raw, rng, small):
    """What commands show of a run, and the portal of its message."""
    row = _some_row(raw, rng, "runs")
    column, value = rng.choice(
        (
            ("state", "dead" if row["state"] == "done" else "done"),
            ("reason", "nessuna ragione"),
            ("place", "altro@1/passo"),
            ("due", "2099-01-01T00:00:00.000Z"),
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
def a_wait_that_is_another_than_records_say(raw, rng, small):
    """Opened or closed by hand, for another key or until another time: the run sleeps for ever, or wakes for what is another's."""
    if not raw.execute("SELECT 1 FROM waits").fetchone():
        return a_row_taken_out_of_a_table(raw, rng, small)
    row = _some_row(raw, rng, "waits")
    column = rng.choice(("path", "place", "type", "case_id", "name", "value", "deadline", "state"))
    what = rng.choice(("DELETE FROM waits", f"UPDATE waits SET {column} = 'altro'"))
    raw.execute(f"{what} WHERE run = ? AND path = ?", (row["run"], row["path"]))
    return found("table")


@kind
def a_wait_or_a_match_that_no_record_made(raw, rng, small):
    row = _some_row(raw, rng, "runs")
    if rng.random() < 0.5:
        raw.execute("INSERT INTO matches (run, message) VALUES (?, ?)", (row["id"], new_id()))
    else:
        said = (row["id"], "altro", row["place"], row["case_id"])
        raw.execute("INSERT INTO waits (run, path, place, case_id, state, late) VALUES (?, ?, ?, ?, 'open', 0)", said)
    return found("table")


@kind
def a_message_that_a_run_was_given_taken_out(raw, rng, small):
    """It would be given to it a second time."""
    if not raw.execute("SELECT 1 FROM matches").fetchone():
        return a_row_taken_out_of_a_table(raw, rng, small)
    row = _some_row(raw, rng, "matches")
    raw.execute("DELETE FROM matches WHERE run = ? AND message = ?", (row["run"], row["message"]))
    return found("table")


@kind
def a_message_that_is_not_known_when_it_comes_again(raw, rng, small):
    """Nor as what it was: sent again by whoever got no answer, it would be taken twice, or pass for another one."""
    received = [(n, line) for n, leaf in enumerate(small.leaves) if (line := json.loads(leaf.content)).get("data", {}).get("intake")]
    if not received:
        return a_row_taken_out_of_a_table(raw, rng, small)
    leaf, line = rng.choice(received)
    [(scope, key)] = line["data"]["intake"]
    column = rng.choice(("scope", "key", "message", "content"))
    what = rng.choice(("DELETE FROM intake_keys", f"UPDATE intake_keys SET {column} = 'altro'"))
    raw.execute(f"{what} WHERE scope = ? AND key = ?", (scope, key))
    return found("table", leaf=leaf)


@kind
def a_message_to_come_that_would_pass_for_one_of_before(raw, rng, small):
    """And would never be taken: its sender is answered as for that one."""
    row = _some_row(raw, rng, "messages")
    raw.execute(
        "INSERT INTO intake_keys (scope, key, message, content) VALUES (?, ?, ?, ?)",
        ("key portale", new_id(), rng.choice((row["id"], new_id())), new_id()),
    )
    return found("table")


@kind
def a_fact_forgotten_or_in_the_place_of_a_later_one(raw, rng, small):
    """A system would be answered as if that had never come."""
    if not raw.execute("SELECT 1 FROM facts").fetchone():
        return a_row_taken_out_of_a_table(raw, rng, small)
    row = _some_row(raw, rng, "facts")
    others = [one for (one,) in raw.execute("SELECT id FROM payloads WHERE id <> ?", (row["payload"],))]
    if rng.random() < 0.5:
        raw.execute("DELETE FROM facts WHERE key = ?", (row["key"],))
    else:
        raw.execute("UPDATE facts SET payload = ? WHERE key = ?", (rng.choice(others), row["key"]))
    return found("table")


@kind
def a_number_that_would_be_given_twice(raw, rng, small):
    if not raw.execute("SELECT 1 FROM sequences").fetchone():
        return a_row_taken_out_of_a_table(raw, rng, small)
    raw.execute(rng.choice(("DELETE FROM sequences", "UPDATE sequences SET value = value - 1")))
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
def a_record_that_a_view_hides_from_searches(raw, rng, small):
    """Whoever owns the database replaces the view by which traces are made and found; takes the trace away, too, or not."""
    seqs = sorted({row[0] for row in raw.execute("SELECT seq FROM traces")})
    if not seqs:
        return a_row_taken_out_of_a_table(raw, rng, small)
    seq, [view] = rng.choice(seqs), raw.execute("SELECT sql FROM sqlite_master WHERE name = 'traced'").fetchone()
    raw.execute("DROP VIEW traced")
    columns = "seq, kind, time, message, content"
    what = rng.choice(
        (
            f"(SELECT * FROM records WHERE seq <> {seq})",
            f"(SELECT {columns}, CASE seq WHEN {seq} THEN 'x' ELSE run END AS run FROM records)",
        )
    )
    raw.execute(view.replace("FROM records r", f"FROM {what} r"))
    if rng.random() < 0.5 and "<>" in what:
        raw.execute("DELETE FROM traces WHERE seq = ?", (seq,))
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
def rules_that_are_called_what_they_are_not(raw, rng, small):
    """An edition without files, or texts of a route that are none."""
    if rng.random() < 0.5:
        raw.execute("UPDATE rules SET kind = 'edition' WHERE digest = ?", (DIGEST,))
    else:
        content = rng.choice((b"", b"[]", b"{", b'{"routes/prova.yaml": 1}', b'"x"'))
        raw.execute("INSERT INTO rules (digest, kind, content) VALUES (?, 'text', ?)", (f"text {DIGEST}", content))
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
