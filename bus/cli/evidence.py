"""``bus log export|tiles|key``: the log as evidence for others."""

from __future__ import annotations

import base64
import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bus.cli.common import CONFIG, Json, Key, Settings, Since, Store, Until, Url, client, family, given, show, unused
from bus.cli.databases import reading
from bus.cli.failures import NOT_VERIFIED
from bus.disk import OWNER_ONLY, whole
from bus.errors import EvidenceError, counted, visible

if TYPE_CHECKING:
    from bus.bundle.verify import Bundle

keys = family("The keys that sign the log.")
BUNDLE = Path("fascicolo.zip")
SHOWN = 20
"""Damaged texts that are named on the terminal."""


def export(
    purpose: Annotated[str, typer.Option(help="Why: which request, which audit. The log keeps it with your name.")],
    out: Annotated[Path, typer.Option("--out", "--output", "-o", help="Where to write the bundle: a file that is not there yet.")] = BUNDLE,
    case: Annotated[str, typer.Option(help="A key of a case.")] = "",
    message: Annotated[str, typer.Option(help="Id of a message.")] = "",
    since: Since = "",
    until: Until = "",
    payloads: Annotated[bool, typer.Option(help="With what was said, not only that it was.")] = True,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Write a bundle: records, proofs, rules, payloads, and a program that verifies it without us.

    Exit code 5: it is written, but does not prove itself, or is without texts that cannot be opened though nobody erased them: it names
    them, and so does its verification.
    """
    from bus.bundle import verify
    from bus.message import parsed

    scope = given({"case": case, "message": message, "from": since, "to": until})
    with (
        whole(unused(out), OWNER_ONLY) as file,
        client(url, key) as bus,
    ):  # opened before the bus is asked, which keeps each export in its log
        content = bus.export(scope, purpose, payloads=payloads)
        file.write(content)
    proved = verify.Bundle(content)
    if proved.unruled:
        print("the database has not all rules that these records name; bus log verify says which record is concerned. Not in the bundle:",
              *map(visible, proved.unruled), sep="\n  ", file=sys.stderr)  # fmt: skip
    lost = [parsed(line) for line in proved.files.get(verify.DAMAGED, b"").split(b"\n") if line]
    written = {"file": str(out), "bytes": len(content), "proves": not proved.found, "unruled": proved.unruled, "damaged": lost}
    show(written, json, lambda _: print(
        f"written: {out} ({len(content):,} bytes)\n"
        f"verify it anywhere: bus log verifier > verify.py; python3 -I verify.py {quote(str(out))} --key …"
    ))  # fmt: skip
    _tell_what_is_wrong(proved, lost)
    if lost or proved.found:
        raise typer.Exit(NOT_VERIFIED)


def _tell_what_is_wrong(proved: Bundle, lost: Sequence[Mapping[str, Any]]) -> None:
    from bus.bundle import verify

    if lost:
        some = [f"{one['id']}: {one['why']}" for one in lost[:SHOWN]] + [f"and {len(lost) - SHOWN:,} more"] * (len(lost) > SHOWN)
        said = f"damaged, and not erased: {len(lost):,} (a backup, with its keys, has them; the bundle has their names alone)"
        print(said, *some, sep="\n  ", file=sys.stderr)
    if proved.found:
        print("the bundle does not prove itself: the log it is of is damaged, see bus log verify", file=sys.stderr)
        print(verify.report(proved, "en"), file=sys.stderr)


def verifier() -> None:
    """Write the program that verifies bundles to standard output: one file, nothing but Python is needed to run it."""
    from bus.bundle import verify

    sys.stdout.flush()
    sys.stdout.buffer.write(Path(verify.__file__).read_bytes())  # exactly, whatever the locale writes an è with


def check_receipt(
    receipt: Annotated[Path, typer.Argument(help="File with the receipt, as text or as the header Snodo-Receipt has it.")],
    key: Annotated[list[str], typer.Option(help="Public key of receipts, as the municipality publishes it.")],
    log_key: Annotated[list[str], typer.Option(help="Public key of the log, as the municipality publishes it.")],
    tiles: Annotated[
        Path | None, typer.Option(help="Folder that `bus log tiles` wrote, or a copy of one: no database is needed then.")
    ] = None,
    config: Settings = CONFIG,
    store: Store = "",
    json: Json = False,
) -> None:
    """Whether the log kept the promise. Exit code 0: included, or there is time left; 5: omitted, which the receipt and the log prove."""
    from bus.log import note, promised

    text = receipt.read_text("utf-8-sig", "replace")
    with contextlib.suppress(ValueError):  # as the header `Snodo-Receipt` has it
        text = base64.b64decode("".join(text.split()), validate=True).decode()
    try:
        note.parse(text.partition("\n\n")[2].encode())
    except EvidenceError as error:
        hint = "the answer to a message has it, as `receipt` and in the header Snodo-Receipt"
        raise EvidenceError(f"{receipt} is no receipt: {error.sentence}", code=error.code, hint=hint) from error
    about = text, [*map(note.verifier, key)], [*map(note.verifier, log_key)]
    if tiles is not None:
        found = promised.judged_by_files(tiles, *about)
    else:
        with reading(store, config) as reader:
            found = promised.judged(reader, *about)
    show({"sentence": found.sentence, "exit_code": found.code}, json, lambda shown: print(shown["sentence"]))
    raise typer.Exit(found.code)


def tiles(
    folder: Annotated[Path, typer.Argument(help="Where; what is there already is gone on with.")],
    config: Settings = CONFIG,
    store: Store = "",
    json: Json = False,
) -> None:
    """Write the log as a folder that tools for transparency logs read (c2sp.org/tlog-tiles): checkpoint, tiles, entries."""
    from bus.log import published

    with reading(store, config) as reader:
        size, files = published.publish(reader, folder)
    written = {"folder": str(folder), "records": size, "files": files}
    show(written, json, lambda _: print(f"{folder}: {counted(size, 'record')}, {counted(files, 'file')} written"))


@keys.command("new")
def new_key(
    path: Annotated[Path | None, typer.Argument(help="Where; else the file that the settings name.")] = None,
    config: Settings = CONFIG,
    json: Json = False,
) -> None:
    """Make a key for the log; the file is readable by its owner only. While keys are changed, name the one before as log.previous_key."""
    from bus import config as settings
    from bus.log import keys as kept

    log = settings.load(config, secrets=False).log
    made = {"key": str(path or log.key), "public_key": str(kept.make(path or log.key, log.origin).verifier)}
    show(made, json, _made)


def _made(made: dict[str, str]) -> None:
    print(f"made: {made['key']}\npublish this, where auditors find it without asking the bus:\n\n  {made['public_key']}\n")


@keys.command("show")
def show_keys(config: Settings = CONFIG, json: Json = False) -> None:
    """Show the public keys: the log's, and the one that signs receipts."""
    from bus import config as settings
    from bus.log import note

    log = settings.load(config, secrets=False).log
    files = {"log": log.key, "log, before": log.previous_key, "receipts": log.receipt_key}
    found = {what: str(note.read_signer(path).verifier) for what, path in files.items() if path is not None and path.exists()}
    show(found, json, _keys)


def _keys(found: dict[str, str]) -> None:
    for what, verifier in found.items():
        print(f"{what:<12}{verifier}")
