"""Two ways of one message, compared."""

import datetime as dt

import pytest

from bus.engine.asks import Await
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
