"""``bus subject``: erase a person, by two persons; wrap the key store anew."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from bus.cli.common import CONFIG, Json, Key, Settings, Url, client, escaped, family, show
from bus.cli.words import when
from bus.errors import counted

app = family("Erase a person: one asks, another confirms. Wrap the key store anew.")


@app.command()
def erase(
    reason: Annotated[str, typer.Option("--reason", help="Why, without naming the person; the log keeps it.")],
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Ask for the erasure of a person, and say what it would touch; nothing is erased yet.

    The command asks whom, or reads it from standard input: a command line is seen by others and kept by the shell.
    """
    # nobody is asked where a program writes: the question would stand before an error that is JSON
    asks = sys.stdin.isatty()
    subject = typer.prompt("codice fiscale, or what else names the person", err=True) if asks else sys.stdin.readline()
    with client(url, key) as bus:
        show(bus.post("/subjects/erasures", {"subject": subject, "reason": reason}), json, _asked)


@app.command("list")
def list_asked(url: Url = "", key: Key = "", json: Json = False) -> None:
    """The erasures that wait for a second person."""
    with client(url, key) as bus:
        show(bus.get("/subjects/erasures"), json, _waiting)


@app.command()
def confirm(
    id: Annotated[str, typer.Argument(help="Id of the request, from whoever asked.")], url: Url = "", key: Key = "", json: Json = False
) -> None:
    """Erase a person whose erasure somebody else has asked for. This cannot be undone."""
    with client(url, key) as bus:
        show(bus.post(f"/subjects/erasures/{escaped(id)}/confirm", {}), json, _done)


@app.command()
def rekey(config: Settings = CONFIG, json: Json = False) -> None:
    """Wrap all keys under a new master key and destroy the old one; the bus must be stopped.

    After that whatever a backup or a disk still holds of destroyed keys opens nothing.
    """
    from bus import config as settings
    from bus.log import keystore

    store = settings.load(config).keystore
    count = keystore.rekey(store.folder, store.master)
    told = f"wrapped anew: {counted(count, 'key')}\nnext: back up {store.folder} and {store.master} now"
    show({"keys": count}, json, lambda _: print(told))


def _asked(shown: dict[str, Any]) -> None:
    what = f"{counted(shown['messages'], 'message')} and {counted(shown['files'], 'file')}"
    print(f"request {shown['id']}, open until {when(shown['until'])}\n  would be erased: {what}")
    for run in shown["open"]:
        print(f"  still open: run {run['id']} of {run['route']}, {run['state']}")
    first = "these end, or are given up (bus dead discard RUN: what waits or is dead); then " if shown["open"] else ""
    print(f"next: {first}somebody else runs bus subject confirm {shown['id']}")


def _waiting(shown: dict[str, Any]) -> None:
    if not shown["requests"]:
        print("no erasure waits for a second person")
    for one in shown["requests"]:
        asked, until = when(one["asked"]), when(one["until"])
        print(f"{one['id']}  asked {asked} by {one['by']}, open until {until}: {counted(one['messages'], 'message')}")
    if shown["requests"]:
        print("next: ask that person whom it is about, then bus subject confirm ID, as somebody else")


def _done(shown: dict[str, Any]) -> None:
    print(f"erased: {counted(shown['messages'], 'message')}, {counted(shown['files'], 'file')}; record {shown['record']}")
    if shown.get("lost"):  # an older bus does not tell
        print(
            f"  but {counted(len(shown['lost']), 'file')} missing or damaged, and no key is known: a copy in a backup can still be opened"
            "\nnext: delete from every backup of the folder of attachments: " + ", ".join(shown["lost"])
        )
