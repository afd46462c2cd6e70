"""Who sees what was said: for a purpose, which is in the log first; and of each field only what the key may see."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.cli import main
from bus.log import log
from bus.testing.patience import until
from bus.web.serve import Server
from tests.files import put
from tests.small_bus import Caller, key_of, own_key, running, settings

WHAT_FOR = {"Snodo-Purpose": "reclamo 44: perché?"}
PERSON = "RSSMRA80A01H501U"
NAME, CITY, ILLNESS = "Ermengarda", "Roccacannuccia", "raffreddore cronico"
TYPE = """
type: prova.domanda
title: A type with protected fields
personal: [chi.nome, "figli[].nome", "righe[].chi[]"]
sensitive: [salute]
reply: {shown: [tanti], personal: [saluto]}
schema:
  type: object
  properties:
    chi: {$ref: "#/$defs/persona"}
    figli: {type: array, items: {$ref: "#/$defs/persona"}}
    righe: {type: array, items: {type: object, properties: {chi: {type: array, items: {type: string}}, importo: {type: integer}}}}
    salute: {type: object}
    numero: {type: integer}
  $defs:
    persona: {type: object, properties: {nome: {type: string}, comune: {type: string}}}
"""
ROUTE = """
route: prova.domanda
version: 1
owner: prove@comune.example
purpose: replies or dies
on: prova.domanda
steps:
  - id: tanti
    when: body.numero > 3 && body.chi.nome != ""
    set: {tanti: true}
  - id: rotta
    when: body.numero > 8
    fail: prova.rotta
    reason: '"non va per " + body.chi.nome'
  - id: rispondi
    reply: {saluto: '"ciao " + body.chi.nome', tanti: body.numero, altro: body.numero}
"""
BODY = {
    "chi": {"nome": NAME, "comune": CITY}, "figli": [{"nome": NAME, "comune": CITY}, {"nome": "Ugo"}],
    "righe": [{"chi": [NAME, "Ugo"], "importo": 5}], "salute": {"diagnosi": [ILLNESS]}, "numero": 5,
}  # fmt: skip
ASKS = [own_key(name, "auditor", sees=sees) for name, sees in (("cieca", []), ("mezza", ["personal"]), ("altra", ["sensitive"]))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("accesses")
    put(folder, {"routes/prova/domanda.yaml": ROUTE, "mappings/types/prova.domanda.yaml": TYPE})
    with running(folder, keys=[*settings()["keys"], *ASKS]) as made:
        yield made


@pytest.fixture
def call(server: Server) -> Caller:
    return Caller(server.port)


def sent(call: Caller, **more: Any) -> str:
    accepted = call("POST", "/messages", {"type": "prova.domanda", "data": {**BODY, **more}}, {"Prefer": "wait=10"})
    return str(accepted.json["id"])


def reads(server: Server) -> list[tuple[str, str, Any]]:
    """Who looked at what, and for what, oldest first."""
    with server.app.store.read() as tx:
        found = [one for _, one in log.everything(tx) if one.kind == "read"]
        return [(one.actor, one.data["role"], log.json_payload(tx, str(one.payload("purpose")))["text"]) for one in found]


def acts(server: Server) -> list[str]:
    """The kinds of all records that keep a purpose or a reason, oldest first."""
    kept = {"read", "replayed", "exported", "erasure", "disposed", "redelivered", "decided", "discarded", "rules"}
    with server.app.store.read() as tx:
        return [one.kind for _, one in log.everything(tx) if one.kind in kept]


def dead(server: Server, call: Caller) -> str:
    """A run that died."""
    message = sent(call, numero=9)
    shown = call("GET", f"/messages/{message}").json
    assert shown["state"] == "dead", shown
    return str(shown["runs"][0]["id"])


# -- a purpose, and the record of it --------------------------------------------------------------------------------------


def test_who_did_not_send_a_message_reads_it_for_a_purpose_only(server: Server, call: Caller) -> None:
    message, before = sent(call), reads(server)
    bare = call("GET", f"/messages/{message}", name="revisore")
    assert (bare.json["withheld"], bare.json["reply"], "body" in bare.json, NAME.encode() in bare.content) == (True, None, False, False)
    assert call("GET", f"/messages/{message}").json["reply"] == {"saluto": f"ciao {NAME}", "tanti": 5, "altro": 5}, "who sent it needs none"
    assert reads(server) == before
    shown = call(
        "GET", f"/messages/{message}", headers={name: text.encode().decode("latin-1") for name, text in WHAT_FOR.items()}, name="revisore"
    )
    assert (shown.json["body"], shown.json["reply"]) == (BODY, {"saluto": f"ciao {NAME}", "tanti": 5, "altro": 5})
    assert reads(server)[len(before) :] == [("revisore", "message", WHAT_FOR["Snodo-Purpose"])]
    too_short = call("GET", f"/messages/{message}", headers={"Snodo-Purpose": "x"}, name="revisore")
    assert (too_short.status, too_short.json["code"], "too short" in too_short.json["detail"]) == (422, "purpose.missing", True)
    assert call("GET", f"/messages/{message}", headers={"Snodo-Purpose": "curiosità"}, name="altro").status == 404, "another portal"


def test_no_door_takes_a_purpose_or_a_reason_that_says_a_codice_fiscale(server: Server, call: Caller) -> None:
    said = f"accesso di {PERSON.lower()}"
    message, run, before = sent(call), dead(server, call), acts(server)
    file = call("POST", "/attachments?name=f.txt", NAME.encode()).json["sha256"]
    asked = {"purpose": said, "from": "2026-01-01", "to": "2026-02-01"}
    looks = [(f"/messages/{message}", "revisore"), (f"/attachments/{file}", "revisore"), (f"/dead/{run}", "sistemista")]
    looked = [call("GET", path, headers={"Snodo-Purpose": said}, name=who) for path, who in looks]
    told = [
        call("POST", path, body, name="revisore")
        for path, body in (
            ("/exports", {"message": message, "purpose": said}),
            *(("/exports", {name: said, "purpose": "reclamo 44"}) for name in ("case", "message", "from", "to")), ("/replays", {"what": run, "purpose": said}),
            ("/reads", {"act": "why", "what": run, "purpose": said}), ("/reports/accesses", asked), ("/reports/purposes", asked),
            ("/log/search", {"find": "messages", "text": NAME, "purpose": said}),
            *((path, {"purpose": "reclamo 44", **more, name: said})
              for path, more in (("/replays", {}), ("/reads", {"act": "why"}), ("/reads", {"act": "plan"})) for name in ("what", "from", "to")),
        )
    ]  # fmt: skip
    acted = [
        call("POST", path, {"reason": said, **more}, name="sistemista")
        for path, more in (
            (f"/dead/{run}/redeliver", {}), (f"/dead/{run}/discard", {}), ("/subjects/erasures", {"subject": PERSON}),
            ("/retention", {"kind": "wire"}), ("/rules/activate", {}),
        )
    ]  # fmt: skip
    for answer in (*looked, *told, *acted):
        assert (answer.status, answer.json["code"], PERSON in answer.content.decode().upper()) == (422, "reason.person", False), answer
    assert acts(server) == before


def test_nothing_is_shown_when_the_record_cannot_be_written(server: Server, call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from bus.errors import StoreError

    message, run = sent(call), dead(server, call)
    file = call("POST", "/attachments?name=f.txt", NAME.encode()).json["sha256"]

    def broken(work: Any) -> Any:
        raise StoreError("the disk is full")

    monkeypatch.setattr(server.app.store, "write", broken)
    for path in (f"/messages/{message}", f"/dead/{run}", f"/attachments/{file}"):
        answer = call("GET", path, headers={"Snodo-Purpose": "prova"}, name="revisore")
        assert (answer.status, NAME.encode() in answer.content) == (503, False), path


def test_the_text_of_a_failure_is_opened_for_a_purpose(server: Server, call: Caller) -> None:
    run, before = dead(server, call), reads(server)
    bare = call("GET", f"/dead/{run}", name="sistemista")
    assert (bare.json["code"], bare.json["withheld"], NAME.encode() in bare.content) == ("prova.rotta", True, False)
    assert reads(server) == before
    shown = call("GET", f"/dead/{run}", headers={"Snodo-Purpose": "chiamata 7"}, name="sistemista").json
    assert (shown["sentence"], shown["withheld"]) == (f"non va per {NAME}", False)
    assert reads(server)[len(before) :] == [("sistemista", "failure", "chiamata 7")]
    hidden = call("GET", f"/dead/{run}", headers={"Snodo-Purpose": "chiamata 7"}, name="mezza")
    assert (hidden.json["code"], NAME.encode() in hidden.content) == ("prova.rotta", False), "what no type declares takes everything"


def test_a_file_of_somebody_else_takes_a_purpose_and_the_right_to_see_everything(server: Server, call: Caller) -> None:
    file, before = call("POST", "/attachments?name=f.txt", NAME.encode()).json["sha256"], reads(server)
    assert call("GET", f"/attachments/{file}").content == NAME.encode(), "who sent it needs none"
    assert call("GET", f"/attachments/{file}", name="revisore").json["code"] == "purpose.missing"
    assert call("GET", f"/attachments/{file}", headers={"Snodo-Purpose": "prova"}, name="mezza").json["code"] == "access.rights"
    assert reads(server) == before
    assert call("GET", f"/attachments/{file}", headers={"Snodo-Purpose": "prova"}, name="revisore").content == NAME.encode()
    assert reads(server)[len(before) :] == [("revisore", "file", "prova")]


def test_a_bundle_with_payloads_takes_the_right_to_see_everything(call: Caller) -> None:
    asked = {"message": sent(call), "purpose": "prova", "payloads": True}
    assert call("POST", "/exports", asked, name="mezza").json["code"] == "access.rights"
    assert call("POST", "/exports", {**asked, "payloads": False}, name="mezza").status == 200
    assert call("POST", "/exports", {**asked, "purpose": " "}, name="revisore").json["code"] == "purpose.missing"


def test_overviews_open_nothing(server: Server, call: Caller) -> None:
    message, run, before = sent(call), dead(server, call), reads(server)
    for path in (f"/log?message={message}", f"/log?run={run}", "/log/tail?limit=1000", f"/runs/{run}", "/runs", "/dead", "/top"):
        answer = call("GET", path, name="revisore")
        assert (answer.status, NAME.encode() in answer.content, CITY.encode() in answer.content) == (200, False, False), path
    assert reads(server) == before


def test_every_look_is_in_the_report_of_purposes(server: Server, call: Caller) -> None:
    call("GET", f"/messages/{sent(call)}", headers={"Snodo-Purpose": "per il rapporto"}, name="revisore")
    asked = {"from": "2020-01-01", "to": "2100-01-01", "purpose": "prova"}
    lines = call("POST", "/reports/purposes", asked, name="revisore").json["lines"]
    assert ("read", "revisore", "per il rapporto", "message") in {
        tuple(line[of] for of in ("act", "who", "purpose", "what")) for line in lines
    }


# -- fields ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "hidden", "seen"),
    [
        ("cieca", (NAME, "Ugo", ILLNESS), (CITY, "importo")),
        ("mezza", (ILLNESS,), (f'"{NAME}"', "Ugo", CITY)),
        ("altra", (NAME, "Ugo"), (ILLNESS, CITY)),
        ("revisore", (), (NAME, "Ugo", ILLNESS, CITY)),
    ],
)
def test_of_each_field_a_key_sees_what_it_may_nested_and_in_lists(
    call: Caller, who: str, hidden: tuple[str, ...], seen: tuple[str, ...]
) -> None:
    shown = call("GET", f"/messages/{sent(call)}", headers={"Snodo-Purpose": "prova"}, name=who).content.decode()
    assert [text for text in hidden if text in shown] == []
    assert [text for text in seen if text not in shown] == []
    assert json.loads(shown)["body"]["numero"] == 5


def test_a_masked_body_keeps_its_fields(call: Caller) -> None:
    shown = call("GET", f"/messages/{sent(call)}", headers={"Snodo-Purpose": "prova"}, name="cieca").json
    assert shown["body"] == {
        "chi": {"nome": "‹personal›", "comune": CITY}, "figli": [{"nome": "‹personal›", "comune": CITY}, {"nome": "‹personal›"}],
        "righe": [{"chi": ["‹personal›", "‹personal›"], "importo": 5}], "salute": "‹sensitive›", "numero": 5,
    }  # fmt: skip
    assert shown["reply"] == {"saluto": "‹personal›", "tanti": 5, "altro": "‹undeclared›"}
    seen = call("GET", f"/messages/{sent(call)}", headers={"Snodo-Purpose": "prova"}, name="mezza").json["reply"]
    assert seen == {"saluto": f"ciao {NAME}", "tanti": 5, "altro": "‹undeclared›"}


# -- commands that read the database by themselves --------------------------------------------------------------------------


def bus(server: Server, *words: str, who: str = "revisore") -> subprocess.CompletedProcess[str]:
    config = Path(server.app.config.store.url.removeprefix("sqlite:///")).parents[1] / "config.yaml"
    command = [sys.executable, "-m", "bus.cli", *words, "--config", str(config), "--url", server.url, "--key", key_of(who)]
    return subprocess.run(command, capture_output=True, text=True, timeout=90)


def test_why_shows_values_for_a_purpose_as_far_as_the_key_may_see(server: Server, call: Caller) -> None:
    message, before = sent(call), reads(server)
    bare = bus(server, "why", message)
    assert (bare.returncode, NAME in bare.stdout, "say --purpose" in bare.stdout) == (0, False, True), bare.stderr
    assert reads(server) == before
    whole, part = (bus(server, "why", message, "--purpose", "ricorso", who=who) for who in ("revisore", "cieca"))
    assert f'body.chi.nome = "{NAME}"' in whole.stdout, whole.stderr
    assert 'body.chi.nome = "‹personal›"' in part.stdout, part.stderr
    assert "body.numero = 5" in part.stdout
    assert reads(server)[len(before) :] == [("revisore", "why", "ricorso"), ("cieca", "why", "ricorso")]


def test_a_test_out_of_the_log_takes_a_purpose_and_the_right_to_see_everything(server: Server, call: Caller) -> None:
    message, before = sent(call), reads(server)
    assert "purpose.missing" in bus(server, "test", "new", "--from", message).stderr
    assert "access.rights" in bus(server, "test", "new", "--from", message, "--purpose", "regressione", who="mezza").stderr
    made = bus(server, "test", "new", "--from", message, "--purpose", "regressione")
    assert made.returncode == 0, made.stderr
    assert ("revisore", "test", "regressione") in reads(server)[len(before) :]


def test_a_purpose_in_the_log_of_another_bus_opens_nothing(server: Server, call: Caller, tmp_path: Path) -> None:
    message = sent(call)
    with running(tmp_path) as other:
        config = Path(server.app.config.store.url.removeprefix("sqlite:///")).parents[1] / "config.yaml"
        command = [sys.executable, "-m", "bus.cli", "why", message, "--purpose", "altrove", "--config", str(config), "--url", other.url]
        said = subprocess.run([*command, "--key", key_of("revisore")], capture_output=True, text=True, timeout=90)
    assert (said.returncode, "access.other-log" in said.stderr, NAME in said.stdout) == (2, True, False)


def test_who_opens_a_message_learns_which_files_came_with_it(server: Server, call: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    file = call("POST", "/attachments?name=pianta.pdf", b"una pianta", {"Content-Type": "application/pdf"}).json["sha256"]
    said = {"type": "prova.domanda", "data": BODY, "attachments": [file]}
    message = call("POST", "/messages", said, {"Prefer": "wait=10"}).json["id"]
    opened = call("GET", f"/messages/{message}", headers={"Snodo-Purpose": "prova"}, name="revisore").json
    assert opened["attachments"] == [{"sha256": file, "name": "pianta.pdf", "media_type": "application/pdf", "size": 10}]
    assert call("GET", f"/attachments/{file}", headers={"Snodo-Purpose": "prova"}, name="revisore").content == b"una pianta"
    masked = call("GET", f"/messages/{message}", headers={"Snodo-Purpose": "prova"}, name="cieca").content.decode()
    assert [text for text in (file, "pianta") if text in masked] == []
    assert main(["message", message, "--purpose", "prova", "--url", f"http://127.0.0.1:{server.port}", "--key", key_of("revisore")]) == 0
    assert f"attachment    {file}  application/pdf  pianta.pdf" in capsys.readouterr().out


def test_all_who_were_refused_are_in_the_log_though_nobody_comes_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed much later would lose them."""
    monkeypatch.setattr("bus.web.door.LOOK", 0.05)
    monkeypatch.setattr("bus.web.accesses.EVERY", 0.5)
    with running(tmp_path) as server:
        call = Caller(server.port)
        assert [call("GET", "/reports", name="nessuno").status for _ in range(3)] == [401] * 3

        def told() -> list[int]:
            with server.app.store.read() as tx:
                return [record.data["times"] for _, record in log.everything(tx) if record.data.get("event") == "refused"]

        until(lambda: told() == [1, 2], "the first at once, the others together")
