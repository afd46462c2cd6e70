"""The shipped routes: no finding, every test passes, and together the tests take every way of every route."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from bus.catalog import Catalog
from bus.cli.rules import Declared
from bus.engine.arrival import Submission, check
from bus.errors import Invalid
from bus.examine import examine
from bus.route.branches import branches_of
from bus.testing.routes import run_folder, untested
from bus.web.public import type_schema

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def catalog(known: Declared) -> Catalog:
    catalog, findings = examine(PROJECT, known.operations)
    assert findings == []
    assert catalog is not None
    return catalog


def test_every_test_of_every_route_passes_and_every_way_is_taken(catalog, known):
    verdicts = run_folder(catalog, known.operations)
    assert [(one.place, one.faults) for one in verdicts if not one.passed] == []
    assert untested(catalog, verdicts) == {}
    assert len(verdicts) > 60


def test_there_is_something_to_take(catalog):
    assert sum(len(branches_of(route.plan)) for route in catalog.routes.values()) > 80


def test_every_service_of_the_catalogue_is_reachable_by_one_message(catalog):
    starts = {catalog.routes[str(service.row()["percorso"])].plan.on for service in catalog.services.values() if service.tipo == "istanza"}
    assert starts == {"servizi.istanza.presentata", "edilizia.pratica.presentata", "anagrafe.certificato.richiesto"}


APPLICATION = {
    "istanza": "S-1",
    "servizio": "tessera-elettorale",
    "richiedente": {"codice_fiscale": "BNCNNA80A41B429E", "cognome": "Bianchi", "nome": "Anna"},
    "dati": {},
}


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({}, []),
        ({"servizio": "tessera-eletorale"}, ["/servizio"]),
        ({"servizio": "cambio-residenza"}, ["/servizio"]),
        ({"servizio": "scia-edilizia"}, ["/servizio"]),
        ({"dati": {"colore": "blu"}}, ["/dati/colore"]),
        ({"servizio": "spunta-mercato"}, ["/dati"]),
        ({"servizio": "spunta-mercato", "dati": {"impresa": {"partita_iva": "1", "denominazione": ""}}}, ["/dati/impresa/denominazione", "/dati/impresa/partita_iva"]),
    ],
)  # fmt: skip
def test_the_form_of_a_service_is_checked_at_the_door_with_all_its_faults(catalog, changes, pointers):
    faults = catalog.validate("servizi.istanza.presentata", {**APPLICATION, **changes})
    assert sorted(fault.pointer for fault in faults) == pointers


@pytest.mark.parametrize("mark", ["\u0001", "\u001f", "\uffff"])
def test_marks_that_no_other_system_takes_are_refused_at_the_door(catalog, mark):
    person = {"codice_fiscale": "BNCNNA80A41B429E", "cognome": "D'Angelò", "nome": "Zoë 😀"}
    building = {"istanza": "E-1", "procedimento": "CIL", "oggetto": "Tetto\ne facciata", "richiedente": person, "indirizzo": "Via Roma",
                "mappali": [{"foglio": "1", "particella": "2"}]}  # fmt: skip
    certificate = {"istanza": "C-1", "richiedente": {"codice_fiscale": "BNCNNA80A41B429E"}, "tipo": "8", "uso": "lavoro"}
    wrong = {**person, "cognome": f"Bianchi{mark}", "nome": f"{mark}Anna"}
    for name, body, changes in (
        ("servizi.istanza.presentata", {**APPLICATION, "richiedente": person}, {"richiedente": wrong}),
        ("edilizia.pratica.presentata", building, {"richiedente": wrong, "oggetto": f"a{mark}", "indirizzo": f"b{mark}"}),
        ("anagrafe.certificato.richiesto", certificate, {"uso": f"lavoro{mark}"}),
    ):
        assert catalog.validate(name, body) == []
        pointers = [f"/richiedente/{field}" for field in ("cognome", "nome")] if "richiedente" in changes else []
        pointers += [f"/{field}" for field in changes if field != "richiedente"]
        assert sorted(fault.pointer for fault in catalog.validate(name, {**body, **changes})) == sorted(pointers)


def test_a_name_of_two_lines_or_columns_is_refused_at_the_door(catalog):
    person = {**APPLICATION["richiedente"], "nome": "Anna\tMaria"}
    [fault] = catalog.validate("servizi.istanza.presentata", {**APPLICATION, "richiedente": person})
    assert fault.pointer == "/richiedente/nome"


def test_codes_of_tables_are_checked_at_the_door(catalog):
    body = {"istanza": "C-1", "richiedente": {"codice_fiscale": "BNCNNA80A41B429E"}, "tipo": "8"}
    assert catalog.validate("anagrafe.certificato.richiesto", body) == []
    [fault] = catalog.validate("anagrafe.certificato.richiesto", {**body, "tipo": "99"})
    assert fault.pointer == "/tipo" and "99" not in fault.sentence


def test_types_say_of_every_field_of_their_replies_who_may_see_it(catalog):
    """What they do not name only those may see who see everything; and the name of a field that no reply has would help nobody."""
    given = {route.plan.on: set(_replied(route.plan.rules["route"])) for route in catalog.routes.values()}
    assert {name: set(catalog.types[name].reply.below) for name in given} == given
    assert len([name for name, fields in given.items() if fields]) == 5


def _replied(written):
    if isinstance(written, list):
        for one in written:
            yield from _replied(one)
    elif isinstance(written, dict):
        if "id" in written and isinstance(written.get("reply"), dict):
            yield from written["reply"]
        for name, inner in written.items():
            if name not in ("tests", "given"):
                yield from _replied(inner)


@pytest.mark.parametrize(
    ("service", "hint"),
    [
        ("scia-edilizia", "messages of type edilizia.pratica.presentata ask for the service scia-edilizia: GET /types/edilizia.pratica"),
        ("cambio-residenza", "no message asks for the service cambio-residenza: GET /catalog/cambio-residenza says where it is"),
        ("tessera-elettorale", "mend the fields under `faults`"),
        ("tessera-eletorale", "mend the fields under `faults`"),
    ],
)
def test_a_refused_application_is_told_which_type_asks_for_its_service(catalog, service, hint):
    body = {**APPLICATION, "servizio": service, "dati": {"nulla": 1}}
    with pytest.raises(Invalid) as caught:
        check(catalog, Submission("servizi.istanza.presentata", body, "portale", role="portal"), True)
    assert caught.value.hint.startswith(hint)


def test_whoever_asks_for_the_schema_of_a_type_is_told_the_codes_in_use(catalog):
    app = SimpleNamespace(catalog=lambda: catalog)
    services = {code for code, row in catalog.tables["servizi"].items() if row["modulo"]}
    for type, field, codes in (
        ("edilizia.pratica.presentata", "procedimento", catalog.tables["procedimenti-edilizi"]),
        ("servizi.istanza.presentata", "servizio", services),
    ):
        told = json.loads(asyncio.run(type_schema(SimpleNamespace(app=app, path={"type": type}))).content)
        assert told["properties"][field]["enum"] == sorted(codes)
