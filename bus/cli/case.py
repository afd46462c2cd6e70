"""``bus case show``: a whole matter as one timeline."""

from __future__ import annotations

from typing import Annotated

import typer

from bus.cli.common import Json, Key, Url, client, family, nameless, show

app = family("Show a case: everything that happened, as one timeline.", other="show")


@app.command("show")
def show_case(
    key: Annotated[str, typer.Argument(help="A key of the case: a value, or name:value (protocollo:2026/0000123).")],
    limit: Annotated[int | None, typer.Option(min=1, max=1000, help="At most so many records; without it all of the case.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Go on behind an earlier page: its `next`.")] = 0,
    url: Url = "",
    api_key: Key = "",
    json: Json = False,
) -> None:
    """Show a case: its keys, and everything that happened, in order."""
    from bus.cli import timeline

    with client(url, api_key) as bus:
        show(bus.case(nameless(key), after, limit or 0), json, timeline.print_case)
