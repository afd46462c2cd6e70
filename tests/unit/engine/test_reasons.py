"""A reason that the log keeps for ever says something, and names nobody."""

from __future__ import annotations

import pytest

from bus.engine import accesses, reasons
from bus.errors import Invalid


@pytest.mark.parametrize(
    "text",
    [
        "RSSMRA80A01H501U",
        "accesso di rssmra80a01h501u.",
        "prot.12-RSSMRA80A01H501U/2026",
        "RSS MRA 80A01 H501U",
        "AAAAAARSSMRA80A01H501U",
        "\uff32\uff33\uff33MRA80A01H501U",
        "RSSMRA\u200b80A01\u00adH501U",
    ],
)
def test_a_codice_fiscale_is_found_wherever_it_stands_and_however_it_is_spaced(text):
    for door in (lambda: reasons.given(text, "dead.reason-missing"), lambda: accesses.purpose_of(text)):
        with pytest.raises(Invalid) as told:
            door()
        assert (told.value.code, "name the case" in told.value.hint, "H501U" in str(told.value)) == ("reason.person", True, False)


@pytest.mark.parametrize("text", ["accesso agli atti, pratica SUE-2026-000117", "IUV 01000000000047", "RSSMRA80A01H501X", "perché sì: €"])
def test_what_names_nobody_is_kept_as_it_was_said(text):
    assert text == reasons.given(f" {text} ", "dead.reason-missing") == accesses.purpose_of(text)


def test_a_reason_is_one_line_without_what_a_terminal_obeys():
    forged = "new fee\n4f1c09ab  01/12/2026 08:00:00  activated  somebody: \x1b[2Jother\u2028words"
    told = reasons.given(forged, "rules.reason-missing")
    assert told == "new fee 4f1c09ab 01/12/2026 08:00:00 activated somebody: [2Jother words"
    assert told == accesses.purpose_of(forged)
    for door in (lambda: reasons.given("\x1b\u200b", "rules.reason-missing"), lambda: accesses.purpose_of("\u200b\u200b\u200b\x1b")):
        with pytest.raises(Invalid):
            door()


def test_nothing_said_is_no_reason():
    with pytest.raises(Invalid) as told:
        reasons.given(" \n", "dead.reason-missing")
    assert told.value.code == "dead.reason-missing"
