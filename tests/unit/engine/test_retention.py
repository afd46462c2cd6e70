"""Times of retention: what the law wants kept cannot be set shorter."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from bus.config import Retention
from bus.engine.least import check
from bus.errors import ConfigError

MINIMA = {"pagopa": "24M"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"accesses": "5M"}, "retention.accesses is 5M, and at least 6M must be kept"),
        ({"accesses": "183d"}, "at least 6M must be kept"),
        ({"journals": {"pagopa": "1y"}}, "retention.journals.pagopa is 1y, and at least 24M must be kept"),
    ],
)
def test_a_time_shorter_than_the_law_allows_is_refused(settings, sentence: str) -> None:
    with pytest.raises(ConfigError, match="must be kept") as refused:
        check(Retention(**settings), MINIMA)
    assert (refused.value.code, sentence in refused.value.sentence) == ("retention.minimum", True)


@pytest.mark.parametrize("settings", [{}, {"accesses": "6M"}, {"accesses": "184d"}, {"payloads": "1d"}, {"journals": {"pagopa": "2y"}}])
def test_other_times_are_the_municipality_s_own(settings) -> None:
    check(Retention(**settings), MINIMA)


def test_a_journal_that_nobody_prescribes_is_told() -> None:
    with pytest.raises(ConfigError, match="has no journal") as refused:
        check(Retention(journals={"sito": "2y"}), MINIMA)
    assert refused.value.code == "retention.journal"


@pytest.mark.parametrize("text", ["6", "6 months", "0d", "-1d", "10wd", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Retention(payloads=text)
