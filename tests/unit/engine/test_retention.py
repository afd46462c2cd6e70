"""Times of retention: what the law wants kept cannot be set shorter, and what may go is found."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing

import pytest
from pydantic import ValidationError

from bus.clock import moment_of, text_of
from bus.config import Retention
from bus.engine import retention, search
from bus.engine.least import check
from bus.engine.projection import entry, write
from bus.errors import ConfigError
from bus.log.record import Record
from bus.message import new_id
from bus.store import listed
from bus.store.opening import open_store
from tests.clocks import FixedClock
from tests.contract.store_contract import add_runs, do
from tests.keyrings import in_memory
from tests.views import Counting

MINIMA = {"pagopa": "24M"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"accesses": "5M"}, "retention.accesses is 5M, and at least 6M must be kept"),
        ({"accesses": "183d"}, "at least 6M must be kept"),
        ({"journals": {"pagopa": "1y"}}, "retention.journals.pagopa is 1y, and at least 24M must be kept"),
    ],
)
def test_a_time_shorter_than_the_law_allows_is_refused(settings, sentence: str) -> None:
    with pytest.raises(ConfigError, match="must be kept") as refused:
        check(Retention(**settings), MINIMA)
    assert (refused.value.code, sentence in refused.value.sentence) == ("retention.minimum", True)


@pytest.mark.parametrize("attachments", [None, "2d", "1y"])
def test_files_that_outlive_the_messages_by_which_an_erasure_finds_them_are_refused(attachments) -> None:
    with pytest.raises(ConfigError, match="nobody can tell whose they are") as refused:
        check(Retention(payloads="1d", attachments=attachments), MINIMA)
    assert (refused.value.code, "attachments: 1d, or shorter" in refused.value.hint) == ("retention.files", True)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"accesses": "6M"},
        {"accesses": "184d"},
        {"journals": {"pagopa": "2y"}},
        {"attachments": "1d"},
        {"payloads": "1d", "attachments": "1d"},
        {"payloads": "12M", "attachments": "1y"},
        {"payloads": "1y", "attachments": "365d"},
    ],
)
def test_other_times_are_the_municipality_s_own(settings) -> None:
    check(Retention(**settings), MINIMA)


def test_a_journal_that_nobody_prescribes_is_told() -> None:
    with pytest.raises(ConfigError, match="has no journal") as refused:
        check(Retention(journals={"sito": "2y"}), MINIMA)
    assert refused.value.code == "retention.journal"


@pytest.mark.parametrize("text", ["6", "6 months", "0d", "-1d", "10wd", "", "1001y"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Retention(payloads=text)


@pytest.mark.parametrize("text", ["999y", "9999M", "9999w", "9999d"])
def test_the_longest_times_lead_to_a_day_that_there_was(text: str) -> None:
    held = retention.terms(Retention(payloads=text), {}, dt.datetime(2026, 2, 28, 8, tzinfo=dt.UTC))
    assert "1027-02-28" <= held.cuts["payloads"] < "2000"


@pytest.mark.parametrize(
    ("now", "term", "cut"),
    [
        ("2026-11-30T13:00+01:00", "6M", "2026-05-30T13:00+02:00"),  # not an hour too early
        ("2026-10-25T02:30+02:00", "1d", "2026-10-24T02:30+02:00"),
        ("2026-10-25T02:30+01:00", "1d", "2026-10-24T02:30+02:00"),
        ("2027-03-29T02:30+02:00", "1d", "2027-03-28T02:30+01:00"),  # a time that no clock showed
        ("2026-12-01T00:30+01:00", "6M", "2026-06-01T00:30+02:00"),  # of another day in UTC
        ("2028-02-29T08:00+01:00", "1y", "2027-02-28T08:00+01:00"),
        ("2026-12-31T08:00+01:00", "6M", "2026-06-30T08:00+02:00"),
        ("2027-03-01T08:00+01:00", "24M", "2025-03-01T08:00+01:00"),
    ],
)
def test_days_and_months_are_those_of_rome(now: str, term: str, cut: str) -> None:
    held = retention.terms(Retention(payloads=term), {}, moment_of(now))
    assert held.cuts["payloads"] == text_of(moment_of(cut))


def test_what_goes_is_counted_by_the_month_that_it_was_in_rome() -> None:
    found = [retention.Found(time) for time in ("2026-05-31T21:59:59Z", "2026-05-31T22:00:00Z", "2026-12-31T23:30:00Z")]
    assert [one["month"] for one in retention.months(found)] == ["2026-05", "2026-06", "2027-01"]


def test_what_was_told_after_a_record_of_a_clock_that_was_ahead_goes_too(tmp_path):
    old, ahead = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC), dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    held = retention.terms(Retention(accesses="6M"), {}, old + dt.timedelta(days=300))
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        store.keys = in_memory()

        def tell(tx):
            for number in range(3 * retention.PAGE):
                time = ahead if retention.PAGE - 10 <= number < retention.PAGE else old
                record = Record(new_id(), "access", time, actor="sistemista", data={"event": "entered"})
                write(tx, entry(record, tx.keys.fresh(), {"origin": {"address": "127.0.0.1"}}))

        store.write(tell).result()
        while search.trace(store):
            pass
        found, after = [], ""
        while after is not None:
            with store.read() as tx:
                page, after = retention.page(tx, held, "accesses", after, {})
            found += page
    assert len(found) == len({one.record for one in found}) == 3 * retention.PAGE - 10


def test_questions_of_systems_are_read_once_however_many_pages_there_are(tmp_path):
    """Two years of pagoPA's questions, read for each hundred messages by whoever writes, held up all others."""
    then = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
    held = retention.terms(Retention(payloads="30d"), MINIMA, then + dt.timedelta(days=300))
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        keys = store.keys = in_memory()

        def ask(tx, number: int) -> int:
            key, asked = keys.fresh(), {"adapter": "pagopa", "operation": "prova", "outcome": "OK"}
            write(tx, entry(Record(new_id(), "served", then, data=asked), key, {"request": {"n": number}}))
            return key.id

        first = store.write(lambda tx: [ask(tx, number) for number in range(50)]).result()
        while search.trace(store):
            pass
        with closing(sqlite3.connect(tmp_path / "prova.db")) as raw, raw:
            raw.execute("DELETE FROM traces")  # what must be kept would have been destroyed
        counts = []
        for _ in range(3):
            with store.read() as tx:
                view = Counting(tx)
                questions = held.questions.read(view, held)
            counts.append(view.rows["records_of_seldom_kinds"])
        last = store.write(lambda tx: ask(tx, 51)).result()
        with store.read() as tx:
            held.questions.read(tx, held)
    assert counts == [50, 0, 0]
    assert all(questions.kept(held, key) for key in (*first, last))
    assert not questions.kept(held, last + 1)
    assert not questions.kept(held._replace(kept={"pagopa": "2026-03-02T08:00:01.000000Z"}), last)


def test_a_page_asks_as_few_questions_however_many_messages_are_on_it(tmp_path):
    """Five for each message, one after the other over a line to PostgreSQL, held up whoever writes for half a second a page."""
    then = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
    terms = Retention(payloads="30d", wire="20d", accesses="6M")
    held = retention.terms(terms, {}, then + dt.timedelta(days=300))
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        keys = store.keys = in_memory()

        def receive(tx, *numbers: int) -> None:
            for number in numbers:
                message = f"01900000-0000-7000-8000-{number:012x}"
                data = {"type": "prova", "sender": "prova", "intake": [], "content": "", "keys": {}, "runs": []}
                told = {"message": {"keys": {"case": {}}, "envelope": {}, "body": {}}}
                write(tx, entry(Record(new_id(), "received", then, message=message, data=data), keys.fresh(), told))
                write(tx, entry(Record(new_id(), "access", then, data={"event": "entered"}), keys.fresh(), {"origin": {}}))

        def asked() -> tuple[list[int], list[int]]:
            while search.trace(store):
                pass
            with store.read() as tx:
                views = {kind: Counting(tx) for kind in ("payloads", "wire", "accesses")}
                found = [len(retention.page(view, held, kind, "", {})[0]) for kind, view in views.items()]
            return found, [view.asked.total() for view in views.values()]

        store.write(lambda tx: receive(tx, *range(2))).result()
        few = asked()
        store.write(lambda tx: receive(tx, *range(2, 62))).result()
        many = asked()
    assert (few[0], many[0]) == ([2, 0, 2], [62, 0, 62])
    assert many[1] == few[1]


def test_rows_go_at_once_however_many_there_are_on_a_page(store, monkeypatch):
    """Each was a statement of its own, one after the other: of a run of thousands of calls everybody waited for them."""
    then = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
    payload = {"message": None, "media_type": "text/plain", "nonce": b"n", "content": b""}

    def dispose(tx, rows: int) -> int:
        names = tuple(f"{rows}-{number}" for number in range(rows))
        tx.many("add_payload", [{"id": name, **payload} for name in names])
        page = [retention.Found(text_of(then), payloads=rows, message="m", rows=names)], None
        monkeypatch.setattr(retention, "page", lambda *_: page)
        said: list[str] = []
        assert len(tx.all("payloads_there", payloads=listed(names))) == rows
        tx._raw.set_trace_callback(said.append)
        held = retention.terms(Retention(wire="20d"), {}, then)
        retention.dispose(tx, held, "wire", "", {}, "prova", "too old", FixedClock(then))
        assert tx.all("payloads_there", payloads=listed(names)) == []
        tx._raw.set_trace_callback(None)
        return len(said)

    few, many = (store.write(lambda tx, rows=rows: dispose(tx, rows)).result() for rows in (2, 200))
    assert many == few


def test_what_came_after_the_bound_is_kept_though_its_id_is_older(store):
    """The clock of who made the id was behind."""
    store.write(lambda tx: tx.do("add_message", id="a", type="t", sender="s", time="2026-03-02", case_id="a", payload="p")).result()
    with store.read() as tx:
        found = {
            before: len(tx.all("messages_to_dispose", after="", until="b", before=before, most=9))
            for before in ("2026-03-01", "2026-03-03")
        }
    assert found == {"2026-03-01": 0, "2026-03-03": 1}


def test_a_file_that_anybody_sent_lately_is_not_old(store):
    for sender, time in (("uno", "2026-01-01"), ("due", "2026-01-02"), ("due", "2026-03-02")):
        do(store, "add_attachment", file="f", sender=sender, payload="p", time=time)
    with store.read() as tx:
        found = {
            before: [row["time"] for row in tx.all("files_to_dispose", before=before, after="", most=9)]
            for before in ("2026-02", "2026-04")
        }
    assert found == {"2026-02": [], "2026-04": ["2026-03-02"]}


def test_a_case_is_as_young_as_its_youngest_message_also_where_that_began_no_run(store):
    add_runs(store, ("r", "c"), time="2026-01-01")
    do(store, "add_message", id="m", type="t", sender="s", time="2026-03-02", case_id="c", payload="p")
    with store.read() as tx:
        assert retention._cases(tx, ["c"])["c"].last == "2026-03-02"
