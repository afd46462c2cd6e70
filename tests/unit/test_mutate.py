"""Mistakes in rules, and whether tests notice them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bus.catalog import Catalog
from bus.cli.rules import Declared
from bus.examine import examine
from bus.testing.mutate import Score, mutants, score

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def catalog(known: Declared) -> Catalog:
    catalog, _ = examine(PROJECT, known.operations)
    assert catalog is not None
    return catalog


ROUTES = (
    "anagrafe.certificato", "edilizia.presenta-pratica", "notifiche.avviso", "pagamenti.anomalia", "pagamenti.ricevuta",
    "registro.sigillo-giornaliero", "servizi.istanza-generica", "sito.catalogo",
)  # fmt: skip


def test_every_shipped_route_is_scored(catalog: Catalog) -> None:
    assert set(ROUTES) == set(catalog.routes)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ROUTES)
def test_the_tests_of_a_shipped_route_notice_four_mistakes_of_five(name: str, catalog: Catalog, known: Declared) -> None:
    found = score(catalog.routes[name], catalog, known.operations)
    assert found.percent >= 80, found.survivors
    assert found.noticed >= 10


def rules(**route: object) -> dict[str, object]:
    return {"format": 1, "route": {"route": "prova.a", "version": 1, "on": "prova.x", **route}, "mappings": {}, "tables": {}}


def test_values_are_mistaken_within_templates_and_numbers_also_where_they_count() -> None:
    written = {"si": True, "quanti": 2, "come": "f(body.a, body.b ? 1 : 2)"}
    steps = [
        {"id": "a", "call": "x.y", "with": written, "retry": {"attempts": 1}, "tace": True},
        {"id": "b", "gather": "prova.z", "count": 2, "by": "body.k == 'x'", "again": 3, "limit": 4},
    ]
    found = {f"{one.where}: {one.what}": one for one in mutants(rules(steps=steps))}  # type: ignore[arg-type]
    assert found.keys() == {
        "route a: step left out", "route b: step left out", "route steps: step `b` before `a`", "route a.with.si: `si` left out",
        "route a.with.si: false for true", "route a.with.quanti: `quanti` left out", "route a.with.quanti: 3 for 2",
        "route a.with.come: `come` left out", "route a.with.come: 2 for 1", "route a.with.come: 3 for 2",
        "route a.with.come: `body.b` turned round", "route b.count: 3 for 2", "route b.by: `by` left out", "route b.by: `!=` for `==`",
        "route b.by: another text for 'x'", "route b.again: `again` left out", "route b.again: 4 for 3",
    }  # fmt: skip
    [first, _] = found["route a.with.come: `body.b` turned round"].rules["route"]["steps"]  # type: ignore[call-overload,index]
    assert first["with"] == written | {"come": "f(body.a, !(body.b) ? 1 : 2)"}


def test_mistakes_are_those_that_people_make() -> None:
    steps = [
        {"id": "a", "when": "body.n > 3", "call": "x.y", "with": {"f": "'uno'"}, "retry": {"attempts": 3}},
        {"id": "b", "wait": "prova.z", "deadline": "30d"},
    ]
    found = {f"{one.where}: {one.what}" for one in mutants(rules(steps=steps))}  # type: ignore[arg-type]
    assert found == {
        "route a: step left out", "route b: step left out", "route a.when: `when` left out", "route a.when: `when` turned round",
        "route a.when: `>=` for `>`", "route a.when: 4 for 3", "route a.with.f: `f` left out", "route a.with.f: another text for 'uno'",
        "route a.retry.attempts: never tried again", "route b.deadline: twice as long", "route b.deadline: half as long",
        "route steps: step `b` before `a`",
    }  # fmt: skip


def changed(step: dict[str, object]) -> dict[str, dict[str, object]]:
    """By what is mistaken in a step, how the step is then."""
    return {one.what: one.rules["route"]["steps"][0] for one in mutants(rules(steps=[{"id": "a", **step}])) if one.pointer != ("steps", 0)}  # type: ignore[arg-type, index, call-overload]


def test_every_operator_of_a_condition_is_mistaken_and_none_within_a_text() -> None:
    assert set(changed({"when": "body.n >= 3 && body.m == 'a == b' && body.n <= 9"})) == {
        "`when` left out", "`when` turned round", "`>` for `>=`", "`||` for `&&`", "`!=` for `==`", "`<` for `<=`", "4 for 3", "10 for 9",
        "another text for 'a == b'",
    }  # fmt: skip
    made = [
        one.rules["route"]["steps"][0].get("when") for one in mutants(rules(steps=[{"id": "a", "when": "b && c && d"}])) if "||" in one.what
    ]  # type: ignore[arg-type, index, call-overload]
    assert made == ["b || c && d", "b && c || d"]


@pytest.mark.parametrize(
    ("written", "mistaken"),
    [
        ("body.?urgente.orValue(false) ? 'A' : 'B'", "!(body.?urgente.orValue(false)) ? 'A' : 'B'"),
        ("'x' + (body.urgente ? 'A' : 'B')", "'x' + (!(body.urgente) ? 'A' : 'B')"),
        ("a > 1 ? 'A' : body.urgente ? 'B' : 'C'", "a > 1 ? 'A' : !(body.urgente) ? 'B' : 'C'"),
        ("body.righe.all(r, r.ok)", "body.righe.exists(r, r.ok)"),
        ("body.righe.exists(r, r.ok)", "body.righe.all(r, r.ok)"),
        ("body.?urgente.orValue(false)", "body.?urgente.orValue(true)"),
        ("body.totale - body.sconto", "body.totale + body.sconto"),
    ],
)
def test_choices_quantifiers_and_truths_are_mistaken(written: str, mistaken: str) -> None:
    assert {"reply": {"x": mistaken}, "id": "a"} in changed({"reply": {"x": written}}).values()


def test_steps_whose_order_shows_are_exchanged_and_no_others() -> None:
    steps = [{"id": "a", "call": "x.y"}, {"id": "b", "send": "z"}, {"id": "c", "wait": "z", "again": 1}, {"id": "d", "reply": {}}]
    found = {f"{one.where}: {one.what}" for one in mutants(rules(steps=[*steps, {"id": "e", "fail": "prova.no"}]))}  # type: ignore[arg-type]
    assert {one for one in found if "before" in one} == {"route steps: step `c` before `b`"}
    assert {"route c.again: 2 for 1", "route e.fail: another code for prova.no"} <= found


def test_a_key_of_the_case_that_its_type_gives_too_is_no_mistake(catalog: Catalog, known: Declared) -> None:
    anomaly = catalog.routes["pagamenti.anomalia"]
    assert any("`iuv` left out" in one.what for one in mutants(anomaly.plan.rules))
    assert not any("`iuv` left out" in one for one in score(anomaly, catalog, known.operations).survivors)


def test_each_mistake_is_one_change_and_leaves_the_rules_alone() -> None:
    original = rules(steps=[{"id": "b", "wait": "prova.z", "deadline": "30d"}])
    made = {one.what: one.rules["route"]["steps"] for one in mutants(original)}  # type: ignore[arg-type, index, call-overload]
    assert made["twice as long"][0]["deadline"] == "60d"
    assert made["step left out"] == []
    assert original == rules(steps=[{"id": "b", "wait": "prova.z", "deadline": "30d"}])


def test_a_test_that_looks_at_nothing_notices_little(catalog: Catalog, known: Declared) -> None:
    route = catalog.routes["sito.catalogo"]
    blind = [test.model_copy(update={"expect": type(test.expect)(state="done")}) for test in route.tests[:1]]
    seeing = score(route, catalog, known.operations)
    found = score(type(route)(route.plan, route.file, tuple(blind), texts=route.texts), catalog, known.operations)
    assert found.percent < seeing.percent
    assert found.survivors
    assert all(re.match(r"routes/sito/catalogo\.yaml:\d+:\d+: route \w+", one) for one in found.survivors), found.survivors


def test_nothing_to_mistake_is_a_full_score() -> None:
    assert 100 == Score("a", 0, ()).percent
    assert 66 == Score("a", 2, ("x",)).percent


def test_numbers_are_mistaken_by_what_people_mistake_them_for() -> None:
    wait = {"wait": "prova.z", "deadline": "30d", "again": 2}
    made = changed(wait)
    assert {"60d", "15d"} == {made[what]["deadline"] for what in ("twice as long", "half as long")}
    assert made["3 for 2"]["again"] == 3
    assert changed({"gather": "prova.z", "count": 2})["3 for 2"]["count"] == 3
    call = {"call": "x.y", "retry": {"attempts": 3, "wait": "1m"}}
    assert changed(call)["never tried again"]["retry"] == {"attempts": 1, "wait": "1m"}
    assert changed({"reply": {"n": 1, "s": True}})["2 for 1"]["reply"] == {"n": 2, "s": True}
