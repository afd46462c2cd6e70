"""Whether runs wait in the tables for what records say, and have been given the messages that records say: `waits`, `matches`.

Whoever opens or closes a wait there, or changes what it is for, changes no record: a run sleeps for ever, or is woken by what is another's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from bus.log import stretches
from bus.log.diagnosis import Broken, Content, Fault, Page, once
from bus.log.stretches import Read
from bus.message import parsed
from bus.store import Row, Tx, listed

HINT = "the records are as they were; a run waits for what it does not wait for, or sleeps though it was woken"
OPENS: Mapping[str, str] = {"waiting": "open", "closed": "late"}
CLOSES = frozenset({"matched", "expired"})
ENDS = frozenset({"done", "dead", "discarded"})
GIVES = frozenset({"matched", "late"})


def compare(tx: Tx, page: Page) -> None:
    """Compare the waits that these records began, and the messages that they gave; raises `Broken`.

    The journal of a run is read only where a row says something else: a later record may have changed it.
    """
    contents = page.contents
    given = [(content["run"], content["data"]["arrival"], at) for at, content in enumerate(contents) if content["kind"] in GIVES]
    stands = {(row["run"], row["message"]) for row in _rows(tx, "matches_among", {run for run, _, _ in given})}
    for run, message, at in given:
        if (run, message) not in stands:
            said = f"that the run {run} was given the message {message} does not stand in the table `matches`"
            raise page.broken(at, said, HINT)
    began = {content["run"]: at for at, content in enumerate(contents) if content["kind"] in OPENS}
    rows = once("waits", _rows(tx, "waits_among", began), itemgetter("run", "path"))
    told = _folded(content for content in contents if content.get("run") in began) if began else {}
    doubtful = {run for run, waits in told.items() if any(_wrong(run, waits, rows))}
    whole = (parsed(row["content"]) for row in _rows(tx, "records_among_runs", doubtful))
    for run, waits in _folded(whole).items():
        for path, name, found, said in _wrong(run, waits, rows):
            what = f"the wait {path} of the run {run} stands in the table `waits` with `{name}` {found!r}"
            raise page.broken(began[run], f"{what}, the log says {said!r}", HINT)


def _rows(tx: Tx, query: str, runs: Collection[str]) -> Sequence[Row]:
    return tx.all(query, runs=listed(sorted(runs))) if runs else ()


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


def _folded(contents: Iterable[Content]) -> dict[str, dict[str, dict[str, Any]]]:
    """The rows of waits, by run and path, by all records that are told, in their order."""
    runs: dict[str, dict[str, dict[str, Any]]] = {}
    for content in contents:
        kind, path, rows = content["kind"], content.get("path", ""), runs.setdefault(content["run"], {})
        if kind in OPENS:
            late = rows[path]["late"] if path in rows else int(kind == "closed")
            rows[path] = {**_opened(content), "late": late, "state": OPENS[kind]}
        elif kind in CLOSES:
            if path in rows and rows[path]["state"] == "open":
                rows[path]["state"] = kind
        elif kind in ENDS:
            for row in rows.values():
                row["state"] = "given up" if row["state"] == "open" else row["state"]
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
