"""The registry adapter, against its simulator, in both dialects."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.anagrafe.adapter import Anagrafe, AnagrafeSettings
from bus.adapter import InDoubt, Refused
from bus.testing.adapter_contract import AdapterContract, Example, attempt, call, unique

VENDOR = Path(__file__).parents[3] / "shared/contracts/anagrafe-vendor/wsanagrafe2/WsAnagrafe2.wsdl"
needs_vendor = pytest.mark.skipif(not VENDOR.exists(), reason="the vendor's WSDL is not beside the project (../shared)")
ADA, NICOLO, OMOCODIC, DEAD, ABROAD, TWICE = (
    "BLLDAA71E43B429M", "DNGNCL84S21B429E", "VRDGNI58B14B4NVC", "LPRTLL45P09B429C", "RGGRBN78C17Z133M", "SPNLVI89D25C351K",
)  # fmt: skip
NOBODY = "RSSMRA80A01H501U"


class _People:
    """What every registry must know, whatever its dialect."""

    def test_a_woman_is_known_with_her_birthday_and_home(self, adapter):
        answer, _ = call(adapter, "cerca-soggetto", {"codice_fiscale": ADA.lower() + " "})
        assert (answer.cognome, answer.nome, answer.sesso, answer.data_nascita) == ("BELLOMO", "ADA", "F", "1971-05-03")
        assert answer.residenza.comune == "CALTANISSETTA"
        assert answer.residenza.cap == "93100"
        assert answer.verificato
        assert not answer.deceduto

    def test_an_apostrophe_and_an_accent_come_through(self, adapter):
        answer, _ = call(adapter, "cerca-soggetto", {"codice_fiscale": NICOLO})
        assert (answer.cognome, answer.nome) == ("D'ANGELO", "NICOLÒ")

    def test_an_omocodic_codice_fiscale_is_valid(self, adapter):
        answer, _ = call(adapter, "cerca-soggetto", {"codice_fiscale": OMOCODIC})
        assert answer.codice_fiscale == OMOCODIC

    def test_the_dead_are_said_to_be_dead(self, adapter):
        answer, _ = call(adapter, "cerca-soggetto", {"codice_fiscale": DEAD})
        assert answer.deceduto

    def test_nobody_is_not_found(self, adapter):
        done = attempt(adapter, "cerca-soggetto", {"codice_fiscale": NOBODY})
        assert isinstance(done.error, Refused)
        assert done.error.outside_code == "NON_TROVATO"

    @pytest.mark.parametrize("wrong", ["BLLDAA71E43B429X", "ABC", "", "BLLDAA71E73B429M", "' OR 1=1", "BLLDAA71E43B429M<"])
    def test_a_wrong_codice_fiscale_never_leaves(self, adapter, wrong):
        done = attempt(adapter, "cerca-soggetto", {"codice_fiscale": wrong})
        assert isinstance(done.error, Refused)
        assert done.error.outside_code == "CF_ERRATO"
        assert done.ctx.exchanges == []


class TestOurs(_People, AdapterContract):
    adapter_class = Anagrafe
    module = "adapters.anagrafe.simulator"
    examples = (
        Example("cerca-soggetto", {"codice_fiscale": ADA}, refusal="EN042", refused_as="NON_TROVATO"),
        Example(
            "emetti-certificato",
            {"codice_fiscale": NICOLO, "tipo": "8", "uso": "uso {unico}", "ricevuta": "R{unico}"},
            effect_kind="certificato",
            refusal="EN054",
            refused_as="DECEDUTO",
        ),
    )

    @classmethod
    def settings(cls, url: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"url": url, "comune": "085004"}

    def test_two_people_with_one_codice_fiscale_are_ambiguous(self, adapter):
        done = attempt(adapter, "cerca-soggetto", {"codice_fiscale": TWICE})
        assert isinstance(done.error, Refused)
        assert done.error.outside_code == "AMBIGUO"

    def test_the_certificate_is_a_pdf_on_the_shelf_and_not_in_the_answer(self, adapter):
        done = attempt(adapter, "emetti-certificato", {"codice_fiscale": NICOLO, "tipo": "8"})
        stored = done.shelf.files[done.answer.file.sha256]
        assert stored.startswith(b"%PDF-")
        assert done.answer.file.size == len(stored)
        assert NICOLO not in done.answer.file.name

    def test_the_same_id_gets_the_same_certificate_and_the_same_bytes(self, adapter):
        first = attempt(adapter, "emetti-certificato", {"codice_fiscale": NICOLO, "tipo": "8"})
        again = attempt(adapter, "emetti-certificato", {"codice_fiscale": NICOLO, "tipo": "8"}, number=first.ctx.number)
        assert first.answer == again.answer

    def test_an_unknown_lower_id_is_refused(self, adapter):
        lower, higher = int(unique()), int(unique())
        call(adapter, "emetti-certificato", {"codice_fiscale": NICOLO, "tipo": "8"}, number=higher)
        done = attempt(adapter, "emetti-certificato", {"codice_fiscale": NICOLO, "tipo": "8"}, number=lower)
        assert done.error.outside_code == "ID_INFERIORE"

    def test_ids_can_begin_after_those_of_other_software(self, simulator):
        theirs, next_one = int(unique()), int(unique())
        adapter = self.build({**self.settings(simulator.url, {}), "id_iniziale": theirs})
        done = attempt(adapter, "emetti-certificato", {"codice_fiscale": NICOLO, "tipo": "8"}, number=next_one - theirs)
        adapter.close()
        assert done.answer.numero.endswith(str(next_one))

    def test_an_id_used_for_somebody_else_is_refused_and_nothing_is_kept(self, adapter):
        number = int(unique())
        call(adapter, "emetti-certificato", {"codice_fiscale": NICOLO, "tipo": "8"}, number=number)
        done = attempt(adapter, "emetti-certificato", {"codice_fiscale": ADA, "tipo": "8"}, number=number)
        assert done.error.outside_code == "ID_GIA_USATO"
        assert done.shelf.files == {}

    @pytest.mark.parametrize(("who", "code"), [(ABROAD, "AIRE"), (DEAD, "DECEDUTO"), (NOBODY, "NON_TROVATO")])
    def test_a_certificate_that_cannot_be_issued_says_why(self, adapter, who, code):
        done = attempt(adapter, "emetti-certificato", {"codice_fiscale": who, "tipo": "7"})
        assert done.error.outside_code == code

    def test_a_registry_that_dies_before_the_effect_leaves_doubt(self, adapter, simulator):
        simulator.faults([{"fault": "die_before", "times": 1}])
        number = int(unique())
        done = attempt(adapter, "emetti-certificato", {"codice_fiscale": NICOLO, "tipo": "8"}, number=number)
        assert isinstance(done.error, InDoubt)
        simulator.restart()
        answer, _ = call(adapter, "emetti-certificato", {"codice_fiscale": NICOLO, "tipo": "8"}, number=number)
        assert answer.numero

    def test_the_settings_are_checked_against_the_contract(self, adapter):
        assert list(adapter.check()) == []


@needs_vendor
class TestWsAnagrafe2(_People, AdapterContract):
    """The vendor's own WSDL, chosen by configuration only; it issues no certificates."""

    adapter_class = Anagrafe
    module = "adapters.anagrafe.simulator"
    arguments = ("--dialect", "wsanagrafe2", "--wsdl", str(VENDOR))
    secrets = ("gettone-di-prova",)
    examples = (Example("cerca-soggetto", {"codice_fiscale": ADA}, refusal="NON_TROVATO"),)

    @classmethod
    def settings(cls, url: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"url": url, "dialetto": "wsanagrafe2", "contratto": str(VENDOR), "credenziali": {"token": "gettone-di-prova"}}

    def test_every_operation_has_an_example(self):
        assert self.build(self.settings("http://127.0.0.1:9", {}))._dialect.certificato is None

    def test_a_certificate_is_refused_before_anything_is_sent(self, adapter):
        done = attempt(adapter, "emetti-certificato", {"codice_fiscale": ADA, "tipo": "8"})
        assert done.error.outside_code == "NON_PREVISTO"
        assert done.ctx.exchanges == []

    def test_a_credential_that_the_dialect_needs_and_nobody_gives_is_found(self, simulator):
        poor = self.build({"url": simulator.url, "dialetto": "wsanagrafe2", "contratto": str(VENDOR)})
        assert [line for line in poor.check() if "token" in line]


class TestADialectWrittenOut(AdapterContract):
    """A third vendor needs no code: the whole dialect stands in the settings."""

    adapter_class = Anagrafe
    module = "adapters.anagrafe.simulator"
    examples = (Example("cerca-soggetto", {"codice_fiscale": ADA}, refusal="EN131", refused_as="AMBIGUO"),)

    @classmethod
    def settings(cls, url: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        question = {
            "operazione": "ricercaSoggetto",
            "valori": {
                "testata.codMittente": "{mittente}", "testata.dataOraRichiesta": "{adesso}", "codiceFiscale.codFiscale": "{codice_fiscale}",
            },
            "risultato": "soggetto",
            "campi": {
                "codice_fiscale": "codiceFiscale.codFiscale", "cognome": "cognome", "nome": "nome", "data_nascita": "dataNascita",
                "sesso": "sesso", "luogo_nascita": "luogoNascita", "deceduto": "dataDecesso",
            },
            "errori": "listaErrori.errore", "codice": "codiceErroreAnomalia", "testo": "testoErroreAnomalia", "codici": {"EN131": "AMBIGUO"},
        }  # fmt: skip
        return {"url": url, "dialetto": {"contratto": "anagrafe.wsdl", "cerca": question}, "credenziali": {"mittente": "085004"}}

    def test_every_operation_has_an_example(self):
        assert list(self.build(self.settings("http://127.0.0.1:9", {})).check()) == []


def without(*names: str, **changes: Any) -> Anagrafe:
    """The dialect above without some of its fields, or with others."""
    given = TestADialectWrittenOut.settings("http://127.0.0.1:9", {})
    question = given["dialetto"]["cerca"]
    campi = {name: path for name, path in {**question["campi"], **changes.pop("campi", {})}.items() if name not in names}
    question.update(changes, campi=campi)
    return Anagrafe("anagrafe", AnagrafeSettings.model_validate(given))


@pytest.mark.parametrize(
    ("adapter", "complaint"),
    [
        (without("deceduto"), "the dialect takes no deceduto from the answer of ricercaSoggetto: say under campi where it is"),
        (without(campi={"cognme": "cognome"}), "campi.cognme of ricercaSoggetto is none of "),
        (without(campi={"nome": "nome|nomme"}), "the answer of ricercaSoggetto has no soggetto.nomme"),
        (without(risultato="sogetto"), "the answer of ricercaSoggetto has no sogetto"),
        (without(errori="listaErrori.errori"), "the answer of ricercaSoggetto has no listaErrori.errori"),
        (without(codice="codice"), "the answer of ricercaSoggetto has no listaErrori.errore.codice"),
        (without(operazione="cercaSoggetto"), "anagrafe.wsdl has no operation 'cercaSoggetto' (there are "),
    ],
)
def test_what_a_dialect_takes_is_looked_for_in_the_contract(adapter: Anagrafe, complaint: str) -> None:
    assert next(iter(adapter.check())).startswith(complaint)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, "no number"),
        ({"protocolloANPR": {"numeroProtocolloANPR": "7"}}, "day of issue"),
        ({"soggettoIntestatario": {}}, "does not say whose"),
        ({"file": {"certificatoPdf": b""}}, "no file"),
    ],
)
def test_a_certificate_of_which_something_is_not_said_is_in_doubt(monkeypatch, more, why):
    told = {"testataRisposta": {"dataOraRichiesta": "28.11.2026"}, "file": {"certificatoPdf": b"%PDF"}}
    issued = {"soggettoIntestatario": {"codiceFiscale": {"codFiscale": ADA}}, **told, **more}
    adapter = Anagrafe("anagrafe", AnagrafeSettings(url="http://127.0.0.1:9"))
    monkeypatch.setattr(adapter, "_ask", lambda *_, **__: {"Risposta6001OK": issued})
    done = attempt(adapter, "emetti-certificato", {"codice_fiscale": ADA, "tipo": "8"})
    assert isinstance(done.error, InDoubt)
    assert why in done.error.sentence
    assert done.error.code != "adapter.crashed"


def test_a_registry_that_does_not_say_everything_is_read(monkeypatch):
    adapter = without("sesso", "data_nascita", "luogo_nascita", "codice_fiscale")
    assert list(adapter.check()) == []
    monkeypatch.setattr(adapter, "_ask", lambda *_: {"soggetto": [{"cognome": "BELLOMO", "nome": "ADA"}]})
    answer, _ = call(adapter, "cerca-soggetto", {"codice_fiscale": ADA})
    assert (answer.cognome, answer.sesso, answer.data_nascita, answer.deceduto) == ("BELLOMO", "F", "1971-05-03", False)


def test_blanks_that_fill_a_column_up_are_no_part_of_what_it_says(monkeypatch):
    padded = {
        "CODICEFISCALE": f"{DEAD}    ", "NOMINATIVO": "LO PRESTI  ", "NOME": "TULLIO\n\t  MARIA ", "SESSO": "M ", "DATANASCITA": None,
        "FLAG_DISABILITATO": "1 ", "ComuneNascita": {"COMUNE": "CALTANISSETTA "}, "INDIRIZZO": "  ", "CAP": "     ",
    }  # fmt: skip
    adapter = Anagrafe("anagrafe", AnagrafeSettings(url="http://127.0.0.1:9", dialetto="wsanagrafe2", contratto="mai-letto.wsdl"))
    monkeypatch.setattr(adapter, "_ask", lambda *_: {"getPersonaFisicaResult": padded})
    answer, _ = call(adapter, "cerca-soggetto", {"codice_fiscale": DEAD})
    assert (answer.codice_fiscale, answer.cognome, answer.nome, answer.sesso) == (DEAD, "LO PRESTI", "TULLIO MARIA", "M")
    assert (answer.data_nascita, answer.luogo_nascita, answer.residenza) == ("1945-09-09", "CALTANISSETTA", None)
    assert answer.deceduto, "the mark of the dead has blanks behind it, too"


@pytest.mark.parametrize("nobody", [{}, {"DATANASCITA": None, "SESSO": ""}, {"CODICEFISCALE": DEAD, "NOMINATIVO": "  ", "NOME": ""}])
def test_a_record_that_says_no_name_is_nobody(monkeypatch, nobody):
    adapter = Anagrafe("anagrafe", AnagrafeSettings(url="http://127.0.0.1:9", dialetto="wsanagrafe2", contratto="mai-letto.wsdl"))
    monkeypatch.setattr(adapter, "_ask", lambda *_: {"getPersonaFisicaResult": nobody})
    assert attempt(adapter, "cerca-soggetto", {"codice_fiscale": DEAD}).error.outside_code == "NON_TROVATO"


@pytest.mark.parametrize("nothing", ["0001-01-01T00:00:00", "0001-01-01T00:00:00+01:00"])
def test_the_first_day_of_the_first_year_is_no_birthday(monkeypatch, nothing):
    person = {"CODICEFISCALE": DEAD, "NOMINATIVO": "LO PRESTI", "NOME": "TULLIO", "DATANASCITA": dt.datetime.fromisoformat(nothing)}
    adapter = Anagrafe("anagrafe", AnagrafeSettings(url="http://127.0.0.1:9", dialetto="wsanagrafe2", contratto="mai-letto.wsdl"))
    monkeypatch.setattr(adapter, "_ask", lambda *_: {"getPersonaFisicaResult": person})
    answer, _ = call(adapter, "cerca-soggetto", {"codice_fiscale": DEAD})
    assert answer.data_nascita == "1945-09-09"


@pytest.mark.parametrize("said", ["00/00/1945", "00/09/1945", "00/00/0000"])
def test_a_day_of_birth_that_nobody_knows_is_that_of_the_codice_fiscale(monkeypatch, said):
    """Of many who were born abroad the registry has a year alone; whatever they asked for ended as a dead letter."""
    adapter = vendor({"DataNascita": said}, monkeypatch)
    assert call(adapter, "cerca-soggetto", {"codice_fiscale": DEAD})[0].data_nascita == "1945-09-09"


def test_zeros_are_known_as_a_day_or_a_month_however_dates_are_written(monkeypatch):
    adapter = vendor({"DataNascita": "19450000 00:00"}, monkeypatch, formato_data="%Y%m%d %H:%M")
    assert call(adapter, "cerca-soggetto", {"codice_fiscale": DEAD})[0].data_nascita == "1945-09-09"


@pytest.mark.parametrize("said", ["1945-09-09", "09/09/1945 00:00:00", "1945-00-09"])
def test_a_day_of_birth_in_another_form_than_the_settings_say_is_told(monkeypatch, said):
    """A midnight is no day that nobody knows."""
    adapter = vendor({"DataNascita": said}, monkeypatch)
    assert "is not written as the settings say" in attempt(adapter, "cerca-soggetto", {"codice_fiscale": DEAD}).error.sentence


@pytest.mark.parametrize(
    ("said", "dead"),
    [
        (None, False), (False, False), ("false", False), (0, False), ("0", False), (True, True), (1, True), (dt.datetime(1, 1, 1), False), ("0001-01-01T00:00:00", False), ("00/00/0000", False), ("0000-00-00 00:00:00", False),
        (dt.datetime(2020, 1, 1), True), ("00/00/2020", True), ("31/12/2020", True),
    ],
)  # fmt: skip
def test_who_has_no_date_of_death_is_alive_however_a_registry_writes_that(monkeypatch, said, dead):
    """A registry on .NET has a date of death for everybody, and all its people were taken for dead."""
    adapter = vendor({"DataMorte": said}, monkeypatch)
    assert call(adapter, "cerca-soggetto", {"codice_fiscale": DEAD})[0].deceduto == dead


@pytest.mark.parametrize(("said", "dead"), [(True, True), (False, False), ("true", True), (None, False)])
def test_a_mark_of_the_dead_may_be_a_boolean_of_the_contract(monkeypatch, said, dead):
    """It came as Python writes it, True, which is none of the texts that mean deceased: the dead were taken for alive."""
    adapter = vendor({"DataMorte": said}, monkeypatch, deceduto=["true"])
    assert call(adapter, "cerca-soggetto", {"codice_fiscale": DEAD})[0].deceduto == dead


def vendor(said: dict[str, Any], monkeypatch: pytest.MonkeyPatch, **more: Any) -> Anagrafe:
    """A registry whose dialect is written out, that answers these fields beside a name."""
    fields = {"cognome": "Cognome", "nome": "Nome", "data_nascita": "DataNascita", "deceduto": "DataMorte"}
    asks = {"operazione": "Cerca", "valori": {"cf": "{codice_fiscale}"}, "risultato": "Soggetto", "campi": fields}
    settings = {"url": "http://127.0.0.1:9", "contratto": "mai-letto.wsdl", "dialetto": {"formato_data": "%d/%m/%Y", "cerca": asks, **more}}
    adapter = Anagrafe("anagrafe", AnagrafeSettings.model_validate(settings))
    monkeypatch.setattr(adapter, "_ask", lambda *_: {"Soggetto": {"Cognome": "LO PRESTI", "Nome": "TULLIO", **said}})
    return adapter


@pytest.mark.parametrize(
    ("code", "sex", "born"),
    [("BNCNNA80AQMB429I", "F", "1980-01-01"), ("BNCNNA80ALMB429D", "M", "1980-01-01"), ("RSSMRA23A01B429W", "M", "2023-01-01")],
)
def test_what_a_registry_does_not_say_is_read_in_a_code_of_letters_or_of_a_child(monkeypatch, code, sex, born):
    person = {"CODICEFISCALE": code, "NOMINATIVO": "BIANCHI", "NOME": "ANNA"}
    adapter = Anagrafe("anagrafe", AnagrafeSettings(url="http://127.0.0.1:9", dialetto="wsanagrafe2", contratto="mai-letto.wsdl"))
    monkeypatch.setattr(adapter, "_ask", lambda *_: {"getPersonaFisicaResult": person})
    answer, _ = call(adapter, "cerca-soggetto", {"codice_fiscale": code})
    assert (answer.sesso, answer.data_nascita) == (sex, born)


def test_a_registry_moment_of_midnight_in_rome_is_that_day():
    from adapters.anagrafe.dialects import day_of

    assert day_of(dt.datetime(1979, 12, 31, 23, tzinfo=dt.UTC), "") == "1980-01-01"
    assert day_of(dt.datetime(1980, 1, 1), "") == "1980-01-01"
    assert day_of(dt.datetime(1980, 1, 1, 23), "") == "1980-01-01"
    assert day_of("31/12/1979", "%d/%m/%Y") == "1979-12-31"


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("1960-07-15T00:00:00+02:00", "1960-07-15"),
        ("1960-07-14T22:00:00+00:00", "1960-07-15"),
        ("1990-10-05T00:00:00+02:00", "1990-10-05"),
        ("1967-07-15T00:00:00+02:00", "1967-07-15"),
        ("1967-01-15T00:00:00+01:00", "1967-01-15"),
        ("1944-06-01T00:00:00+02:00", "1944-06-01"),
        ("2020-10-05T00:00:00+02:00", "2020-10-05"),
        ("2020-01-05T23:00:00+01:00", "2020-01-05"),
    ],
)
def test_a_midnight_with_summer_time_of_today_in_a_year_that_had_another_is_that_day(said, day):
    """So a registry on .NET writes a day of birth: its clock knows today's summer time alone."""
    from adapters.anagrafe.dialects import day_of

    assert day_of(dt.datetime.fromisoformat(said), "") == day


def test_the_certificate_of_the_simulator_is_always_the_same_pdf():
    from adapters.anagrafe.simulator import pdf

    made = pdf(["Certificato (prova)", "àèì"])
    assert made == pdf(["Certificato (prova)", "àèì"])
    assert io.BytesIO(made).read(5) == b"%PDF-"


def test_the_invented_people_have_codes_that_agree_with_their_birth_and_sex():
    from stdnum.it import codicefiscale

    from adapters.anagrafe.simulator import people

    for person in people():
        code = codicefiscale.validate(person["codice_fiscale"])
        assert codicefiscale.get_gender(code) == person["sesso"]
        assert codicefiscale.get_birth_date(code).isoformat()[2:] == person["data_nascita"][2:]
