"""Which rules are in force, and how that changes while the bus works: over HTTP, on the command line, through restarts."""

from __future__ import annotations

import json
import re
import shutil
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bus import activation, cli, config
from bus.app import App
from bus.client import ClientError
from bus.errors import RulesError
from bus.log import log
from bus.rulefiles import Files
from bus.source import Finding
from bus.testing.patience import until
from tests.integration.activating import SALUTA, Bus, here
from tests.integration.eco import Eco
from tests.small_bus import RULES, Caller, at_work, running, wait_reply, write


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    made = Bus(tmp_path)
    yield made
    made.stop()


def test_the_first_start_activates_the_files_and_says_so(bus: Bus) -> None:
    shown = bus.rules()
    assert ("started", "bus", "the first start", 4) == (shown["act"], shown["actor"], shown["reason"], shown["routes"])
    assert {"prova.saluta", "prova.aspetta", "prova.tace", "prova.fallisce"} == set(shown["parts"]["routes"])


@pytest.mark.parametrize("wait", [{}, {"Prefer": "wait=10"}])
@pytest.mark.parametrize("gone", [False, True])
def test_a_message_that_comes_again_is_answered_as_at_first_though_its_type_would_refuse_it_now(
    bus: Bus, wait: dict[str, str], gone: bool
) -> None:
    """Its 202 was lost on the way and a service was taken away meanwhile: a 422 would say that it had not been taken."""

    def send(name: str, key: str) -> Any:
        return bus.call("POST", "/messages", {"type": "prova.saluto", "data": {"nome": name}}, {"Idempotency-Key": key, **wait})

    first = send("Ada", "ada-1")
    wait_reply(bus.server.app, first.json["id"], 20)
    if gone:
        for path in (SALUTA, "mappings/types/prova.saluto.yaml"):
            (bus.folder / path).unlink()
    else:
        bus.edit("mappings/types/prova.saluto.yaml", "nome: {type: string", "nome: {type: string, maxLength: 2")
    assert bus.activate().status == 200
    again = send("Ada", "ada-1")
    assert (again.status, again.content) == (first.status, first.content)
    assert again.headers["idempotency-status"] == "repeated"
    refused = ("type.unknown" if gone else "body.invalid", 422)
    for name, key in (("Ada", "ada-2"), ("Eva", "ada-1")):
        told = send(name, key)
        assert (told.json["code"], told.status) == refused
    other = bus.call("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}, {"Idempotency-Key": "ada-1"}, name="altro")
    assert other.json["code"] == refused[0], "keys of another sender are others"


def test_so_is_one_that_is_known_by_a_key_in_its_body(bus: Bus) -> None:
    bus.edit(SALUTA, "on: prova.saluto", "key: body.nome\non: prova.saluto")
    assert bus.activate().status == 200
    message = {"type": "prova.saluto", "data": {"nome": "Ada"}}
    first = bus.call("POST", "/messages", message)
    bus.edit("mappings/types/prova.saluto.yaml", "nome: {type: string", "nome: {type: string, maxLength: 2")
    assert bus.activate().status == 200
    again = bus.call("POST", "/messages", message)
    assert (again.status, again.content, again.headers["idempotency-status"]) == (202, first.content, "repeated")
    for data in ({"nome": "Eva"}, {"nome": ["Ada"]}, {}, None, [1]):
        assert bus.call("POST", "/messages", {"type": "prova.saluto", "data": data}).json["code"] == "body.invalid"


def test_an_activation_is_a_record_with_actor_reason_and_digest(bus: Bus) -> None:
    before = bus.rules()["rules"]
    bus.edit(SALUTA, "ciao ", "salve ")
    told = bus.activate("the mayor prefers it", **{"as": "mario.rossi"}).json
    assert told["changed"]
    assert {"saluto": "salve Ada"} == bus.greet()
    shown = bus.rules()
    assert ("activated", "sistemista", "mario.rossi", "the mayor prefers it") == (
        shown["act"],
        shown["actor"],
        shown["as"],
        shown["reason"],
    )
    assert told["rules"] == shown["rules"] != before
    with bus.server.app.store.read() as tx:
        records = [record for _, record in log.everything(tx) if record.kind == "rules"]
    assert [before, told["rules"]] == [record.rules for record in records]
    assert "mayor" not in json.dumps(dict(records[-1].data)), "the reason is a payload: nothing said of persons stays in the log for ever"


def test_what_the_bus_publishes_is_what_was_activated_at_once_and_after_a_way_back(bus: Bus) -> None:
    bus.edit("routes/servizi.yaml", "Ritiro dei rifiuti ingombranti", "Ritiro a domicilio")
    bus.edit("mappings/types/prova.saluto.yaml", "title: A type for tests", "title: A greeting")

    def published() -> tuple[str, str]:
        catalog, type = bus.call("GET", "/catalog", name=None).json, bus.call("GET", "/types/prova.saluto", name=None).json
        return catalog["servizi"][0]["titolo"], type["title"]

    before = published()
    assert bus.activate().status == 200
    assert ("Ritiro a domicilio", "A greeting") == published() != before
    assert bus.call("POST", "/rules/rollback", {"reason": "not yet"}).status == 200
    assert before == published()


def test_a_restart_goes_on_with_what_was_activated_not_with_what_lies_in_the_folder(bus: Bus) -> None:
    bus.edit(SALUTA, "ciao ", "salve ")
    bus.again()
    assert {"saluto": "ciao Ada"} == bus.greet()
    (bus.folder / SALUTA).write_text("route: [\n", "utf-8")
    bus.again()
    assert {"saluto": "ciao Ada"} == bus.greet(), "a bad file does not even keep the bus from starting"


def test_a_setting_activates_good_files_at_start_and_no_bad_ones(tmp_path: Path) -> None:
    bus = Bus(tmp_path, activate_at_start=True)
    bus.edit(SALUTA, "ciao ", "salve ")
    bus.again()
    assert {"saluto": "salve Ada"} == bus.greet()
    (bus.folder / SALUTA).write_text("route: [\n", "utf-8")
    bus.again()
    assert {"saluto": "salve Ada"} == bus.greet()
    bus.stop()


def test_rules_that_a_process_cannot_work_under_give_way_to_mended_files_only_when_it_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "routes").mkdir()
    asks = tmp_path / "routes/chiede.yaml"
    asks.write_text(
        "route: prova.chiede\nversion: 1\non: prova.orfano\nsteps: [{id: a, call: eco.scrivi, with: {nome: body.nome}}]\n", "utf-8"
    )
    with running(tmp_path, {"eco": Eco("eco", Eco.Settings())}):
        pass
    settings = config.load(write(tmp_path))
    for _ in range(2):
        with pytest.raises(RulesError, match="cannot work under the rules in force") as refused:
            App(settings, adapters={})
        assert "activate_at_start" in refused.value.hint
        asks.unlink(missing_ok=True)  # mended, and still nobody has said that the files are meant
    bus = Bus(tmp_path, activate_at_start=True)
    assert {"saluto": "ciao Ada"} == bus.greet()
    assert ["started", "started"] == [one["act"] for one in bus.call("GET", "/rules/history").json["activations"]]
    back = bus.call("POST", "/rules/rollback", {"reason": "as it was"})
    assert (422, "rules.invalid") == (back.status, back.json["code"])
    assert "out of the log" in back.json["hint"], "`bus validate` shows the folder, and nothing is wrong there"
    bus.stop()


def test_the_first_start_of_all_needs_good_files(tmp_path: Path) -> None:
    settings = config.load(write(tmp_path))
    (tmp_path / SALUTA).write_text("route: [\n", "utf-8")
    with pytest.raises(RulesError):
        App(settings, adapters={})
    write(tmp_path)
    Bus(tmp_path).stop()  # and what failed has left the store to others


@pytest.mark.parametrize("text", ["route: [\n", "route: prova.saluta\nversion: 1\non: prova.nessuno\nsteps: []\n", "\0"])
def test_a_bad_file_never_replaces_good_rules(bus: Bus, text: str) -> None:
    before = bus.rules()
    answer = bus.call("POST", "/rules/activate", {"reason": "a mistake", "files": {**bus.files(), SALUTA: text}})
    assert answer.status in (400, 422)
    if answer.status == 422:
        assert "rules.invalid" == answer.json["code"]
        assert {SALUTA} <= {finding["file"] for finding in answer.json["findings"]}
    assert before == {**bus.rules(), "processes": before["processes"]}
    assert {"saluto": "ciao Ada"} == bus.greet()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"files": {"routes/../config.yaml": "x"}, "reason": "x"}, "rules.files"),
        ({"files": {"/etc/passwd": "x"}, "reason": "x"}, "rules.files"),
        ({"files": {}, "reason": "x"}, "rules.files"),
        ({"files": {"routes/prova/a\nb.yaml": "x"}, "reason": "x"}, "rules.files"),
        ({"files": {"routes//a.yaml": "x"}, "reason": "x"}, "rules.files"),
        ({"files": {"routes/a.txt": "x"}, "reason": "x"}, "rules.files"),
        ({"reason": " "}, "rules.reason-missing"),
        ({"reason": "x", "expected": "0123456789"}, "rules.moved-on"),
        ({"reason": "x", "files": {"routes/a.yaml": 1}}, "input.invalid"),
        ({"reason": "x", "folder": "."}, "input.invalid"),
    ],
)
def test_what_cannot_be_activated_is_told_and_changes_nothing(bus: Bus, body: dict[str, Any], code: str) -> None:
    answer = bus.call("POST", "/rules/activate", body)
    assert (422, code) == (answer.status, answer.json["code"])
    assert 1 == len(bus.call("GET", "/rules/history").json["activations"])


def test_a_system_that_the_running_bus_does_not_know_yet_is_told_as_a_restart_that_is_due(bus: Bus) -> None:
    """Whoever adds a system to the settings, and routes to it, finds no mistake with `bus validate`."""
    bus.put(SALUTA, RULES[SALUTA] + "  - {id: scrivi, call: eco.scrivi, with: {nome: body.nome}}\n")
    refused = bus.activate()
    assert (422, "rules.invalid", ["operation.unknown"]) == (
        refused.status, refused.json["code"], [one["code"] for one in refused.json["findings"]]
    )  # fmt: skip
    assert "where it finds none, the settings are newer than this process: restart it" in refused.json["hint"]


def test_a_file_may_be_called_as_any_file_that_is_checked(bus: Bus) -> None:
    """A copy made by a desktop, and a name as a Mac writes it: `bus validate` read them, and no activation took them."""
    names = ["saluta (copia).yaml", unicodedata.normalize("NFD", "città.yaml"), "50%, d'oro.yaml"]
    for number, name in enumerate(names):
        bus.put(f"routes/prova/{name}", RULES[SALUTA].replace("route: prova.saluta", f"route: prova.copia{number}"))
    assert bus.activate().json["changed"]
    bus.again()
    assert {f"routes/prova/{name}" for name in names} <= bus.rules()["files"].keys()


def test_only_a_sysadmin_activates_and_only_readers_look(bus: Bus) -> None:
    for path in ("/rules/activate", "/rules/rollback"):
        assert [403, 403, 401] == [bus.call("POST", path, {"reason": "x"}, name=who).status for who in ("portale", "revisore", None)]
    assert [403, 200] == [bus.call("GET", "/rules", name=who).status for who in ("portale", "revisore")]


def test_what_is_in_force_already_is_not_activated_again(bus: Bus) -> None:
    assert not bus.activate().json["changed"]
    assert not bus.call("POST", "/rules/activate", {"reason": "the folder of the process"}).json["changed"]
    assert 1 == len(bus.call("GET", "/rules/history").json["activations"])


def test_comments_make_an_edition_and_no_new_fingerprint(bus: Bus) -> None:
    before = bus.rules()
    bus.edit(SALUTA, "purpose:", "# said by the mayor\npurpose:")
    told = bus.activate().json
    assert (True, before["rules"]) == (told["changed"], told["rules"])
    assert before["edition"] != told["edition"]


def test_rolling_back_goes_on_from_where_it_went_back_to(bus: Bus) -> None:
    for word in ("uno", "due", "tre"):
        bus.edit(SALUTA, {"uno": "ciao", "due": "uno", "tre": "due"}[word], word)
        bus.activate(word)

    def back(**how: Any) -> Any:
        return bus.call("POST", "/rules/rollback", {"reason": "it was better", **how})

    assert back().json["changed"]
    assert {"saluto": "due Ada"} == bus.greet()
    back()
    assert {"saluto": "uno Ada"} == bus.greet(), "not `tre` again"
    back(to=bus.call("GET", "/rules/history").json["activations"][2]["rules"][:12])
    assert {"saluto": "tre Ada"} == bus.greet()
    back(steps=3)
    assert {"saluto": "ciao Ada"} == bus.greet()
    assert (404, "rules.unknown") == ((answer := back()).status, answer.json["code"])
    assert "the way back from the rules in force ends after 0 of 1 steps" in answer.json["detail"], "there were seven activations"
    short = back(to=bus.rules()["rules"][:7])
    assert (422, "rules.too-short") == (short.status, short.json["code"]), "they were in force: nobody says that they never were"
    assert 422 == back(to="0" * 12, steps=2).status
    assert 404 == back(to="0" * 12).status
    assert "no rules zzz were ever in force here" == back(to="zzz").json["detail"], "and it is the beginning of none"
    told = [one["act"] for one in bus.call("GET", "/rules/history").json["activations"]]
    assert ["rolled-back"] * 4 + ["activated"] * 3 + ["started"] == told
    bus.again()
    assert {"saluto": "ciao Ada"} == bus.greet()


def test_the_history_on_the_command_line_leaves_no_activation_out(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(51):
        bus.put(SALUTA, f"# {number}\n{RULES[SALUTA]}")
        bus.activate()
    with here(bus, monkeypatch):
        assert 0 == cli.main(["status", "--history"])
    assert 52 == len(capsys.readouterr().out.splitlines())


def test_of_two_sysadmins_who_saw_the_same_only_one_activates(bus: Bus) -> None:
    seen = bus.rules()["rules"]
    files = bus.files()
    answers: list[Any] = []

    def act(number: int) -> None:
        changed = {**files, SALUTA: files[SALUTA].replace("ciao", f"n{number}")}
        answers.append(bus.call("POST", "/rules/activate", {"reason": "me", "files": changed, "expected": seen}))

    threads = [threading.Thread(target=act, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [200, 422, 422, 422, 422, 422] == sorted(answer.status for answer in answers)
    assert {"rules.moved-on"} == {answer.json["code"] for answer in answers if answer.status == 422}


# --- the command line -----------------------------------------------------------------------------------------------------


def test_an_activation_is_told_also_where_the_bus_goes_away_right_after_it(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(*_: object) -> Any:
        raise ClientError(0, {"detail": "cannot reach the bus"})

    bus.edit(SALUTA, "ciao ", "salve ")
    with here(bus, monkeypatch):
        monkeypatch.setattr("bus.cli.activate._late", gone)
        assert 0 == cli.main(["activate", "--reason", "better"])
        assert re.search(r"\nactivated \w{12}\n  whether all .* does not answer now", capsys.readouterr().out)
        bus.edit(SALUTA, "salve ", "ciao ")
        assert 0 == cli.main(["activate", "--reason", "better", "--json"])
        assert json.loads(capsys.readouterr().out)["behind"] is None


def test_a_process_that_is_not_on_the_new_rules_is_named_with_what_to_do(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bus.cli.activate._late", lambda *_: ["worker b/7"])
    bus.edit(SALUTA, "ciao ", "salve ")
    with here(bus, monkeypatch):
        assert 0 == cli.main(["activate", "--reason", "better"])
    said = capsys.readouterr().out
    assert "worker b/7 does not work under them yet, but under earlier ones" in said
    assert "see its log, restart it" in said


def test_status_activate_and_rollback_on_the_command_line(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with here(bus, monkeypatch):
        with monkeypatch.context() as unread:
            unread.setattr("bus.examine.load", None)  # files that are those in force, byte for byte, are not read as rules
            assert 0 == cli.main(["status"])
        assert "the files are what runs" in capsys.readouterr().out
        bus.edit(SALUTA, "ciao ", "salve ")
        assert 1 == cli.main(["status"])
        assert "route prova.saluta: changed" in capsys.readouterr().out
        assert 0 == cli.main(["activate", "--reason", "better", "--as", "mario.rossi"])
        assert "route prova.saluta: changed" in capsys.readouterr().out
        assert {"saluto": "salve Ada"} == bus.greet()
        assert 0 == cli.main(["status"])
        assert "by sistemista (mario.rossi): better" in capsys.readouterr().out
        assert 0 == cli.main(["activate", "--reason", "again"])
        assert "in force already" in capsys.readouterr().out
        assert 1 == cli.main(["activate", "--reason", "late", "--expect", "0123456789ab"])
        assert "rules.moved-on" in capsys.readouterr().err
        assert 0 == cli.main(["rollback", "--reason", "not better"])
        assert "route " in (back := capsys.readouterr().out), "what changes is told as `bus activate` tells it"
        assert ": changed\nrolled back to" in back
        assert {"saluto": "ciao Ada"} == bus.greet()
        assert 1 == cli.main(["status"])
        assert 0 == cli.main(["status", "--history", "--json"])
        capsys.readouterr()
        (bus.folder / SALUTA).write_text("route: [\n", "utf-8")
        assert 1 == cli.main(["activate", "--reason", "a mistake"])
        assert f"{SALUTA}:2:1" in capsys.readouterr().err
        assert 1 == cli.main(["status"])
        told = capsys.readouterr()
        assert ": not better\nthe files have errors, so what differs cannot be told" in told.out
        assert f"{SALUTA}:2:1" in told.err
        shutil.rmtree(bus.folder / "routes")
        assert 1 == cli.main(["status"])
        assert "catalog.no-routes" in capsys.readouterr().err


def test_a_route_under_another_name_is_told_to_know_nothing_of_what_it_took(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a route's `key` tells is known under its name: a message that comes again would be done again, and nobody would be told."""
    bus.edit(SALUTA, "on: prova.saluto", "on: prova.saluto\nkey: body.nome")
    with here(bus, monkeypatch):
        assert 0 == cli.main(["activate", "--reason", "a key"])
        assert "knows nothing" not in capsys.readouterr().out
        bus.greet()
        bus.edit(SALUTA, "route: prova.saluta", "route: prova.salve")
        (bus.folder / SALUTA).rename((bus.folder / SALUTA).with_name("salve.yaml"))
        assert 1 == cli.main(["status"])
        said = "route prova.salve: its `key` knows nothing of what a route that is gone took (prova.saluta)"
        assert said in capsys.readouterr().out
        assert 0 == cli.main(["activate", "--reason", "another name"])
        assert said in capsys.readouterr().out


def test_status_says_of_files_in_force_that_a_later_version_of_snodo_would_not_take_them(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What runs was good when it was activated; what the checker of another version finds is told before somebody has to edit in a hurry."""
    found = Finding(SALUTA, 3, 1, "field.unknown", "error", "there is no such field any more")
    with here(bus, monkeypatch):
        monkeypatch.setattr("bus.examine.review", lambda *_: [found, replace(found, severity="warning")])
        monkeypatch.setattr("bus.earlier.Earlier.findings", lambda *_: None)
        assert 1 == cli.main(["status"])
        told = capsys.readouterr().out
        assert "the files are what runs; this version of Snodo would not take them again (1 error): `bus validate` shows why" in told
        assert 1 == cli.main(["validate"])
        assert "there is no such field any more" in capsys.readouterr().out
        assert 1 == cli.main(["status", "--json"])
        assert 1 == json.loads(capsys.readouterr().out)["refused"]


def test_only_a_restart_changes_settings_and_status_says_so(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with here(bus, monkeypatch):
        settings = json.loads(bus.config.read_text("utf-8"))
        bus.config.write_text(json.dumps({**settings, "engine": {"threads": 3}}), "utf-8")
        assert 1 == cli.main(["status"])
        assert "settings engine have changed: restart" in capsys.readouterr().out


def test_tests_that_fail_keep_rules_from_being_activated(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    test = "tests: [{name: greets, send: {nome: Ada}, expect: {reply: {saluto: salve Ada}}}]\n"
    with here(bus, monkeypatch):
        (bus.folder / SALUTA).write_text((bus.folder / SALUTA).read_text("utf-8") + test, "utf-8")
        assert 1 == cli.main(["activate", "--reason", "tested", "--with-tests"])
        assert "rules.tests-fail" in capsys.readouterr().err
        bus.edit(SALUTA, '"ciao "', '"salve "')
        assert 0 == cli.main(["activate", "--reason", "tested", "--with-tests"])
        assert {"saluto": "salve Ada"} == bus.greet()


def test_watched_files_are_activated_when_they_are_good(bus: Bus) -> None:
    told: list[RulesError | None] = []
    heard = threading.Event()
    bus.server.app.rules.watch(bus.folder, lambda error: (told.append(error), heard.set()), every=0.02)
    bus.put(SALUTA, (text := (bus.folder / SALUTA).read_text("utf-8")) + "steps: []\n")
    assert heard.wait(60)
    assert isinstance(told[0], RulesError)
    assert {"saluto": "ciao Ada"} == bus.greet()
    heard.clear()
    bus.put(SALUTA, text.replace("ciao", "salve"))
    assert heard.wait(60)
    assert told[1:] == [None]
    assert {"saluto": "salve Ada"} == bus.greet()


def test_watched_files_are_activated_after_whatever_a_look_at_them_meets(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    files_of, looks, heard = activation.files_of, iter([OSError(5, "Input/output error"), RuntimeError("?")]), threading.Event()

    def broken(folder: Path) -> Files:
        if error := next(looks, None):
            raise error
        return files_of(folder)

    monkeypatch.setattr(activation, "files_of", broken)
    bus.server.app.rules.watch(bus.folder, lambda error: heard.set(), every=0.02)
    bus.put(SALUTA, (bus.folder / SALUTA).read_text("utf-8").replace("ciao", "salve"))
    assert heard.wait(60)
    assert {"saluto": "salve Ada"} == bus.greet()


def test_a_look_at_the_rules_that_fails_again_later_is_told_again(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    rules, told = bus.server.app.rules, []
    monkeypatch.setattr(rules, "_log", SimpleNamespace(error=lambda event, **more: told.append(event)))
    for _ in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(rules, "_look", lambda: 1 / 0)
            assert [rules.look(), rules.look()] == [False, False]
        assert rules.look()
    assert told == ["activation.not-followed"] * 2


def test_who_follows_the_rules_goes_on_after_whatever_a_look_meets(tmp_path, monkeypatch):
    """No descriptor is left for a moment, say."""
    with running(tmp_path, {"eco": Eco("eco", None)}) as server:
        looks = []

        def broken() -> bool:
            looks.append(None)
            raise OSError(24, "Too many open files")

        with monkeypatch.context() as patched:
            patched.setattr(server.app.rules, "_look", broken)
            server.app.rules.ring()
            until(lambda: looks, "it looked")
        seen = []
        look = server.app.rules._look
        monkeypatch.setattr(server.app.rules, "_look", lambda: (seen.append(None), look())[1])
        server.app.rules.ring()
        until(lambda: seen, "it looks again")
        assert any(thread.name == "snodo-rules" for thread in threading.enumerate())


def test_a_folder_whose_routes_are_away_puts_none_out_of_force(tmp_path):
    """A disk that was not mounted, and whoever activated had the bus refuse every message."""
    with running(tmp_path) as server:
        ask = Caller(server.port, "sistemista")
        routes = tmp_path / "routes"
        for away in (lambda: routes.rename(tmp_path / "altrove"), routes.mkdir, lambda: (routes.rmdir(), routes.write_text("", "utf-8"))):
            away()
            answer = ask("POST", "/rules/activate", {"reason": "prova"})
            assert (answer.status, [one["code"] for one in answer.json["findings"]]) == (422, ["catalog.no-routes"])
            assert ask("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).status == 202
    (tmp_path / "routes").unlink()
    app = App(config.load(write(tmp_path, activate_at_start=True)), adapters={})
    for path in sorted((tmp_path / "routes").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / "routes").rmdir()
    with at_work(app):
        assert app.catalog().routes
