"""`bus why` and `bus why-not`: the conditions of a run at their place in the rules that it had, with what they read."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from bus.cli import main
from bus.cli.common import Granted
from bus.cli.dead import _letter
from bus.cli.why import _accounts
from bus.engine.asks import Call
from bus.errors import NotFound
from bus.log.record import Record
from bus.mapping.protected import EVERYTHING
from bus.replay.people import HIDDEN
from bus.replay.why import Reason, Values, _shown, _tried, _waits, masked
from bus.testing.patience import until
from tests.files import put
from tests.small_bus import TYPE, Caller, running, wait_reply

NOW = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
ROUTE = """\
route: prova.smista
version: 3
owner: prove@comune.example
purpose: takes one way of several
on: prova.domanda
case: {istanza: body.nome}
steps:
  - id: urgente
    when: body.?numero.orValue(0) > 10
    set: {urgente: true}
  - id: scegli
    choose:
      - when: body.nome.startsWith("A")
        steps: [{id: per-a, set: {lista: '"a"'}}]
      - when: >-
          size(body.nome) > 3 &&
          body.nome != "RSSMRA80A01H501U"
        steps:
          - id: righe
            each: '[1, 2].filter(n, n > size(body.nome))'
            steps: [{id: riga, set: {x: item}}]
    otherwise: [{id: altro, set: {lista: '"altro"'}}]
  - id: attendi
    wait: prova.sveglia
    deadline: 30d
    on_deadline: [{id: scaduta, set: {scaduta: true}}]
  - id: fine
    map: prova.esito
    as: esito
  - id: rispondi
    reply: {esito: esito.nome}
"""
ITEMS = """\
route: prova.righe
version: 1
on: prova.elenco
steps:
  - id: righe
    each: body.nome.split(",")
    steps:
      - id: una
        choose:
          - when: item == "a"
            steps: [{id: prima, set: {x: item}}, {id: mai, when: item == "z", set: {x: item}}]
        otherwise: [{id: altra, set: {x: item}}]
  - id: numeri
    each: '[1, 2].map(n, body.numero + n)'
    steps: [{id: numero, set: {y: item}}]
"""
BRANCHES = """\
route: prova.rami
version: 1
on: prova.bivio
case: {istanza: body.nome}
steps:
  - id: insieme
    parallel:
      a:
        - {id: prima, wait: prova.sveglia, deadline: 30d, on_deadline: []}
        - {id: dopo-prima, set: {x: 1}}
      b:
        - {id: seconda, wait: prova.altra-sveglia, deadline: 30d, on_deadline: []}
        - {id: dopo-seconda, set: {y: 1}}
"""
LATE = """\
route: prova.ritardi
version: 1
on: prova.ritardo
case: {istanza: body.nome}
steps:
  - {id: uno, gather: prova.terza-sveglia, count: 1, deadline: 30d, as: uno, on_late: [{id: tardi, set: {t: 1}}]}
  - {id: poi, set: {p: 1}}
"""
MAPPING = """\
mapping: prova.esito
from: prova.domanda
to: prova.domanda
fields: {nome: '"ok"'}
"""


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The settings of a bus that has stopped, and messages by name; the file of the route has been written anew since."""
    folder = tmp_path_factory.mktemp("why")
    routes = {"smista": ROUTE, "righe": ITEMS, "rami": BRANCHES, "ritardi": LATE}
    types = ("elenco", "bivio", "altra-sveglia", "ritardo", "terza-sveglia", "domanda")
    put(folder, {f"routes/prova/{name}.yaml": text for name, text in routes.items()})
    put(folder, {f"mappings/types/prova.{name}.yaml": TYPE.format(name=f"prova.{name}") for name in types})
    put(folder, {"mappings/prova/esito.yaml": MAPPING})
    messages: dict[str, str] = {}
    with running(folder) as server:
        call = Caller(server.port)
        for nome, numero in (("Ada", 12), ("Bo", 1), ("RSSMRA80A01H501U", 1), ("Carlo", 1), ("Dario", 1)):
            data = {"type": "prova.domanda", "data": {"nome": nome, "numero": numero}}
            messages[nome] = call("POST", "/messages", data, {"Idempotency-Key": nome}).json["id"]
        messages["righe"] = call("POST", "/messages", {"type": "prova.elenco", "data": {"nome": "b,a,c"}}, {"Idempotency-Key": "r"}).json[
            "id"
        ]
        messages["rami"] = call("POST", "/messages", {"type": "prova.bivio", "data": {"nome": "Dina"}}, {"Idempotency-Key": "b"}).json["id"]
        call("POST", "/messages", {"type": "prova.domanda", "data": {"nome": "Dina", "numero": 1}}, {"Idempotency-Key": "Dina"})
        call("POST", "/messages", {"type": "prova.sveglia", "data": {"nome": "Ada"}}, {"Idempotency-Key": "sveglia"})
        assert wait_reply(server.app, messages["Ada"], 60)["reply"] == {"esito": "ok"}
        call("POST", "/messages", {"type": "prova.ritardo", "data": {"nome": "Eva"}}, {"Idempotency-Key": "e"})
        for key in ("in-tempo", "tardi"):
            data = {"type": "prova.terza-sveglia", "data": {"nome": "Eva"}}
            messages[key] = call("POST", "/messages", data, {"Idempotency-Key": key}).json["id"]
            until(lambda: server.app.runs("done", "prova.ritardi"), "it was gathered")
        late = until(
            lambda: [one for one in server.app.runs("done", "prova.ritardi") if one["message"] == messages["tardi"]], "the late one"
        )
        messages["tardi"] = str(late[0]["id"])
        until(lambda: not server.app.runs("ready"), "each run came as far as it can")
        [given_up] = [one["id"] for one in server.app.runs("waiting") if one["message"] == messages["Dario"]]
        assert call("POST", f"/dead/{given_up}/discard", {"reason": "ritirata"}, name="sistemista").status == 200
    put(folder, {"routes/prova/smista.yaml": "# something else by now\n" + ROUTE})
    return folder / "config.yaml", messages


@pytest.fixture(autouse=True)
def _disarmed(monkeypatch: pytest.MonkeyPatch) -> None:
    from bus.replay import guard

    monkeypatch.setattr(guard, "arm", lambda: None)


def keystore_of(settings: Path) -> str:
    return str(json.loads((settings.parent / "var/keys/about.json").read_text("utf-8"))["id"])


def why_not(worked: tuple[Path, dict[str, str]], nome: str, step: str) -> tuple[str, str, dict[str, str]]:
    [told] = _accounts(worked[1][nome], worked[0], "", Granted(EVERYTHING, keystore_of(worked[0])))
    reason = told.why_not(step)
    return reason.at, reason.sentence, dict(reason.values)


@pytest.mark.parametrize(
    ("nome", "step", "at", "sentence", "values"),
    [
        ("Bo", "urgente", "9:11", "step `urgente` was passed over: its condition did not hold", {"body.numero": "1"}),
        ("Ada", "urgente", "9:11", "the step was taken: its condition held", {"body.numero": "12"}),
        ("Bo", "per-a", "13:15", "the condition of this clause did not hold", {"body.nome": '"Bo"'}),
        ("Ada", "altro", "13:15", "an earlier clause was taken: its condition held", {"body.nome": '"Ada"'}),
        ("Ada", "righe", "13:15", "an earlier clause was taken: its condition held", {"body.nome": '"Ada"'}),
        ("Bo", "riga", "16:11", "the condition of this clause did not hold", {"body.nome": '"Bo"'}),
        ("RSSMRA80A01H501U", "riga", "16:11", "the condition of this clause did not hold", {"body.nome": '"RSS************U"'}),
        ("Carlo", "riga", "20:19", "the list was empty", {}),
        ("Ada", "scaduta", "23:9", "what was awaited came before the deadline", {}),
        ("Bo", "scaduta", "23:9", "the deadline has not come yet", {}),
        ("Bo", "attendi", "23:9", "the step was taken, and the run waits here for `prova.sveglia`", {}),
        ("Dario", "scaduta", "23:9", "the deadline had not come when the run was given up", {}),
        ("Dario", "attendi", "23:9", "the step was taken, and the run was given up while it waited here for `prova.sveglia`", {}),
        ("Bo", "fine", "23:9", "the run did not come to step `fine`: the run waits here for `prova.sveglia`", {}),
    ],
)
def test_why_a_step_was_not_taken(worked, nome: str, step: str, at: str, sentence: str, values: dict[str, str]) -> None:
    """Places are those of the version that the run had, not of the file as it is now."""
    assert (f"routes/prova/smista.yaml:{at}", sentence, values) == why_not(worked, nome, step)


@pytest.mark.parametrize(
    ("step", "at", "sentence"),
    [
        ("prima", "11:26", "the step was taken"),
        ("altra", "12:26", "the step was taken"),
        ("mai", "11:66", "step `mai` was passed over: its condition did not hold"),
    ],
)
def test_a_step_that_was_taken_for_one_item_is_not_judged_by_the_last(worked, step: str, at: str, sentence: str) -> None:
    assert (f"routes/prova/righe.yaml:{at}", sentence) == why_not(worked, "righe", step)[:2]


@pytest.mark.parametrize(
    ("step", "at", "sentence"),
    [
        ("tardi", "6:93", "the step was taken"),
        ("poi", "6:10", "the run began with a message that came late for `uno`, and takes the steps of its `on_late` alone"),
    ],
)
def test_a_late_run_takes_the_steps_of_on_late_alone(worked, step: str, at: str, sentence: str) -> None:
    assert (f"routes/prova/ritardi.yaml:{at}", sentence) == why_not(worked, "tardi", step)[:2]


def test_a_message_that_began_no_run_is_told_as_such(worked) -> None:
    with pytest.raises(NotFound, match="no route began") as caught:
        why_not(worked, "in-tempo", "uno")
    assert caught.value.hint == f"where a run waited for it, take that run: bus message {worked[1]['in-tempo']} names it under `woke`"


def test_a_list_that_could_not_be_told_is_not_called_empty(worked) -> None:
    at, sentence, _ = why_not(worked, "righe", "numero")
    assert at.startswith("routes/prova/righe.yaml:13:")
    assert sentence.startswith("the run did not come to step `numero`: the run died here of expression.failed")


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ("prima", "the step was taken, and the run waits here for `prova.sveglia`"),
        ("seconda", "the step was taken, and the run waits here for `prova.altra-sveglia`"),
        ("dopo-prima", "the run did not come to step `dopo-prima`: the run waits here for `prova.sveglia`"),
        ("dopo-seconda", "the run did not come to step `dopo-seconda`: the run waits here for `prova.altra-sveglia`"),
    ],
)
def test_of_branches_that_wait_the_one_of_the_step_is_told(worked, step: str, sentence: str) -> None:
    assert sentence == why_not(worked, "rami", step)[1]


def test_values_are_shown_also_where_an_adapter_is_not_installed(worked) -> None:
    """What a field is protected by, its type says; an auditor's machine has not each program of the municipality."""
    settings = json.loads(worked[0].read_text("utf-8")) | {"adapters": {"gone": {"use": "no_such_package:Gone"}}}
    elsewhere = worked[0].with_name("elsewhere.yaml")
    elsewhere.write_text(json.dumps(settings), "utf-8")
    for sees in (EVERYTHING, frozenset({"sensitive"})):
        [told] = _accounts(worked[1]["Bo"], elsewhere, "", Granted(sees, keystore_of(worked[0])))
        assert {"body.nome": '"Bo"'} == dict(told.why_not("per-a").values), "by its type it is not protected, or it were not shown"


def test_why_tells_what_each_branch_waits_for(worked, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["why", worked[1]["rami"], "--config", str(worked[0])])
    waits = [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert ["the run waits here for `prova.sveglia`", "the run waits here for `prova.altra-sveglia`"] == waits


def test_why_says_of_which_item_a_step_is_told(worked, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["why", worked[1]["righe"], "--config", str(worked[0])])
    told = [line.partition("  routes/")[2].partition("  ")[2] for line in capsys.readouterr().out.splitlines() if ".yaml:" in line]
    assert [
        "una, item 1 of righe: the clause was not taken",
        "una, item 2 of righe: the clause was taken",
        "mai, item 2 of righe: the condition did not hold: the step was passed over",
        "una, item 3 of righe: the clause was not taken",
    ] == told[:4]
    assert 0 == main(["why-not", worked[1]["righe"], "mai", "--config", str(worked[0]), "--json"])
    assert "righe[1]/una/mai" == json.loads(capsys.readouterr().out)["path"]


def test_why_says_the_state_as_other_commands_do(worked, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a run that waits it is `waiting`, also after it took a message of another wait."""
    for nome, state in (("Bo", "waiting"), ("Ada", "done"), ("righe", "dead"), ("rami", "waiting"), ("Dario", "cancelled")):
        assert 0 == main(["why", worked[1][nome], "--config", str(worked[0])])
        assert state == capsys.readouterr().out.split()[2], nome


def test_a_run_that_a_process_died_of_is_not_said_to_wait() -> None:
    """The walk still waits for the answer: no step failed. What ended the run is in its record alone."""
    asked = Call("chiedi", "prova@1/chiedi", "anagrafe.cerca", {}, "k")
    assert "the run died of run.poison while it waited here for the answer of `anagrafe.cerca`" == _waits(asked, "died of run.poison")


def test_of_a_call_that_is_tried_again_it_is_told_how_the_last_try_ended() -> None:
    """Without a code of the other system its reason would show only once the run is dead, hours later."""
    data = {"code": "outside.unreachable", "cause": "TLS failed: certificate has expired"}
    record = Record(id="r", kind="unanswered", time=NOW, actor="bus", attempt=3, data=data)
    assert _tried(record) == "; try 3 got none: TLS failed: certificate has expired"
    assert _tried(record._replace(data={"code": "outside.unreachable", "outside_code": "HTTP_503"})) == "; try 3 got none: HTTP_503"
    assert _tried(None) == ""


def test_why_tells_every_condition_in_order_and_the_end_and_no_value_without_a_purpose(worked, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["why", worked[1]["Ada"], "--config", str(worked[0])])
    lines = capsys.readouterr().out.splitlines()
    assert "prova.smista@3  done" in lines[0]
    assert [
        "  routes/prova/smista.yaml:9:11  urgente: the condition held: the step was taken",
        "      body.?numero.orValue(0) > 10",
        f"      body.numero = {HIDDEN}",
        "  routes/prova/smista.yaml:13:15  scegli: the clause was taken",
        '      body.nome.startsWith("A")',
        f"      body.nome = {HIDDEN}",
    ] == lines[1:7]
    assert lines[-1] == "  routes/prova/smista.yaml:1:1  prova.smista@3: the route came to its end"


def test_both_speak_json_and_know_the_steps(worked, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["why-not", worked[1]["Bo"], "per-a", "--config", str(worked[0]), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert ("routes/prova/smista.yaml:13:15", {"body.nome": HIDDEN}) == (told["at"], told["values"])
    assert 0 == main(["why", worked[1]["Bo"], "--config", str(worked[0]), "--json"])
    assert "the run waits here for `prova.sveglia`" == json.loads(capsys.readouterr().out)["reasons"][-1]["sentence"]
    assert 0 != main(["why-not", worked[1]["Bo"], "fin", "--config", str(worked[0])])
    told = capsys.readouterr().err
    assert "prova.smista@3 has no step 'fin' under the rules of this run (" in told, "the file may have it by now"
    assert "did you mean fine?" in told


def test_several_runs_of_a_case_are_one_document_and_those_without_the_step_are_passed_over(
    worked, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--config", str(worked[0])]
    assert 0 == main(["why", "istanza:Dina", "--json", *settings])
    assert [["reasons", "rules", "run"]] * 2 == [sorted(one) for one in json.loads(capsys.readouterr().out)]
    for step in ("dopo-prima", "urgente"):
        assert 0 == main(["why-not", "istanza:Dina", step, *settings])
        assert 1 == capsys.readouterr().out.count("  rules "), step
    assert 0 != main(["why-not", "istanza:Dina", "fin", *settings])
    told = capsys.readouterr().err
    assert "prova.rami@1 has no step 'fin'" in told
    assert "prova.smista@3 has no step 'fin'" in told


def test_what_a_terminal_would_obey_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence of a dead letter, and what a condition read, are what a message or another system said."""
    told = Reason("a.yaml:1:1", "r@1/a", Values(EVERYTHING).sentence("a\x1b[2J\nb"), "x", (("x", _shown("c\x9b2J  d")),))
    _letter({"run": "r", "sentence": "a\x1b[2J\nb", "code": "x.y", "place": "r@1/a", "since": "2026-11-28T08:00:00Z", "message": "m",
             "detail": {}, "evidence": [], "doubt": False})  # fmt: skip
    assert ["  a.yaml:1:1  a: a [2J b", "      x", '      x = "c\ufffd2J  d"'] == list(told.lines())
    assert "  what     a [2J b (x.y)\n" in capsys.readouterr().out


def test_a_codice_fiscale_is_never_told_whole() -> None:
    assert "di RSS************U e RSS************U" == masked("di RSSMRA80A01H501U e RSSMRA80A01H50MU")
    assert "pratica ABC123" == masked("pratica ABC123")
