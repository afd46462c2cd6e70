"""`bus plan` behind a message that a route sends, keys that tell repeated messages, and names of people."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.engine.arrival import Submission
from bus.message import canonical
from tests.integration.planning import NAME, edit, found, office, plan
from tests.small_bus import at_work

SENDS = """
route: ufficio.pratica
version: 1
owner: prove@comune.example
purpose: hands on
on: ufficio.pratica
key: body.pratica
case: {pratica: body.pratica}
steps:
  - id: avvisa
    when: body.numero < 9
    send: ufficio.altra
    with: {pratica: body.pratica, numero: body.numero, cognome: body.cognome}
"""
TAKES = """
route: ufficio.altra
version: 1
owner: prove@comune.example
purpose: registers, and hands on
on: ufficio.altra
case: {pratica: body.pratica}
steps:
  - id: registra
    call: ufficio.registra
    with: {numero: body.numero, chi: '"sig. " + body.cognome'}
    as: registrata
  - {id: poi, send: ufficio.fine, with: {pratica: body.pratica, numero: body.numero + 1}}
"""
ENDS = """
route: ufficio.fine
version: 1
owner: prove@comune.example
purpose: archives
on: ufficio.fine
case: {pratica: body.pratica}
steps:
  - {id: archivia, call: ufficio.archivia, with: {numero: body.numero, chi: body.pratica}}
"""
MANY = 10


@pytest.fixture(scope="module")
def worked(tmp_path_factory) -> Path:
    """A bus that took ten messages, of which nine were sent on, and on again; it has stopped."""
    folder = tmp_path_factory.mktemp("followed")
    with at_work(office(folder, {"pratica": SENDS, "altra": TAKES, "fine": ENDS}, ("pratica", "altra", "fine"))) as app:
        for number in range(MANY):
            app.send(Submission("ufficio.pratica", {"pratica": f"x{number}", "numero": number, "cognome": NAME}, "portale")).result()
        while app.backlog.check() is None and any(app.runs(state=state, most=1) for state in ("ready", "running")):
            pass
    return folder


def test_a_message_that_would_be_sent_otherwise_is_followed_into_the_routes_that_it_starts(worked, edited):
    edit(edited, "numero: body.numero, cognome", "numero: body.numero + 100, cognome")
    made = plan(worked, edited)
    assert sorted(found(made)) == [
        ("call changed", "ufficio.archivia request.numero", 9),
        ("call changed", "ufficio.registra request.numero", 9),
        ("message changed", "ufficio.altra message.numero", 9),
        ("message changed", "ufficio.fine message.numero", 9),
    ]
    assert {"routes/altra.yaml", "routes/fine.yaml"} <= {made.at(group).partition(":")[0] for group in made.groups}


def test_a_message_that_would_not_be_sent_starts_nothing_any_more_and_one_besides_starts_what_it_starts(worked, edited):
    edit(edited, "body.numero < 9", "body.numero > 7")
    made = plan(worked, edited)
    changes = found(made)
    assert ("run removed", "ufficio.altra", 8) in changes
    assert ("run removed", "ufficio.fine", 8) in changes
    assert ("call removed", "ufficio.archivia", 8) in changes
    assert ("run added", "ufficio.altra", 1) in changes
    assert ("no answer", "ufficio.registra", 1) in changes
    assert all(made.at(group) for group in made.groups)


def test_what_the_rules_in_force_send_is_judged_by_their_own_types(worked, edited):
    edit(edited, "  - {id: poi, send: ufficio.fine, with: {pratica: body.pratica, numero: body.numero + 1}}\n", "", "routes/altra.yaml")
    (edited / "routes/fine.yaml").unlink()
    (edited / "mappings/types/ufficio.fine.yaml").unlink()
    ends = {(one.place, one.subject) for one in plan(worked, edited).groups if one.kind == "end changed"}
    assert {("ufficio.fine@1", "done → no run")} == ends


def test_what_is_sent_otherwise_to_an_edited_route_is_told_once(worked, edited):
    """The message itself is in the window too, and its route is edited: it is not planned a second time with the body of then."""
    edit(edited, "numero: body.numero, cognome", "numero: body.numero + 100, cognome")
    edit(edited, '"sig. "', '"gentile "', "routes/altra.yaml")
    changes = found(plan(worked, edited))
    assert ("call changed", "ufficio.registra request.numero", 9) in changes
    assert ("call changed", "ufficio.registra request.chi", 9) in changes


def test_another_key_is_told_at_its_line(worked, edited):
    edit(edited, "key: body.pratica", "key: body.pratica + text(body.numero)")
    made = plan(worked, edited)
    assert found(made) == [("run key changed", "key", MANY)]
    assert made.at(made.groups[0]) == "routes/pratica.yaml:7:6"
    assert "key that tells repeated messages" in made.as_text()


def test_a_key_that_is_taken_away_is_told_where_it_stands_in_force(worked, edited):
    edit(edited, "key: body.pratica\n", "")
    made = plan(worked, edited)
    assert found(made) == [("run key changed", "key", MANY)]
    assert "in force routes/pratica.yaml:7:6  ufficio.pratica@1" in made.as_text()


def test_a_key_of_the_case_that_the_type_gives_too_is_not_gone_where_the_route_does_not_say_it_any_more(worked, edited):
    edit(edited, "case: {pratica: body.pratica}", "case: {numero: text(body.numero)}")
    made = plan(worked, edited)
    assert found(made) == [("key changed", "numero keys.numero", MANY)]
    edit(edited, "case: {pratica: body.pratica}\n", "", "mappings/types/ufficio.pratica.yaml")
    made = plan(worked, edited)
    assert {made.at(group) for group in made.groups if group.subject == "pratica"} == {
        "routes/pratica.yaml:8:17",
        "mappings/types/ufficio.pratica.yaml:4:8",
    }


def test_another_key_or_case_of_a_type_is_told_at_its_line(worked, edited):
    """Routes give the case the key `pratica` themselves: nothing is otherwise where its type no longer does."""
    edit(
        edited,
        "case: {pratica: body.pratica}",
        "case: {numero: body.numero}\nkey: text(body.numero)",
        "mappings/types/ufficio.pratica.yaml",
    )
    made = plan(worked, edited)
    assert sorted(found(made)) == [("key changed", "numero keys.numero", MANY), ("run key changed", "key", MANY)]
    places = {group.kind: made.at(group) for group in made.groups}
    file = "mappings/types/ufficio.pratica.yaml"
    assert places == {"key changed": f"{file}:4:8", "run key changed": f"{file}:5:1"}


def test_names_of_people_are_never_shown_also_within_other_texts(worked, edited):
    edit(edited, '"sig. "', '"gentile "', "routes/altra.yaml")
    made = plan(worked, edited)
    said = made.as_text() + canonical(made.as_json()).decode()
    assert NAME.lower() not in said.lower()
    assert '"sig. ‹cognome 1›" → "gentile ‹cognome 1›"' in said
    edit(edited, "cognome: body.cognome", "cognome: upper(body.cognome)")
    assert NAME.lower() not in plan(worked, edited).as_text().lower()


def test_a_followed_plan_is_the_same_each_time(worked, edited):
    edit(edited, "numero: body.numero, cognome", "numero: body.numero + 100, cognome")
    assert plan(worked, edited).as_text() == plan(worked, edited).as_text()
    assert canonical(plan(worked, edited).as_json()) == canonical(plan(worked, edited).as_json())
