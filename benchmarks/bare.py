"""The measure of accepting: the same server with an empty handler. Starlette, uvicorn, uvloop and httptools, set up as in the bus.

``python -m benchmarks.bare`` prints its port.
"""

from __future__ import annotations

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bus.web.answer import STANDING
from bus.web.serve import IDLE, BoundedProtocol, listen

CONTENT = (
    b'{"id":"019d0000-0000-7000-8000-000000000000","type":"banco.deposito","time":"2026-03-01T09:30:00.000000Z",'
    b'"links":{"message":"/messages/019d0000-0000-7000-8000-000000000000"}}'
)
_HEADERS = {name.decode(): value.decode() for name, value in STANDING} | {"location": "/messages/019d0000-0000-7000-8000-000000000000"}


async def empty(request: Request) -> Response:
    """What the bus answers, without doing anything for it."""
    return Response(CONTENT, 202, _HEADERS, "application/json")


def serve(app: Starlette) -> None:
    """Serve on a free port, as `bus.web.serve.Server` does; prints the port."""
    socket = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        app, http=BoundedProtocol, ws="none", loop="uvloop", lifespan="off", log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=IDLE, proxy_headers=False,
    )  # fmt: skip
    print(socket.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[socket])


if __name__ == "__main__":
    serve(Starlette(routes=[Route("/messages", empty, methods=["POST"])]))
