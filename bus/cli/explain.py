"""``bus explain CODE``: what a code means and what to do."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from bus.cli.common import Json, family, show
from bus.errors import NotFound

app = family()
INSTALLED = Path("share/snodo/errors.md")
PAGES = (Path(__file__).parents[2] / "docs/reference/errors.md", Path(sys.prefix) / INSTALLED)
"""Where the page of errors is: in the sources, and where the installed program has it."""


@app.command()
def explain(
    code: Annotated[str, typer.Argument(help="Code of an error or a finding, such as yaml.leading-zero.")], json: Json = False
) -> None:
    """Say what a code means, who must act, and what to do."""
    known = {**_errors(), **_findings()}
    if code not in known:
        known |= _checks()  # apart: they bring half of the bus along
    if code not in known:
        near = difflib.get_close_matches(code, known, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "bus validate and every error say their code"
        raise NotFound(f"there is no code {code!r}", code="explain.unknown", hint=hint)
    show(known[code], json, _told)


def _findings() -> dict[str, dict[str, str]]:
    """Codes of findings, from where they are declared."""
    from bus.route.codes import CODES

    who = "The author of routes and mappings"
    return {
        code: {"code": code, "what happened": one.meaning, "example": one.example, "what to do": one.cure, "who": who}
        for code, one in CODES.items()
    }


def _checks() -> dict[str, dict[str, str]]:
    """Codes of `bus doctor`, from where they are declared."""
    from bus.doctor.codes import CODES

    return {
        code: {"code": code, "what is looked at": one.looks, "why": one.meaning, "what to do": one.cure, "who": "The operator"}
        for code, one in CODES.items()
    }


def _errors() -> dict[str, dict[str, str]]:
    """Codes of errors, from the page that documents them."""
    page = next((page for page in PAGES if page.is_file()), None)
    return {row["code"]: row for row in rows(page.read_text("utf-8"))} if page else {}


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
            first, *rest = text.splitlines()
            print(f"  {'who acts' if name == 'who' else name}: {first}", *(f"    {line}" for line in rest), sep="\n")
