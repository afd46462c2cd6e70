"""What the adapter remembers of a position, and how its facts are read together.

=================  ===================  =======================================================================================
kind               key                  value and who writes it
=================  ===================  =======================================================================================
``posizione``      numero_avviso        `Posizione`; crea-posizione (CREATA with the intent, VALID with the answer) and, on payment,
                                        the receipt (PAID)
``stato``          numero_avviso        ``{"stato", "iupd"}``; pubblica-posizione and annulla-posizione
``pagamento``      numero_avviso        the receipt that paid it; only the receipt writes it, only once
``ricevuta``       idPA/receiptId       ``{"impronta", "numero_avviso", "esito"}``; each receipt answered OK; of a paSendRTV2 that says
                                        more than a paSendRT can, also ``comune``
=================  ===================  =======================================================================================

A payment has its own kind because the last value of a fact wins: a receipt may come before GPD's answer, whose VALID would
otherwise open a paid position again.
"""

from __future__ import annotations

from dataclasses import dataclass

from adapters.pagopa.modelli import Posizione
from bus.adapter import Door, Fact
from bus.message import JsonValue

POSIZIONE, STATO, PAGAMENTO, RICEVUTA = "posizione", "stato", "pagamento", "ricevuta"


def fatto(posizione: Posizione) -> Fact:
    """The fact of a position."""
    return Fact(POSIZIONE, posizione.numero_avviso, posizione.model_dump(mode="json"))


@dataclass(frozen=True, slots=True)
class Ricordo:
    """All that is known of one notice number: the position in its state of now, the fact that it was read from, whether it was paid."""

    posizione: Posizione | None
    scritta: JsonValue
    pagata: bool

    @classmethod
    def di(cls, porta: Door, numero_avviso: str) -> Ricordo:
        """Read it; the newest statement about the state wins, a payment over all."""
        scritta, detto, pagamento = (porta.fact(kind, numero_avviso) for kind in (POSIZIONE, STATO, PAGAMENTO))
        pagata = pagamento is not None
        if scritta is None:
            return cls(None, None, pagata)
        posizione = Posizione.model_validate(scritta)
        stato = "PAID" if pagata else detto["stato"] if isinstance(detto, dict) else posizione.stato
        return cls(posizione.model_copy(update={"stato": stato}), scritta, pagata)
