"""Reports of adapters: a line for each exchange, and one reading of journals for a page, however many exchanges it has."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from adapters.pagopa import giornale
from adapters.pagopa.modelli import PagopaSettings
from bus import reports
from bus.adapter import Exchange, Report
from bus.engine import search
from bus.log import log
from bus.log.record import Record
from bus.message import new_id
from bus.store.opening import open_store
from tests.keyrings import in_memory
from tests.unit.pagopa_settings import SETTINGS
from tests.views import Counting

NOW = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
FIELDS = {"operation": "", "outcome": ""}


def exchange(run: str, n: int, end: str, *, intent: bool) -> list[Record]:
    told = {"run": run, "message": "m", "path": f"passo-{n}", "time": NOW, "data": {"operation": "sistema.scrivi"}}
    kinds = (["asked"] if intent else []) + [end]
    return [Record(new_id(), kind, **told) for kind in kinds]


def test_a_page_reads_the_journals_of_its_runs_once(tmp_path):
    kept = reports.of_adapters({"sistema": Telling()})["prova"]
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        records = []
        for number in range(40):
            run = new_id()
            records += exchange(run, 1, "answered", intent=True) + exchange(run, 2, "refused", intent=True)
            records += exchange(run, 3, "answered", intent=False) + (exchange(run, 4, "asked", intent=False) if number == 7 else [])
        store.write(lambda tx: [log.append(tx, record) for record in records]).result()
        with store.read() as tx:
            view = Counting(tx)
            lines, after, _ = reports.page(view, kept, NOW, NOW + dt.timedelta(days=1))
    assert after is None
    assert Counter(line["outcome"] for line in lines) == {"answered": 80, "refused": 40, "open": 1}
    assert view.asked["records_among_runs"] == 1
    assert view.asked["records_of_run"] == 0


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("wrong", [dt.timedelta(days=-9000), dt.timedelta(days=40)])
def test_a_report_has_every_line_of_its_time_though_a_clock_was_set_meanwhile(tmp_path, wrong, traced):
    hour, day = dt.timedelta(hours=1), dt.timedelta(days=1)
    times = [NOW + number * hour for number in range(3000)]
    times[1000:2600] = [NOW + number * hour / 100 + wrong for number in range(1600)]
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        records = [Record(new_id(), "access", time, actor="sistemista", data={"event": "entered"}) for time in times]
        store.write(lambda tx: [log.append(tx, record) for record in records]).result()
        while traced and search.trace(store):
            pass
        for since in (NOW + 5 * day, NOW + 41 * day, NOW + 110 * day, NOW + wrong):
            wanted = sorted(record.id for record in records if since <= record.time < since + day)
            assert sorted(_ids(store, since, since + day)) == wanted


def test_a_report_has_every_line_of_its_time_though_traces_are_lost(tmp_path):
    """Traces are made for searches, and are no evidence: a report began where the first one stood that was left."""
    hour, kept = dt.timedelta(hours=1), reports.of_adapters({"sistema": Telling()})["prova"]
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        told = [(NOW + number * hour, new_id()) for number in range(3000)]
        records = [Record(run, "asked", time, run=run, message="m", data={"operation": "sistema.scrivi"}) for time, run in told]
        store.write(lambda tx: [log.append(tx, record) for record in records]).result()
        while search.trace(store):
            pass
        with closing(sqlite3.connect(tmp_path / "prova.db")) as raw, raw:
            raw.execute("DELETE FROM traces WHERE seq BETWEEN 1000 AND 2000 OR seq > 2900")
        for since in (900, 1500, 2950):
            with store.read() as tx:
                view = Counting(tx)
                page = reports.page(view, kept, NOW + since * hour, NOW + (since + 300) * hour)
            assert len(page.lines) == min(300, 3000 - since)
            assert view.asked["record_from"] <= 4 * 12, "3,000 halved twice, to begin and to go on"
            assert view.asked["records_of_kinds"] == 1


def _ids(store, since, until):
    found, after = [], 0
    while after is not None:
        with store.read() as tx:
            lines, after, _ = reports.page(tx, reports.ACCESSES, since, until, after)
        found += [line["record"] for line in lines]
    return found


def test_a_text_that_is_damaged_leaves_its_field_empty_and_is_told(tmp_path):
    """It ended the whole report."""
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        store.keys = in_memory()
        events = [reports.Access("entered", name, "sysadmin", "10.0.0.1") for name in ("Ada", "Bea", "Cleo")]
        store.write(lambda tx: reports.keep(tx, NOW, events)).result()
        with store.read() as tx:
            changed, taken, _ = (record for _, record in log.of_kinds(tx, {"access"}, 0, 10))
        with closing(sqlite3.connect(tmp_path / "prova.db")) as raw, raw:
            raw.execute("UPDATE payloads SET content = zeroblob(length(content)) WHERE id = ?", (changed.payload("origin"),))
            raw.execute("DELETE FROM payloads WHERE id = ?", (taken.payload("origin"),))
        with store.read() as tx:
            lines, _, unopened = reports.page(tx, reports.ACCESSES, NOW, NOW + dt.timedelta(days=1))
    assert [(line["who"], line["from"]) for line in lines] == [("Ada", ""), ("Bea", ""), ("Cleo", "10.0.0.1")]
    told = {"message": None, "role": "origin"}
    gone = "it, or its key, is not there any more, and no record says that it was erased"
    assert unopened == [
        {"record": changed.id, **told, "why": "a payload is not what was sealed"},
        {"record": taken.id, **told, "why": gone},
    ]


def test_an_act_is_told_with_the_role_and_the_address_of_the_access_in_which_it_was_done(tmp_path):
    """Both were empty: who had confirmed an erasure from where, one had to look for by oneself."""

    def act(kind, actor, **data):
        return [Record(new_id(), kind, NOW + dt.timedelta(days=1), actor=actor, data=data)]

    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        store.keys = in_memory()

        def enters(name, role, address, time):
            store.write(lambda tx: reports.keep(tx, time, [reports.Access("entered", name, role, address)])).result()

        def acts(*records):
            store.write(lambda tx: [log.append(tx, record) for record in records]).result()

        enters("Ada", "sysadmin", "10.0.0.1", NOW)
        enters("Bea", "auditor", "10.0.0.2", NOW)
        acts(*act("decided", "Ada", decision="happened"), *act("replayed", "Bea", scope="case"), *act("erased", "bus", asked="x"))
        enters("Ada", "sysadmin", "10.0.0.3", NOW + dt.timedelta(days=1))
        acts(*act("erased", "Ada", asked="x", by="Bea", messages=[], files=[], keys=[]), *act("discarded", "Cleo"))
        with store.read() as tx:
            day = NOW + dt.timedelta(days=1)
            lines, _, unopened = reports.page(tx, reports.ACCESSES, day, day + dt.timedelta(days=1))
    assert [(line["event"], line["who"], line["role"], line["from"]) for line in lines] == [
        ("decided", "Ada", "sysadmin", "10.0.0.1"),
        ("replayed", "Bea", "auditor", "10.0.0.2"),
        ("entered", "Ada", "sysadmin", "10.0.0.3"),
        ("erased", "Ada", "sysadmin", "10.0.0.3"),
        ("discarded", "Cleo", "", ""),
    ]
    assert not unopened


class Telling:
    def reports(self):
        return [Report("prova", "A journal", "nobody asks for it", FIELDS, told)]


def told(exchange):
    return [{"operation": exchange.operation, "outcome": exchange.outcome}]


TRIED = [
    ("answered", {}, "answered"),
    ("unanswered", {"kind": "in_doubt", "doubt": True}, "in_doubt"),
    (
        "unanswered",
        {"kind": "invalid", "doubt": True},
        "in_doubt",
    ),  # other rules could not ask again: the first try may have had its effect
    ("unanswered", {"kind": "unreachable", "doubt": False}, "unreachable"),
    ("refused", {"kind": "refused", "doubt": False}, "refused"),
    ("decided", {"decision": "happened"}, "answered"),
    ("decided", {"decision": "again"}, "unreachable"),  # a person said that nothing was done: the system refused nothing
]


@pytest.mark.parametrize(("kind", "data", "outcome"), TRIED)
def test_a_line_says_of_a_try_what_is_known_of_its_effect(tmp_path, kind, data, outcome):
    kept = reports.of_adapters({"sistema": Telling()})["prova"]
    run = new_id()
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        asked, end = exchange(run, 1, kind, intent=True)
        [doubt] = exchange(run, 1, "unanswered", intent=False)
        records = [asked, doubt._replace(data={"kind": "in_doubt", "doubt": True}), end._replace(data=end.data | data)]
        store.write(lambda tx: [log.append(tx, record) for record in records]).result()
        with store.read() as tx:
            lines, *_ = reports.page(tx, kept, NOW, NOW + dt.timedelta(days=1))
    assert [line["outcome"] for line in lines] == [outcome]


def test_the_journal_of_events_tells_amounts_in_euro_at_both_interfaces():
    settings = PagopaSettings.model_validate(SETTINGS)
    at_gpd = Exchange("crea-posizione", False, NOW, NOW, "answered", "", {"importo": 15150}, {"importo": 15150, "iuv": "1"}, "r")
    at_node = Exchange("paGetPaymentV2", True, NOW, NOW, "OK", "", {"importo": "151.50"}, {}, "r")
    told = [[line["parametriSpecificiInterfaccia"] for line in giornale.righe(settings, one)] for one in (at_gpd, at_node)]
    assert [["importo=151.50;" in said for said in lines] for lines in told] == [[True, True], [True, True]], told


def test_an_erasure_that_expired_is_told_as_that_a_bundle_and_a_search_as_what_they_are(tmp_path):
    now = {"time": NOW, "data": {}}
    records = [
        Record(new_id(), "erased", **now | {"data": {"asked": "x", "messages": [], "files": [], "keys": [1]}}),
        Record(new_id(), "erased", actor="b", **now | {"data": {"asked": "y", "by": "a", "messages": ["m"], "files": [], "keys": [2]}}),
        Record(new_id(), "exported", actor="c", **now | {"data": {"manifest": "d", "records": 3}}),
        Record(new_id(), "read", actor="d", **now | {"data": {"asked": "token", "opened": ["m"], "role": "search"}}),
    ]
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        store.write(lambda tx: [log.append(tx, record) for record in records]).result()
        with store.read() as tx:
            told = {
                name: [line["what"] for line in reports.page(tx, reports.of_adapters({})[name], NOW, NOW + dt.timedelta(days=1))[0]]
                for name in ("purposes", "accesses")
            }
    assert told == {"purposes": ["expired request", "", "bundle", "search"], "accesses": ["", "bundle", "search"]}
