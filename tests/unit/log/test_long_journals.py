"""A run that was given thousands of messages stands in thousands of pages of the log: verifying reads its journal once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.copying import rows_of
from bus.engine import dead
from bus.engine.projection import Entry, write
from bus.log import remembered, tables
from bus.log.diagnosis import Broken, Line, Page
from bus.log.record import Record
from bus.message import new_id
from bus.store import Tx
from tests.simulation import system
from tests.simulation.simulation import Simulation
from tests.unit.engine.kit import row_of, send, turn
from tests.views import Counting

PARTS = 12
GATHERS = """
  - {id: parti, gather: sim.parte, case: pratica, count: '100', deadline: 30d, as: parti}
"""


@pytest.fixture
def gathering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Simulation, str]]:
    """A bus with a run that was given some messages one after the other, and waits for more; the id of the run."""
    monkeypatch.setattr(remembered, "LONG", 2 * PARTS)
    monkeypatch.setitem(system.ROUTES, ("raccolta", "case"), GATHERS)
    made = system.rules.__wrapped__()
    monkeypatch.setattr("tests.simulation.world.rules", lambda edition=1: made)
    world = Simulation(1, tmp_path)
    world.trouble = False
    message = send(world, "raccolta", caso="c")
    turn(world)
    for _ in range(PARTS):
        give(world)
    yield world, str(row_of(world, message)["id"])
    world.close()


def give(world: Simulation) -> None:
    send(world, "parte", caso="c")
    turn(world)


def pages(tx: Tx, size: int = 3) -> list[Page]:
    lines = [Line.of(row) for row in tx.all("whole_records_after", after=0, most=10_000)]
    return [Page.of(at, lines[at : at + size]) for at in range(0, len(lines), size)]


def compared(world: Simulation, journals: tables.Journals) -> Counting:
    """What was asked to compare the whole log."""
    with world.store.read() as tx:
        view = Counting(tx)
        for page in pages(tx):
            tables.compare(view, page, journals)  # type: ignore[arg-type]
        return view


def test_the_journal_of_a_long_run_is_read_once_for_all_pages_in_which_it_is(gathering: tuple[Simulation, str]) -> None:
    world, run = gathering
    with world.store.read() as tx:
        journal, many = len(tx.all("records_of_run", run=run)), len(pages(tx))
    view = compared(world, tables.Journals())
    assert many > PARTS
    assert view.rows["records_among_runs"] <= 2 * journal, "once for what became of it, once for its waits"
    assert max(view.rows["waits_among"], view.rows["matches_among"]) <= 2 * PARTS + 1, "when it began, and when it ended"


@pytest.mark.parametrize("end", ["matched", "given up"])
def test_a_wait_that_ended_and_was_opened_again_is_found_wherever_it_began(gathering: tuple[Simulation, str], end: str) -> None:
    """The page of the log in which it began knows nothing of its end, and the one in which it ended did not ask: nobody found it."""
    world, _ = gathering
    message = send(world, "senza", caso="d", iuv="i")
    turn(world, "answer")
    turn(world)
    run = str(row_of(world, message)["id"])
    if end == "matched":
        send(world, "ricevuta", iuv="i")
    else:
        world.store.write(lambda tx: dead.discard(tx, run, "anna", "doppione", world.clock)).result()

    def open_again(tx: Tx) -> None:
        [row] = [one for one in rows_of(tx, "waits") if one["run"] == run]
        assert row["state"] == end
        tx.do("add_wait", **{**{name: row[name] for name in dict(row) if name != "case_id"}, "late": 0, "state": "open"})

    with world.store.read() as tx:
        assert not [page for page in pages(tx, 1) if _is_broken(tx, page)]
    world.store.write(open_again).result()
    with world.store.read() as tx:
        assert [page.contents[0]["kind"] for page in pages(tx, 1) if _is_broken(tx, page)] == [{"given up": "discarded"}.get(end, end)]


def _is_broken(tx: Tx, page: Page) -> bool:
    try:
        tables.compare(tx, page, tables.Journals())
    except Broken:
        return True
    return False


def test_a_row_that_is_not_there_is_no_fault_where_no_record_began_the_wait(gathering: tuple[Simulation, str]) -> None:
    world, run = gathering
    row = world.store.write(lambda tx: tx.one("run", id=run)).result()
    assert row is not None
    ended = Record(new_id(), "expired", world.clock.now(), message=row["message"], run=run, path="altra", place="r@1/altra")
    world.store.write(lambda tx: write(tx, Entry(ended))).result()
    compared(world, tables.Journals())


@pytest.mark.parametrize("table", ["runs", "waits"])
def test_what_was_changed_since_a_journal_was_read_is_found(gathering: tuple[Simulation, str], table: str) -> None:
    world, run = gathering
    journals = tables.Journals()
    compared(world, journals)

    def change(tx: Tx) -> None:
        if table == "runs":
            tx.do("wake_run", id=run, time="2026-03-02T08:00:00.000000Z")
        else:
            found = tx.one("wait", run=run, path="parti[3]")
            assert found is not None
            tx.do("add_wait", **{**dict(found), "late": 0, "state": "open"})

    world.store.write(change).result()
    with pytest.raises(Broken, match=f"`{table}`"):
        compared(world, journals)


def test_what_came_since_a_journal_was_read_is_read(gathering: tuple[Simulation, str]) -> None:
    world, _ = gathering
    journals = tables.Journals()
    compared(world, journals)
    give(world)
    assert compared(world, journals).rows["records_among_runs"]
    assert not compared(world, journals).rows["records_among_runs"]
