"""What docs/sysadmin/running.md says of a database that was restored: which calls have the key that they had; a key store of another day."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from pydantic import BaseModel

from bus import doctor
from bus.adapter import Adapter, Call, operation
from bus.app import App
from bus.engine.arrival import Submission
from bus.engine.verify_names import compare
from bus.log.diagnosis import Broken
from bus.log.keyring import BLOCK, SLOT
from bus.log.payload import key_number
from bus.testing.patience import until
from bus.web.serve import Server
from tests.integration.auditing import change
from tests.integration.erasing import WHO, asked, confirmed, sent, two_sysadmins
from tests.projections import snapshot
from tests.small_bus import Caller, running, wait_reply

ROUTE = """
route: prova.chiama
version: 1
owner: prove@comune.example
purpose: calls an office, one of its messages after another has come
on: prova.orfano
case: {istanza: body.nome}
steps:
  - id: sveglia
    wait: prova.sveglia
    deadline: 30d
    when: body.numero == 1
  - id: registra
    call: ufficio.registra
    with: {nome: body.nome}
  - id: rispondi
    reply: {nome: body.nome}
"""


class Nome(BaseModel):
    nome: str


class Ufficio(Adapter):
    """An office that notes under which key it was called, and for whom."""

    def __init__(self) -> None:
        super().__init__("ufficio", None)
        self.calls: list[tuple[str, str]] = []

    @operation(effect="keyed", timeout=5)
    def registra(self, request: Nome, ctx: Call) -> Nome:
        self.calls.append((request.nome, ctx.key))
        return request

    def keys(self, name: str) -> list[str]:
        return [key for who, key in self.calls if who == name]


@contextmanager
def bus(folder: Path, office: Ufficio) -> Iterator[App]:
    (folder / "routes").mkdir(exist_ok=True)
    (folder / "routes/chiama.yaml").write_text(ROUTE, "utf-8")
    with running(folder, {"ufficio": office}) as server:
        yield server.app


def send(app: App, name: str, number: int, kind: str = "orfano") -> str:
    body = {"nome": name, "numero": number}
    return app.send(Submission(f"prova.{kind}", body, "portale", key=f"{kind} {name}")).result(30).id


def test_a_call_of_before_the_backup_keeps_its_key_and_a_message_of_after_it_is_a_new_one(tmp_path: Path) -> None:
    office = Ufficio()
    with bus(tmp_path, office) as app:
        waits = send(app, "prima", 1)
        with closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
            raw.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
        send(app, "prima", 0, "sveglia")
        assert wait_reply(app, waits, 60)["state"] == "done"
        assert wait_reply(app, send(app, "dopo", 0), 60)["state"] == "done"
    for path in (tmp_path / "var").glob("snodo.db*"):
        path.unlink()
    (tmp_path / "backup.db").rename(tmp_path / "var/snodo.db")
    with bus(tmp_path, office) as app:
        send(app, "prima", 0, "sveglia")
        assert wait_reply(app, waits, 60)["state"] == "done"
        assert wait_reply(app, send(app, "dopo", 0), 60)["state"] == "done"
    assert (len(office.keys("prima")), len(set(office.keys("prima")))) == (2, 1)
    assert (len(office.keys("dopo")), len(set(office.keys("dopo")))) == (2, 2)


NUMBERED = """
route: prova.numera
version: 1
owner: prove@comune.example
purpose: takes a number
on: prova.orfano
steps:
  - id: numera
    call: sportello.numera
    with: {nome: body.nome}
    as: dato
  - id: rispondi
    reply: {numero: dato.numero}
"""


class Numero(BaseModel):
    numero: int


class Sportello(Adapter):
    """Numbers that go out one after the other."""

    @operation(effect="keyed", timeout=5, sequence="biglietto", concurrency=1)
    def numera(self, request: Nome, ctx: Call) -> Numero:
        assert ctx.number is not None
        return Numero(numero=ctx.number)


def test_numbers_go_on_after_those_that_were_given_out_since_the_copy(tmp_path: Path) -> None:
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes/numera.yaml").write_text(NUMBERED, "utf-8")
    sql = re.search(
        r'psql --command="(UPDATE sequences [^"]*)"', (Path(__file__).parents[2] / "docs/sysadmin/running.md").read_text("utf-8")
    )
    assert sql

    def number(app: App, name: str) -> object:
        return wait_reply(app, send(app, name, 0), 60)["reply"]

    with running(tmp_path, {"sportello": Sportello("sportello", None)}) as server:
        assert number(server.app, "prima") == {"numero": 1}
        with closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
            raw.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
        assert number(server.app, "dopo") == {"numero": 2}
    for path in (tmp_path / "var").glob("snodo.db*"):
        path.unlink()
    (tmp_path / "backup.db").rename(tmp_path / "var/snodo.db")
    with closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw, raw:
        raw.execute(sql[1])
    with running(tmp_path, {"sportello": Sportello("sportello", None)}) as server:
        assert [number(server.app, name) for name in ("poi", "infine")] == [{"numero": 1002}, {"numero": 1003}]
        with server.app.store.read() as tx:
            assert [row["value"] for row in snapshot(tx)["sequences"]] == [1003]


# -- the key store and the database of two days ---------------------------------------------------------------------------


def sealed(folder: Path, message: str) -> tuple[str, bytes, bytes]:
    """The payload of a message: its id, nonce and content."""
    with closing(sqlite3.connect(folder / "var/snodo.db")) as raw:
        [row] = raw.execute("SELECT p.id, p.nonce, p.content FROM messages m, payloads p ON p.id = m.payload WHERE m.id = ?", (message,))
    return row


def spoil_key(folder: Path, message: str) -> Callable[[], object]:
    """Change a byte of the key of a message; returns what undoes it."""
    block, slot = divmod(key_number(sealed(folder, message)[1]) or 0, BLOCK)
    path = folder / f"var/keys/1/{block}.keys"
    was = path.read_bytes()
    at = slot * SLOT + 20
    path.write_bytes(was[:at] + bytes([was[at] ^ 1]) + was[at + 1 :])
    return lambda: path.write_bytes(was)


def spoil_text(folder: Path, message: str) -> Callable[[], object]:
    """Change a byte of what a message said; returns what undoes it."""
    identity, _, was = sealed(folder, message)

    def put(content: bytes) -> None:
        change(folder / "var/snodo.db", "UPDATE payloads SET content = ? WHERE id = ?", content, identity)

    put(bytes([was[0] ^ 1]) + was[1:])
    return lambda: put(was)


def told_of_names(app: App) -> str:
    with pytest.raises(Broken) as found:
        compare(app.store.read)
    return found.value.fault.sentence


def test_runs_whose_keys_an_older_key_store_lacks_are_dead_letters_that_can_be_given_up_and_erased(tmp_path: Path) -> None:
    with running(tmp_path, keys=two_sysadmins()):
        shutil.copytree(tmp_path / "var/keys", tmp_path / "backup")
    with running(tmp_path, keys=two_sysadmins()) as server:
        asleep = [sent(server, "prova.attesa", about(name)) for name in ("Ada", "Bea")]
        broken = sent(server, "prova.guasto", about("Cleo"))
        until(lambda: [server.app.message(one)["state"] for one in (*asleep, broken)] == ["waiting", "waiting", "dead"], "all at rest")
    exchange(tmp_path, tmp_path / "backup")
    assert "without some of its files: it lacks keys of payloads, 1 of their blocks" in told_of_keys(tmp_path)
    with running(tmp_path, keys=two_sysadmins()) as server:
        sent(server, "prova.sveglia", {"nome": "Ada"})
        until(lambda: server.app.message(asleep[0])["state"] == "dead", "nobody waits for a key that does not come")
        [woken] = server.app.message(asleep[0])["runs"]
        assert woken["reason"] == "keys.missing"
        assert Caller(server.port, "sistemista")("GET", "/cases/istanza:Ada").json["state"] == "dead"
        discard(server, (*asleep, broken))
        assert confirmed(server, asked(server).json["id"]).status == 200
        assert compare(server.app.store.read) == 4


SPOILT = {"keys.damaged": spoil_key, "payload.swapped": spoil_text}


@pytest.mark.parametrize("code", SPOILT)
def test_a_run_whose_message_or_key_was_changed_is_a_dead_letter_that_hides_no_other(tmp_path: Path, code: str) -> None:
    """It was tried again each second for ever, and nobody was told; nor could anybody look for a text, or at the case."""
    with running(tmp_path, keys=two_sysadmins()) as server:
        asleep = [sent(server, "prova.attesa", about(name)) for name in ("Ada", "Bea")]
        until(lambda: [server.app.message(one)["state"] for one in asleep] == ["waiting"] * 2, "both wait")
    mend = SPOILT[code](tmp_path, asleep[0])
    with running(tmp_path, keys=two_sysadmins()) as server:
        sent(server, "prova.sveglia", {"nome": "Ada"})
        until(lambda: server.app.message(asleep[0])["state"] == "dead", "a person must see it")
        ask = Caller(server.port, "sistemista")
        [run] = server.app.message(asleep[0])["runs"]
        assert (run["reason"], ask("GET", "/cases/istanza:Ada").json["state"]) == (code, "dead")
        found = ask("POST", "/log/search", {"text": "bea", "purpose": "prova"}).json
        assert ([one["id"] for one in found["found"]], found["unreadable"]) == ([asleep[1]], 1)
        assert (code != "keys.damaged") or "not as it was made" in told_of_names(server.app)
    mend()
    with running(tmp_path, keys=two_sysadmins()) as server:
        assert Caller(server.port, "sistemista")("POST", f"/dead/{run['id']}/redeliver", {"reason": "prova"}).status == 200
        assert wait_reply(server.app, asleep[0], 60)["reply"] == {"svegliato": "Ada"}


def test_of_a_message_whose_text_somebody_took_out_all_else_is_told(tmp_path: Path) -> None:
    """Sender, auditor and case got a 500; `bus log verify` names the text."""
    with running(tmp_path) as server:
        asleep, done = sent(server, "prova.attesa", about("Ada")), sent(server, "prova.saluto", about("Bea"))
        wait_reply(server.app, done, 60)
        until(lambda: server.app.message(asleep)["state"] == "waiting", "it waits")
    with closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
        [(reply,)] = raw.execute("SELECT reply FROM messages WHERE id = ?", (done,))
    for payload in (reply, sealed(tmp_path, asleep)[0], sealed(tmp_path, done)[0]):
        change(tmp_path / "var/snodo.db", "DELETE FROM payloads WHERE id = ?", payload)
    with running(tmp_path) as server:
        ask = Caller(server.port)
        assert ask("GET", f"/messages/{asleep}").json["state"] == "waiting"
        told = ask("GET", f"/messages/{done}")
        assert (told.status, told.json["code"], "bus log verify" in told.json["hint"]) == (503, "payload.swapped", True)
        assert [ask("GET", f"/cases/istanza:{name}").json["state"] for name in ("Ada", "Bea")] == ["waiting", "done"]
        sent(server, "prova.sveglia", {"nome": "Ada"})
        until(lambda: server.app.message(asleep)["state"] == "dead", "a person must see it")
        assert server.app.message(asleep)["runs"][0]["reason"] == "payload.erased"


def test_the_history_of_rules_goes_on_without_a_reason_that_was_changed(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        history = Caller(server.port, "sistemista")("GET", "/rules/history").json
    change(tmp_path / "var/snodo.db", "UPDATE payloads SET content = zeroblob(length(content))")
    with running(tmp_path) as server:
        told = Caller(server.port, "sistemista")("GET", "/rules/history")
        assert (told.status, len(told.json["activations"])) == (200, len(history["activations"]))


def test_a_person_whose_key_was_changed_can_be_erased(tmp_path: Path) -> None:
    with running(tmp_path, keys=two_sysadmins()) as server:
        message = sent(server, "prova.saluto", about("Ada"))
        wait_reply(server.app, message, 60)
    spoil_key(tmp_path, message)
    with running(tmp_path, keys=two_sysadmins()) as server:
        assert confirmed(server, asked(server).json["id"]).status == 200
        assert Caller(server.port)("GET", f"/messages/{message}").status == 410
        assert compare(server.app.store.read) == 1


def test_a_message_whose_key_the_older_key_store_lacks_wakes_who_begins_to_wait_for_it(tmp_path: Path) -> None:
    """Nobody can say what it is before a newer copy is there; the run that wants it is told of, and holds up no other."""
    with running(tmp_path):
        shutil.copytree(tmp_path / "var/keys", tmp_path / "backup")
    with running(tmp_path) as server:
        sent(server, "prova.sveglia", {"nome": "Ada"})
    shutil.copytree(tmp_path / "var/keys", tmp_path / "newer")
    exchange(tmp_path, tmp_path / "backup")
    with running(tmp_path) as server:
        asleep = sent(server, "prova.attesa", about("Ada"))
        until(lambda: server.app.message(asleep)["state"] == "dead", "what it waits for is there, and cannot be opened")
        [run] = server.app.message(asleep)["runs"]
        assert run["reason"] == "keys.missing"
    for path in (tmp_path / "newer").glob("1/*.keys"):
        shutil.copy(path, tmp_path / "var/keys/1")
    with running(tmp_path) as server:
        assert Caller(server.port, "sistemista")("POST", f"/dead/{run['id']}/redeliver", {"reason": "prova"}).status == 200
        assert wait_reply(server.app, asleep, 60)["reply"] == {"svegliato": "Ada"}


def test_a_newer_key_store_brings_back_what_an_older_one_could_not_open(tmp_path: Path) -> None:
    with running(tmp_path):
        shutil.copytree(tmp_path / "var/keys", tmp_path / "backup")
    with running(tmp_path) as server:
        asleep = sent(server, "prova.attesa", about("Ada"))
    shutil.copytree(tmp_path / "var/keys", tmp_path / "newer")
    exchange(tmp_path, tmp_path / "backup")
    with running(tmp_path) as server:
        sent(server, "prova.sveglia", {"nome": "Ada"})
        until(lambda: server.app.message(asleep)["state"] == "dead", "it is parked")
    for path in (tmp_path / "newer").glob("1/*.keys"):
        shutil.copy(path, tmp_path / "var/keys/1")
    with running(tmp_path) as server:
        [run] = server.app.message(asleep)["runs"]
        assert Caller(server.port, "sistemista")("POST", f"/dead/{run['id']}/redeliver", {"reason": "prova"}).status == 200
        assert wait_reply(server.app, asleep, 60)["reply"] == {"svegliato": "Ada"}


def test_a_person_who_was_erased_after_the_database_was_copied_is_erased_again(tmp_path: Path) -> None:
    with running(tmp_path, keys=two_sysadmins()) as server:
        messages = sent(server, "prova.attesa", about("Ada")), sent(server, "prova.guasto", about("Cleo"))
        until(lambda: [server.app.message(one)["state"] for one in messages] == ["waiting", "dead"], "both at rest")
        with closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
            raw.execute("VACUUM INTO ?", (str(tmp_path / "backup.db"),))
        discard(server, messages)
        assert confirmed(server, asked(server).json["id"]).status == 200
    for path in (tmp_path / "var").glob("snodo.db*"):
        path.unlink()
    (tmp_path / "backup.db").rename(tmp_path / "var/snodo.db")
    with running(tmp_path, keys=two_sysadmins()) as server:
        with pytest.raises(Broken, match="its key is not in the key store"):
            compare(server.app.store.read)
        discard(server, messages)
        assert confirmed(server, asked(server).json["id"]).status == 200
        assert compare(server.app.store.read) == 2


def about(name: str) -> dict:
    return {"nome": name, "numero": {"persone": [{"codice": WHO}]}}


def exchange(folder: Path, keys: Path) -> None:
    """Another copy in the place of the key store."""
    shutil.rmtree(folder / "var/keys")
    keys.rename(folder / "var/keys")


def told_of_keys(folder: Path) -> str:
    return next(one.what for one in doctor.examine(folder / "config.yaml") if one.code == "doctor.keystore")


def discard(server: Server, messages: Iterable[str]) -> None:
    """Look at what is dead, and give up the runs of some messages."""
    call = Caller(server.port, "sistemista")
    for message in messages:
        [run] = server.app.message(message)["runs"]
        if run["state"] == "dead":
            assert call("GET", f"/dead/{run['id']}", headers={"Snodo-Purpose": "prova"}).json["code"] == run["reason"]
        assert call("POST", f"/dead/{run['id']}/discard", {"reason": "prova"}).status == 200
