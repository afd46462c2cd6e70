"""The services catalogue: one entry a service, as a table for expressions."""

from __future__ import annotations

import pytest

from bus.services import GENERIC_ROUTE, check_services, read_services
from bus.source import Notes

ENTRY = {"codice": "orto-urbano", "titolo": "Orto urbano", "ufficio": "SUE", "tipo": "istanza", "modulo": "prova.istanza"}


def codes(*entries: dict[str, object]) -> list[str]:
    notes = Notes("x")
    read_services({"servizi": list(entries)}, notes)
    return [f.code for f in notes.findings]


def test_an_application_without_a_route_takes_the_generic_one() -> None:
    services = read_services({"servizi": [{**ENTRY, "tariffa": {"importo": 1600, "causale": "Diritti"}}]}, Notes("x"))
    row = services["orto-urbano"].row()
    assert GENERIC_ROUTE == row["percorso"]
    assert {"importo": 1600, "causale": "Diritti", "tassonomia": ""} == row["tariffa"]


def test_what_an_entry_does_not_say_is_null_in_its_row() -> None:
    row = read_services({"servizi": [ENTRY]}, Notes("x"))["orto-urbano"].row()
    assert {"tariffa": None, "indirizzo": None, "pagina": None} == {name: row[name] for name in ("tariffa", "indirizzo", "pagina")}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"codice": "Orto Urbano"}, "field.invalid"),
        ({"tipo": "modulo"}, "field.invalid"),
        ({"tariffa": {"importo": "16,00", "causale": "x"}}, "field.invalid"),
        ({"tariffa": {"importo": -1, "causale": "x"}}, "field.invalid"),
        ({"modulo": None}, "field.invalid"),
        ({"tariffa": None}, "field.invalid"),
        ({"pagina": "/x"}, "service.wrong-field"),
        ({"colore": "blu"}, "field.unknown"),
    ],
)
def test_a_wrong_entry_is_a_finding(change: dict[str, object], code: str) -> None:
    assert [code] == codes({**ENTRY, **change})


def test_two_services_cannot_share_a_code() -> None:
    assert ["service.duplicate"] == codes(ENTRY, ENTRY)


def test_an_application_whose_generic_route_is_gone_is_told_that_it_is_meant_by_default() -> None:
    """The entry names no route: a route of a similar name is nothing that could be written in its place."""
    notes = Notes("x")
    document = {"servizi": [{"codice": "a", "titolo": "A", "ufficio": "SUE", "tipo": "istanza", "modulo": "a.modulo"}]}
    check_services(read_services(document, notes), document, {"a.modulo"}, {"servizi.istanza-comune": "a.b"}, {}, None, notes)
    [told] = [one for one in notes.findings if one.code == "service.unknown-route"]
    assert "without a `percorso`" in told.hint
