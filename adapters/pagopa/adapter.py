"""pagoPA, for a creditor: debt positions in GPD, and the endpoint where the node verifies, activates and sends receipts.

The identifiers are made before anything leaves (`Pagopa.prepara`) and remembered with the intent, so that a receipt which comes
before GPD's answer already finds its position. See README.md for the effect of each operation and why.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from adapters.http.client import HTTP_REFUSALS, RestClient, RestReply
from adapters.pagopa import giornale
from adapters.pagopa.gpd import PosizioneGpd, StatoGpd, corpo_di, differenze, letta, posizione_di
from adapters.pagopa.inbound import OPERAZIONI, endpoint
from adapters.pagopa.memoria import STATO, fatto
from adapters.pagopa.modelli import (
    NuovaPosizione,
    PagopaSettings,
    PosizioneCreata,
    PosizioneLetta,
    RichiestaPosizione,
    Stato,
    StatoPosizione,
    oggi,
)  # fmt: skip
from adapters.soap.client import SoapClient
from bus.adapter import Adapter, Call, Effect, Endpoint, InDoubt, Prepared, Refused, Report, Unreachable, operation

NON_TROVATA = {"NON_TROVATA": "GPD has no position with that iupd"}
RIFIUTI_CREA = {
    **HTTP_REFUSALS,
    "POSIZIONE_DIVERSA": "GPD holds another position under our iupd",
    "IUV_GIA_USATO": "GPD holds our IUV under another iupd",
    "NON_PAGABILE": "GPD holds the position in a state in which nobody can pay it",
}
PAGABILI = frozenset({"VALID", "PUBLISHED", "PARTIALLY_PAID", "PAID", "REPORTED"})
"""States in which a notice that is handed to a citizen is of use: it can be paid, or was before we heard that it is there."""
RIFIUTI_STATO = {**HTTP_REFUSALS, **NON_TROVATA, "STATO_NON_AMMESSO": "the position is not in a state that allows it"}


class Pagopa(Adapter):
    """One creditor at pagoPA."""

    Settings = PagopaSettings
    settings: PagopaSettings

    def __init__(self, name: str, settings: PagopaSettings) -> None:
        super().__init__(name, settings)
        self._client = RestClient(settings, {"Ocp-Apim-Subscription-Key": settings.subscription_key})

    @operation(
        effect="keyed",
        timeout=15,
        sequence="iuv",
        prepare="prepara",
        undo="annulla-posizione",
        refusals=RIFIUTI_CREA,
        echoes=frozenset({"POSIZIONE_DIVERSA"}),
    )
    def crea_posizione(self, request: NuovaPosizione, ctx: Call) -> PosizioneCreata:
        """Open and publish a debt position. GPD's "duplicate" is read back and compared: the same content is success, if it can be paid."""
        posizione = posizione_di(request, self.settings, "VALID")
        corpo = corpo_di(posizione)
        reply = self._send(ctx, "keyed", "POST", "", query={"toPublish": "true"}, body=corpo, expect=(201, 409), refusals=RIFIUTI_CREA)
        stato = self._confrontata(corpo, posizione.iupd, ctx) if reply.status == 409 else reply.model(StatoGpd).status or "VALID"
        if stato not in PAGABILI:
            raise _rifiuto("NON_PAGABILE", stato)
        creata = posizione.model_copy(update={"stato": stato})
        ctx.facts.append(fatto(creata))
        return PosizioneCreata.model_validate(creata, from_attributes=True)

    def prepara(self, request: NuovaPosizione, ctx: Call) -> Prepared:
        """IUV and notice number from the sequence number, iupd from our key, due date from the settings: fixed before anything leaves."""
        if ctx.number is None:
            raise ValueError("crea-posizione needs a number of the sequence iuv")
        iuv, numero_avviso = self.settings.identificativi(ctx.number)
        scadenza = request.scadenza or oggi(ctx.now) + dt.timedelta(days=self.settings.scadenza_giorni)
        fissati = {"iuv": iuv, "numero_avviso": numero_avviso, "iupd": f"{self.settings.id_pa}-{ctx.key[:32]}", "scadenza": scadenza}
        finale = request.model_copy(update=fissati)
        return Prepared(finale, (fatto(posizione_di(finale, self.settings, "CREATA")),))

    @operation(effect="read", timeout=10, refusals={**HTTP_REFUSALS, **NON_TROVATA})
    def leggi_posizione(self, request: RichiestaPosizione, ctx: Call) -> PosizioneLetta:
        """How GPD holds a position."""
        trovata = self._leggi(request.iupd, ctx)
        if trovata is None:
            raise _rifiuto("NON_TROVATA", request.iupd)
        return letta(trovata, self.settings)

    @operation(effect="keyed", timeout=15, refusals=RIFIUTI_STATO, echoes=frozenset({"STATO_NON_AMMESSO"}))
    def pubblica_posizione(self, request: RichiestaPosizione, ctx: Call) -> StatoPosizione:
        """Make a draft payable; idempotent by nature: published already is success."""
        return self._cambia(request, ctx, "publish", {"VALID": "VALID", "PUBLISHED": "PUBLISHED"})

    @operation(effect="keyed", timeout=15, refusals=RIFIUTI_STATO, echoes=frozenset({"STATO_NON_AMMESSO"}))
    def annulla_posizione(self, request: RichiestaPosizione, ctx: Call) -> StatoPosizione:
        """Make a position not payable any more; idempotent by nature: annulled already is success. A paid one is refused.

        GPD does not invalidate what has expired (409): nobody can pay it, so it is as good as annulled, and remembered so.
        """
        return self._cambia(request, ctx, "invalidate", {"INVALID": "INVALID", "EXPIRED": "INVALID"})

    def endpoints(self) -> Sequence[Endpoint]:
        """``/in/pagopa``."""
        return (endpoint(self.settings),)

    def reports(self) -> Sequence[Report]:
        """The journal of events."""
        return (giornale.report(self.name, self.settings),)

    def check(self) -> Iterable[str]:
        """The official WSDL, when the settings name one, must be there, and have what the node asks."""
        if not self.settings.wsdl:
            return
        if not Path(self.settings.wsdl).is_file():
            yield f"wsdl: {self.settings.wsdl} does not exist"
            return
        client = SoapClient(self.settings.wsdl, "")  # of which only the contract is read
        yield from (f"wsdl: {one}: no request of the node could be answered" for one in client.missing(*OPERAZIONI))

    def close(self) -> None:
        self._client.close()

    def _send(self, ctx: Call, effect: Effect, method: str, path: str, **more: Any) -> RestReply:
        """One exchange under the creditor's positions; only the creditor's code and our iupd ever stand in the URL."""
        return self._client.send(ctx, effect, method, f"/organizations/{self.settings.id_pa}/debtpositions{path}", **more)

    def _cambia(self, request: RichiestaPosizione, ctx: Call, verbo: str, arrivo: Mapping[Stato, Stato]) -> StatoPosizione:
        """``arrivo``: the states of GPD that are success, and what each is remembered as for the node."""
        path = f"/{quote(request.iupd)}/{verbo}"
        reply = self._send(ctx, "keyed", "POST", path, expect=(200, 404, 409), refusals=RIFIUTI_STATO)
        absent = reply.is_absent("GPD")
        trovata = None if absent else reply.model(PosizioneGpd) if reply.status == 200 else self._rileggi(request.iupd, ctx)
        if trovata is None:
            raise _rifiuto("NON_TROVATA", request.iupd)
        if trovata.status not in arrivo:
            raise _rifiuto("STATO_NON_AMMESSO", trovata.status)
        avviso = letta(trovata, self.settings).numero_avviso
        ctx.remember(STATO, avviso, {"stato": arrivo[trovata.status], "iupd": request.iupd})
        return StatoPosizione(iupd=request.iupd, stato=trovata.status)

    def _confrontata(self, corpo: dict[str, object], iupd: str, ctx: Call) -> Stato:
        """The state of the position that was already there, when it is the one we want."""
        trovata = self._rileggi(iupd, ctx)
        if trovata is None:
            raise _rifiuto("IUV_GIA_USATO", iupd)
        if diversi := differenze(corpo, trovata):
            raise _rifiuto("POSIZIONE_DIVERSA", ", ".join(diversi))
        return trovata.status

    def _leggi(self, iupd: str, ctx: Call) -> PosizioneGpd | None:
        reply = self._send(ctx, "read", "GET", f"/{quote(iupd)}", expect=(200, 404), refusals=HTTP_REFUSALS)
        return None if reply.is_absent("GPD") else reply.model(PosizioneGpd)

    def _rileggi(self, iupd: str, ctx: Call) -> PosizioneGpd | None:
        """Read after a 409. The first request did reach GPD, so a reading that fails, or is refused, leaves doubt, not certainty that
        nothing happened.
        """
        try:
            return self._leggi(iupd, ctx)
        except (Unreachable, Refused) as error:
            raise InDoubt(
                f"GPD answered 409 and could not be read back: {error.sentence}",
                outside_code=error.outside_code, answered=error.answered, locked_out=error.locked_out, cause=error.cause,
            ) from error  # fmt: skip


def _rifiuto(codice: str, dettaglio: str) -> Refused:
    frasi = {**RIFIUTI_CREA, **RIFIUTI_STATO}
    return Refused(f"{frasi[codice]}: {dettaglio}", outside_code=codice, evidence={"dettaglio": dettaglio})
