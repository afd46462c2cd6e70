"""Routes become plans: the same rules give the same digest, and stored rules give the plan again."""

from __future__ import annotations

import copy
import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.engine.interpreter import Walk
from bus.errors import RulesError
from bus.mapping.compile import compile_mapping
from bus.message import Message, canonical
from bus.route import plan as p
from bus.route.compile import _kept, compile_route, plan_of
from bus.route.parse import parse_route
from bus.source import Notes, read

TABLES = {"uffici": {"SUE": {"codice": "SUE", "nome": "Edilizia"}}, "altra": {"X": {"codice": "X"}}}
MAPPING = {
    "mapping": "prova.m",
    "from": "a.b",
    "to": "c.d",
    "uses": ["persona"],
    "fields": {"x": "persona.nome", "u": "lookup('uffici', 'SUE', 'nome')"},
}
TEXT = """
route: prova.una
version: 3
owner: ced@comune.example
on: a.b
key: body.id
case: {id: body.id}
order: none
steps:
  - id: cerca
    call: s.cerca
    with: {cf: body.cf}
    as: persona
    timeout: 3s
    retry: {attempts: 2, wait: 1s, factor: 3, most: 1m}
    limit: {count: 2, per: 1m}
    undo: s.annulla
    case: {n: persona.n}
    on_error: [{when: error.kind == "refused", steps: [{id: no, fail: non.trovato, reason: error.sentence}]}]
  - {id: traduci, when: persona.nome != "", map: prova.m, as: m}
  - id: attendi
    wait: a.c
    case: id
    match: arrival.ok
    deadline: 2wd
    again: 1
    on_deadline: [{id: sollecita, send: a.d, with: {x: 1}}]
  - {id: insieme, parallel: {uno: [{id: u, set: {a: 1}}], due: [{id: d, reply: {b: 2}}]}}
  - {id: tutti, each: body.righe, item: riga, steps: [{id: r, set: {z: riga.z}}], collect: z, as: zz}
  - {id: raccogli, gather: a.c, count: 2, as: tante}
tests: []
"""


def document(text: str = TEXT) -> dict[str, Any]:
    found = read(text.encode(), "x.yaml").plain()
    assert isinstance(found, dict)
    return found


def plan(written: dict[str, Any], tables: dict[str, Any] = TABLES, mapping: dict[str, Any] = MAPPING) -> p.Plan:
    notes = Notes("x")
    made = compile_mapping(mapping, tables, notes)
    parsed = parse_route(written, notes)
    assert parsed is not None and made is not None, notes.findings
    compiled = compile_route(parsed, {"prova.m": made}, tables, notes)
    assert compiled.plan is not None, notes.findings
    return compiled.plan


def test_a_plan_says_all_that_the_route_says() -> None:
    made = plan(document())
    assert ("prova.una@3", "a.b", False) == (made.name, made.on, made.ordered)
    assert {"s.cerca", "s.annulla"} == made.operations
    assert ["cerca", "no", "traduci", "attendi", "sollecita", "insieme", "u", "d", "tutti", "r", "raccogli"] == [s.id for s in made.walk()]
    assert {f"prova.una@3/{s.id}" for s in made.walk()} == {s.place for s in made.walk()}
    call, _, wait, *_ = made.steps
    assert isinstance(call, p.CallStep)
    assert (3.0, p.Retry(2, 1.0, 3.0, 60.0), p.Throttle(2, 60.0), "persona", "s.annulla") == (
        call.timeout,
        call.retry,
        call.limit,
        call.as_,
        call.undo,
    )
    assert {"cf": "X"} == call.request({"body": {"cf": "X"}})
    assert isinstance(wait, p.WaitStep)
    assert wait.deadline is not None
    friday = dt.datetime(2026, 3, 6, 9, tzinfo=dt.UTC)
    assert dt.datetime(2026, 3, 10, 9, tzinfo=dt.UTC) == wait.deadline(friday)


def test_comments_blanks_key_order_and_tests_do_not_change_the_digest() -> None:
    other = TEXT.replace("route: prova.una\nversion: 3\n", "# note\nversion: 3\n\nroute:   'prova.una'   # name\n")
    written = document(other)
    written["tests"] = [{"name": "x"}]
    assert plan(document()).digest == plan(written).digest
    assert plan(document()).digest == plan(json.loads(json.dumps(document()))).digest


@pytest.mark.parametrize(("old", "new"), [("3s", "4s"), ("persona.n}", "persona.m}"), ("version: 3", "version: 4"), ('!= ""', '!= "x"')])
def test_any_change_of_the_route_changes_the_digest(old: str, new: str) -> None:
    assert old in TEXT
    assert plan(document()).digest != plan(document(TEXT.replace(old, new))).digest


def test_a_change_of_a_used_table_or_mapping_changes_the_digest_and_of_others_not() -> None:
    before = plan(document()).digest
    used = {**TABLES, "uffici": {"SUE": {"codice": "SUE", "nome": "Sportello"}}}
    unused = {**TABLES, "altra": {"X": {"codice": "X", "y": "z"}}}
    changed = {**MAPPING, "fields": {**MAPPING["fields"], "y": 1}}  # type: ignore[dict-item]
    assert before != plan(document(), used).digest
    assert before == plan(document(), unused).digest
    assert before != plan(document(), mapping=changed).digest


def test_stored_rules_give_the_plan_again_with_their_own_tables() -> None:
    made = plan(document())
    again = plan_of(json.loads(canonical(made.rules)))
    assert (made.digest, made.name, made.operations, made.ordered) == (again.digest, again.name, again.operations, again.ordered)
    translate = again.steps[1]
    assert isinstance(translate, p.MapStep)
    assert {"x": "Ada", "u": "Edilizia"} == translate.value({"persona": {"nome": "Ada"}})
    assert plan_of(made.rules) is plan_of(copy.deepcopy(made.rules))


def test_stored_rules_keep_the_order_of_the_tables_that_are_read_row_by_row() -> None:
    written = document()
    written["key"] = "rows('uffici')[0].codice"
    tables = {**TABLES, "uffici": {code: {"codice": code, "nome": "Edilizia"} for code in ("SUE", "ANA")}}
    made = plan(written, tables)
    again = plan_of(json.loads(canonical(made.rules)))
    assert made.key is not None and again.key is not None
    assert ("SUE", "SUE") == (made.key({}), again.key({}))
    assert made.digest == again.digest != plan(written, {**tables, "uffici": dict(reversed(tables["uffici"].items()))}).digest


@pytest.mark.parametrize(
    ("step", "dies"),
    [
        ("parallel: {z: [{id: zeta, fail: prova.z, dead: false}], a: [{id: alfa, fail: prova.a}]}", "prova.a "),
        ("set: {z: body.z, a: body.a}", "expression.failed a: "),
        ("reply: {z: body.z, a: [body.a]}", "expression.failed reply: field a[0]: "),
        ("reply: {z: {$when: 'true', $value: body.z}, a: {$when: 'true', $value: body.a}}", "expression.failed reply: field a: "),
    ],
)
def test_what_is_written_in_another_order_of_keys_does_the_same(step: str, dies: str) -> None:
    """The order is not in the fingerprint, nor in stored rules: a restart, a replay and another file's author would have others."""
    made = plan(document(f"route: prova.ordine\nversion: 1\non: a.b\nsteps: [{{id: uno, {step}}}]\n"))
    for each in (made, plan_of(json.loads(canonical(made.rules)))):
        walk = Walk(each, Message("m", "a.b", "/prova", dt.datetime(2026, 3, 2, tzinfo=dt.UTC), {}))
        walk.start()
        assert walk.failure is not None
        assert f"{walk.failure.code} {walk.failure.sentence}".startswith(dies)


def test_plans_share_the_rows_of_their_tables() -> None:
    """Each plan, and each text of stored rules by which one was found again, held the tables once more."""
    tables = {"uffici": {code: {"codice": code, "nome": "Edilizia"} for code in ("ANA", "SUE")}}
    made, other = plan(document(), tables), plan(document(TEXT.replace("3s", "4s")), tables)
    assert made.rules["tables"]["uffici"] is other.rules["tables"]["uffici"] is tables["uffici"]  # type: ignore[index, call-overload]
    stored = [plan_of(json.loads(canonical(one.rules))).rules["tables"]["uffici"] for one in (made, other)]  # type: ignore[index, call-overload]
    assert stored[0] is stored[1]
    assert _kept.cache_parameters()["maxsize"] == 512
    assert len(_kept(made.digest)) == 1, "by its digest, not by its text"


def test_rules_of_another_format_are_refused() -> None:
    with pytest.raises(RulesError) as caught:
        plan_of({**plan(document()).rules, "format": 99})
    assert "rules.format" == caught.value.code


def test_rules_that_do_not_compile_any_more_say_why() -> None:
    rules = copy.deepcopy(plan(document()).rules)
    rules["route"]["key"] = "bdy.id"  # type: ignore[index,call-overload]
    with pytest.raises(RulesError) as caught:
        plan_of(rules)
    assert ["name.undefined"] == [f.code for f in caught.value.findings]


@given(st.permutations(["route", "version", "owner", "on", "key", "case", "order", "steps"]))
def test_the_order_of_keys_never_counts(order: list[str]) -> None:
    written = document()
    assert plan({name: written[name] for name in order}).digest == plan(written).digest


STRANGERS = """
route: prova.nomi
version: 1
on: a.b
key: body.id + xxx1
steps:
  - {id: prima, set: {p: 'xxx2 + body.a'}}
  - id: righe
    each: 'body.righe + xxx3'
    item: riga
    steps: [{id: dentro, set: {d: 'xxx4 + 1'}}]
    collect: 'd + xxx5'
    as: tutte
  - id: scegli
    choose: [{when: 'p == xxx6', steps: [{id: uno, set: {u: 1}}]}]
    otherwise: [{id: due, set: {v: 'xxx7 + 1'}}]
  - {id: attendi, wait: a.c, as: venuta, on_late: [{id: tardi, set: {t: 'xxx8 + 1'}}]}
  - {id: fine, set: {f: {'$each': body.righe, '$as': una, '$value': 'una + xxx9'}}}
"""


def test_a_hint_lists_the_names_that_are_known_at_its_place() -> None:
    """Not those that are set only later, or are seen elsewhere alone."""
    notes = Notes("nomi.yaml")
    compile_route(parse_route(read(STRANGERS.encode(), "nomi.yaml").plain(), notes), {}, {}, notes)
    told = {one.sentence.partition("xxx")[2][:1]: set(one.hint.partition("known here: ")[2].split(", ")) for one in notes.findings}
    always = {"body", "case", "message", "now"}
    after = always | {"p", "tutte"}
    assert told == {
        "1": always - {"case"},
        "2": always,
        "3": always | {"p"},
        "4": always | {"p", "riga"},
        "5": always | {"p", "riga", "d"},
        "6": after,
        "7": after,
        "8": always,
        "9": after | {"u", "v", "venuta", "una"},
    }
