"""A protocol register in a process of its own, served from a WSDL: our DOCAREA, or a vendor's (``--dialect ads|tinn --wsdl PATH``).

Registrations are effects of kind ``registrazione``, keyed by our reference, numbered from 1 within a year. It registers the same
reference twice when it is asked twice, as the real ones do. ``ads`` also serves ProtocolloExtendedService (``--wsdl-search``) under
``/ricerca``. Tokens end after ``--token-seconds`` or ``--token-uses``.

Error numbers: -1 wrong user or password, -2 token over, 101 unit ``SCONOSCIUTA``, 103 Segnatura not valid, 104 unknown document.
"""

from __future__ import annotations

import argparse
import datetime as dt
import fnmatch
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from adapters.protocollo.dialects import SHIPPED, Step
from adapters.protocollo.segnatura import schema
from adapters.simulator import Reply, Request, Simulator, main
from adapters.soap.server import Handler, SoapService
from adapters.soap.xml import Element, add, children, fragment, local, new, parse, text_at
from bus.clock import ROME
from bus.errors import Malformed

_OURS = Path(__file__).parent / "contract" / "docarea.wsdl"
_MAX_BYTES = 45_000_000
"""The largest document that the adapter sends has 30 MB, and 40 in Base64."""
_SENTENCES = {
    -2: "token non valido o scaduto",
    -1: "utente o password errati",
    101: "unita' organizzativa sconosciuta",
    103: "segnatura non valida",
    104: "documento inesistente",
}


class _No(Exception):
    """The register says no with an error number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Register(Simulator):
    """Simulator of a protocol register that speaks DOCAREA."""

    name = "protocollo"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dialect", choices=tuple(SHIPPED), default="docarea")
        parser.add_argument("--wsdl", type=Path, default=_OURS, help="the contract to serve")
        parser.add_argument("--wsdl-search", type=Path, help="ads: the contract of ProtocolloExtendedService")
        parser.add_argument("--user", default="snodo")
        parser.add_argument("--password", default="segreta-di-prova")
        parser.add_argument("--token-seconds", type=float, default=1800.0)
        parser.add_argument("--token-uses", type=int, default=1_000_000_000)

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        super().__init__(folder, options)
        self._dialect = dialect = SHIPPED[options.dialect]
        steps = ((dialect.login, self._login), (dialect.inserimento, self._insert), (dialect.protocollazione, self._register))
        handlers = {step.operazione: self._serving(step, work) for step, work in steps}
        if dialect.ricerca is not None:
            handlers[dialect.ricerca.operazione] = self._serving(dialect.ricerca, self._search)
        self._service = SoapService(options.wsdl, handlers, max_bytes=_MAX_BYTES)
        extended = {"getDocumentiProtocollati": self._extended(self._ids), "getDocumento": self._extended(self._document)}
        self._other = SoapService(options.wsdl_search, extended) if options.wsdl_search else None

    def operation_of(self, request: Request) -> str:
        return self._at(request).operation_of(request.body, request.headers.get("soapaction", ""))

    def handle(self, request: Request) -> Reply:
        return Reply(*self._at(request).handle(request.body, soap_action=request.headers.get("soapaction", "")))

    def refuse(self, request: Request, code: str) -> Reply:
        """Say no in the reply itself, in the words of DOCAREA."""
        operation = self.operation_of(request)
        dialect = self._dialect
        for step in (dialect.login, dialect.inserimento, dialect.protocollazione, dialect.ricerca):
            if step is not None and step.operazione == operation:
                return Reply(*self._service.reply(operation, {step.risultato: self._said_no(step, int(code))}))
        return Reply(*self._at(request).reply(operation, {"return": _trouble(f"errore {code}")}))

    def _at(self, request: Request) -> SoapService:
        return self._other if self._other is not None and request.path.startswith("/ricerca") else self._service

    def _serving(self, step: Step, work: Callable[[dict[str, Any]], dict[str, Any]]) -> Handler:
        """A handler that speaks their words outside and ours inside."""

        def serve(asked: dict[str, Any]) -> Mapping[str, Any]:
            ours = {name: asked[theirs] for theirs, name in step.argomenti.items()}
            try:
                if "token" in ours:
                    self._use(str(ours["token"]))
                said = {**work(ours), self._dialect.errore: 0, self._dialect.testo: ""}
            except _No as no:
                said = self._said_no(step, no.number)
            return {step.risultato: said}

        return serve

    def _said_no(self, step: Step, number: int) -> dict[str, Any]:
        """An error number; the fields that the contract demands are there and mean nothing."""
        dialect = self._dialect
        empty: dict[str, dict[str, Any]] = {
            dialect.login.operazione: {dialect.token: ""},
            dialect.inserimento.operazione: {dialect.documento: 0},
            dialect.protocollazione.operazione: {dialect.numero: 0, dialect.anno: 0, dialect.data: ""},
        }
        sentence = _SENTENCES.get(number, "rifiutato")
        return {**empty.get(step.operazione, {}), dialect.errore: number, dialect.testo: sentence}

    def _login(self, asked: dict[str, Any]) -> dict[str, Any]:
        if (asked["utente"], asked["password"]) != (self.options.user, self.options.password):
            raise _No(-1)
        token = secrets.token_hex(16)
        self.ledger.remember("token", token, {"until": time.time() + self.options.token_seconds, "uses": self.options.token_uses})
        return {self._dialect.token: token}

    def _use(self, token: str) -> None:
        with self.ledger.transaction():
            known = self.ledger.state("token", token)
            if known is None or known["until"] < time.time() or known["uses"] <= 0:
                raise _No(-2)
            self.ledger.remember("token", token, {**known, "uses": known["uses"] - 1})

    def _insert(self, asked: dict[str, Any]) -> dict[str, Any]:
        with self.ledger.transaction():
            number = 1 + int(self.ledger.state("last", "documento") or 0)
            self.ledger.remember("last", "documento", number)
            self.ledger.remember("documento", str(number), {"size": len(asked["contenuto"] or b"")})
        return {self._dialect.documento: number}

    def _register(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            said = parse(asked["contenuto"])
        except Malformed:
            raise _No(103) from None
        if schema().errors(said):
            raise _No(103)
        detail = self._examined(said)
        today = dt.datetime.now(ROME).date()
        with self.ledger.transaction():
            number = 1 + int(self.ledger.state("last", str(today.year)) or 0)
            self.ledger.remember("last", str(today.year), number)
            made = {**detail, "numero": number, "anno": today.year, "data": f"{today:%d/%m/%Y}"}
            self.ledger.effect("registrazione", detail["riferimento"], made)
        return self._numbered(made)

    def _examined(self, said: Element) -> dict[str, Any]:
        """What a registration keeps of its Segnatura. Raises `_No`."""
        parameters = {one.get("nome"): one.get("valore") for one in said.iter("Parametro")}
        documents = [one.get("id") for one in said.iter("Documento")]
        if any(self.ledger.state("documento", number) is None for number in documents):
            raise _No(104)
        if parameters.get("uo") == "SCONOSCIUTA":
            raise _No(101)
        oggetto = text_at(said, "Intestazione", "Oggetto") or ""
        flusso = text_at(said, "Intestazione", "Identificatore", "Flusso")
        return {
            "riferimento": parameters.get("riferimento", ""),
            "oggetto": oggetto,
            "flusso": flusso,
            "documenti": documents,
            **{name: parameters.get(name, "") for name in ("uo", "tipoSmistamento")},
        }

    def _numbered(self, made: Mapping[str, Any]) -> dict[str, Any]:
        return {self._dialect.numero: made["numero"], self._dialect.anno: made["anno"], self._dialect.data: made["data"]}

    def _search(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = [made["detail"] for made in self.ledger.effects("registrazione") if asked["oggetto"] in made["detail"]["oggetto"]]
        return {"registrazione": [{**self._numbered(made), "strOggetto": made["oggetto"]} for made in found]}

    def _extended(self, work: Callable[[Element], Element]) -> Handler:
        """A handler of ProtocolloExtendedService: XML in a string, XML out in a string."""

        def serve(asked: dict[str, Any]) -> Mapping[str, Any]:
            try:
                self._use(str(asked["DST"]))
                return {"return": fragment(work(parse(str(asked["xml"]).encode()))).decode()}
            except _No:
                return {"return": _trouble("Utente non autorizzato o token non valido")}
            except Malformed:
                return {"return": _trouble("Errore di validazione XML")}

        return serve

    def _ids(self, asked: Element) -> Element:
        """LIKE on the object: ``%`` is any text, ``_`` any character."""
        pattern = (text_at(asked, "OGGETTO") or "").replace("[", "[[]").replace("*", "[*]").replace("?", "[?]")
        pattern = pattern.replace("%", "*").replace("_", "?")
        root = new("DOCUMENTI")
        for made in self.ledger.effects("registrazione"):
            if fnmatch.fnmatchcase(made["detail"]["oggetto"], pattern):
                add(add(root, "DOCUMENTO"), "ID_DOCUMENTO", str(made["id"]))
        return root

    def _document(self, asked: Element) -> Element:
        wanted = next((text for child in children(asked) if local(child) == "ID_DOCUMENTO" and (text := child.text)), "")
        root = new("ROOT")
        made = next((one["detail"] for one in self.ledger.effects("registrazione") if str(one["id"]) == wanted), None)
        if made is None:
            return parse(_trouble("documento non trovato").encode())
        document = add(root, "DOC")
        shown = {"ID_DOCUMENTO": wanted, "ANNO": made["anno"], "NUMERO": made["numero"], "DATA": made["data"], "OGGETTO": made["oggetto"]}
        for name, value in shown.items():
            add(document, name, str(value))
        return root


def _trouble(sentence: str) -> str:
    root = new("ROOT")
    for name, text in {"RESULT": "KO", "MESSAGE": sentence, "ERROR_NUMBER": "-1"}.items():
        add(root, name, text)
    return fragment(root).decode()


if __name__ == "__main__":
    main(Register)
