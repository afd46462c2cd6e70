"""The measures of accepting: the same server with an empty handler, and with the least that is durable.

Starlette, uvicorn, uvloop and httptools, set up as in the bus. ``python -m benchmarks.bare`` prints its port.

With ``--durable FILE`` each body is parsed and put in one table of SQLite (WAL, ``synchronous=FULL``), all that came meanwhile in one
commit; then it is answered. No key, no type, no repetition noticed, no case, no run.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import sys
import threading
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bus.web.answer import STANDING
from bus.web.protocol import BoundedProtocol
from bus.web.serve import IDLE, listen

CONTENT = (
    b'{"id":"019d0000-0000-7000-8000-000000000000","type":"banco.deposito","time":"2026-03-01T09:30:00.000000Z",'
    b'"links":{"message":"/messages/019d0000-0000-7000-8000-000000000000"}}'
)
_HEADERS = {name.decode(): value.decode() for name, value in STANDING} | {"location": "/messages/019d0000-0000-7000-8000-000000000000"}


async def empty(request: Request) -> Response:
    """What the bus answers, without doing anything for it."""
    return Response(CONTENT, 202, _HEADERS, "application/json")


class Durable:
    """One table, one writing thread, group commit."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[tuple[bytes, asyncio.AbstractEventLoop, asyncio.Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._write, daemon=True).start()

    async def take(self, request: Request) -> Response:
        content = await request.body()
        orjson.loads(content)
        loop = asyncio.get_running_loop()
        written = loop.create_future()
        self._queue.put((content, loop, written))
        await written
        return await empty(request)

    def _write(self) -> None:
        raw = sqlite3.connect(self._path, isolation_level=None)
        raw.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE taken (id INTEGER PRIMARY KEY, content BLOB)")
        while True:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            raw.execute("BEGIN IMMEDIATE")
            raw.executemany("INSERT INTO taken (content) VALUES (?)", [(content,) for content, _, _ in batch])
            raw.execute("COMMIT")
            batch[0][1].call_soon_threadsafe(lambda ended: [written.set_result(None) for written in ended], [w for _, _, w in batch])


def serve(app: Any) -> None:
    """Serve on a free port, as `bus.web.serve.Server` does; prints the port."""
    socket = listen("127.0.0.1", 0)
    socket.listen(128)  # who reads the port may connect at once
    config = uvicorn.Config(
        app, http=BoundedProtocol, ws="none", loop="uvloop", lifespan="off", log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=IDLE, proxy_headers=False,
    )  # fmt: skip
    print(socket.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[socket])


if __name__ == "__main__":
    handler = Durable(sys.argv[2]).take if sys.argv[1:2] == ["--durable"] else empty
    serve(Starlette(routes=[Route("/messages", handler, methods=["POST"])]))
