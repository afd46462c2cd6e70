"""What the tests of SOAP share: a service of ours, a system that answers what it is told, and what is said to both."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Mapping
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from adapters.soap import wsdl as contracts
from adapters.soap import xml
from adapters.soap.client import SoapClient
from adapters.soap.server import SoapService
from bus.adapter import Call, Effect

OURS = Path(__file__).parents[2] / "adapters/anagrafe/contract/anagrafe.wsdl"
SHARED = Path(__file__).parents[3] / "shared/contracts"
ASKED = {
    "testata": {"codMittente": "085004", "dataOraRichiesta": "2026-01-02T03:04:05Z"},
    "codiceFiscale": {"codFiscale": "BLLDAA71E43B429M"},
}
PERSON = {
    "codiceFiscale": {"codFiscale": "BLLDAA71E43B429M"}, "cognome": "BELLOMO", "nome": "ADA", "sesso": "F", "dataNascita": dt.date(1971, 5, 3),
}  # fmt: skip


def contract_of(types: str) -> str:
    """A WSDL of one operation, ``chiedi``, which is asked and answered with a ``t:T`` of these types (document/literal, SOAP 1.1)."""
    return f"""<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:t="urn:t"
 xmlns:x="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:t"><types><x:schema targetNamespace="urn:t" elementFormDefault="qualified">
{types}<x:element name="chiedi" type="t:T"/><x:element name="detto" type="t:T"/></x:schema></types>
<message name="I"><part name="p" element="t:chiedi"/></message><message name="O"><part name="p" element="t:detto"/></message>
<portType name="P"><operation name="chiedi"><input message="t:I"/><output message="t:O"/></operation></portType>
<binding name="B" type="t:P"><s:binding transport="http://schemas.xmlsoap.org/soap/http"/><operation name="chiedi"><s:operation soapAction=""/>
<input><s:body use="literal"/></input><output><s:body use="literal"/></output></operation></binding>
<service name="S"><port name="X" binding="t:B"><s:address location="http://ente.example/"/></port></service></definitions>"""


def request_bytes() -> bytes:
    contract = contracts.load(OURS)
    return xml.serialize(contract.build_request(contract.operation("ricercaSoggetto"), ASKED))


def service(handler=lambda asked: {"soggetto": [PERSON]}, **how) -> SoapService:
    return SoapService(OURS, {"ricercaSoggetto": handler}, **how)


def call_of() -> Call:
    return Call(key="0" * 64, timeout=2.0, now=dt.datetime(2026, 1, 2, tzinfo=dt.UTC))


class Peer:
    """A system in one thread that answers what it is told and keeps the bytes it got."""

    def __init__(self, status: int = 200, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.got: list[bytes] = []
        self.actions: list[str] = []
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                peer.got.append(self.rfile.read(int(self.headers["Content-Length"])))
                peer.actions.append(self.headers.get("SOAPAction", ""))
                self.send_response(status)
                for name, value in {"Content-Type": "text/xml", "Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/qui"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def asked(
    peer: Peer, wsdl: Path = OURS, effect: Effect = "once", refusals: Mapping[str, str] | None = None, **settings: Any
) -> dict[str, Any]:
    """What a client with these settings makes of what the peer answers to one question."""
    with peer, closing(SoapClient(wsdl, peer.url, **settings)) as client:
        return client.call("ricercaSoggetto", ASKED, call_of(), effect=effect, refusals=refusals)


GOOD = service().handle(request_bytes()).body


FAULT = (
    b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault><faultcode>e:Server.GIU</faultcode>'
    b"<faultstring>chiuso</faultstring><detail><MANUTENZIONE/></detail></e:Fault></e:Body></e:Envelope>"
)
