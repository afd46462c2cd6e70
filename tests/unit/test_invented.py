"""Invented people in the place of real ones: the same everywhere, nobody left, nothing else touched."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.clock import moment_of
from bus.functions import cf_birth_date, cf_valid
from bus.source import read
from bus.testing.cutting import _Cutting, as_yaml, durations
from bus.testing.invented import Invented

BODY = {
    "richiedente": {"codice_fiscale": "BLLDAA71E43B429M", "cognome": "Bellomo", "nome": "Ada", "email": "ada.bellomo@posta.example"},
    "intestatario": "BELLOMO ADA",
    "oggetto": "Tettoia di Ada Bellomo (BLLDAA71E43B429M), adattamento",
    "telefono": "0934 123456",
    "iban": "IT60X0542811101000000654321",
    "delegato": {"codice_fiscale": "LPRTLL45P09B429C", "cognome": "Lepre", "nome": "Tullio", "data_nascita": "1945-09-09"},
    "protocollo": "2026/0000004", "importo": 10_000, "avviso": "347000000000000427",
}  # fmt: skip


def masked() -> dict:
    invented = Invented()
    invented.learn(BODY)
    return invented.said(BODY)


def test_nobody_real_is_left():
    said = json.dumps(masked(), ensure_ascii=False).lower()
    for real in ("bellomo", "blldaa", "lepre", "tullio", "lprtll", "0934", "654321", "1945-09-09"):
        assert real not in said
    assert '"ada"' not in said


def test_a_person_is_the_same_one_everywhere_and_composed_texts_are_mended():
    said = masked()
    one = said["richiedente"]
    assert said["intestatario"] == f"{one['cognome']} {one['nome']}".upper()
    assert said["oggetto"] == f"Tettoia di {one['nome']} {one['cognome']} ({one['codice_fiscale']}), adattamento"
    assert said["delegato"]["codice_fiscale"] != one["codice_fiscale"]


def test_codes_are_valid_and_keep_sex_and_year_of_birth():
    said = masked()
    for code, born, woman in (
        (said["richiedente"]["codice_fiscale"], "1971-01-01", True),
        (said["delegato"]["codice_fiscale"], "1945-01-01", False),
    ):
        assert cf_valid(code)
        assert cf_birth_date(code) == born
        assert (int(code[9:11]) > 40) == woman
    assert said["delegato"]["data_nascita"] == "1945-01-01"


def test_amounts_and_numbers_of_acts_are_kept():
    said = masked()
    assert {name: said[name] for name in ("protocollo", "importo", "avviso")} == {
        name: BODY[name] for name in ("protocollo", "importo", "avviso")
    }


def test_the_same_values_give_the_same_people():
    assert masked() == masked()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**14), 10**14) | st.text(st.characters(exclude_categories=["C"], exclude_characters="\u2028\u2029\x85\ufeff")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[A-Za-z][\w.-]{0,8}", fullmatch=True), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), JSON, min_size=1, max_size=4))
def test_what_is_written_as_yaml_is_read_as_it_was(value):
    source = read(("tests:\n" + as_yaml(value)).encode(), "test.yaml")
    assert not source.findings
    assert source.plain()["tests"][0] == value


@pytest.mark.parametrize(
    ("seconds", "start", "said"),
    [
        (30 * 86400, "2026-01-05", ["30d"]),
        (7200, "2026-01-05", ["2h"]),
        (90, "2026-01-05", ["90s"]),
        (60, "2026-01-05", ["1m"]),
        (30 * 86400 - 3600, "2026-03-10", ["30d"]),  # an hour is missing in March, by the clock on the wall
        (30 * 86400, "2026-03-10", ["720h"]),
        (27 * 86400 + 61, "2026-01-05", ["648h", "61s"]),  # more seconds than a duration may have
    ],
)
def test_durations_are_said_in_the_largest_unit_that_is_exact(seconds: int, start: str, said: list[str]) -> None:
    assert list(durations(seconds, moment_of(f"{start}T09:00:00Z"))) == said


@pytest.mark.parametrize(("kind", "conduct"), [("unreachable", {"unreachable": True}), ("in_doubt", {"silent": True})])
def test_a_call_that_is_still_tried_is_cut_as_it_has_ended_until_then(kind: str, conduct: dict) -> None:
    nothing: Any = None
    records: Any = [SimpleNamespace(kind="unanswered", data={"kind": kind, "again": "2026-03-02T08:00:01Z"})]
    assert _Cutting(nothing, [], nothing, {}, nothing, nothing)._conduct("sys.leggi", records) == conduct
