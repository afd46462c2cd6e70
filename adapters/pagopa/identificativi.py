"""IUV, notice number and RF reference: how they are made and how a typed one is checked.

Rules: SACI 1.3.1 §2.2.2 (the same in SACI 3.x for aux digit 3). A notice number has 18 digits:

=====  ===========================================  =========================
aux    notice number                                IUV
=====  ===========================================  =========================
0      ``0`` application(2) base(13) check(2)       base + check, 15 digits
1      ``1`` base(17)                               base, 17 digits
2      ``2`` base(15) check(2)                      base + check, 17 digits
3      ``3`` segregation(2) base(13) check(2)       all after the aux, 17 digits
=====  ===========================================  =========================

``check`` is the number formed by all digits before it, **aux included**, modulo 93, two digits.
Many published samples carry a wrong one: check what we make and what a citizen types, never what the node sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = [
    "AuxDigit",
    "Emettitore",
    "Identificativi",
    "controllo",
    "difetto_avviso",
    "iban_valido",
    "iuv_di",
    "rf_di",
    "rf_valido",
]

AuxDigit = Literal[0, 1, 2, 3]
_BASE_DIGITS: dict[AuxDigit, int] = {0: 13, 1: 17, 2: 15, 3: 13}
_RF_MAX = 21


class Identificativi(NamedTuple):
    """The two names of one payment; `iuv` is the creditor's reference, `numero_avviso` what the citizen types."""

    iuv: str
    numero_avviso: str


@dataclass(frozen=True, slots=True)
class Emettitore:
    """One generation point of notice numbers, as configured at pagoPA.

    ``segregazione`` (aux 3) and ``applicazione`` (aux 0) are two digits that keep several generation points apart.
    """

    aux: AuxDigit = 3
    segregazione: str = "00"
    applicazione: str = "00"

    def emetti(self, numero: int) -> Identificativi:
        """The identifiers of the ``numero``-th payment: a pure function, one to one.

        Raises ValueError when ``numero`` is negative or has more digits than the base holds.
        """
        cifre = _BASE_DIGITS[self.aux]
        if not 0 <= numero < 10**cifre:
            raise ValueError(f"sequence number {numero} does not fit in {cifre} digits")
        testa = str(self.aux) + self._codice() + str(numero).zfill(cifre)
        avviso = testa if self.aux == 1 else testa + controllo(testa)
        return Identificativi(iuv_di(avviso), avviso)

    def _codice(self) -> str:
        codice = {0: self.applicazione, 3: self.segregazione}.get(self.aux, "")
        if self.aux in (0, 3) and not (len(codice) == 2 and _cifre(codice)):
            raise ValueError(f"aux digit {self.aux} needs a code of two digits, not {codice!r}")
        return codice


def controllo(testa: str) -> str:
    """The two check digits of the digits before them, aux included."""
    return f"{int(testa) % 93:02d}"


def iuv_di(numero_avviso: str) -> str:
    """The IUV inside a notice number; looks at the aux digit only, never at the check digits (the node's are taken as they are)."""
    return numero_avviso[3:] if numero_avviso[0] == "0" else numero_avviso[1:]


def difetto_avviso(numero_avviso: str) -> str | None:
    """What is wrong with a notice number that a citizen typed, in one sentence; None when nothing is."""
    if len(numero_avviso) != 18 or not _cifre(numero_avviso):
        return "a notice number has 18 digits"
    if numero_avviso[0] not in "0123":
        return f"aux digit {numero_avviso[0]} does not exist"
    if numero_avviso[0] != "1" and controllo(numero_avviso[:-2]) != numero_avviso[-2:]:
        return "the check digits do not fit"
    return None


def rf_di(riferimento: str) -> str:
    """The ISO 11649 creditor reference (``RFcc...``) of up to 21 letters and digits; for payments started at the creditor."""
    corpo = riferimento.upper()
    if not 1 <= len(corpo) <= _RF_MAX or not (corpo.isascii() and corpo.isalnum()):
        raise ValueError("an RF reference has 1 to 21 letters and digits")
    return f"RF{98 - _modulo(corpo + 'RF00', 97):02d}{corpo}"


def rf_valido(riferimento: str) -> bool:
    """Whether a text is an ISO 11649 reference with right check digits."""
    corpo = riferimento.upper()
    formato = corpo.isascii() and corpo.isalnum() and corpo[:2] == "RF" and corpo[2:4].isdigit() and 5 <= len(corpo) <= _RF_MAX + 4
    return formato and _modulo(corpo[4:] + corpo[:4], 97) == 1


def iban_valido(iban: str) -> bool:
    """Whether the length (for Italy) and the ISO 7064 check digits of an IBAN fit; pagoPA refuses a reply where they do not."""
    testo = iban.upper()
    if not (testo.isascii() and testo.isalnum() and 15 <= len(testo) <= 34) or (testo[:2] == "IT" and len(testo) != 27):
        return False
    return _modulo(testo[4:] + testo[:4], 97) == 1


def _modulo(testo: str, divisore: int) -> int:
    return int("".join(str(int(c, 36)) for c in testo)) % divisore


def _cifre(testo: str) -> bool:
    return testo.isascii() and testo.isdigit()
