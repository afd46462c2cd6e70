"""What tables hold, as a schema."""

from __future__ import annotations

from bus.expression.rows import CODES, shape_of_rows


def test_a_code_list_has_its_columns_and_their_codes() -> None:
    shape = shape_of_rows([{"codice": "B", "uo": "U1"}, {"codice": "A", "uo": "U1"}])
    assert shape["properties"] == {"codice": {"type": "string", "enum": ["A", "B"]}, "uo": {"type": "string", "enum": ["U1"]}}
    assert (shape["required"], shape["additionalProperties"]) == (["codice", "uo"], False)


def test_of_a_long_list_it_is_only_said_that_it_holds_texts() -> None:
    rows = [{"codice": str(number), "paese": "Italia"} for number in range(CODES + 1)]
    assert shape_of_rows(rows)["properties"] == {"codice": {"type": "string"}, "paese": {"type": "string", "enum": ["Italia"]}}


def test_what_no_entry_says_yet_is_left_open_and_texts_of_entries_are_no_codes() -> None:
    entries = [
        {"titolo": "A", "tariffa": None, "pagina": None, "giorni": [1, 2], "quota": 1},
        {"titolo": "B", "tariffa": {"importo": 1}, "pagina": None, "giorni": [], "quota": 1.5},
    ]
    tariff = {"type": "object", "additionalProperties": False, "properties": {"importo": {"type": "integer"}}, "required": ["importo"]}
    assert shape_of_rows(entries)["properties"] == {
        "titolo": {"type": "string"},
        "tariffa": {"anyOf": [tariff, {"type": "null"}]},
        "pagina": {},
        "giorni": {"type": "array", "items": {"type": "integer"}},
        "quota": {"type": "number"},
    }
