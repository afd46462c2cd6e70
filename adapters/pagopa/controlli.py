"""What pagoPA's node wants of a reply beyond its XSD: known from the node's own tests, where a changed reply gets a verdict.

Pure. Used by `adapters.pagopa.chiamate` to judge replies as the real node would, and by tests to prove that ours pass.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from adapters.pagopa.identificativi import iban_valido

_FAULT_CODE = re.compile(r"PAA_[A-Z0-9_]+")


def difetti(operazione: str, risposta: Mapping[str, Any], enti: Collection[str]) -> list[str]:
    """One sentence per reason to refuse an XSD-valid reply; empty when the node takes it.

    ``risposta`` holds the values of the reply; ``enti`` the creditors that exist (not looked at when empty).
    """
    if risposta["outcome"] == "KO":
        return list(_del_rifiuto(risposta.get("fault")))
    if operazione == "paVerifyPaymentNotice":
        return [f"{nome} is missing" for nome in ("paymentList", "paymentDescription") if risposta.get(nome) is None]
    if operazione in ("paGetPayment", "paGetPaymentV2"):
        data = risposta.get("data")
        return ["data is missing"] if data is None else list(_dei_dati(data, operazione == "paGetPaymentV2", enti))
    return []


def _del_rifiuto(fault: Mapping[str, Any] | None) -> Iterator[str]:
    if fault is None:
        yield "a KO without a fault"
    elif not _FAULT_CODE.fullmatch(fault["faultCode"]):
        yield "a fault code that is not of the creditor's domain"


def _dei_dati(data: Mapping[str, Any], seconda_versione: bool, enti: Collection[str]) -> Iterator[str]:
    trasferimenti = data["transferList"]["transfer"]
    if len({t["idTransfer"] for t in trasferimenti}) != len(trasferimenti):
        yield "idTransfer is repeated"
    for trasferimento in trasferimenti:
        if trasferimento.get("IBAN") and not iban_valido(trasferimento["IBAN"]):
            yield "IBAN with wrong check digits"
        if enti and trasferimento["fiscalCodePA"] not in enti:
            yield "fiscalCodePA is not a creditor"
    if seconda_versione and sum(t["transferAmount"] for t in trasferimenti) != data["paymentAmount"]:
        yield "the transfers do not add up to paymentAmount"
