"""The desks adapter against its simulator."""

import pytest

from adapters.scrivania.adapter import Scrivania
from bus.adapter import Refused
from bus.testing.adapter_contract import AdapterContract, Example, attempt, call
from tests.contract.desk import RICHIESTA


class TestScrivania(AdapterContract):
    adapter_class = Scrivania
    module = "adapters.scrivania.simulator"
    arguments = ("--api-key", "segreto-delle-scrivanie")
    secrets = ("segreto-delle-scrivanie",)
    examples = (Example("assegna", RICHIESTA, effect_kind="elemento", refusal="UFFICIO_CHIUSO", operation_match="assegna"),)

    @classmethod
    def settings(cls, url, facts):
        return {"url": url, "chiave": "segreto-delle-scrivanie", "riserva": "urp-smistamento"}

    def test_the_key_never_reaches_the_evidence(self, adapter):
        done = attempt(adapter, "assegna", RICHIESTA)
        assert b"segreto-delle-scrivanie" not in done.wire

    def test_the_desk_is_chosen_by_office_and_service(self, adapter):
        special, _ = call(adapter, "assegna", RICHIESTA)
        general, _ = call(adapter, "assegna", {**RICHIESTA, "servizio": "agibilita"})
        assert (special.scrivania, special.riserva) == ("titoli-edilizi", False)
        assert (general.scrivania, general.riserva) == ("edilizia-generale", False)

    def test_employees_of_a_desk_share_the_work(self, adapter):
        taken = [call(adapter, "assegna", {**RICHIESTA, "ufficio": "suap"})[0].incaricato for _ in range(4)]
        assert sorted(taken) == ["l.neri", "l.neri", "p.galli", "p.galli"]

    @pytest.mark.parametrize(("ufficio", "servizio"), [("marte", "x"), ("protezione-civile", "x"), ("sport", "mensa")])
    def test_an_office_that_cannot_take_it_sends_it_to_the_reserve_desk(self, adapter, ufficio, servizio):
        answer, _ = call(adapter, "assegna", {**RICHIESTA, "ufficio": ufficio, "servizio": servizio})
        assert (answer.scrivania, answer.riserva) == ("urp-smistamento", True)

    @pytest.mark.parametrize(
        ("ufficio", "code"), [("marte", "UFFICIO_SCONOSCIUTO"), ("protezione-civile", "UFFICIO_CHIUSO"), ("sport", "SERVIZIO_NON_COPERTO")]
    )
    def test_without_a_reserve_desk_it_is_refused_with_the_reason(self, simulator, ufficio, code):
        adapter = self.build({"url": simulator.url, "chiave": "segreto-delle-scrivanie"})
        with pytest.raises(Refused) as refused:
            call(adapter, "assegna", {**RICHIESTA, "ufficio": ufficio})
        adapter.close()
        assert refused.value.outside_code == code

    def test_a_reserve_desk_that_does_not_exist_is_a_refusal(self, simulator):
        adapter = self.build({**self.settings(simulator.url, {}), "riserva": "nessuna"})
        with pytest.raises(Refused) as refused:
            call(adapter, "assegna", {**RICHIESTA, "ufficio": "marte"})
        adapter.close()
        assert refused.value.outside_code == "SCRIVANIA_SCONOSCIUTA"

    def test_the_same_key_with_other_content_is_refused(self, adapter):
        done = attempt(adapter, "assegna", RICHIESTA)
        with pytest.raises(Refused) as refused:
            call(adapter, "assegna", {**RICHIESTA, "oggetto": "altro"}, key=done.ctx.key)
        assert refused.value.outside_code == "CHIAVE_RIUSATA"

    def test_a_wrong_key_of_ours_is_refused(self, simulator):
        adapter = self.build({"url": simulator.url, "chiave": "sbagliata"})
        with pytest.raises(Refused) as refused:
            call(adapter, "assegna", RICHIESTA)
        adapter.close()
        assert refused.value.outside_code == "HTTP_401"
