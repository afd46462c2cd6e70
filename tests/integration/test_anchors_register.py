"""The last checkpoint of each day gets a number in the protocol register, whatever the clock and the register do."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.protocollo.adapter import Protocollo
from adapters.protocollo.modelli import ProtocolloSettings
from bus.anchors.anchoring import _end_of_day, _named
from bus.log import log
from bus.log import note as notes
from bus.log.checkpoint import checkpoint_of
from bus.log.verify import Trust, verify
from bus.testing.patience import until
from bus.testing.ports import free_port
from bus.testing.simulators import start
from tests.files import put
from tests.integration.anchoring import bus

PROJECT = Path(__file__).parents[2]
SHIPPED = ("routes/registro/sigillo-giornaliero.yaml", "mappings/types/registro.sigillo.giornaliero.yaml")


@contextmanager
def with_a_register(folder: Path, url: str):
    """A bus with the route as it ships, and the adapter of a register at that address."""
    put(folder, {name: (PROJECT / name).read_text("utf-8") for name in SHIPPED})
    settings = ProtocolloSettings(
        url=url, ente="COMUNE", utente="snodo", password="segreta-di-prova", amministrazione="c_b429", aoo="AOO1",
        denominazione="Comune di prova", uo="PROTOCOLLO",
    )  # fmt: skip
    with bus(folder, {"protocollo": Protocollo("protocollo", settings)}, daily={}) as one:
        yield one


def test_a_register_that_is_away_for_a_night_is_handed_the_checkpoint_once_and_numbers_it_when_it_is_back(tmp_path):
    port = free_port()
    with with_a_register(tmp_path / "uno", f"http://127.0.0.1:{port}") as one:
        one.clock.ahead = noon = _to_the_next_noon()
        first = one.add(5)
        one.clock.ahead = noon + dt.timedelta(days=1)
        one.add(2)
        for _ in range(5):  # and so on, every ten seconds
            assert one.app.anchoring.turn()[0].size == 0
        with one.app.store.read() as tx:
            assert [record.kind for _, record in log.everything(tx)].count("attached") == 1
        one.clock.ahead += dt.timedelta(hours=9)
        [late] = one.app.anchoring.turn()
        assert (late.size, late.late) == (0, True)
        with start("adapters.protocollo.simulator", tmp_path / "register", port=port) as register:
            one.clock.ahead += dt.timedelta(minutes=20)
            assert until(lambda: next((s for s in one.app.anchoring.turn() if s.size), None), "a seal is kept").size == first
            assert len(register.ledger("registrazione")) == 1


def test_the_last_checkpoint_of_each_day_gets_a_number_in_the_protocol_register(tmp_path):
    """The route as it ships, the adapter, and the register's simulator: one registration, whose document is the checkpoint."""
    with (
        start("adapters.protocollo.simulator", tmp_path / "register") as register,
        with_a_register(tmp_path / "uno", register.url) as one,
    ):
        one.clock.ahead = noon = _to_the_next_noon()
        first = one.add(5)
        sealed = one.newest().note
        assert one.app.anchoring.turn()[0].size == 0, "the day is not over"
        one.clock.ahead = noon + dt.timedelta(days=1)
        one.add(2)  # of the next day
        assert until(lambda: next((s for s in one.app.anchoring.turn() if s.size), None), "a seal is kept").size == first
        for _ in range(3):
            one.app.anchoring.turn()
        [registered] = register.ledger("registrazione")
        with one.app.store.read() as tx:
            said = json.loads(tx.one("last_anchor", kind="register", name="giornaliero")["evidence"])
        assert said["reply"]["protocollo"] == f"{registered['detail']['anno']}/{registered['detail']['numero']:07d}"
        assert said["giorno"] == (dt.datetime.now(dt.UTC) + noon).date().isoformat(), "the day that has ended"
        assert (registered["key"], said["sha256"]) == (f"sigillo-{said['giorno']}", hashlib.sha256(sealed).hexdigest())
        assert f": {first} annotazioni, radice {checkpoint_of(notes.parse(sealed).text).root.hex()}" in registered["detail"]["oggetto"]
        assert _attachments(one.app) == 1
        assert _content(one.app, hashlib.sha256(sealed).hexdigest()) == sealed
        assert verify(one.app.store.read, Trust()).size == one.newest().size


def test_a_clock_that_was_days_ahead_hands_in_no_day_twice_and_keeps_back_none(tmp_path):
    """The days until the clock was again where it had been were not handed in, and the one that it had handed in failed all day."""
    with (
        start("adapters.protocollo.simulator", tmp_path / "register") as register,
        with_a_register(tmp_path / "uno", register.url) as one,
    ):
        noon, day, last = _to_the_next_noon(), dt.timedelta(days=1), 0
        for number, ends_one in ((0, False), (3, True), (0, False), (1, True), (2, True), (3, False), (4, True)):
            one.clock.ahead = noon + number * day
            if ends_one:
                assert until(lambda last=last: one.app.anchoring.turn()[0].size >= last, "a day is kept", 20)
            one.app.anchoring.turn()
            last = one.add()
        named = [one.clock.now().date() - (5 - n) * day for n in (3, 1, 2, 4)]
        with one.app.store.read() as tx:
            rows = tx.all("anchors_beyond", kind="register", name="giornaliero", after=0, most=9)
        kept = [json.loads(row["evidence"])["giorno"] for row in rows]
        assert [row["key"] for row in register.ledger("registrazione")] == [f"sigillo-{date.isoformat()}" for date in named]
        assert kept == [date.isoformat() for date in named]
        assert one.app.anchoring._told == {}, "nothing failed"
        assert verify(one.app.store.read, Trust()).size == one.newest().size


@pytest.mark.parametrize(
    ("now", "at", "ends"),
    [
        ("2026-11-28T23:00", "00:00", "2026-11-28T23:00"),
        ("2026-11-28T22:59", "00:00", "2026-11-27T23:00"),
        ("2026-10-25T00:29", "02:30", "2026-10-24T00:30"),
        ("2026-10-25T00:40", "02:30", "2026-10-25T00:30"),
        ("2026-10-25T01:10", "02:30", "2026-10-25T00:30"),  # 02:10 for the second time
        ("2026-10-25T01:40", "02:30", "2026-10-25T00:30"),  # 02:30 for the second time
        ("2026-03-29T01:10", "02:30", "2026-03-28T01:30"),  # 03:10: there was no 02:30
        ("2026-03-29T01:40", "02:30", "2026-03-29T01:30"),
    ],
)
def test_a_day_ends_once_also_when_the_clock_is_changed(now, at, ends):
    now, ends = (dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) for text in (now, ends))
    assert _end_of_day(now, at) == ends


@pytest.mark.parametrize(
    ("ends", "day"),
    [
        ("2026-11-28T23:00", "2026-11-28"),  # 00:00
        ("2026-11-28T23:30", "2026-11-28"),  # 00:30: nobody may take the day that has just begun for a whole one
        ("2026-11-29T10:59", "2026-11-28"),  # 11:59
        ("2026-11-29T11:00", "2026-11-29"),  # 12:00
        ("2026-11-29T22:59", "2026-11-29"),  # 23:59
        ("2026-03-29T01:30", "2026-03-28"),  # 03:30, in the place of 02:30
        ("2026-10-25T00:30", "2026-10-24"),  # 02:30 for the first time
        ("2026-12-31T23:30", "2026-12-31"),
    ],
)
def test_a_day_is_named_after_the_date_that_most_of_it_was(ends, day):
    assert _named(dt.datetime.fromisoformat(ends).replace(tzinfo=dt.UTC)) == day


def _to_the_next_noon() -> dt.timedelta:
    """How far the middle of a day is from now: no day ends while the test runs."""
    now = dt.datetime.now(dt.UTC)
    return now.replace(hour=11, minute=0) + dt.timedelta(days=1) - now


def _attachments(app) -> int:
    with app.store.read() as tx:
        return len(tx.all("all_attachments"))


def _content(app, sha256: str) -> bytes:
    with app.attachments.open(sha256) as file:
        return file.read()
