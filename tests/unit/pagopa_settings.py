"""Settings of an adapter of pagoPA that nobody answers."""

from __future__ import annotations

from typing import Any

from adapters.pagopa.chiamate import Ente

ENTE = Ente("77777777777", "80000000001", "80000000001_01")
SETTINGS: dict[str, Any] = {
    "url": "http://127.0.0.1:1", "subscription_key": "chiave-di-prova", "id_pa": ENTE.id_pa, "id_broker_pa": ENTE.id_broker_pa,
    "id_station": ENTE.id_station, "company_name": "Comune di Esempio", "office_name": "Sportello edilizia",
    "iban": "IT45R0760103200000000001016", "tassonomia": "9/0101108TS/", "segregation_code": "02",
}  # fmt: skip
