"""The building office: the contract suite against a real PostgreSQL, and what its awkward schema asks for."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.database import Database, DatabaseSettings
from adapters.edilizia.adapter import SCHEMA, Edilizia, uuid_of
from bus.adapter import InDoubt, Refused, Unreachable
from bus.testing.adapter_contract import AdapterContract, Example, ExampleFile, attempt, call, fresh, unique
from bus.testing.patience import until
from bus.testing.simulators import start

RICHIESTA = {
    "istanza": "IST-{unico}",
    "procedimento": "SCIA",
    "oggetto": "Manutenzione straordinaria dell'edificio “Ca' Nova”",
    "richiedente": {"codice_fiscale": "RSSMRA80A01H501U", "cognome": "D’Amico", "nome": "Zoë"},
    "protocollo": {"numero": "{unico}", "anno": 2026, "data": "2026-03-02"},
    "mappali": [
        {"foglio": "12", "particella": "345/A", "sub": "3"},
        {"foglio": "allegato B", "particella": "vedi planimetria", "sezione": "U"},
        {"foglio": "12", "particella": "346"},
    ],
    "oneri": [{"causale": "Diritti di segreteria", "importo": 5165}, {"causale": "Bolli", "importo": 1600}],
    "indirizzo": "Via dei Mille 1",
}
PIANTA = ExampleFile("pianta.pdf", b"%PDF-1.7 pianta")


def opened(adapter, **more):
    answer, _ = call(adapter, "apri-pratica", {**fresh(RICHIESTA), **more})
    return answer


def a_key():
    return hashlib.sha256(unique().encode()).hexdigest()


def payment(pratica, **more):
    return {"pratica": pratica, "iuv": f"0100000{unique()}", "importo": 6765, "data": "2026-03-05", **more}


class TestEdilizia(AdapterContract):
    adapter_class = Edilizia
    module = "adapters.edilizia.simulator"
    examples = (
        Example(
            "apri-pratica",
            RICHIESTA,
            effect_kind="pratica",
            refusal="ARCHIVIO_CHIUSO",
            refused_as="RIFIUTATO",
            operation_match="apri-pratica",
            files=(PIANTA,),
        ),
        Example(
            "annulla-pratica",
            {},
            effect_kind="annullamento",
            refusal="ARCHIVIO_CHIUSO",
            refused_as="RIFIUTATO",
            operation_match="annulla-pratica",
            given=lambda adapter: opened(adapter).model_dump(),
        ),
        Example(
            "registra-pagamento",
            {},
            effect_kind="pagamento",
            refusal="ARCHIVIO_CHIUSO",
            refused_as="RIFIUTATO",
            operation_match="registra-pagamento",
            given=lambda adapter: payment(opened(adapter).pratica),
        ),
        Example("leggi-pratica", {}, operation_match="leggi-pratica", given=lambda adapter: {"pratica": opened(adapter).pratica}),
    )

    @classmethod
    def settings(cls, url, facts):
        return {"url": facts["database"], "comune": "E256", "catasto": "E256"}

    @classmethod
    def dead_settings(cls, facts):
        return {"url": "postgresql+psycopg://edilizia@127.0.0.1:1/postgres", "comune": "E256"}

    def test_twenty_at_once_take_twenty_different_numbers(self, adapter, simulator):
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: opened(adapter), range(20)))
        assert len({answer.pratica for answer in answers}) == 20
        assert len({answer.uuid for answer in answers}) == 20

    def test_ten_at_once_under_one_key_open_one_practice(self, adapter, simulator):
        request, key, before = fresh(RICHIESTA), a_key(), len(simulator.ledger("pratica"))
        with ThreadPoolExecutor(10) as pool:
            done = list(pool.map(lambda _: attempt(adapter, "apri-pratica", request, key=key), range(10)))
        assert [one.error for one in done if one.error] == []
        assert {one.answer.uuid for one in done} == {uuid_of(key)}
        assert len({one.answer.pratica for one in done}) == 1
        assert len(simulator.ledger("pratica")) == before + 1

    def test_different_acts_at_once_never_deadlock(self, adapter, simulator):
        first = [opened(adapter) for _ in range(6)]

        def act(number):
            one = first[number % 6]
            if number % 3 == 0:
                return attempt(adapter, "apri-pratica", fresh(RICHIESTA))
            if number % 3 == 1:
                return attempt(adapter, "registra-pagamento", payment(one.pratica))
            return attempt(adapter, "annulla-pratica", one.model_dump())

        with ThreadPoolExecutor(12) as pool:
            done = list(pool.map(act, range(36)))
        assert [one.error for one in done if isinstance(one.error, (Unreachable, InDoubt))] == []

    def test_a_commit_that_comes_late_and_a_resend_meet_in_one_practice(self, adapter, simulator):
        request, key, before = fresh(RICHIESTA), a_key(), len(simulator.ledger("pratica"))
        simulator.faults([{"fault": "late", "operation": "apri-pratica", "seconds": 3.0, "times": 1}])
        first = attempt(adapter, "apri-pratica", request, key=key)
        assert isinstance(first.error, InDoubt)
        hasty = attempt(adapter, "apri-pratica", request, key=key, timeout=0.4)
        assert isinstance(hasty.error, Unreachable) or len(simulator.ledger("pratica")) > before  # on a busy machine it came first
        answer, _ = call(adapter, "apri-pratica", request, key=key)
        assert answer.uuid == uuid_of(key)
        assert len(simulator.ledger("pratica")) == before + 1

    def test_a_restarted_server_is_found_again_without_an_error(self, adapter, simulator):
        opened(adapter)
        simulator.restart()
        opened(adapter)

    def test_a_server_killed_before_the_commit_holds_nothing(self, adapter, simulator):
        before = simulator.ledger()
        simulator.faults([{"fault": "die_before", "operation": "apri-pratica", "times": 1}])
        assert isinstance(attempt(adapter, "apri-pratica", fresh(RICHIESTA)).error, InDoubt)
        simulator.restart()
        assert simulator.ledger() == before


@pytest.mark.parametrize("how", ["stop", "kill", "parent"])
def test_no_postgres_outlives_its_simulator(tmp_path, how):
    with start("adapters.edilizia.simulator", tmp_path) as running:
        old = int((tmp_path / "postgres" / "postmaster.pid").read_text().split()[0])
        if how == "parent":
            running._process.stdin.close()
        elif how == "kill":
            os.kill(running.facts["pid"], signal.SIGKILL)
        else:
            running.stop()
        until(lambda: not (Path(f"/proc/{old}/cmdline").exists() and Path(f"/proc/{old}/cmdline").read_bytes()), "the server has ended")


@pytest.fixture(scope="module")
def shared_postgres(tmp_path_factory):
    with start("adapters.edilizia.simulator", tmp_path_factory.mktemp("edilizia")) as running:
        yield running.facts["database"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("shared_postgres")
    made = f"sqlite:///{tmp_path / 'edilizia.sqlite'}"
    database = Database(DatabaseSettings(url=made))
    database.script(SCHEMA.read_text())
    database.close()
    return made


@pytest.fixture
def database(url):
    database = Database(DatabaseSettings(url=url))
    yield database
    database.close()


@pytest.fixture
def office(url):
    office = Edilizia("edilizia", Edilizia.Settings(url=url, comune=f"T{unique()}", catasto="E256"))
    yield office
    office.close()


def rows(database, sql, **parameters):
    with database.engine.connect() as connection:
        from sqlalchemy import text

        return [dict(row) for row in connection.execute(text(sql), parameters).mappings()]


def execute(database, sql, **parameters):
    from sqlalchemy import text

    with database.engine.begin() as connection:
        connection.execute(text(sql), parameters)


def test_a_practice_is_read_as_it_was_opened(office):
    request = fresh(RICHIESTA)
    answer, _ = call(office, "apri-pratica", request, files=(PIANTA,))
    read, _ = call(office, "leggi-pratica", {"pratica": answer.pratica})
    assert read.uuid == answer.uuid
    assert read.stato == "APERTA"
    assert read.oggetto == request["oggetto"]
    assert read.richiedente.model_dump() == request["richiedente"]
    assert [(m.foglio, m.particella, m.sub, m.sezione, m.primario) for m in read.mappali] == [
        ("12", "345/A", "3", None, True), ("allegato B", "vedi planimetria", None, "U", False), ("12", "346", None, None, False),
    ]  # fmt: skip
    assert [(o.causale, o.importo, o.pagato) for o in read.oneri] == [("Diritti di segreteria", 5165, False), ("Bolli", 1600, False)]
    assert [d.sha256 for d in read.documenti] == [PIANTA.sha256]
    assert [m.tipo for m in read.movimenti] == ["APERTURA"]
    assert str(read.protocollo.data) == "2026-03-02"


def test_the_primary_parcel_stands_in_both_tables(office, database):
    answer = opened(office)
    where = '"IDCOMUNE" = :comune'
    [istanza] = rows(database, f'SELECT "FOGLIO", "PARTICELLA", "CODICECATASTO" FROM istanze WHERE {where}', comune=office.settings.comune)
    primary = f'SELECT "FOGLIO", "PARTICELLA", "CODICECATASTO" FROM istanzemappali WHERE {where} AND "PRIMARIO" = 1'
    assert rows(database, primary, comune=office.settings.comune) == [istanza]
    assert answer.pratica == "1"


def test_two_municipalities_number_apart(url, office):
    other = Edilizia("edilizia", Edilizia.Settings(url=url, comune=f"T{unique()}"))
    assert (opened(office).pratica, opened(other).pratica, opened(office).pratica) == ("1", "1", "2")
    other.close()


def test_ids_given_by_the_offices_own_program_are_not_given_again(office, database):
    opened(office)
    execute(
        database,
        """INSERT INTO istanze ("IDCOMUNE", "CODICEISTANZA", "NUMEROISTANZA", "CODICEPROCEDIMENTO", "OGGETTO", "DATA", "CHIUSURA")
           VALUES (:comune, 40, '40', 'CILA', 'allo sportello', '2026-03-02', 'APERTA')""",
        comune=office.settings.comune,
    )
    assert opened(office).pratica == "41"


def test_used_up_ids_are_a_refusal_and_leave_nothing(office, database):
    execute(database, "INSERT INTO contatori VALUES (:comune, 'istanze', 999998, 0)", comune=office.settings.comune)
    assert opened(office).pratica == "999999"
    done = attempt(office, "apri-pratica", fresh(RICHIESTA))
    assert isinstance(done.error, Refused)
    assert done.error.outside_code == "NUMERAZIONE_ESAURITA"
    assert len(rows(database, 'SELECT 1 FROM istanze WHERE "IDCOMUNE" = :comune', comune=office.settings.comune)) == 1


@pytest.mark.parametrize("act", ["apri-pratica", "registra-pagamento", "annulla-pratica"])
def test_a_key_used_again_answers_the_same_and_refuses_other_content(office, act):
    if act == "apri-pratica":
        request = fresh(RICHIESTA)
        other = {**request, "oggetto": "altro"}
    elif act == "registra-pagamento":
        request = payment(opened(office).pratica)
        other = {**request, "importo": 1}
    else:
        request = opened(office).model_dump()
        other = opened(office).model_dump()
    key = a_key()
    first, _ = call(office, act, request, key=key)
    again, _ = call(office, act, request, key=key)
    assert again == first
    refused = attempt(office, act, other, key=key).error
    assert isinstance(refused, Refused)
    assert refused.outside_code == "CONTENUTO_DIVERSO"


def test_a_practice_is_found_again_by_our_uuid_where_what_we_did_is_not_noted_any_more(office, database):
    request, key = fresh(RICHIESTA), a_key()
    first, _ = call(office, "apri-pratica", request, key=key)
    mine = {"comune": office.settings.comune}
    execute(database, 'DELETE FROM snodo_operazioni WHERE "IDCOMUNE" = :comune', **mine)
    assert attempt(office, "apri-pratica", fresh(RICHIESTA), key=key).error.outside_code == "CONTENUTO_DIVERSO"
    assert [call(office, "apri-pratica", request, key=key)[0] for _ in range(2)] == [first, first]
    assert len(rows(database, 'SELECT 1 FROM istanze WHERE "IDCOMUNE" = :comune', **mine)) == 1


def test_a_payment_is_recorded_once_for_each_iuv_whatever_the_key(office):
    pratica = opened(office).pratica
    request = payment(pratica)
    first, _ = call(office, "registra-pagamento", request)
    again, _ = call(office, "registra-pagamento", request)
    assert first == again
    assert first.pagato
    read, _ = call(office, "leggi-pratica", {"pratica": pratica})
    assert [m.tipo for m in read.movimenti] == ["APERTURA", "PAGAMENTO"]
    assert {(o.pagato, o.iuv, str(o.data)) for o in read.oneri} == {(True, request["iuv"], "2026-03-05")}
    other = attempt(office, "registra-pagamento", {**request, "importo": 6766}).error
    assert isinstance(other, Refused)
    assert other.outside_code == "CONTENUTO_DIVERSO"


@pytest.mark.parametrize(
    ("importo", "code"),
    [(6764, "IMPORTO_DIVERSO"), (1, "IMPORTO_DIVERSO"), (99_999_999_999, "IMPORTO_DIVERSO")],
)
def test_an_amount_that_pays_no_fee_is_refused(office, importo, code):
    done = attempt(office, "registra-pagamento", payment(opened(office).pratica, importo=importo))
    assert isinstance(done.error, Refused)
    assert done.error.outside_code == code


def test_fees_may_be_paid_one_by_one(office):
    pratica = opened(office).pratica
    first, _ = call(office, "registra-pagamento", payment(pratica, importo=1600))
    second, _ = call(office, "registra-pagamento", payment(pratica, importo=5165))
    assert (first.pagato, second.pagato) == (False, True)
    third = attempt(office, "registra-pagamento", payment(pratica, importo=5165)).error
    assert isinstance(third, Refused)
    assert third.outside_code == "GIA_PAGATA"


def test_a_practice_without_fees_gets_the_one_that_was_paid(office):
    pratica = opened(office, oneri=None).pratica
    answer, _ = call(office, "registra-pagamento", payment(pratica, importo=1005))
    read, _ = call(office, "leggi-pratica", {"pratica": pratica})
    assert answer.pagato
    assert [(o.importo, o.pagato) for o in read.oneri] == [(1005, True)]


def test_a_cancelled_practice_takes_no_payment_and_is_cancelled_once(office):
    answer = opened(office)
    for _ in range(2):
        state, _ctx = call(office, "annulla-pratica", answer.model_dump())
        assert state.stato == "ANNULLATA"
    read, _ = call(office, "leggi-pratica", {"pratica": answer.pratica})
    assert [m.tipo for m in read.movimenti] == ["APERTURA", "ANNULLAMENTO"]
    refused = attempt(office, "registra-pagamento", payment(answer.pratica)).error
    assert refused.outside_code == "PRATICA_ANNULLATA"


def office_with(postgres, theirs, instead):
    """An office whose columns of one type are of another."""
    schema = f"altra{unique()}"
    base = Database(DatabaseSettings(url=postgres))
    base.script(f"CREATE SCHEMA {schema}", f"SET LOCAL search_path TO {schema}", SCHEMA.read_text().replace(theirs, instead))
    base.close()
    return Edilizia("edilizia", Edilizia.Settings(url=f"{postgres}?options=-csearch_path%3D{schema}", comune=f"T{unique()}"))


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz"])
def test_columns_of_moments_say_the_same_days(shared_postgres, kind):
    """A payment that came again under another key was one of another day, and a practice with an hour in it could not be read."""
    office = office_with(shared_postgres, " date", f" {kind}")
    answer, _ = call(office, "apri-pratica", fresh(RICHIESTA))
    paid = payment(answer.pratica)
    first, again = (call(office, "registra-pagamento", paid)[0] for _ in range(2))
    assert first == again
    at_ten = Database(office.settings)
    execute(
        at_ten, """UPDATE movimenti SET "DATA" = "DATA" + CAST('10 hours' AS interval) WHERE "IDCOMUNE" = :c""", c=office.settings.comune
    )
    at_ten.close()
    read, _ = call(office, "leggi-pratica", {"pratica": answer.pratica})
    office.close()
    assert (read.protocollo.data.isoformat(), read.oneri[0].data.isoformat()) == (RICHIESTA["protocollo"]["data"], paid["data"])


def test_columns_of_fixed_length_hold_the_same_texts_without_their_blanks(shared_postgres):
    office = office_with(shared_postgres, "varchar(", "char(")
    request, key = fresh(RICHIESTA), a_key()
    answer, _ = call(office, "apri-pratica", request, key=key)
    assert call(office, "apri-pratica", request, key=key)[0] == answer
    read, _ = call(office, "leggi-pratica", {"pratica": answer.pratica})
    assert (read.uuid, read.oggetto, read.richiedente.model_dump()) == (answer.uuid, request["oggetto"], request["richiedente"])
    paid = payment(answer.pratica)
    first, again = (call(office, "registra-pagamento", paid)[0] for _ in range(2))
    assert first == again
    for _ in range(2):
        assert call(office, "annulla-pratica", answer.model_dump())[0].stato == "ANNULLATA"
    refused = attempt(office, "registra-pagamento", payment(answer.pratica)).error
    office.close()
    assert refused.outside_code == "PRATICA_ANNULLATA"


def test_a_payment_that_the_office_noted_without_its_amount_is_the_same_payment(office, database):
    request = payment(opened(office).pratica)
    first, _ = call(office, "registra-pagamento", request)
    execute(database, 'UPDATE istanzeoneri SET "IMPORTOPAGATO" = NULL WHERE "IDCOMUNE" = :comune', comune=office.settings.comune)
    assert call(office, "registra-pagamento", request)[0] == first


FAILURES = [
    ("53100", Unreachable, InDoubt), ("40001", Unreachable, Unreachable), ("40P01", Unreachable, Unreachable), ("55P03", Unreachable, Unreachable),
    ("57P03", Unreachable, InDoubt), ("23503", Refused, Refused), ("P0001", Refused, Refused), ("XX000", Unreachable, InDoubt),
    ("40003", Unreachable, InDoubt),
]  # fmt: skip


@pytest.mark.parametrize("at_commit", [False, True])
@pytest.mark.parametrize(("state", "before", "later"), FAILURES)
def test_whatever_the_server_fails_with_nothing_stays_and_the_same_key_opens_one_practice(shared_postgres, state, before, later, at_commit):
    database, comune = Database(DatabaseSettings(url=shared_postgres)), f"T{unique()}"
    office = Edilizia("edilizia", Edilizia.Settings(url=shared_postgres, comune=comune))
    function, fires = f"guasto_{comune}", "AFTER INSERT" if at_commit else "BEFORE INSERT"
    database.script(
        f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION 'D''Amico' USING ERRCODE = '{state}'; END $$",
        f"CREATE {'CONSTRAINT' if at_commit else ''} TRIGGER {function} {fires} ON movimenti {'INITIALLY DEFERRED' if at_commit else ''} "
        f"""FOR EACH ROW WHEN (NEW."IDCOMUNE" = '{comune}') EXECUTE FUNCTION {function}()""",
    )
    request, key = fresh(RICHIESTA), a_key()
    error = attempt(office, "apri-pratica", request, key=key).error
    assert type(error) is (later if at_commit else before)
    assert "Amico" not in str(error)
    database.script(f"DROP FUNCTION {function} CASCADE")
    answer, _ = call(office, "apri-pratica", request, key=key)
    assert answer.pratica == "1"
    assert rows(database, 'SELECT "UUID" FROM istanze WHERE "IDCOMUNE" = :c', c=comune) == [{"UUID": uuid_of(key)}]
    office.close()
    database.close()


@pytest.mark.parametrize("act", ["leggi-pratica", "registra-pagamento", "annulla-pratica"])
def test_a_practice_that_is_not_there_is_refused(office, act):
    request = {"leggi-pratica": {"pratica": "77"}, "registra-pagamento": payment("77"), "annulla-pratica": {"pratica": "77", "uuid": "x"}}
    done = attempt(office, act, request[act])
    assert isinstance(done.error, Refused)
    assert done.error.outside_code == "NON_TROVATA"


def test_a_practice_is_not_cancelled_under_another_uuid(office):
    answer = opened(office)
    done = attempt(office, "annulla-pratica", {"pratica": answer.pratica, "uuid": "another"})
    assert isinstance(done.error, Refused)


def test_quotes_and_semicolons_are_text(office):
    text = "'); DROP TABLE istanze; --"
    answer = opened(office, oggetto=text)
    read, _ = call(office, "leggi-pratica", {"pratica": answer.pratica})
    assert read.oggetto == text


def test_the_evidence_is_json_and_error_sentences_quote_no_value(office):
    _, ctx = call(office, "apri-pratica", fresh(RICHIESTA))
    said = [json.loads(exchange.content) for exchange in ctx.exchanges]
    assert any("INSERT INTO istanzemappali" in one.get("sql", "") for one in said)
    assert said[-1] == {"committed": True}


def test_a_text_with_a_nul_is_held_whole_or_refused_never_cut(url, office):
    done = attempt(office, "apri-pratica", {**fresh(RICHIESTA), "oggetto": "a\x00b"})
    if url.startswith("sqlite"):
        assert call(office, "leggi-pratica", {"pratica": done.answer.pratica})[0].oggetto == "a\x00b"
        return
    assert isinstance(done.error, Refused)
    assert done.error.outside_code == "DATO_NON_VALIDO"
    assert "a\x00b" not in str(done.error)
