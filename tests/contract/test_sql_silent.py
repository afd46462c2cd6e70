"""A database behind a line that is not broken and passes nothing on: wherever that begins, a call ends in its time, and says what is certain."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import make_url

from adapters.database import Database, DatabaseSettings
from adapters.sql import Sql
from bus.adapter import Refused, Unreachable
from bus.testing.adapter_contract import attempt
from bus.testing.simulators import start
from tests.contract.proxy import Mute
from tests.contract.test_sql import OPERATIONS, SCHEMA

TOO_LONG = 20.0
"""Seconds after which the line is broken, so that who waits for it without end does not hold up the tests."""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with start("adapters.edilizia.simulator", tmp_path_factory.mktemp("sql")) as running:
        base = Database(DatabaseSettings(url=running.facts["database"]))
        base.script(SCHEMA)
        base.close()
        yield running.facts["database"]


@pytest.mark.parametrize(
    ("word", "operation", "told"),
    [
        (b"pg_catalog.version", "cerca-strada", Unreachable),
        (b"standard_conforming_strings", "aggiungi-strada", Unreachable),
        (b"BEGIN", "aggiungi-strada", Unreachable),
        (b"ROLLBACK", "cerca-strada", Refused),
        (b"ROLLBACK", "sbagliata", Refused),
    ],
)
def test_wherever_a_database_falls_silent_the_call_ends_and_what_it_said_stands(url, word, operation, told):
    """What SQLAlchemy asks over the first connection, and the ROLLBACK of a refusal, were waited for without end."""
    port = make_url(url).port
    broken = threading.Event()
    with Mute(port, word) as line:
        late = threading.Timer(TOO_LONG, lambda: (broken.set(), line.cut()))
        late.daemon = True
        streets = Sql(
            "strade", Sql.Settings.model_validate({"url": url.replace(f":{port}/", f":{line.port}/"), "pool": 1, "operations": OPERATIONS})
        )
        late.start()
        done = attempt(
            streets, operation, {"codice": 9, "nome": "Via Dante"} if operation == "aggiungi-strada" else {"codice": 9}, timeout=1.0
        )
        late.cancel()
        assert (line.muted.is_set(), broken.is_set(), type(done.error)) == (True, False, told)
        line.cut()
        line.muted.clear()
        line._word = b"of nobody"
        assert isinstance(attempt(streets, "cerca-strada", {"codice": 9}).error, Refused), "the only place of its pool is free again"
        streets.close()
