"""What a plan shows of values: nothing that names a person."""

from __future__ import annotations

import pytest

from bus.planning.masks import Masks


@pytest.mark.parametrize(
    "number",
    ["+393331234567", "+39 333 1234567", "+39 333/1234567", "+39 06.1234567", "+39-333-1234567", "+39 0934 - 123456"],
)
def test_a_telephone_number_is_hidden_however_it_is_written(number: str) -> None:
    assert Masks({}, hides=False).shown(f"chiamare {number} o scrivere") == '"chiamare ‹phone 1› o scrivere"'


@pytest.mark.parametrize("text", ["2026/0039123456", "+39", "uscita +39 del 2026", "0039"])
def test_other_numbers_are_shown(text: str) -> None:
    assert Masks({}, hides=False).shown(text) == f'"{text}"'


def test_what_is_hidden_has_the_same_number_wherever_it_stands() -> None:
    masks = Masks({"Anna Inventati": "nominativo"}, hides=False)
    assert [masks.shown(one) for one in ("ada@posta.example", "bice@posta.example", ["ada@posta.example"])] == [
        '"‹e-mail 1›"',
        '"‹e-mail 2›"',
        '["‹e-mail 1›"]',
    ]
    assert masks.shown("di ANNA INVENTATI") == '"di ‹nominativo 1›"'
