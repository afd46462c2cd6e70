"""Tables that somebody altered are told: by `bus doctor` in words, and at ``/status`` once something was refused for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from bus.errors import Changed, StoreError
from bus.store import Tx, migrate, shape, writer
from bus.store.opening import open_store
from bus.store.survey import survey


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    found = f"sqlite:///{tmp_path}/s.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    open_store(found).close()
    return found


def alter(url: str, *statements: str) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
            raw.executescript(";".join(statements))
    else:
        with psycopg.connect(url, autocommit=True) as admin:
            for statement in statements:
                admin.execute(statement.encode())


def differences(url: str) -> list[str]:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
            return shape.of_sqlite(raw)
    with psycopg.connect(url, row_factory=dict_row) as session:
        return shape.of_postgres(session)


def test_tables_are_as_they_were_made_in_a_new_database_and_in_one_that_was_migrated(url: str) -> None:
    assert differences(url) == []
    migrate.migrate(url, 1)
    migrate.migrate(url)
    assert differences(url) == []


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["ALTER TABLE lanes RENAME COLUMN path TO via"], ["lanes.path is not there", "lanes.via must be filled, and the bus does not know it"]),
        (["ALTER TABLE runs DROP COLUMN strikes"], ["runs.strikes is not there"]),
        (["ALTER TABLE intake_keys RENAME TO others"], ["intake_keys is not there"]),
        (["DROP VIEW traced"], ["traced is not there"]),
        (["ALTER TABLE lanes ADD COLUMN note TEXT", "ALTER TABLE lanes ADD COLUMN more TEXT NOT NULL DEFAULT ''"], []),
    ],
)  # fmt: skip
def test_what_is_no_more_is_named_and_what_harms_nobody_is_not(url: str, statements: list[str], said: list[str]) -> None:
    alter(url, *statements)
    assert differences(url) == said


OF_POSTGRESQL = {
    "ALTER TABLE messages ALTER reply TYPE varchar(5)": "messages.reply is character varying(5), not text",
    'CREATE COLLATION another FROM "C"; ALTER TABLE lanes ALTER path TYPE TEXT COLLATE another': "lanes.path is text COLLATE another, not text",
    "ALTER TABLE waits ALTER deadline TYPE timestamptz USING NULL": "waits.deadline is timestamp with time zone, not text",
    "ALTER TABLE runs ALTER reason SET NOT NULL": "runs.reason takes no NULL any more",
    "ALTER TABLE runs ALTER reason DROP NOT NULL, ALTER state DROP NOT NULL": "runs.state takes NULL",
    "ALTER TABLE records ALTER seq DROP IDENTITY": "records.seq is not filled by the database any more",
    "ALTER TABLE records DROP CONSTRAINT records_id_key": "records takes the same twice in id",
    "ALTER TABLE facets DROP CONSTRAINT facets_kind_place_type_key": "facets takes the same twice in kind, place, type",
    "ALTER TABLE messages ADD CONSTRAINT brief CHECK (length(type) < 9)": "messages has the constraint brief, which is not the bus's",
    "CREATE TRIGGER another BEFORE INSERT ON lanes EXECUTE FUNCTION records_are_append_only()":
        "lanes has the trigger another, which is not the bus's",
}  # fmt: skip
OF_SQLITE = {
    "DROP TABLE cases; CREATE TABLE cases (id TEXT PRIMARY KEY, opened INTEGER NOT NULL) WITHOUT ROWID": "cases.opened is INTEGER, not TEXT",
    "DROP TABLE facets; CREATE TABLE facets (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, place TEXT NOT NULL, type TEXT NOT NULL)":
        "facets takes the same twice in kind, place, type",
    "DROP TABLE cases; CREATE TABLE cases (id TEXT NOT NULL, opened TEXT NOT NULL)": "cases takes the same twice in id",
    "CREATE TRIGGER another BEFORE INSERT ON lanes BEGIN SELECT RAISE(ABORT, 'no'); END": "lanes has the trigger another, which is not the bus's",
}  # fmt: skip


@pytest.mark.parametrize(("statement", "said"), OF_POSTGRESQL.items())
def test_what_became_of_a_table_of_postgresql_is_named(postgresql_url: str, statement: str, said: str) -> None:
    open_store(postgresql_url).close()
    alter(postgresql_url, "DROP VIEW traced" if "messages ALTER" in statement else "SELECT 1", statement)
    assert [one for one in differences(postgresql_url) if "traced" not in one] == [said]


@pytest.mark.parametrize(("statement", "said"), OF_SQLITE.items())
def test_what_became_of_a_table_of_sqlite_is_named(tmp_path: Path, statement: str, said: str) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    open_store(url).close()
    alter(url, statement)
    assert differences(url) == [said]


def test_the_figures_of_a_table_that_was_altered_are_missed_and_the_others_are_there(url: str) -> None:
    alter(url, "ALTER TABLE runs RENAME COLUMN lease TO until_when")
    found = survey(url)
    assert found.altered == ["runs.lease is not there"]
    assert found.missed["expired_leases"].sentence == "the database is not as this program knows it: runs.lease is not there"
    assert found.figures["dead_by_reason"] == []


def mark(tx: Tx) -> None:
    tx.do("add_mark", name="a", value="b")


def lane(tx: Tx) -> None:
    tx.do("take_lane", name="fila", run="a", path="p")


REFUSED: list[tuple[Callable[[Tx], None], list[str], list[str]]] = [
    (mark, ["ALTER TABLE marks RENAME COLUMN value TO said"], ["ALTER TABLE marks RENAME COLUMN said TO value"]),
    (mark, ["ALTER TABLE marks RENAME TO others"], ["ALTER TABLE others RENAME TO marks"]),
    (
        lane,
        ["ALTER TABLE lanes RENAME TO kept", "CREATE TABLE lanes (name TEXT NOT NULL, run TEXT NOT NULL, path TEXT NOT NULL)"],
        ["DROP TABLE lanes", "ALTER TABLE kept RENAME TO lanes"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("work", "altered", "undone"), REFUSED)
def test_a_table_that_refuses_what_is_written_is_told_until_it_is_as_it_was(
    url: str, monkeypatch: pytest.MonkeyPatch, work: Callable[[Tx], None], altered: list[str], undone: list[str]
) -> None:
    """It is tried by a record, which has room: that alone proves nothing of other tables."""
    monkeypatch.setattr(writer, "AGAIN", 0.0)
    with closing(open_store(url)) as store:
        alter(url, *altered)
        assert store.failing() is None, "nothing was refused for it"
        with pytest.raises(Changed):
            store.write(work).result(60)
        assert {type(store.failing()) for _ in range(3)} == {Changed}
        store._writer._connection.failing = StoreError("the disk was full for a while")  # type: ignore[attr-defined]
        assert {type(store.failing()) for _ in range(2)} == {Changed}, "what failed for another reason says nothing of the tables"
        alter(url, *undone)
        assert store.failing() is None
        store.write(work).result(60)


def test_a_row_that_is_wrong_itself_says_nothing_of_the_tables(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "AGAIN", 0.0)
    with closing(open_store(url)) as store:
        with pytest.raises((sqlite3.IntegrityError, StoreError)):
            store.write(lambda tx: tx.many("set_sequence", [{"name": "a", "value": None}])).result(60)
        assert store.failing() is None


def test_what_somebody_put_upon_a_table_of_sqlite_is_no_mistake_of_ours(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    with closing(open_store(url)) as store:
        alter(url, "CREATE TRIGGER another BEFORE INSERT ON lanes BEGIN SELECT RAISE(ABORT, 'no'); END")
        with pytest.raises(Changed, match="not as this program knows it: no"):
            store.write(lane).result(60)
