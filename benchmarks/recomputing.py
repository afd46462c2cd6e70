"""How fast runs are replayed and edited rules planned: messages through a mapping of 20 fields and one call, as they lie in the log.

CPU time of this process, which reads the log, recomputes and compares; the bus that made the log has stopped. The plan's edit changes one
field of the mapping, so that every message goes through both rules and is different.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.house import settings
from benchmarks.work import SAMPLES, WIDTH
from bus import config
from bus.adapter import Adapter, Call, Contract, operation
from bus.app import App
from bus.cli.databases import give_keys
from bus.cli.replay import replayed
from bus.engine.arrival import Submission
from bus.planning.planning import planned
from bus.replay import window
from bus.store.opening import Reader, open_reader
from bus.systems import adapters_of

COUNT, ROUNDS = 4_000, 5
RULES = Path(__file__).parent / "rules"


class Ricevuta(Contract):
    ricevuta: str


def measured(folder: Path, count: int = COUNT, rounds: int = ROUNDS) -> dict[str, Any]:
    """Messages per second of CPU time: replayed, planned under another mapping, and planned under rules that are the same."""
    path = folder / "config.yaml"
    path.write_text(json.dumps(settings(folder, "http://127.0.0.1:9", "postgresql+psycopg://nobody@/nowhere")), "utf-8")
    known = config.load(path)
    adapters = {**adapters_of(known), "consegna": _at_once(adapters_of(known)["consegna"])}
    _work(App(known, adapters=adapters), count)
    shutil.copytree(RULES, folder / "edited")
    mapping = folder / "edited/mappings/pratica-a-consegna.yaml"
    mapping.write_text(mapping.read_text("utf-8").replace("nome: upper(", "nome: lower("), "utf-8")
    offered = {f"{name}.{one.name}": one for name, adapter in adapters.items() for one in adapter.operations.values()}
    with closing(open_reader(known.store.url)) as reader:
        give_keys(reader, known)
        replays = _rounds(rounds, count, lambda: _replay(reader, offered, count))
        plans = _rounds(rounds, count, lambda: _plan(reader, folder / "edited", offered, count))
    return {"messages": count, "rounds": rounds, "replay": replays, "plan": plans}


def _at_once(real: Adapter) -> Adapter:
    """An adapter with the declarations of the real one, that answers at once: what is measured comes after."""

    class Consegna(Adapter):
        @operation(effect="keyed", timeout=10)
        def trasmetti(self, request: Contract, ctx: Call) -> Ricevuta:
            return Ricevuta(ricevuta="R-1")

    made = Consegna("consegna", Consegna.Settings())
    answers = {name: replace(one, method="trasmetti", probe=None) for name, one in real.operations.items()}
    made.operations = answers  # type: ignore[misc]
    return made


def _work(app: App, count: int) -> None:
    """Take so many messages in and work on them until all are done."""
    sample = SAMPLES["pratica"][0]
    text = json.dumps(sample.body)
    app.start()
    try:
        coming = [
            app.send(Submission(sample.type, json.loads(text.replace("0" * WIDTH, f"{n:0{WIDTH}}")), "banco", key=str(n)))
            for n in range(count)
        ]
        for accepted in coming:
            accepted.result()
        while app.backlog.check() is None and any(app.runs(state=state, most=1) for state in ("ready", "running")):
            time.sleep(0.1)
        dead = app.runs(state="dead", most=1)
        assert not dead, dead
    finally:
        app.stop()


def _rounds(rounds: int, count: int, work: Callable[[], None]) -> dict[str, int]:
    work()  # the first one compiles the rules
    spent = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        spent.append(count / (time.process_time() - begun))
    return {"per_second": round(statistics.median(spent)), "slowest": round(min(spent)), "fastest": round(max(spent))}


def _replay(reader: Reader, offered: Any, count: int) -> None:
    report = replayed(reader, offered, "", ("2020-01-01", ""), every=False)
    assert report.counts == {"equal": count}, report.as_text()[:500]


def _plan(reader: Reader, edited: Path, offered: Any, count: int) -> None:
    found = planned(reader, edited, offered, window.newest(reader, count), 3)
    assert found.course is not None
    assert found.course.counts["changed"] == count, found.as_text()


def table(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Markdown."""
    rows = [
        f"| {name} | {found[key]['per_second']:,} | {found[key]['slowest']:,} – {found[key]['fastest']:,} |"
        for name, key in (("replay", "replay"), ("plan, one field of the mapping edited", "plan"))
    ]
    return "\n".join([
        f"# Replay and plan, {machine['processor']}, {machine['cores']} cores",
        "",
        f"{found['messages']:,} messages through a mapping of 20 fields and one call, out of SQLite; median of {found['rounds']}.",
        "",
        "| | messages per second of one core | slowest – fastest |",
        "|---|---|---|",
        *rows,
    ])  # fmt: skip
