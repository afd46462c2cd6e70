"""The fastest hand-written route: the same work in one loop, with group commit in the same kind of database, and no more than it needs.

A message is committed (SQLite, WAL, ``synchronous=FULL``, all that came meanwhile in one commit) before its 202, and marked as done in
the same way after its effect, so that nothing is lost; but there is no intent, no evidence, no key, no type, no order, no retry: after a
crash everything that was under way is done twice. HTTP is written and read by hand over kept connections, SOAP is a template, rows go
to PostgreSQL many in one commit. ``python -m benchmarks.rival ORDER`` (JSON: ``{"systems", "database", "folder"}``) prints its port;
``POST /messages`` takes a message, ``GET /done`` tells how many are done.
"""

from __future__ import annotations

import asyncio
import json
import queue
import re
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import psycopg

from benchmarks.bare import CONTENT, serve
from benchmarks.script import Message, transformed
from benchmarks.work import INSERT, THREADS

Done = Callable[[], None]
_ENVELOPE = (
    '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/" xmlns:a="urn:snodo:anagrafe:1"><soap:Body>'
    "<a:RicercaSoggettoRichiesta><a:testata><a:codMittente>085004</a:codMittente><a:dataOraRichiesta>2026-03-01T09:30:00Z"
    "</a:dataOraRichiesta></a:testata><a:codiceFiscale><a:codFiscale>{}</a:codFiscale></a:codiceFiscale>"
    "</a:RicercaSoggettoRichiesta></soap:Body></soap:Envelope>"
)
_FOUND = re.compile(rb"cognome>([^<]*)<.*?nome>([^<]*)<.*?dataNascita>([^<]*)<", re.DOTALL)


class Batches:
    """One thread that does what has come, all at once, then tells the loop, once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, write: Callable[[list[Any]], None]) -> None:
        self._loop, self._write = loop, write
        self._queue: queue.SimpleQueue[tuple[Any, Done]] = queue.SimpleQueue()
        threading.Thread(target=self._live, daemon=True).start()

    def put(self, what: Any, then: Done) -> None:
        self._queue.put((what, then))

    def _live(self) -> None:
        while True:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            self._write([what for what, _ in batch])
            self._loop.call_soon_threadsafe(_all, [then for _, then in batch])


def _all(what: list[Done]) -> None:
    for then in what:
        then()


class Store:
    """One table; a row is what came, or the number of one that is done."""

    def __init__(self, path: Path) -> None:
        self._raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._raw.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE taken (id INTEGER PRIMARY KEY, content BLOB, done INTEGER)"
        )

    def write(self, batch: list[tuple[int, bytes | None]]) -> None:
        self._raw.execute("BEGIN IMMEDIATE")
        self._raw.executemany("INSERT INTO taken VALUES (?, ?, 0)", [one for one in batch if one[1] is not None])
        self._raw.executemany("UPDATE taken SET done = 1 WHERE id = ?", [one[:1] for one in batch if one[1] is None])
        self._raw.execute("COMMIT")


class Rows:
    """Rows for PostgreSQL."""

    def __init__(self, database: str) -> None:
        self._connection = psycopg.connect(database.replace("+psycopg", ""))
        self._insert = re.sub(r":(\w+)", r"%(\1)s", INSERT)

    def write(self, batch: list[dict[str, str]]) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(self._insert, batch)


class _Line(asyncio.Protocol):
    """One kept connection to the outside systems, one request at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._buffer = pool, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._pool.free(self)

    def ask(self, request: bytes, then: Callable[[bytes], None]) -> None:
        self._then = then
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, gap, body = self._buffer.partition(b"\r\n\r\n")
        if gap and len(body) >= int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            assert head.startswith(b"HTTP/1.1 200")
            self._buffer = b""
            self._then(body)
            self._pool.free(self)


class Pool:
    """As many connections as the bus and the script have."""

    def __init__(self, systems: str) -> None:
        self._host, self._port = str(urlsplit(systems).hostname), urlsplit(systems).port
        self._free: deque[_Line] = deque()
        self._waiting: deque[tuple[bytes, Callable[[bytes], None]]] = deque()

    async def open(self) -> None:
        for _ in range(THREADS):
            await asyncio.get_running_loop().create_connection(lambda: _Line(self), self._host, self._port)

    def post(self, path: str, content: bytes, then: Callable[[bytes], None], headers: str = "Content-Type: application/json") -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n{headers}\r\nContent-Length: {len(content)}\r\n\r\n"
        if self._free:
            self._free.popleft().ask(head.encode() + content, then)
        else:
            self._waiting.append((head.encode() + content, then))

    def free(self, line: _Line) -> None:
        if self._waiting:
            line.ask(*self._waiting.popleft())
        else:
            self._free.append(line)


class Rival:
    """The route and its door."""

    def __init__(self, systems: str, database: str, folder: str) -> None:
        loop = asyncio.get_running_loop()
        self.pool = Pool(systems)
        self._taken = Batches(loop, Store(Path(folder) / "rival.db").write)
        self._rows = Batches(loop, Rows(database).write)
        self._waiting: dict[str, Message] = {}
        self._last = self.done = 0
        self._works = {
            "banco.pratica": self._deliver,
            "banco.iscrizione": self._enrol,
            "banco.avviso": self._match,
            "banco.ricevuta": self._match,
        }

    async def take(self, content: bytes) -> None:
        message = orjson.loads(content)
        self._last += 1
        number, committed = self._last, asyncio.get_running_loop().create_future()
        self._taken.put((number, content), lambda: committed.set_result(None))
        await committed
        self._works[message["type"]](message["data"], lambda: self._taken.put((number, None), self._count))

    def _count(self) -> None:
        self.done += 1

    def _deliver(self, body: Message, done: Done) -> None:
        self.pool.post("/consegne", orjson.dumps(transformed(body)), lambda answer: _received(answer, done))

    def _enrol(self, body: Message, done: Done) -> None:
        def found(answer: bytes) -> None:
            match = _FOUND.search(answer)
            assert match is not None
            cognome, nome, nascita = (part.decode() for part in match.groups())
            row = {name: body[name] for name in ("istanza", "servizio", "codice_fiscale")}
            self._rows.put({**row, "chiave": body["istanza"], "cognome": cognome, "nome": nome, "nascita": nascita}, done)

        headers = 'Content-Type: text/xml; charset=utf-8\r\nSOAPAction: "ricercaSoggetto"'
        self.pool.post("/anagrafe", _ENVELOPE.format(body["codice_fiscale"]).encode(), found, headers)

    def _match(self, body: Message, done: Done) -> None:
        other = self._waiting.pop(body["iuv"], None)
        if other is None:
            self._waiting[body["iuv"]] = body
            done()
            return
        receipt = body if "ricevuta" in body else other
        asked = {"iuv": body["iuv"], "importo": receipt["importo"], "ricevuta": receipt["ricevuta"]}
        self.pool.post("/incassi", orjson.dumps(asked), lambda answer: _received(answer, done))


def _received(answer: bytes, done: Done) -> None:
    assert orjson.loads(answer)["ricevuta"]
    done()


class Door:
    """The ASGI application; the route is made with the first request, in its loop."""

    def __init__(self, order: dict[str, str]) -> None:
        self._order = order
        self._rival: Rival | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._rival is None:
            self._rival = rival = Rival(**self._order)
            await rival.pool.open()
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        content, status = CONTENT, 202
        if scope["path"] == "/done":
            content, status = orjson.dumps({"done": self._rival.done, "failed": 0}), 200
        else:
            await self._rival.take(body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


if __name__ == "__main__":
    serve(Door(json.loads(sys.argv[1])))
