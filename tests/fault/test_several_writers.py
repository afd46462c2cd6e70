"""Several processes on one PostgreSQL: one that is stopped in the midst of a write does not hold up the others."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

import psycopg

from bus.store import postgres
from bus.store.postgres import PostgresStore

SLEEPER = """
import os, signal, sys, time
from bus.store.postgres import PostgresStore
store = PostgresStore(sys.argv[1])
slept = []
def work(tx):
    tx.do("add_rules", digest="sleeper", kind="route", content=b"{}")
    tx.one("rules", digest="sleeper")
    if not slept:
        slept.append(True)
        print("asleep", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.5)  # the signal may reach another thread first
store.write(work).result()
store.close()
print("written", flush=True)
"""


def test_a_writer_that_is_stopped_in_the_midst_of_a_trip_does_not_hold_up_the_others_either(postgresql_url: str) -> None:
    """The server takes it for one at work, so its own timeout for whoever idles never comes."""
    store = PostgresStore(postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as stopped:
        stopped.execute("SET idle_in_transaction_session_timeout = '5s'")
        with contextlib.suppress(psycopg.Error), stopped.pipeline():
            stopped.execute("BEGIN")
            assert stopped.execute(f"SELECT 1 {postgres._LOCK}").fetchone()  # a Flush, and no Sync
            begun = time.monotonic()
            store.write(lambda tx: tx.do("add_rules", digest="awake", kind="route", content=b"{}")).result(60)
            assert time.monotonic() - begun < 25
    store.close()


def test_a_writer_that_is_stopped_in_a_transaction_does_not_hold_up_the_others(postgresql_url: str) -> None:
    store = PostgresStore(postgresql_url)
    sleeper = subprocess.Popen([sys.executable, "-c", SLEEPER, postgresql_url], stdout=subprocess.PIPE, text=True)
    try:
        assert sleeper.stdout is not None
        assert sleeper.stdout.readline() == "asleep\n"
        begun = time.monotonic()
        store.write(lambda tx: tx.do("add_rules", digest="awake", kind="route", content=b"{}")).result(60)
        assert time.monotonic() - begun < 25
        with store.read() as tx:
            assert tx.one("rules", digest="sleeper") is None, "what it had begun is not there"
        os.kill(sleeper.pid, signal.SIGCONT)
        assert sleeper.communicate(timeout=100)[0].endswith("written\n"), "when it wakes it does its work again"
        with store.read() as tx:
            assert tx.one("rules", digest="sleeper") is not None
    finally:
        sleeper.kill()
        sleeper.wait()
        store.close()
