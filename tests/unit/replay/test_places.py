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
        ("attendi.message", "15:11"),
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


@pytest.mark.parametrize(
    ("edit", "place"),
    [(("deadline: 2d", "deadline: 3d"), "17:15"), (("body.fino", "body.oltre"), "16:9"), (("reply: {}", "reply: {a: 1}"), "16:9")],
)
def test_a_deadline_that_two_parts_tell_is_at_the_one_that_was_edited(edit: tuple[str, str], place: str) -> None:
    dated = ROUTE.replace("    deadline: 2d\n", "    by: body.fino\n    deadline: 2d\n")
    old, edited = (Places({"routes/luoghi.yaml": text}) for text in (dated, dated.replace(*edit)))
    assert f"routes/luoghi.yaml:{place}" == edited.of("prova.luoghi@1/attendi", ("deadline",), old)
    assert f"routes/luoghi.yaml:{place}" == old.of("prova.luoghi@1/attendi", ("deadline",), edited)
