"""What the errors of PostgreSQL mean."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from psycopg import OperationalError, errors

from bus.errors import StoreError
from bus.store import migrate, postgres_session
from bus.store.hosts import machines
from bus.store.postgres_session import connect, told, unreachable


def test_a_statement_that_took_too_long_is_told_as_that_and_not_as_a_database_that_failed() -> None:
    with pytest.raises(StoreError, match="longer than 60 s") as slow, told(None):
        raise errors.QueryCanceled("canceling statement due to statement timeout")
    assert "ask for less at once" in slow.value.hint


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("connection failed: SSL error: certificate verify failed", "look at the certificates:"),
        ('connection failed: server certificate for "a" does not match host name "b"', "look at the certificates:"),
        ("connection failed: FATAL:  connection requires a valid client certificate", "look at the certificates:"),
        ('connection to server at "127.0.0.1", port 5432 failed: session is read-only', "no server of store.url takes writes:"),
        ('connection to server at "127.0.0.1", port 5432 failed: server is in hot standby mode', "no server of store.url takes writes:"),
        ('connection failed: private key file "k.pem" has group or world access', "look at the certificates:"),
        ('connection is bad: invalid sslmode value: "verify-ful"', "mend it in store.url"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "snodo", database "snodo", no encryption', "let it in:"),
        ('FATAL:  password authentication failed for user "snodo"', "is the server up, and the network?"),
    ],
)
def test_why_there_is_no_session_has_the_remedy_of_its_reason(said: str, remedy: str) -> None:
    """Whether the server is up, and the network, is not the question where it has answered."""
    assert unreachable(OperationalError(said)).hint.startswith(remedy)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OperationalError("connection failed: SSL error: certificate verify failed"), "look at the certificates:"),
        (OperationalError("connection failed: Connection refused"), "is the server up, and the network?"),
        (errors.DiskFull("could not extend file"), "make room on the disk of the server"),
    ],
)
def test_a_migration_has_the_same_remedies_and_is_called_again(error: Exception, remedy: str) -> None:
    told = migrate._told("postgresql://snodo@db/snodo", error)
    assert told.hint.startswith(remedy)
    assert "then the same command again" in told.hint
    assert ", and its schema was not changed: " in told.sentence
    assert "changed" not in migrate._told("postgresql://snodo@db/snodo", error, looks=True).sentence


def test_the_advice_to_look_at_no_certificate_is_not_repeated() -> None:
    said = 'root certificate file "r.crt" does not exist\nEither provide the file, or change sslmode to disable server certificate verification.'
    assert unreachable(OperationalError(said)).sentence == 'the database cannot be opened: root certificate file "r.crt" does not exist'


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
        return MagicMock(info=SimpleNamespace(host="b", port=5432, server_version=170000, backend_pid=7))

    monkeypatch.setattr(postgres_session.Session, "connect", answer)
    monkeypatch.setattr("bus.store.hosts._ANSWERED", {})
    monkeypatch.setattr("bus.store.hosts.asked", lambda _: None)
    for _ in range(2):
        connect(f"postgresql://u@a,b/x{attrs}", {})
    assert [None, hosts] == [one.get("host") for one in asked]
