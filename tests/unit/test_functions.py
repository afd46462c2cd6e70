"""Functions of expressions: those written anew for their speed agree with the library that they stand for, and what only nearly fits is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.it import codicefiscale

from bus.functions import cents, cf_valid, date_of, iban_valid, iva_valid, pad, title_case
from bus.functions import sum as sum_of

DIGIT = r"[0-9LMNPQRSTUV]"
LIKE_A_CODE = rf"[A-Z]{{6}}{DIGIT}{{2}}[A-Z]{DIGIT}{{2}}[A-Z]{DIGIT}{{3}}[A-Z]"


def rightly_checked(code: str) -> str:
    return code[:15] + codicefiscale.calc_check_digit(code[:15])


@given(st.from_regex(LIKE_A_CODE, fullmatch=True).flatmap(lambda code: st.sampled_from([code, rightly_checked(code)])))
def test_a_codice_fiscale_is_valid_where_stdnum_says_so(code):
    assert cf_valid(code) == codicefiscale.is_valid(code)


@given(
    st.one_of(
        st.text(max_size=20), st.just(""), st.sampled_from(["blldaa71e43b429m", "BLLDAA71E43B429M ", "01234567890", "BLLDAA71E43B429M\n"])
    )
)
def test_what_only_looks_like_one_is_none(text):
    assert not cf_valid(text)


def test_the_twenty_ninth_of_february_is_only_in_leap_years():
    assert [cf_valid(rightly_checked(f"RSSMRA{year}B29H501X")) for year in ("00", "01", "19", "20", "96", "99")] == [
        True, False, False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("amount", ["1.00000000000000000000000000001", "1e-999999999", "1e3", "1_000", "\uff11\uff12", "1.234,56", "", "."])
def test_what_is_no_plain_amount_is_refused_and_not_rounded(amount):
    with pytest.raises(ValueError, match="amount"):
        cents(amount)


def test_amounts_as_databases_write_them_are_taken():
    assert [cents(one) for one in (" 12.50 ", "+3", ".5", "12.", "-0,01", "12.500")] == [1250, 300, 50, 1200, -1, 1250]


def test_zeros_stand_behind_the_sign_of_a_number_and_before_any_text():
    assert [pad(-5, 4), pad(5, 4), pad("-5", 4), pad("A5", 4)] == ["-005", "0005", "00-5", "00A5"]


@pytest.mark.parametrize("numbers", [[2**63 - 1, 1], [-(2**63), -1], [1.7e308, 1.7e308]])
def test_a_sum_that_no_number_of_a_message_can_be_is_refused(numbers):
    """A larger one went on into the reply and the journal, which cannot hold it."""
    with pytest.raises(ValueError, match="larger than any number here"):
        sum_of(numbers)
    assert sum_of([2**63 - 1, -1, 1]) == 2**63 - 1


def test_a_moment_that_is_no_date_in_italy_any_more_is_said_to_be_one():
    with pytest.raises(ValueError, match="beyond the last date"):
        date_of("9999-12-31T23:59:59Z")


def test_a_date_of_ten_characters_in_another_form_is_none():
    with pytest.raises(ValueError, match="YYYY-MM-DD"):
        date_of("2026-W01-1")


def test_digits_of_other_scripts_make_no_number_valid():
    assert not iva_valid("0074311015\uff17") and not iban_valid("IT60X054281110100000012345\uff16")


@pytest.mark.parametrize("mark", ["-", ".", "\n", "\t", "/"])
def test_an_iban_may_hold_blanks_and_no_other_mark(mark):
    assert iban_valid("IT60 X054 2811 1010 0000 0123 456")
    assert not iban_valid(f"IT60{mark}X0542811101000000123456") and not iban_valid(f"IT60X0542811101000000123456{mark}")


def test_an_accent_that_is_a_sign_of_its_own_begins_no_word():
    assert title_case("D'AME\u0301LIE NICOLO\u0300 \ufb01lippo") == "D'Ame\u0301lie Nicolo\u0300 Filippo"


def test_the_largest_amount_is_the_largest_whole_number_of_expressions():
    assert cents("92233720368547758.07") == 2**63 - 1
    for beyond in ("92233720368547758.08", "-92233720368547758.08"):
        with pytest.raises(ValueError, match="whole cents"):
            cents(beyond)
