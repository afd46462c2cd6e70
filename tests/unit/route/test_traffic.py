"""Messages that lead to one another for ever are told where that is sure, and nowhere else; what was found before is not believed then."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.earlier import Earlier
from bus.examine import examine, review
from bus.rulefiles import files_of
from tests.integration.workshop import write_rules

TYPES = {"prova.andata": "case: {a: body.a}", "prova.ritorno": "case: {a: body.a}"}
SENDS = "steps:\n  - {id: manda, send: NAME, with: {a: body.a}}\n"
THERE, BACK = SENDS.replace("NAME", "prova.ritorno"), SENDS.replace("NAME", "prova.andata")
IN_A_WHILE = BACK.replace("steps:\n", "steps:\n  - {id: pausa, wait: , deadline: 1d}\n")
AWAITED = "steps:\n  - {id: risposta, wait: prova.ritorno, deadline: 1d}\n"


def found(folder: Path, there: str, back: str, types: dict[str, str] = TYPES, more: str = "") -> list[str]:
    routes = {"prova.andata": there, "prova.ritorno": back, **({"prova.domanda": more} if more else {})}
    folder = write_rules(folder, routes, {**types, **({"prova.domanda": "case: {a: body.a}"} if more else {})})
    _, findings = examine(folder, {})
    assert not [one for one in findings if one.severity == "error"]
    return [f"{one.file}: {one.sentence}" for one in findings if one.code == "send.endless"]


def test_two_routes_that_send_to_each_other_are_told_each_with_the_way(tmp_path: Path) -> None:
    assert found(tmp_path, THERE, BACK) == [
        "routes/prova.andata.yaml: each message leads to another one, for ever: prova.andata → prova.ritorno → prova.andata",
        "routes/prova.ritorno.yaml: each message leads to another one, for ever: prova.ritorno → prova.andata → prova.ritorno",
    ]


@pytest.mark.parametrize(
    "back",
    [
        BACK.replace("id: manda,", "id: manda, when: body.a != '',"),
        BACK.replace("steps:", "key: body.a\nsteps:"),
        IN_A_WHILE,
        "steps:\n  - {id: forse, choose: [{when: body.a != '', steps: [{id: fine, fail: prova.fine, reason: body.a}]}]}\n" + BACK[7:],
    ],
)
def test_what_may_end_is_not_told(tmp_path: Path, back: str) -> None:
    assert found(tmp_path, THERE, back) == []


def test_a_type_with_a_key_or_that_a_run_waits_for_ends_the_circle(tmp_path: Path) -> None:
    assert found(tmp_path / "key", THERE, BACK, {**TYPES, "prova.ritorno": "case: {a: body.a}\nkey: body.a"}) == []
    assert found(tmp_path / "wait", THERE, BACK, more=AWAITED) == []


def test_what_was_found_before_is_not_believed_when_the_other_route_is_edited(tmp_path: Path) -> None:
    assert found(tmp_path, THERE, IN_A_WHILE) == []
    earlier = Earlier()
    assert not [one for one in review(files_of(tmp_path), {}, earlier) if one.code == "send.endless"]
    path = tmp_path / "routes/prova.ritorno.yaml"
    path.write_text(path.read_text("utf-8").replace("  - {id: pausa, wait: , deadline: 1d}\n", ""), "utf-8")
    told = review(files_of(tmp_path), {}, earlier)
    assert {one.file for one in told if one.code == "send.endless"} == {"routes/prova.andata.yaml", "routes/prova.ritorno.yaml"}
