"""``bus message``, ``bus case`` and ``bus runs``: what became of a message, of a whole matter, and of each way through a route."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from bus.cli.common import Json, Key, Purpose, Url, client, escaped, family, pages, show
from bus.cli.failures import NOT_THERE
from bus.cli.words import when
from bus.client import Client, ClientError
from bus.errors import visible
from bus.message import as_id

about_message = family()
about_case = family("Show a case: everything that happened, as one timeline.", other="show")
app = family("List runs, or show one with its journal.", bare="list", other="show")


@about_message.command()
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
        show(bus.message(id, purpose), json, timeline.print_message)


@about_case.command("show")
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
        show(bus.case(key, after, limit or 0), json, timeline.print_case)


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
        found = bus.get("/runs", state=state, route=route, limit=limit)
    show(found, json, lambda _: timeline.print_runs(found["runs"]))
    if len(found["runs"]) == limit and not json:
        print(f"the newest {limit}; there may be older ones: --limit, or `bus log search runs`", file=sys.stderr)


@app.command("show")
def show_run(
    id: Annotated[str, typer.Argument(metavar="run", help="Id of a run, of a message that started one or more, or a key of a case.")],
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """A run with its journal and its waits; of a message or a case each of its runs."""
    from bus.cli import timeline

    with client(url, key) as bus:
        found = _found(bus, id)
    show(found if len(found) > 1 else found[0], json, lambda _: timeline.print_each_run(found))


@app.command()
def evidence(
    run: Annotated[str, typer.Argument(help="Id of the run.")],
    id: Annotated[str, typer.Argument(help="Id of one piece: its bytes; without it all are listed.", show_default=False)] = "",
    purpose: Purpose = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """What was sent to other systems and came from them, in the calls of a run and with its message: which there is, or the bytes of one,
    as they were, which takes a purpose. The log keeps that you looked.
    """
    with client(url, key) as bus:
        if id:
            write_evidence(bus, run, id, purpose)
            return
        message = bus.get(f"/runs/{escaped(run)}")["message"]
        records = [one for page in pages(lambda after: bus.get("/log", message=message, after=after)) for one in page["records"]]
    found = [
        {"id": one["id"], "role": one["role"], "size": one["size"], "media_type": one["type"],
         "time": record["time"], "place": record.get("place", ""), "path": record.get("path", "")}
        for record in records if record.get("run") in (None, as_id(run))
        for one in record.get("payloads", ()) if one["role"].startswith("wire")
    ]  # fmt: skip
    show({"run": as_id(run), "evidence": found}, json, _pieces)


def write_evidence(bus: Client, run: str, id: str, purpose: str) -> None:
    """Bytes as they were; a terminal is shown their control characters, and obeys none."""
    content = bus.content(f"/runs/{escaped(run)}/evidence/{escaped(id)}", purpose)
    if sys.stdout.isatty():
        print("".join(one if one in "\n\t" else visible(one) for one in content.decode(errors="backslashreplace").replace("\r\n", "\n")))
    else:
        sys.stdout.buffer.write(content)


def _pieces(shown: dict[str, Any]) -> None:
    from bus.cli.timeline import print_list

    if not shown["evidence"]:
        print("nothing crossed the border, or it was destroyed for its age")
        return
    way = {"wire-out": "sent", "wire-in": "received"}
    rows = ((when(one["time"]), way.get(one["role"], one["role"]), str(one["size"]), one["id"], one["place"]) for one in shown["evidence"])
    print_list(("time", "", "bytes", "evidence", "place"), rows, right={"bytes"})
    print(f"next: bus runs evidence {shown['run']} {shown['evidence'][-1]['id']} --purpose '…'")


def _found(bus: Client, id: str) -> list[Any]:
    """The run that has that id, else those of the message or the case that has it."""
    try:
        return [_run(bus, id)]
    except ClientError as error:
        if error.status != NOT_THERE or not (runs := _runs_of(bus, id)):
            raise
    return [_run(bus, one) for one in runs]


def _run(bus: Client, id: str) -> Any:
    """A run with all of its journal and its waits, page by page: each tells of its own."""
    journal, waits = list[Any](), dict[str, Any]()
    for page in pages(lambda after: bus.get(f"/runs/{escaped(id)}", after=after)):
        journal += page["journal"]
        waits |= {wait["path"]: wait for wait in page["waits"]}
    return page | {"journal": journal, "waits": [waits[path] for path in sorted(waits)]}


def _runs_of(bus: Client, id: str) -> list[str]:
    """The runs of whatever has that id: a message, else a case; none where there is neither."""
    for kind in (bus.message, bus.case):
        try:
            return [str(one["id"]) for one in kind(id)["runs"]]
        except ClientError as error:
            if error.status != NOT_THERE:
                raise
    return []
