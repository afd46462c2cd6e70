"""A small bus for tests of the doors: four types, four routes, no outside system. In this process, or in one of its own."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from bus import config
from bus.app import App
from bus.message import JsonObject
from bus.testing.simulators import ended
from bus.web.serve import Server
from tests.files import put

T = TypeVar("T", App, Server)
KEYS = {"portale": "portal", "altro": "portal", "sistemista": "sysadmin", "revisore": "auditor"}
RULES = {
    "routes/prova/saluta.yaml": """
route: prova.saluta
version: 1
owner: prove@comune.example
purpose: replies at once
on: prova.saluto
case: {istanza: body.nome}
steps:
  - id: rispondi
    reply: {saluto: '"ciao " + body.nome'}
""",
    "routes/prova/aspetta.yaml": """
route: prova.aspetta
version: 1
owner: prove@comune.example
purpose: waits for a message of its case, then replies
on: prova.attesa
case: {istanza: body.nome}
steps:
  - id: sveglia
    wait: prova.sveglia
    deadline: 30d
    as: sveglia
  - id: rispondi
    reply: {svegliato: sveglia.nome}
    when: sveglia != null
""",
    "routes/prova/tace.yaml": """
route: prova.tace
version: 1
owner: prove@comune.example
purpose: never replies
on: prova.silenzio
steps:
  - id: niente
    set: {niente: body.nome}
""",
    "routes/prova/fallisce.yaml": """
route: prova.fallisce
version: 1
owner: prove@comune.example
purpose: becomes a dead letter
on: prova.guasto
case: {istanza: body.nome}
steps:
  - id: rompi
    fail: prova.rotta
    reason: '"rotta apposta"'
""",
    "routes/servizi.yaml": """
servizi:
  - codice: ritiro-ingombranti
    titolo: "Ritiro dei rifiuti ingombranti"
    ufficio: ambiente
    tipo: informativo
    pagina: /servizi/ritiro-ingombranti
""",
    "mappings/tables/uffici.csv": "codice,denominazione\nambiente,Ufficio ambiente\n",
}
TYPE = """
type: {name}
title: A type for tests
case: {{istanza: body.nome}}
schema:
  type: object
  additionalProperties: false
  required: [nome]
  properties:
    nome: {{type: string, minLength: 1}}
    numero: {{}}
"""


def key_of(name: str) -> str:
    return f"chiave-di-{name}"


def keystore_of(folder: Path) -> dict[str, str]:
    """The settings of the key store of the bus that worked in a folder."""
    return {"folder": f"{folder}/var/keys", "master": f"{folder}/var/master.key"}


def own_key(name: str, role: str, **more: Any) -> dict[str, Any]:
    """A key in the settings, by its hash."""
    return {"name": name, "role": role, "sha256": hashlib.sha256(key_of(name).encode()).hexdigest(), **more}


def settings(**changes: Any) -> dict[str, Any]:
    keys = [own_key(name, role) for name, role in KEYS.items()]
    base: dict[str, Any] = {
        "organization": {"name": "Comune di Prova", "fiscal_code": "00000000000"},
        "http": {"port": 0},
        "keys": keys,
        "log_level": "error",
    }
    for name, value in changes.items():
        base[name] = {**base[name], **value} if isinstance(value, dict) and name in base else value
    return base


def write(folder: Path, **changes: Any) -> Path:
    """Settings and rules in a folder; returns the path of the settings."""
    types = {
        f"mappings/types/prova.{name}.yaml": TYPE.format(name=f"prova.{name}")
        for name in ("saluto", "attesa", "sveglia", "silenzio", "guasto", "orfano")
    }
    put(folder, {**RULES, **types})
    path = folder / "config.yaml"
    path.write_text(json.dumps(settings(**changes)), "utf-8")
    return path


@contextlib.contextmanager
def running(folder: Path, adapters: dict[str, Any] | None = None, **changes: Any) -> Iterator[Server]:
    """A bus in this process, on a free loopback port."""
    with at_work(Server(App(config.load(write(folder, **changes)), adapters=adapters or {}), "127.0.0.1", 0)) as server:
        yield server


@contextlib.contextmanager
def at_work(made: T) -> Iterator[T]:
    """An `App` or a `Server` that was started, and is stopped in the end."""
    made.start()
    try:
        yield made
    finally:
        made.stop()


class Process:
    """``bus serve`` in a process of its own."""

    def __init__(self, folder: Path, log: Path | None = None, **changes: Any) -> None:
        self.log = log or folder / "bus.log"
        command = [sys.executable, "-m", "bus.cli", "serve", "--config", str(write(folder, **changes))]
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, "PYTHONUNBUFFERED": "1"})
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline().decode()
        assert self.line.startswith("snodo listens on http://"), self.log.read_text()
        self.url = self.line.split()[-1]
        self.port = int(self.url.rpartition(":")[2])

    def memory(self) -> int:
        """Resident memory in bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        ended(self.process, 60)
        return self.process.returncode


class Reply:
    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self.content = answer.read()

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class Caller:
    """Raw HTTP to a bus, with one of the keys."""

    def __init__(self, port: int, name: str | None = "portale") -> None:
        self.port, self.name = port, name

    def __call__(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, name: str | None = "") -> Reply:
        who = self.name if name == "" else name
        sent = {"Authorization": f"Bearer {key_of(who)}"} if who else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent["Content-Type"] = "application/json"
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, {**sent, **(headers or {})})
            return Reply(connection.getresponse())


def wait_reply(app: App, message: str, seconds: float) -> JsonObject:
    """The state of a message as soon as it is replied or has ended, or after ``seconds``; blocks."""
    deadline = time.monotonic() + seconds
    event = threading.Event()
    with app.news.listen(message, lambda _: event.set()):
        while True:
            shown = app.message(message)
            left = deadline - time.monotonic()
            if shown["reply"] is not None or shown["state"] in ("done", "dead", "cancelled") or left <= 0:
                return shown
            event.wait(min(left, 0.25))
            event.clear()


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """As when this process has as many files open as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
