"""``bus tail`` and ``bus top``: watching the bus at work. No body, no answer and no business key is in what they show."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Annotated, Any

import typer

from bus.cli.common import Json, Key, Url, client, family, given, show
from bus.cli.words import clock_of, sentence, sign, when
from bus.client import Client, ClientError
from bus.errors import NotFound
from bus.jsontext import dumps

WAIT = 5
"""Seconds that one question waits at the door."""
WIDE = 400
"""Columns that no picture needs."""
_ROUTES = ["route", "ended/s", "half", "95 %", "due", "dead", "failed"]
_SYSTEMS = ["system", "calls/s", "half", "95 %", "out", "in line", "circuit", "refused", "unanswered"]
AWAY = "the bus cannot be reached; still trying"
PUT_BACK = (
    "the log does not go on from what was shown last: its database was put back (an older copy restored?), and numbers come again."
    " The newest records follow, some perhaps a second time"
)
app = family()
now = family()
Once = Annotated[bool, typer.Option("--once", help="Show what there is, and end.")]


@app.command("tail")
def tail(
    route: Annotated[str, typer.Option(help="Only what tells of this route.")] = "",
    case: Annotated[str, typer.Option(help="Only what concerns the case with this key.")] = "",
    adapter: Annotated[str, typer.Option(help="Only what tells of this adapter.")] = "",
    outcome: Annotated[str, typer.Option(help="Only these kinds of records, with commas; failed is refused, unanswered, dead.")] = "",
    last: Annotated[int, typer.Option("--last", min=0, max=1000, help="Begin with so many that are there already.")] = 10,
    once: Once = False, url: Url = "", key: Key = "", json: Json = False,
) -> None:  # fmt: skip
    """Follow the log as it grows: one line for each record, until you stop it; with --json one object for each."""
    wanted = given({"route": route, "case": case, "adapter": adapter, "outcome": outcome})
    with client(url, key) as bus:
        found = bus.get("/log/tail", limit=max(last, 1), **wanted)
        _tell(found["records"] if last else [], json)
        if not found["records"]:
            _none(found.get("hint", ""), once)
        while not (once or unread()):
            place = given({"after": found["next"], "at": found.get("at", "")})
            found = _again(partial(bus.get, "/log/tail", **place, limit=1000, wait=WAIT, **wanted), found)
            if found.get("put_back"):
                print(PUT_BACK, file=sys.stderr)
            _tell(found["records"], json)


def _none(strange: str, once: bool) -> None:
    """Say that there is no such record yet; raises `NotFound` where there never will be one: nobody waits, and the name is of nothing."""
    from bus.engine.watching import SCANNED

    said = f"no such record among the newest {SCANNED:,}"
    if once and strange:
        hint = "bus graph --all shows all routes and systems; older records: bus log search"
        raise NotFound(f"{said}: {strange}", code="cli.usage", hint=hint)
    older = strange or "older ones: bus case show, bus runs, bus log search"
    print(f"{said} ({older})" + ("" if once else "; Ctrl-C ends it"), file=sys.stderr)


def unread() -> bool:
    """Whether standard output is a pipe that nobody reads any more (``bus tail | head -1``): a log that stands still would not tell it."""
    try:
        gone = select.poll()
        gone.register(sys.stdout, 0)
        return any(event & select.POLLERR for _, event in gone.poll(0))
    except (OSError, ValueError):  # it has no descriptor
        return False


def _again(ask: Callable[[], dict[str, Any]], before: dict[str, Any]) -> dict[str, Any]:
    """Ask; while the bus cannot be reached, which is said once, nothing new is known, and we go on from where we were."""
    try:
        return ask()
    except ClientError as error:
        if error.status not in (0, 503):
            raise
        if "away" not in before:
            print(AWAY, file=sys.stderr)
        time.sleep(1)
        return {**before, "records": [], "away": True, "put_back": False}


def _tell(records: list[dict[str, Any]], json: bool) -> None:
    for record in records:
        if json:
            sys.stdout.write(dumps(record).decode() + "\n")
        else:
            where = record.get("place") or ", ".join(
                run["route"] for run in record.get("data", {}).get("runs", []) if isinstance(run, dict)
            )
            print(f"{when(record['time'])} {sign(record['kind'])} {where or '-':<44} {sentence(record)}")
    sys.stdout.flush()


@now.command("top")
def top(
    once: Once = False,
    every: Annotated[float, typer.Option("--every", min=0.2, max=3600, help="Seconds between two looks.")] = 1.0,
    url: Url = "", key: Key = "", json: Json = False,
) -> None:  # fmt: skip
    """Show how busy routes and systems were in the last minute, until you stop it; one look with --json or --once, or where no terminal
    draws pictures.
    """
    from bus.cli.timeline import console

    with client(url, key) as bus:
        if once or json or not console().is_terminal or console().is_dumb_terminal:
            show(bus.get("/top"), json, _print)
        else:
            _live(bus, every)


def _print(shown: dict[str, Any]) -> None:
    from bus.cli.timeline import wide_enough

    picture = _picture(shown)
    wide_enough(picture).print(picture)


def _live(bus: Client, every: float) -> None:
    from rich.live import Live

    from bus.cli.timeline import console

    shown = bus.get("/top")
    with Live(_picture(shown, console().width), console=console(), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            shown = _again(lambda: bus.get("/top"), shown)
            live.update(_picture(shown, live.console.width), refresh=True)


def _picture(shown: dict[str, Any], room: int = WIDE) -> Any:
    """What there is, in so many columns of letters; what has no room is named in the last line."""
    from rich.console import Group

    away = [AWAY] if shown.get("away") else []
    processes = ", ".join(f"{one['role']} {one['host']}/{one['pid']}" for one in shown["processes"])
    head = f"{clock_of(shown['time'])}  {shown['received']:g} messages/s  rules {shown['rules'][:12]}  {processes}"
    routes = [_ROUTES, *([name, *_route(one)] for name, one in shown["routes"].items())]
    systems = [_SYSTEMS, *([name, *_system(one)] for name, one in shown["adapters"].items())]
    lost = [column for lines in (routes, systems) for column in lines[0][_fitting(lines, room) :]]
    wider = f"; a wider terminal shows {', '.join(dict.fromkeys(lost))}" if lost else ""
    return Group(*away, head, _table(routes, room), _table(systems, room), f"of the last {shown['seconds']:g} s{wider}")


def _route(one: dict[str, Any]) -> list[str]:
    return [f"{one['ended']:g}", _time(one["half"]), _time(one["most"]), str(one["ready"]), str(one["dead"]), str(one["failed"])]


def _system(one: dict[str, Any]) -> list[str]:
    return [
        f"{one['calls']:g}", _time(one["half"]), _time(one["most"]), str(one["out"]), str(one.get("in_line", "-")),
        one.get("circuit", "-"), str(one["refused"]), str(one["unanswered"]),
    ]  # fmt: skip


def _widths(lines: list[list[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _fitting(lines: list[list[str]], room: int) -> int:
    """How many of the columns have room, each two blanks from the next; the first one always."""
    return max(1, sum(end - 2 <= room for end in accumulate(width + 2 for width in _widths(lines))))


def _table(lines: list[list[str]], room: int) -> Any:
    from rich.table import Table
    from rich.text import Text

    table, many = Table(box=None, pad_edge=False), _fitting(lines, room)
    for number, (head, width) in enumerate(zip(lines[0][:many], _widths(lines), strict=False)):
        table.add_column(head, justify="right" if number else "left", no_wrap=True, min_width=width)
    for line in lines[1:]:
        table.add_row(*map(Text, line[:many]))
    return table


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
