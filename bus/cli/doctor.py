"""``bus doctor``: is everything in order around this process?"""

from __future__ import annotations

import shutil
import sys
import textwrap
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import typer

from bus.cli.common import CONFIG, Json, Settings, family, show

if TYPE_CHECKING:
    from bus.doctor import Verdict

app = family()
_INDENT = 34
"""Blanks below level and code."""


@app.command()
def doctor(config: Settings = CONFIG, json: Json = False) -> None:
    """Check whether everything is in order. One line for each check: ok, warning or wrong, what, where, why, what next.
    `bus explain CODE` says more.

    Exit code 1 when something is wrong, 2 when the settings cannot be used, 3 when database or broker cannot be reached.
    """
    from bus.doctor import examine, exit_code

    verdicts = []
    for verdict in examine(config):
        verdicts.append(verdict)
        if not json:
            _tell(verdict)
    code = exit_code(verdicts)
    show({"exit_code": code, "checks": [asdict(verdict) for verdict in verdicts]}, json, lambda _: None)
    raise typer.Exit(code)


def _tell(verdict: Verdict) -> None:
    """Print a verdict at once, as the next check may take long: in one line; on a terminal why and what next have lines of their own."""
    head, what = f"{verdict.level:<9}{verdict.code:<25}", verdict.what + (f" at {verdict.where}" if verdict.where else "")
    more = [f"{label}: {text}" for label, text in (("why", verdict.why), ("next", verdict.next)) if text]
    if not sys.stdout.isatty():
        print(head + "; ".join([what, *more]), flush=True)
        return
    lay_out = partial(textwrap.fill, width=shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)
    indent = " " * _INDENT
    lines = [lay_out(what, initial_indent=head, subsequent_indent=indent)]
    print("\n".join([*lines, *(lay_out(one, initial_indent=indent, subsequent_indent=indent + "  ") for one in more)]), flush=True)
