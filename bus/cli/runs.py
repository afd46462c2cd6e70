"""``bus runs``: messages on their way through routes."""

from __future__ import annotations

from typing import Annotated

import typer

from bus.cli.common import Json, Key, Url, client, escaped, family, show

app = family("List runs, or show one with its journal.", bare="list", other="show")


@app.command("list")
def list_runs(
    url: Url = "",
    key: Key = "",
    state: Annotated[str | None, typer.Option(help="ready, running, waiting, done, dead or cancelled.")] = None,
    route: Annotated[str | None, typer.Option(help="Only runs of this route.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many.")] = 50,
    json: Json = False,
) -> None:
    """The newest runs."""
    from bus.cli import timeline

    with client(url, key) as bus:
        show(bus.get("/runs", state=state, route=route, limit=limit), json, lambda found: timeline.print_runs(found["runs"]))


@app.command("show")
def show_run(id: Annotated[str, typer.Argument(help="Id of the run.")], url: Url = "", key: Key = "", json: Json = False) -> None:
    """A run with its journal and its waits."""
    from bus.cli import timeline

    with client(url, key) as bus:
        show(bus.get(f"/runs/{escaped(id)}"), json, timeline.print_run)
