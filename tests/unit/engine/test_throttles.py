"""A step's limit, whatever clock and rules do."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from bus.engine.asks import Call
from bus.engine.throttles import LATE, Throttles
from bus.route.plan import Throttle

T = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)


def call(count: int, key: str = "key") -> Call:
    return Call("path", "r@1/step", "sys.op", {}, key, limit=Throttle(count, 60.0))


def at(seconds: float) -> dt.datetime:
    return T + dt.timedelta(seconds=seconds)


def next_of(throttles: Throttles, call: Call, now: dt.datetime) -> dt.datetime:
    """Where it is ours to say."""
    due = throttles.next(call, now)
    assert due is not None
    return due


def test_a_clock_that_was_set_back_holds_up_nobody_for_longer_than_the_limit_says() -> None:
    throttles = Throttles()
    assert [throttles.next(call(2), at(0)) for _ in range(2)] == [at(0)] * 2
    assert throttles.next(call(2), at(-3600)) == at(-3540)
    assert throttles.next(call(2), at(-3540)) == at(-3540)


def test_a_limit_that_other_rules_raise_or_lower_holds_from_then_on() -> None:
    raised, lowered = Throttles(), Throttles()
    assert [raised.next(call(2, f"a{n}"), at(0)) for n in range(3)] == [at(0), at(0), at(60)]
    assert [raised.next(call(5, f"b{n}"), at(1)) for n in range(3)] == [at(1), at(1), at(60)], "who waits is counted"
    assert [lowered.next(call(5), at(second)) for second in range(5)] == [at(second) for second in range(5)]
    assert lowered.next(call(2, "a"), at(10)) == at(63), "two in any minute: the last but one went out at the third second"
    assert lowered.next(call(5, "b"), at(10)) == at(61), "runs of the rules of before keep theirs, beside who waits"


@pytest.mark.parametrize(("count", "workers"), [(1, 1), (5, 1), (1, 3), (2, 3), (3, 3), (10, 4)])
def test_several_processes_together_never_let_out_more_than_the_limit_says(count: int, workers: int) -> None:
    """A hundred calls at once after a quiet hour, each given to the next process that has a share; looked at each second."""
    all_throttles = [Throttles(workers, rank) for rank in range(workers)]
    waiting = {f"k{n}": at(0) for n in range(100)}
    where = {key: n for n, key in enumerate(waiting)}
    went: list[float] = []
    for second in range(60 * 100 * 2):
        for key in [key for key, due in waiting.items() if due <= at(second)]:
            throttles = all_throttles[where[key] % workers]
            if not throttles.share(call(count, key)):
                where[key] += 1
            elif (due := next_of(throttles, call(count, key), at(second))) > at(second):
                waiting[key] = due
            else:
                went.append(second)
                del waiting[key]
    assert len(went) == 100
    assert all(later - one >= 60 for one, later in zip(went, went[count:], strict=False))
    assert went[-1] <= 63 * 100 / count * 1.4, "and nearly as many"


def test_who_waits_is_promised_a_turn_and_asks_once_more() -> None:
    throttles, asked = Throttles(), 0
    waiting = {f"k{n}": at(0) for n in range(40)}
    for second in range(60 * 25):
        for key in [key for key, due in waiting.items() if due <= at(second + 0.5)]:  # as late as an engine is
            asked += 1
            waiting[key] = next_of(throttles, call(2, key), at(second + 0.5))
            if waiting[key] <= at(second + 0.5):
                del waiting[key]
    assert not waiting
    assert asked <= 2 * 40


def test_a_turn_that_another_process_took_over_holds_up_nobody_for_long() -> None:
    throttles = Throttles()
    for key in ("a", "b", "c"):
        throttles.next(call(1, key), at(0))
    assert throttles.next(call(1, "d"), at(1)) == at(60 + 2 * 63)
    assert throttles.next(call(1, "e"), at(400)) == at(400)


def test_a_turn_that_another_process_promised_is_taken_at_its_time_where_there_is_room() -> None:
    throttles = Throttles()
    for key in ("a", "b", "c", "d"):
        throttles.next(call(2, key), at(0))
    assert throttles.next(call(2, "theirs"), at(62), promised=True) == at(62), "not behind c and d"
    assert throttles.next(call(2, "c"), at(63)) == at(63)
    assert throttles.next(call(2, "another"), at(63), promised=True) == at(60 + 63), "two are out already"
    assert throttles.next(call(2, "new"), at(64)) == at(60 + 63), "who has no promise stands behind d"


def test_turns_of_a_process_that_has_ended_come_as_soon_as_its_share_is_ours_and_not_behind_those_that_wait_here() -> None:
    throttles = Throttles(workers=2)
    for key in range(12):
        throttles.next(call(4, f"k{key}"), at(0))
    throttles.workers = 1
    assert [throttles.next(call(4, key), at(60)) for key in ("k2", "k3")] == [at(60)] * 2
    assert [throttles.next(call(4, key), at(61), promised=True) for key in "abcdef"] == [at(61)] * 2 + [at(120)] * 2 + [at(121)] * 2
    assert throttles.next(call(4, "g"), at(61), promised=True) == at(312), "four have a turn by then: behind all that wait"
    assert [throttles.next(call(4, key), at(121)) for key in "cdef"] == [at(121)] * 4


def test_what_finds_no_room_at_its_turn_since_one_more_process_works_is_left_to_that() -> None:
    """It was put off by a moment, again and again, each time with a record, while the share of the new one lay idle."""
    throttles = Throttles(workers=1)
    for key in range(12):
        throttles.next(call(4, f"k{key}"), at(0))
    throttles.workers = 2
    assert [throttles.next(call(4, f"k{key}"), at(60)) for key in (4, 5, 6, 7)] == [at(60)] * 2 + [None] * 2
    assert throttles.next(call(4, "new"), at(61)) == at(123 + 63), "behind those that wait"
    assert [throttles.next(call(4, f"k{key}"), at(123)) for key in (8, 9, 10, 11)] == [at(123)] * 2 + [None] * 2


def test_calls_that_were_to_go_out_apart_and_come_together_go_out_apart() -> None:
    """Their intents were durable only when the disk had thought for half a second, or the process had been stopped."""
    throttles, each = Throttles(), Call("path", "r@1/step", "sys.op", {}, "key", limit=Throttle(2, 1.0))
    assert [throttles.delay(each, 10.0) for _ in range(5)] == [0.0, 0.0, 1.0, 1.0, 2.0]
    assert throttles.delay(each, 12.5) == 0.0
    assert throttles.delay(each, 12.5) == 0.5
    assert throttles.delay(replace(each, limit=None), 12.5) == 0.0
    assert throttles.delay(replace(each, place="r@1/other"), 12.5) == 0.0
    rarely = replace(call(1), place="r@1/rarely")
    assert [throttles.delay(rarely, ticks) for ticks in (0.0, 1.0)] == [0.0, LATE], "it holds a thread: not for as long as a day"
    throttles.workers = 3
    throttles.rank = 2
    assert throttles.delay(each, 20.0) == 0.0, "decided while there were fewer"


def test_a_turn_that_was_promised_by_a_clock_that_was_ahead_is_not_waited_for_though_all_others_were_given_back() -> None:
    throttles = Throttles()
    for key in "ab":
        throttles.next(call(1, key), at(0))
    throttles.give_back(call(1, "a"))
    assert throttles.next(call(1, "b"), at(-3600)) == at(-3600)


def test_who_holds_the_lane_goes_before_those_that_wait_for_it_and_they_give_their_turns_back() -> None:
    throttles = Throttles()
    for key in "abc":
        throttles.next(call(2, key), at(0))
    assert throttles.next(call(2, "holder"), at(1), first=True) == at(60), "and not behind c and all that were promised a turn"
    assert throttles.next(call(2, "c"), at(63)) == at(63)
    assert throttles.next(call(2, "d"), at(63)) == at(63)
    assert throttles.next(call(2, "holder"), at(64), first=True) == at(123)
    for _ in range(2):
        throttles.give_back(call(2, "c"))
    assert throttles.next(call(2, "holder"), at(64), first=True) == at(64)
