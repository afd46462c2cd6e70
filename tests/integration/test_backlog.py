"""A bus that has too much to do says so at its doors, and takes messages again when it has less."""

from __future__ import annotations

import time
from pathlib import Path

from bus.client import Client, ClientError
from tests.small_bus import key_of, running


def test_beyond_the_backlog_a_message_is_refused_for_a_while_and_taken_when_there_is_room(tmp_path: Path) -> None:
    with (
        running(tmp_path, engine={"backlog": 4}) as server,
        Client(server.url, key_of("portale"), attempts=1) as portal,
        Client(server.url, key_of("sistemista")) as operator,
    ):
        end, refused = time.monotonic() + 100, None
        while refused is None:
            assert time.monotonic() < end
            try:  # behind a dead letter of their case messages wait for a person
                portal.send("prova.guasto", {"nome": "Ada"})
            except ClientError as error:
                refused = error
            time.sleep(0.2)
        assert (refused.status, refused.code, refused.retry_after) == (503, "bus.backlog", 5.0)
        while server.app.runs("ready"):
            for run in operator.get("/dead")["dead"]:
                operator.post(f"/dead/{run['id']}/discard", {"reason": "prova"})
            time.sleep(0.05)
        while True:
            assert time.monotonic() < end
            try:
                portal.send("prova.saluto", {"nome": "Ada"})
                break
            except ClientError:
                time.sleep(0.2)
