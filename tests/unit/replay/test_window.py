"""Which messages are of a time: by their own time, whatever clock made their ids."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing

import pytest

from bus.engine import search
from bus.errors import Invalid
from bus.log import log
from bus.log.record import Record
from bus.message import new_id
from bus.replay import window
from bus.store.opening import open_store

BEGIN = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize("traces", ["kept", "taken", "none"])
def test_messages_of_a_time_are_found_though_the_clock_of_their_ids_was_another_and_was_set(tmp_path, traces):
    """Where somebody had taken traces away, a replay said that all was equal: it had recomputed nothing."""
    times = [BEGIN + number * HOUR for number in range(3 * window.PAGE)]
    times[100:400] = [BEGIN + number * HOUR / 100 - dt.timedelta(days=400) for number in range(300)]
    records = [Record(new_id(), "received", time, message=new_id(), data={"type": "prova.saluto"}) for time in times]
    records += [Record(new_id(), "done", time, message=records[0].message) for time in times]
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        store.write(lambda tx: [log.append(tx, record) for record in records]).result()
        while traces != "none" and search.trace(store):
            pass
        with closing(sqlite3.connect(tmp_path / "prova.db")) as raw, raw:
            raw.execute("DELETE FROM traces WHERE seq % 3 > 0 AND ?", (traces == "taken",))
        for since, until in (
            (None, None),
            (times[20], times[30]),
            (times[50], None),
            (times[100], times[399]),
            (None, times[399]),
            (times[-1], None),
        ):
            pages = list(window.between(store, since, until))
            wanted = [record for record in records[: len(times)] if (since or search.EVER) <= record.time < (until or search.NEVER)]
            assert [one for page in pages for one in page] == [(record.message, "prova.saluto") for record in wanted]


def test_the_newest_messages_are_those_that_came_last_also_after_a_clock_was_set_back(tmp_path):
    ids = sorted(new_id() for _ in range(5))
    came = [*ids[2:], *ids[:2]]
    with closing(open_store(f"sqlite:///{tmp_path}/prova.db")) as store:
        records = [Record(new_id(), "received", BEGIN, message=one, data={"type": "prova.saluto"}) for one in came]
        store.write(lambda tx: [log.append(tx, record) for record in records]).result()
        assert list(window.newest(store, 3)) == [[(one, "prova.saluto") for one in came[-3:]]]


@pytest.mark.parametrize("said", ["2026-W48-1", "2026-W48-1T08:00+01:00", "20261130T080000+0100", "2026-11-31", "2026-11-30T08:00", ""])
def test_a_time_in_another_form_than_is_written_is_not_guessed_at(said):
    with pytest.raises(Invalid) as told:
        window.moment(said)
    assert told.value.code == "input.time"


@pytest.mark.parametrize("said", ["2026-11-30T00:00+01:00", "2026-11-29 23:00:00.000Z", "2026-11-30"])
def test_a_day_begins_in_rome(said):
    assert window.moment(said) == dt.datetime(2026, 11, 29, 23, tzinfo=dt.UTC)
