"""A codice fiscale is where it must be and nowhere else: not in logs, addresses, tickets, records or names of files."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from adapters.anagrafe.simulator import people
from bus.channel import Channel
from bus.client import ClientError
from tests.integration.kit import (
    ADA,
    CERTIFICATE,
    HASTE,
    ROOT,
    STRANGER,
    TULLIO,
    Town,
    building,
    case_when,
    dead_of,
    hasty_rules,
    neighbours,
    present,
)
from tests.integration.workshop import workshop

PERSONS = {one["codice_fiscale"] for one in people()} | {STRANGER}
SHAPE = re.compile(
    rb"(?<![A-Z0-9_-])[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z](?![A-Z0-9_-])", re.IGNORECASE
)
"""Not inside of digests and tokens, of which one in some thousands looks like one."""
REQUEST_LINE = re.compile(rb"(?:GET|POST|PUT|DELETE|PATCH|HEAD) [^\r\n]* HTTP/1\.[01]")
SURNAMES = (b"Bellomo", b"posta.example")


def persons_in(content: bytes) -> set[bytes]:
    """The persons whom we know, wherever they stand, what looks like a codice fiscale, and the names and addresses that the applications carry."""
    known = {one.encode() for one in PERSONS if one.encode() in content.upper()}
    return known | set(SHAPE.findall(content)) | {name for name in SURNAMES if name.lower() in content.lower()}


class Observer:
    """Stands before a system and keeps the first line of every request."""

    def __init__(self, port: int) -> None:
        self.lines: list[bytes] = []
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            back = threading.Thread(target=self._pass, args=(server, client, False), daemon=True)
            back.start()
            self._pass(client, server, True)
            back.join()

    def _pass(self, source: socket.socket, sink: socket.socket, asking: bool) -> None:
        try:
            while piece := source.recv(65536):
                if asking:
                    self.lines += REQUEST_LINE.findall(piece)
                sink.sendall(piece)
        except OSError:
            pass  # one side hung up: the other is told below
        for line in (source, sink):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


class ObservedTown(Town):
    """Every system is reached through an observer."""

    observers: dict[str, Observer]

    def _address_of(self, name: str) -> dict[str, Any]:
        address = super()._address_of(name)
        if name != "edilizia":
            observers = self.__dict__.setdefault("observers", {})
            if name not in observers:
                observers[name] = Observer(self.simulators[name].port)
            address["url"] = observers[name].url
        return address

    def close(self) -> None:
        super().close()
        for observer in self.observers.values():
            observer.close()


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObservedTown]:
    """A town where things went well and went wrong, at the most talkative level of logging."""
    folder = tmp_path_factory.mktemp("privacy")
    with ObservedTown(folder / "town", hasty_rules(folder / "rules"), {**HASTE, "log_level": "debug"}) as town:
        _live(town)
        yield town


def _live(town: Town) -> None:
    istanza = "SUE-2026-000001"
    reply = present(town, building(istanza), files=(b"%PDF-1.7 relazione",))["reply"]
    town.pay(reply["avviso"])
    case_when(town, f"istanza:{istanza}")
    present(
        town,
        {"istanza": "C-1", "richiedente": {"codice_fiscale": ADA, "email": "a@posta.example"}, "tipo": "8", "esenzione": "1"},
        CERTIFICATE,
    )
    present(town, building("SUE-2026-000002", who=TULLIO))
    for system, fault, operation in (
        ("protocollo", "garbage", "protocollazione"), ("edilizia", "html", "apri"), ("pagopa", "lose_reply", ""), ("anagrafe", "garbage", ""),
        ("scrivania", "garbage", ""), ("notifiche", "lose_reply", "messaggio"), ("notifiche", "html", "profilo"),
    ):  # fmt: skip
        town.simulators[system].faults([{"fault": fault, "operation": operation, "times": 1}])
    reply = present(town, building("SUE-2026-000003", who=neighbours()[1]))["reply"]
    town.pay(reply["avviso"])
    case_when(town, "istanza:SUE-2026-000003")
    town.simulators["protocollo"].faults([{"fault": "refuse", "code": "101", "operation": "protocollazione", "times": 1}])
    present(town, building("SUE-2026-000004", "CIL"), wait=1)
    dead_of(town, "istanza:SUE-2026-000004")
    with pytest.raises(ClientError):
        town.client("sistemista").case(ADA)
    with pytest.raises(ClientError):
        present(town, {**building("SUE-2026-000005", "CIL"), "oggetto": 7})
    with pytest.raises(ClientError):
        present(town, building("SUE-2026-000006", who="BLLDAA71E43B429"))


def _database(town: Town) -> Path:
    return town.folder / "var" / "snodo.db"


def test_the_shape_of_a_codice_fiscale_is_seen_where_there_is_one() -> None:
    assert all(persons_in(f"…{one}…".encode()) for one in PERSONS)


def test_what_the_bus_says_of_itself_names_nobody(lived_in: Town) -> None:
    said = (lived_in.folder / "bus.log").read_bytes()
    assert persons_in(said) == set()


def test_no_address_that_other_systems_are_asked_names_anybody(lived_in: ObservedTown) -> None:
    asked = [line for observer in lived_in.observers.values() for line in observer.lines]
    assert {name for name, observer in lived_in.observers.items() if observer.lines} >= {
        "anagrafe",
        "protocollo",
        "pagopa",
        "scrivania",
        "notifiche",
    }
    assert persons_in(b"\n".join(asked)) == set()


def test_records_name_nobody(lived_in: Town) -> None:
    with closing(sqlite3.connect(_database(lived_in))) as database:
        records = database.execute("SELECT kind, content FROM records").fetchall()
        rules = database.execute("SELECT content FROM rules").fetchall()
    assert {kind for kind, _ in records} >= {"received", "asked", "answered", "unanswered", "refused", "dead", "replied", "done"}
    found = {(kind, person) for kind, content in records for person in persons_in(bytes(content))}
    assert found == set()
    # Rules are kept as they were written: the invented people of the tests inside them, and nobody else.
    written = {person for path in ROOT.glob("routes/**/*.yaml") for person in SHAPE.findall(path.read_bytes())}
    assert {person for (content,) in rules for person in SHAPE.findall(bytes(content))} <= written


def test_names_of_files_name_nobody(lived_in: Town) -> None:
    names = [str(path.relative_to(lived_in.folder)) for path in lived_in.folder.rglob("*")]
    assert any(name.startswith("var") for name in names)
    assert persons_in("\n".join(names).encode()) == set()


def test_what_the_api_shows_of_cases_runs_and_dead_letters_names_nobody(lived_in: Town) -> None:
    """Bodies are read one by one, by those who may; overviews and timelines are for everybody on duty."""
    operator = lived_in.client("sistemista")
    runs = operator.get("/runs", limit=500)["runs"]
    shown: list[Any] = [runs, operator.case("istanza:SUE-2026-000001"), operator.case("istanza:SUE-2026-000003")]
    shown += [operator.get(f"/dead/{run['id']}") for run in runs if run["state"] == "dead"]
    shown += [operator.get(f"/runs/{run['id']}") for run in runs]
    assert persons_in(json.dumps(shown, ensure_ascii=False).encode()) == set()


def test_a_case_is_not_found_by_a_codice_fiscale(lived_in: Town) -> None:
    for key in (ADA, f"codice_fiscale:{ADA}"):
        with pytest.raises(ClientError) as refused:
            lived_in.client("sistemista").case(key)
        assert ADA not in json.dumps(refused.value.problem)


def test_tickets_carry_nothing_but_run_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tickets: list[list[str]] = []
    publish = Channel.publish

    def overheard(self: Channel, runs: Any) -> None:
        tickets.append(list(runs))
        publish(self, runs)

    monkeypatch.setattr(Channel, "publish", overheard)
    with workshop(tmp_path) as shop:
        run = shop.start(ADA)
        shop.when(run, "done")
        shop.quiet()
        known = {str(one["id"]) for one in shop.app.runs(most=500)}
    assert tickets
    assert {one for ticket in tickets for one in ticket} <= known
