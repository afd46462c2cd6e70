"""The room of SQLAlchemy: what each kind of failure is called, and the adapter ``sql`` described by settings alone."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack

import pytest
from pydantic import ValidationError
from sqlalchemy import make_url

from adapters.database import Database, DatabaseSettings, amount_of, cents_of
from adapters.sql import Sql
from bus.adapter import Refused, Unreachable
from bus.testing.adapter_contract import attempt, call, unique
from bus.testing.simulators import start
from tests.contract.proxy import Pooler

SCHEMA = """CREATE TABLE strade (codice integer PRIMARY KEY, nome varchar(20) NOT NULL, chiave varchar(64) UNIQUE);
INSERT INTO strade VALUES (1, 'Via Roma', 'a');
INSERT INTO strade VALUES (2, 'Via Pò', 'b')"""

CODE = {"type": "object", "properties": {"codice": {"type": "integer"}}, "required": ["codice"]}
STREET = {"type": "object", "properties": {"codice": {"type": "integer"}, "nome": {"type": "string"}}, "required": ["codice", "nome"]}
OPERATIONS = {
    "cerca-strada": {
        "effect": "read",
        "statements": ["SELECT codice, nome FROM strade WHERE codice = :codice"],
        "request": CODE,
        "answer": STREET,
    },
    "elenco-strade": {
        "effect": "read",
        "statements": ["SELECT codice, nome FROM strade ORDER BY codice"],
        "request": {"type": "object"},
        "answer": {"type": "object", "properties": {"strade": {"type": "array", "items": STREET}}, "required": ["strade"]},
        "list_field": "strade",
    },
    "aggiungi-strada": {
        "effect": "keyed",
        "statements": [
            "INSERT INTO strade (codice, nome, chiave) VALUES (:codice, :nome, :call_key) ON CONFLICT (chiave) DO NOTHING",
            "SELECT codice, nome FROM strade WHERE chiave = :call_key",
        ],
        "request": STREET,
        "answer": STREET,
    },
    "sbagliata": {"effect": "keyed", "statements": ["SELECT x FROM nessuna"], "request": CODE, "answer": CODE},
    "altra-forma": {
        "effect": "keyed",
        "statements": ["UPDATE strade SET nome = 'persa' WHERE codice = :codice", "SELECT nome FROM strade WHERE codice = :codice"],
        "request": CODE,
        "answer": CODE,
    },
}


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    with start("adapters.edilizia.simulator", tmp_path_factory.mktemp("sql")) as running:
        yield running.facts["database"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "postgresql":
        address = request.getfixturevalue("postgres")
        schema = f"s{unique()}"
        base = Database(DatabaseSettings(url=address))
        base.script(f"CREATE SCHEMA {schema}")
        base.close()
        address += f"?options=-csearch_path%3D{schema}"
    else:
        address = f"sqlite:///{tmp_path / 'strade.sqlite'}"
    base = Database(DatabaseSettings(url=address))
    base.script(SCHEMA)
    base.close()
    return address


@pytest.fixture
def streets(url):
    streets = Sql("strade", Sql.Settings.model_validate({"url": url, "operations": OPERATIONS}))
    yield streets
    streets.close()


def test_a_named_read_answers_its_row_or_refuses(streets):
    answer, _ = call(streets, "cerca-strada", {"codice": 2})
    assert answer.model_dump() == {"codice": 2, "nome": "Via Pò"}
    missing = attempt(streets, "cerca-strada", {"codice": 9})
    assert isinstance(missing.error, Refused)
    assert missing.error.outside_code == "NON_TROVATO"
    assert missing.error.outside_code in missing.operation.refusals


def test_a_named_read_may_answer_all_rows(streets):
    answer, _ = call(streets, "elenco-strade", {})
    assert [row.codice for row in answer.strade] == [1, 2]


def test_a_read_of_all_rows_always_has_its_list_and_refuses_nothing(streets):
    """Routes were asked what they do where there is no list, and with refusals that never come."""
    assert dict(streets.operations["elenco-strade"].refusals) == {}
    assert [*streets.operations["cerca-strada"].refusals] == ["NON_TROVATO"]
    one = {"effect": "read", "statements": ["SELECT 1 AS n"], "request": {"type": "object"}, "list_field": "righe"}
    rows = {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}}
    told = Sql("x", Sql.Settings.model_validate(settings_of(one, {"righe": rows})))
    assert told.operations["una"].answer.model_json_schema()["required"] == ["righe"]


def test_a_list_that_the_answer_does_not_have_is_told():
    """All rows went nowhere, and the list that was declared was null for ever."""
    one = {"effect": "read", "statements": ["SELECT 1 AS n"], "request": {"type": "object"}, "list_field": "righe"}
    for properties in ({"strade": {"type": "array"}}, {"righe": {"type": "string"}}):
        streets = Sql("x", Sql.Settings.model_validate(settings_of(one, properties)))
        assert list(streets.check()) == ["operations.una.list_field: no list righe is said under `answer`"]


def settings_of(one, properties):
    return {"url": "sqlite:///x", "operations": {"una": {**one, "answer": {"type": "object", "properties": properties}}}}


def test_a_keyed_statement_takes_our_key_and_leaves_one_row(streets):
    key = f"{3:064x}"
    first, _ = call(streets, "aggiungi-strada", {"codice": 3, "nome": "Via Verdi"}, key=key)
    again, _ = call(streets, "aggiungi-strada", {"codice": 3, "nome": "Via Verdi"}, key=key)
    everything, _ = call(streets, "elenco-strade", {})
    assert first == again
    assert len(everything.strade) == 3


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("aggiungi-strada", {"codice": 1, "nome": "doppia"}, "VINCOLO"),
        ("sbagliata", {"codice": 1}, "NON_ESEGUIBILE"),
        ("altra-forma", {"codice": 1}, "NON_ESEGUIBILE"),
    ],
)
def test_what_the_database_refuses_has_a_declared_code_and_leaves_nothing(streets, operation, request_, code):
    done = attempt(streets, operation, request_)
    assert isinstance(done.error, Refused)
    assert done.error.outside_code == code
    assert code in done.operation.refusals
    answer, _ = call(streets, "cerca-strada", {"codice": 1})
    assert answer.nome == "Via Roma"


def test_a_row_that_another_holds_is_unreachable_within_the_timeout(url, streets):
    other = Database(DatabaseSettings(url=url))
    held, enough = threading.Event(), threading.Event()

    def hold():
        with other.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if other.is_sqlite else "BEGIN")
            connection.exec_driver_sql("UPDATE strade SET nome = 'tenuta' WHERE codice = 1")
            held.set()
            enough.wait(100)
            connection.rollback()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    begun = time.monotonic()
    done = attempt(streets, "altra-forma", {"codice": 1}, timeout=0.3)
    enough.set()
    holder.join(60)
    other.close()
    assert isinstance(done.error, Unreachable)
    assert time.monotonic() - begun < 30


def test_a_script_that_fails_leaves_nothing(url):
    base = Database(DatabaseSettings(url=url))
    with pytest.raises(Exception, match="non_esiste"):
        base.script("CREATE TABLE a_meta (codice integer)", "INSERT INTO non_esiste VALUES (1)")
    with base.engine.connect() as connection, pytest.raises(Exception, match="a_meta"):
        connection.exec_driver_sql("SELECT codice FROM a_meta")
    base.close()


def test_a_pool_that_is_taken_is_unreachable_within_the_timeout(url):
    small = Sql("strade", Sql.Settings.model_validate({"url": url, "pool": 1, "operations": OPERATIONS}))
    with small._database._seats:
        begun = time.monotonic()
        done = attempt(small, "cerca-strada", {"codice": 1}, timeout=0.2)
    assert isinstance(done.error, Unreachable)
    assert time.monotonic() - begun < 30
    answer, _ = call(small, "cerca-strada", {"codice": 1})
    assert answer.nome == "Via Roma"
    small.close()


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("codice = :codcie", ["operations.x: a statement names :codcie, and the request has no such field"]),
        ("codice = :codice::int", ["operations.x: :codice:: is not read as a parameter: write CAST(:codice AS …)"]),
        ("chiave = :call_key AND codice = CAST(:codice AS int) AND '10:30'::text <> ''", []),
    ],
)
def test_a_parameter_that_would_not_be_given_is_found_before_anything_is_asked(url, condition, said):
    operations = {"x": {**OPERATIONS["cerca-strada"], "statements": [f"SELECT codice, nome FROM strade WHERE {condition}"]}}
    streets = Sql("strade", Sql.Settings.model_validate({"url": url, "operations": operations}))
    assert list(streets.check()) == said
    streets.close()


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("commit", 1),
        (" START  TRANSACTION", 1),
        ("Rollback;", 1),
        ("-- fine\n/* di\ntutto */ COMMIT", 1),
        ("SELECT 'COMMIT' AS endpoint", 0),
        ("-- prima del\n-- COMMIT\nSELECT 1", 0),
    ],
)
def test_a_statement_that_would_end_the_transaction_is_found_before_anything_is_asked(url, statement, found):
    operations = {"x": {**OPERATIONS["cerca-strada"], "statements": [statement, *OPERATIONS["cerca-strada"]["statements"]]}}
    streets = Sql("strade", Sql.Settings.model_validate({"url": url, "operations": operations}))
    assert [one.partition(" already")[0] for one in streets.check()] == ["operations.x: all its statements are one transaction"] * found
    streets.close()


def test_a_copy_is_found_before_anything_is_asked(url):
    copy = "-- tutte\n copy strade TO STDOUT"
    operations = {"x": {**OPERATIONS["cerca-strada"], "statements": [copy]}}
    streets = Sql("strade", Sql.Settings.model_validate({"url": url, "operations": operations}))
    assert list(streets.check()) == ["operations.x: COPY gives no rows and takes none: write SELECT or INSERT"]
    streets.close()


def test_why_there_is_no_connection_is_told_and_stands_in_the_evidence(url):
    absent = url.replace("edilizia@", "nessuno@").replace("strade.sqlite", "assente/strade.sqlite")
    streets = Sql("strade", Sql.Settings.model_validate({"url": absent, "operations": OPERATIONS}))
    done = attempt(streets, "aggiungi-strada", {"codice": 3, "nome": "Via Dante"})
    streets.close()
    assert isinstance(done.error, Unreachable)
    _, _, why = done.error.sentence.partition("and nothing was asked: ")
    assert done.error.cause == why
    assert 'role "nessuno" does not exist' in why or why == "unable to open database file"
    assert b'role \\"nessuno\\" does not exist' in done.wire or b"unable to open database file" in done.wire


def test_a_text_of_fixed_length_comes_without_the_blanks_that_fill_it(url):
    stato = {"type": "object", "properties": {"stato": {"type": "string"}, "nome": {"type": "string"}}}
    asked = {
        "effect": "read",
        "statements": ["SELECT CAST('S' AS char(5)) AS stato, ' a  ' AS nome"],
        "request": {"type": "object"},
        "answer": stato,
    }
    streets = Sql("strade", Sql.Settings.model_validate({"url": url, "operations": {"stato": asked}}))
    answer, _ = call(streets, "stato", {})
    streets.close()
    assert (answer.stato, answer.nome) == ("S", " a  ")


def asked_one(url, statement, fields, request_, effect="keyed", **answer):
    shape = {"type": "object", "properties": {name: {"type": kind} for name, kind in fields.items()}}
    told = {"type": "object", "properties": {name: {"type": kind} for name, kind in answer.items()}}
    one = {"effect": effect, "statements": [statement], "request": shape, "answer": told}
    streets = Sql("strade", Sql.Settings.model_validate({"url": url, "operations": {"una": one}}))
    done = attempt(streets, "una", request_)
    streets.close()
    return done


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_list_that_a_statement_takes_as_json_comes_as_such(url):
    given, lists = {"v": [1, "x", None], "w": ["a"]}, {"v": "array", "w": "array"}
    assert asked_one(url, "SELECT cast ( :v as JSONB ) AS v, CAST(:w AS text[]) AS w", lists, given, **lists).answer.model_dump() == given


def test_an_object_or_a_list_of_them_reaches_a_statement_as_json(url):
    """The driver takes none, so that every call was refused; what comes out of a column of JSON could not go into one."""
    thing = {"type": "object", "properties": {"via": {"type": "string"}, "cap": {"type": "string"}}, "required": ["via"]}
    fields = {"una": thing, "altra": {"type": "object"}, "molte": {"type": "array", "items": thing}}
    one = {
        "effect": "read", "statements": ["SELECT CAST(:una AS text) AS una, CAST(:altra AS text) AS altra, CAST(:molte AS text) AS molte"],
        "request": {"type": "object", "properties": fields},
        "answer": {"type": "object", "properties": {name: {"type": "string"} for name in fields}},
    }  # fmt: skip
    streets = Sql("strade", Sql.Settings.model_validate({"url": url, "operations": {"una": one}}))
    answer, _ = call(streets, "una", {"una": {"via": "Pò"}, "altra": {"n": [1]}, "molte": [{"via": "Roma"}]})
    none, _ = call(streets, "una", {"una": {"via": "Pò"}, "altra": {}, "molte": []})
    streets.close()
    assert answer.model_dump() == {"una": '{"via":"Pò"}', "altra": '{"n":[1]}', "molte": '[{"via":"Roma"}]'}
    assert (none.altra, none.molte) == ("{}", "[]")


def test_a_list_reaches_a_statement_as_its_database_takes_lists(url):
    item = "value FROM json_each(:codici)" if url.startswith("sqlite") else "i AS value FROM unnest(CAST(:codici AS integer[])) AS i"
    one = {
        "effect": "read", "statements": [f"SELECT {item}"], "list_field": "righe",
        "request": {"type": "object", "properties": {"codici": {"type": "array", "items": {"type": "integer"}}}},
        "answer": {
            "type": "object",
            "properties": {"righe": {"type": "array", "items": {"type": "object", "properties": {"value": {"type": "integer"}}}}},
        },
    }  # fmt: skip
    streets = Sql("strade", Sql.Settings.model_validate({"url": url, "operations": {"una": one}}))
    answer, _ = call(streets, "una", {"codici": [3, 5]})
    streets.close()
    assert answer.model_dump() == {"righe": [{"value": 3}, {"value": 5}]}


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_ranges_come_as_the_database_writes_them_and_rows_as_lists(url):
    """They came as Python writes them: `[2026-01-01, None)`."""
    statement = """SELECT daterange('2026-01-01', NULL) AS validita, '{[1,3),[5,7)}'::int4multirange AS numeri, ROW('a', 2) AS riga,
        ARRAY['S'::char(5)] AS stati, ARRAY[int4range(1, 3)] AS tratti"""
    done = asked_one(
        url, statement.replace(":", "\\:"), {}, {}, validita="string", numeri="string", riga="array", stati="array", tratti="array"
    )
    wanted = {"validita": "[2026-01-01,)", "numeri": "{[1,3),[5,7)}", "riga": ["a", "2"], "stati": ["S"], "tratti": ["[1,3)"]}
    assert done.answer.model_dump() == wanted


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_lists_and_objects_come_as_they_are_and_what_is_no_number_as_null(url):
    statement = """SELECT '{"a": [1, true, null]}'::jsonb AS o, ARRAY['x', 'y'] AS l, ARRAY[1.50, 2] AS m, 'NaN'::float8 AS f, 'Infinity'::numeric AS g"""
    done = asked_one(url, statement.replace(":", "\\:"), {}, {}, o="object", l="array", m="array", f="number", g="number")
    assert done.answer.model_dump() == {"o": {"a": [1, True, None]}, "l": ["x", "y"], "m": ["1.50", 2], "f": None, "g": None}


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("n", ["12", "12.50"])
def test_numbers_are_texts_where_the_answer_has_texts_whatever_they_are(url, n):
    statement = f"SELECT CAST({n} AS numeric) AS a, CAST(0.5 AS real) AS b, CAST({n} AS numeric) AS c"
    done = asked_one(url, statement, {}, {}, a="string", b="string", c="number")
    assert done.answer.model_dump() == {"a": n, "b": "0.5", "c": float(n)}


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("45000", "RIFIUTATO"), ("UE001", "RIFIUTATO"), ("P0001", "RIFIUTATO"), ("0A000", "NON_ESEGUIBILE"), ("3F000", "NON_ESEGUIBILE"),
        ("42501", "NON_ESEGUIBILE"),
    ],
)  # fmt: skip
def test_what_a_rule_in_the_database_raises_is_a_refusal_whatever_code_it_chose(url, state, code):
    rule = f"DO $$ BEGIN RAISE EXCEPTION 'La pratica è chiusa' USING ERRCODE = '{state}'; END $$".replace(":", "\\:")
    done = asked_one(url, rule, {}, {})
    assert isinstance(done.error, Refused)
    assert done.error.locked_out == (state == "42501")  # the user has no right to it
    assert (done.error.outside_code, done.error.evidence) == (code, {"sqlstate": state})


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("state", ["40001", "53300", "57P01", "25006", "XX000"])
def test_what_speaks_of_the_server_alone_is_tried_again(url, state):
    done = asked_one(url, f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$", {}, {})
    assert isinstance(done.error, Unreachable)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_decimal_beyond_what_a_float_holds_comes_as_it_is(url):
    done = asked_one(url, "SELECT 1e400 + 0.5 AS n", {}, {}, n="string")
    assert done.answer.n == f"1{'0' * 400}.5"


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_whole_number_beyond_64_bits_is_text_and_undoes_what_nobody_could_use(url):
    """No record holds it as a number: the transaction was over when that was seen, and its effect in doubt for a person."""
    twenty = "92233720368547758070"
    statement = f"SELECT {twenty} AS n, jsonb_build_object('n', {twenty}) AS o, 9223372036854775807 AS m"
    done = asked_one(url, statement, {}, {}, n="string", o="object", m="integer")
    assert done.answer.model_dump() == {"n": twenty, "o": {"n": twenty}, "m": 2**63 - 1}
    refused = asked_one(url, f"INSERT INTO strade VALUES (9, 'Via Lunga') RETURNING {twenty} AS n", {}, {}, n="integer")
    assert (type(refused.error), refused.error.outside_code) == (Refused, "NON_ESEGUIBILE")
    assert asked_one(url, "SELECT count(*) AS n FROM strade", {}, {}, n="integer").answer.n == 2


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("'infinity'::timestamptz", "infinity"), ("'-infinity'::date", "-infinity"), ("'0044-03-15 BC'::date", "0044-03-15 BC"),
        ("'24:00'::time", "24:00:00"), ("'1 year 1 month -2 days'::interval", "1 year 1 mon -2 days"),
        ("'-1 hour'::interval", "-01:00:00"), ("'1 day 2 hours'::interval", "1 day 02:00:00"), ("'2026-03-29'::date", "2026-03-29"), ("'2026-03-29 02:30'::timestamp", "2026-03-29T02:30:00"),
    ],
)  # fmt: skip
def test_a_moment_that_python_has_not_comes_as_postgres_writes_it(url, value, said):
    statement = f"SELECT {value} AS m, ARRAY[{value}] AS l".replace(":", "\\:")
    done = asked_one(url, statement, {}, {}, m="string", l="array")
    assert done.answer.model_dump() == {"m": said, "l": [said]}


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("style", ["-cdatestyle%3DSQL,DMY", "-cintervalstyle%3Diso_8601"])
def test_however_a_database_writes_dates_they_are_read(url, style):
    statement = "SELECT CAST('2026-03-29' AS timestamptz) AS m, CAST('1 day' AS interval) AS i"
    done = asked_one(f"{url.partition('?')[0]}?options={style}", statement, {}, {}, m="string", i="string")
    assert (done.answer.m[:10], done.answer.i) == ("2026-03-29", "1 day")


OF_ONE = {"type": "object", "properties": {"t": {"type": "string"}}}
KEPT = {
    "effect": "keyed", "statements": ["UPDATE vie SET t = t RETURNING t"], "request": {"type": "object"}, "answer": OF_ONE,
}  # fmt: skip


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_column_that_changes_under_a_prepared_statement_is_no_refusal(url):
    """The vendor widens a column at night; psycopg prepares what it has sent five times."""
    database = Database(DatabaseSettings(url=url))
    database.script("DROP TABLE IF EXISTS vie; CREATE TABLE vie (t varchar(20)); INSERT INTO vie VALUES ('Via Roma')")
    vie = Sql("vie", Sql.Settings.model_validate({"url": url, "pool": 1, "operations": {"venti": KEPT}}))
    for _ in range(7):
        call(vie, "venti", {})
    database.script("ALTER TABLE vie ALTER COLUMN t TYPE varchar(50)")
    first, second = (attempt(vie, "venti", {}) for _ in range(2))
    vie.close()
    database.close()
    assert (type(first.error), first.error.outside_code) == (Unreachable, "0A000")
    assert second.answer.t == "Via Roma"


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_connection_to_a_server_that_is_the_primary_no_more_is_left(url):
    address = url.partition("?")[0]
    database = Database(DatabaseSettings(url=address))
    name = address.rpartition("/")[2]
    database.script("DROP TABLE IF EXISTS vie; CREATE TABLE vie (t varchar(20)); INSERT INTO vie VALUES ('Via Roma')")
    database.script(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    vie = Sql("vie", Sql.Settings.model_validate({"url": address, "pool": 1, "operations": {"venti": KEPT}}))
    first = attempt(vie, "venti", {})
    with database.engine.connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = off")
        connection.exec_driver_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    second = attempt(vie, "venti", {})
    vie.close()
    database.close()
    assert (type(first.error), first.error.outside_code) == (Unreachable, "25006")
    assert second.answer.t == "Via Roma"


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_statement_that_a_pooler_has_lent_to_another_is_no_refusal(url):
    statement = "SELECT CAST('x' AS text) AS t"
    taken = {
        "effect": "keyed",
        "statements": [f"PREPARE doppia AS {statement}; PREPARE doppia AS {statement}", statement],
        "request": {"type": "object"},
        "answer": OF_ONE,
    }
    vie = Sql("vie", Sql.Settings.model_validate({"url": url, "operations": {"doppia": taken}}))
    done = attempt(vie, "doppia", {})
    vie.close()
    assert (type(done.error), done.error.outside_code) == (Unreachable, "42P05")


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_nothing_is_prepared_in_a_session_that_a_pooler_lends(url):
    """PgBouncer gave the next client a session in which our names stood for his statements, and his for ours: the wrong ones were run."""
    port = make_url(url).port
    with Pooler(port) as pooler:
        for through, prepared in ((pooler.port, False), (port, True)):
            streets = Sql(
                "strade",
                Sql.Settings.model_validate({"url": url.replace(f":{port}/", f":{through}/"), "pool": 1, "operations": OPERATIONS}),
            )
            found = [call(streets, "cerca-strada", {"codice": 2})[0].nome for _ in range(8)]
            with streets._database.engine.connect() as connection:
                [names] = connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").one()
            streets.close()
            assert (set(found), names > 0) == ({"Via Pò"}, prepared)


@pytest.fixture
def database_in(postgres):
    """The address of a new database in an encoding."""

    def made(encoding):
        base, name = Database(DatabaseSettings(url=postgres)), f"d{unique()}"
        with base.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        base.close()
        return f"{postgres.rpartition('/')[0]}/{name}"

    return made


@pytest.mark.parametrize(
    ("encoding", "text", "taken"),
    [("SQL_ASCII", "Via Pò", True), ("LATIN1", "Via Pò", True), ("LATIN1", "Via dell’Orto", False), ("WIN1252", "Via dell’Orto", True)],
)
def test_a_text_that_the_encoding_of_a_database_cannot_say_is_refused_and_another_comes_back_as_it_was(database_in, encoding, text, taken):
    statement = "SELECT x AS t FROM (SELECT CAST(:x AS text) AS x) one"
    done = asked_one(database_in(encoding), statement, {"x": "string"}, {"x": text}, t="string")
    assert (done.answer and done.answer.t) == (text if taken else None)
    assert taken or (type(done.error), done.error.outside_code) == (Refused, "DATO_NON_VALIDO")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_text_in_another_encoding_is_told_by_the_code_that_postgres_has_for_it(url):
    operations = {
        effect: {
            "effect": effect,
            "statements": ["SELECT CAST(x'50f2' AS text) AS t"],
            "request": {"type": "object"},
            "answer": {"type": "object"},
        }
        for effect in ("read", "keyed")
    }
    streets = Sql("strade", Sql.Settings.model_validate({"url": url, "operations": operations}))
    read, keyed = (attempt(streets, effect, {}).error for effect in operations)
    streets.close()
    assert (type(read), read.outside_code, read.sentence) == (Unreachable, "22021", "read: OperationalError, SQLSTATE 22021")
    assert (type(keyed), keyed.outside_code) == (Refused, "DATO_NON_VALIDO")


def test_half_a_character_is_refused_and_does_not_count_as_silence_in_a_read(url):
    for effect, told in (("keyed", (Refused, "DATO_NON_VALIDO")), ("read", (Unreachable, "22021"))):
        done = asked_one(url, "SELECT CAST(:x AS text) AS t", {"x": "string"}, {"x": "a\ud800"}, effect, t="string")
        assert (type(done.error), done.error.outside_code) == told


def test_a_number_larger_than_any_column_is_refused(url):
    done = asked_one(url, "SELECT nome FROM strade WHERE codice = :codice", {"codice": "integer"}, {"codice": 2**64 - 1}, nome="string")
    assert isinstance(done.error, Refused)
    assert done.error.outside_code == ("DATO_NON_VALIDO" if url.startswith("sqlite") else "NON_TROVATO")


def test_a_last_statement_without_rows_is_refused_and_leaves_nothing(url, streets):
    done = asked_one(url, "UPDATE strade SET nome = 'persa' WHERE codice = :codice", {"codice": "integer"}, {"codice": 1})
    assert (type(done.error), done.error.outside_code) == (Refused, "NON_ESEGUIBILE")
    answer, _ = call(streets, "cerca-strada", {"codice": 1})
    assert answer.nome == "Via Roma"


def test_two_columns_of_one_name_are_refused_as_a_row_would_lose_one(url):
    statement = "SELECT a.nome, b.nome FROM strade a JOIN strade b ON b.codice = 2 WHERE a.codice = :codice"
    done = asked_one(url, statement, {"codice": "integer"}, {"codice": 1}, nome="string")
    assert (type(done.error), done.error.outside_code) == (Refused, "NON_ESEGUIBILE")
    assert "two columns are called 'nome'" in done.error.sentence
    named = asked_one(
        url, statement.replace("b.nome", "b.nome AS altro"), {"codice": "integer"}, {"codice": 1}, nome="string", altro="string"
    )
    assert named.answer.model_dump() == {"nome": "Via Roma", "altro": "Via Pò"}


def test_a_read_cannot_write(url):
    declared = {**OPERATIONS["altra-forma"], "effect": "read"}
    streets = Sql("strade", Sql.Settings.model_validate({"url": url, "operations": {"finta": declared}}))
    assert isinstance(attempt(streets, "finta", {"codice": 1}).error, Unreachable)
    streets.close()


def test_an_address_of_another_kind_of_database_is_a_finding_of_the_settings():
    with pytest.raises(ValidationError):
        DatabaseSettings(url="mysql://x")


@pytest.mark.parametrize("port", ["54x2", "70000", "0", "5432,db2:5432"])
def test_an_address_whose_port_is_none_is_refused_where_it_is_written(port):
    with pytest.raises(ValidationError, match="a number from 1 to 65535"):
        DatabaseSettings(url=f"postgresql+psycopg://u:p@db.comune.example:{port}/x")


def test_hosts_that_are_silent_share_the_time_of_the_call():
    """A primary and its standbys, all behind a line that is down: each was waited for as long as for one."""
    with ExitStack() as kept:
        silent = [kept.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        hosts = "&".join(f"host=127.0.0.1:{one.getsockname()[1]}" for one in silent)
        told = {"url": f"postgresql+psycopg://u@/x?{hosts}", "connect_timeout": 6.0, "operations": {"venti": KEPT}}
        vie = Sql("vie", Sql.Settings.model_validate(told))
        done = attempt(vie, "venti", {}, timeout=6.0)
        vie.close()
    assert isinstance(done.error, Unreachable)
    assert done.seconds < 16, "six seconds for each would be eighteen"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u:p#w/?:1@db:5432/x", "postgresql+psycopg://u@[::1]:5432/x", "postgresql+psycopg://u@db/x?host=a:1&host=b:2", "sqlite:///x.db",
        "sqlite://", "sqlite:////var/x.db", "postgresql+psycopg:///x?host=/run/postgresql", "postgresql+psycopg://u@:5433/x",
    ],
)  # fmt: skip
def test_an_address_that_sqlalchemy_reads_is_taken(url):
    from sqlalchemy import make_url

    assert make_url(url).port in (None, 5432, 5433)
    assert DatabaseSettings(url=url).url == url


@pytest.mark.parametrize(("cents", "text"), [(0, "0.00"), (5, "0.05"), (1600, "16.00"), (-250, "-2.50"), (99_999_999_999, "999999999.99")])
def test_cents_and_decimals_are_each_others_inverse(cents, text):
    assert amount_of(cents) == text
    assert cents_of(text) == cents
    assert cents_of(float(text)) == cents
