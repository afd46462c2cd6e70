from __future__ import annotations

import hmac

import pytest

from bus.mac import Mac


@pytest.mark.parametrize("length", [0, 1, 32, 63, 64])
def test_a_key_taken_in_once_makes_the_macs_of_the_standard_each_time(length: int):
    key = bytes(range(length))
    mac = Mac(key)
    for text in (b"", b"a", bytes(200), b""):
        assert mac.of(text) == hmac.digest(key, text, "sha256")


def test_a_key_that_would_have_to_be_hashed_first_is_refused():
    with pytest.raises(ValueError, match="65 bytes"):
        Mac(bytes(65))
