"""A case, a run or a message's records as people read them: time, what happened, where. Shared by all commands that show one."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, RenderableType
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from bus.cli.words import BAD, GOOD, clock_of, day_of, sentence, sign, when
from bus.errors import counted, visible
from bus.log.record import items_of

WIDEST = 400
"""Columns that no table needs."""
STATE_STYLES = {"done": "green", "dead": "bold red", "waiting": "yellow", "cancelled": "dim"}


def console() -> Console:
    """Standard output; as wide as it needs to be when nobody looks: nothing is cut in a pipe. No text is markup."""
    made = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
    return made if made.is_terminal else Console(highlight=False, markup=False, emoji=False, width=200)


def wide_enough(shown: RenderableType) -> Console:
    """Standard output, where nothing of this is cut for want of room: a narrow terminal goes on in its next line."""
    out = console()
    wide = max(out.width, out.measure(shown, options=out.options.update(max_width=WIDEST)).maximum)
    out.size = ConsoleDimensions(wide, out.height)  # of a width alone a terminal that calls itself dumb makes 80
    return out


def print_json(out: Console, value: Any) -> None:
    """A value as JSON, in colours where there are some. What nobody sees in its texts, and a terminal might obey, is written out."""
    lines = json.dumps(value, indent=2, ensure_ascii=False).split("\n")
    out.print(JSONHighlighter()("\n".join(map(visible, lines))), soft_wrap=True)


def print_case(shown: Mapping[str, Any]) -> None:
    """A whole case: its keys, its messages, its timeline."""
    out = console()
    out.print(Text.assemble(("case ", "dim"), (shown["case"], "bold"), "  ", _state(shown["state"])))
    for key in shown["keys"]:
        out.print(Text.assemble(f"  {key['name']:<14}", (visible(key["value"]), "cyan")))
    out.print()
    types = {message["id"]: message["type"] for message in shown["messages"]}
    print_timeline(shown["timeline"], types)
    counts = (("message", "messages"), ("run", "runs"), ("record", "timeline"))
    out.print(Text.assemble("\n", (", ".join(counted(len(shown[where]), noun) for noun, where in counts), "dim")))
    if shown.get("next"):
        print(f"more: --after {shown['next']}")
    for run in shown["runs"]:
        if run["state"] == "dead":
            print(f"next: bus dead show {run['id']}  by a sysadmin or an auditor: other keys may not")


def print_each_run(several: Iterable[Mapping[str, Any]]) -> None:
    """Print some runs, each with its journal."""
    for position, shown in enumerate(several):
        print("\n" if position else "", end="")
        print_run(shown)


def print_run(shown: Mapping[str, Any]) -> None:
    out = console()
    out.print(Text.assemble(("run ", "dim"), (shown["id"], "bold"), f"  {shown['route']}@{shown['version']}  ", _state(shown["state"])))
    out.print(Text.assemble("  message       ", (shown["message"], "cyan")))
    if shown["reason"]:
        out.print(Text.assemble("  reason        ", (shown["reason"], "red")))
    for wait in shown["waits"]:
        until = f" until {when(wait['deadline'])}" if wait["deadline"] else ""
        out.print(f"  wait          {wait['type'] or 'time'}{until}: {wait['state']}")
    out.print()
    print_timeline(shown["journal"])


def print_message(shown: Mapping[str, Any]) -> None:
    out = console()
    out.print(Text.assemble(("message ", "dim"), (shown["id"], "bold"), f"  {shown['type']}  ", _state(shown["state"])))
    out.print(f"  received      {when(shown['time'])} from {shown['sender']}")
    for one in shown["runs"]:
        reason = f"  {one['reason']}" if one["reason"] else ""
        out.print(Text.assemble(f"  run           {one['id']}  {one['place']}  ", _state(one["state"]), reason))
    if "woke" in shown:
        out.print(f"  woke          {', '.join(shown['woke']) or 'nothing: no run waits for it, or has yet'}")
    for name in ("body", "reply"):
        if shown.get(name) is not None:
            out.print(f"  {name:<13}", end=" ")
            print_json(out, shown[name])
    for file in shown.get("attachments") or ():
        out.print(Text(f"  attachment    {file['sha256']}  {file['media_type']}  {file['name']}"), soft_wrap=True)
    if shown.get("withheld"):
        print(f"next: bus message {shown['id']} --purpose '…'  shows what was said; the log keeps who looked, and why")


def print_runs(found: Sequence[Mapping[str, Any]]) -> None:
    if not found:
        console().print("no runs")
        return
    rows = ((when(one["opened"]), one["id"], one["place"], _state(one["state"]), one["reason"] or "") for one in found)
    print_list(("opened", "run", "place", "state", "reason"), rows)


def print_list(names: Sequence[str], rows: Iterable[Sequence[str | Text]], *, right: Collection[str] = ()) -> None:
    """A list with a head; each row in one line, however narrow the terminal is. ``right``: the columns whose cells end below each other."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        table.add_column(name, no_wrap=True, justify="right" if name in right else "left")
    for row in rows:
        table.add_row(*row)
    print_table(table, wide_enough(table) if console().is_terminal else None)


def print_table(table: Table, out: Console | None = None) -> None:
    """A table; where nobody looks, each row in one line, without blanks at its end."""
    out = out or console()
    if out.is_terminal:
        out.print(table)
    else:
        print("\n".join(_lines(table)))


def _lines(table: Table) -> Iterator[str]:
    """What rich would write of a table with so much room that nothing goes on in a next line; of 10,000 rows in a tenth of its time."""
    columns = []
    for column in table.columns:
        cells = [str(cell) if isinstance(cell, Text) else Text(str(cell)).plain for cell in column.cells]
        said = [str(column.header), *cells] if table.show_header else cells
        widths = [cell_len(one) for one in said]
        room = max(widths, default=0)
        right = column.justify == "right"
        columns.append(
            [f"{' ' * (room - width)}{one}" if right else f"{one}{' ' * (room - width)}" for one, width in zip(said, widths, strict=True)]
        )
    for row in zip(*columns, strict=True):
        yield "  ".join(row).rstrip()


def print_timeline(records: Sequence[Mapping[str, Any]], types: Mapping[str, str] | None = None) -> None:
    """As wide as it is. In a narrower terminal a route is named where it is another one than above, and the step stands below it; in one
    that has no room for their names beside what happened, they stand below that.
    """
    table, out = timeline(records, types), console()
    if out.is_terminal:
        room = out.options.update(max_width=WIDEST)
        if out.measure(table, options=room).maximum > out.width:
            table = timeline(records, types, narrow=True)
        if out.measure(table, options=room).minimum > out.width:
            table = timeline(records, types, narrow=True, below=True)
    print_table(table, out)


def timeline(
    records: Iterable[Mapping[str, Any]], types: Mapping[str, str] | None = None, *, narrow: bool = False, below: bool = False
) -> Table:
    """One line for each record; a new day has a line of its own. ``below``: a place has a line of its own, too."""
    known = dict(types or {})
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("time", style="dim", no_wrap=True)
    table.add_column("sign", no_wrap=True)
    table.add_column("what", overflow="fold")
    table.add_column("place", style="dim", overflow="fold")
    day = above = ""
    for record in records:
        if record["kind"] == "received" and record.get("message"):
            known[record["message"]] = record.get("data", {}).get("type", "")
        if day_of(record["time"]) != day:
            day = day_of(record["time"])
            table.add_row(day)
        style = "red" if record["kind"] in BAD else "green" if record["kind"] in GOOD else ""
        place = record.get("place", "") + items_of(record.get("path") or "")
        route, _, step = place.partition("/")
        if narrow and step:
            place = f"/{step}" if route == above else f"{route}\n/{step}"
        above = route or above
        told = Text(sentence(record, known), style)
        beside = (told.append(f"\n{place}", "dim"),) if below and place else (told, place)
        table.add_row(clock_of(record["time"]), Text(sign(record["kind"]), style), *beside)
    return table


def _state(state: str) -> Text:
    return Text(state, STATE_STYLES.get(state, "bold"))
