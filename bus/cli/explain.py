"""``bus explain CODE``: what a code means and what to do, from the one page that documents them all."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from bus.cli.common import Json, family, show
from bus.errors import NotFound

app = family("Say more about the code of an error or of a finding.")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"


@app.command()
def explain(
    code: Annotated[str, typer.Argument(help="Code of an error or a finding, such as yaml.leading-zero.")], json: Json = False
) -> None:
    """Say what a code means, who must act, and what to do."""
    if not PAGE.is_file():
        raise NotFound(
            "the page of error codes is not installed here", code="explain.no-page", hint="read docs/reference/errors.md of the sources"
        )
    known = {row["code"]: row for row in rows(PAGE.read_text("utf-8"))}
    if code not in known:
        near = difflib.get_close_matches(code, known, n=3, cutoff=0.5)
        raise NotFound(f"there is no code {code!r}", code="explain.unknown", hint=f"did you mean {', '.join(near)}?" if near else str(PAGE))
    show(known[code], json, _told)


def rows(page: str) -> Iterator[dict[str, str]]:
    """Each row of the page's tables, by column; ``who`` is the heading it stands under."""
    who, columns = "", list[str]()
    for line in page.splitlines():
        if line.startswith("## "):
            who = line[3:].strip()
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and cells[0] == "code":
            columns = cells
        elif cells and (found := re.fullmatch(r"`([a-z0-9.-]+)`", cells[0])):
            yield {**dict(zip(columns, cells, strict=False)), "code": found[1], "who": who}


def _told(row: dict[str, str]) -> None:
    print(row["code"])
    for name, text in row.items():
        if name != "code":
            print(f"  {'who acts' if name == 'who' else name}: {text}")
