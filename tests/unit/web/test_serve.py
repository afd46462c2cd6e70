"""The address of a door: where it cannot be had, what to do about it."""

from __future__ import annotations

import socket

import pytest

from bus.errors import ConfigError
from bus.web.serve import listen


def test_a_port_that_is_taken_and_an_address_that_is_not_of_this_machine_have_remedies_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigError, match="Address already in use") as caught:
            listen("127.0.0.1", other.getsockname()[1])
        assert "is another bus running there?" in caught.value.hint
    monkeypatch.setattr(socket, "getaddrinfo", lambda *asked, **more: [(socket.AF_INET,)])  # tests resolve loopback alone
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:0") as caught:
        listen("192.0.2.1", 0)
    assert "an address of this machine" in caught.value.hint
