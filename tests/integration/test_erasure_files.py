"""The erasure of a person takes the files that came with it, and spares those of others."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import io
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bus.adapter import Adapter, Call, Contract, operation
from bus.cli import main
from bus.engine import erasure, verify_names
from bus.errors import Erased
from bus.log import log, stream
from bus.log.keyring import BLOCK
from bus.log.payload import key_number
from bus.store.sqlite import SqliteConnection
from tests.files import put
from tests.integration.auditing import change
from tests.integration.erasing import NAME, OTHER, WHO, asked, confirmed, greet, scanned, sent, two_sysadmins, uploaded
from tests.projections import told_otherwise
from tests.small_bus import Caller, key_of, running, wait_reply


def later(server, monkeypatch, hours: float) -> None:
    moment = server.app.clock.now() + dt.timedelta(hours=hours)
    monkeypatch.setattr(server.app.clock, "now", lambda: moment)


def test_a_file_of_two_persons_stays_with_the_second_and_forgets_the_name_that_the_first_gave_it(tmp_path):
    with running(tmp_path, keys=two_sysadmins()) as server:
        call, content = Caller(server.port), b"una delibera che molti allegano"
        file = uploaded(server, "Quaranta.txt", content)
        greet(server, NAME, WHO, attachments=[file])
        assert uploaded(server, "Quaranta.txt", content, "altro") == uploaded(server, "delibera.txt", content) == file
        kept = greet(server, "Mario", OTHER, attachments=[file])
        done = confirmed(server, asked(server).json["id"])
        assert (done.status, done.json["files"]) == (200, 0)
        got = call("GET", f"/attachments/{file}")
        assert (got.status, got.content) == (200, content)
        assert "Quaranta" not in str(got.headers)
        assert call("GET", f"/messages/{kept}").json["reply"] == {"saluto": "ciao Mario"}
        with server.app.store.read() as tx:
            names = []
            for row in tx.all("payloads_after", after="", most=1000):
                with contextlib.suppress(Erased):
                    names.append(log.payload(tx, row["id"]))
            assert not any(b"Quaranta" in name for name in names)
        assert told_otherwise(server.app.store) == {}
        done = confirmed(server, asked(server, OTHER).json["id"])
        assert (done.status, done.json["files"]) == (200, 1)
        assert call("GET", f"/attachments/{file}").status == 404


def spoil_text(folder: Path, word: str, nonce: bytes) -> Callable[[], object]:
    """Change a text; returns what undoes it."""
    with closing(sqlite3.connect(folder / "var/snodo.db")) as raw:
        [(content,)] = raw.execute("SELECT content FROM payloads WHERE id = ?", (word,)).fetchall()
    change(folder / "var/snodo.db", "UPDATE payloads SET content = zeroblob(length(content)) WHERE id = ?", word)
    return lambda: change(folder / "var/snodo.db", "UPDATE payloads SET content = ? WHERE id = ?", content, word)


def lose_key(folder: Path, word: str, nonce: bytes) -> Callable[[], object]:
    """Take away the key of a text, with those that were made beside it; returns what undoes it."""
    block = folder / f"var/keys/1/{(key_number(nonce) or 0) // BLOCK}.keys"
    block.rename(folder / block.name)
    return lambda: (folder / block.name).rename(block)


@pytest.mark.parametrize("spoil", [spoil_text, lose_key])
def test_a_person_is_erased_although_nobody_can_open_what_was_told_of_a_shared_file_and_a_backup_does_not_bring_it_back(tmp_path, spoil):
    with running(tmp_path, keys=two_sysadmins()) as server:
        file = uploaded(server, "Quaranta.txt", b"una delibera che molti allegano")
        greet(server, NAME, WHO, attachments=[file])
        greet(server, "Mario", OTHER, attachments=[file])
    with closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
        [(word, nonce)] = raw.execute("SELECT id, nonce FROM payloads WHERE id IN (SELECT payload FROM attachments)").fetchall()
    restore = spoil(tmp_path, word, nonce)
    with running(tmp_path, keys=two_sysadmins()) as server:
        done = confirmed(server, asked(server).json["id"])
        assert (done.status, done.json["files"]) == (200, 0)
    restore()
    with running(tmp_path, keys=two_sysadmins()) as server, server.app.store.read() as tx, pytest.raises(Erased):
        log.payload(tx, word)


RELEASES = """
route: prova.rilascia
version: 1
owner: prove@comune.example
purpose: a system gives a file
on: prova.orfano
case: {istanza: body.nome}
steps:
  - id: rilascia
    call: archivio.rilascia
    with: {nome: body.nome}
    as: rilasciato
  - id: rispondi
    reply: {file: rilasciato.file}
"""


class Richiesta(Contract):
    nome: str


class Rilasciato(Contract):
    file: str


class Archivio(Adapter):
    """Gives for everybody a file that names them, and one that is the same for all."""

    @operation(effect="read", timeout=5.0)
    def rilascia(self, request: Richiesta, ctx: Call) -> Rilasciato:
        assert ctx.save_attachment is not None
        ctx.save_attachment(io.BytesIO(b"informativa per tutti"), "text/plain", "informativa.txt")
        content = f"si certifica che {request.nome}".encode()
        return Rilasciato(file=ctx.save_attachment(io.BytesIO(content), "application/pdf", f"{request.nome}.pdf").sha256)


def test_what_a_system_gave_for_a_message_is_erased_with_it_and_stays_with_others(tmp_path, capsys):
    put(tmp_path, {"routes/prova/rilascia.yaml": RELEASES})
    with running(tmp_path, adapters={"archivio": Archivio("archivio", None)}, keys=two_sysadmins()) as server:
        messages = [sent(server, "prova.orfano", {"nome": name, "numero": who}) for name, who in ((NAME, WHO), ("Mario", OTHER))]
        mine, another = [wait_reply(server.app, message, 60)["reply"]["file"] for message in messages]
        request = asked(server).json
        assert (request["messages"], request["files"]) == (1, 1)
        assert verify_names.compare(server.app.store.read) == 2
        assert confirmed(server, request["id"]).status == 200
        call, shared = Caller(server.port), hashlib.sha256(b"informativa per tutti").hexdigest()
        assert [call("GET", f"/attachments/{file}").status for file in (mine, another, shared)] == [404, 200, 200]
        assert scanned(tmp_path) == []
        assert verify_names.compare(server.app.store.read) == 2
        assert told_otherwise(server.app.store) == {}
    assert main(["log", "verify", "--config", str(tmp_path / "config.yaml"), "--names"]) == 0, capsys.readouterr()


def test_what_a_system_gives_when_its_message_is_erased_already_is_not_kept(office, tmp_path):
    message = greet(office, "Ugo", WHO)
    assert confirmed(office, asked(office).json["id"]).status == 200
    before = {path for path in (tmp_path / "var/attachments").rglob("*") if path.is_file()}
    with pytest.raises(Erased):
        office.app.attachments.save(io.BytesIO(f"certificato di {NAME}".encode()), "application/pdf", "c.pdf", "portale", message)
    assert {path for path in (tmp_path / "var/attachments").rglob("*") if path.is_file()} == before


def test_of_all_files_of_a_person_the_database_is_asked_at_once(office, monkeypatch):
    """Nobody else writes meanwhile."""
    greet(office, NAME, WHO, attachments=[uploaded(office, f"{n}.txt", f"allegato {n}".encode()) for n in range(3)])
    request, queries, asks = asked(office).json["id"], [], SqliteConnection.all
    monkeypatch.setattr(SqliteConnection, "all", lambda tx, query, **given: (queries.append(query), asks(tx, query, **given))[1])
    assert confirmed(office, request).json["files"] == 3
    assert {"enclosures_of_file", "attachments_of_file"}.isdisjoint(queries)


def test_a_file_that_somebody_just_sent_again_is_not_destroyed_with_the_first_person(office, monkeypatch):
    content = b"la stessa scansione"
    file = uploaded(office, "a.txt", content)
    greet(office, NAME, WHO, attachments=[file])
    uploaded(office, "b.txt", content, "altro")  # the message that names it comes next
    request = asked(office).json["id"]
    refused = confirmed(office, request)
    assert (refused.status, refused.json["code"]) == (422, "subject.file-again")
    told = re.fullmatch(r"confirm again after \d\d/\d\d/\d{4} \d\d:\d\d:\d\d CES?T", refused.json["hint"])
    assert told, "a person reads it: the time of Rome, as everywhere"
    with monkeypatch.context() as patch:
        later(office, patch, 2)
        assert confirmed(office, request).json["files"] == 1  # nobody named it: it was abandoned
    assert Caller(office.port)("GET", f"/attachments/{file}").status == 404


def test_a_file_that_came_by_a_clock_that_was_years_ahead_keeps_nobody_from_being_erased(office, monkeypatch):
    with monkeypatch.context() as patch:
        later(office, patch, 20_000)
        file = uploaded(office, "a.txt", b"una scansione")
    greet(office, NAME, WHO, attachments=[file])
    assert confirmed(office, asked(office).json["id"]).json["files"] == 1


def test_a_copy_of_a_file_that_was_sent_twice_opens_with_nothing_after_the_erasure(tmp_path):
    """A backup of the folder, taken between the two, has the file as it was sealed first."""
    with running(tmp_path, keys=two_sysadmins()) as server:
        file = uploaded(server, "Quaranta.txt", f"{NAME} {WHO}".encode())
        place = server.app.attachments.place(server.app.keys.token(file))
        first = place.read_bytes()
        uploaded(server, "Quaranta.txt", f"{NAME} {WHO}".encode(), "altro")
        greet(server, NAME, WHO, attachments=[file])
        second = place.read_bytes()
        assert confirmed(server, asked(server).json["id"]).json["files"] == 1
        for copy in (first, second):
            (tmp_path / "copy").write_bytes(copy)
            with (tmp_path / "copy").open("rb") as file, pytest.raises(Erased):
                stream.opened(file, server.app.keys).read()


def damaged(place: Path, number: int) -> None:
    """The head of a file names another key now."""
    whole = bytearray(place.read_bytes())
    at = len(stream.MAGIC) + 1
    whole[at : at + 8] = number.to_bytes(8, "big")
    place.write_bytes(whole)


@pytest.mark.parametrize("fate", ["missing", "damaged", "damaged and sent again"])
def test_a_file_that_is_lost_is_erased_by_the_key_that_the_log_tells_and_no_other_one(tmp_path, fate):
    with running(tmp_path, keys=two_sysadmins()) as server:
        kept = greet(server, "Mario", OTHER)
        file = uploaded(server, "Quaranta.txt", NAME.encode())
        greet(server, NAME, WHO, attachments=[file])
        place = server.app.attachments.place(server.app.keys.token(file))
        shutil.copy(place, tmp_path / "backup")
        if fate == "missing":
            place.unlink()
        else:
            with server.app.store.read() as tx:
                others = tx.one("payload", id=next(log.of_messages(tx, [kept])).payload("message"))
            damaged(place, key_number(bytes(others["nonce"])))
        if fate.endswith("again"):
            uploaded(server, "Quaranta.txt", NAME.encode())
            assert Caller(server.port)("GET", f"/attachments/{file}").content == NAME.encode()
            greet(server, NAME, WHO, attachments=[file])
        done = confirmed(server, asked(server).json["id"])
        assert (done.status, done.json["files"], done.json["lost"]) == (200, 1, [])
        with (tmp_path / "backup").open("rb") as copy, pytest.raises(Erased):
            stream.opened(copy, server.app.keys)
        assert Caller(server.port)("GET", f"/messages/{kept}").json["reply"] == {"saluto": "ciao Mario"}


def test_a_lost_file_whose_key_nothing_tells_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("bus.engine.erasure.keys_told", lambda tx, files: {})  # as in a log of before records told it
    with running(tmp_path, keys=two_sysadmins()) as server:
        file = uploaded(server, "Quaranta.txt", NAME.encode())
        greet(server, NAME, WHO, attachments=[file])
        token = server.app.keys.token(file)
        server.app.attachments.place(token).unlink()
        url, request = f"http://127.0.0.1:{server.port}", asked(server).json["id"]
        assert main(["subject", "confirm", request, "--url", url, "--key", key_of("collega")]) == 0
        said = capsys.readouterr().out
    assert "1 file missing or damaged, and no key is known" in said
    assert f"delete from every backup of the folder of attachments: {token}" in said


def test_an_erasure_of_much_is_told_in_several_records(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(erasure, "AT_ONCE", 2)
    with running(tmp_path, keys=two_sysadmins()) as server:
        file = uploaded(server, "a.txt", b"una scansione")
        messages = {greet(server, f"{NAME} {n}", WHO, attachments=[file]) for n in range(3)}
        assert confirmed(server, asked(server).json["id"]).json["messages"] == 3
        with server.app.store.read() as tx:
            records = [one for _, one in log.everything(tx) if one.kind == "erased"]
            assert {message for one in records for message in one.data["messages"]} == messages
            assert len(records) == 3  # six keys: of each message, of the file, of what is told of it, of the request
        assert told_otherwise(server.app.store) == {}
    assert main(["log", "verify", "--config", str(tmp_path / "config.yaml")]) == 0, capsys.readouterr()


def test_the_key_of_an_upload_that_was_broken_off_is_destroyed(office):
    with office.app.attachments.receive("a.txt", "text/plain") as coming:
        coming.write(b"x" * 100_000)
        number = coming._key.id
        assert office.app.keys.left([number])
    assert not office.app.keys.left([number])
