"""The address of a door: where it cannot be had, what to do about it."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from bus.errors import ConfigError
from bus.web.serve import listen


def test_a_port_that_is_taken_has_a_remedy() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigError, match="Address already in use") as caught:
            listen("127.0.0.1", other.getsockname()[1])
    assert "is another bus running there?" in caught.value.hint


@pytest.mark.parametrize(("error", "remedy"), [(errno.EADDRNOTAVAIL, "an address of this machine"), (errno.EACCES, "are for root")])
def test_an_address_of_another_machine_and_a_port_of_the_system_have_remedies(monkeypatch, error: int, remedy: str) -> None:
    def refuse(made: socket.socket, address: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1:0") as caught:
        listen("127.0.0.1", 0)
    assert remedy in caught.value.hint
