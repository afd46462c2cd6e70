"""Functions of expressions that are written anew for their speed: they must agree with the library that they stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from stdnum.it import codicefiscale

from bus.functions import cf_valid

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
