"""The sweeper: what it finds, how soon it looks again, and that it walks past long lines of single cases once it has learnt them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest

from bus.clock import APART, text_of
from bus.engine import setback, suspects, sweeper
from bus.engine.claims import LONG, Lines, due
from bus.engine.holding import Holding
from bus.store import Tx
from bus.store.sqlite import SqliteConnection, SqliteStore
from tests.clocks import FixedClock
from tests.contract.store_contract import LATER, NOW, add_runs, claim, ids, settle


def test_of_a_long_line_behind_a_dead_letter_only_the_first_is_asked_for(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Lines] = []
    monkeypatch.setattr(suspects, "due", lambda tx, now, most, part, **how: (asked.append(part.lines), due(tx, now, most, part, **how))[1])
    add_runs(store, ("morta", "lunga"), *((f"dietro-{n:03}", "lunga") for n in range(LONG)), "sola")
    settle(store, claim(store, "morta")[0], state="dead")
    looks = looking(store, 200)
    rows, _ = looks.look(LATER, 1000, quiet=True, free=False)
    assert [row["id"] for row in rows] == ["sola"]
    assert asked == [Lines(("lunga",), ("dietro-000",))]


def test_a_line_that_grows_long_later_is_learnt_within_ten_looks(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Lines] = []
    monkeypatch.setattr(suspects, "due", lambda tx, now, most, part, **how: (asked.append(part.lines), due(tx, now, most, part, **how))[1])
    looks = looking(store, 200)
    looks.look(LATER, 1000, quiet=True, free=False)
    add_runs(store, ("morta", "lunga"), *((f"dietro-{n:03}", "lunga") for n in range(LONG)))
    settle(store, claim(store, "morta")[0], state="dead")
    for _ in range(10):
        looks.look(LATER, 1000, quiet=True, free=False)
    assert (asked[0], asked[-1]) == (Lines(), Lines(("lunga",), ("dietro-000",)))


def test_what_a_clock_that_was_ahead_made_due_or_put_off_is_due_when_it_was_set_back(store: SqliteStore) -> None:
    """What was accepted by a clock two days ahead stood still for two days from when that was set right, and its case with it."""
    looks, ahead, far = looking(store, 200), LATER + dt.timedelta(days=2), LATER + dt.timedelta(days=3)
    add_runs(store, "subito", "rimandata", "fra-tre-giorni")
    looks.look(ahead, 0, quiet=True, free=False)

    def written(tx: Tx) -> None:
        for run, due_at, at in (("subito", ahead, ahead), ("rimandata", far, ahead), ("fra-tre-giorni", far, LATER)):
            tx.do("set_run", id=run, state="ready", due=text_of(due_at), place="", time=text_of(at), reason=None)

    store.write(written).result()
    assert ids(looks.look(LATER, 10, quiet=True, free=False)[0]) == ["subito", "rimandata"]
    store.write(written).result()
    assert ids(looking(store, 200).look(LATER, 10, quiet=True, free=False)[0]) == ["subito", "rimandata"]  # one that was not there


def test_clocks_that_are_a_little_apart_are_not_looked_after_for_ever(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A door whose clock is a moment ahead accepts all the time: the look is at all that was put off, and there may be much of it."""
    looks, queries, ask = looking(store, 200), list[str](), SqliteConnection.all
    monkeypatch.setattr(SqliteConnection, "all", lambda tx, query, **given: (queries.append(query), ask(tx, query, **given))[1])
    for seconds in range(0, 50, 10):
        now = LATER + dt.timedelta(seconds=seconds)
        add_runs(store, f"r{seconds}", time=text_of(now + APART / 2))
        assert f"r{seconds}" in ids(looks.look(now, 10, quiet=True, free=False)[0]) or seconds >= 30
    assert queries.count("runs_of_a_fast_clock") == 3


def test_what_a_clock_that_was_ahead_left_alone_is_had_although_there_is_other_work_and_gates_are_full(store: SqliteStore) -> None:
    """Its engine may be no more; under load nobody looked at those that somebody left alone."""
    ticks, ahead = [0.0], LATER + dt.timedelta(hours=2)
    looks = looking(store, 200, ticks=lambda: ticks[0])
    add_runs(store, "sola", "a", "b")
    store.write(lambda tx: tx.do("leave_alone", runs='["sola"]', until=text_of(ahead))).result()
    found: list[str] = []
    for seconds in (0, 20, 30):
        ticks[0] = seconds
        found += ids(looks.look(LATER + dt.timedelta(seconds=seconds), 10, quiet=True, free=False)[0])
    assert set(found) == {"a", "b", "sola"}


def test_all_that_a_clock_that_was_ahead_put_off_is_put_right_however_much_it_is(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setback, "MOST", 2)
    add_runs(store, *(f"r{n}" for n in range(9)), time=text_of(LATER + dt.timedelta(hours=2)))
    looks, found = looking(store, 200), list[str]()
    for seconds in range(0, 50, 10):
        found += ids(looks.look(LATER + dt.timedelta(seconds=seconds), 10, quiet=True, free=False)[0])
    assert len({*found}) == 9


def looking(
    store: SqliteStore, page: int, whose: suspects.Suspects | None = None, ticks: Callable[[], float] = lambda: 0.0
) -> sweeper.Sweeper:
    whose = whose or suspects.Suspects(LATER, {}, tuple, lambda: 0.0)
    return sweeper.Sweeper(store, Holding(store, FixedClock(LATER), 30, ticks), 1.0, page, 0.0, LATER, whose, tuple)


def waits(*runs: str) -> Callable[[Tx], None]:
    """Work by which runs wait for something that did not come in time."""

    def work(tx: Tx) -> None:
        for run in runs:
            tx.do("set_run", id=run, state="waiting", due=text_of(NOW), place="", time=text_of(NOW), reason=None)
            told = {"type": "prova", "name": None, "value": None, "deadline": text_of(NOW), "state": "open", "late": 0}
            tx.do("add_wait", run=run, path="attesa", place="prova@1/attesa", **told)

    return work


def test_after_a_full_page_it_looks_again_at_once_when_there_is_room_for_another(store: SqliteStore) -> None:
    add_runs(store, "a", "b", "c")
    looks = looking(store, 2)
    assert ids(looks.look(LATER, 10, quiet=True, free=False)[0]) == ["a", "b"]
    assert [looks.is_due(LATER, room) for room in (1, 2)] == [False, True]
    assert ids(looks.look(LATER, 10, quiet=True, free=False)[0]) == ["c"]
    assert not looks.is_due(LATER, 2)


def test_deadlines_that_have_passed_are_told_page_by_page(store: SqliteStore) -> None:
    add_runs(store, "a", "b", "c")
    store.write(waits("a", "b", "c")).result(60)
    looks = looking(store, 2)
    assert len(looks.look(LATER, 0, quiet=True, free=False)[1]) == 2
    assert looks.is_due(LATER, 2)
    assert len(looks.look(LATER, 0, quiet=True, free=False)[1]) == 1
    assert not looks.is_due(LATER, 2)


def test_who_was_left_alone_is_tried_only_by_an_engine_at_whose_gates_nobody_waits(store: SqliteStore) -> None:
    add_runs(store, "a")
    store.write(lambda tx: tx.do("leave_alone", runs='["a"]', until=text_of(LATER + dt.timedelta(hours=1)))).result(60)
    looks = looking(store, 2)
    assert looks.look(LATER, 10, quiet=True, free=False) == ([], [])
    assert ids(looks.look(LATER, 10, quiet=True, free=True)[0]) == ["a"]


def test_after_a_long_look_that_found_nothing_only_what_came_due_since_is_looked_at_for_a_while(store: SqliteStore) -> None:
    """Else each look goes past all that stands behind others of its case, and there may be hundreds of thousands."""
    ticks = iter([0.0, 0.3, *(n / 10 for n in range(4, 99))])  # the first look takes 0.3 s: the next 3 s are for others
    looks = looking(store, 200, ticks=lambda: next(ticks))
    assert ids(looks.look(LATER, 10, quiet=True, free=False)[0]) == []
    add_runs(store, "old", time=text_of(LATER - 2 * APART))
    add_runs(store, "new", time=text_of(LATER))
    assert ids(looks.look(LATER, 10, quiet=True, free=False)[0]) == ["new"]
    seen = [found for _ in range(40) if (found := ids(looks.look(LATER, 10, quiet=True, free=False)[0]))]
    assert seen == [["old"]]


def test_who_is_told_to_look_at_everything_does(store: SqliteStore) -> None:
    ticks = iter([0.0, 0.3, *(n / 10 for n in range(4, 99))])
    looks = looking(store, 200, ticks=lambda: next(ticks))
    looks.look(LATER, 10, quiet=True, free=False)
    add_runs(store, "old", time=text_of(LATER - 2 * APART))
    assert ids(looks.look(LATER, 10, quiet=True, free=False)[0]) == []
    looks.look_at_all()
    assert ids(looks.look(LATER, 10, quiet=True, free=False)[0]) == ["old"]


def add_suspect(store: SqliteStore) -> None:
    """The run ``suspect``, of which two owners vanished."""
    add_runs(store, "suspect")
    for owner in ("uno", "due"):
        claim(store, "suspect", owner=owner, now=LATER)
        store.write(lambda tx, owner=owner: tx.do("void_claims", owner=owner)).result(60)  # type: ignore[misc]


def test_the_turn_of_those_without_strikes_is_theirs_and_ends_whatever_a_clock_does(store: SqliteStore) -> None:
    add_suspect(store)
    add_runs(store, "a", time=text_of(LATER))
    whose = suspects.Suspects(LATER, {}, tuple, lambda: 0.0)
    looks = looking(store, 2, whose)
    whose._others_until = LATER + dt.timedelta(hours=1)  # the clock was set back since
    assert ids(looks.look(LATER, 10, quiet=True, free=False)[0]) == ["a"]
    add_runs(store, "b", time=text_of(LATER))
    assert ids(looks.look(LATER + suspects.TURN, 10, quiet=True, free=False)[0]) == ["suspect"]


def test_a_run_that_another_engine_clears_while_its_turn_is_waited_for_is_no_suspect_any_more(store: SqliteStore) -> None:
    """Else nothing but that run was begun here, and for ever, where it waited for a lane that one of the others held."""
    add_suspect(store)
    whose = suspects.Suspects(LATER, {}, tuple, lambda: 0.0)
    looks = looking(store, 2, whose)
    assert (looks.look(LATER, 10, quiet=False, free=False)[0], whose.next) == ([], "suspect")
    store.write(lambda tx: tx.do("forget_strikes", runs='["suspect"]')).result(60)
    assert (ids(looks.look(LATER, 10, quiet=True, free=False)[0]), whose.next) == (["suspect"], "")
