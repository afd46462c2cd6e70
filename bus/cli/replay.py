"""``bus replay``: recompute runs from the log and compare. Nothing leaves this process: no adapter is called, no secret is read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bus.cli.common import CONFIG, Json, Key, LogKey, Settings, Since, Store, Until, Url, client, family, given, show
from bus.cli.failures import NOT_VERIFIED

if TYPE_CHECKING:
    from bus.adapter import Operation
    from bus.replay.evidence import Bundle
    from bus.replay.report import Report
    from bus.store.opening import Reader

app = family()
UNAVAILABLE = 4


def code_of(result: str) -> int:
    """The exit code of the whole."""
    from bus.replay.report import DAMAGED

    if result == DAMAGED:
        return NOT_VERIFIED
    return 0 if result == "equal" else UNAVAILABLE if result.startswith("unavailable") else 1


@app.command()
def replay(
    what: Annotated[str, typer.Argument(metavar="run|message|case", help="Id of a run or a message, or a key of a case.")] = "",
    since: Since = "",
    until: Until = "",
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Replay what a bundle holds; no database is needed.")] = None,
    log_key: LogKey = None,
    purpose: Annotated[
        str, typer.Option("--purpose", help="Why; it is written in the log of the running bus, before anything is read.")
    ] = "",
    url: Url = "",
    key: Key = "",
    every: Annotated[bool, typer.Option("--all", help="Show also the runs that are equal.")] = False,
    config: Settings = CONFIG,
    store: Store = "",
    json: Json = False,
) -> None:
    """Recompute runs from the log under the rules they had, and compare; without any effect.

    Exit code 0: all equal; 1: a run is different, or lacks an answer in the log; 4: at worst something is unavailable, such as erased data;
    5: a false bundle, or what was said cannot be opened though nobody erased it.
    """
    from bus.cli.rules import offline, proven, recomputing, still_offered
    from bus.replay.window import none_between

    if sum(map(bool, (what, since or until, bundle))) != 1:
        raise typer.BadParameter("say what: a run, a message or a case; or --from and --to; or --bundle")
    held = proven(bundle, log_key) if bundle is not None else None
    if purpose:
        scope = {"what": what, "bundle": held.digest if held else "", "from": since, "to": until}
        with client(url, key, config) as bus:
            bus.post("/replays", {"purpose": purpose, **given(scope)})
    if held is not None:
        report = unbundled(held, still_offered(offline(config)), every=every)
    else:
        with recomputing(config, store) as (settings, reader):
            report = replayed(reader, still_offered(settings), what, (since, until), every=every or bool(what))
            if not report.counts.total():
                print(none_between(reader), file=sys.stderr)
    show(report.as_json(), json, lambda _: print(report.as_text()))
    raise typer.Exit(code_of(report.worst))


def replayed(reader: Reader, operations: Mapping[str, Operation], what: str, times: tuple[str, str], *, every: bool) -> Report:
    """Recompute what is named, or what was accepted between two times, and keep what is worth telling."""
    from bus.replay import window
    from bus.replay.evidence import Rulebook, light, pages
    from bus.replay.recount import recount
    from bus.replay.report import Report

    book = Rulebook.of(reader)
    messages, run = window.named(reader, what) if what else ([], None)
    accepted = window.between(reader, *window.times(*(text or None for text in times)))
    chosen = window.pages_of(messages) if what else ([one for one, _ in some] for some in accepted)
    report = Report(book, every)
    for page in pages(reader, (part for some in chosen for part in light(reader, some)), book):
        report.add(recount(one, page, operations) for one in page.openings if run in (None, one.run))
    return report


def unbundled(bundle: Bundle, operations: Mapping[str, Operation], *, every: bool) -> Report:
    """Recompute every run that a bundle holds."""
    from bus.replay.recount import recount
    from bus.replay.report import Report

    report = Report(bundle.evidence.book, every)
    report.add(recount(one, bundle.evidence, operations) for one in bundle.evidence.openings)
    return report
