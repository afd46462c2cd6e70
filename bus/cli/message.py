"""``bus message``: what became of a message."""

from __future__ import annotations

from typing import Annotated

import typer

from bus.cli.common import Json, Key, Purpose, Url, client, family, nameless, show

app = family()


@app.command()
def message(
    id: Annotated[str, typer.Argument(help="Id of the message.")],
    purpose: Purpose = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Show a message: its state, its runs, its reply; with --purpose also what it said. That you looked is written in the log."""
    from bus.cli import timeline

    with client(url, key) as bus:
        show(bus.message(nameless(id), purpose), json, timeline.print_message)
