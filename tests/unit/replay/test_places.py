"""Where the ways of a route and its parts are written."""

from __future__ import annotations

import pytest

from bus.replay.places import Places

ROUTE = """route: prova.luoghi
version: 1
on: prova.istanza
steps:
  - id: chiedi
    call: sistema.verifica
    with: {codice_fiscale: body.cf}
    on_error:
      - when: error.kind == "refused"
        steps: [{id: niente, set: {x: '1'}}]
      - steps:
          - {id: fermo, fail: a.b}
  - {id: scegli, when: body.urgente, choose: [{when: body.a, steps: [{id: uno, reply: {}}]}]}
  - id: attendi
    wait: prova.ricevuta
    deadline: 2d
    on_late: [{id: tardi, set: {y: '2'}}]
"""
MAPPING = "mapping: prova.campi\nfrom: prova.istanza\nto: sistema.registra\nfields:\n  oggetto: body.x\n"


@pytest.mark.parametrize(
    ("way", "place"),
    [
        ("chiedi", "5:9"),
        ("chiedi.on_error[0]", "9:9"),
        ("chiedi.on_error[1]", "11:9"),
        ("fermo", "12:18"),
        ("scegli!passed-over", "13:24"),
        ("scegli.choose[0]", "13:47"),
        ("scegli.otherwise", "13:5"),
        ("uno", "13:75"),
        ("attendi.on_deadline", "14:5"),
        ("attendi.on_late", "17:14"),
    ],
)
def test_a_way_begins_at_a_line_and_column(way: str, place: str) -> None:
    assert f"routes/luoghi.yaml:{place}" == Places({"routes/luoghi.yaml": ROUTE}).way(way)


def test_a_value_of_a_route_and_of_its_mapping_is_at_a_line_and_column() -> None:
    places = Places({"mappings/campi.yaml": MAPPING, "routes/luoghi.yaml": ROUTE})
    assert "routes/luoghi.yaml:7:28" == places.at(("steps", 0, "with", "codice_fiscale"))
    assert "mappings/campi.yaml:5:12" == places.at(("fields", "oggetto"), "prova.campi")
