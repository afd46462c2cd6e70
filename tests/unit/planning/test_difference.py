"""Two ways of one message, compared."""

import datetime as dt

import pytest

from bus.engine.asks import Await, Call
from bus.planning.difference import differences
from bus.planning.way import Way

ENDS = dt.datetime(2026, 3, 31, 9, tzinfo=dt.UTC)


def waiting_until(moment):
    wait = Await("r@1/attesa", "r.yaml:9:9", "prova.ricevuta", ("iuv", "1"), moment)
    return Way((), (), (), (), (wait,), frozenset(), (), "open", "r.yaml:9:9")


@pytest.mark.parametrize(
    ("later", "told"),
    [(dt.timedelta(milliseconds=5), []), (-dt.timedelta(milliseconds=999), []), (dt.timedelta(seconds=1), ["deadline"])],
)
def test_the_time_that_a_step_before_a_wait_took_is_no_other_deadline(later, told):
    changes = differences(waiting_until(ENDS), waiting_until(ENDS + later), lambda step: step)
    assert [field for one in changes for field in one.fields] == told


def asking(**calls):
    made = (Call(f"r@1/{step}", f"r.yaml:{step}", "sistema.chiedi", {"codice": code}, f"key-{step}") for step, code in calls.items())
    return Way(tuple(made), (), (), (), (), frozenset(), (), "done", "r.yaml:9:9")


@pytest.mark.parametrize(
    ("later", "told"),
    [
        ({"a": "1", "b": "2"}, []),
        ({"c": "1", "d": "2"}, []),
        ({"c": "2", "d": "1"}, [("call moved", ())]),
        ({"a": "2", "b": "1"}, [("call moved", ())]),
        ({"a": "2", "c": "1"}, [("call moved", ())]),
        ({"a": "1", "c": "3"}, [("call changed", ("request.codice",))]),
        ({"b": "3", "c": "1"}, [("call changed", ("request.codice",)), ("call moved", ())]),
        ({"a": "1"}, [("call removed", ())]),
        ({"c": "2"}, [("call removed", ())]),
        ({"a": "1", "c": "9", "b": "2"}, [("call added", ())]),
    ],
)
def test_a_call_is_the_one_that_asks_the_same_wherever_it_stands_and_else_the_one_at_its_place(later, told):
    changes = differences(asking(a="1", b="2"), asking(**later), lambda step: step)
    assert [(one.kind, one.fields) for one in changes] == told
