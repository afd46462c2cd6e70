"""A replay of all that can become of a run: decided, redelivered under other rules, given up, with the rules changed and rolled back."""

from __future__ import annotations

from pathlib import Path

from bus.activation import files_of
from bus.cli.replay import replayed
from bus.replay.report import Report
from tests.integration.workshop import ROUTES, Sistema, Workshop, workshop, write_rules

OPERATIONS = {f"sistema.{name}": operation for name, operation in Sistema.operations.items()}
CAUGHT = """
key: body.a
case: {a: body.a}
steps:
  - id: scrivi
    call: sistema.scrivi
    with: {x: body.a, modo: "'bene'"}
    as: scritto
  - id: avvisa
    call: sistema.avvisa
    with: {x: body.a, modo: body.modo}
    on_error:
      - when: error.kind == "refused"
        steps:
          - id: disfa
            call: sistema.scrivi
            with: {x: '"disfatto-" + body.a', modo: "'bene'"}
  - id: rispondi
    reply: {numero: scritto.numero}
"""


def told(shop: Workshop) -> Report:
    return replayed(shop.app.store, OPERATIONS, "", ("2020-01-01", ""), every=True)


def test_whatever_became_of_a_run_it_is_recomputed_as_it_was(tmp_path: Path) -> None:
    with workshop(tmp_path) as shop:
        runs, (happened, again, given_up) = shop.troubles()
        other = write_rules(tmp_path / "altre", {**ROUTES, "prova.inizio": CAUGHT})
        path = other / "routes/prova.inizio.yaml"
        path.write_text(path.read_text("utf-8").replace("version: 1", "version: 2"), "utf-8")
        shop.app.activate(files_of(other), "chiara", "altre regole")
        undone = shop.start("a-disfatta", "no-avvisa")
        doubt = shop.start("a-dubbio", "dubbio-avvisa")
        shop.when(undone, "dead", "done")
        shop.when(doubt, "dead")
        shop.system.well = True
        shop.app.redeliver(runs["no-registra"], "chiara", "con altre regole", current_rules=True)
        shop.app.redeliver(runs["giu-scrivi"], "chiara", "il sistema risponde")
        shop.app.decide(happened, "chiara", "visto di là", "happened", {"x": "a", "numero": 0})
        shop.app.rollback("chiara", "torna indietro")
        shop.app.redeliver(runs["perso-registra"], "chiara", "il sistema risponde")
        shop.app.decide(again, "chiara", "di là non c'è", "again")
        shop.app.decide(doubt, "chiara", "di là non c'è", "again")
        shop.app.discard(given_up, "chiara", "rinunciato")
        for run in (*runs.values(), happened, again, doubt):
            shop.when(run, "done", "dead")
        shop.quiet()
        report = told(shop)
    verdicts = [verdict for verdict, _ in report.kept]
    assert [one for one in verdicts if one.result != "equal"] == []
    assert {one.state for one in verdicts} == {"done", "cancelled"}
