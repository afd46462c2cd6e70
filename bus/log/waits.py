"""Whether runs wait in the tables for what records say, and have been given the messages that records say: `waits`, `matches`.

Whoever opens or closes a wait there, or changes what it is for, changes no record: a run sleeps for ever, or is woken by what is another's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from bus.log import stretches
from bus.log.diagnosis import Broken, Content, Fault, Page, once
from bus.log.remembered import Remembered
from bus.log.stretches import Read
from bus.message import parsed
from bus.store import Row, Tx, listed

HINT = "the records are as they were; a run waits for what it does not wait for, or sleeps though it was woken"
OPENS: Mapping[str, str] = {"waiting": "open", "closed": "late"}
CLOSES = frozenset({"matched", "expired"})
ENDS = frozenset({"done", "dead", "discarded"})
MOVES = OPENS.keys() | CLOSES | ENDS
GIVES = frozenset({"matched", "late"})
GIVEN_UP = "given up"
"""The state of a wait whose run ended before it did."""
Told: TypeAlias = "dict[str, dict[str, Any]]"
"""The rows of a run's waits by path, as its records tell them."""


def compare(tx: Tx, page: Page, journals: Remembered[Told]) -> None:
    """Compare the waits that these records began or ended, and the messages that they gave; raises `Broken`.

    The journal of a run is read only where a row says something else: a later record may have changed it.
    """
    _matches(tx, page)
    line = {content["run"]: at for at, content in enumerate(page.contents) if content["kind"] in MOVES}
    if not line:
        return
    told = _folded(content for content in page.contents if content["kind"] in MOVES)
    ended = {content["run"] for content in page.contents if content["kind"] in ENDS}
    for row in tx.all("waits_open_among", runs=listed(sorted(ended))) if ended else ():
        told[row["run"]].setdefault(row["path"], {"state": GIVEN_UP})
    rows = once("waits", _rows(tx, "waits_among", {(run, path) for run in told for path in told[run]}), itemgetter("run", "path"))
    doubtful = {run for run, waits in told.items() if any(_wrong(run, waits, rows))}
    for run, waits in _whole(tx, doubtful, journals).items():
        begun = {path: waits[path] for path in told[run] if "place" in waits.get(path, ())}  # else no record of the run began it
        for path, name, found, said in _wrong(run, begun, rows):
            what = f"the wait {path} of the run {run} stands in the table `waits` with `{name}` {found!r}"
            raise page.broken(line[run], f"{what}, the log says {said!r}", HINT)


def _matches(tx: Tx, page: Page) -> None:
    given = [(content["run"], content["data"]["arrival"], at) for at, content in enumerate(page.contents) if content["kind"] in GIVES]
    stands = {(row["run"], row["message"]) for row in _rows(tx, "matches_among", {(run, message) for run, message, _ in given})}
    for run, message, at in given:
        if (run, message) not in stands:
            said = f"that the run {run} was given the message {message} does not stand in the table `matches`"
            raise page.broken(at, said, HINT)


def _rows(tx: Tx, query: str, names: Collection[tuple[str, str]]) -> Sequence[Row]:
    return tx.all(query, names=listed(sorted(names))) if names else ()


def _whole(tx: Tx, runs: Collection[str], journals: Remembered[Told]) -> dict[str, Told]:
    """What their whole journals say of the waits of some runs."""
    known = journals.of(tx, runs)
    left = sorted(set(runs) - known.keys())
    records = [parsed(row["content"]) for row in tx.all("records_among_runs", runs=listed(left))] if left else []
    found, counts = _folded(records), Counter(content["run"] for content in records)
    for run, told in found.items():
        journals.keep(run, counts[run], told)
    return known | found


def strangers(read: Read) -> None:
    """Raises `Broken` for a row that no record made. The questions to the database compare texts, and are asked about what is left."""
    for table, kinds in (("waits", OPENS), ("matches", GIVES)):
        for row in stretches.found(read, f"{table}_unfounded", table):
            with read() as tx:
                journal = [parsed(one["content"]) for one in tx.all("records_among_runs", runs=listed([row["run"]]))]
            if not any(row["what"] == _what(content) for content in journal if content["kind"] in kinds):
                sentence = f"a row of the table `{table}` for the run {row['run']} ({row['what']}) was made by no record"
                raise Broken(Fault("table", sentence, hint=HINT))


def _what(content: Content) -> str:
    return str(content["data"]["arrival"] if content["kind"] in GIVES else content.get("path", ""))


def _folded(contents: Iterable[Content]) -> dict[str, Told]:
    """The rows of waits, by run and path, by all records that are told, in their order; what they do not tell is no column."""
    runs: dict[str, Told] = {}
    for content in contents:
        kind, path, rows = content["kind"], content.get("path", ""), runs.setdefault(content["run"], {})
        if kind in OPENS:
            late = rows.get(path, {}).get("late", int(kind == "closed"))
            rows[path] = {**_opened(content), "late": late, "state": OPENS[kind]}
        elif kind in CLOSES:
            if rows.setdefault(path, {"state": "open"})["state"] == "open":
                rows[path]["state"] = kind
        elif kind in ENDS:
            for row in rows.values():
                row["state"] = GIVEN_UP if row["state"] == "open" else row["state"]
    return runs


def _opened(content: Content) -> dict[str, Any]:
    """The columns of a wait as it was opened, but for a key that names a person, which no record tells."""
    data = content.get("data", {})
    columns = {"place": content.get("place", ""), "type": data.get("type"), "deadline": data.get("deadline")}
    if "key" in data or not any(one["role"] == "key" for one in content.get("payloads", ())):
        columns["name"], columns["value"] = data.get("key", (None, None))
    return columns


def _wrong(run: str, waits: Mapping[str, Content], rows: Mapping[tuple[str, str], Row]) -> Iterator[tuple[str, str, Any, Any]]:
    """The columns in which the rows of a run's waits differ from what the log told."""
    for path, columns in waits.items():
        row = rows.get((run, path))
        if row is None:
            yield path, "run", None, run
            continue
        yield from ((path, name, row[name], said) for name, said in columns.items() if row[name] != said)
        if row["case_id"] != row["of_run"]:
            yield path, "case_id", row["case_id"], row["of_run"]
