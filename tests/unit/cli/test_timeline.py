"""What the command line prints of cases, runs and messages: names stay whole, and what others said is neither markup nor obeyed."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bus.cli import timeline, watch
from bus.cli.search import _print as print_found


def test_a_timeline_says_of_which_item_of_an_each_a_record_tells(capsys):
    one = {"kind": "refused", "time": "2026-11-29T01:05:29Z", "place": "prova.giro@1/registra", "data": {"operation": "edilizia.registra"}}
    timeline.print_table(timeline.timeline([one | {"path": "mappali[2]/registra"}, one | {"path": "registra"}, one]))
    told = [line.rpartition("  ")[2] for line in capsys.readouterr().out.splitlines() if "refused" in line]
    assert told == ["prova.giro@1/registra, item 3 of mappali", "prova.giro@1/registra", "prova.giro@1/registra"]


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (200, ["{0}/apri", "{0}/registra-pagamento", "{1}/apri", "{1}"]),
        (80, ["{0}", "/apri", "/registra-pagamento", "{1}", "/apri", "{1}"]),
        (60, ["{0}", "/apri", "/registra-pagamento", "{1}", "/apri", "{1}"]),
    ],
)
def test_a_narrow_terminal_breaks_no_name_in_a_timeline(monkeypatch, capsys, width, shown):
    """Eighty columns are what most terminals have: a route is named where it is another one than above. Sixty are what large letters leave."""
    monkeypatch.setattr("bus.cli.timeline.console", lambda: Console(force_terminal=True, width=width, highlight=False, color_system=None))
    routes = "edilizia.presenta-pratica@1", "pagamenti.ricevuta@1"
    one = {"kind": "answered", "time": "2026-11-29T01:05:29Z", "data": {"operation": "edilizia.registra-pagamento"}}
    places = f"{routes[0]}/apri", f"{routes[0]}/registra-pagamento", f"{routes[1]}/apri", routes[1]
    timeline.print_timeline([one | {"place": place} for place in places])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[-1] for line in lines if line and line[-1].startswith(("/", *routes))] == [name.format(*routes) for name in shown]
    assert sum("edilizia.registra-pagamento" in line for line in lines) == len(places)


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_narrow_terminal_cuts_no_place_or_reason_of_a_run(monkeypatch, capsys, term):
    """``dumb``: that of an editor."""
    monkeypatch.setenv("TERM", term)
    run = {"id": "01a22374-a91e-7346-aafc-e8141f01f5e0", "opened": "2026-11-28T18:39:37Z", "state": "dead", "reason": "call.refused"}
    monkeypatch.setattr("bus.cli.timeline.console", lambda: Console(force_terminal=True, width=80, highlight=False, color_system=None))
    timeline.print_runs([run | {"place": "edilizia.presenta-pratica@1/registra-pagamento"}])
    out = capsys.readouterr().out
    assert "edilizia.presenta-pratica@1/registra-pagamento" in out
    assert "call.refused" in out


def test_a_row_is_one_line_where_nobody_looks_and_as_a_terminal_would_show_it(capsys):
    """A program that reads lines, or grep, finds the whole of what happened in one."""
    rows = [("a\u0300bc", "1", "x" * 150), ("perché 漢字", "1.234,50 €", "y" * 150), ("bell\x07", "", "[b]"), ("short",)]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("name")
    table.add_column("fee", justify="right")
    table.add_column("what")
    for row in rows:
        table.add_row(*row[:2], *(Text(cell) for cell in row[2:]))
    timeline.print_table(table)
    shown = capsys.readouterr().out
    wide = Console(file=io.StringIO(), width=400, highlight=False, markup=False, emoji=False)
    wide.print(table)
    assert shown.splitlines() == [line.rstrip() for line in wide.file.getvalue().splitlines()]
    assert len(shown.splitlines()) == 1 + len(rows)
    long = {"kind": "dead", "time": "2026-11-29T01:05:29Z", "data": {"code": "x" * 250}, "place": "prova.giro@1/registra"}
    timeline.print_timeline([long])
    assert len(capsys.readouterr().out.splitlines()) == 2, "the day, and the record"


def test_what_a_message_says_is_no_markup_and_turns_no_line_round(capsys):
    """Places of a search are names of fields, and keys of a case values, that a portal sent."""
    message = {"time": "2026-11-28T18:39:37Z", "id": "m", "type": "a.b", "sender": "portale", "places": ["/dati/[/b]", "/dati/:key:\x1b"]}
    print_found({"found": [message], "opened": 1, "unreadable": 0, "unseen": 0, "next": None}, "messages")
    nothing: dict[str, list[str]] = {"messages": [], "timeline": [], "runs": []}
    timeline.print_case({"case": "c", "state": "done", "keys": [{"name": "istanza", "value": "A\u202e1\x07"}], **nothing})
    shown = {"id": "m", "type": "a.b", "state": "done", "time": "2026-11-28T18:39:37Z", "sender": "portale", "runs": []}
    timeline.print_message(shown | {"body": {"nota": "perché\u202e \x9b2J [/b] \n\x1b"}})
    out = capsys.readouterr().out
    assert r'''"nota": "perché\u202e \x9b2J [/b] \n\u001b"''' in out
    assert "/dati/[/b], /dati/:key:\\x1b" in out
    assert "istanza       A\\u202e1\\x07" in out


def test_a_live_picture_without_room_for_a_column_shows_nothing_of_it_and_names_it():
    """What is right of the last column would be cut off by the terminal, in the middle of a word."""
    idle = {"calls": 0, "half": None, "most": None, "out": 0, "refused": 0, "unanswered": 0}
    shown = {
        "time": "2026-11-29T01:05:29Z",
        "received": 0,
        "rules": "ab",
        "processes": [],
        "routes": {},
        "adapters": {"eco": idle},
        "seconds": 60,
    }
    for width, named in ((55, "; a wider terminal shows refused, unanswered"), (100, "")):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(watch._picture(shown, width))
        told = console.export_text()
        assert "of the last 60 s" + named in " ".join(told.split())
        heads = next(line for line in told.splitlines() if line.startswith("system")).split()
        assert heads[-1] == ("circuit" if named else "unanswered")
