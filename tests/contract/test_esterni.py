"""The adapter for other institutions against its simulator."""

import datetime as dt

import pytest
from pydantic import ValidationError

from adapters.esterni.adapter import Esterni
from bus.adapter import Refused
from bus.testing.adapter_contract import AdapterContract, Example, attempt, call

REGOLARE, IRREGOLARE, IGNOTA = "01234567890", "09876543210", "00000000000"
COMUNICAZIONE = {"ente": "asl_demo", "oggetto": "Inizio lavori {unico}", "contenuto": {"pratica": "{unico}", "piani": 2}}


class TestEsterni(AdapterContract):
    adapter_class = Esterni
    module = "adapters.esterni.simulator"
    arguments = ("--voucher", "gettone-segreto", "--irregular", IRREGOLARE, "--unknown", IGNOTA)
    secrets = ("gettone-segreto",)
    examples = (
        Example("verifica-regolarita", {"codice_fiscale": REGOLARE}, refusal="NON_TROVATO", operation_match="verifica"),
        Example(
            "trasmetti-comunicazione",
            COMUNICAZIONE,
            effect_kind="comunicazione",
            refusal="ENTE_SCONOSCIUTO",
            operation_match="comunicazione",
        ),
    )

    @classmethod
    def settings(cls, url, facts):
        return {"url": url, "voucher": "gettone-segreto"}

    def test_a_regular_firm_has_a_date_and_an_irregular_one_has_none(self, adapter):
        regular, _ = call(adapter, "verifica-regolarita", {"codice_fiscale": REGOLARE})
        irregular, _ = call(adapter, "verifica-regolarita", {"codice_fiscale": IRREGOLARE})
        assert regular.regolare
        assert regular.scadenza > dt.date(2020, 1, 1)
        assert (irregular.regolare, irregular.scadenza) == (False, None)

    def test_an_unknown_firm_is_a_refusal(self, adapter):
        with pytest.raises(Refused) as refused:
            call(adapter, "verifica-regolarita", {"codice_fiscale": IGNOTA})
        assert refused.value.outside_code == "NON_TROVATO"

    def test_the_codice_fiscale_is_in_no_note(self, adapter):
        done = attempt(adapter, "verifica-regolarita", {"codice_fiscale": REGOLARE})
        assert [exchange.note for exchange in done.ctx.exchanges if REGOLARE in exchange.note] == []

    def test_the_gateways_transaction_is_noted(self, adapter):
        done = attempt(adapter, "verifica-regolarita", {"codice_fiscale": REGOLARE})
        assert "GovWay-Transaction-ID simulata" in done.ctx.exchanges[-1].note

    @pytest.mark.parametrize("wrong", ["RSSMRA", "rssmra80a01h501u", "1234567890", "123456789012", ""])
    def test_a_wrong_codice_fiscale_never_leaves(self, adapter, wrong):
        with pytest.raises(ValidationError):
            call(adapter, "verifica-regolarita", {"codice_fiscale": wrong})

    def test_the_same_key_with_other_content_is_refused(self, adapter):
        done = attempt(adapter, "trasmetti-comunicazione", COMUNICAZIONE)
        with pytest.raises(Refused) as refused:
            call(adapter, "trasmetti-comunicazione", {**COMUNICAZIONE, "oggetto": "altro"}, key=done.ctx.key)
        assert refused.value.outside_code == "CHIAVE_RIUSATA"

    def test_a_voucher_that_is_not_valid_is_refused(self, simulator):
        adapter = self.build({"url": simulator.url, "voucher": "scaduto"})
        with pytest.raises(Refused) as refused:
            call(adapter, "verifica-regolarita", {"codice_fiscale": REGOLARE})
        adapter.close()
        assert (refused.value.outside_code, refused.value.locked_out) == ("HTTP_401", True)
