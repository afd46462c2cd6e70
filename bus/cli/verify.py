"""``bus log verify``: is the log what was signed? For an auditor, who needs to read the database and nothing else."""

from __future__ import annotations

import base64
import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bus.cli.common import CONFIG, Json, Settings, Store, bar, show
from bus.cli.databases import give_keys, reading, store_of
from bus.cli.failures import NOT_VERIFIED, write_utf_8
from bus.clock import text_of_posix
from bus.disk import save
from bus.errors import EvidenceError, counted

if TYPE_CHECKING:
    from bus.log.note import Note, Verifier
    from bus.log.verify import Progress, Report, State, Trust
    from bus.store.opening import Reader

SAVE_EVERY = 2.0
"""Seconds between two states that are written to the file of ``--resume``."""
Keys = Annotated[list[str], typer.Option("--key", help="Public key of the log, got from elsewhere; repeat it for several.")]
Witnesses = Annotated[list[str], typer.Option("--witness-key", help="Public key of a witness: its cosignatures must be there and fit.")]
Held = Annotated[list[Path], typer.Option("--from-checkpoint", help="File of a checkpoint that you kept: the log must have grown from it.")]
Authority = Annotated[
    Path | None,
    typer.Option("--timestamp-ca", help="File (PEM) of the roots of all time-stamping authorities there were: stamps must fit."),
]
Resume = Annotated[Path | None, typer.Option("--resume", help="File that keeps how far it came: the next time it goes on from there.")]


def verify_log(
    config: Settings = CONFIG,
    store: Store = "",
    key: Keys = [],  # noqa: B006 - typer's way
    witness_key: Witnesses = [],  # noqa: B006
    from_checkpoint: Held = [],  # noqa: B006
    timestamp_ca: Authority = None,
    resume: Resume = None,
    names: Annotated[
        bool, typer.Option("--names", help="Compare also whom messages are about, with the key store of the settings; shows no name.")
    ] = False,
    json: Json = False,
) -> None:
    """Hash every record again and compare it with everything that was signed. Only reads; names the first bad leaf.

    Exit code 0 when the log is what was signed, 5 when it is not, 2 when there is nothing to judge by, 3 when the database cannot be read.
    """
    from bus.log.diagnosis import Broken
    from bus.log.verify import verify
    from bus.store.opening import open_reader

    trust = _trust(key, witness_key, from_checkpoint, timestamp_ca)
    start = _remembered(resume) if resume is not None and resume.exists() else None
    if start is not None and trust.keys and not start.keys:
        said = f"what {resume} remembers was found right by the log's own word for its key, which is not the word of --key"
        raise EvidenceError(said, code="evidence.own-word", hint="name another file for --resume: everything is read again, once")
    began = time.monotonic()
    try:
        url = store or store_of(config)
        with contextlib.closing(open_reader(url)) as reader, _following(resume) as progress:
            report = verify(reader.read, trust, start, progress, url)
            named = _named(reader, config) if names else None
    except Broken as broken:
        show({"verified": False, "fault": broken.fault._asdict()}, json, _say_broken)
        raise typer.Exit(NOT_VERIFIED) from None
    unstamped = bool(trust.authorities) and not report.stamped
    show({**_verified(report, time.monotonic() - began), "named": named, "unstamped": unstamped}, json, _say_verified)


def _remembered(path: Path) -> State:
    """How far an earlier call of it came; raises `EvidenceError`, which names the file."""
    from bus.log.verify import State

    try:
        return State.decode(path.read_bytes())
    except EvidenceError as error:
        hint = "name another file for --resume: it is made, and everything is read"
        raise EvidenceError(f"{path}: {error.sentence}", code=error.code, hint=hint) from error


def _named(reader: Reader, config: Path) -> int:
    """How many messages stand under the names that their texts tell. Raises `Broken`."""
    from bus.config import load
    from bus.engine import verify_names

    give_keys(reader, load(config, secrets=False))
    return verify_names.compare(reader.read)


def checkpoint_log(
    config: Settings = CONFIG,
    store: Store = "",
    cosigned: Annotated[bool, typer.Option("--cosigned", help="The newest that a witness cosigned.")] = False,
) -> None:
    """Print the newest checkpoint with all its cosignatures, to be kept where the operator cannot reach it (`--from-checkpoint`)."""
    from bus.log.note import parse
    from bus.log.stored import StoredTree

    with reading(store, config) as reader, reader.read() as tx, _as_sealed():
        size = tx.one("last_cosigned")["size"] if cosigned else None  # type: ignore[index]
        found = StoredTree(tx).checkpoint() if size is None else StoredTree(tx).checkpoint_of(size)
        if found is None or (cosigned and size is None):
            hint = (
                "no witness has cosigned one: `bus doctor` says which there are"
                if cosigned
                else "it has one a second after its first record"
            )
            raise EvidenceError("the log has no such checkpoint yet", code="evidence.empty", hint=hint)
        cosignatures = [parse(bytes(row["evidence"])) for row in tx.all("anchors_of", size=found.size) if row["kind"] == "witness"]
    note = parse(found.note).signed(*(one for evidence in cosignatures for one in evidence.signatures))
    write_utf_8()
    sys.stdout.write(note.encode().decode())


@contextlib.contextmanager
def _as_sealed() -> Iterator[None]:
    """Columns of checkpoints and anchors may hold anything where somebody changed them."""
    from bus.log.diagnosis import STRANGE

    try:
        yield
    except STRANGE as error:
        hint = "`bus log verify` says what is not as it was signed"
        raise EvidenceError("the checkpoint in the database is not one of the bus", code="evidence.malformed", hint=hint) from error


def _trust(keys: Iterable[str], witnesses: Iterable[str], checkpoints: Iterable[Path], ca: Path | None) -> Trust:
    """What the auditor has from elsewhere, read; raises `EvidenceError` or `ConfigError` for what is not of its kind."""
    from bus.log.note import COSIGNATURE, ED25519
    from bus.log.timestamp import roots
    from bus.log.verify import Trust

    authorities = ca.read_bytes() if ca else b""
    if ca:
        roots(authorities)  # also where no stamp is there to be judged by them
    return Trust(_public(keys, ED25519), _public(witnesses, COSIGNATURE), tuple(map(_held, checkpoints)), authorities)


def _held(path: Path) -> Note:
    """A checkpoint that somebody kept, perhaps on a system that ends lines in its own way; raises `EvidenceError`, which names the file."""
    from bus.log.checkpoint import checkpoint_of
    from bus.log.note import parse

    try:
        note = parse(path.read_text("utf-8-sig", "replace").encode())
        checkpoint_of(note.text)
    except EvidenceError as error:
        hint = "it is kept as `bus log checkpoint` prints it, or a witness answers it, with no line more or less"
        raise EvidenceError(f"{path} is no checkpoint: {error.sentence}", code=error.code, hint=hint) from error
    return note


def _public(said: Iterable[str], type: int) -> tuple[Verifier, ...]:
    """Public keys of logs (`ED25519`), or of witnesses; one taken for the other would make a log of which nothing is wrong look forged."""
    from bus.log.note import COSIGNATURE, verifier

    found = tuple(map(verifier, said))
    if wrong := [key for key in found if key.type != type]:
        what = "a witness" if wrong[0].type == COSIGNATURE else "a log"
        raise EvidenceError(f"{wrong[0]} is the key of {what}", hint="--key takes those of the log, --witness-key those of witnesses")
    return found


@contextlib.contextmanager
def _following(path: Path | None) -> Iterator[Progress]:
    """Show how far it is: by a bar on a terminal, and in the file of ``--resume``, also when it is interrupted."""
    last: list[Callable[[], State]] = []
    saved = time.monotonic()

    def keep(state: Callable[[], State]) -> None:
        nonlocal path, saved
        saved = time.monotonic()
        try:
            if path is not None:
                save(path, state().encode())
        except OSError as error:  # the verdict counts: it is not given up for this
            print(f"how far it came is not remembered: {error.strerror}: {path}", file=sys.stderr)
            path = None

    with bar("verifying", "records") as moved:

        def progress(size: int, of: int, state: Callable[[], State]) -> None:
            moved(size, of)
            last[:] = [state]
            if time.monotonic() - saved > SAVE_EVERY:
                keep(state)

        try:
            yield progress
        except EvidenceError:
            last.clear()  # the state of a log that is not right is not kept
            raise
        finally:
            if last:
                keep(last[0])


def _verified(report: Report, seconds: float) -> dict[str, Any]:
    return {
        "verified": True, **report._asdict(), "root": base64.b64encode(report.root).decode(), "seconds": round(seconds, 3),
        **{what: {name: {"size": size, "time": text_of_posix(at)} for name, (size, at) in getattr(report, what).items()}
           for what in ("cosigned", "stamped")},
    }  # fmt: skip


def _say_verified(shown: dict[str, Any]) -> None:
    since = f", of which {shown['size'] - shown['start']:,} now" if shown["start"] else ""
    looked = shown["size"] > shown["start"]
    lines = {
        "root": shown["root"],
        "signed": f"{counted(shown['checkpoints'], 'checkpoint')} of the log" if looked else "",
        **{f"seen by {name}": f"{counted(said['size'], 'record')}, at {said['time']}" for name, said in shown["cosigned"].items()},
        **{f"stamped by {name}": f"{counted(said['size'], 'record')}, at {said['time']}" for name, said in shown["stamped"].items()},
        "stamped": "none of the checkpoints that were looked at has a time stamp" if shown["unstamped"] else "",
        "held by you": f"{shown['held']:,} of these roots" if shown["held"] else "",
        "seen by nobody": _beyond(shown),
        "not read now": f"{shown['start']:,} records that were right at an earlier time: without --resume they are read again"
        if shown["start"]
        else "",
        "payloads": f"{shown['payloads']:,}, each the one that its record commits to" if looked else "",
        "tables": f"{counted(shown['messages'], 'message')} and {counted(shown['runs'], 'run')} stand there as the records tell"
        if shown["messages"]
        else "",
        "names": ""
        if shown["named"] is None
        else f"{counted(shown['named'], 'message')}, each under the names that its text tells, where it still opens",
        "gone": f"{counted(shown['erased'], 'payload')}, erased with a person or destroyed as too old, as the log says"
        if shown["erased"]
        else "",
        "to come": f"{counted(shown['waiting'], 'record')} not in the tree yet" if shown["waiting"] else "",
        "but": "the key of the log is the one that the log itself names: give it with --key, from elsewhere" if shown["own_word"] else "",
    }
    if not (shown["cosigned"] or shown["held"]):
        lines["and"] = "nobody but the operator vouches for it: give --witness-key, or a checkpoint that you kept (--from-checkpoint)"
    if shown["ask"]:
        lines["ask"] = f"{', '.join(shown['ask'])}, who may have seen more, or another history: {_fetched(shown['origin'])}"
    print(f"VERIFIED  {shown['origin']}: {counted(shown['size'], 'record')}{since}, in {shown['seconds']:.1f} s")
    _say(lines)


def _beyond(shown: dict[str, Any]) -> str:
    """What stands behind all that somebody outside vouches for."""
    behind = shown["size"] - shown["vouched"]
    return f"the last {counted(behind, 'record')}: for these you have the operator's word alone" if shown["vouched"] and behind else ""


def _fetched(origin: str) -> str:
    from bus.log.checkpoint import place_of

    return f"fetch GET /{place_of(origin)}/checkpoint from there, give it with --from-checkpoint"


def _say_broken(shown: dict[str, Any]) -> None:
    fault = shown["fault"]
    print(f"NOT VERIFIED  {fault['sentence']}")
    number = "" if fault["seq"] is None else f"{fault['record']}, number {fault['seq']} in the table"
    lines = {"kind": fault["kind"], "record": number, "hint": fault["hint"], "next": _NEXT.get(fault["kind"], _NEXT[""])}
    _say(lines)


_NEXT = {
    "": "change nothing: copy the database and its log files first, then compare that place with a backup",
    "fork": "keep the checkpoint that does not fit: it proves that another history was signed",
    "rollback": "ask for what is missing: a backup, another node, receipts that senders kept",
    "payload": "the record is right: compare the payload with a backup, and look who can write to the database",
    "table": "the records are right: keep a copy, and look who can write to the database; portals and commands show what the tables say",
    "keys": "ask for the minutes of the change of keys; what they do not name somebody else wants to be taken for the log's",
    "column": "the record itself is right: compare with a backup, and look who can write to the database",
}


def _say(lines: dict[str, str]) -> None:
    width = max(len(label) for label, text in lines.items() if text)
    for label, text in lines.items():
        if text:
            print(f"  {label:<{width}}  {text}")
