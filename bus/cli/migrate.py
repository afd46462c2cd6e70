"""``bus migrate``: the schema of the database. All processes of the bus must be stopped; work in flight goes on afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bus import config as settings
from bus import protecting
from bus.cli.common import CONFIG, Json, Settings, family, show
from bus.errors import StoreError
from bus.store import migrate, schema

app = family("The schema of the database: show its revision, change it.")
To = Annotated[int | None, typer.Option("--to", help="The revision to go to.", show_default=False)]


@app.command()
def status(config: Settings = CONFIG, json: Json = False) -> None:
    """Show the revision of the database and the one this program speaks, and whether a migration across revision 5 did not end."""
    url = settings.load(config).store.url
    found, speaks = migrate.status(url)
    open_ = found >= protecting.SEALED and bool(migrate.lies_open(url))
    show({"revision": found, "speaks": speaks, "open": open_}, json, _told)


def _told(status: dict[str, Any]) -> None:
    print(f"the database has revision {status['revision']}, this program speaks {status['speaks']}")
    if status["open"]:
        print("  a migration did not end, and payloads lie open, so that no process starts\nnext: bus migrate up, which seals them")


@app.command()
def up(config: Settings = CONFIG, to: To = None, json: Json = False) -> None:
    """Bring the database up to date. Where it is not, refused while a process of the bus runs."""
    found = migrate.status(settings.load(config).store.url)[0]
    if to is not None and to < found:
        raise StoreError(f"the database has revision {found}, which is above {to}", code="store.schema", hint=f"bus migrate down --to {to}")
    _go(config, schema.REVISION if to is None else to, json)


@app.command()
def down(config: Settings = CONFIG, to: To = None, json: Json = False) -> None:
    """Take the database back, one revision when no other is said, for an older program. Refused while a process of the bus runs."""
    found = migrate.status(settings.load(config).store.url)[0]
    to = max(found - 1, 1) if to is None else to
    if to > found:
        raise StoreError(f"the database has revision {found}, which is below {to}", code="store.schema", hint=f"bus migrate up --to {to}")
    _go(config, to, json)


def _go(config: Path, to: int, json: bool) -> None:
    before, after = protecting.change(settings.load(config), to)
    told = f"revision {before} -> {after}" if before != after else f"the database has revision {after}"
    show({"before": before, "revision": after}, json, lambda _: print(f"{told}; work in flight goes on"))
