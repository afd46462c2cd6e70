"""`bus plan` of steps that an edit moves to the other side of a wait: what they do is the same, and the portal has it weeks later."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from bus.engine.arrival import Submission
from bus.planning import difference
from bus.testing.patience import until
from tests.integration.planning import HEAD, edit, found, office, plan
from tests.small_bus import at_work

REGISTER = "  - {id: registra, call: ufficio.registra, with: {numero: body.numero, chi: body.pratica}}\n"
REPLY = "  - {id: rispondi, reply: {numero: body.numero}}\n"
SEND = "  - {id: avvisa, send: ufficio.fine, with: {pratica: body.pratica, numero: body.numero}}\n"
WAIT = "  - {id: aspetta, wait: ufficio.sollecito, case: pratica, deadline: 2s, as: sollecito}\n"
MANY = 3


@pytest.fixture(scope="module")
def worked(tmp_path_factory) -> Path:
    """A bus that has registered three messages, replied, sent on to a route that registers them too, and then waited in vain."""
    folder = tmp_path_factory.mktemp("shifted")
    store = {"url": f"sqlite:///{folder}/var/snodo.db"}
    routes = {"lenta": HEAD.format(name="lenta") + REGISTER + REPLY + SEND + WAIT, "fine": HEAD.format(name="fine") + REGISTER}
    with at_work(office(folder, routes, ("lenta", "fine", "sollecito"), store=store)) as app:
        for number in range(MANY):
            app.send(Submission("ufficio.lenta", {"pratica": f"x{number}", "numero": number}, "portale")).result()
        until(lambda: len(app.runs(state="done", route="ufficio.lenta")) == MANY, "all have waited in vain")
    return folder


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (REPLY + SEND + WAIT, SEND + WAIT + REPLY, [("reply shifted", "time", MANY)]),
        (REGISTER + REPLY + SEND + WAIT, WAIT + REGISTER + REPLY + SEND, [
            ("call shifted", "ufficio.registra time", MANY), ("message shifted", "ufficio.fine time", MANY), ("reply shifted", "time", MANY),
        ]),
        (REGISTER + REPLY + SEND, SEND + REPLY + REGISTER, []),
        (WAIT, WAIT.replace("2s", "3s"), [("wait changed", "ufficio.sollecito deadline", MANY)]),
    ],
    ids=["a reply behind it", "all behind it", "in another order before it", "a longer wait"],
)  # fmt: skip
def test_what_a_wait_makes_later_is_told_though_it_is_the_same(worked, edited, monkeypatch, old, new, told):
    monkeypatch.setattr(difference, "SHIFT", dt.timedelta(seconds=1))
    edit(edited, old, new, "routes/lenta.yaml")
    assert sorted(found(plan(worked, edited))) == told


def test_what_is_later_by_less_than_a_wait_for_people_is_no_difference(worked, edited):
    edit(edited, REPLY + SEND + WAIT, SEND + WAIT + REPLY, "routes/lenta.yaml")
    assert plan(worked, edited).empty
