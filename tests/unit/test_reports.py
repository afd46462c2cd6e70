"""Reports of adapters: a line for each exchange, and one reading of journals for a page, however many exchanges it has."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from contextlib import closing

from bus import reports
from bus.adapter import Report
from bus.log import log
from bus.log.record import Record
from bus.message import new_id
from bus.store.opening import open_store

NOW = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
FIELDS = {"operation": "", "outcome": ""}


class Counting:
    """A view that counts which queries it is asked."""

    def __init__(self, tx) -> None:
        self._tx, self.asked = tx, Counter()

    def __getattr__(self, name):
        return getattr(self._tx, name)

    def all(self, query, **parameters):
        self.asked[query] += 1
        return self._tx.all(query, **parameters)


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
            lines, after = reports.page(view, kept, NOW, NOW + dt.timedelta(days=1))
    assert after is None
    assert Counter(line["outcome"] for line in lines) == {"answered": 80, "refused": 40, "open": 1}
    assert view.asked["records_among_runs"] == 1
    assert view.asked["records_of_run"] == 0


class Telling:
    def reports(self):
        return [Report("prova", "A journal", "nobody asks for it", FIELDS, told)]


def told(exchange):
    return [{"operation": exchange.operation, "outcome": exchange.outcome}]
