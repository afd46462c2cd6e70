"""What docs/sysadmin/running.md says of a database that was restored: whose calls have the key that they had, and whose have not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pydantic import BaseModel

from bus.adapter import Adapter, Call, operation
from bus.app import App
from bus.engine.arrival import Submission
from tests.small_bus import running, wait_reply

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
