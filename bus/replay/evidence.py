"""Evidence: what a recount needs of the log, from wherever it lies.

`gathered` makes it of records, payloads and rules that somebody has at hand (a test); a `Bundle` (`bus log export`) is replayed where there
is no database; `pages` reads it from a store, some hundred messages at a time, and only looks.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from bus.errors import Damaged, EvidenceError, Invalid, RulesError, StoreError, visible
from bus.log import log
from bus.log.diagnosis import octets
from bus.log.record import Record, record_of
from bus.message import Message, canonical, message_of, parsed
from bus.replay.places import Places
from bus.route.compile import plan_of
from bus.route.plan import Plan
from bus.store import Tx, listed
from bus.store.opening import Reader

Missing: TypeAlias = Literal["unavailable: erased", "unavailable: absent"]


class Opening(NamedTuple):
    """How a run began: of which message, under which rules; ``entry`` as in `bus.engine.interpreter.Walk`."""

    run: str
    message: str
    name: str
    digest: str
    entry: str = ""


class Rulebook:
    """Rules by fingerprint, each read and compiled once, and the files they were first read from.

    ``stored`` gives the JSON of what stands under a name in the table `rules` (a fingerprint, ``text `` and one), None: nobody has it.
    """

    def __init__(self, stored: Callable[[str], Any]) -> None:
        self._stored = stored
        self._plans: dict[str, Plan] = {}
        self._places: dict[str, Places] = {}

    @classmethod
    def of(cls, reader: Reader) -> Rulebook:
        """That of a store."""

        def stored(name: str) -> Any:
            with reader.read() as tx:
                row = tx.one("rules", digest=name)
            return None if row is None else _read(octets(row["content"]))

        return cls(stored)

    def plan(self, digest: str) -> Plan:
        """Raises `RulesError` for rules that are nowhere, or are not what their fingerprint says."""
        if digest not in self._plans:
            self._plans[digest] = _compiled(digest, self._stored(digest))
        return self._plans[digest]

    def places(self, digest: str) -> Places:
        """Where the steps of these rules are written; their files may not have been kept."""
        if digest not in self._places:
            self._places[digest] = Places(self._stored(f"text {digest}") or {})
        return self._places[digest]


def _compiled(digest: str, stored: Any) -> Plan:
    if stored is None:
        raise RulesError(f"the rules {digest[:12]}… are nowhere", code="rules.missing")
    if (found := hashlib.sha256(canonical(stored)).hexdigest()) != digest:
        raise RulesError(f"what is kept as the rules {digest[:12]}… has the fingerprint {found[:12]}…", code="rules.forged")
    return plan_of(stored)


def _read(content: bytes) -> Any:
    """An object; an empty one for what is none, which has no fingerprint that anybody names."""
    try:
        found = parsed(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of some runs: how they began, in order, and their ``journals``; ``missing`` is said of what it does not have."""

    book: Rulebook
    openings: Sequence[Opening]
    journals: Mapping[str, Sequence[Record]]
    messages: Mapping[str, str]
    """The payload of each message."""
    content: Callable[[str], bytes | None]
    """That of a payload; None: erased, or one of ``unopened``."""
    missing: Missing = "unavailable: erased"
    unopened: Mapping[str, StoreError] = field(default_factory=dict)
    """Why payloads cannot be opened that nobody erased."""
    broken: Mapping[str, Damaged] = field(default_factory=dict)
    """Why the journals of some runs, or the records that opened them, cannot be read."""

    def journal(self, run: str) -> Sequence[Record]:
        """The records of a run, in log order. Raises `Damaged` where one of them, or the one that opened it, was changed."""
        if run in self.broken:
            raise self.broken[run]
        return self.journals.get(run, ())

    def message(self, identity: str) -> Message | None:
        """The message; None where it was erased."""
        stored = self._stored(identity)
        return None if stored is None else message_of(stored["envelope"], stored["body"])

    def keys(self, identity: str) -> Mapping[str, str] | None:
        """The business keys of a message; None: erased, or from before they were kept with it."""
        stored = self._stored(identity)
        return None if stored is None or "keys" not in stored else stored["keys"]["case"]

    def _stored(self, identity: str) -> Any:
        content = self.content(self.messages[identity]) if identity in self.messages else None
        return None if content is None else parsed(content)


def gathered(
    records: Iterable[Record], content: Callable[[str], bytes | None], book: Rulebook, missing: Missing = "unavailable: erased",
    unopened: Mapping[str, StoreError] | None = None,
) -> Evidence:  # fmt: skip
    """Evidence of all runs that these records, in log order, tell of."""
    openings, journals, messages = list[Opening](), dict[str, list[Record]](), dict[str, str]()
    for record in records:
        if record.kind == "received" and record.message is not None:
            messages[record.message] = str(record.payload("message"))
            openings += [_opened(run, record.message) for run in record.data["runs"]]
        elif record.kind == "late":
            openings.append(_opened(record.data["opens"], record.data["arrival"]))
        if record.run is not None:
            journals.setdefault(record.run, []).append(record)
    return Evidence(book, openings, journals, messages, content, missing, unopened or {})


def _opened(run: Mapping[str, Any], message: str) -> Opening:
    opening = Opening(str(run["id"]), message, f"{run['route']}@{run['version']}", str(run["digest"]), str(run.get("entry", "")))
    if not all(map(str.isprintable, opening)):  # a terminal would obey it
        sentence = f"a run stands in the table `runs` with what the bus never writes: {visible(opening.run)} of {visible(opening.name)}"
        raise EvidenceError(sentence, code="evidence.broken", hint="bus log verify names it")
    return opening


class Bundle:
    """The files of a verified bundle, to be replayed. Raises `Invalid` for what is no bundle.

    Only what a recount needs is read: ``records.jsonl``, ``payloads.jsonl``, ``damaged.jsonl``, ``rules/route/``, ``rules/text/``. Whether
    the bundle proves itself must be known before (`bus.bundle.verify`): replay says whether what it holds was done as the rules say, as
    good forgeries are.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        try:
            payloads = {str(line["id"]): _content(line) for line in self._lines("payloads.jsonl")}
            records = [record_of(str(line["record"]).encode()) for line in self._lines("records.jsonl")]
            told = self._lines("damaged.jsonl") if "damaged.jsonl" in files else ()
            lost = {str(line["id"]): Damaged(str(line["why"]), code="payload.swapped") for line in told}
            self.evidence = gathered(records, payloads.get, Rulebook(self._rules), "unavailable: absent", lost)
        except (KeyError, ValueError) as error:
            raise Invalid(f"this is no bundle: {error!r}", code="replay.bundle", hint="bus log export makes them") from error

    @property
    def digest(self) -> str:
        """The SHA-256 of its manifest, which the record ``exported`` names."""
        return hashlib.sha256(self._files["manifest.json"]).hexdigest()

    def _rules(self, name: str) -> Any:
        kind, _, digest = name.rpartition(" ")
        content = self._files.get(f"rules/{kind or 'route'}/{digest}.json")
        return None if content is None else parsed(content)

    def _lines(self, name: str) -> Iterator[Mapping[str, Any]]:
        return (parsed(line) for line in self._files[name].split(b"\n") if line)


def _content(line: Mapping[str, Any]) -> bytes:
    return str(line["text"]).encode() if "text" in line else base64.b64decode(line["base64"])


_UNREAD = frozenset({"wire-out", "wire-in", "facts", "reason"})
"""Payloads that no recount looks at."""


def pages(reader: Reader, messages: Iterable[Sequence[str]], book: Rulebook) -> Iterator[Evidence]:
    """The evidence of the runs of these messages, given some hundred at a time."""
    for some in messages:
        with reader.read() as tx:
            page = _page(tx, some, book)
        yield page


def light(reader: Reader, messages: Sequence[str]) -> Iterator[list[str]]:
    """These messages in as many parts as they must be read in (`bus.log.log.light`)."""
    with reader.read() as tx:
        sizes = {row["id"]: int(row["size"]) for row in tx.all("message_sizes_among", messages=listed(messages))}
    start = 0
    for count in log.light(sizes.get(one, 0) for one in messages):
        yield list(messages[start : start + count])
        start += count


def _page(tx: Tx, messages: Sequence[str], book: Rulebook) -> Evidence:
    received, changed = _received(tx, messages)
    openings = [_opened(dict(row), row["message"]) for row in tx.all("runs_among_messages", messages=listed(messages))]
    openings += _untold(received.values(), {one.run for one in openings})
    journals: dict[str, list[Record]] = {}
    broken: dict[str, Damaged] = {}
    for row in tx.all("records_among_runs", runs=listed(one.run for one in openings)):
        try:
            journals.setdefault(row["run"], []).append(record_of(row["content"]))
        except Damaged as error:
            broken[row["run"]] = error
    broken |= {one.run: changed[one.message] for one in openings if one.message in changed}
    records = [record for journal in journals.values() for record in journal]
    named = [record.data[name] for record in records for name in ("sent", "stands", "arrival") if name in record.data]
    payloads = {row["id"]: row["payload"] for row in tx.all("message_payloads_among", messages=listed({*messages, *named}))}
    payloads |= {message: str(record.payload("message")) for message, record in received.items()}
    wanted = [held.id for record in records for held in record.payloads if held.role not in _UNREAD]
    texts, unopened = log.payloads(tx, [*payloads.values(), *wanted])
    return Evidence(book, openings, journals, payloads, texts.get, unopened=unopened, broken=broken)


def _received(tx: Tx, messages: Sequence[str]) -> tuple[dict[str, Record], dict[str, Damaged]]:
    """How the log tells the acceptance of some messages; and of which it does not any more, because somebody changed the record."""
    found, changed = dict[str, Record](), dict[str, Damaged]()
    for row in tx.all("records_of_kind_among", messages=listed(messages), kind="received"):
        try:
            found[row["message"]] = record_of(row["content"])
        except Damaged as error:
            changed[row["message"]] = error
    return found, changed


def _untold(received: Iterable[Record], known: Container[str]) -> Iterator[Opening]:
    """The runs that these records opened, and that somebody took out of the table `runs`."""
    for record in received:
        with suppress(KeyError, TypeError):  # of a record that was changed
            yield from (_opened(run, str(record.message)) for run in record.data["runs"] if run["id"] not in known)
