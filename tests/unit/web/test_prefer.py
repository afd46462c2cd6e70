from __future__ import annotations

import pytest

from bus.web.messages import wait_of


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0), ("", 0), ("wait=5", 5), ("WAIT = 5", 5), ('wait="5"', 5), ("respond-async, wait=7", 7), ("wait=7; foo=bar, return=minimal", 7),
        ("wait=900", 30), ("wait=-1", 0), ("wait=soon", 0), ("wait=1.5", 0), ("await=5", 0), ("wait=99999999999999", 30), ("wait=" + 400 * "9", 30), ("wait", 0),
        ('foo="x, wait=9"', 0), (r'foo="\", wait=9", wait=3', 3), ('foo="x, wait=9', 9),
    ],
)  # fmt: skip
def test_only_a_whole_number_of_seconds_is_a_preference_and_it_is_capped(header, seconds):
    assert wait_of(header, 30) == seconds
