"""The checker never raises, whatever a file holds; and what it must not say."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from bus.examine import examine
from bus.mapping.compile import compile_mapping
from bus.mapping.types import compile_type
from bus.route.check import check_route
from bus.route.compile import compile_route
from bus.route.parse import parse_route
from bus.route.tests_check import check_tests
from bus.route.world import World, check_mapping
from bus.services import check_services, read_services
from bus.source import Notes, read_file, walk
from tests.corpus.files import WORLD
from tests.corpus.world.operations import OPERATIONS

CATALOG, _ = examine(WORLD, OPERATIONS)
ODD: list[Any] = [
    None, True, 0, -1, 1.5, "", "body", "body.istanza", "x y", "1 +", "null", "persona.nome", "sistema.cerca", "prova.ricevuta", [], {}, [1],
    {"id": "a"}, [{"id": "cerca"}], {"$value": 1}, {"$each": "body.righe"}, {"a": {"b": ["c"]}}, [[[]]], "30d", "\n",
]  # fmt: skip


def mutated(document: Any, chance: random.Random) -> Any:
    """A copy with one to three values replaced, removed, renamed or doubled."""
    made = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        holders = [made]
        for holder in holders:
            inner = holder.values() if isinstance(holder, dict) else holder
            holders.extend(one for one in inner if isinstance(one, (dict, list)))
        if not any(holders):
            break
        holder = chance.choice([one for one in holders if one])
        if isinstance(holder, dict):
            key = chance.choice(list(holder))
            action = chance.random()
            value = holder.pop(key) if action < 0.4 else holder[key]
            if action < 0.2:
                holder[chance.choice(["with", "when", "case", "as", "steps", "zz", "mapping", "$when"])] = value
            elif action >= 0.4:
                holder[key] = copy.deepcopy(chance.choice(ODD))
        else:
            holder[chance.randrange(len(holder))] = copy.deepcopy(chance.choice(ODD))
    return made


def world() -> World:
    assert CATALOG is not None
    return World(OPERATIONS, CATALOG.types, CATALOG.mappings)


def check(kind: str, document: Any, notes: Notes) -> None:
    assert CATALOG is not None
    if kind == "route" and (parsed := parse_route(document, notes)):
        check_route(compile_route(parsed, CATALOG.mappings, CATALOG.tables, notes), world(), notes, lambda _: notes)
        check_tests(parsed, world(), notes)
    elif kind == "mapping" and (made := compile_mapping(document, CATALOG.tables, notes)):
        check_mapping(made, world(), notes)
    elif kind == "type":
        compile_type(document, notes)
    elif kind == "services":
        read_services(document, notes)


@pytest.mark.parametrize("file", ["routes/buona.yaml", "mappings/registrazione.yaml", "mappings/types/istanza.yaml", "routes/servizi.yaml"])
@pytest.mark.parametrize("seed", range(5))
def test_no_document_makes_the_checker_raise(file: str, seed: int) -> None:
    kind = {"routes/buona.yaml": "route", "mappings/registrazione.yaml": "mapping", "routes/servizi.yaml": "services"}.get(file, "type")
    document = read_file(WORLD / file).plain()
    chance = random.Random(f"{file} {seed}")
    for _ in range(60):
        broken = mutated(document, chance)
        try:
            check(kind, broken, Notes("x"))
        except Exception as error:
            raise AssertionError(f"{error!r} on {broken}") from error


def test_every_expression_of_a_route_is_reached_by_the_checker() -> None:
    """Each expression, renamed to something unknown, is a finding."""
    assert CATALOG is not None
    document = read_file(WORLD / "routes/buona.yaml").plain()
    notes = Notes("x")
    parsed = parse_route(document, notes)
    assert parsed is not None
    compiled = compile_route(parsed, CATALOG.mappings, CATALOG.tables, notes)
    pointers = [used.pointer for group in compiled.used.values() for used in group]
    assert len(pointers) >= 25
    for pointer in pointers:
        broken = copy.deepcopy(document)
        holder = broken
        for piece in pointer[:-1]:
            holder = holder[piece]
        holder[pointer[-1]] = "nessuno.sa"
        found = Notes("x")
        check("route", broken, found)
        assert "name.undefined" in [f.code for f in found.findings], pointer


def test_every_scalar_of_a_good_route_has_its_place() -> None:
    source = read_file(WORLD / "routes/buona.yaml")
    assert source.root is not None
    for pointer, node in walk(source.root):
        if node.kind == "scalar":
            assert (node.line, node.column) == source.place(pointer)


def test_services_are_checked_against_what_is_there() -> None:
    notes = Notes("x")
    document = {"servizi": [{"codice": "a", "titolo": "A", "ufficio": "X", "tipo": "istanza", "modulo": "no.tipo", "percorso": "no.rotta"}]}
    check_services(read_services(document, notes), document, {}, {}, {}, {"SUE": {}}, notes)
    assert ["service.unknown-office", "service.unknown-form", "service.unknown-route"] == [f.code for f in notes.findings]


def test_an_office_that_is_not_there_is_one_finding_however_many_services_name_it() -> None:
    entry = {"titolo": "A", "tipo": "informativo", "descrizione": "A"}
    document = {"servizi": [{**entry, "codice": f"s{at}", "ufficio": office} for at, office in enumerate(("SUE", "SUAP", "SUAP", "SUV"))]}
    for offices, told in (
        (
            {"SUE": {}, "SUW": {}},
            ["there is no office `SUAP` in table uffici; 2 services name it", "there is no office `SUV` in table uffici"],
        ),
        ({}, ["the table uffici has no row, so that there is no office; 4 services name one"]),
    ):
        notes = Notes("x")
        check_services({}, document, {}, {}, {}, offices, notes)
        assert [one.sentence for one in notes.findings] == told
