"""``bus report``: what the law asks for, out of the log, as CSV or JSON."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from bus.calendar import day_of
from bus.cli.common import Key, Url, client, escaped, family, pages, show, unused
from bus.cli.failures import NOT_VERIFIED, write_utf_8
from bus.client import Client
from bus.disk import OWNER_ONLY, whole
from bus.errors import NotFound
from bus.jsontext import dumps

app = family()
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula."""


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="Which; without it all are listed.")] = "",
    since: Annotated[str, typer.Option("--from", help="From then on: a day, or a moment with its offset.")] = "",
    until: Annotated[str, typer.Option("--to", help="Before then; the next day if --from is a day.")] = "",
    purpose: Annotated[str, typer.Option(help="What it is for; the log keeps it.")] = "",
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of CSV.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file that is not there yet.")] = None,
    url: Url = "",
    key: Key = "",
) -> None:
    """Write a report. That you were given it is recorded in the same log.

    Exit code 5: it is written, and fields are empty since texts cannot be opened, though nobody erased them; which is said.
    """
    with client(url, key) as bus:
        there = bus.get("/reports")
        if not name:
            show(there, json, _list)
            return
        if name not in (known := [one["name"] for one in there["reports"]]):
            raise NotFound(f"there is no report {name!r}", code="report.unknown", hint=f"one of {', '.join(known)}")
        if not since:
            raise typer.BadParameter("say which time: --from with a day, or --from and --to", param_hint="--from")
        asked = {"from": since, "to": until or _next_day(since), "purpose": purpose}
        write_utf_8()
        # opened before the bus is asked, which keeps each page in its log
        with _anew(output) if output else contextlib.nullcontext(sys.stdout) as file:
            unopened: list[dict[str, Any]] = []
            lines = _lines(bus, name, asked, unopened)
            first = next(lines, None)  # a refusal comes before a line is written
            fields = next(list(one["fields"]) for one in there["reports"] if one["name"] == name)
            _write(file, fields, lines if first is None else chain([first], lines), json)
            file.flush()
    if unopened:
        said = f"damaged, and not erased: {len(unopened):,} (a backup, with its keys, has them; what they tell is left empty)"
        print(said, *(f"{one['role']} of record {one['record']}: {one['why']}" for one in unopened), sep="\n  ", file=sys.stderr)
        raise typer.Exit(NOT_VERIFIED)


@contextlib.contextmanager
def _anew(path: Path) -> Iterator[IO[str]]:
    """A new file, which has its name once the report is whole: half of one looks like a whole. Raises FileExistsError."""
    with whole(unused(path), OWNER_ONLY) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        yield text


def _lines(bus: Client, name: str, asked: dict[str, Any], unopened: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for page in pages(lambda after: bus.post(f"/reports/{escaped(name)}", {**asked, "after": after}), 0):
        yield from page["lines"]
        unopened += page.get("unopened", ())


def _write(file: IO[str], fields: list[str], lines: Iterable[dict[str, Any]], json: bool) -> None:
    if json:
        for line in lines:
            file.write(dumps(line).decode() + "\n")
        return
    writer = csv.writer(file)
    writer.writerow(fields)
    for line in lines:
        writer.writerow([_cell(line.get(field, "")) for field in fields])


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _next_day(day: str) -> str:
    try:
        return (day_of(day) + dt.timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        said = f"{day!r} is no day, as 2026-11-20 is one, that a next one follows: write --from as a day, or say --to too"
        raise typer.BadParameter(said, param_hint="--from") from None


def _list(there: dict[str, Any]) -> None:
    print(f"{'report':<12}what it tells, and where its fields come from")
    for one in there["reports"]:
        print(f"{one['name']:<12}{one['title']}\n{'':<12}{one['source']}")
