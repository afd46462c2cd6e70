"""``bus log``: records as they are in the log, and whether it is what was signed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bus.cli import evidence
from bus.cli.common import Json, Key, Url, client, family, pages, show
from bus.cli.failures import NOT_THERE
from bus.cli.search import search_log
from bus.cli.verify import checkpoint_log, verify_log
from bus.client import Client, ClientError

app = family("The log: show its records, search it, verify it, export them as a bundle; the keys that sign it.")
app.command("search")(search_log)
app.command("verify")(verify_log)
app.command("checkpoint")(checkpoint_log)
app.command("export")(evidence.export)
app.command("verifier")(evidence.verifier)
app.command("check-receipt")(evidence.check_receipt)
app.command("tiles")(evidence.tiles)
app.add_typer(evidence.keys, name="key")


@app.command("show")
def show_log(
    id: Annotated[str | None, typer.Argument(help="Id of a message or of a run, or a key of a case.")] = None,
    run: Annotated[str | None, typer.Option(help="Id of a run.")] = None,
    message: Annotated[str | None, typer.Option(help="Id of a message.")] = None,
    case: Annotated[str | None, typer.Option(help="A key of a case.")] = None,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """The records of one run, message or case, in order."""
    if sum(one is not None for one in (id, run, message, case)) != 1:
        raise typer.BadParameter("say whose records: an id, or one of --run, --message, --case")
    with client(url, key) as bus:
        found = _whole(bus, run=run, message=message, case=case) if id is None else _of(bus, id)
    show(found, json, _records)


def _of(bus: Client, id: str) -> dict[str, Any]:
    """The records of whatever has that id: a run, else a message, else a case."""
    for kind in ("run", "message"):
        try:
            found = _whole(bus, **{kind: id})
        except ClientError as error:
            if error.status != NOT_THERE:
                raise
        else:
            if found["records"]:
                return found
    return _whole(bus, case=id)


def _whole(bus: Client, **of: str | None) -> dict[str, Any]:
    """All records of one thing."""
    return {"records": [one for page in pages(lambda after: bus.get("/log", **of, after=after)) for one in page["records"]]}


def _records(shown: dict[str, Any]) -> None:
    from bus.cli.timeline import print_timeline

    print_timeline(shown["records"])
