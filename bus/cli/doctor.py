"""``bus doctor``: is everything in order around this process?"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from bus.cli.common import CONFIG, Json, Settings, family, show

if TYPE_CHECKING:
    from bus.doctor import Verdict

app = family()


@app.command()
def doctor(config: Settings = CONFIG, json: Json = False) -> None:
    """Look whether everything is in order. One line for each check: ok, warning or wrong, what, where, why, what next.
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
    """At once: the next check may take its time."""
    line = f"{verdict.level:<9}{verdict.code:<25}{verdict.what}"
    parts: dict[str, Any] = {" at ": verdict.where, "; why: ": verdict.why, "; next: ": verdict.next}
    print(line + "".join(f"{label}{text}" for label, text in parts.items() if text), flush=True)
