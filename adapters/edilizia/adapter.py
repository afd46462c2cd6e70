"""The building office (SUE): practices read and written in its database, see README.md and ``contract/schema.sql``.

Every operation that writes is one transaction, and is done once per key: the key's UUID, the digest of the content and the
answer are written in ``snodo_operazioni`` together with the rows they speak of.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from adapters.database import REFUSALS, Database, DatabaseSettings, Row, Transaction, amount_of, cents_of, queries_of
from adapters.edilizia.models import (
    Annullamento,
    Aperta,
    Apertura,
    Documento,
    Fascicolo,
    Lettura,
    Mappale,
    MappaleLetto,
    Movimento,
    OnereLetto,
    Pagamento,
    Pagata,
    ProtocolloLetto,
    RichiedenteLetto,
    Stato,
)
from bus.adapter import Adapter, Call, Refused, operation
from bus.clock import ROME
from bus.message import digest

A = TypeVar("A", bound=BaseModel)
HERE = Path(__file__).parent
SCHEMA = HERE / "contract" / "schema.sql"
LARGEST_ID = 999_999
"""Ids are decimal(6,0)."""

_KEYS = uuid.UUID("6f3c2b1e-5d0a-4c57-9b6e-0d5b7f1f2a11")
_NUMBERED = ("istanze", "richiedenti", "mappali", "oneri", "documenti", "movimenti")
_TABLES = {"richiedenti": "istanzerichiedenti", "mappali": "istanzemappali", "oneri": "istanzeoneri", "documenti": "documentiistanza"}

_WRITING = MappingProxyType(
    {
        **REFUSALS,
        "CONTENUTO_DIVERSO": "the same key or IUV was used before with other content",
        "NUMERAZIONE_ESAURITA": "the table's ids (six digits) are used up",
    }
)
_ECHOES = frozenset({"CONTENUTO_DIVERSO"})
_NOT_FOUND = {"NON_TROVATA": "no practice with that number"}


class EdiliziaSettings(DatabaseSettings):
    """Settings of the adapter ``edilizia``."""

    comune: str = Field(min_length=1, max_length=10, description="IDCOMUNE: the municipality's code in every key")
    catasto: str | None = Field(None, min_length=4, max_length=5, description="cadastral code of the municipality, for the parcels")


@cache
def _queries() -> Mapping[str, str]:
    return queries_of(HERE / "queries.sql")


def uuid_of(key: str) -> str:
    """The UUID under which the office knows what we do with this key."""
    return str(uuid.uuid5(_KEYS, key))


class Edilizia(Adapter):
    """The building office's practices, through its database."""

    Settings = EdiliziaSettings

    def __init__(self, name: str, settings: EdiliziaSettings) -> None:
        super().__init__(name, settings)
        self._database = Database(settings)

    def close(self) -> None:
        self._database.close()

    @operation(effect="keyed", timeout=10, undo="annulla-pratica", refusals=_WRITING, echoes=_ECHOES)
    def apri_pratica(self, request: Apertura, ctx: Call) -> Aperta:
        """Open a practice with its applicant, parcels, fees, documents and first history line."""
        return self._once("apri-pratica", request, ctx, Aperta, lambda work: work.open(request))

    @operation(effect="keyed", timeout=10, refusals={**_WRITING, **_NOT_FOUND}, echoes=_ECHOES)
    def annulla_pratica(self, request: Annullamento, ctx: Call) -> Stato:
        """Cancel a practice that we opened; one already cancelled stays so."""
        return self._once("annulla-pratica", request, ctx, Stato, lambda work: work.cancel(request))

    @operation(
        effect="keyed",
        timeout=10,
        refusals={
            **_WRITING,
            **_NOT_FOUND,
            "PRATICA_ANNULLATA": "the practice is cancelled",
            "GIA_PAGATA": "every fee of the practice was paid with another IUV",
            "IMPORTO_DIVERSO": "the amount is neither the sum of the unpaid fees nor one of them",
        },
        echoes=_ECHOES,
    )
    def registra_pagamento(self, request: Pagamento, ctx: Call) -> Pagata:
        """Mark fees as paid; a practice without fees gets one. Done once for each practice and IUV, whatever the key."""
        return self._once("registra-pagamento", request, ctx, Pagata, lambda work: work.pay(request))

    @operation(effect="read", timeout=5, refusals=_NOT_FOUND)
    def leggi_pratica(self, request: Lettura, ctx: Call) -> Fascicolo:
        """All that the office holds of one practice."""
        with self._database.transaction(ctx, "leggi-pratica", read=True) as transaction:
            return _Work(transaction, self.settings, "").read(request.pratica)

    def _once(self, name: str, request: BaseModel, ctx: Call, kind: type[A], act: Callable[[_Work], A]) -> A:
        """Do it unless this key did it: looked up without a lock first, then again as the only writer of this municipality."""
        with self._database.transaction(ctx, name, taken_again=True) as transaction:
            work = _Work(transaction, self.settings, uuid_of(ctx.key))
            content = digest(request.model_dump(mode="json"))
            done = work.done_before(name, content)
            if done is None:
                work.wait_for_turn()
                done = work.done_before(name, content)
            if done is not None:
                return kind.model_validate(done)
            answer = act(work)
            work.sign(name, content, answer)
            return answer


class _Work:
    """What is done inside one transaction, for one municipality."""

    def __init__(self, transaction: Transaction, settings: EdiliziaSettings, own_uuid: str) -> None:
        self.transaction, self.settings, self.uuid = transaction, settings, own_uuid
        self.common = {"comune": settings.comune}

    # -- once per key -------------------------------------------------------------------------------------------------

    def done_before(self, name: str, content: str) -> Any:
        """The answer given under this key, or None; refuses another content."""
        found = self._one("operazione", uuid=self.uuid)
        if found is None:
            return None
        if (found["operazione"], found["impronta"]) != (name, content):
            raise Refused(f"{name}: this key was used with other content", outside_code="CONTENUTO_DIVERSO")
        return json.loads(found["risposta"])

    def wait_for_turn(self) -> None:
        """Lock the first counter: from here to the end of the transaction we are alone in this municipality."""
        self._numbers()

    def sign(self, name: str, content: str, answer: BaseModel) -> None:
        said = json.dumps(answer.model_dump(mode="json"), ensure_ascii=False)
        self._add("segna-operazione", [{"uuid": self.uuid, "operazione": name, "impronta": content, "risposta": said}])

    # -- the three acts -----------------------------------------------------------------------------------------------

    def open(self, asked: Apertura) -> Aperta:
        return self._opened_before(asked) or self._open_now(asked)

    def _opened_before(self, asked: Apertura) -> Aperta | None:
        """The practice that has our UUID though what we did under it is not noted any more; refuses one of another application."""
        found = self._one("istanza-con-uuid", uuid=self.uuid)
        if found is None:
            return None
        if (found["istanza"], found["numero"], found["anno"]) != (asked.istanza, asked.protocollo.numero, asked.protocollo.anno):
            sentence = f"apri-pratica: practice {found['id']} has our UUID and is of another application"
            raise Refused(sentence, outside_code="CONTENUTO_DIVERSO")
        return Aperta(pratica=str(found["id"]), uuid=self.uuid)

    def _open_now(self, asked: Apertura) -> Aperta:
        oneri = asked.oneri or []
        files = self.transaction.ctx.attachments
        ids = self._numbers(
            istanze=1, richiedenti=1, mappali=len(asked.mappali), oneri=len(oneri), documenti=len(files), movimenti=1
        )  # fmt: skip
        pratica = ids["istanze"][0]
        self._add("apri-istanza", [self._istanza(asked, pratica)])
        self._rows("aggiungi-richiedente", pratica, ids["richiedenti"], [asked.richiedente.model_dump()])
        self._rows("aggiungi-mappali", pratica, ids["mappali"], [self._mappale(m, n == 0) for n, m in enumerate(asked.mappali)])
        unpaid = [_onere(o.causale, o.importo, n) for n, o in enumerate(oneri, 1)]
        self._rows("aggiungi-oneri", pratica, ids["oneri"], unpaid)
        documents = [{"nome": f.name[:250], "impronta": f.sha256, "dimensione": f.size, "tipo": f.media_type[:100]} for f in files]
        self._rows("aggiungi-documenti", pratica, ids["documenti"], documents)
        self._history(ids, pratica, "APERTURA", "Presentazione dell'istanza", self.uuid, asked.protocollo.numero)
        return Aperta(pratica=str(pratica), uuid=self.uuid)

    def cancel(self, asked: Annullamento) -> Stato:
        found = self._istanza_of(asked.pratica)
        if found["uuid"] != asked.uuid:
            raise Refused("annulla-pratica: the practice was opened under another UUID", outside_code="NON_TROVATA")
        if found["stato"] != "ANNULLATA":
            self._add("annulla-istanza", [{"pratica": found["id"]}])
            self._history(self._numbers(movimenti=1), found["id"], "ANNULLAMENTO", "Annullamento dell'istanza", asked.uuid)
        return Stato(pratica=found["pratica"], stato="ANNULLATA")

    def pay(self, asked: Pagamento) -> Pagata:
        found = self._istanza_of(asked.pratica)
        oneri = self._all("oneri", pratica=found["id"])
        with_this = [o for o in oneri if o["iuv"] == asked.iuv]
        if with_this:
            _same_payment(with_this, asked)
        else:
            self._pay_now(asked, found, oneri)
            oneri = self._all("oneri", pratica=found["id"])
        return Pagata(pratica=found["pratica"], pagato=all(o["data"] for o in oneri))

    def _pay_now(self, asked: Pagamento, found: Row, oneri: list[Row]) -> None:
        if found["stato"] == "ANNULLATA":
            raise Refused("registra-pagamento: the practice is cancelled", outside_code="PRATICA_ANNULLATA")
        ids = self._numbers(oneri=0 if oneri else 1, movimenti=1)
        if oneri:
            paid = [{"id": o["id"], "data": asked.data.isoformat(), "iuv": asked.iuv} for o in _settled_by(asked.importo, oneri)]
            self._add("paga-oneri", paid)
        else:
            fee = _onere("Diritti di segreteria", asked.importo, 1)
            paid_fee = {**fee, "pagato": amount_of(asked.importo), "data": asked.data.isoformat(), "documento": asked.iuv}
            self._rows("aggiungi-oneri", found["id"], ids["oneri"], [paid_fee])
        self._history(ids, found["id"], "PAGAMENTO", f"Pagamento di euro {amount_of(asked.importo)}", asked.iuv)

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, pratica: str) -> Fascicolo:
        found = self._istanza_of(pratica)
        applicants, parcels, fees, documents, history = (
            self._all(name, pratica=found["id"]) for name in ("richiedente", "mappali", "oneri", "documenti", "movimenti")
        )
        same = {name: found[name] for name in ("pratica", "stato", "uuid", "istanza", "procedimento", "oggetto", "indirizzo")}
        return Fascicolo(
            **same,
            richiedente=RichiedenteLetto.model_validate(applicants[0]) if applicants else None,
            protocollo=ProtocolloLetto(numero=found["numero"], anno=found["anno"], data=_day(found["data_protocollo"])),
            mappali=[MappaleLetto.model_validate({**row, "primario": bool(row["primario"])}) for row in parcels],
            oneri=[_onere_read(row) for row in fees],
            documenti=[Documento.model_validate(row) for row in documents],
            movimenti=[Movimento.model_validate({**row, "data": _day(row["data"])}) for row in history],
        )

    def _istanza_of(self, pratica: str) -> Row:
        found = self._one("istanza", pratica=int(pratica))
        if found is None:
            raise Refused("no practice with that number", outside_code="NON_TROVATA")
        return found

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _numbers(self, **counts: int) -> dict[str, range]:
        """As many new ids as asked for each table, or the refusal that six digits are not enough."""
        wanted = {name: counts.get(name, 0) for name in _NUMBERED}
        last = {row["tabella"]: int(row["valore"]) for row in self._all("prendi-numeri", **wanted)}
        ids = {}
        for name, count in wanted.items():
            end = last[_TABLES.get(name, name)]
            if count and end > LARGEST_ID:
                raise Refused(f"the ids of {name} are used up", outside_code="NUMERAZIONE_ESAURITA")
            ids[name] = range(end - count + 1, end + 1)
        return ids

    def _istanza(self, asked: Apertura, pratica: int) -> Row:
        first = (
            self._mappale(asked.mappali[0], True) if asked.mappali else dict.fromkeys(("catasto", "foglio", "particella", "sub", "sezione"))
        )
        return {
            **first,
            "id": pratica,
            "numero": str(pratica),
            "uuid": self.uuid,
            **asked.model_dump(include={"istanza", "procedimento", "oggetto", "indirizzo"}),
            "protocollo": asked.protocollo.numero,
            "anno": asked.protocollo.anno,
            "data_protocollo": asked.protocollo.data.isoformat(),
            "data": self._today(),
        }

    def _mappale(self, parcel: Mappale, primary: bool) -> Row:
        return {**parcel.model_dump(), "catasto": self.settings.catasto, "primario": int(primary)}

    def _history(self, ids: Mapping[str, range], pratica: int, kind: str, text: str, reference: str, protocol: str | None = None) -> None:
        line = {"tipo": kind, "testo": text, "data": self._today(), "protocollo": protocol, "riferimento": reference}
        self._rows("aggiungi-movimento", pratica, ids["movimenti"], [line])

    def _today(self) -> str:
        """The office's date: Rome's, not UTC's."""
        return self.transaction.ctx.now.astimezone(ROME).date().isoformat()

    def _rows(self, query: str, pratica: int, ids: Iterable[int], rows: list[Row]) -> None:
        self._add(query, [{**row, "pratica": pratica, "id": number} for number, row in zip(ids, rows, strict=True)])

    def _add(self, query: str, rows: list[Row]) -> None:
        self.transaction.run(query, _queries()[query], *({**self.common, **row} for row in rows))

    def _all(self, query: str, **parameters: Any) -> list[Row]:
        return self.transaction.rows(query, _queries()[query], {**self.common, **parameters})

    def _one(self, query: str, **parameters: Any) -> Row | None:
        return self.transaction.one(query, _queries()[query], {**self.common, **parameters})


def _onere(causale: str, importo: int, rata: int) -> Row:
    return {"causale": causale, "prezzo": amount_of(importo), "pagato": None, "data": None, "documento": None, "rata": rata}


def _onere_read(row: Row) -> OnereLetto:
    return OnereLetto(
        causale=row["causale"], importo=cents_of(row["prezzo"]), pagato=row["data"] is not None, data=_day(row["data"]), iuv=row["iuv"]
    )


def _day(said: str | None) -> dt.date | None:
    """The day in Rome that a column says, which in many offices is one of moments; None where no calendar has it."""
    try:
        moment = dt.datetime.fromisoformat(said or "")
        return (moment.astimezone(ROME) if moment.tzinfo else moment).date()
    except (ValueError, OverflowError):
        return None


def _same_payment(paid: list[Row], asked: Pagamento) -> None:
    """The payment recorded under this IUV must be the one asked for."""
    total = sum(cents_of(o["prezzo"] if o["pagato"] is None else o["pagato"]) for o in paid)  # the office may note the date alone
    if total != asked.importo or {_day(o["data"]) for o in paid} != {asked.data}:
        raise Refused("registra-pagamento: this IUV was recorded with another amount or date", outside_code="CONTENUTO_DIVERSO")


def _settled_by(importo: int, oneri: list[Row]) -> list[Row]:
    """The unpaid fees that this amount pays: all of them, or exactly one."""
    unpaid = [o for o in oneri if o["data"] is None]
    if not unpaid:
        raise Refused("registra-pagamento: nothing is left to pay", outside_code="GIA_PAGATA")
    if sum(cents_of(o["prezzo"]) for o in unpaid) == importo:
        return unpaid
    exact = [o for o in unpaid if cents_of(o["prezzo"]) == importo]
    if not exact:
        raise Refused("registra-pagamento: no fee of that amount", outside_code="IMPORTO_DIVERSO")
    return exact[:1]
