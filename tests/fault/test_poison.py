"""Processes that are ended by a message, or told to end while a system hangs: real ones, looked at from outside and in their database."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bus.client import Client, ClientError
from bus.testing.patience import until
from tests.integration.workshop import write_rules
from tests.nursery import Born
from tests.small_bus import key_of, settings

ROOT = Path(__file__).parents[2]
STEPS = "order: none\nsteps:\n  - {id: chiedi, call: killer.OPERATION, with: {x: body.a}}\n"


class Bus:
    """``bus serve`` in a process of its own, that can be started again."""

    def __init__(self, folder: Path, **engine: Any) -> None:
        self.folder, self.ledger, self.database = folder, folder / "ledger", folder / "prova.db"
        rules = {f"prova.{name}": STEPS.replace("OPERATION", name) for name in ("leggi", "scrivi", "registra", "fila")}
        write_rules(folder, rules, dict.fromkeys(rules, "key: body.a"))
        made = settings(store={"url": "sqlite:///prova.db"}, engine={"sweep": 0.1, "lease": 5, **engine})
        made["adapters"] = {"killer": {"use": "tests.fault.killer:Killer", "ledger": str(self.ledger)}}
        (folder / "config.yaml").write_text(json.dumps(made), "utf-8")
        self.process: Born | None = None
        self.url = ""
        self.clients: list[Client] = []

    def start(self) -> Client:
        self.process = Born("bus.cli", ["serve", "--config", str(self.folder / "config.yaml")], dict(os.environ), self.folder / "bus.log")
        line = self.process.stdout.readline().decode()
        url = line.split()[-1] if line.startswith("snodo listens") else "http://127.0.0.1:9"
        self.url = url
        self.clients.append(Client(url, key_of("portale"), attempts=1))
        return self.clients[-1]

    def died(self) -> int:
        assert self.process is not None
        try:
            return self.process.wait(100)
        finally:
            self.process.stdout.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute(query).fetchall()

    def asked(self) -> Counter[str]:
        return Counter(self.ledger.read_text("utf-8").splitlines()) if self.ledger.exists() else Counter()


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    made = Bus(tmp_path, stop=1)
    yield made
    for client in made.clients:
        client.close()
    if made.process is not None:
        made.process.kill()
        made.died()


def send_poison(bus: Bus, client: Client, name: str) -> None:
    """Send what ends the process, and start it again until it does so no more; with ``cerca`` it is the probe that does."""
    try:
        client.send(f"prova.{name}", {"a": "veleno"}) if name != "cerca" else client.send("prova.registra", {"a": "incerta"})
    except Exception:  # the process may end before it has answered; the message is durable or it is not
        pass
    ends = 0
    while bus.asked()[f"{name} veleno"] < 3 or ends < 3:
        assert bus.died() == -signal.SIGKILL
        ends += 1
        assert ends <= 3, "a fourth attempt was made"
        bus.start()


@pytest.mark.parametrize("name", ["leggi", "scrivi", "registra", "cerca"])
def test_a_message_that_ends_its_process_three_times_is_a_dead_letter_and_its_neighbours_are_done(bus: Bus, name: str) -> None:
    client = bus.start()
    for n in range(20):
        client.send(f"prova.{name if name != 'cerca' else 'registra'}", {"a": f"sana-{n}"})
    send_poison(bus, client, name)
    until(lambda: not bus.rows("SELECT 1 FROM runs WHERE state = 'ready'"))
    assert bus.process is not None
    assert bus.process.poll() is None
    assert bus.asked()[f"{name} veleno"] == 3
    assert bus.rows("SELECT state, reason, count(*) FROM runs GROUP BY state, reason ORDER BY state") == [
        ("dead", "run.poison", 1),
        ("done", None, 20),
    ]


def test_a_lane_whose_holder_ends_its_process_is_stopped_with_an_alarm_and_not_given_on_too_soon(bus: Bus) -> None:
    send_poison(bus, bus.start(), "fila")
    client = bus.clients[-1]
    until(lambda: bus.rows("SELECT 1 FROM runs WHERE state = 'dead'"))
    client.send("prova.fila", {"a": "sana"})
    with Client(bus.url, key_of("sistemista"), attempts=1) as operator:
        shown = urllib.request.Request(f"{bus.url}/metrics", headers={"Authorization": f"Bearer {key_of('sistemista')}"})
        with urllib.request.urlopen(shown) as page:
            assert b'snodo_lane_stopped{lane="killer.fila"} 1.0' in page.read()
        command = [sys.executable, "-m", "bus.cli", "doctor", "--config", str(bus.folder / "config.yaml")]
        doctor = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        [letter] = operator.get("/dead")["dead"]
        assert doctor.returncode != 0
        assert f"the dead letter {letter['id']} holds the ordered lane killer.fila" in doctor.stdout
        with pytest.raises(ClientError) as refused:
            operator.post(f"/dead/{letter['id']}/discard", {"reason": "prova"})
        assert refused.value.code == "dead.lane-not-at-rest", "its call may still take effect, and the next number would overtake it"
        assert bus.asked() == {"fila veleno": 3}
        told = operator.get(f"/dead/{letter['id']}")
        assert (told["code"], told["doubt"], told["detail"]["operation"]) == ("run.poison", True, "killer.fila")
        seen: dict[str, object] = {"decision": "happened", "answer": {"x": "veleno"}, "reason": "visto di là"}
        operator.post(f"/dead/{letter['id']}/decide", seen)
    until(lambda: not bus.rows("SELECT 1 FROM runs WHERE state <> 'done'"))
    assert bus.asked() == {"fila veleno": 3, "fila sana": 1}


def test_told_to_stop_while_a_system_hangs_it_ends_in_time_and_takes_nothing_for_failed(bus: Bus) -> None:
    client = bus.start()
    client.send("prova.scrivi", {"a": "appeso"})
    client.send("prova.scrivi", {"a": "sana"}, wait=25)
    while not bus.asked()["scrivi appeso"]:
        time.sleep(0.02)
    assert bus.process is not None
    begun = time.monotonic()
    bus.process.send_signal(signal.SIGTERM)
    assert bus.died() == 0
    assert time.monotonic() - begun < 60, "the system hangs for ten minutes"
    assert bus.rows("SELECT state, owner, lease IS NOT NULL, strikes FROM runs WHERE state <> 'done'") == [("ready", None, 1, 0)]
    assert bus.rows("SELECT count(*) FROM records WHERE kind IN ('unanswered', 'dead', 'refused')") == [(0,)]
