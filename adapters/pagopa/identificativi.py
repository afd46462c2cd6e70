"""IUV and notice number: how they are made. And whether an IBAN can be right.

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
Many published samples carry a wrong one: what the node sends is never checked.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

AuxDigit = Literal[0, 1, 2, 3]
_BASE_DIGITS: dict[AuxDigit, int] = {0: 13, 1: 17, 2: 15, 3: 13}


class Identificativi(NamedTuple):
    """The two names of one payment; `iuv` is the creditor's reference, `numero_avviso` what the citizen types."""

    iuv: str
    numero_avviso: str


def emetti(aux: AuxDigit, codice: str, numero: int) -> Identificativi:
    """The identifiers of the ``numero``-th payment: a pure function, one to one.

    ``codice`` is two digits that keep several generation points apart: the segregation code of aux 3, the application code of aux 0;
    the others have none. Raises ValueError when ``numero`` is negative or has more digits than the base holds.
    """
    cifre = _BASE_DIGITS[aux]
    if not 0 <= numero < 10**cifre:
        raise ValueError(f"sequence number {numero} does not fit in {cifre} digits")
    testa = f"{aux}{codice}{numero:0{cifre}d}"
    avviso = testa if aux == 1 else testa + controllo(testa)
    return Identificativi(iuv_di(avviso), avviso)


def controllo(testa: str) -> str:
    """The two check digits of the digits before them, aux included."""
    return f"{int(testa) % 93:02d}"


def iuv_di(numero_avviso: str) -> str:
    """The IUV inside a notice number; looks at the aux digit only, never at the check digits (the node's are taken as they are)."""
    return numero_avviso[3:] if numero_avviso[0] == "0" else numero_avviso[1:]


def avviso_di(aux: AuxDigit, codice: str, iuv: str) -> str:
    """The notice number of an IUV: the inverse of `iuv_di`, which for aux 0 lacks the application ``codice``."""
    return f"{aux}{codice if aux == 0 else ''}{iuv}"


def iban_valido(iban: str) -> bool:
    """Whether the length (for Italy) and the ISO 7064 check digits of an IBAN fit; pagoPA refuses a reply where they do not."""
    testo = iban.upper()
    if not (testo.isascii() and testo.isalnum() and 15 <= len(testo) <= 34) or (testo[:2] == "IT" and len(testo) != 27):
        return False
    return int("".join(str(int(carattere, 36)) for carattere in testo[4:] + testo[:4])) % 97 == 1
