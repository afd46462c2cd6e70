from __future__ import annotations

import hashlib

import pytest

from bus.config import Key, Rights
from bus.errors import Forbidden, Unauthorized
from bus.web.auth import ANYBODY, OPERATORS, SENDERS, Keys

KEYS = Keys([Key(name="portale", role="portal", sha256=hashlib.sha256(b"chiave").hexdigest())], Rights())


@pytest.mark.parametrize(
    "headers",
    [
        {b"authorization": b"Bearer chiave"},
        {b"authorization": b"bearer  chiave "},
        {b"x-api-key": b"chiave"},
        {b"authorization": b"Bearer chiave", b"x-api-key": b"altra"},
        {b"authorization": b"Basic dTpw", b"x-api-key": b"chiave"},
    ],
)
def test_a_known_key_says_who_calls(headers):
    caller = KEYS.caller(headers, SENDERS)
    assert (caller.name, caller.role) == ("portale", "portal")


@pytest.mark.parametrize(
    "headers",
    [{}, {b"authorization": b"Bearer "}, {b"authorization": b"Bearer altra"}, {b"authorization": b"Basic chiave"}, {b"authorization": b"Bearer chiave, Bearer chiave"},
     {b"authorization": b"Bearer altra", b"x-api-key": b"chiave"}, {b"x-api-key": b"x" * 10_000}, {b"x-api-key": hashlib.sha256(b"chiave").hexdigest().encode()}],
)  # fmt: skip
def test_anything_else_is_nobody(headers):
    with pytest.raises(Unauthorized):
        KEYS.caller(headers, SENDERS)
    assert KEYS.caller(headers, ANYBODY).role is None


def test_a_key_without_the_role_is_forbidden_not_unknown():
    with pytest.raises(Forbidden):
        KEYS.caller({b"x-api-key": b"chiave"}, OPERATORS)
