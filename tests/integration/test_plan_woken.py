"""`bus plan` behind a message that a route sends to runs that wait for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.engine.arrival import Submission
from bus.message import canonical
from bus.planning.planning import planned as plans
from bus.replay import window
from bus.testing.patience import until
from tests.integration.activating import Bus
from tests.integration.planning import HEAD, NAME, edit, found, looking, office, plan
from tests.small_bus import RULES, at_work

ROUTES = {
    "pratica": """
  - {id: avvisa, send: ufficio.avviso, with: {pratica: body.pratica, numero: body.numero}}
  - {id: conta, when: body.numero < 3, send: ufficio.parte, with: {pratica: body.pratica, numero: body.numero}}
  - {id: ancora, send: ufficio.parte, with: {pratica: body.pratica, numero: body.numero + 100}}
""",
    "attesa": """
  - {id: aspetta, wait: ufficio.avviso, case: pratica, deadline: 30d, as: avviso}
  - {id: archivia, call: ufficio.archivia, with: {numero: avviso.numero, chi: '"sig. " + body.cognome'}}
""",
    "somma": """
  - {id: parti, gather: ufficio.parte, count: 2, deadline: 30d, as: parti}
  - {id: archivia, call: ufficio.archivia, with: {numero: 'parti[0].numero', chi: body.pratica}}
  - {id: fine, send: ufficio.fine, with: {pratica: body.pratica, numero: 'parti[0].numero + parti[1].numero'}}
""",
    "tardi": """
  - id: aspetta
    wait: ufficio.avviso
    case: pratica
    deadline: 1s
    as: avviso
    on_late:
      - {id: tardi, call: ufficio.registra, with: {numero: body.numero, chi: body.pratica}}
""",
    "sollecitata": """
  - {id: aspetta, wait: ufficio.sollecito, case: pratica, deadline: 30d, as: sollecito}
  - {id: archivia, call: ufficio.archivia, with: {numero: sollecito.numero, chi: body.pratica}}
""",
    "conteggio": """
  - {id: solleciti, gather: ufficio.sollecito, count: 2, deadline: 30d, as: solleciti}
  - {id: fine, send: ufficio.fine, with: {pratica: body.pratica, numero: 'solleciti[0].numero + solleciti[1].numero'}}
""",
    "scaduta": """
  - id: aspetta
    wait: ufficio.sollecito
    case: pratica
    deadline: 1s
    as: sollecito
    on_late:
      - {id: tardi, send: ufficio.fine, with: {pratica: body.pratica, numero: body.numero}}
""",
    "fine": """
  - {id: registra, call: ufficio.registra, with: {numero: body.numero, chi: body.pratica}}
""",
}
MANY = 4


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def worked(request, tmp_path_factory) -> Path:
    """A bus that took four messages; each woke two runs, of which one sent on what it had gathered, unless a part was missing, and came too
    late for a third; two more wait, or waited, for what nobody sends."""
    folder = tmp_path_factory.mktemp("woken")
    routes = {name: HEAD.format(name=name) + steps for name, steps in ROUTES.items()}
    url = request.getfixturevalue("_postgresql").new_database() if request.param == "postgresql" else f"sqlite:///{folder}/var/snodo.db"
    with at_work(office(folder, routes, (*ROUTES, "avviso", "parte", "sollecito"), store={"url": url})) as app:
        for kind in ("attesa", "somma", "tardi", "scaduta", "sollecitata", "conteggio", "pratica"):
            for number in range(MANY):
                app.send(Submission(f"ufficio.{kind}", {"pratica": f"x{number}", "numero": number, "cognome": NAME}, "portale")).result()
            until(lambda: not any(app.runs(state=state, most=1) for state in ("ready", "running")), "all runs wait or have ended")
            if kind in ("tardi", "scaduta"):
                until(lambda kind=kind: len(app.runs(state="done", route=f"ufficio.{kind}")) == MANY, "their deadlines have passed")
    return folder


def planned(worked: tuple[Path, str], edited: Path) -> list[tuple[str, str, int]]:
    """What a plan finds; twice the same, byte for byte."""
    made = plan(worked, edited)
    assert canonical(made.as_json()) == canonical(plan(worked, edited).as_json())
    return sorted(found(made))


def test_a_message_sent_otherwise_is_followed_into_the_run_that_waited_for_it(worked, edited):
    edit(
        edited,
        "with: {pratica: body.pratica, numero: body.numero}}\n  - {id: conta",
        "with: {pratica: body.pratica, numero: 7}}\n  - {id: conta",
    )
    assert planned(worked, edited) == [
        ("call changed", "ufficio.archivia request.numero", MANY),
        ("call changed", "ufficio.registra request.numero", MANY),
        ("message changed", "ufficio.avviso message.numero", MANY),
    ]


def test_a_message_that_is_not_sent_any_more_leaves_the_run_waiting(worked, edited):
    edit(edited, "id: avvisa, ", "id: avvisa, when: body.numero > 0, ")
    assert planned(worked, edited) == [
        ("branch", "straight on → passed-over", 1),
        ("call removed", "ufficio.archivia", 1),
        ("call removed", "ufficio.registra", 1),
        ("end changed", "done → no run", 1),
        ("end changed", "done → open", 1),
        ("message removed", "ufficio.avviso", 1),
        ("run removed", "ufficio.tardi", 1),
    ]


def test_who_is_named_in_a_run_that_waited_is_not_shown(worked, edited):
    edit(edited, "id: avvisa, ", "id: avvisa, when: body.numero > 0, ")
    said = plan(worked, edited).as_text()
    assert '"sig. ‹cognome 1›"' in said
    assert NAME not in said


def test_a_message_that_would_carry_another_key_does_not_wake_it(worked, edited):
    edit(edited, "send: ufficio.avviso, with: {pratica: body.pratica,", "send: ufficio.avviso, with: {pratica: body.pratica + '!',")
    assert {("call removed", "ufficio.archivia", MANY), ("end changed", "done → open", MANY)} <= set(planned(worked, edited))


def test_a_message_whose_edited_type_gives_it_another_key_does_not_wake_it(worked, edited):
    """Whoever sent it: nothing of the route that sends it was edited, nor of the one that waits for it."""
    edit(edited, "case: {pratica: body.pratica}", "case: {pratica: body.pratica + '!'}", "mappings/types/ufficio.avviso.yaml")
    assert planned(worked, edited) == [
        ("call removed", "ufficio.archivia", MANY),
        ("call removed", "ufficio.registra", MANY),
        ("end changed", "done → no run", MANY),
        ("end changed", "done → open", MANY),
        ("key changed", "pratica keys.pratica", MANY),
        ("run removed", "ufficio.tardi", MANY),
    ]


def test_it_is_followed_into_what_a_gathering_run_sends_in_turn(worked, edited):
    edit(edited, "numero: body.numero + 100", "numero: body.numero + 200")
    assert planned(worked, edited) == [
        ("call changed", "ufficio.registra request.numero", MANY - 1),
        ("message changed", "ufficio.fine message.numero", MANY - 1),
        ("message changed", "ufficio.parte message.numero", MANY),
    ]


def test_of_several_that_a_run_gathers_the_others_move_up(worked, edited):
    edit(edited, "when: body.numero < 3", "when: body.numero < 2")
    assert {("call removed", "ufficio.archivia", 1), ("end changed", "done → open", 1), ("run removed", "ufficio.fine", 1)} <= set(
        planned(worked, edited)
    )


def test_runs_in_flight_are_told_that_wait_for_a_type_that_is_edited(worked, edited):
    edit(edited, "numero: {type: integer}", "numero: {type: integer, minimum: 0}", "mappings/types/ufficio.parte.yaml")
    made = plan(worked, edited)
    assert [(row["route"], row["state"], row["runs"], row["types"]) for row in made.flight] == [
        ("ufficio.somma", "waiting", 1, ["ufficio.parte"])
    ]
    assert "it may wait for ufficio.parte, which is otherwise: messages come as the edited type lets them in" in made.as_text()


def test_runs_in_flight_are_told_to_take_a_type_that_is_gone_as_it_was(worked, edited):
    for path in ("routes/somma.yaml", "routes/pratica.yaml", "mappings/types/ufficio.parte.yaml"):
        (edited / path).unlink()
    assert "it may wait for ufficio.parte, which is gone: it is taken as it was, for them" in plan(worked, edited).as_text()


SENT = "  - {id: avvisa, "


def _sollecita(step: str, numero: str, pratica: str = "body.pratica") -> str:
    return f"  - {{id: {step}, send: ufficio.sollecito, with: {{pratica: {pratica}, numero: {numero}}}}}\n"


def test_a_message_sent_besides_wakes_who_waits_and_opens_a_run_where_it_is_late(worked, edited):
    edit(edited, SENT, _sollecita("uno", "body.numero") + SENT)
    assert {
        ("call added", "ufficio.archivia", MANY),
        ("call added", "ufficio.registra", MANY),
        ("end changed", "open → done", MANY),
        ("run added", "ufficio.fine", MANY),
        ("run added", "ufficio.scaduta", MANY),
        ("wait added", "ufficio.sollecito", MANY),
    } <= set(planned(worked, edited))


def test_a_message_sent_besides_that_carries_the_key_of_nobody_wakes_only_who_waits_for_any_of_the_case(worked, edited):
    edit(edited, SENT, _sollecita("uno", "body.numero", "body.pratica + '!'") + SENT)
    assert planned(worked, edited) == [("message added", "ufficio.sollecito", MANY), ("wait added", "ufficio.sollecito", MANY)]


def test_who_gathers_takes_what_is_sent_besides_in_its_turn(worked, edited):
    edit(edited, "when: body.numero < 3", "when: body.numero < 4")
    assert {("call added", "ufficio.archivia", 1), ("run added", "ufficio.fine", 1), ("end changed", "open → done", 1)} <= set(
        planned(worked, edited)
    )
    said = plan(worked, edited).as_text()
    assert '{"chi":"x3","numero":3}' in said  # the first of the two, since it would have come first


def test_two_that_are_sent_besides_are_gathered_together(worked, edited):
    edit(edited, SENT, _sollecita("uno", "1") + _sollecita("due", "2") + SENT)
    assert {
        ("call added", "ufficio.archivia", MANY),
        ("call added", "ufficio.registra", 3 * MANY),
        ("run added", "ufficio.fine", 3 * MANY),
        ("run added", "ufficio.scaduta", 2 * MANY),
    } <= set(planned(worked, edited))


def test_who_is_named_first_in_a_message_sent_besides_is_not_shown(worked, edited):
    edit(edited, SENT, _sollecita("uno", "1").replace("numero: 1", "numero: 1, cognome: '\"Immaginari\"'") + SENT)
    edit(
        edited,
        "with: {pratica: body.pratica, numero: body.numero}}\n",
        "with: {pratica: '\"da \" + body.cognome', numero: 1}}\n",
        "routes/scaduta.yaml",
    )
    said = plan(worked, edited).as_text()
    assert "da ‹cognome" in said
    assert "Immaginari" not in said.partition("Messages")[2]


ASPETTA = "  - {id: aspetta, wait: ufficio.avviso, case: pratica, deadline: 30d, as: avviso}\n"


def _waiting(folder: Path, wait: str, old: str = "numero: avviso.numero", new: str = "numero: avviso.numero") -> None:
    """One more wait in the route `attesa`, behind the one that it has."""
    edit(folder, ASPETTA, f"{ASPETTA}  - {{{wait}}}\n", "routes/attesa.yaml")
    edit(folder, old, new, "routes/attesa.yaml")


def test_a_wait_that_only_the_edited_rules_open_takes_what_the_log_has_for_it(worked, edited):
    _waiting(edited, "id: pure, wait: ufficio.parte, case: pratica, deadline: 30d, as: parte", new="numero: parte.numero")
    assert planned(worked, edited) == [
        ("arrival added", "ufficio.parte", MANY),
        ("call changed", "ufficio.archivia request.numero", 1),  # of the fourth there is one part, 103
        ("wait added", "ufficio.parte", MANY),
    ]


def test_a_wait_that_only_the_edited_rules_open_for_what_they_send_otherwise_is_said_not_to_be_followed(worked, edited):
    note = "your rules send that otherwise, too: what other runs would send is not followed into this wait"
    _waiting(edited, "id: pure, wait: ufficio.parte, case: pratica, deadline: 30d, as: parte", new="numero: parte.numero")
    assert note not in plan(worked, edited).as_text()
    edit(edited, "numero: body.numero + 100", "numero: body.numero + 200")
    lines = plan(worked, edited).as_text().splitlines()
    assert "waits besides: ufficio.parte" in lines[next(at for at, line in enumerate(lines) if note in line) - 2]


def test_a_wait_for_any_message_of_the_case_takes_what_the_log_has_for_it(worked, edited):
    _waiting(edited, "id: pure, wait: ufficio.parte, deadline: 30d, as: parte", new="numero: parte.numero")
    assert ("arrival added", "ufficio.parte", MANY) in planned(worked, edited)


def test_a_wait_that_no_message_of_the_log_fulfils_is_said_to_be_in_vain(worked, edited):
    _waiting(edited, "id: pure, wait: ufficio.sollecito, case: pratica, deadline: 30d, as: sollecito")
    assert planned(worked, edited) == [
        ("call removed", "ufficio.archivia", MANY),
        ("end changed", "done → open", MANY),
        ("no arrival", "ufficio.sollecito", MANY),
        ("wait added", "ufficio.sollecito", MANY),
    ]
    assert "waits for what no message of the log brings: ufficio.sollecito" in plan(worked, edited).as_text()


def test_a_wait_whose_deadline_passed_before_the_log_ends_is_over(worked, edited):
    _waiting(edited, "id: pure, wait: ufficio.sollecito, case: pratica, deadline: 1s, as: sollecito")
    assert planned(worked, edited)[-2:] == [("no arrival", "ufficio.sollecito", MANY), ("wait added", "ufficio.sollecito", MANY)]


def test_a_message_is_taken_once_by_a_run(worked, edited):
    """The wait before takes what the one behind had: it is taken once, and the one behind waits for another."""
    prima = ASPETTA.replace("aspetta", "prima").replace("as: avviso", "as: primo")
    edit(edited, ASPETTA, prima + ASPETTA, "routes/attesa.yaml")
    assert planned(worked, edited) == [
        ("call removed", "ufficio.archivia", MANY),
        ("end changed", "done → open", MANY),
        ("wait added", "ufficio.avviso", MANY),
    ]


def test_a_longer_deadline_takes_what_came_too_late(worked, edited):
    edit(edited, "deadline: 1s", "deadline: 30d", "routes/tardi.yaml")
    assert planned(worked, edited) == [
        ("arrival added", "ufficio.avviso", MANY),
        ("branch", "on_deadline → straight on", MANY),
        ("call removed", "ufficio.registra", MANY),  # of the runs that they opened by coming late
        ("end changed", "done → no run", MANY),
        ("run removed", "ufficio.tardi", MANY),
        ("wait changed", "ufficio.avviso deadline", MANY),
    ]


def test_a_shorter_deadline_does_not_take_what_came_after_it(worked, edited):
    late = "{id: dopo, call: ufficio.registra, with: {numero: body.numero, chi: body.pratica}}"
    edit(edited, "deadline: 30d, as: avviso", f"deadline: 1s, as: avviso, on_late: [{late}]", "routes/attesa.yaml")
    edit(edited, "numero: avviso.numero", "'numero': 'avviso == null ? 0 : avviso.numero'", "routes/attesa.yaml")
    assert {
        ("arrival removed", "ufficio.avviso", MANY),
        ("run added", "ufficio.attesa", MANY),  # that they would open by coming late
        ("call added", "ufficio.registra", MANY),
        ("wait changed", "ufficio.avviso deadline", MANY),
    } <= set(planned(worked, edited))


def test_a_message_whose_place_another_takes_that_is_sent_besides_comes_late(worked, edited):
    """Both are for one wait, and only one is taken; the other opens a run."""
    late = "on_late: [{id: dopo, call: ufficio.registra, with: {numero: body.numero, chi: body.pratica}}]"
    edit(edited, "deadline: 30d, as: avviso", f"deadline: 30d, as: avviso, {late}", "routes/attesa.yaml")
    sent = "  - {id: avvisa, send: ufficio.avviso"
    edit(edited, sent, sent.replace("avvisa", "prima") + ", with: {pratica: body.pratica, numero: 7}}\n" + sent)
    found = planned(worked, edited)
    assert ("call changed", "ufficio.archivia request.numero", MANY) in found
    assert ("arrival removed", "ufficio.avviso", MANY) in found
    assert ("run added", "ufficio.attesa", MANY) in found


def test_a_wait_of_another_name_that_ended_with_its_deadline_is_no_difference(worked, edited):
    edit(edited, "id: aspetta", "id: attendi", "routes/scaduta.yaml")
    assert planned(worked, edited) == []


def test_a_run_that_only_the_edited_rules_start_takes_what_the_log_has_in_its_case(worked, edited):
    edit(edited, "wait: ufficio.sollecito, case: pratica, ", "wait: ufficio.avviso, ", "routes/sollecitata.yaml")
    edit(edited, SENT, "  - {id: avvia, send: ufficio.sollecitata, with: {pratica: body.pratica, numero: body.numero}}\n" + SENT)
    found = planned(worked, edited)
    assert ("run added", "ufficio.sollecitata", MANY) in found
    assert ("arrival added", "ufficio.avviso", 2 * MANY) in found  # by the runs that there are, and by those that there would be


def test_a_message_of_earlier_rules_is_walked_through_both_as_if_they_had_been_in_force(tmp_path):
    """Its run waited for nothing; under the rules in force, as under the edited ones, it would have taken what came."""
    path = "routes/prova/aspetta.yaml"
    bus = Bus(tmp_path)
    bus.put(path, RULES[path].partition("steps:")[0] + "steps:\n  - {id: rispondi, reply: {svegliato: body.nome}}\n")
    bus.activate()
    bus.send("prova.attesa", "Uno", wait=10)
    bus.put(path, RULES[path])
    bus.activate()
    bus.send("prova.sveglia", "Uno")
    bus.stop()
    bus.edit(path, "30d", "20d")
    with looking(tmp_path) as reader:
        made = plans(reader, tmp_path, {}, window.newest(reader, 100), 2)
    assert [("wait changed", "prova.sveglia deadline", 1)] == found(made)
