"""``bus log search``: find records, messages, runs and cases."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from bus.cli.common import Json, Key, Purpose, Url, client, given, pages, show
from bus.cli.words import when
from bus.client import Client
from bus.errors import Malformed, counted, visible
from bus.jsontext import parse_object

OPENED = 2000
"""Messages that one command opens to look for a text, at most about; `--after` goes on."""
PERSON = "what names a person does not belong on a command line, which others see and shells keep"


def search_log(
    find: Annotated[str, typer.Argument(metavar="what", help="records, messages, runs or cases.")] = "",
    case: Annotated[str, typer.Option(help="Only what is known by this key of a case: value or name:value.")] = "",
    type: Annotated[str, typer.Option(help="Only messages of this type, and what concerns them.")] = "",
    route: Annotated[str, typer.Option(help="Only what tells of this route, or of route@version.")] = "",
    step: Annotated[str, typer.Option(help="Only what tells of this step.")] = "",
    outcome: Annotated[str, typer.Option(help="Only these kinds of records, separated by commas; failed: refused, unanswered, dead.")] = "",
    since: Annotated[str, typer.Option("--from", help="Recorded from then on: a day, or a moment with its offset.")] = "",
    until: Annotated[str, typer.Option("--to", help="Recorded before then.")] = "",
    text: Annotated[
        str,
        typer.Option(
            help="Only messages that say it where you may read them; opens each of them, so it needs --purpose. Name no person here."
        ),
    ] = "",
    purpose: Purpose = "",
    values: Annotated[
        Path | None, typer.Option(help="A JSON object with what is no business of a command line: key, text; - for standard input.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    after: Annotated[str, typer.Option(help="Go on behind an earlier search: its `next`.")] = "",
    json: Json = False,
    url: Url = "",
    key: Key = "",
) -> None:
    """Find records, or the messages, runs or cases that have a record which is all of what is asked for; newest first."""
    _refuse_person(case, "--case", "key")
    _refuse_person(text, "--text", "text")
    said = {
        "find": find, "key": case, "type": type, "route": route, "step": step, "outcome": outcome, "from": since, "to": until,
        "text": text, "purpose": purpose,
    }  # fmt: skip
    asked: dict[str, Any] = given(said) | _values(values)
    with client(url, key) as bus:
        found = _found(bus, asked, limit, after)
    find = str(asked.get("find") or ("messages" if "text" in asked else "records"))
    show(found, json, lambda found: _print(found, find))


def _found(bus: Client, asked: dict[str, Any], limit: int, after: str) -> dict[str, Any]:
    """Pages until there are so many, or no more; not more messages are opened for a text than one person can answer for."""
    found: list[Any] = []
    counts: dict[str, int] = {}
    page: dict[str, Any] = {}

    def ask(after: str) -> dict[str, Any]:
        return bus.post("/log/search", {**asked, "limit": min(limit - len(found), 200), **given({"after": after})})

    for page in pages(ask, after):
        found += page["found"]
        counts |= {name: counts.get(name, 0) + page[name] for name in ("opened", "unreadable") if name in page}
        if len(found) >= limit or counts.get("opened", 0) >= OPENED:
            break
    return {**page, "found": found, **counts}


def _refuse_person(said: str, option: str, name: str) -> None:
    """Raises `BadParameter` for an option that names a person; ``name``: what that is called among the values of a file."""
    from bus.engine.search import names_person

    if names_person(said):
        raise typer.BadParameter(f'{PERSON}: echo \'{{"{name}": "…"}}\' | bus log search … --values -', param_hint=option)


def _values(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return parse_object(sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes(), 1 << 16)
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}", param_hint="--values") from None
    except Malformed as error:
        raise Malformed(f"{'standard input' if str(path) == '-' else path}: {error.sentence}", code=error.code, hint=error.hint) from None


def _print(shown: dict[str, Any], find: str) -> None:
    from bus.cli.timeline import console, print_list, print_runs, print_timeline

    found = shown["found"]
    if not found:
        console().print(f"no {find}")
    elif find == "records":
        print_timeline(found)
    elif find == "runs":
        print_runs(found)
    else:
        names = ["time", "id", "type", "sender"] if find == "messages" else ["case", "state", "messages", "newest"]
        names += ["places"] if "opened" in shown else []
        told: dict[str, Callable[[Any], str]] = {"time": when, "places": lambda places: ", ".join(map(visible, places))}
        print_list(names, ([told.get(name, str)(one[name]) for name in names] for one in found))
    if "opened" in shown:
        lost = f"; {shown['unreadable']:,} of them nobody can open any more" if shown["unreadable"] else ""
        print(f"opened {counted(shown['opened'], 'message')} to look for it; the log keeps who, and why{lost}")
    if shown["unseen"]:
        print(f"about {shown['unseen']:,} of the newest records cannot be found yet: the bus is still making what searches look at")
    if shown["next"]:
        print(f"more: --after {shown['next']}")
