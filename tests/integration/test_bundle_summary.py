"""The summary of a bundle: a page for whoever reads it with a browser, on paper or by ear."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from contextlib import closing
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

from bus.bundle import summary, verify
from bus.bundle.gather import Gathered
from bus.bundle.summary import ITALIAN
from bus.log.record import KINDS, Record
from tests.small_bus import Caller, running, wait_reply


def test_the_summary_says_each_kind_of_record_in_italian_too(exported):
    assert set(ITALIAN) == KINDS
    page = verify.unpacked(exported[0])["summary.html"].decode()
    assert '<td>ricevuto / <span lang="en">received</span></td>' in page
    assert page.count('<td>concluso / <span lang="en">done</span></td>') == 2, "the fact, and its outcome"


def test_the_summary_is_read_by_a_screen_reader_and_on_a_telephone(exported):
    """WCAG 2.1 AA: names of tables (1.3.1), columns and rows, a title that says which (2.4.2), languages (3.1.1, 3.1.2), reflow (1.4.10),
    and a background where the ink is said (1.4.3): that of the reader may be dark.
    """
    page = verify.unpacked(exported[0])["summary.html"].decode()
    whole = ET.fromstring(re.sub(r"<meta [^>]*>", "", page.removeprefix("<!doctype html>\n")))
    assert whole.findtext("head/title") == "Fascicolo, caso: istanza:Bo"
    assert [len(list(table.iter("caption"))) for table in whole.iter("table")] == [1, 1]
    assert {th.get("scope") for th in whole.iter("th")} == {"row", "col"}
    assert {row[0].get("scope") for body in whole.iter("tbody") for row in body} == {"row"}
    assert {one.get("lang") for one in whole.iter("span")} == {"en"}
    assert '<meta name="viewport" content="width=device-width">' in page
    assert "color:#1d2433;background:#fff}" in page


def test_letters_of_the_summary_follow_the_size_that_the_reader_set_and_ids_on_paper_are_no_larger_than_the_rest(exported):
    """Sizes in pixels would overrule the reader's (WCAG 1.4.4). What broke every word on paper left no number of two figures whole."""
    page = verify.unpacked(exported[0])["summary.html"].decode()
    _, style, _ = re.split("</?style>", page)
    paper = style.partition("@media print")[2]
    assert not re.search(r"font[^;}]*px", style)
    assert "border-collapse" not in style, "each look at 13,000 rows would take a browser three seconds"
    assert "td:nth-child(n){font-size:" in paper, "as specific as the rule of the screen, and after it"
    assert "td:nth-child(n+3)" in paper


def test_a_browser_need_not_lay_out_what_nobody_has_come_to_yet(monkeypatch):
    """130,000 rows of one table took it minutes. Each row is there, in order, and on paper as well."""
    monkeypatch.setattr(summary, "ROWS", 3)
    record = Record("a" * 36, "done", dt.datetime(2026, 11, 30, tzinfo=dt.UTC), actor="bus")
    leaves = [(number, b"", record) for number in range(5, 12)]
    sealed: Any = SimpleNamespace(size=12)
    page = summary.page(Gathered(leaves, sealed, [], [], 0, [], {}), "prova.example", {"from": "2026-11-30"}).decode()
    parts = page.split("<section>")[1:]
    assert [re.findall(r'<th scope="row">(\d+)', part) for part in parts] == [["5", "6", "7"], ["8", "9", "10"], ["11"]]
    assert [re.search(r"<caption>(.*?) /", part)[1] for part in parts] == [
        "Che cosa è accaduto", "Che cosa è accaduto, dal n. 8", "Che cosa è accaduto, dal n. 11"
    ]  # fmt: skip
    assert "section{content-visibility:auto;" in page
    assert "section{content-visibility:visible}" in page.partition("@media print")[2]


def test_a_section_is_as_wide_as_its_table_so_that_a_narrow_window_scrolls_to_the_last_column(exported):
    """A browser cuts off what leaves a section that it may leave out: at 1,024 pixels nobody could come to the outcomes, nor on a telephone."""
    page = verify.unpacked(exported[0])["summary.html"].decode()
    section = re.search(r"section\{([^}]*)\}", page)[1].split(";")
    assert {"width:min-content", "min-width:100%"} <= set(section)


def test_the_summary_writes_out_what_nobody_sees(tmp_path):
    with running(tmp_path) as server:
        ask, app = Caller(server.port), server.app
        name = "Ada\u202e<b>\x07"
        wait_reply(app, ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": name}}).json["id"], 60)
        raw = ask("POST", "/exports", {"case": f"istanza:{name}", "purpose": "prova"}, name="revisore").content
    assert "<td>caso: istanza:Ada\\u202e&lt;b&gt;\\x07</td>" in verify.unpacked(raw)["summary.html"].decode()


def test_the_summary_tells_no_time_of_the_checkpoint_which_nobody_signed(tmp_path):
    with running(tmp_path) as server:
        ask, app = Caller(server.port), server.app
        wait_reply(app, ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).json["id"], 60)
        ask("POST", "/exports", {"case": "istanza:Ada", "purpose": "prova"}, name="revisore")
        with closing(sqlite3.connect(tmp_path / "var/snodo.db")) as database, database:
            database.execute("DROP TRIGGER checkpoints_are_never_changed")
            database.execute("UPDATE checkpoints SET time = '1999-12-31T23:59:59.000Z'")
        raw = ask("POST", "/exports", {"case": "istanza:Ada", "purpose": "prova"}, name="revisore").content
    assert not re.search(rb"1999-12|2000-01", verify.unpacked(raw)["summary.html"]), "ids may hold the year alone"
