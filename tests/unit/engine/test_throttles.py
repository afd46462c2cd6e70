"""A step's limit, whatever clock and rules do."""

from __future__ import annotations

import datetime as dt

from bus.engine.asks import Call
from bus.engine.throttles import Throttles
from bus.route.plan import Throttle

T = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)


def call(count: int) -> Call:
    return Call("path", "r@1/step", "sys.op", {}, "key", limit=Throttle(count, 60.0))


def at(seconds: float) -> dt.datetime:
    return T + dt.timedelta(seconds=seconds)


def test_a_clock_that_was_set_back_holds_up_nobody_for_longer_than_the_limit_says() -> None:
    throttles = Throttles()
    assert [throttles.next(call(2), at(0)) for _ in range(2)] == [at(0)] * 2
    assert throttles.next(call(2), at(-3600)) == at(-3540)
    assert throttles.next(call(2), at(-3540)) == at(-3540)


def test_a_limit_that_other_rules_raise_or_lower_holds_from_then_on() -> None:
    raised, lowered = Throttles(), Throttles()
    assert [raised.next(call(2), at(0)) for _ in range(3)] == [at(0), at(0), at(60)]
    assert [raised.next(call(5), at(1)) for _ in range(4)] == [at(1), at(1), at(1), at(60)]
    assert [lowered.next(call(5), at(second)) for second in range(5)] == [at(second) for second in range(5)]
    assert lowered.next(call(2), at(10)) == at(63), "two in any minute: the last but one went out at the third second"
    assert lowered.next(call(5), at(10)) == at(60), "runs of the rules of before keep theirs"


def test_each_of_several_processes_has_its_share_of_a_limit() -> None:
    throttles = Throttles(workers=3)
    assert [throttles.next(call(1), at(second)) for second in (0, 1, 180)] == [at(0), at(180), at(180)]
