"""What the errors of PostgreSQL mean."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from psycopg import errors

from bus.errors import StoreError
from bus.store import postgres_session
from bus.store.postgres_session import connect, machines, told


def test_a_statement_that_took_too_long_is_told_as_that_and_not_as_a_database_that_failed() -> None:
    with pytest.raises(StoreError, match="longer than 60 s") as slow, told(None):
        raise errors.QueryCanceled("canceling statement due to statement timeout")
    assert "ask for less at once" in slow.value.hint


def test_the_hosts_of_an_address_have_a_port_each() -> None:
    assert [("a", "5432"), ("b", "5433")] == machines("postgresql://u@a,b:5433/x")
    assert [("a", "5433"), ("b", "5433")] == machines("host=a,b port=5433")


def test_what_an_address_does_not_say_the_environment_tells_as_it_does_libpq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "a,b")
    monkeypatch.setenv("PGPORT", "6432")
    assert [("a", "6432"), ("b", "6432")] == machines("postgresql:///x?target_session_attrs=read-write")
    assert [("c", "5433")] == machines("postgresql://c:5433/x")


@pytest.mark.parametrize(("attrs", "hosts"), [("?target_session_attrs=read-write", "b,a"), ("", None)])
def test_the_host_that_answered_last_is_asked_first_where_the_server_must_take_writes(
    monkeypatch: pytest.MonkeyPatch, attrs: str, hosts: str | None
) -> None:
    asked = list[dict[str, Any]]()

    def answer(_: str, **more: Any) -> Any:
        asked.append(more)
        return MagicMock(info=SimpleNamespace(host="b", port=5432, server_version=170000))

    monkeypatch.setattr(postgres_session.Session, "connect", answer)
    monkeypatch.setattr(postgres_session, "_ANSWERED", {})
    for _ in range(2):
        connect(f"postgresql://u@a,b/x{attrs}", {})
    assert [None, hosts] == [one.get("host") for one in asked]
