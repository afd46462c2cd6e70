"""Who may do what over HTTP, address by address. The table stands here once more, so that nobody opens an address to others by a slip."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bus.web.api import SERVED
from bus.web.served import Served
from tests.small_bus import Caller, own_key, running

NOBODY, PORTAL, SYSADMIN, AUDITOR, MONITOR = None, "portale", "sistemista", "revisore", "sorveglianza"
ANYBODY: set[str | None] = {NOBODY, PORTAL, SYSADMIN, AUDITOR, MONITOR}
SENDERS, READERS, OWNERS = {PORTAL, SYSADMIN}, {SYSADMIN, AUDITOR}, {PORTAL, SYSADMIN, AUDITOR}
MAY: dict[str, set[str | None]] = {
    "send-message": SENDERS, "send-attachment": SENDERS,
    "get-message": OWNERS, "get-receipt": OWNERS, "get-case": OWNERS, "get-attachment": OWNERS,
    "get-status": ANYBODY, "get-catalog": ANYBODY, "get-service": ANYBODY, "get-type": ANYBODY, "get-openapi": ANYBODY,
    "get-metrics": {SYSADMIN, MONITOR}, "get-top": {*READERS, MONITOR},
    "list-runs": READERS, "get-run": READERS, "list-records": READERS, "search-log": READERS, "tail-log": READERS,
    "announce-replay": READERS, "announce-read": READERS, "export": READERS, "list-reports": READERS, "get-report": READERS,
    "list-dead": READERS, "get-dead": READERS, "get-evidence": READERS, "get-wire": READERS,
    "redeliver-dead": {SYSADMIN}, "decide-dead": {SYSADMIN}, "discard-dead": {SYSADMIN},
    "get-rules": READERS, "list-activations": READERS, "activate-rules": {SYSADMIN}, "rollback-rules": {SYSADMIN},
    "ask-erasure": {SYSADMIN}, "list-erasures": {SYSADMIN}, "confirm-erasure": {SYSADMIN},
    "look-at-age": READERS, "dispose": {SYSADMIN},
}  # fmt: skip


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    keys = [own_key(PORTAL, "portal"), own_key(SYSADMIN, "sysadmin"), own_key(AUDITOR, "auditor"), own_key(MONITOR, "monitor")]
    with running(tmp_path_factory.mktemp("bus"), keys=keys) as server:
        yield server.port


@pytest.mark.parametrize("served", SERVED, ids=lambda served: served.name)
def test_an_address_answers_those_whom_it_is_for_and_nobody_else(port: int, served: Served) -> None:
    """What is asked does nothing: there is no such thing, or it says nothing that would be done."""
    path = served.path.replace("{", "").replace("}", "")
    refused = set()
    for who in sorted(ANYBODY, key=str):
        said = Caller(port, who)(served.method, path, {} if served.method == "POST" else None)
        if said.status in (401, 403):
            assert (said.status, said.json["code"]) == ((401, "auth.missing") if who is NOBODY else (403, "auth.forbidden"))
            refused.add(who)
    assert refused == ANYBODY - MAY[served.name]
