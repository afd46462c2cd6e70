"""The protocol register, over DOCAREA: three steps with a token. Which vendor it is, is configuration (`adapters.protocollo.dialects`).

What each end of a step means:

=================================== =========================================================================================
login or inserimento failed         `Unreachable`: nothing is registered. A document put in without a registration has no number and
                                    no place in the register; vendors sweep such documents away, and another try puts in its own
protocollazione: an error number    `Refused`: the register said no, no number was given
any step: token expired             said by an error number, so no number was given: log in once more and do all three again; `Unreachable`
                                    when the new token is refused too, as where another process logs in with the same user meanwhile
any step: a fault, or a 401 or 403  as here for its step; it may be about the token, so the next try logs in anew
protocollazione: turned away unread `Unreachable` (`adapters.soap.client.TURNED_AWAY`)
protocollazione: anything else      `InDoubt`: a number may have been given. Never repeated before the probe has looked for it
=================================== =========================================================================================
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from adapters.http.outcome import no_answer
from adapters.protocollo import dialects, registro
from adapters.protocollo.dialects import Dialect, Step, day_of, full_number, is_number, year_of
from adapters.protocollo.modelli import ProtocolloSettings, Registrato, Registrazione, RicercaProtocollo, Trovato
from adapters.protocollo.riferimento import is_marked, mark, marked, says
from adapters.soap.client import BAD_REQUEST, SoapClient
from bus.adapter import Adapter, Call, Caution, Effect, InDoubt, Refused, Report, Unreachable, operation
from bus.errors import ConfigError, Malformed

T = TypeVar("T")
Held: TypeAlias = tuple[Registrato, str]
"""A registration, and its object as the register holds it."""

_REFUSALS = {
    "ACCESSO_NEGATO": "the register does not take our user and password",
    "UO_SCONOSCIUTA": "no such organisational unit",
    "CLASSIFICA_ERRATA": "no such code in the filing plan",
    "SEGNATURA_ERRATA": "the register cannot read the Segnatura",
    "DOCUMENTO_IGNOTO": "the register does not know a document that was put in",
    "DOCUMENTO_TROPPO_GRANDE": "a document, or all of them together, is larger than the settings let through: nothing was sent",
    "NON_PREVISTO": "this register cannot be searched through its services",
    BAD_REQUEST: "the request does not fit the register's contract: nothing was sent",
}


class _Expired(Exception):
    """The register wants a new login; nothing was registered."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Visit:
    """One call of several steps, and the token; empty before there is one."""

    ctx: Call
    token: str

    def call(self) -> Call:
        """The call, while it has time; before the last step nothing is registered, so no time left is `Unreachable`."""
        if self.ctx.left <= 0:
            raise Unreachable("no time was left for the next step; nothing was registered")
        return self.ctx


class Protocollo(Adapter):
    """Registers documents and gives their number; finds a registration again by our reference."""

    Settings = ProtocolloSettings

    def __init__(self, name: str, settings: ProtocolloSettings) -> None:
        super().__init__(name, settings)
        self._dialect = _dialect_of(settings)
        contract = settings.contratto or Path(__file__).parent / "contract" / self._dialect.contratto
        self._docarea = _client(settings, contract, settings.url)
        self._ricerca = _client(settings, settings.contratto_ricerca, settings.url_ricerca, settings.autorizzazione_ricerca)
        self._lock = threading.Lock()
        self._token = ""
        settled = dataclasses.replace(type(self).operations["registra"], settle=settings.assestamento)
        vars(self)["operations"] = {**type(self).operations, "registra": settled}

    @operation(
        effect="queryable",
        timeout=30,
        settle=30,
        refusals=_REFUSALS,
        failed_when="lngErrNumber is not 0",
    )
    def registra(self, request: Registrazione, ctx: Call) -> Registrato:
        """Register documents under the next number of the year."""
        files = self._files(request, ctx)
        return self._with_token(ctx, lambda visit: self._three_steps(request, files, visit))

    @registra.probe  # type: ignore[untyped-decorator]
    def registrata(self, request: Registrazione, ctx: Call) -> Registrato | None:
        """Is there a registration with our reference and our object? Raises `Unreachable` when nobody can tell: the doubt stays.

        A reference is the portal's own number: another portal, or another service, may have used the same one.
        """
        try:
            found = self._search(request.riferimento, ctx)
        except Refused as refused:
            raise Unreachable(
                f"the search was refused: {refused.sentence}", outside_code=refused.outside_code, locked_out=refused.locked_out
            ) from None
        text = marked(request.oggetto, request.riferimento, self.settings.oggetto_massimo)
        ours = _first([one for one, held in found if says(held, text)])
        if found and ours is None:
            other = found[0][0]
            raise Unreachable(
                f"our reference stands in the register under {other.anno}/{other.numero}, with another object: look there", answered=True
            )
        return ours

    @operation(effect="read", timeout=15, refusals=_REFUSALS)
    def cerca(self, request: RicercaProtocollo, ctx: Call) -> Trovato:
        """Which number was given to our reference?"""
        found = _first([one for one, _ in self._search(request.riferimento, ctx)])
        if found is None:
            return Trovato(trovato=False)
        return Trovato(trovato=True, numero=found.numero, anno=found.anno, data=found.data)

    def reports(self) -> Sequence[Report]:
        """The day's registrations."""
        return (registro.report(self.name),)

    def check(self) -> Iterable[str]:
        """Does the contract have what the dialect asks?"""
        dialect = self._dialect
        steps = (dialect.login, dialect.inserimento, dialect.protocollazione, dialect.ricerca)
        yield from self._docarea.missing(*(step.operazione for step in steps if step is not None))
        if dialect.ricerca_estesa:
            yield from self._ricerca.missing("getDocumentiProtocollati", "getDocumento")
        elif dialect.ricerca is None:
            yield Caution("this dialect has no search: a registration left in doubt waits for a person")

    def close(self) -> None:
        self._docarea.close()
        self._ricerca.close()

    # -- the three steps ------------------------------------------------------------------------------------------------------------------

    def _three_steps(self, request: Registrazione, files: list[tuple[str, bytes]], visit: _Visit) -> Registrato:
        from adapters.protocollo import segnatura
        from adapters.soap.xml import serialize

        documents = [(self._put(content, visit), name) for name, content in files]
        try:
            made = segnatura.segnatura(request, documents, self.settings)
        except Malformed as error:
            raise Refused(error.sentence, outside_code=BAD_REQUEST) from None
        errors = segnatura.schema().errors(made)
        if errors:
            raise Refused(f"the Segnatura is not valid: {errors[0]}", outside_code=BAD_REQUEST, evidence=errors)
        said = self._ask(self._dialect.protocollazione, {"contenuto": serialize(made)}, visit, effect="queryable")
        return self._registered(said, request.riferimento)

    def _registered(self, said: Mapping[str, Any], riferimento: str) -> Registrato:
        number, year = said.get(self._dialect.numero), said.get(self._dialect.anno)
        if not is_number(number) or not is_number(year):
            raise InDoubt("the register answered yes without a number", answered=True)
        return _registrato(number, year, said.get(self._dialect.data) or "", riferimento)

    def _put(self, content: bytes, visit: _Visit) -> int:
        said = self._ask(self._dialect.inserimento, {"contenuto": content}, visit)
        try:
            document = int(said[self._dialect.documento])
        except (KeyError, TypeError, ValueError):  # of a register whose replies are not held to its contract
            document = 0
        if document <= 0:
            raise Unreachable("the register names no document that it took in; nothing was registered", answered=True)
        return document

    def _files(self, request: Registrazione, ctx: Call) -> list[tuple[str, bytes]]:
        """Names and bytes, the main document first; a text summary when nothing is attached."""
        if not request.documenti:
            return [("riepilogo.txt", _summary(request).encode())]
        assert ctx.open_attachment is not None, "the engine gives every call a way to its files"
        found, left = [], self.settings.documenti_massimo
        for document in request.documenti:
            with ctx.open_attachment(document.sha256) as stream:
                content = stream.read(min(self.settings.documento_massimo, left) + 1)
            if len(content) > self.settings.documento_massimo:
                raise _too_large(f"{document.name} is", "documento_massimo", self.settings.documento_massimo)
            left -= len(content)
            if left < 0:
                raise _too_large("the documents of this registration are together", "documenti_massimo", self.settings.documenti_massimo)
            found.append((document.name, content))
        return found

    # -- the token ------------------------------------------------------------------------------------------------------------------------

    def _with_token(self, ctx: Call, work: Callable[[_Visit], T]) -> T:
        """Run ``work`` with a token; when the register says that it is over, take a new one and run it again, once."""
        visit = _Visit(ctx, self._token)
        if not visit.token:
            visit = self._renewed(visit)
        try:
            return self._worked(work, visit)
        except _Expired:
            visit = self._renewed(visit)
        try:
            return self._worked(work, visit)
        except _Expired:
            sentence = "the register refuses a token it has just given; does somebody else log in with our user?"
            raise Unreachable(sentence, outside_code="GETTONE_RIFIUTATO", answered=True) from None

    def _worked(self, work: Callable[[_Visit], T], visit: _Visit) -> T:
        """What ``work`` gives. A fault or a locked door may be some register's way to say that the token is over: it is used no more."""
        try:
            return work(visit)
        except (Unreachable, InDoubt) as error:
            if self._token == visit.token and (error.answered or error.locked_out):
                self._token = ""
            raise

    def _renewed(self, visit: _Visit) -> _Visit:
        """The visit with another token: the one that another thread has got meanwhile, else that of a new login.

        Some registers keep one token a user: each login ends what the others do with theirs.
        """
        if not self._lock.acquire(timeout=max(visit.call().left, 0.0)):
            raise Unreachable("no token in time; nothing was registered")
        try:
            if self._token == visit.token:
                said = self._ask(self._dialect.login, {}, visit)
                self._token = str(said.get(self._dialect.token) or "")
            if not self._token:
                raise Unreachable("the register let us in without a token", answered=True)
            return dataclasses.replace(visit, token=self._token)
        finally:
            self._lock.release()

    # -- one exchange ---------------------------------------------------------------------------------------------------------------------

    def _ask(self, step: Step, given: Mapping[str, Any], visit: _Visit, effect: Effect = "read") -> Mapping[str, Any]:
        """The result of one step. Raises as the client does, `Refused` for an error number, `_Expired` for one about the token."""
        settings = self.settings
        own = {"ente": settings.ente, "utente": settings.utente, "password": settings.password, "token": visit.token, **given}
        values = {theirs: own[ours] for theirs, ours in step.argomenti.items()}
        reply = self._docarea.call(step.operazione, values, visit.call(), effect=effect)
        said = reply.get(step.risultato)
        if not isinstance(said, Mapping) or not self._is_error_number(said.get(self._dialect.errore)):
            raise no_answer(effect, f"{step.operazione}: the reply says neither yes nor no", answered=True)
        if not is_number(said.get(self._dialect.numero)):  # a number, once given, is a fact, whatever complaint comes with it
            self._raise_error(step, str(said[self._dialect.errore]), str(said.get(self._dialect.testo) or ""))
        return said

    def _is_error_number(self, said: object) -> bool:
        """Whether a register, whose replies may stray, says by it yes or no: by a number, or by a word that the dialect knows."""
        text = "" if said is None else str(said)
        return any(sign.isdigit() for sign in text) or text in self._dialect.codici or text in self._dialect.gettone_scaduto

    def _raise_error(self, step: Step, code: str, sentence: str) -> None:
        if code == "0":
            return
        named = self._dialect.codici.get(code, "ACCESSO_NEGATO")  # which behind the login can be about the token alone
        expired = code in self._dialect.gettone_scaduto or (named == "ACCESSO_NEGATO" and self._says_expired(sentence))
        if expired and step is not self._dialect.login:
            raise _Expired
        ours = self._dialect.codici.get(code, code)
        raise Refused(
            f"{step.operazione}: {sentence or code}", outside_code=ours, evidence={"numero": code},
            locked_out=ours == "ACCESSO_NEGATO" or step is self._dialect.login,
        )  # fmt: skip

    # -- looking for our reference --------------------------------------------------------------------------------------------------------

    def _search(self, riferimento: str, ctx: Call) -> list[Held]:
        if self._dialect.ricerca_estesa:
            return self._with_token(ctx, lambda visit: self._search_extended(riferimento, visit))
        if self._dialect.ricerca is None:
            raise Refused("this register cannot be searched through its services", outside_code="NON_PREVISTO")
        return self._with_token(ctx, lambda visit: self._search_plain(riferimento, visit))

    def _search_plain(self, riferimento: str, visit: _Visit) -> list[Held]:
        assert self._dialect.ricerca is not None
        said = self._ask(self._dialect.ricerca, {"oggetto": mark(riferimento)}, visit)
        ours = [line for line in said["registrazione"] or () if is_marked(line["strOggetto"], riferimento)]
        return [(self._registered(line, riferimento), line["strOggetto"]) for line in ours]

    def _search_extended(self, riferimento: str, visit: _Visit) -> list[Held]:
        from adapters.protocollo.estesa import document, documents

        def ask(name: str, content: str) -> str:
            values = {"user": self.settings.utente, "DST": visit.token, "xml": content}
            return str(self._ricerca.call(name, values, visit.call(), effect="read").get("return") or "")

        found = []
        for number in documents(ask, self.settings.utente, riferimento, self._refuse_expired):
            said = document(ask, self.settings.utente, number, self._refuse_expired)
            if is_marked(said["OGGETTO"], riferimento):
                if not is_number(said["NUMERO"]):
                    raise Unreachable(
                        f"our reference stands in the register at document {number}, which has no number yet: look there", answered=True
                    )
                found.append((_registrato(said["NUMERO"], said["ANNO"], said["DATA"], riferimento), said["OGGETTO"]))
        return found

    def _refuse_expired(self, sentence: str) -> None:
        """Raises `_Expired` where a reply's text is about the token."""
        if self._says_expired(sentence):
            raise _Expired

    def _says_expired(self, sentence: str) -> bool:
        return any(word in sentence.casefold() for word in self._dialect.gettone_scaduto_testi)


def _client(settings: ProtocolloSettings, contract: str | Path, url: str, authorization: str = "") -> SoapClient:
    headers = {"Authorization": authorization} if authorization else None
    link = settings.link(settings.connessione)
    return SoapClient(contract, url, link, headers=headers, validate_replies=settings.risposte_rigorose)


def _dialect_of(settings: ProtocolloSettings) -> Dialect:
    dialect = dialects.SHIPPED[settings.dialetto] if isinstance(settings.dialetto, str) else settings.dialetto
    if not (settings.contratto or dialect.contratto):
        raise ConfigError("this dialect ships no contract", hint="name the vendor's WSDL in `contratto`")
    if dialect.ricerca_estesa and not (settings.url_ricerca and settings.contratto_ricerca):
        raise ConfigError("this dialect searches through ProtocolloExtendedService", hint="set `url_ricerca` and `contratto_ricerca`")
    return dialect


def _registrato(number: object, year: object, date: str, riferimento: str) -> Registrato:
    day = day_of(date)
    return Registrato(numero=full_number(number), anno=year_of(year, day), data=day, riferimento=riferimento)


def _too_large(which: str, setting: str, most: int) -> Refused:
    sentence = f"{which} larger than {most} bytes: raise {setting}, if the register takes it and the worker has the memory, or send less"
    return Refused(sentence, outside_code="DOCUMENTO_TROPPO_GRANDE")


def _first(found: list[Registrato]) -> Registrato | None:
    """The earliest, should a person have registered the same thing again by hand."""
    return min(found, key=lambda one: (one.anno, one.numero), default=None)


def _summary(request: Registrazione) -> str:
    who = request.mittente or request.destinatario
    name = "" if who is None else " ".join(part for part in (who.denominazione, who.cognome, who.nome) if part)
    lines = {"Oggetto": request.oggetto, "Riferimento": request.riferimento, "Corrispondente": name}
    return "".join(f"{label}: {text}\n" for label, text in lines.items() if text)
