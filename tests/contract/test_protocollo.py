"""The protocol adapter, against its simulator, in each dialect; the vendors' own WSDL where they are beside the project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.protocollo.adapter import Protocollo
from adapters.protocollo.estesa import document
from adapters.protocollo.modelli import ProtocolloSettings
from adapters.protocollo.riferimento import is_marked, says
from bus.adapter import Caution, InDoubt, Refused, Unreachable
from bus.testing.adapter_contract import AdapterContract, Example, ExampleFile, attempt, call, probe, unique
from bus.testing.simulators import RunningSimulator, start
from tests.contract.scripted_peer import peer

VENDORS = Path(__file__).parents[3] / "shared/contracts/protocollo-vendor"
ADS, ADS_SEARCH = VENDORS / "docarea_ads_prisma/DocAreaSoap.wsdl", VENDORS / "docarea_ads_prisma/ProtocolloExtendedService.wsdl"
TINN = VENDORS / "docarea_tinn/DOCAREAProtoservice.wsdl"
needs_vendors = pytest.mark.skipif(not VENDORS.exists(), reason="the vendors' WSDL are not beside the project (../shared)")
FILES = (ExampleFile("istanza.pdf", b"%PDF-1.4 istanza"), ExampleFile("planimetria è.pdf", b"%PDF-1.4 planimetria"))
REQUEST = {
    "riferimento": "prova-{unico}",
    "oggetto": 'SCIA di prova, "manutenzione" & <copertura> dell\'edificio è {unico}',
    "flusso": "E",
    "mittente": {"codice_fiscale": "DNGNCL84S21B429E", "cognome": "D'ANGELO", "nome": "NICOLÒ"},
    "classifica": "10.2",
    "uo": "SUE",
    "tipo_smistamento": "COMPETENZA",
    "documenti": [{"sha256": file.sha256, "name": file.name} for file in FILES],
}
COMMON = {
    "ente": "COMUNE", "utente": "snodo", "password": "segreta-di-prova", "amministrazione": "c_b429", "aoo": "AOO1",
    "denominazione": "Comune di prova", "uo": "PROTOCOLLO", "connessione": 2,
}  # fmt: skip


def _request(**changed: Any) -> dict[str, Any]:
    return {**REQUEST, "riferimento": f"prova-{unique()}", "documenti": [], **changed}


class _Register(AdapterContract):
    adapter_class = Protocollo
    module = "adapters.protocollo.simulator"
    secrets = ("segreta-di-prova",)
    examples = (
        Example(
            "registra", REQUEST, effect_kind="registrazione", refusal="101", refused_as="UO_SCONOSCIUTA", operation_match="protocollazione",
            files=FILES,
        ),
        Example("cerca", {"riferimento": "prova-{unico}"}),
    )  # fmt: skip

    @classmethod
    def settings(cls, url: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"url": url, **COMMON}

    @pytest.mark.parametrize("file", [ExampleFile("p" * 251 + ".pdf", b"%PDF-1.4 un nome lungo"), ExampleFile("vuoto.txt", b"")])
    def test_a_file_with_the_longest_name_or_without_content_is_registered(self, adapter, simulator, file):
        call(adapter, "registra", _request(documenti=[{"sha256": file.sha256, "name": file.name}]), files=(file,))
        assert len(simulator.ledger("registrazione")[-1]["detail"]["documenti"]) == 1

    def test_the_segnatura_says_all_that_was_asked(self, adapter, simulator):
        request = _request(documenti=REQUEST["documenti"])
        answer, _ = call(adapter, "registra", request, files=FILES)
        made = simulator.ledger("registrazione")[-1]
        assert made["key"] == request["riferimento"]
        assert made["detail"]["oggetto"] == f"{request['oggetto']} [rif. {request['riferimento']}]"
        assert (made["detail"]["uo"], made["detail"]["tipoSmistamento"]) == ("SUE", "COMPETENZA")
        assert len(made["detail"]["documenti"]) == 2
        assert int(answer.numero) == made["detail"]["numero"]
        assert len(answer.numero) >= 7
        assert answer.anno == made["detail"]["anno"]
        assert answer.data == "-".join(reversed(made["detail"]["data"].split("/")))

    def test_without_documents_a_summary_is_registered(self, adapter, simulator):
        call(adapter, "registra", _request())
        assert len(simulator.ledger("registrazione")[-1]["detail"]["documenti"]) == 1

    @pytest.mark.parametrize("flusso", ["E", "U", "I"])
    def test_every_direction_makes_a_valid_segnatura(self, adapter, simulator, flusso):
        who = {"denominazione": "Impresa & Figli"}
        call(adapter, "registra", _request(flusso=flusso, mittente=who, destinatario=who))
        assert simulator.ledger("registrazione")[-1]["detail"]["flusso"] == flusso

    def test_the_token_is_kept_between_calls(self, adapter, simulator):
        logins = self._seen(simulator, "login")
        for _ in range(3):
            call(adapter, "registra", _request())
        assert self._seen(simulator, "login") == logins + 1

    def test_a_token_that_is_over_is_renewed_once_and_registers_once(self, adapter, simulator):
        call(adapter, "registra", _request())
        before = len(simulator.ledger("registrazione"))
        adapter._token = "gettone-di-ieri"
        call(adapter, "registra", _request())
        assert len(simulator.ledger("registrazione")) == before + 1

    def test_a_token_that_ends_in_the_middle_is_renewed(self, tmp_path):
        with (
            start(self.module, tmp_path, *self.arguments, "--token-uses", "3") as poor,
            closing(self.build(self.settings(poor.url, poor.facts))) as adapter,
        ):
            for _ in range(4):
                call(adapter, "registra", _request())
            assert len(poor.ledger("registrazione")) == 4

    def test_a_register_that_refuses_every_token_is_not_asked_for_ever(self, tmp_path):
        with (
            start(self.module, tmp_path, *self.arguments, "--token-uses", "1") as poor,
            closing(self.build(self.settings(poor.url, poor.facts))) as adapter,
        ):
            done = attempt(adapter, "registra", _request())
            assert isinstance(done.error, Unreachable)
            assert done.error.outside_code == "GETTONE_RIFIUTATO"
            assert poor.ledger("registrazione") == []

    def test_a_wrong_password_is_refused(self, simulator):
        wrong = self.build({**self.settings(simulator.url, simulator.facts), "password": "altra"})
        done = attempt(wrong, "registra", _request())
        assert (done.error.outside_code, done.error.locked_out) == ("ACCESSO_NEGATO", True)

    @pytest.mark.parametrize("step", ["login", "inserimento"])
    @pytest.mark.parametrize("fault", ["lose_reply", "garbage", "html", "die_before", "die_after"])
    def test_what_fails_before_the_registration_is_surely_not_registered(self, adapter, simulator, step, fault):
        before = len(simulator.ledger("registrazione"))
        simulator.faults([{"fault": fault, "operation": self._name(step), "times": 1}])
        done = attempt(adapter, "registra", _request())
        assert isinstance(done.error, Unreachable), repr(done.error or done.answer)
        if fault.startswith("die"):
            simulator.restart()
        assert len(simulator.ledger("registrazione")) == before

    def test_characters_that_xml_cannot_carry_are_refused_and_nothing_is_registered(self, adapter, simulator):
        before = len(simulator.ledger("registrazione"))
        done = attempt(adapter, "registra", _request(oggetto="campanello \x07"))
        assert done.error.outside_code == "RICHIESTA_NON_VALIDA"
        assert len(simulator.ledger("registrazione")) == before

    def test_a_large_document_is_registered(self, adapter, simulator):
        plan = ExampleFile("tavole.pdf", bytes(adapter.settings.documento_massimo))
        call(adapter, "registra", _request(documenti=[{"sha256": plan.sha256, "name": plan.name}]), files=(plan,))
        assert len(simulator.ledger("registrazione")[-1]["detail"]["documenti"]) == 1

    def test_a_document_beyond_the_limit_never_leaves(self, simulator):
        small = self.build({**self.settings(simulator.url, simulator.facts), "documento_massimo": 10})
        done = attempt(small, "registra", _request(documenti=REQUEST["documenti"]), files=FILES)
        assert done.error.outside_code == "DOCUMENTO_TROPPO_GRANDE"
        assert done.ctx.exchanges == []

    def test_documents_that_are_together_beyond_the_limit_never_leave(self, simulator):
        plans = [ExampleFile(f"tavola {n}.pdf", bytes([n]) * 600) for n in range(2)]
        request = _request(documenti=[{"sha256": plan.sha256, "name": plan.name} for plan in plans])
        enough, little = (self.build({**self.settings(simulator.url, simulator.facts), "documenti_massimo": n}) for n in (1200, 1199))
        done = attempt(little, "registra", request, files=tuple(plans))
        assert done.error.outside_code == "DOCUMENTO_TROPPO_GRANDE"
        assert "raise documenti_massimo" in done.error.sentence
        assert done.ctx.exchanges == []
        call(enough, "registra", request, files=tuple(plans))
        enough.close()

    @pytest.mark.parametrize("number", [None, "", "nessuno", "9" * 5000])
    def test_a_document_that_gets_no_number_leaves_no_doubt(self, simulator, monkeypatch, number):
        loose = self.build({**self.settings(simulator.url, simulator.facts), "risposte_rigorose": False})
        ask, dialect = loose._ask, loose._dialect
        monkeypatch.setattr(
            loose,
            "_ask",
            lambda step, *how, **more: ask(step, *how, **more) | ({dialect.documento: number} if step is dialect.inserimento else {}),
        )
        assert isinstance(attempt(loose, "registra", _request()).error, Unreachable)
        loose.close()

    def test_the_settle_time_comes_from_the_settings(self):
        adapter = self.build({**self.settings("http://127.0.0.1:9", {}), "assestamento": 7})
        assert adapter.operations["registra"].settle == 7
        assert Protocollo.operations["registra"].settle == 30

    def test_the_settings_are_checked_against_the_contract(self, adapter):
        assert list(adapter.check()) == []

    @staticmethod
    def _name(step: str) -> str:
        return step

    def _seen(self, simulator: RunningSimulator, step: str) -> int:
        return simulator.status()["requests"].get(self._name(step), 0)


class _Searchable(_Register):
    def test_a_reference_is_found_and_a_longer_one_is_not_mistaken_for_it(self, adapter):
        token = unique()
        answer, _ = call(adapter, "registra", _request(riferimento=f"r_{token}"))
        call(adapter, "registra", _request(riferimento=f"r_{token}1"))
        call(adapter, "registra", _request(riferimento=f"rx{token}"))
        found, _ = call(adapter, "cerca", {"riferimento": f"r_{token}"})
        assert (found.trovato, found.numero, found.anno, found.data) == (True, answer.numero, answer.anno, answer.data)

    def test_a_long_object_is_cut_before_our_reference_and_found_again(self, simulator):
        """A register that cuts it behind would hide the reference: the search would find nothing, and it would be registered again."""
        short = self.build({**self.settings(simulator.url, simulator.facts), "oggetto_massimo": 200})
        request = _request(oggetto="Installazione di mezzi pubblicitari " * 10)
        done = attempt(short, "registra", request)
        held = simulator.ledger("registrazione")[-1]["detail"]["oggetto"]
        assert len(held) <= 200
        assert held.startswith("Installazione di mezzi")
        assert held.endswith(f"… [rif. {request['riferimento']}]")
        assert probe(short, done, request) == done.answer
        short.close()

    def test_what_was_never_registered_is_not_found(self, adapter):
        found, _ = call(adapter, "cerca", {"riferimento": "mai-visto"})
        assert found.trovato is False
        assert found.numero is None

    def test_a_search_renews_a_token_that_is_over(self, adapter):
        adapter._token = "gettone-di-ieri"
        found, _ = call(adapter, "cerca", {"riferimento": "mai-visto"})
        assert found.trovato is False

    def test_a_probe_of_a_register_that_is_down_keeps_the_doubt(self, adapter, simulator):
        request = _request()
        simulator.faults([{"fault": "lose_reply", "operation": "protocollazione", "times": 1}])
        done = attempt(adapter, "registra", request)
        assert isinstance(done.error, InDoubt)
        simulator.kill()
        with pytest.raises(Unreachable):
            probe(adapter, done, request)
        simulator.restart()
        assert probe(adapter, done, request).riferimento == request["riferimento"]

    def test_a_registration_of_another_matter_under_our_reference_is_not_taken_for_ours(self, adapter, simulator):
        request = _request(oggetto="Diritti d'accesso, è «urgente»")
        other, _ = call(adapter, "registra", request | {"oggetto": "Tutt'altro"})
        simulator.faults([{"fault": "html", "operation": self._name("protocollazione"), "times": 1}])
        done = attempt(adapter, "registra", request)
        assert isinstance(done.error, InDoubt)
        with pytest.raises(Unreachable, match=f"{other.anno}/{other.numero}, with another object"):
            probe(adapter, done, request)
        again, _ = call(adapter, "registra", request)
        assert probe(adapter, done, request).numero == again.numero != other.numero


class TestDocarea(_Searchable):
    """Our own DOCAREA contract."""


@needs_vendors
class TestAds(_Searchable):
    """ADS/Finmatica's own two WSDL, chosen by configuration only."""

    arguments = ("--dialect", "ads", "--wsdl", str(ADS), "--wsdl-search", str(ADS_SEARCH))

    @classmethod
    def settings(cls, url: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        search = {"url_ricerca": f"{url}/ricerca", "contratto_ricerca": str(ADS_SEARCH)}
        return {"url": url, "dialetto": "ads", "contratto": str(ADS), **search, **COMMON}

    def test_its_search_is_asked_with_an_authorization_of_its_own_which_nobody_is_shown(self, simulator):
        with peer(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n") as (url, seen):
            more = {"url_ricerca": url, "autorizzazione_ricerca": "Basic cHJvdmE="}
            adapter = Protocollo("protocollo", ProtocolloSettings.model_validate(self.settings(simulator.url, {}) | more))
            done = attempt(adapter, "cerca", {"riferimento": "x"})
            adapter.close()
        assert isinstance(done.error, Unreachable)
        assert b"authorization: basic chjvdme=" in seen[0].lower()
        assert (b"cHJvdmE" in done.wire, "cHJvdmE" in repr(adapter.settings)) == (False, False)


class _TinnBase(_Register):
    arguments = ("--dialect", "tinn", "--wsdl", str(TINN))
    examples = (
        Example(
            "registra", REQUEST, effect_kind="registrazione", refusal="101", refused_as="UO_SCONOSCIUTA", operation_match="Protocollazione",
            files=FILES,
        ),
    )  # fmt: skip

    @classmethod
    def settings(cls, url: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"url": url, "dialetto": "tinn", "contratto": str(TINN), **COMMON}

    @staticmethod
    def _name(step: str) -> str:
        return step.capitalize()


@needs_vendors
class TestTinn(_TinnBase):
    """TINN's own rpc/encoded WSDL, chosen by configuration only. It has no search: what is in doubt stays in doubt."""

    def test_every_operation_has_an_example(self):
        assert {"registra", "cerca"} == set(Protocollo.operations)

    def test_the_settings_are_checked_against_the_contract(self, adapter):
        assert [type(line) for line in adapter.check() if "no search" in line] == [Caution]

    def test_a_search_is_refused_and_sends_nothing(self, adapter):
        done = attempt(adapter, "cerca", {"riferimento": "x"})
        assert done.error.outside_code == "NON_PREVISTO"
        assert done.ctx.exchanges == []

    @pytest.mark.parametrize("fault", ["lose_reply", "garbage", "die_after", "late"])
    def test_a_probe_cannot_tell_and_says_so(self, adapter, simulator, fault):
        request = _request()
        simulator.faults([{"fault": fault, "operation": "Protocollazione", "times": 1}])
        done = attempt(adapter, "registra", request)
        assert isinstance(done.error, InDoubt)
        with pytest.raises(Unreachable):
            probe(adapter, done, request)
        if fault == "die_after":
            simulator.restart()

    test_a_probe_finds_what_happened_without_an_answer = None
    test_a_probe_tells_an_effect_that_is_late_from_one_that_has_come = None
    test_a_probe_finds_the_answer_that_was_given = None

    def test_the_wire_is_rpc_with_types(self, adapter):
        _, ctx = call(adapter, "registra", _request())
        login = ctx.exchanges[0].content
        assert b"encodingStyle" in login
        assert b"xsi:type" in login


def test_a_dialect_without_a_contract_is_a_configuration_error():
    from bus.errors import ConfigError

    with pytest.raises(ConfigError):
        Protocollo("protocollo", Protocollo.Settings.model_validate({"url": "http://127.0.0.1:9", "dialetto": "ads", **COMMON}))


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[RunningSimulator]:
    with start("adapters.protocollo.simulator", tmp_path) as running:
        yield running


def test_numbers_go_on_after_the_register_was_killed(ours):
    adapter = TestDocarea.build(TestDocarea.settings(ours.url, {}))
    first, _ = call(adapter, "registra", _request())
    ours.restart()
    second, _ = call(adapter, "registra", _request())
    assert int(second.numero) == int(first.numero) + 1
    adapter.close()


@pytest.mark.parametrize("number", [-1, 0, "-1", "0", None])
def test_a_refusal_with_a_number_that_is_none_is_a_refusal(monkeypatch, number):
    told = {
        "login": {"LoginResult": {"strDST": "gettone", "lngErrNumber": 0}},
        "inserimento": {"InserimentoResult": {"lngDocID": 7, "lngErrNumber": 0}},
        "protocollazione": {
            "ProtocollazioneResult": {"lngNumPG": number, "lngAnnoPG": -1, "lngErrNumber": -1, "strErrString": "UO non trovata"}
        },
    }
    adapter = TestDocarea.build(TestDocarea.settings("http://127.0.0.1:9", {}))
    monkeypatch.setattr("adapters.soap.client.SoapClient.call", lambda _self, name, *_, **__: told[name])
    with pytest.raises(Refused, match="UO non trovata"):
        call(adapter, "registra", _request())


@pytest.mark.parametrize("written", ["31/12/2026", "2026-12-31", "2026-12-31T23:59:00", "31-12-2026", "20261231", "31/12/26"])
def test_dates_are_read_however_a_vendor_writes_them(written):
    from adapters.protocollo.dialects import day_of

    assert day_of(written) == "2026-12-31"


@pytest.mark.parametrize(("year", "date"), [(26, "2/3/26"), (2026, "02/03/2026"), ("26", "2026-03-02T10:00:00")])
def test_a_year_of_two_digits_is_one_of_this_century(monkeypatch, year, date):
    given = {"lngNumPG": 4321, "lngAnnoPG": year, "strDataPG": date, "lngErrNumber": 0}
    told = {
        "login": {"LoginResult": {"strDST": "gettone", "lngErrNumber": 0}},
        "inserimento": {"InserimentoResult": {"lngDocID": 7, "lngErrNumber": 0}},
        "protocollazione": {"ProtocollazioneResult": given},
    }
    adapter = TestDocarea.build(TestDocarea.settings("http://127.0.0.1:9", {}))
    monkeypatch.setattr("adapters.soap.client.SoapClient.call", lambda _self, name, *_, **__: told[name])
    answer, _ = call(adapter, "registra", _request())
    assert (answer.numero, answer.anno, answer.data) == ("0004321", 2026, "2026-03-02")


def test_a_date_nobody_can_read_is_kept_as_it_is():
    from adapters.protocollo.dialects import day_of

    assert day_of("l'ultimo dell'anno") == "l'ultimo dell'anno"


def test_a_register_with_one_token_for_everybody_serves_many_threads_with_one_login(ours):
    from concurrent.futures import ThreadPoolExecutor

    adapter = TestDocarea.build(TestDocarea.settings(ours.url, {}))
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: attempt(adapter, "registra", _request()), range(12)))
    adapter.close()
    assert [one.error for one in done if one.error] == []
    assert len({one.answer.numero for one in done}) == 12
    assert ours.status()["requests"]["login"] == 1


@pytest.mark.parametrize(
    ("held", "found"),
    [
        ("SCIA DI PROVA [RIF. SUE-2026-1A]", True), ("scia  di\n prova [rif.  SUE-2026-1a]", True), ("SCIA [rif. SUE-2026-1ab]", False),
        ("SCIA [rif. XSUE-2026-1a]", False), ("SCIA SUE-2026-1a", False), ("", False), (None, False),
    ],
)  # fmt: skip
def test_our_reference_is_found_however_the_register_writes_an_object(held, found):
    assert is_marked(held, "SUE-2026-1a") is found


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("SCIA, RIFACIMENTO DELL'EDIFICIO E' [RIF. A-1]", True), ("Prot.: SCIA, rifacimento dell’edificio è [rif. A-1]", True),
        ("SCIA, rifacimento [rif. A-1]", False), ("CILA, rifacimento dell'edificio è [rif. A-1]", False), ("", False),
    ],
)  # fmt: skip
def test_an_object_is_ours_but_for_capitals_accents_and_marks(held, said):
    assert says(held, "SCIA, rifacimento dell'edificio è [rif. A-1]") is said


@pytest.mark.parametrize(("held", "said"), [("Lotto 1/2, tesserà", True), ("LOTTO 1-2  TESSERA'", True), ("Lotto 12, tessera", False),
    ("Lotto 1/2, tessera-to", True), ("Lotto 1/2, tesserato", False), ("Sottolotto 1/2, tessera", False)])  # fmt: skip
def test_what_parts_the_words_of_an_object_makes_another_matter(held, said):
    assert says(held, "Lotto 1/2, tessera") is said


def test_no_address_of_a_search_may_be_written_as_left_out():
    assert ProtocolloSettings.model_validate({"url": "http://127.0.0.1:9/", "url_ricerca": "", **COMMON}).url_ricerca == ""
    with pytest.raises(ValidationError, match="is no address"):
        ProtocolloSettings.model_validate({"url": "http://127.0.0.1:9/", "url_ricerca": "ricerca", **COMMON})


@pytest.mark.parametrize("before", ["", '<?xml version="1.0" encoding="ISO-8859-1"?>', "\n<?xml version='1.0' encoding='UTF-16' ?>\n"])
def test_a_text_inside_an_answer_is_no_longer_in_the_encoding_that_it_says(before):
    said = f"{before}<ROOT><DOC><ANNO>2026</ANNO><NUMERO>7</NUMERO><DATA>02/03/2026</DATA><OGGETTO>Perché è così</OGGETTO></DOC></ROOT>"
    assert document(lambda _name, _asked: said, "snodo", "1", lambda _: None)["OGGETTO"] == "Perché è così"


@pytest.mark.parametrize(
    ("said", "why"),
    [("in manutenzione", "something else than XML"), ("<R><RESULT>KO</RESULT><MESSAGE>no</MESSAGE></R>", "the search failed: no")],
)
def test_what_is_no_xml_and_a_failure_without_a_number_inside_an_answer_do_not_count_as_silence(said, why):
    with pytest.raises(Unreachable, match=why) as told:
        document(lambda _name, _asked: said, "snodo", "1", lambda _: None)
    assert told.value.answered


def test_a_contract_that_cannot_be_read_is_told_once_and_without_a_code_within_a_code():
    settings = {"url": "http://127.0.0.1:9/", "contratto": __file__, **COMMON}
    [said] = [one for one in Protocollo("protocollo", ProtocolloSettings.model_validate(settings)).check() if not isinstance(one, Caution)]
    assert said.startswith("cannot read the contract ")
