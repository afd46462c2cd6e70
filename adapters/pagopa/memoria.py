"""What the adapter remembers of a position, and how its facts are read together.

=================  ===================  =======================================================================================
kind               key                  value and who writes it
=================  ===================  =======================================================================================
``posizione``      numero_avviso        `Posizione`; crea-posizione (CREATA with the intent, VALID with the answer) and, on payment,
                                        the receipt (PAID)
``stato``          numero_avviso        ``{"stato", "iupd"}``; pubblica-posizione and annulla-posizione
``pagamento``      numero_avviso        the receipt that paid it; only the receipt writes it, only once
``ricevuta``       idPA/receiptId       ``{"impronta", "numero_avviso", "esito"}``; each receipt answered OK
=================  ===================  =======================================================================================

A payment has its own kind because the last value of a fact wins: a receipt may come before GPD's answer, whose VALID would
otherwise open a paid position again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from adapters.pagopa.modelli import Posizione, Stato
from bus.adapter import Door, Fact
from bus.message import JsonObject, JsonValue

POSIZIONE, STATO, PAGAMENTO, RICEVUTA = "posizione", "stato", "pagamento", "ricevuta"


def fatto(posizione: Posizione) -> Fact:
    """The fact of a position."""
    return Fact(POSIZIONE, posizione.numero_avviso, posizione.model_dump(mode="json"))


@dataclass(frozen=True, slots=True)
class Ricordo:
    """All that is known of one notice number: the position in its state of now, and the facts it was read from."""

    posizione: Posizione | None
    visti: dict[tuple[str, str], JsonValue]

    @classmethod
    def di(cls, porta: Door, numero_avviso: str) -> Ricordo:
        """Read it; the newest statement about the state wins, a payment over all."""
        visti: dict[tuple[str, str], JsonValue] = {
            (kind, numero_avviso): porta.fact(kind, numero_avviso) for kind in (POSIZIONE, STATO, PAGAMENTO)
        }
        valore = visti[POSIZIONE, numero_avviso]
        if valore is None:
            return cls(None, visti)
        posizione = Posizione.model_validate(valore)
        return cls(posizione.model_copy(update={"stato": _stato(posizione, visti, numero_avviso)}), visti)

    @property
    def pagamento(self) -> JsonObject | None:
        """The payment already received, or None."""
        return next((cast("JsonObject", valore) for (kind, _), valore in self.visti.items() if kind == PAGAMENTO and valore), None)


def _stato(posizione: Posizione, visti: dict[tuple[str, str], JsonValue], numero_avviso: str) -> Stato:
    if visti[PAGAMENTO, numero_avviso] is not None:
        return "PAID"
    detto = visti[STATO, numero_avviso]
    return cast("Stato", detto["stato"]) if isinstance(detto, dict) else posizione.stato
