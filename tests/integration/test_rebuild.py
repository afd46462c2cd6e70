"""The log is the only memory: whatever happened, the tables made again from it are the same to the last field."""

from __future__ import annotations

import io
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bus.copying import rows_of
from bus.engine import projection
from bus.log import tables
from bus.log.diagnosis import Broken, Line, Page
from bus.store import Tx
from bus.store.sqlite import SqliteStore
from tests.integration.workshop import Workshop, workshop
from tests.projections import snapshot

Tables = dict[str, list[dict[str, Any]]]


def rebuilt_is_the_same(shop: Workshop, *, at_work: bool = False) -> dict[str, int]:
    """Rebuild, compare, and give the number of rows of each table; a bus ``at_work`` writes its log meanwhile."""
    if not at_work and shop.app.sequencer is not None:
        shop.app.sequencer.stop()
    rest = shop.rest()

    def work(tx: Tx) -> tuple[Tables, Tables]:
        before = snapshot(tx)
        projection.rebuild(tx)
        return before, snapshot(tx)

    said_by_records(shop)
    before, after = shop.app.store.write(work).result(60)
    for table, rows in before.items():
        assert after[table] == rows, table
    assert set(after) == set(before)
    assert at_work or shop.rest() == rest, "a table that is no projection was touched"
    return {table: len(rows) for table, rows in after.items()}


def said_by_records(shop: Workshop) -> None:
    """`bus log verify` compares the same tables in its own way, from the records alone and without keys: it must have nothing to say."""
    with shop.app.store.read() as tx:
        lines = [Line.of(row) for row in tx.all("whole_records_after", after=0, most=100_000)]
        for size in (1, 7, 2048):
            for at in range(0, len(lines), size):
                tables.compare(tx, Page.of(at, lines[at : at + size]), tables.Journals())
    tables.strangers(shop.app.store.read)


def rows_changed_one_by_one_are_found(shop: Workshop) -> None:
    """Each run and each reply changed in its table, and changed back: a rich history has every way in which a row comes to be."""

    def work(tx: Tx) -> list[str]:
        missed = []
        for row in rows_of(tx, "runs"):
            change = {"id": row["id"], "due": row["due"], "place": row["place"], "time": row["changed"], "reason": row["reason"]}
            tx.do("set_run", **change, state="waiting" if row["state"] == "done" else "done")
            missed += [row["id"]] * (not found(tx))
            tx.do("set_run", **change, state=row["state"])
        for row in rows_of(tx, "messages"):
            tx.do("set_reply", id=row["id"], reply="un'altra")
            missed += [row["id"]] * (not found(tx))
            tx.do("set_reply", id=row["id"], reply=row["reply"])
        return missed

    def found(tx: Tx) -> bool:
        try:
            tables.compare(tx, Page.of(0, lines), tables.Journals())
        except Broken:
            return True
        return False

    with shop.app.store.read() as tx:
        lines = [Line.of(row) for row in tx.all("whole_records_after", after=0, most=100_000)]
    assert shop.app.store.write(work).result(60) == []
    said_by_records(shop)


def test_a_rich_history_is_rebuilt_to_the_same_tables(tmp_path: Path, url: str) -> None:
    with workshop(tmp_path, url) as shop:
        shop.app.attachments.save(io.BytesIO(b"una prova"), "text/plain", "prova.txt", "prova")
        shop.send("inizio", a="ripetuta", modo="bene")
        assert shop.send("inizio", a="ripetuta", modo="bene").repeated
        runs, (happened, again, given_up) = shop.troubles()
        shop.system.well = True
        shop.app.redeliver(runs["giu-scrivi"], "chiara", "il sistema risponde")
        shop.app.redeliver(runs["perso-registra"], "chiara", "il sistema risponde")
        shop.app.redeliver(runs["no-registra"], "chiara", "corretto di là", current_rules=True)
        shop.app.decide(happened, "chiara", "visto di là", "happened", {"x": "a", "numero": 0})
        shop.app.decide(again, "chiara", "di là non c'è", "again")
        shop.app.discard(given_up, "chiara", "rinunciato")
        shop.when(runs["bene"], "waiting", "done")
        shop.send("legame", a="a-bene", b="b-bene")
        shop.send("seguito", b="b-bene")
        ended = [*runs.values(), happened, again]
        for run in ended:
            shop.when(run, "done")
        shop.send("legame", a="a-dubbio-registra", b="b-tardi")
        late = shop.send("seguito", b="b-tardi")
        shop.when(late.runs[0], "done")
        shop.quiet()
        rows = rebuilt_is_the_same(shop)
        rows_changed_one_by_one_are_found(shop)
    assert all(rows[table] for table in rows if table not in {"lanes", "holders", "enclosures", "erased_keys", "erasures"}), rows
    assert rows["matches"] >= 2


EVIDENCE = {"records", "payloads", "rules", "tiles", "checkpoints", "receipts", "anchors"}
OF_THE_MOMENT = {"leases", "processes", "marks"}
FOR_SEARCHES = {"facets", "traces"}


def test_a_table_is_evidence_or_of_the_moment_or_made_again_from_the_log(tmp_path: Path) -> None:
    """Traces are made again as well, by the sequencer."""
    SqliteStore(tmp_path / "s.db").close()
    with closing(sqlite3.connect(tmp_path / "s.db")) as raw:
        found = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")}
    assert found - EVIDENCE - OF_THE_MOMENT - FOR_SEARCHES == {*projection.TABLES} - {"erasures"}, "erasures are marks"


@pytest.mark.parametrize("seed", range(2))
def test_cases_that_join_in_any_order_are_rebuilt_the_same(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    with workshop(tmp_path) as shop:
        acts: list[Callable[[], object]] = [lambda n=n: shop.start(f"a{n}") for n in range(5)]
        acts += [lambda n=n: shop.send("seguito", b=f"b{n}") for n in range(5)]
        acts += [lambda n=n, m=m: shop.send("legame", a=f"a{n}", b=f"b{m}") for n, m in ((0, 0), (1, 1), (1, 2), (3, 2), (4, 4))]
        dice.shuffle(acts)
        for act in acts:
            act()
        shop.quiet()
        assert shop.app.runs("dead") == []
        rows = rebuilt_is_the_same(shop)
        assert rows["cases"] >= 2
        assert (
            shop.app.case("a:a1")["case"] == shop.app.case("b:b1")["case"] == shop.app.case("b:b2")["case"] == shop.app.case("a:a3")["case"]
        )


def test_work_in_flight_goes_on_after_a_rebuild(tmp_path: Path, url: str) -> None:
    with workshop(tmp_path, url) as shop:
        waiting, dead = shop.start("attesa"), shop.start("morta", "giu-scrivi")
        shop.when(waiting, "waiting")
        shop.when(dead, "dead")
        rebuilt_is_the_same(shop, at_work=True)
        shop.system.well = True
        shop.app.redeliver(dead, "chiara", "il sistema risponde")
        shop.when(dead, "done")
        shop.when(waiting, "done")
        shop.quiet()
        assert Counter(effect for effect in shop.system.effects if effect[0] != "leggi").most_common(1)[0][1] == 1
        rebuilt_is_the_same(shop)
