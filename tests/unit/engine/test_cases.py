"""Cases: strong keys join them, the older lives on and has all that belonged to the other; weak keys join nothing."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from bus.clock import text_of
from bus.copying import rows_of
from bus.engine import cases
from bus.engine.cases import add_keys
from bus.store.sqlite import SqliteStore
from tests.contract.store_contract import NOW, add_runs


def settle(store: SqliteStore, case: str, **keys: str) -> str:
    return store.write(lambda tx: add_keys(tx, case, text_of(NOW), keys)).result(60)


def rows(store: SqliteStore, table: str) -> list[Any]:
    with store.read() as tx:
        return list(rows_of(tx, table))


def test_two_cases_that_share_a_strong_key_become_the_older_one_whichever_learns_it(store: SqliteStore) -> None:
    assert settle(store, "case-1", pratica="p", email="e") == "case-1"
    assert settle(store, "case-2", iuv="i") == "case-2"
    add_runs(store, ("a", "case-1"), ("b", "case-2"))
    waits = {"type": "prova", "name": None, "value": None, "deadline": None, "state": "open", "late": 0}
    store.write(lambda tx: tx.do("add_wait", run="b", path="p", place="prova@1/p", **waits)).result(60)
    assert settle(store, "case-2", pratica="p") == "case-1"
    assert [row["id"] for row in rows(store, "cases")] == ["case-1"]
    assert {(row["name"], row["case_id"], row["strong"]) for row in rows(store, "case_keys")} == {
        ("pratica", "case-1", 1), ("iuv", "case-1", 1), ("email", "case-1", 0),
    }  # fmt: skip
    assert {row["case_id"] for row in [*rows(store, "runs"), *rows(store, "waits")]} == {"case-1"}


def test_two_cases_that_become_one_are_told_where_each_had_its_own_of_a_key(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """One protocol number for two applications; a receipt that came before the number that it names is no such thing."""
    log = Mock()
    monkeypatch.setattr(cases, "logger", lambda _: log)
    settle(store, "case-1", istanza="1")
    settle(store, "case-2", istanza="2")
    settle(store, "case-3", iuv="i")
    settle(store, "case-1", protocollo="p", iuv="i")
    assert not log.warning.called
    settle(store, "case-2", protocollo="p")
    [told] = log.warning.call_args_list
    said = {name: told.kwargs[name] for name in ("kept", "joined", "by", "each_has")}
    assert said == {"kept": "case-1", "joined": "case-2", "by": ["protocollo"], "each_has": ["istanza"]}


@pytest.mark.parametrize("weak", ["codice_fiscale", "partita_iva", "email", "richiedente"])
def test_what_names_a_person_joins_no_cases(store: SqliteStore, weak: str) -> None:
    assert [settle(store, case, **{weak: "x"}) for case in ("case-1", "case-2")] == ["case-1", "case-2"]
    assert len(rows(store, "cases")) == 2
