"""Whether the tables that are made from the log say what it says: messages and replies, runs and how they ended, and what names them.

Portals, commands and searches read these tables, so a row changed there misleads people though every record is right. Nothing is made
again: each record is compared with the rows that it made, and only where a row says something else is the whole journal of its run
read, because a later record may have changed it. Of cases, waits, traces and requests of erasures `bus.log` has modules of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from bus.clock import APART, moment_of, text_of
from bus.log import cases, facts, log, requests, stretches, waits
from bus.log.diagnosis import BY_ID, MISLED, Broken, Content, Fault, Page, once
from bus.log.remembered import Remembered
from bus.log.stored import StoredTree
from bus.log.stretches import Read
from bus.message import parsed
from bus.store import Row, Tx, listed

AGAIN = "the records are as they were; what a sender sends again would be done twice, or pass for what it is not"
GONE = frozenset({"erased", "disposed"})
"""Records that say why payloads are gone."""
MOVES = frozenset({"matched", "expired", "redelivered"})
"""Kinds that change a run besides those that tell its state."""
BINDING = frozenset({"received", "joined", "late"})
"""Kinds that put something into a case."""
_OPEN = ("ready", "waiting")
_NAMED = "the message {message} is named in the table `{name}`, and no record received it"
_STRANGERS: Mapping[str, str] = {
    "messages": "the message {id} stands in the table `messages`, and no record received it",
    "runs": "the run {id} stands in the table `runs`, and no record opened it",
    "holders": _NAMED,
    "enclosures": _NAMED,
    "message_keys": _NAMED,
}
"""Tables that are asked for a row that no record made, and what it says of one."""


class _Told(NamedTuple):
    """What a page of records says of messages and runs: their columns, as they began (``opened``) too, and the line that said so last.

    ``unsure``: runs of which it depends on older records; ``binding``: lines that say what belongs to which case.
    """

    messages: dict[str, dict[str, Any]]
    runs: dict[str, dict[str, Any]]
    opened: dict[str, dict[str, Any]]
    unsure: set[str]
    line: dict[str, int]
    binding: list[tuple[int, Content]]


class Journals:
    """What whole journals say, from page to page: of their runs, and of the waits of these; and which records tell of facts."""

    def __init__(self) -> None:
        self.runs, self.waits, self.tellers = Remembered[dict[str, Any]](), Remembered[waits.Told](), facts.Tellers()


def compare(tx: Tx, page: Page, journals: Journals) -> tuple[int, int]:
    """Compare what these records made with what stands in the tables now; raises `Broken`.

    Returns how many messages were received and runs opened in them.
    """
    told = _read(page.contents)
    messages = _messages(tx, page, told)
    runs = _runs(tx, page, told, cases.deciding(told.binding), journals.runs)
    cases.compare(tx, page, told.binding, messages, runs)
    _intake(tx, page, told.binding)
    waits.compare(tx, page, journals.waits)
    facts.compare(tx, page, journals.tellers)
    return sum(content["kind"] == "received" for _, content in told.binding), len(told.opened)


def _messages(tx: Tx, page: Page, told: _Told) -> dict[str, Row]:
    """The rows of the messages; raises `Broken` for one that says something else. It has the reply that was told last, perhaps later on."""
    rows = _rows(tx, "messages_by_id", "messages", told.messages)
    doubtful = [message for message, columns in told.messages.items() if _wrong(columns, rows.get(message), "messages")]
    for message, reply in _replies(tx, doubtful).items():
        if wrong := _wrong({**told.messages[message], "reply": reply}, rows.get(message), "messages"):
            raise page.broken(told.line[message], f"the message {message} {wrong}", MISLED)
    return rows


def _runs(tx: Tx, page: Page, told: _Told, others: Iterable[str], known: Remembered[dict[str, Any]]) -> dict[str, Row]:
    """The rows of the runs, and of ``others``; raises `Broken` for one that says something else than its journal."""
    rows = _rows(tx, "runs_among", "runs", {*told.runs, *others})
    doubtful = {
        run: columns["message"] for run, columns in told.runs.items() if run in told.unsure or _wrong(columns, rows.get(run), "runs")
    }
    said = known.of(tx, doubtful)
    right = {run for run, columns in said.items() if not _wrong(columns, rows.get(run), "runs")}
    for run, journal in _journals(tx, {run: message for run, message in doubtful.items() if run not in right}).items():
        columns = _folded(run, journal, told.opened.get(run, {}))
        known.keep(run, sum(content.get("run") == run for content in journal), columns)
        if wrong := _wrong(columns, rows.get(run), "runs"):
            raise _broken(tx, page, told.line[run], f"the run {run} {wrong}", journal)
    return rows


def strangers(read: Read) -> None:
    """Raises `Broken` for a row that no record made."""
    for table, sentence in _STRANGERS.items():
        for row in stretches.found(read, f"{table}_unfounded", table):
            raise Broken(Fault("table", sentence.format(**dict(row)), hint=MISLED))
    cases.strangers(read)
    _known_again(read)
    waits.strangers(read)
    with read() as tx:
        _destroyed(tx)


def _known_again(read: Read) -> None:
    """Raises `Broken` for what would pass for a message that came before, though no message that was received is known by it.

    Older records told no tokens; the question to the database compares texts, and is asked about what is left.
    """
    for row in stretches.found(read, "intake_keys_unfounded", "intake_keys"):
        with read() as tx:
            received = tx.all("records_of_kind_among", messages=listed([row["message"]]), kind="received")
        told = [parsed(one["content"])["data"] for one in received]
        if not any("intake" not in data or [row["scope"], row["key"]] in data["intake"] for data in told):
            sentence = f"what comes from {row['scope']} would pass for the message {row['message']} by a row of `intake_keys`"
            raise Broken(Fault("table", f"{sentence} that no record made", hint=AGAIN))


def _destroyed(tx: Tx) -> None:
    """Raises `Broken` where the keys that each start destroys again, or the requests of erasures that wait, are others than records say."""
    told = {key for record in log.every_of_kinds(tx, GONE) for key in record.data.get("keys", ())}
    count, strangers = 0, list[int]()
    for page in log.erased_keys(tx):
        count += len(set(page))  # where the table lost its key, rows may stand twice
        strangers += [key for key in page if key not in told]
    if strangers or count < len(told):
        missing = told.difference(*log.erased_keys(tx))
        wrong = min(missing.union(strangers))
        said = "does not stand" if wrong in missing else "stands"
        sentence = f"key {wrong} {said} in the table `erased_keys`, and the records say otherwise"
        raise Broken(
            Fault("table", sentence, hint="each start of the bus destroys the keys that stand there, and only those: do not start it")
        )
    requests.compare(tx, told)


# -- what records say --------------------------------------------------------------------------------------------------


def _read(contents: Sequence[Content]) -> _Told:
    told = _Told({}, {}, {}, set(), {}, [])
    for at, content in enumerate(contents):
        kind = content["kind"]
        if kind in BINDING:
            told.binding.append((at, content))
            for made in _opened(content):
                told.runs[made["id"]], told.opened[made["id"]] = made, dict(made)
                told.line[made["id"]] = at
        if kind in ("received", "replied"):
            columns = _message(content) if kind == "received" else {"reply": _payload(content, "reply")}
            told.messages.setdefault(content["message"], {}).update(columns)
            told.line[content["message"]] = at
        elif kind in MOVES or "state" in content.get("data", ()):
            run = content["run"]
            if not _move(told.runs.setdefault(run, {"message": content["message"]}), content):
                told.unsure.add(run)
            told.line[run] = at
    return told


def _intake(tx: Tx, page: Page, binding: Sequence[tuple[int, Content]]) -> None:
    """Raises `Broken` where a message is not known by what its sender called it: sent again, it would be taken a second time."""
    told = [(at, content, name) for at, content in binding for name in content["data"].get("intake", ())]
    if not told:
        return
    rows = tx.all("intake_keys_among", names=listed(sorted({(scope, key) for _, _, (scope, key) in told})))
    known = once("intake_keys", rows, itemgetter("scope", "key"))
    for at, content, (scope, key) in told:
        row = known.get((scope, key))
        if row is None or (row["message"], row["content"]) != (content["message"], content["data"]["content"]):
            said = f"the message {content['message']} does not stand in the table `intake_keys` as its record says"
            raise page.broken(at, said, AGAIN)


def _message(content: Content) -> dict[str, Any]:
    data = content["data"]
    payload = _payload(content, "message")
    return {"type": data["type"], "sender": data["sender"], "time": content["time"], "payload": payload, "reply": None}


def _payload(content: Content, role: str) -> str | None:
    return next((one["id"] for one in content.get("payloads", ()) if one["role"] == role), None)


def _opened(content: Content) -> list[dict[str, Any]]:
    """The runs that a record opened, as their rows began."""
    if content["kind"] == "received":
        return [_run(made, content["message"], content["time"]) for made in content["data"].get("runs", ())]
    if content["kind"] == "late":
        return [_run(content["data"]["opens"], content["data"]["arrival"], content["time"])]
    return []


def _run(made: Mapping[str, Any], message: str, time: str) -> dict[str, Any]:
    return {
        "id": made["id"], "message": message, "route": made["route"], "version": made["version"], "digest": made["digest"],
        "entry": made.get("entry", ""), "ordered": int(made.get("ordered", True)), "state": "ready",
        "place": f"{made['route']}@{made['version']}", "due": time, "reason": None, "opened": time, "changed": time,
    }  # fmt: skip


def _move(columns: dict[str, Any], content: Content) -> bool:
    """What a record does to the row of its run; false when that depends on what the row was before, and nobody told."""
    kind, time, data = content["kind"], content["time"], content.get("data", {})
    if kind in ("matched", "expired"):
        state = columns.get("state")
        if state in _OPEN:
            columns["due"] = columns["due"] if state == "ready" and columns["due"] < time else time
            columns["state"], columns["changed"] = "ready", time
        return state is not None
    if kind == "redelivered" and "version" in data:
        columns["digest"], columns["version"] = content["rules"], data["version"]
    if "state" in data:
        columns |= {"state": data["state"], "due": data.get("due", time), "place": content.get("place", ""), "reason": data.get("code")}
        columns["changed"] = time
    return True


def _folded(run: str, journal: Iterable[Content], opened: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a run by all records that are told, in their order."""
    columns = dict(opened)
    for content in journal:
        if content.get("run") == run:
            _move(columns, content)
        else:
            columns |= next((made for made in _opened(content) if made["id"] == run), {})
    return columns


# -- what the tables say -----------------------------------------------------------------------------------------------


def _wrong(columns: Mapping[str, Any], row: Row | None, table: str) -> str:
    """What a row says otherwise than was told, in words; empty where it says the same."""
    if row is None:
        return f"is not in the table `{table}`"
    different = ((name, said) for name, said in columns.items() if row[name] != said and not (name == "due" and _put_right(columns, row)))
    return next((f"stands in the table `{table}` with `{name}` {row[name]!r}, the log says {said!r}" for name, said in different), "")


def _put_right(columns: Mapping[str, Any], row: Row) -> bool:
    """Whether a ready run is due sooner than was told because a clock that was ahead had put it off (`bus.engine.setback`).

    Only what that clock wrote is put right: it tells a time that was still to come then.
    """
    due, said, told = row["due"], columns["due"], columns.get("changed")
    if row["state"] != "ready" or said is None or told is None or due >= said:
        return False
    return bool(told >= said or due < text_of(moment_of(told) - APART))


def _rows(tx: Tx, query: str, name: str, wanted: Iterable[str]) -> dict[str, Row]:
    names = list(wanted)
    return once(name, tx.all(query, **{name: listed(names)}), BY_ID) if names else {}


def _replies(tx: Tx, messages: Sequence[str]) -> dict[str, str | None]:
    """The payload of the reply that the log told last of each message; None where it told none."""
    found: dict[str, str | None] = dict.fromkeys(messages)
    for row in tx.all("records_of_kind_among", messages=listed(messages), kind="replied") if messages else ():
        found[row["message"]] = _payload(parsed(row["content"]), "reply")
    return found


def _journals(tx: Tx, messages: Mapping[str, str]) -> dict[str, list[Content]]:
    """The records of each run: the arrival of its message, where that opened the run, and all of its own. ``messages``: each by its run."""
    found: dict[str, list[Content]] = {run: [] for run in messages}
    if not found:
        return found
    for row in tx.all("records_of_kind_among", messages=listed(sorted(set(messages.values()))), kind="received"):
        content = parsed(row["content"])
        for made in _opened(content):
            if made["id"] in found:
                found[made["id"]].append(content)
    for row in tx.all("records_among_runs", runs=listed(found)):
        found[row["run"]].append(parsed(row["content"]))
    return found


def _broken(tx: Tx, page: Page, at: int, said: str, journal: Sequence[Content]) -> Broken:
    """The fault at the last record that moved the run, if it has a leaf; else at the record of the page."""
    last = next((one for one in reversed(journal) if "state" in one.get("data", ()) or one["kind"] in MOVES), None)
    row = tx.one("record", id=last["id"]) if last is not None else None
    leaf = StoredTree(tx).index_of(row["seq"]) if row is not None else None
    if last is None or row is None or leaf is None:
        return page.broken(at, said, MISLED)
    named = f"{last['id']} ({last['kind']} of message {last['message']})"
    return Broken(Fault("table", f"leaf {leaf:,}: {said}", leaf, leaf, named, row["seq"], MISLED))
