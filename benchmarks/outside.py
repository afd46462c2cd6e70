"""The outside systems of the benchmarks, the same for bus and script: REST, SOAP, PostgreSQL. Cheap, so that they are not the limit.

``python -m benchmarks.outside FOLDER`` prints ``{"port", "database"}``. The SOAP answer was made, and judged by its XSD, from our
contract of the population registry; only the codice fiscale is put in for each request.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from adapters.edilizia.postgres import USER, Postgres
from adapters.soap.server import SoapService
from benchmarks.work import PERSON
from bus.web.serve import listen

WSDL = Path(__file__).parents[1] / "adapters" / "anagrafe" / "contract" / "anagrafe.wsdl"
SLOW = 5e-6
"""Seconds that ``/lente`` takes for each cent of its amount: the sample of 10,000 cents takes 50 ms, that of 40,000 takes 200."""
_ASKED = re.compile(rb"codFiscale>([A-Z0-9]{16})<")


class Database(Postgres):
    """The simulator's PostgreSQL, reachable by drivers that know no abstract sockets too: it also listens in its own data folder."""

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{USER}@/postgres?host={self.data}"

    def _launched(self, command: list[str], user: dict[str, Any], until: float) -> bool:
        return super()._launched([*command, "-c", f"unix_socket_directories=@{self.socket_name},{self.data}"], user, until)


class Systems:
    """An ASGI application: ``POST /anagrafe`` is SOAP, ``POST /lente`` takes its time, everything else takes JSON and answers a receipt."""

    def __init__(self) -> None:
        person = {
            "codiceFiscale": {"codFiscale": PERSON}, "cognome": "Bellomo", "nome": "Ada", "sesso": "F",
            "dataNascita": dt.date(1971, 5, 3), "luogoNascita": "Caltanissetta",
            "residenza": {"via": "Via delle Zagare", "civico": "12", "cap": "93100", "comune": "Caltanissetta", "provincia": "CL"},
        }  # fmt: skip
        reply = SoapService(WSDL, {}).reply("ricercaSoggetto", {"soggetto": [person]})
        self._soap, self._media_type = reply.body, reply.media_type.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        if scope["path"] == "/anagrafe":
            found = _ASKED.search(body)
            await _answer(send, self._soap.replace(PERSON.encode(), found[1] if found else b""), self._media_type)
        else:
            if scope["path"] == "/lente":
                await asyncio.sleep(SLOW * json.loads(body)["importo"])
            await _answer(send, b'{"ricevuta":"R-%d"}' % len(json.loads(body)), b"application/json")


async def _answer(send: Send, content: bytes, media_type: bytes) -> None:
    headers = [(b"content-type", media_type), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    postgres = Database(folder)
    postgres.start()
    try:
        socket = listen("127.0.0.1", 0)
        facts: dict[str, Any] = {"port": socket.getsockname()[1], "database": postgres.url}
        config = uvicorn.Config(
            Systems(), http="httptools", ws="none", loop="uvloop", lifespan="off", log_config=None, access_log=False,
            timeout_keep_alive=600,  # the rival keeps its connections
        )  # fmt: skip
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print(json.dumps(facts), flush=True)
        uvicorn.Server(config).run(sockets=[socket])
    except KeyboardInterrupt:
        pass
    finally:
        postgres.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
