"""What the errors of PostgreSQL mean."""

from __future__ import annotations

import pytest
from psycopg import errors

from bus.errors import StoreError
from bus.store.postgres_session import told


def test_a_statement_that_took_too_long_is_told_as_that_and_not_as_a_database_that_failed() -> None:
    with pytest.raises(StoreError, match="longer than 60 s") as slow, told(None):
        raise errors.QueryCanceled("canceling statement due to statement timeout")
    assert "ask for less at once" in slow.value.hint
