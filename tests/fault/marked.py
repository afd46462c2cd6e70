"""Rules that leave their mark on all they do, and the judge that reads the marks: no run may carry two.

Each version marks its routes, a mapping and a table with its number; every call says all three and whose run it is. Two routes: one that
goes through at once and sends a message of its own, one that waits for a receipt between its two calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

TYPE = """
type: prova.{0}
title: Of the fault suite
case: {{pratica: body.chi}}
schema:
  type: object
  additionalProperties: false
  required: [chi]
  properties: {{chi: {{type: string}}, versione: {{type: string, title: "MARK"}}}}
"""
MAPPING = """
mapping: prova.marca
from: prova.{0}
to: prova.{0}
fields: {{chi: body.chi, versione: '"MARK"'}}
"""
HEAD = """
route: prova.{0}
version: 1
owner: prove@comune.example
purpose: of the fault suite, MARK
on: prova.{0}
case: {{pratica: body.chi}}
steps:
"""
RETRY = "retry: {attempts: 400, wait: 1s, factor: 1, most: 1s}"
CALL = """  - id: {0}
    call: {1}.scrivi
    with: {{chi: '"{0} MARK " + {2} + " " + lookup("marche", "ora").marca + " " + body.chi'}}
    {3}
"""
STEPS = {
    "diretta": [
        "  - {id: traduci, map: prova.marca, as: tradotto}\n",
        CALL.format("primo", "alfa", "tradotto.versione", RETRY),
        CALL.format("secondo", "beta", "tradotto.versione", RETRY),
        "  - {id: manda, send: prova.figlia, with: {chi: 'body.chi + \"-figlia\"'}}\n",
        CALL.format("terzo", "alfa", "tradotto.versione", RETRY),
    ],
    "figlia": [CALL.format(step, "beta", '"MARK"', RETRY) for step in ("primo", "secondo")],
    "paziente": [
        CALL.format("primo", "alfa", '"MARK"', RETRY),
        "  - {id: ricevuta, wait: prova.ricevuta, case: pratica, deadline: 30d, as: ricevuta}\n",
        CALL.format("secondo", "beta", '"MARK"', RETRY),
    ],
}
WANTED = {"diretta": {"primo", "secondo", "terzo"}, "figlia": {"primo", "secondo"}, "paziente": {"primo", "secondo"}}
BAD = (
    ("routes/diretta.yaml", "route: [\n"),
    ("routes/figlia.yaml", "route: prova.figlia\nversion: 1\non: prova.nessuno\nsteps: [{id: a, set: {x: 1}}]\n"),
    ("mappings/marca.yaml", "mapping: prova.marca\nfrom: prova.diretta\nto: prova.diretta\nfields: {chi: body.chii}\n"),
    ("mappings/tables/marche.csv", "chiave,marca\nora,1\nora,2\n"),
)
"""Files with a mistake each, of four kinds."""


def version(mark: str, remark: str = "") -> dict[str, str]:
    """All files of one version of the rules; a ``remark`` is a comment."""
    files = {f"routes/{name}.yaml": HEAD.format(name) + "".join(steps) for name, steps in STEPS.items()}
    files |= {f"mappings/types/prova.{name}.yaml": TYPE.format(name) for name in (*STEPS, "ricevuta")}
    files |= {"mappings/marca.yaml": MAPPING.format("diretta"), "mappings/tables/marche.csv": "chiave,marca\nora,MARK\n"}
    return {
        path: text.replace("MARK", mark) + (f"# {remark}\n" if remark and path.endswith("yaml") else "") for path, text in files.items()
    }


def judged(sent: Mapping[str, str], effects: Iterable[str]) -> list[str]:
    """What is wrong: ``sent`` are the promised messages, name to kind; ``effects`` the texts ``step mark mark mark name`` of the ledgers."""
    wanted = {**sent, **{f"{name}-figlia": "figlia" for name, kind in sent.items() if kind == "diretta"}}
    marks: dict[str, set[str]] = defaultdict(set)
    steps: dict[str, list[str]] = defaultdict(list)
    for effect in effects:
        step, *found, name = effect.split(" ")
        marks[name].update(found)
        steps[name].append(step)
    faults = [f"{name} mixes rules: {sorted(found)}" for name, found in marks.items() if len(found) > 1]
    faults += [f"{name} was done and nobody asked for it" for name in steps.keys() - wanted.keys()]
    for name, kind in wanted.items():
        if sorted(steps[name]) != sorted(WANTED[kind]):
            faults.append(f"{name} ({kind}) should have done {sorted(WANTED[kind])}, and did {sorted(steps[name])}")
    return faults
