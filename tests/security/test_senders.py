"""Who may send what: a portal's key pays nothing and notifies nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bus.catalog import Catalog
from bus.cli.rules import declared
from bus.engine.arrival import Submission, check
from bus.errors import Forbidden, Invalid
from bus.examine import examine

PROJECT = Path(__file__).parents[2]
RECEIPT: dict[str, Any] = {
    "ricevuta": "forged-1", "iuv": "47000000000000124", "numero_avviso": "347000000000000124", "importo": 10000, "esito": "OK",
    "data_pagamento": "2026-03-02",
}  # fmt: skip


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    found, findings = examine(PROJECT, declared(PROJECT / "config.yaml").operations)
    assert found is not None, findings
    return found


def submitted(catalog: Catalog, type_name: str, body: dict[str, Any], **more: Any) -> None:
    check(catalog, Submission(type_name, body, "portale", **more), bool(catalog.plans_for(type_name)))


@pytest.mark.parametrize("role", ["portal", "sysadmin", "auditor"])
@pytest.mark.parametrize("type_name", ["pagopa.ricevuta", "pagopa.ricevuta-anomala"])
def test_no_api_key_can_say_that_somebody_paid(catalog: Catalog, type_name: str, role: str) -> None:
    with pytest.raises(Forbidden, match="not taken from"):
        submitted(catalog, type_name, RECEIPT, role=role)


def test_another_adapter_cannot_say_that_somebody_paid(catalog: Catalog) -> None:
    with pytest.raises(Forbidden):
        submitted(catalog, "pagopa.ricevuta", RECEIPT, adapter="sito")


def test_the_node_s_adapter_can(catalog: Catalog) -> None:
    submitted(catalog, "pagopa.ricevuta", RECEIPT, adapter="pagopa")


def test_only_routes_notify_citizens(catalog: Catalog) -> None:
    for role in ("portal", "sysadmin"):
        with pytest.raises(Forbidden):
            submitted(catalog, "notifiche.avviso", {}, role=role)
    with pytest.raises(Invalid):
        submitted(catalog, "notifiche.avviso", {})


def test_whatever_a_route_waits_for_has_named_senders(catalog: Catalog) -> None:
    """A type that somebody waits for and that anybody may send would let a caller push another's matter on."""
    waited = {step.type for route in catalog.routes.values() for step in route.plan.walk() if getattr(step, "type", None)}
    assert {name for name in waited if not catalog.types[name].senders} == set()
