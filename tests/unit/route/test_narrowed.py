"""Which codes conditions leave, where a field takes only some of those that a path has."""

from __future__ import annotations

import json

import pytest

from bus.examine import examine


@pytest.mark.parametrize(
    ("when", "told"),
    [('body.esito != "integrare"', []), ('body.ufficio == "suap"', ["target.not-in-enumeration"]), (None, ["target.not-in-enumeration"])],
)
def test_a_mapping_may_take_over_a_code_about_which_the_route_asks_that_applies_it(when: str | None, told: list[str]) -> None:
    def of(name: str, *codes: str) -> dict[str, object]:
        fields = {"ufficio": {"type": "string"}, "esito": {"type": "string", "enum": codes}}
        return {"type": name, "schema": {"type": "object", "additionalProperties": False, "required": [*fields], "properties": fields}}

    mapping = {
        "mapping": "prova.m",
        "from": "prova.parere",
        "to": "prova.esito",
        "fields": {"ufficio": "body.ufficio", "esito": "body.esito"},
    }
    steps = [{"id": "a", **({"when": when} if when else {}), "map": "prova.m", "as": "m"}]
    documents = {
        "mappings/types/parere.yaml": of("prova.parere", "favorevole", "contrario", "integrare"),
        "mappings/types/esito.yaml": of("prova.esito", "favorevole", "contrario"),
        "mappings/m.yaml": mapping,
        "routes/r.yaml": {"route": "prova.r", "version": 1, "on": "prova.parere", "steps": steps},
    }
    _, findings = examine({name: json.dumps(one).encode() for name, one in documents.items()}, {})
    assert told == [one.code for one in findings if one.file == "mappings/m.yaml"]
