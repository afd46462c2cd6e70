"""Rules against systems that are described in the settings: the WSDL, or the JSON Schemas beside an operation, type every expression."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.rest import Rest
from adapters.soap.adapter import Soap
from bus.adapter import Operation
from bus.examine import examine

WSDL = Path(__file__).parents[3] / "adapters/anagrafe/contract/anagrafe.wsdl"
TYPE = b"""type: prova.domanda
schema:
  type: object
  additionalProperties: false
  required: [cf, quanti]
  properties: {cf: {type: string}, quanti: {type: integer}, nome: {type: string}, esito: {enum: [A, B, C]}}
"""
HEAD = """route: prova.rotta
version: 1
on: prova.domanda
steps:
"""


@pytest.fixture(scope="module")
def operations() -> dict[str, Operation]:
    described = {"operation": "ricercaSoggetto", "effect": "read", "timeout": 2, "refusals": {"AP001": "nobody"}}
    soap = Soap(
        "registro", Soap.Settings.model_validate({"wsdl": str(WSDL), "url": "http://127.0.0.1:1", "operations": {"cerca": described}})
    )
    request = {
        "type": "object", "required": ["codice", "quanti"],
        "properties": {"codice": {"type": "string", "maxLength": 3}, "quanti": {"type": "integer"}, "esito": {"enum": ["A", "B"]}},
    }  # fmt: skip
    answer = {"type": "object", "required": ["righe"], "properties": {"righe": {"type": "array", "items": {"type": "integer"}}}}
    settings = {
        "url": "http://127.0.0.1:1",
        "operations": {"chiedi": {"method": "POST", "path": "/", "effect": "once", "request": request, "answer": answer}},
    }
    rest = Rest("ufficio", Rest.Settings.model_validate(settings))
    return {f"{one.name}.{name}": declared for one in (soap, rest) for name, declared in one.operations.items()}


CASES: list[tuple[str, list[tuple[str, str]]]] = [
    # the WSDL: a field that is not there, deep; one that is missing; a wrong type; an answer's field; a fault that nobody handles
    ("  - {id: a, call: registro.cerca, dead_on: any, with: {testata: {codMittente: '\"1\"', dataOraRichiesta: now}, codiceFiscale: {codFiscal: body.cf}}}\n",
     [("target.unknown-field", "codFiscal:")]),
    ("  - id: a\n    call: registro.cerca\n    dead_on: any\n    with:\n      codiceFiscale: {codFiscale: body.cf}\n", [("target.missing-field", "codiceFiscale: {")]),
    (("  - id: a\n    call: registro.cerca\n    dead_on: any\n    with:\n      testata: {codMittente: body.quanti, dataOraRichiesta: now}\n"
     "      codiceFiscale:\n        codFiscale: >-\n          body.cf\n"), [("target.wrong-type", "body.quanti, dataOra")]),
    (("  - id: a\n    call: registro.cerca\n    dead_on: any\n    as: s\n    with: {testata: {codMittente: '\"1\"', dataOraRichiesta: now}, codiceFiscale: {codFiscale: body.cf}}\n"
     "  - {id: b, reply: {x: 's.soggetto[0].cognom'}}\n"), [("path.unknown-field", "cognom'")]),
    ("  - {id: a, call: registro.cerca, with: {testata: {codMittente: '\"1\"', dataOraRichiesta: now}, codiceFiscale: {codFiscale: body.cf}}}\n",
     [("refusal.unhandled", "registro.cerca, with")]),
    # JSON Schema in the settings
    ("  - {id: a, call: ufficio.chiedi, with: {codice: '\"ABCD\"', quanti: 1}}\n", [("target.outside-limits", "'\"ABCD")]),
    ("  - {id: a, call: ufficio.chiedi, with: {codice: body.cf, quanti: body.cf}}\n", [("target.wrong-type", "body.cf}}")]),
    ("  - {id: a, call: ufficio.chiedi, with: {codice: body.nome, quanti: 1}}\n", [("path.maybe-missing", "nome")]),
    ("  - {id: a, call: ufficio.chiedi, with: {codice: body.cf, quanti: 1, esito: body.esito}}\n", [("target.not-in-enumeration", "body.esito")]),
    ("  - {id: a, call: ufficio.chiedi, with: {codice: body.cf, quanti: 1}, as: r}\n  - {id: b, reply: {x: 'r.righe[0] + \"x\"'}}\n",
     [("expression.wrong-type", "+ ")]),
    ("  - {id: a, call: ufficio.chiedi, retry: {attempts: 3}, with: {codice: body.cf, quanti: 1}}\n", [("retry.once", "retry:")]),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "expected"), CASES)
def test_a_mistake_is_found_at_its_place_and_nothing_else(steps: str, expected: list[tuple[str, str]], operations: dict[str, Any]) -> None:
    _, findings = examine({"mappings/types/d.yaml": TYPE, "routes/r.yaml": (HEAD + steps).encode()}, operations)
    found = [(f.code, f.excerpt[f.column - 1 :]) for f in findings]
    assert [code for code, _ in expected] == [code for code, _ in found], [str(f) for f in findings]
    assert all(rest.startswith(start) for (_, start), (_, rest) in zip(expected, found, strict=True)), found


@pytest.mark.parametrize(
    ("expression", "sentence", "instead"),
    [
        ('body.?nome == "x"', "`==` cannot be applied to (what may be missing, a text)", '""'),
        ("body.?quanti + 1", "`+` cannot be applied to (what may be missing, a whole number)", "0"),
        ("size(body.?righe)", "`size` cannot be applied to (what may be missing)", "…"),
        ("body.?righe.map(r, r)", "what may be missing is gone through as if it were there", "[]"),
    ],
)
def test_what_may_be_missing_is_told_with_what_could_stand_for_it(expression: str, sentence: str, instead: str) -> None:
    [found] = examine(
        {"mappings/types/d.yaml": TYPE, "routes/r.yaml": f"{HEAD}  - {{id: a, reply: {{x: '{expression}'}}}}\n".encode()}, {}
    )[1]
    assert sentence == found.sentence
    assert f".orValue({instead})" in found.hint


def test_a_number_of_a_list_that_some_step_made_is_no_text() -> None:
    steps = '  - {id: a, set: {n: "[1, 2].filter(i, i < body.quanti)"}}\n  - {id: b, each: n, item: i, steps: [{id: c, reply: {x: "i + \'a\'"}}]}\n'
    [found] = examine({"mappings/types/d.yaml": TYPE, "routes/r.yaml": (HEAD + steps).encode()}, {})[1]
    assert (found.code, found.hint) == ("expression.wrong-type", "text(...) makes text of a number")


@pytest.mark.parametrize(
    ("steps", "hint"),
    [
        ("  - {id: a, each: body.quanti, steps: [{id: b, reply: {}}]}\n", "so many times: [0, 1, 2, 3].filter(n, n < …)"),
        ("  - {id: a, each: body.cf, steps: [{id: b, reply: {}}]}\n", ""),
        ("  - {id: a, set: {x: '[1]'}}\n  - {id: b, when: x, reply: {}}\n", "size(…) > 0 asks whether there is any"),
        ("  - {id: a, when: body.quanti, reply: {}}\n", "compare it with something, such as != null"),
    ],
)
def test_a_value_of_another_kind_than_its_part_needs_is_told_with_what_was_meant(steps: str, hint: str) -> None:
    _, findings = examine({"mappings/types/d.yaml": TYPE, "routes/r.yaml": (HEAD + steps).encode()}, {})
    assert [("expression.wrong-result", hint)] == [(one.code, one.hint) for one in findings]


@pytest.mark.parametrize(
    ("expression", "code", "hint"),
    [
        ("riga.quanti * 1.5", "expression.wrong-type", "write double(riga.quanti); and int(...) around it all where cents are wanted"),
        ("riga.quanti % 1.5", "expression.invalid", "% takes whole numbers: int(...) makes one"),
        ("size(body.cf) % 1.5", "expression.invalid", "% takes whole numbers: int(...) makes one"),
    ],
)
def test_a_whole_number_reckoned_with_decimals_is_told_with_what_helps(
    expression: str, code: str, hint: str, operations: dict[str, Any]
) -> None:
    steps = f"  - {{id: a, set: {{riga: {{quanti: size(body.cf)}}}}}}\n  - {{id: b, reply: {{x: '{expression}'}}}}\n"
    _, findings = examine({"mappings/types/d.yaml": TYPE, "routes/r.yaml": (HEAD + steps).encode()}, operations)
    assert [(code, hint)] == [(one.code, one.hint) for one in findings]


def test_what_may_be_missing_before_an_item_of_a_list_is_to_be_asked_for(operations: dict[str, Any]) -> None:
    owner = {"type": "object", "required": ["cf"], "properties": {"cf": {"type": "string"}}}
    estate = {"type": "object", "required": ["di"], "properties": {"di": {"type": "array", "items": owner}}}
    asked = {"type": "prova.d", "schema": {"type": "object", "required": ["nr"], "properties": {"nr": {"type": "string"}, "casa": estate}}}
    route = (
        "route: prova.r\nversion: 1\non: prova.d\ncase: {nr: body.nr}\n"
        'steps:\n  - {id: b, reply: {x: \'body.casa.di[0].cf == "" ? "a" : "b"\'}}\n'
    )
    _, findings = examine({"mappings/types/prova.d.yaml": json.dumps(asked).encode(), "routes/prova/r.yaml": route.encode()}, operations)
    [found] = [one for one in findings if one.code == "path.maybe-missing"]
    assert found.hint == "ask first: `has(body.casa)`, or make it mandatory in its contract"


@pytest.mark.parametrize(
    ("step", "hint"),
    [
        ("{id: a, wait: prova.domanda, deadline: 1d, as: r, on_deadline: [{id: b, when: r == null, reply: {}}]}", "nothing has come where"),
        (
            "{id: a, gather: prova.domanda, deadline: 1d, as: r, on_deadline: [{id: b, reply: {n: size(r)}}]}",
            "those gathered so far are `items`",
        ),
        ("{id: a, reply: {n: 'body.?nome.orValue(1.5) + \", \"'}}", "text(...) makes text of a number, number(...) a number of text"),
        ("{id: a, reply: {n: '\"n. \" + size(body.cf)'}}", "text(...) makes text of a number, number(...) a number of text"),
        ("{steps: [{id: b, reply: {}}]}", "delete `steps:`, and write its steps here"),
        ("{id: a, steps: [{id: b, reply: {}}], when: body.quanti > 1}", "steps under a condition are a `choose`"),
        ("{id: a, if: body.quanti > 1}", "steps under a condition are a `choose`"),
        ("{esito: {reply: {}}}", "write `- id: esito`"),
        ("{id: a, nota: uno}", "it needs one of call, "),
    ],
)
def test_a_mistake_is_told_once_with_what_helps(step: str, hint: str, operations: dict[str, Any]) -> None:
    _, findings = examine({"mappings/types/d.yaml": TYPE, "routes/r.yaml": f"{HEAD}  - {step}\n".encode()}, operations)
    [found] = [one for one in findings if one.severity == "error"]
    assert found.hint.startswith(hint), str(found)


@pytest.mark.parametrize(
    ("step", "hint"),
    [
        ("{id: a, reply: {n: body.nome}}", "say what then: {$value: body.nome, $default: ...}"),
        ("{id: a, reply: {n: upper(body.nome)}}", 'write `body.?nome.orValue("")`'),
        ("{id: a, when: body.esito == 'A', reply: {n: 1}}", 'write `body.?esito.orValue("")`'),
        ("{id: a, case: {nome: body.nome}, call: ufficio.chiedi, with: {codice: '\"a\"', quanti: 1}}", 'write `body.?nome.orValue("")`'),
    ],
)
def test_what_may_be_missing_is_told_with_what_to_write_at_its_place(step: str, hint: str, operations: dict[str, Any]) -> None:
    _, findings = examine({"mappings/types/d.yaml": TYPE, "routes/r.yaml": f"{HEAD}  - {step}\n".encode()}, operations)
    [found] = [one for one in findings if one.code == "path.maybe-missing"]
    assert found.hint.startswith(hint), str(found)


def test_null_is_no_code_that_a_table_lacks() -> None:
    kind = b"type: prova.d\nschema: {type: object, required: [u], properties: {u: {enum: [A, D, null]}}}\n"
    route = """route: prova.r\nversion: 1\non: prova.d\nsteps: [{id: a, reply: {x: 'lookup("uffici", body.u, "nome")'}}]\n"""
    files = {"mappings/types/d.yaml": kind, "mappings/tables/uffici.csv": b"codice,nome\nA,Anagrafe\n", "routes/r.yaml": route.encode()}
    assert ["table `uffici` has no key D, which body.u may be"] == [
        one.sentence for one in examine(files, {})[1] if one.code[:5] == "table"
    ]
