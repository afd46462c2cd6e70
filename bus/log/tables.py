"""Whether the tables that are made from the log say what it says: messages and replies, runs and how they ended, cases and their keys.

Portal, console and search read these tables, so a row changed there misleads people though every record is right. Nothing is made again:
each record is compared with the rows that it made, and only where a row says something else is the whole journal of its run read, because
a later record may have changed it. What a row is counted among (a case) is followed over the tokens that records tell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bus.log import log, requests, waits
from bus.log.diagnosis import Broken, Content, Fault, Page
from bus.log.record import WEAK
from bus.log.stored import StoredTree
from bus.message import parsed
from bus.store import Row, Tx, listed

MOST = 500
"""Cases looked at together."""
HINT = "the records are as they were; what portal, console and search show is not what happened"
AGAIN = "the records are as they were; what a sender sends again would be done twice, or pass for what it is not"
UNTRACED = "searches do not find its record as what it is: it has another trace or none, or the view `traced` was replaced"
GONE = frozenset({"erased", "disposed"})
"""Records that say why payloads are gone."""
MOVES = frozenset({"matched", "expired", "redelivered"})
"""Kinds that change a run besides those that tell its state."""
BINDING = frozenset({"received", "joined", "late"})
"""Kinds that put something into a case."""
_OPEN = ("ready", "waiting")
_STRANGERS: Mapping[str, str] = {
    "messages_unfounded": "the message {id} stands in the table `messages`, and no record received it",
    "runs_unfounded": "the run {id} stands in the table `runs`, and no record opened it",
    "cases_unfounded": "the case {id} stands in the table `cases`, and the message that would have opened it says otherwise",
    "cases_missing": "the case {id} is not in the table `cases`, and the message that opened it is there",
    "keys_unfounded": "the case {case_id} stands under a key `{name}` that no record of it tells",
    "names_unfounded": "the message {message} is named in the table `{name}`, and no record received it",
}
"""Questions for a row that no record made, and what it says of one. Keys that name persons (``weak``) no record tells."""


class _Told(NamedTuple):
    """What a page of records says of messages and runs: their columns, as they began (``opened``) too, and the line that said so last.

    ``unsure``: runs of which it depends on records of before; ``binding``: lines that say what belongs to which case.
    """

    messages: dict[str, dict[str, Any]]
    runs: dict[str, dict[str, Any]]
    opened: dict[str, dict[str, Any]]
    unsure: set[str]
    line: dict[str, int]
    binding: list[tuple[int, Content]]


def compare(tx: Tx, page: Page) -> tuple[int, int]:
    """Compare what these records made with what stands in the tables now; raises `Broken`.

    Returns how many messages were received and runs opened in them.
    """
    told = _read(page.contents)
    rows = _rows(tx, "messages_by_id", "messages", told.messages)
    later = _replies(tx, [message for message, columns in told.messages.items() if _wrong(columns, rows.get(message))])
    for message, reply in later.items():
        if wrong := _wrong({**told.messages[message], "reply": reply}, rows.get(message)):
            raise _broken(tx, page, told.line[message], "message", message, wrong)
    runs = _rows(tx, "runs_by_id", "runs", {*told.runs, *_deciding(told.binding)})
    doubtful = [run for run, columns in told.runs.items() if run in told.unsure or _wrong(columns, runs.get(run))]
    journals = _journals(tx, doubtful, {run: told.runs[run]["message"] for run in doubtful})
    for run in doubtful:
        if wrong := _wrong(_folded(run, journals[run], told.opened.get(run, {})), runs.get(run)):
            raise _broken(tx, page, told.line[run], "run", run, wrong, journals[run])
    _cases(tx, page, told.binding, rows, runs)
    _intake(tx, page, told.binding)
    waits.compare(tx, page)
    return sum(content["kind"] == "received" for _, content in told.binding), len(told.opened)


def strangers(tx: Tx) -> None:
    """Raises `Broken` for a row that no record made, and for a message that no record puts into its case."""
    for query, sentence in _STRANGERS.items():
        row = tx.one(query, weak=listed(sorted(WEAK)))
        if row is not None:
            raise Broken(Fault("table", sentence.format(**dict(row)), hint=HINT))
    after = ""
    while rows := tx.all("cases_of_several", after=after, most=MOST):
        after = rows[-1]["case_id"]
        _connected(tx, [row["case_id"] for row in rows])
    _known_again(tx)
    waits.strangers(tx)
    _destroyed(tx)


def _known_again(tx: Tx) -> None:
    """Raises `Broken` for what would pass for a message that came before, though no message that was received is known by it.

    Records of before told no tokens; the question to the database compares texts, and is asked about what is left.
    """
    for row in tx.all("intake_keys_unfounded"):
        told = [parsed(one["content"])["data"] for one in tx.all("received_among", messages=listed([row["message"]]))]
        if not any("intake" not in data or [row["scope"], row["key"]] in data["intake"] for data in told):
            sentence = f"what comes from {row['scope']} would pass for the message {row['message']} by a row of `intake_keys`"
            raise Broken(Fault("table", f"{sentence} that no record made", hint=AGAIN))


def _destroyed(tx: Tx) -> None:
    """Raises `Broken` where the keys that each start destroys again, or the requests of erasures that wait, are others than records say."""
    told = {key for record in log.every_of_kinds(tx, GONE) for key in record.data.get("keys", ())}
    if wrong := sorted(told.symmetric_difference(row["key"] for row in tx.all("erased_keys"))):
        said = "does not stand" if wrong[0] in told else "stands"
        sentence = f"key {wrong[0]} {said} in the table `erased_keys`, and the records say otherwise"
        raise Broken(
            Fault("table", sentence, hint="each start of the bus destroys the keys that stand there, and only those: do not start it")
        )
    requests.compare(tx, told)


def traced(tx: Tx, after: int, until: int) -> int:
    """How many traces the records between these numbers make; raises `Broken` for one that searches would not find as what it is."""
    told, missing = traces_of(tx, after, until)
    if missing is None:
        return told
    leaf = StoredTree(tx).index_of(missing)
    raise Broken(Fault("table", f"leaf {leaf:,}: {UNTRACED}", leaf, leaf, hint=HINT))


def traces_of(tx: Tx, after: int, until: int) -> tuple[int, int | None]:
    """How many traces the records between these numbers make, and the number of the first of which there is another, or none."""
    [row] = tx.all("traces_of", after=after, until=until)
    return row["told"], row["missing"]


def traces(tx: Tx, until: int, told: int) -> None:
    """Raises `Broken` for traces that searches look at and that no record makes; ``told``: how many those up to number ``until`` make."""
    [row] = tx.all("count_traces", until=until)
    if row["among"] != told or row["beyond"]:
        said = f"{row['among']:,} traces by which searches find, and {row['beyond']:,} beyond the last; the records make {told:,}"
        raise Broken(Fault("table", f"the table `traces` holds {said}", hint=HINT))


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
    rows = tx.all("intake_keys_among", names=listed(name for _, _, name in told))
    known = {(row["scope"], row["key"]): (row["message"], row["content"]) for row in rows}
    for at, content, (scope, key) in told:
        if known.get((scope, key)) != (content["message"], content["data"]["content"]):
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


def _wrong(columns: Mapping[str, Any], row: Row | None) -> tuple[str, Any, Any] | None:
    """The first column in which a row differs from what was told, what it says, what was told; one that is not there differs in its id."""
    if row is None:
        return "id", None, "a row"
    for name, said in columns.items():
        if row[name] != said:
            return name, row[name], said
    return None


def _rows(tx: Tx, query: str, name: str, wanted: Iterable[str]) -> dict[str, Row]:
    names = list(wanted)
    return {row["id"]: row for row in tx.all(query, **{name: listed(names)})} if names else {}


def _replies(tx: Tx, messages: Sequence[str]) -> dict[str, str | None]:
    """Of each message the reply that was told last."""
    found: dict[str, str | None] = dict.fromkeys(messages)
    for row in tx.all("replies_of_messages", messages=listed(messages)) if messages else ():
        found[row["message"]] = _payload(parsed(row["content"]), "reply")
    return found


def _journals(tx: Tx, runs: Sequence[str], messages: Mapping[str, str]) -> dict[str, list[Content]]:
    """Of each run the record that opened it, where that is told with its message, and all of its own."""
    found: dict[str, list[Content]] = {run: [] for run in runs}
    if not runs:
        return found
    for row in tx.all("received_among", messages=listed(sorted(set(messages.values())))):
        content = parsed(row["content"])
        for made in _opened(content):
            if made["id"] in found:
                found[made["id"]].append(content)
    for row in tx.all("records_among_runs", runs=listed(runs)):
        found[row["run"]].append(parsed(row["content"]))
    return found


def _broken(tx: Tx, page: Page, at: int, what: str, identity: str, wrong: tuple[str, Any, Any], journal: Sequence[Content] = ()) -> Broken:
    """The fault of a ``message`` or ``run``: at the last record that says otherwise where that has its leaf, else where it was read."""
    name, found, said = wrong
    leaf, line = page.first + at, page.lines[at]
    last = next((one for one in reversed(journal) if "state" in one.get("data", ()) or one["kind"] in MOVES), None)
    named, seq = line.name(), line.seq
    if last is not None and (row := tx.one("record", id=last["id"])) is not None:
        index = StoredTree(tx).index_of(row["seq"])
        if index is not None:
            leaf, named, seq = index, f"{last['id']} ({last['kind']} of message {last['message']})", row["seq"]
    told = f"stands in the table `{what}s` with `{name}` {found!r}, the log says {said!r}"
    if name == "id":
        told = f"is not in the table `{what}s`"
    return Broken(Fault("table", f"leaf {leaf:,}: the {what} {identity} {told}", leaf, leaf, named, seq, HINT))


# -- cases -------------------------------------------------------------------------------------------------------------


def _deciding(binding: Sequence[tuple[int, Content]]) -> Iterator[str]:
    """Runs whose case decides where something on the page belongs."""
    for _, content in binding:
        if content["kind"] != "received":
            yield content["run"]
        elif "parent" in content["data"]:
            yield content["data"]["parent"]


def _cases(tx: Tx, page: Page, binding: Sequence[tuple[int, Content]], messages: Mapping[str, Row], runs: Mapping[str, Row]) -> None:
    """Whoever tells a key belongs to the case that the key stands under; a message sent by a run to the case of the run."""
    tokens = {token for _, content in binding for token in _tokens(content).values()}
    stands = {}
    if tokens:
        rows = tx.all("strong_keys_by_value", values=listed(sorted(tokens)))
        stands = {(row["name"], row["value"]): row["case_id"] for row in rows}
    for at, content in binding:
        for what, mine, other in _belongs(content, stands, messages, runs):
            if mine != other:
                said = f"{what} stands in the tables with the case {mine}, the log puts it into {other}"
                raise page.broken(at, said, HINT)


def _belongs(
    content: Content, stands: Mapping[tuple[str, str], str], messages: Mapping[str, Row], runs: Mapping[str, Row]
) -> Iterator[tuple[str, str, str | None]]:
    """What a record puts into a case: in words, with the case of its row, and the one where it belongs."""
    kind = content["kind"]
    if kind == "received":
        message = messages[content["message"]]
        what, mine = f"the message {message['id']}", message["case_id"]
        if (parent := runs.get(content["data"].get("parent", ""))) is not None:
            yield what, mine, parent["case_id"]
        for made in content["data"].get("runs", ()):
            yield f"the run {made['id']}", runs[made["id"]]["case_id"], mine
    elif kind == "late":
        made = content["data"]["opens"]
        yield f"the run {made['id']}", runs[made["id"]]["case_id"], runs[content["run"]]["case_id"]
        return
    else:
        what, mine = f"the run {content['run']}", runs[content["run"]]["case_id"]
    for key in _tokens(content).items():
        yield what, mine, stands.get(key)


def _tokens(content: Content) -> Mapping[str, str]:
    """The tokens of the keys that name a matter."""
    keys: Mapping[str, str] = content.get("data", {}).get("keys", {})
    return keys


def _connected(tx: Tx, cases: Sequence[str]) -> None:
    """Raises `Broken` for a message that nothing in the log ties to the others of its case."""
    told: defaultdict[str, list[tuple[str, Content]]] = defaultdict(list)
    named = listed(cases)
    for row in tx.all("records_that_join", cases=named):
        told[row["case_id"]].append((row["message"], parsed(row["content"])))
    runs: defaultdict[str, list[Row]] = defaultdict(list)
    for row in tx.all("runs_of_cases", cases=named):
        runs[row["case_id"]].append(row)
    for case in cases:
        loose = _loose(case, told[case], runs[case])
        if loose is not None:
            sentence = f"the message {loose} stands in the tables with the case {case}, and no record ties it to that case"
            raise Broken(Fault("table", sentence, hint=HINT))


def _loose(case: str, told: Sequence[tuple[str, Content]], runs: Sequence[Row]) -> str | None:
    """A message of a case that hangs on none of the others; None too where records are so old that they tell no tokens."""
    if any(content["kind"] == "received" and "intake" not in content["data"] for _, content in told):
        return None
    ties: defaultdict[object, list[object]] = defaultdict(list)
    for one, other in _ties(told, runs):
        ties[one].append(other)
        ties[other].append(one)
    reached, left = set[object](), list[object]([case])
    while left:
        if (node := left.pop()) not in reached:
            reached.add(node)
            left += ties[node]
    return next((message for message, _ in told if message not in reached), None)


def _ties(told: Sequence[tuple[str, Content]], runs: Sequence[Row]) -> Iterator[tuple[object, object]]:
    for row in runs:
        yield row["id"], row["message"]
        if row["entry"]:  # opened by a message that came late, for the run that had waited for it
            yield row["id"], row["entry"].rpartition(" ")[2]
    for message, content in told:
        who = message if content["kind"] == "received" else content["run"]
        if "parent" in content["data"]:
            yield who, content["data"]["parent"]
        for key in _tokens(content).items():
            yield who, key
