"""``bus demo``: the options of the demonstration; the play itself is in `bus.cli.demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from bus.cli.common import CONFIG, Json, Settings, family

app = family()


@app.command()
def demo(
    config: Settings = CONFIG,
    stay: Annotated[bool, typer.Option("--stay", help="Keep everything running until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """Start every outside system as a simulator and a bus; present, pay, assign; print the case. Exit code 0 when all went well.

    With --json standard output is the case and nothing else; the story goes to standard error.
    """
    from bus.cli.demo import run
    from bus.config import load

    rules = load(config, secrets=False).rules if config.is_file() else config.resolve().parent
    raise typer.Exit(run(rules, stay=stay, as_json=json))
