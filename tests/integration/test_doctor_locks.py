"""`bus doctor` where somebody keeps a table of the bus for himself."""

from __future__ import annotations

import threading

import psycopg
import pytest

from bus.store.opening import open_store
from bus.testing.patience import until
from tests.small_bus import running, write
from tests.unit.examining import examined, levels


def test_a_table_that_somebody_keeps_for_himself_is_told_with_who_does_and_holds_up_no_other_look(tmp_path, postgresql_url):
    """It hung for ever, without a word."""
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url, application_name="manutenzione") as holder:
        holder.execute("LOCK TABLE runs")
        pid = holder.info.backend_pid
        found = examined(write(tmp_path, store={"url": postgresql_url}))
    [lock] = found["doctor.store-locks"]
    assert lock.level == "wrong"
    assert lock.what.startswith(f"the table runs is locked by process {pid} of the database (user snodo, program manutenzione")
    assert f"pg_terminate_backend({pid})" in lock.next
    for code in ("backlog", "dead", "lanes", "leases"):
        [told] = found[f"doctor.{code}"]
        assert (told.level, told.what) == ("warning", f"not looked at: {lock.what}")
    assert levels(found, "doctor.tree") == ["ok"]


def test_a_log_that_somebody_keeps_for_himself_keeps_nobody_from_the_rest(tmp_path, postgresql_url):
    """Where its numbers go on could not be looked at, and so nothing was: the database could not be opened, it said. Whose key signs
    it was waited for, a minute.
    """
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url) as holder:
        holder.execute("LOCK TABLE records")
        found = examined(write(tmp_path, store={"url": postgresql_url}))
    assert [one.what.partition(" by ")[0] for one in found["doctor.store-locks"]] == ["the table records is locked"]
    assert [levels(found, f"doctor.{code}") for code in ("store-settings", "backlog")] == [["ok"], ["ok"]]
    assert [one.what.partition(" by ")[0] for one in found["doctor.secrets"]] == ["not looked at: the table records is locked"]
    assert "doctor.check" not in found


def test_a_figure_that_cannot_be_had_is_told_once(tmp_path, postgresql_url):
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url) as holder:
        holder.execute("LOCK TABLE marks")
        told = examined(write(tmp_path, store={"url": postgresql_url}))["doctor.attachments-same"]
    assert len([one for one in told if one.what.startswith("not looked at")]) == 1


def test_who_waits_for_a_table_for_himself_is_told_with_those_before_him(tmp_path, postgresql_url):
    open_store(postgresql_url).close()
    with psycopg.connect(postgresql_url) as reader, psycopg.connect(postgresql_url, autocommit=True) as wanting:
        before, pid = reader.info.backend_pid, wanting.info.backend_pid
        reader.execute("SELECT count(*) FROM schema_revision")
        thread = threading.Thread(target=lambda: wanting.execute("LOCK TABLE schema_revision") if wanting.execute("BEGIN") else None)
        thread.start()
        asked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s"
        until(lambda: reader.execute(asked, [pid]).fetchone() == (1,))
        [told] = examined(write(tmp_path, store={"url": postgresql_url}))["doctor.store"]
        reader.rollback()
        thread.join(20)
    assert f"the table schema_revision is wanted, behind process {before}, by process {pid}" in told.what
    assert f"pg_terminate_backend({before})" in told.next


@pytest.mark.parametrize("table", ["payloads", "erased_keys"])
def test_what_the_key_store_is_compared_with_is_not_waited_for_a_minute(tmp_path, postgresql_url, table):
    settings = {"store": {"url": postgresql_url}}
    with running(tmp_path, **settings), psycopg.connect(postgresql_url) as holder:
        holder.execute(f"LOCK TABLE {table}")
        found = examined(tmp_path / "config.yaml")
    assert [one.what.partition(" by ")[0] for one in found["doctor.store-locks"]] == [f"the table {table} is locked"]
    assert [one.what.partition(" by ")[0] for one in found["doctor.keystore"]] == [f"not looked at: the table {table} is locked"]
    assert "doctor.check" not in found
