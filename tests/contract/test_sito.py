"""The website adapter against its simulator."""

import pytest
from pydantic import ValidationError

from adapters.sito.adapter import Sito
from bus.adapter import Refused
from bus.message import digest
from bus.testing.adapter_contract import AdapterContract, Example, attempt, call, fresh

CATALOGO = {
    "catalogo": {
        "titolo": "Servizi del Comune {unico}",
        "servizi": [
            {"codice": "edilizia.scia", "titolo": "Segnalazione certificata d’inizio attività", "diritti": 5000},
            {"codice": "anagrafe.certificato", "titolo": "Certificato anagrafico", "diritti": 0.5},
        ],
    }
}


class TestSito(AdapterContract):
    adapter_class = Sito
    module = "adapters.sito.simulator"
    arguments = ("--api-key", "segreto-del-sito")
    secrets = ("segreto-del-sito",)
    examples = (Example("pubblica-catalogo", CATALOGO, effect_kind="catalogo", refusal="CATALOGO_NON_VALIDO", operation_match="pubblica"),)

    @classmethod
    def settings(cls, url, facts):
        return {"url": url, "chiave": "segreto-del-sito"}

    def test_the_answer_counts_the_services_and_carries_our_digest(self, adapter):
        request = fresh(CATALOGO)
        answer, _ = call(adapter, "pubblica-catalogo", request)
        assert (answer.pubblicati, answer.digest) == (2, digest(request["catalogo"]))

    def test_an_older_catalogue_does_not_undo_a_newer_one(self, adapter, simulator):
        old, new = fresh(CATALOGO), fresh(CATALOGO)
        first = attempt(adapter, "pubblica-catalogo", old)
        call(adapter, "pubblica-catalogo", new)
        lines = len(simulator.ledger("catalogo"))
        with pytest.raises(Refused) as refused:
            call(adapter, "pubblica-catalogo", old, key=first.ctx.key, number=first.ctx.number)
        assert refused.value.outside_code == "VERSIONE_SUPERATA"
        assert len(simulator.ledger("catalogo")) == lines

    @pytest.mark.parametrize(
        "catalogo", [{}, {"servizi": "no"}, {"servizi": [{"titolo": "senza codice"}]}, {"servizi": [{"codice": "a"}, {"codice": "a"}]}]
    )
    def test_a_catalogue_without_well_formed_services_never_leaves(self, adapter, simulator, catalogo):
        seen = simulator.status()["requests"]
        with pytest.raises(ValidationError):
            call(adapter, "pubblica-catalogo", {"catalogo": catalogo})
        assert simulator.status()["requests"] == seen
