"""The population registry, over SOAP. Which registry it is, is configuration: see `adapters.anagrafe.dialects`."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from adapters.anagrafe import dialects
from adapters.anagrafe.dialects import Dialect, Question, day_of, dig, filled, is_no_date
from adapters.http.link import LinkSettings
from adapters.soap.client import BAD_REQUEST, SoapClient
from bus.adapter import Adapter, Call, Contract, Effect, InDoubt, LocalFile, Refused, Text, Unreachable, operation
from bus.errors import ConfigError

_CF_WRONG = "CF_ERRATO"
_PERSON_REFUSALS = {
    "NON_TROVATO": "nobody in the registry has that codice fiscale",
    "AMBIGUO": "several people answer to that codice fiscale",
    _CF_WRONG: "the codice fiscale is not valid: nothing was asked",
    "ALTRO_SOGGETTO": "the registry answered about somebody else",
    BAD_REQUEST: "the request does not fit the registry's contract: nothing was sent",
}


class Ricerca(Contract):
    codice_fiscale: str = Field(description="16 characters, omocodia allowed, or the provisional 11 digits")


class Residenza(Contract):
    """Where somebody lives, as the registry writes it. What it does not say is empty."""

    via: str = ""
    civico: str = ""
    cap: str = ""
    comune: str = ""
    provincia: str = ""


class Soggetto(Contract):
    """The person as the registry knows them; ``deceduto`` says that they have died."""

    codice_fiscale: str
    cognome: str
    nome: str
    data_nascita: str = Field(description="YYYY-MM-DD; from the codice fiscale when the registry does not say; else empty")
    sesso: str = Field(description="M or F; from the codice fiscale when the registry does not say; else empty")
    luogo_nascita: str | None = None
    residenza: Residenza | None = None
    deceduto: bool
    verificato: bool = Field(default=True, description="always true: this comes from the registry")


class RichiestaCertificato(Contract):
    codice_fiscale: str = Field(description="whom the certificate is about")
    tipo: str = Field(pattern="^[0-9]{1,2}$", description="code of ANPR's table of certificate types, such as 8 for residence")
    uso: str | None = Field(default=None, description="what it is for, as the applicant says")
    esenzione: str | None = Field(default=None, pattern="^[0-9]{1,2}$", description="code of ANPR's table of stamp exemptions")
    ricevuta: str | None = Field(default=None, description="receiptId or IUV of what was paid")


class FileSalvato(Contract):
    """A file that the bus keeps from now on: the SHA-256 by which it is found, and its ``size`` in bytes."""

    sha256: str
    size: int
    media_type: str
    name: str


class Certificato(Contract):
    """The certificate, and the file that holds it."""

    numero: str = Field(description="protocol number given by the registry")
    data: str = Field(description="YYYY-MM-DD, day of issue")
    file: FileSalvato


_NEEDED = frozenset({"cognome", "nome", "deceduto"})
_PERSON = _NEEDED | {"codice_fiscale", "data_nascita", "sesso", "luogo_nascita", *(f"residenza.{name}" for name in Residenza.model_fields)}
_CERTIFICATE = frozenset({"numero", "data", "codice_fiscale", "file"})
"""What a dialect may take from an answer, ``_NEEDED`` and all of a certificate's it must: who died is not to be taken for alive."""


class AnagrafeSettings(LinkSettings):
    dialetto: str | Dialect = Field(default="anpr", description="anpr, wsanagrafe2, or a whole dialect written out")
    contratto: LocalFile = Field(default="", description="path of the WSDL; empty takes the one shipped with the dialect")
    credenziali: dict[str, str] = Field(default_factory=dict, repr=False, description="names the dialect's templates use, such as token")
    comune: str = Field(default="000000", pattern="^[0-9]{6}$", description="ISTAT code of the comune, six digits")
    tipo_invio: Text = Field(default="PROD", description="environment, as ANPR names it: TEST, PRE_SUB, PROD")
    id_iniziale: int = Field(
        default=0, ge=0, description="added to each idOperazioneComune: the last one that other software of the comune used"
    )
    connessione: float = Field(default=3.0, gt=0, description="seconds to connect")
    risposte_rigorose: bool = Field(default=True, description="false takes replies that stray from the registry's own XSD")


class Anagrafe(Adapter):
    """Asks a municipal registry about people and for certificates."""

    Settings = AnagrafeSettings

    def __init__(self, name: str, settings: AnagrafeSettings) -> None:
        super().__init__(name, settings)
        self._dialect = _dialect_of(settings)
        contract = settings.contratto or Path(__file__).parent / "contract" / self._dialect.contratto
        link, strict = settings.link(settings.connessione), settings.risposte_rigorose
        self._client = SoapClient(contract, settings.url, link, port=self._dialect.porta, validate_replies=strict)

    @operation(effect="read", timeout=5, refusals=_PERSON_REFUSALS, failed_when="listaErrori has an error that is not a warning")
    def cerca_soggetto(self, request: Ricerca, ctx: Call) -> Soggetto:
        """Who has this codice fiscale?"""
        codice = _checked(request.codice_fiscale)
        question = self._dialect.cerca
        values = self._ask(question, {"codice_fiscale": codice}, ctx)
        found = dig(values, question.risultato)
        if isinstance(found, list):
            if len(found) > 1:
                raise Refused("several people answer to that codice fiscale", outside_code="AMBIGUO")
            found = found[0]
        if found is None:
            raise _unknown()
        return self._person(found, codice)

    @operation(
        effect="keyed",
        sequence="idOperazioneComune",
        timeout=20,
        concurrency=1,
        refusals=_PERSON_REFUSALS
        | {
            "AIRE": "the person lives abroad: this certificate is not issued here",
            "DECEDUTO": "the person has died: this certificate cannot be issued",
            "ID_INFERIORE": "the operation id is unknown and lower than the last one: the sequence was set back",
            "ID_GIA_USATO": "the operation id had been used for another certificate: the sequence was set back",
            "NON_PREVISTO": "this registry issues no certificates",
        },
        failed_when="the reply is a Risposta6001KO",
    )
    def emetti_certificato(self, request: RichiestaCertificato, ctx: Call) -> Certificato:
        """Issue a certificate; the same ``idOperazioneComune`` gets the same certificate again."""
        codice = _checked(request.codice_fiscale)
        question = self._dialect.certificato
        if question is None:
            raise Refused("this registry issues no certificates", outside_code="NON_PREVISTO")
        if ctx.number is None:
            raise ValueError("emetti-certificato needs a number of the sequence idOperazioneComune")
        names = {**request.model_dump(), "codice_fiscale": codice, "numero": self.settings.id_iniziale + ctx.number}
        found = dig(self._ask(question, names, ctx, effect="keyed"), question.risultato)
        content = dig(found, question.campi["file"])
        if not isinstance(content, bytes) or not content:
            raise InDoubt("the registry answered yes but gave no file", answered=True)
        whose = _trimmed(dig(found, question.campi["codice_fiscale"]))
        if whose is None:
            raise InDoubt("the registry answered yes but does not say whose certificate it is", answered=True)
        if not _same_person(str(whose), codice):
            raise Refused("that operation id belongs to another person's certificate", outside_code="ID_GIA_USATO")
        numero = str(dig(found, question.campi["numero"]) or "")
        if not numero:
            raise InDoubt("the registry answered yes but gave no number", answered=True)
        try:
            issued = day_of(dig(found, question.campi["data"]), self._dialect.formato_data)
        except (ValueError, OverflowError):
            raise InDoubt("the registry's day of issue is not written as `formato_data` says", answered=True) from None
        assert ctx.save_attachment is not None, "the engine gives every call a place for files"
        saved = ctx.save_attachment(io.BytesIO(content), "application/pdf", f"certificato-{numero}.pdf")
        file = FileSalvato(sha256=saved.sha256, size=saved.size, media_type=saved.media_type, name=saved.name)
        return Certificato(numero=numero, data=issued, file=file)

    def check(self) -> Iterable[str]:
        """Does the contract have what the dialect asks, and do the credentials have the names it uses?"""
        names = {*self._names({}, None), *RichiestaCertificato.model_fields, "numero"}
        for question in (self._dialect.cerca, self._dialect.certificato):
            if question is None:
                continue
            try:
                self._client.wsdl.operation(question.operazione)
                filled(question.valori, dict.fromkeys(names, "x"))
            except ConfigError as error:
                yield error.in_words
            except KeyError as missing:
                yield f"the dialect uses {{{missing.args[0]}}}, which nobody gives: add it to credenziali"
            else:
                yield from self._not_answered(question)

    def _not_answered(self, question: Question) -> Iterator[str]:
        """What the dialect takes from an answer that the contract's surely has not, and what it leaves out or does not know."""
        from adapters.soap.shapes import is_absent

        needed, known = (_CERTIFICATE, _CERTIFICATE) if question is self._dialect.certificato else (_NEEDED, _PERSON)
        for name in sorted(needed - question.campi.keys()):
            yield f"the dialect takes no {name} from the answer of {question.operazione}: say under campi where it is"
        for name in sorted(question.campi.keys() - known):
            yield f"campi.{name} of {question.operazione} is none of {', '.join(sorted(known))}"
        _, answer = self._client.shapes(question.operazione)
        below = [(question.risultato, path) for path in question.campi.values()]
        below += [(question.errori, path) for path in (question.codice, question.testo, *question.solo_avviso) if question.errori]
        for above, paths in [("", question.risultato), ("", question.errori), *below]:
            for path in filter(None, paths.split("|")):
                whole = f"{above}.{path}" if above else path
                if "|" not in above and is_absent(answer, whole):
                    yield f"the answer of {question.operazione} has no {whole}"

    def close(self) -> None:
        self._client.close()

    def _names(self, asked: Mapping[str, Any], ctx: Call | None) -> dict[str, Any]:
        """What a template may use."""
        now = ctx.now.isoformat(timespec="seconds").replace("+00:00", "Z") if ctx else ""
        own = {"comune": self.settings.comune, "tipo_invio": self.settings.tipo_invio, "adesso": now}
        return {**own, **self.settings.credenziali, **asked}

    def _ask(self, question: Question, asked: Mapping[str, Any], ctx: Call, effect: Effect = "read") -> dict[str, Any]:
        """The values of the reply. Raises what the client raises, and `Refused` for an error said in band."""
        request = filled(question.valori, self._names(asked, ctx))
        try:
            values = self._client.call(question.operazione, request, ctx, effect=effect, refusals=question.codici)
        except Refused as refused:
            refused.outside_code = question.codici.get(refused.outside_code, refused.outside_code)
            raise
        _raise_in_band(question, values)
        return values

    def _person(self, found: Any, codice: str) -> Soggetto:
        fields = self._dialect.cerca.campi
        said = dict.fromkeys(_PERSON) | {ours: _trimmed(dig(found, path)) for ours, path in fields.items()}
        answered = str(said.pop("codice_fiscale") or codice).upper()
        if not _same_person(answered, codice):
            raise Refused("the registry answered about somebody else", outside_code="ALTRO_SOGGETTO")
        if not (said["cognome"] or said["nome"]):  # a record of nothing: so some say that there is nobody
            raise _unknown()
        home = {name.partition(".")[2]: str(said.pop(name) or "") for name in _PERSON if name.startswith("residenza.")}
        death, marks = said["deceduto"], self._dialect.deceduto
        gone = _as_written(death) in marks if marks else _says_so(death)
        try:
            born = day_of(said["data_nascita"], self._dialect.formato_data) if said["data_nascita"] else ""
        except (ValueError, OverflowError):
            raise Unreachable("the registry's date of birth is not written as the settings say", answered=True) from None
        return Soggetto(
            codice_fiscale=answered,
            cognome=str(said["cognome"] or ""),
            nome=str(said["nome"] or ""),
            data_nascita=born or _born(answered),
            sesso=str(said["sesso"] or _sex(answered)).upper(),
            luogo_nascita=said["luogo_nascita"],
            residenza=Residenza(**home) if any(home.values()) else None,
            deceduto=gone,
        )


def _unknown() -> Refused:
    return Refused("nobody in the registry has that codice fiscale", outside_code="NON_TROVATO")


def _dialect_of(settings: AnagrafeSettings) -> Dialect:
    dialect = settings.dialetto
    if isinstance(dialect, str):
        if dialect not in dialects.SHIPPED:
            raise ConfigError(f"no dialect {dialect!r}", hint=f"there are {', '.join(dialects.SHIPPED)}; or write one out")
        dialect = dialects.SHIPPED[dialect]
    if not (settings.contratto or dialect.contratto):
        raise ConfigError("this dialect ships no contract", hint="name the vendor's WSDL in `contratto`")
    return dialect


def _raise_in_band(question: Question, values: Mapping[str, Any]) -> None:
    """An error said inside a success, unless it is a mere warning."""
    if not question.errori:
        return
    said = dig(values, question.errori) or []
    for error in said if isinstance(said, list) else [said]:
        if any(_as_written(dig(error, path)) == value for path, value in question.solo_avviso.items()):
            continue
        code = _as_written(dig(error, question.codice))
        raise Refused(str(dig(error, question.testo) or code), outside_code=question.codici.get(code, code), evidence={"codice": code})


def _says_so(death: Any) -> bool:
    """Whether a mark or a date means that somebody has died: any does, but for false, 0 and a date that is none."""
    return death is not None and str(death).lower() not in ("false", "0") and not is_no_date(death)


def _as_written(value: Any) -> str:
    """A value as XML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _trimmed(value: Any) -> Any:
    """Without the blanks that old databases fill their columns up with, on one line; a text of nothing but blanks is no text."""
    return " ".join(value.split()) or None if isinstance(value, str) else value


def _checked(text: str) -> str:
    """A valid codice fiscale in capitals, also an omocodic one. Raises `Refused`: nothing left."""
    from stdnum import exceptions
    from stdnum.it import codicefiscale

    try:
        return str(codicefiscale.validate(text))
    except exceptions.ValidationError:
        raise Refused("the codice fiscale is not valid", outside_code=_CF_WRONG) from None


_DIGITS = str.maketrans("LMNPQRSTUV", "0123456789")
_NUMERIC = (6, 7, 9, 10, 12, 13, 14)


def _same_person(one: str, other: str) -> bool:
    """Equal but for omocodia, which replaces digits by letters and so changes the last character."""
    return _plain(one) == _plain(other)


def _plain(codice: str) -> str:
    if len(codice) != 16:
        return codice.upper()
    return "".join(c.translate(_DIGITS) if place in _NUMERIC else c for place, c in enumerate(codice.upper()[:15]))


def _born(codice: str) -> str:
    """The birth date in a codice fiscale, which has two digits for the year: read as 1930 to 2029, as expressions do."""
    from stdnum.it import codicefiscale

    return "" if len(codice) != 16 else str(codicefiscale.get_birth_date(codice, minyear=1930).isoformat())


def _sex(codice: str) -> str:
    """Women have 40 added to their day, which omocodia may write in letters (stdnum does not read them)."""
    return "" if len(codice) != 16 else "F" if int(codice[9:11].translate(_DIGITS)) > 40 else "M"
