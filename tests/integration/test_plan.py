"""`bus plan` as a sysadmin uses it: rules edited beside a bus that worked, planned on what it logged, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bus import config
from bus.app import App
from bus.catalog import Route
from bus.cli.layout import laid_out
from bus.cli.trial import _add
from bus.engine.arrival import Submission
from bus.errors import RulesError
from bus.examine import load
from bus.message import canonical
from bus.planning.difference import declared
from bus.planning.planning import origins_of, planned
from bus.replay import window
from bus.replay.evidence import Rulebook, pages
from bus.route.model import TestDocument
from bus.source import read
from bus.testing.cutting import Cut, as_yaml, cut
from bus.testing.routes import run_folder, run_route
from bus.testing.script import TrialError
from bus.web.serve import Server
from tests.integration.planning import OPERATIONS, edit, found, looking, office, plan
from tests.small_bus import at_work, key_of, keystore_of, own_key, settings, wait_reply

CF, OTHER = "BLLDAA71E43B429M", "LPRTLL45P09B429C"
ROUTE = """
route: ufficio.pratica
version: 1
owner: prove@comune.example
purpose: registers, archives what is large, replies, waits for the end
on: ufficio.pratica
case: {pratica: body.pratica}
steps:
  - id: registra
    call: ufficio.registra
    with: {numero: body.numero, chi: body.chi}
    as: registrata
    case: {protocollo: registrata.protocollo}
    on_error:
      - when: error.kind == "refused"
        steps:
          - {id: niente, reply: {esito: "'respinta'"}}
          - {id: respinta, fail: ufficio.respinta, reason: "'no room'"}
  - id: misura
    choose:
      - when: body.numero >= 10
        steps: [{id: archivia, call: ufficio.archivia, with: {numero: body.numero, chi: body.chi}}]
  - id: rispondi
    reply: {protocollo: registrata.protocollo, chi: body.chi}
  - id: fine
    when: body.numero == 1
    wait: ufficio.fine
    deadline: 30d
"""
TYPE = """
type: ufficio.{name}
title: For a plan
case: {{pratica: body.pratica}}
schema:
  type: object
  additionalProperties: false
  required: [pratica]
  properties:
    pratica: {{type: string}}
    numero: {{type: integer}}
    chi: {{type: string}}
"""
MANY = 20


@pytest.fixture(scope="module")
def worked(tmp_path_factory) -> Path:
    """A bus that took twenty messages and has stopped: one run waits, one is dead."""
    folder = tmp_path_factory.mktemp("planned")
    routes = {"pratica": ROUTE, "altro": ROUTE.replace("ufficio.pratica", "ufficio.altra")}
    work(office(folder, routes, ("pratica", "fine", "altra"), TYPE))
    return folder


def work(app: App) -> None:
    with at_work(app):
        for number in range(MANY):
            body: Any = {"pratica": f"x{number}", "numero": number, "chi": CF if number % 2 else OTHER}
            accepted = app.send(Submission("ufficio.pratica", body, "portale", key=f"k{number}")).result()
            wait_reply(app, accepted.id, 60)
        wait_reply(app, app.send(Submission("ufficio.altra", {**body, "pratica": "y"}, "portale")).result().id, 60)


def test_rules_that_are_the_same_are_an_empty_plan_though_comments_and_blanks_differ(worked, edited):
    assert plan(worked, edited).empty
    edit(edited, "  - id: rispondi\n", "  # says what it did\n\n  - id: rispondi\n")
    made = plan(worked, edited)
    assert made.empty
    assert "nothing would be otherwise" in made.as_text()


Case = tuple[str, str, list[tuple[str, str, int]], str]
CASES: dict[str, Case] = {
    "a threshold": ("body.numero >= 10", "body.numero >= 15", [
        ("branch", "choose[0] → otherwise", 4), ("call removed", "ufficio.archivia", 4)], "pratica.yaml:22:22"),
    "a field of a request": ("with: {numero: body.numero, chi: body.chi}\n    as", "with: {numero: body.numero, chi: 'lower(body.chi)'}\n    as", [
        ("call changed", "ufficio.registra request.chi", 20)], "pratica.yaml:11:38"),
    "a field of a reply": ("chi: body.chi}\n  - id: fine", "nome: body.chi}\n  - id: fine", [
        ("reply changed", "reply.chi", 19), ("reply changed", "reply.nome", 19)], "pratica.yaml:24:54"),
    "a step more, whose answer nobody reads": ("  - id: misura\n", "  - {id: anche, call: ufficio.archivia, with: {numero: 7, chi: body.chi}}\n  - id: misura\n", [
        ("no answer", "ufficio.archivia", 19), ("call added", "ufficio.archivia", 19)], "pratica.yaml:19:10"),
    "how a call is made": ("    as: registrata\n", "    as: registrata\n    timeout: 2s\n    retry: {attempts: 9}\n    limit: {count: 1, per: 1h}\n", [], ""),
    "a step of another name": ("id: archivia", "id: conserva", [], ""),
    "a step less": ("      - when: body.numero >= 10\n        steps: [{id: archivia, call: ufficio.archivia, with: {numero: body.numero, chi: body.chi}}]",
        "      - when: body.numero >= 10\n        steps: [{id: archivia, set: {niente: body.chi}}]", [("call removed", "ufficio.archivia", 9)], "pratica.yaml:22:22"),
    "another way when it is refused": ('error.kind == "refused"', 'error.kind == "refused" && body.numero == 0', [
        ("branch", "on_error[0] → straight on", 1), ("end changed", "dead ufficio.respinta → dead call.refused", 1), ("reply removed", "", 1)], ""),
    "another key of the case": ("registrata.protocollo}\n    on_error", '\'"n. " + registrata.protocollo\'}\n    on_error', [("key changed", "protocollo keys.protocollo", 19)], "pratica.yaml:13:24"),
    "another deadline": ("deadline: 30d", "deadline: 10d", [("wait changed", "ufficio.fine deadline", 1)], "pratica.yaml:28:15"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_edit_is_told_as_what_would_be_otherwise(worked, edited, name):
    old, new, expected, place = CASES[name]
    edit(edited, old, new)
    made = plan(worked, edited)
    assert found(made) == expected
    if place:
        assert made.at(made.groups[-1]).endswith(place)
    assert made.course.counts["concerned"] == MANY, "messages of other types are not looked into"
    assert made.messages == MANY + 1


def test_a_run_that_waits_for_what_only_the_edited_rules_send_goes_on(worked, edited):
    sends = """  - {id: manda, send: ufficio.fine, with: {pratica: body.pratica}}
  - {id: torna, wait: ufficio.fine, case: pratica, deadline: 1d, as: tornata}
  - {id: tornato, when: tornata == null, fail: ufficio.mai}
  - id: misura"""
    edit(edited, "  - id: misura", sends)
    assert found(plan(worked, edited)) == [("message added", "ufficio.fine", MANY - 1), ("wait added", "ufficio.fine", MANY - 1)]


def test_behind_a_call_whose_answer_is_read_and_not_known_nothing_is_said(worked, edited):
    edit(edited, "call: ufficio.registra\n", "call: ufficio.archivia\n")
    made = plan(worked, edited)
    kinds = {group.kind for group in made.groups}
    assert "no answer" in kinds
    assert not kinds & {"reply removed", "end changed", "wait removed"}


def test_a_request_that_the_operation_does_not_take_is_found_before_anybody_sends_it(worked, edited):
    edit(edited, "chi: body.chi}\n    as", "chi: body.numero}\n    as")
    try:
        made = plan(worked, edited)
    except RulesError:
        return  # the checker saw it
    assert ("end changed", "done → dead call.invalid-request", 18) in found(made)


def test_messages_that_would_be_refused_at_the_door_are_told(worked, edited):
    edit(edited, "numero: {type: integer}", "numero: {type: integer, maximum: 15}", "mappings/types/ufficio.pratica.yaml")
    made = plan(worked, edited)
    assert found(made) == [("refused", "ufficio.pratica body.numero", 4)]
    assert "      4 × message refused at the door: ufficio.pratica body.numero\n" in made.as_text()
    [place] = [line for line in made.as_text().splitlines() if line.endswith("  ufficio.pratica")]
    line, column = map(int, place.split()[0].split(":")[1:])
    assert place.startswith("          mappings/types/ufficio.pratica.yaml:")
    assert (edited / "mappings/types/ufficio.pratica.yaml").read_text().splitlines()[line - 1][column - 1 :].startswith("numero: {")


@pytest.mark.parametrize(("senders", "refused"), [("sysadmin", 20), ("sysadmin, portal", 0)])
def test_messages_whose_sender_the_edited_type_names_no_more_are_told(worked, edited, senders, refused):
    edit(edited, "schema:", f"senders: [{senders}]\nschema:", "mappings/types/ufficio.pratica.yaml")
    made = plan(worked, edited, origins={"portale": "portal"})
    assert found(made) == ([("refused", "ufficio.pratica senders", refused)] if refused else [])
    if refused:
        assert "20 × message refused at the door: ufficio.pratica senders\n          mappings/types/ufficio.pratica.yaml:" in made.as_text()
    assert found(plan(worked, edited)) == []


def test_a_sender_is_of_one_kind_as_far_as_the_settings_say_it():
    keys = [("portale", "portal"), ("portale", "portal"), ("sportello", "portal"), ("sportello", "sysadmin")]
    told = [own_key(name, role) | {"sha256": f"{number:064x}"} for number, (name, role) in enumerate(keys)]
    made = config.Config.model_validate(settings(keys=told, adapters={"pagopa": {}}))
    assert origins_of(made) == {"portale": "portal", "pagopa": "pagopa", "bus": "bus"}


@pytest.mark.parametrize(
    ("pointer", "field"),
    [("", "body"), ("/a", "body.a"), ("/a/3/b", "body.a[].b"), ("/a/b", "body.a"), ("/rossi/mario", "body"), ("/n/0", "body.n.0")],
)
def test_a_refused_message_is_told_by_what_its_type_declares_and_no_name_that_its_sender_chose(pointer, field):
    schema = {"properties": {"a": {"items": {"properties": {"b": {}}}}, "n": {"properties": {"0": {}}}}}
    assert declared(schema, pointer) == field


def test_a_route_that_is_gone_and_a_new_one_are_told(worked, edited):
    (edited / "routes/altro.yaml").unlink()
    (edited / "mappings/types/ufficio.altra.yaml").unlink()
    made = plan(worked, edited)
    assert ("refused", "ufficio.altra", 1) in found(made)
    assert "          in force mappings/types/ufficio.altra.yaml:2:1  ufficio.altra\n" in made.as_text()
    second = ROUTE.replace("route: ufficio.pratica", "route: ufficio.seconda").replace(
        "    case: {protocollo: registrata.protocollo}\n", ""
    )
    (edited / "routes/seconda.yaml").write_text(second, "utf-8")
    made = plan(worked, edited)
    assert ("run added", "ufficio.seconda", 20) in found(made)
    assert ("call added", "ufficio.registra", 20) in found(made)


def test_a_route_under_another_name_is_compared_with_what_it_was_called(worked, edited):
    """Not all of its calls made besides, and all of them not made any more: what matters of the edit would not be seen among them."""
    edit(edited, "route: ufficio.pratica", "route: ufficio.domanda")
    renamed = ("run renamed", "ufficio.pratica → ufficio.domanda", MANY)
    made = plan(worked, edited)
    assert found(made) == [renamed]
    assert made.at(made.groups[0]).startswith("routes/pratica.yaml:")
    edit(edited, "deadline: 30d", "deadline: 10d")
    assert found(plan(worked, edited)) == [renamed, ("wait changed", "ufficio.fine deadline", 1)]


def test_work_in_flight_is_told_with_the_rules_that_it_ends_under(worked, edited):
    edit(edited, "body.numero >= 10", "body.numero >= 15")
    made = plan(worked, edited)
    assert [(row["route"], row["state"], row["runs"]) for row in made.flight] == [
        ("ufficio.pratica", "dead", 1),
        ("ufficio.pratica", "waiting", 1),
    ]
    assert "they end under the rules that they began with" in made.as_text()


def test_lines_that_were_edited_and_new_findings_are_told(worked, edited):
    edit(edited, "owner: prove@comune.example\n", "")
    edit(edited, "body.numero >= 10", "body.numero >= 15")
    made = plan(worked, edited)
    assert [(one.place, one.what) for one in made.edits] == [("routes/pratica.yaml:4", "removed"), ("routes/pratica.yaml:20", "changed")]
    assert all(one.file == "routes/pratica.yaml" for one in made.findings)


def test_nobody_is_named_and_who_is_meant_can_be_told_apart(worked, edited):
    edit(edited, "chi: body.chi}\n    as", f'chi: \'body.chi == "{CF}" ? "{OTHER}" : body.chi\'}}\n    as')
    said = plan(worked, edited).as_text() + canonical(plan(worked, edited).as_json()).decode()
    assert CF not in said
    assert OTHER not in said
    assert '"‹codice fiscale 1›" → "‹codice fiscale 2›"' in said


def test_rules_with_errors_are_not_planned(worked, edited):
    edit(edited, "body.numero >= 10", "body.numeroo >=")
    with pytest.raises(RulesError):
        plan(worked, edited)


def test_rules_in_force_that_these_settings_cannot_use_are_told_as_those_and_not_as_the_edited_ones(worked, edited):
    fewer = {name: one for name, one in OPERATIONS.items() if name != "ufficio.archivia"}
    edit(edited, "ufficio.archivia", "ufficio.registra")
    with looking(worked) as reader, pytest.raises(RulesError, match="the rules in force do not go with these settings") as unfit:
        planned(reader, edited, fewer, window.newest(reader, 1000), 2)
    assert "try the edit with `bus test`" in unfit.value.hint


def test_what_was_erased_is_counted_and_not_guessed(worked, edited, tmp_path):
    shutil.copytree(worked / "var", tmp_path / "var")
    shutil.copy(worked / "config.yaml", tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
        raw.execute("DELETE FROM payloads WHERE id IN (SELECT payload FROM messages ORDER BY id LIMIT 3)")
        raw.commit()
    edit(edited, "chi: body.chi}\n    as", "chi: 'lower(body.chi)'}\n    as")
    made = plan(tmp_path, edited)
    assert (made.course.counts["erased"], made.course.counts["changed"]) == (3, 17)


def bus(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bus.cli", "plan", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, env={**os.environ, **environment})


def test_the_command_says_the_same_bytes_everywhere_and_has_an_exit_code_for_programs(worked, edited):
    same = bus("--config", str(worked / "config.yaml"))
    assert (same.returncode, same.stderr) == (0, "")
    assert same.stdout.endswith("nothing would be otherwise.\n")
    edit(edited, "body.numero >= 10", "body.numero >= 15")
    words = ("--config", str(worked / "config.yaml"), "--routes", str(edited), "--from", "2026-01-01", "--json")
    here = bus(*words, PYTHONHASHSEED="1", TZ="Europe/Rome")
    there = bus(*words, PYTHONHASHSEED="99", TZ="Pacific/Auckland", LC_ALL="C")
    assert here.returncode == there.returncode == 4, here.stderr
    assert here.stdout == there.stdout
    told = json.loads(here.stdout)
    assert told["messages"] == {"looked_at": 21, "concerned": 20, "same": 16, "changed": 4, "erased": 0, "unopened": 0}
    assert [(one["kind"], one["at"]) for one in told["changes"]] == [
        ("branch", "routes/pratica.yaml:19:9"), ("call removed", "routes/pratica.yaml:22:22"),
    ]  # fmt: skip


def test_edited_rules_with_errors_are_to_be_validated_in_their_own_folder(worked, edited):
    edit(edited, "body.numero >= 10", "body.numero >=")
    refused = bus("--config", str(worked / "config.yaml"), "--routes", str(edited))
    assert refused.returncode == 1
    assert f"run `bus validate {edited}`" in refused.stderr


TALKATIVE = """
import socket
from tests.integration.planning import Ufficio as Office
class Ufficio(Office): pass
socket.create_connection(("127.0.0.1", {port}), 1)
"""


def test_the_guard_refuses_a_socket_while_a_plan_is_made(worked, edited, tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        (tmp_path / "ciarliero.py").write_text(TALKATIVE.format(port=listening.getsockname()[1]), "utf-8")
        changed = {
            **json.loads((worked / "config.yaml").read_text("utf-8")),
            "adapters": {"ufficio": {"use": "ciarliero:Ufficio"}},
            "keystore": keystore_of(worked),
        }
        (edited / "config.yaml").write_text(json.dumps(changed), "utf-8")
        said = bus("--config", str(edited / "config.yaml"), "--store", f"sqlite:///{worked}/var/snodo.db",
                   PYTHONPATH=os.pathsep.join([os.environ["PYTHONPATH"], str(tmp_path), str(Path.cwd())]))  # fmt: skip
        assert "replay.egress" in said.stderr
        listening.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listening.accept()


def test_a_plan_on_postgresql_is_the_same(postgresql_url, worked, edited, tmp_path):
    changed = {
        **json.loads((worked / "config.yaml").read_text("utf-8")),
        "store": {"url": postgresql_url},
        "rules": str(worked),
    }
    (tmp_path / "config.yaml").write_text(json.dumps(changed), "utf-8")
    work(App(config.load(tmp_path / "config.yaml")))
    edit(edited, "body.numero >= 10", "body.numero >= 15")
    assert found(plan(tmp_path, edited)) == found(plan(worked, edited))


def cut_from(worked: Path, number: int, *, rules: Path | None = None, **how: str) -> Cut:
    with looking(worked) as reader:
        messages, _ = window.named(reader, f"x{number}")
        [page] = pages(reader, [messages[:1]], Rulebook.of(reader))
        return cut(page.openings[0], page, load(rules or worked, OPERATIONS), OPERATIONS, **how)


def verdict_of(test, catalog):
    """What becomes of a test that no file holds."""
    plan = catalog.routes["ufficio.pratica"].plan
    [verdict] = run_route(Route(plan, "", (TestDocument.model_validate(test),)), catalog, OPERATIONS)
    return verdict


@pytest.mark.parametrize(("number", "state"), [(2, "done"), (12, "done"), (1, "waiting"), (13, "dead")])
def test_a_test_is_cut_out_of_the_log_and_passes_with_nobody_real_in_it(worked, number, state):
    made = cut_from(worked, number, name="as it was")
    assert made.same
    assert made.test["expect"]["state"] == state
    text = as_yaml(made.test)
    assert not {CF, OTHER} & set(text.split('"'))
    catalog = load(worked, OPERATIONS)
    verdict = verdict_of(read(f"tests:\n{text}".encode(), "cut.yaml").plain()["tests"][0], catalog)
    assert verdict.passed, verdict.faults
    file = f"{ROUTE.lstrip()}tests:\n{text}"
    assert laid_out(file) == file, "as `bus fmt` would write it"


def test_a_message_that_its_type_refuses_today_gives_no_test_and_says_what_to_do(worked, edited):
    edit(edited, "numero: {type: integer}", "numero: {type: integer, maximum: 10}", "mappings/types/ufficio.pratica.yaml")
    with pytest.raises(TrialError, match=r"the body is not a ufficio\.pratica: /numero") as caught:
        cut_from(worked, 12, rules=edited)
    assert caught.value.hint.startswith("the rules in the folder do not take what was said then: take a message that came after")


BESIDE = """
  - id: insieme
    parallel:
      archivio: [{id: archivia, call: ufficio.archivia, with: {numero: body.numero, chi: body.chi}}]
      registro: [{id: registra, call: ufficio.registra, with: {numero: body.numero, chi: body.chi}, dead_on: any}]
"""


def test_branches_side_by_side_ask_in_no_order_that_a_test_could_miss(worked, edited):
    head, _, _ = ROUTE.partition("  - id: registra")
    (edited / "routes/pratica.yaml").write_text(head.rstrip("\n") + BESIDE, "utf-8")
    made = cut_from(worked, 12, rules=edited)
    assert (made.asked, made.same) == (("ufficio.registra", "ufficio.archivia"), True)


TWICE = """
  - id: insieme
    parallel:
      uno: [{id: primo, call: ufficio.registra, with: {numero: body.numero, chi: body.chi}, dead_on: any, as: x}]
      due: [{id: secondo, call: ufficio.registra, with: {numero: body.numero, chi: body.chi}, dead_on: any, as: y}]
  - {id: rispondi, reply: {uno: x.protocollo, due: y.protocollo}}
"""


def test_branches_that_ask_one_operation_get_the_answers_that_they_got_in_whatever_order(worked, edited):
    head, _, _ = ROUTE.partition("  - id: registra")
    (edited / "routes/pratica.yaml").write_text(head.rstrip("\n") + TWICE, "utf-8")
    catalog = load(edited, OPERATIONS)
    with looking(worked) as reader:
        messages, _ = window.named(reader, "x12")
        [page] = pages(reader, [messages[:1]], Rulebook.of(reader))
        [opening] = page.openings
        paths = {"registra": "insieme/due/secondo", "archivia": "insieme/uno/primo"}
        asked = [
            one._replace(path=paths[str(one.data["operation"])[8:]], data={**one.data, "operation": "ufficio.registra"})
            for one in page.journals[opening.run]
            if "operation" in one.data
        ]
        made = cut(opening, replace(page, journals={opening.run: asked}), catalog, OPERATIONS)
    assert made.test["expect"]["reply"] == {"uno": "A-12", "due": "P-12"}


def test_a_test_that_is_cut_can_fail(worked, edited):
    made = cut_from(worked, 12)
    edit(edited, "body.numero >= 10", "body.numero >= 15")
    catalog = load(edited, OPERATIONS)
    assert not verdict_of(made.test, catalog).passed


def test_a_test_with_which_the_rules_would_not_load_is_never_in_their_file(edited):
    name = load(edited, OPERATIONS).routes["ufficio.pratica"].file
    before = (edited / name).read_bytes(), (edited / name).stat().st_mtime_ns
    with pytest.raises(RulesError):
        _add(edited, name, "  - nam: a field that there is not\n", OPERATIONS)
    assert ((edited / name).read_bytes(), (edited / name).stat().st_mtime_ns) == before


def test_the_command_adds_a_test_to_the_routes_file(worked, edited):
    settings = {**json.loads((worked / "config.yaml").read_text("utf-8")), "keystore": keystore_of(worked)}
    (edited / "config.yaml").write_text(json.dumps(settings), "utf-8")
    command = [sys.executable, "-m", "bus.cli", "test", "new", "--from", "x12", "--write", "--name", "twelve is archived"]
    command += ["--config", str(edited / "config.yaml"), "--store", f"sqlite:///{worked}/var/snodo.db"]
    bare = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert (bare.returncode, "purpose.missing" in bare.stderr) == (2, True), bare.stderr
    with at_work(Server(App(config.load(worked / "config.yaml")), "127.0.0.1", 0)) as server:
        more = ["--purpose", "prova di regressione", "--url", server.url, "--key", key_of("sistemista")]
        said = subprocess.run([*command, *more], capture_output=True, text=True, timeout=90)
    assert said.returncode == 0, said.stderr
    catalog = load(edited, OPERATIONS)
    assert [one.name for one in catalog.routes["ufficio.pratica"].tests] == ["twelve is archived"]
    assert all(one.passed for one in run_folder(catalog, OPERATIONS))
