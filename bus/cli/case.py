"""``bus case show``: a whole matter as one timeline."""

from __future__ import annotations

from typing import Annotated

import typer

from bus.cli.common import Json, Key, Url, client, family, show

app = family("Show a case: everything that happened, as one timeline.", other="show")


@app.command("show")
def show_case(
    key: Annotated[str, typer.Argument(metavar="KEY", help="A key of the case: a value, or name:value (protocollo:2026/0000123).")],
    url: Url = "",
    api_key: Key = "",
    json: Json = False,
) -> None:
    """Show a case: its keys, and everything that happened, in order."""
    from bus.cli import timeline

    with client(url, api_key) as bus:
        show(bus.case(key), json, timeline.print_case)
