"""The hand-written script: the same work with the same client libraries and the same threads, and nothing of what the bus promises.

No log, no intent before a call, no retries, no order, no idempotency: a message is lost when the process ends. It takes messages in
two ways: behind an HTTP door (as the bus does), or out of its own memory.

``python -m benchmarks.script ORDER`` (JSON: ``{"systems", "database"}``) prints its port. ``POST /messages`` takes a message;
``GET /done`` tells how many are done; ``POST /memory`` ``{"kind", "start", "count"}`` runs messages out of memory and tells the seconds.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import requests
import zeep.transports
from requests.adapters import HTTPAdapter
from sqlalchemy import create_engine, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.bare import serve
from benchmarks.outside import WSDL
from benchmarks.work import INSERT, THREADS, bodies_of

Message = dict[str, Any]


class Work:
    """What is done with each type of message."""

    def __init__(self, systems: str, database: str) -> None:
        self._systems = systems
        self._session = _session()
        contract: Any = zeep  # ships no types
        transport = contract.transports.Transport(session=_session(), timeout=10, operation_timeout=10)
        client = contract.Client(str(WSDL), transport=transport)
        self._registry = client.create_service("{urn:snodo:anagrafe:1:service}AnagrafeBinding", f"{systems}/anagrafe")
        self._engine = create_engine(database, pool_size=THREADS, max_overflow=0)
        self._insert = text(INSERT)
        self._waiting: dict[str, Message] = {}
        self._lock = threading.Lock()
        self.of: dict[str, Callable[[Message], None]] = {
            "banco.pratica": self.deliver,
            "banco.iscrizione": self.enrol,
            "banco.avviso": self.match,
            "banco.ricevuta": self.match,
        }

    def deliver(self, body: Message) -> None:
        self._post("/consegne", transformed(body))

    def enrol(self, body: Message) -> None:
        heading = {"codMittente": "085004", "dataOraRichiesta": "2026-03-01T09:30:00Z"}
        found = self._registry.ricercaSoggetto(testata=heading, codiceFiscale={"codFiscale": body["codice_fiscale"]}).soggetto[0]
        row = {
            "chiave": body["istanza"], "istanza": body["istanza"], "servizio": body["servizio"], "codice_fiscale": body["codice_fiscale"],
            "cognome": found.cognome, "nome": found.nome, "nascita": found.dataNascita,
        }  # fmt: skip
        with self._engine.begin() as connection:
            connection.execute(self._insert, row)

    def match(self, body: Message) -> None:
        with self._lock:
            other = self._waiting.pop(body["iuv"], None)
            if other is None:
                self._waiting[body["iuv"]] = body
        if other is not None:
            receipt = body if "ricevuta" in body else other
            self._post("/incassi", {"iuv": body["iuv"], "importo": receipt["importo"], "ricevuta": receipt["ricevuta"]})

    def _post(self, path: str, body: Message) -> None:
        answer = self._session.post(self._systems + path, json=body, timeout=10)
        answer.raise_for_status()
        assert answer.json()["ricevuta"]


def transformed(body: Message) -> Message:
    """The 20 fields of the mapping ``banco.pratica-a-consegna``, by hand."""
    person, home, parcel = body["richiedente"], body["indirizzo"], body["mappale"]
    return {
        "numero": body["istanza"], "tipo": body["procedimento"], "titolo": f"Istanza {body['istanza']}: {body['oggetto']}",
        "codice_fiscale": person["codice_fiscale"], "cognome": person["cognome"].upper(), "nome": person["nome"].upper(),
        "intestatario": f"{person['cognome']} {person['nome']}", "email": person["email"],
        "via": home["via"], "civico": home["civico"], "cap": home["cap"], "comune": home["comune"], "provincia": home["provincia"],
        "recapito": f"{home['via']}, {home['civico']}, {home['cap']} {home['comune']}",
        "foglio": parcel["foglio"], "particella": parcel["particella"], "sub": parcel["sub"],
        "importo": f"{body['importo'] // 100}.{body['importo'] % 100:02d}", "gratuita": body["importo"] == 0,
        "data": body["presentata"][:10],
    }  # fmt: skip


def _session() -> requests.Session:
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=THREADS))
    return session


class Script:
    """Threads that take messages from a queue."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.done, self.failed = 0, 0
        for _ in range(THREADS):
            threading.Thread(target=self._live, daemon=True).start()

    def _live(self) -> None:
        while True:
            content = self._queue.get()
            try:
                message = json.loads(content)
                self._work.of[message["type"]](message["data"])
            except Exception:  # noqa: BLE001 - counted, and told at the end
                with self._lock:
                    self.failed += 1
            with self._lock:
                self.done += 1

    def put(self, content: bytes) -> None:
        self._queue.put(content)

    async def take(self, request: Request) -> Response:
        self.put(await request.body())
        return JSONResponse({"accepted": True}, 202)

    async def tell(self, request: Request) -> Response:
        return JSONResponse({"done": self.done, "failed": self.failed})

    def memory(self, request: Request) -> Response:
        """Starlette runs this in a thread."""
        asked = request.query_params
        messages = bodies_of(asked["kind"], int(asked["start"]), int(asked["count"]))  # type: ignore[arg-type]
        until = self.done + len(messages)
        began = time.monotonic()
        for _, content in messages:
            self.put(content)
        while self.done < until:
            time.sleep(0.002)
        return JSONResponse({"seconds": time.monotonic() - began, "messages": len(messages), "failed": self.failed})


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    script = Script(Work(order["systems"], order["database"]))
    routes = [
        Route("/messages", script.take, methods=["POST"]),
        Route("/done", script.tell),
        Route("/memory", script.memory, methods=["POST"]),
    ]
    serve(Starlette(routes=routes))
