"""Retention is carried out while PostgreSQL is restarted again and again: each thing goes once, or is found again."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from bus.errors import StoreError
from bus.log import log
from tests.integration.retaining import keeps, looked, readable, verified, wires
from tests.integration.workshop import Workshop, workshop
from tests.servers import PostgreSQL

MESSAGES = 40


def carried_out(shop: Workshop) -> None:
    """Wire evidence, whose term ends first, then payloads, two messages in a page; an act that fails is asked for again."""
    for kind in ("wire", "payloads"):
        keeps(shop.app, 40, wire="30d", **({"payloads": "30d"} if kind == "payloads" else {}))
        after, end = "", time.monotonic() + 120
        while after is not None:
            assert time.monotonic() < end, f"{kind}: it comes to no end"
            try:
                after = shop.app.destruction.dispose(kind, "sistemista", "scarto", after)["after"]  # type: ignore[arg-type, assignment]
            except StoreError:
                time.sleep(0.05)


def test_what_is_old_goes_once_however_often_the_server_goes_away(
    tmp_path: Path, postgresql: PostgreSQL, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.engine.retention.PAGE", 2)
    with workshop(tmp_path, postgresql_url) as shop:
        runs = [shop.start(f"caso-{n}") for n in range(MESSAGES)]
        messages = [str(shop.when(run, "done")["message"]) for run in runs]
        shop.quiet()
        over, restarted = threading.Event(), []

        def restarts() -> None:
            """Each a little later than the one before: a busy machine, too, does something between two of them in the end."""
            while not over.wait(0.15 * 1.1 ** len(restarted)):
                postgresql.restart()
                restarted.append(True)

        restarting = threading.Thread(target=restarts)
        restarting.start()
        try:
            carried_out(shop)
        finally:
            over.set()
            restarting.join()
        assert looked(shop, "payloads") == looked(shop, "wire") == {}
        assert not any(readable(shop, message) or any(wires(shop, message)) for message in messages)
        with shop.app.store.read() as tx:
            disposed = [one.data for _, one in log.everything(tx) if one.kind == "disposed"]
        for what, named in (("wire", "wires"), ("payloads", "messages")):
            told = [message for data in disposed if data["what"] == what for message in data[named]]
            assert len(told) == len(set(told)), f"{what}: told twice"
            assert set(told) >= set(messages)
        verified(shop)
        assert len(restarted) >= 3
