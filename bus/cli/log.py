"""``bus log show``: records as they are in the log."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bus.cli.common import LOCAL, Json, Key, Url, client, family, show

app = family("Show the log's records of a message, a run or a case.")


@app.callback()
def _family() -> None:
    """The log: the append-only memory of the bus."""


@app.command("show")
def show_log(
    run: Annotated[str | None, typer.Option(help="Id of a run.")] = None,
    message: Annotated[str | None, typer.Option(help="Id of a message.")] = None,
    case: Annotated[str | None, typer.Option(help="A key of a case.")] = None,
    url: Url = LOCAL,
    key: Key = "",
    json: Json = False,
) -> None:
    """The records of one run, message or case, in order."""
    if sum(one is not None for one in (run, message, case)) != 1:
        raise typer.BadParameter("say whose records: one of --run, --message, --case", param_hint="log show")
    with client(url, key) as bus:
        show(bus.get("/log", run=run, message=message, case=case), json, _records)


def _records(shown: dict[str, Any]) -> None:
    from bus.cli.timeline import print_table, timeline

    print_table(timeline(shown["records"]))
