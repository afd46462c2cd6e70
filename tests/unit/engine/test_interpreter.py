"""The interpreter asks the same when it is told the same, and nothing it was not told to."""

from __future__ import annotations

import datetime as dt
import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bus.engine.asks import Answered, Arrived, Ask, Await, Call, Close, Event, Expired, Failed, Join, Noted, Reply, Send
from bus.engine.interpreter import Walk
from bus.errors import ExpressionError
from bus.message import Message
from bus.route import plan as p

T = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def value(of: Callable[[Any], Any]) -> Any:
    return of


def call(name: str, **more: Any) -> p.CallStep:
    return p.CallStep(name, f"r@1/{name}", operation=f"sys.{name}", request=lambda scope: {"x": scope["body"]["x"]}, **more)


def put(name: str, of: Callable[[Any], Any]) -> p.SetStep:
    return p.SetStep(f"set-{name}", f"r@1/set-{name}", values={name: of})


def reply(of: Callable[[Any], Any]) -> p.ReplyStep:
    return p.ReplyStep("reply", "r@1/reply", body=of)


def walk(*steps: p.Step, body: Any = None, **more: Any) -> Walk:
    plan = p.Plan("r", 1, "digest", "type", steps, {}, **more)
    return Walk(plan, Message("message", "type", "/test", T, {"x": 1} if body is None else body))


def paths(asks: list[Ask]) -> list[str]:
    return [ask.path for ask in asks]


def test_steps_run_in_order_and_answers_are_seen_by_later_steps() -> None:
    run = walk(call("one", as_="one"), call("two", as_="two"), reply(lambda s: [s["one"], s["two"]]))
    assert paths(run.start()) == ["one"]
    assert paths(run.answer("one", Answered(T, 11))) == ["two"]
    (asked,) = run.answer("two", Answered(T, 22))
    assert isinstance(asked, Reply) and asked.body == [11, 22]
    assert run.answer("reply", Noted(T)) == [] and run.finished and run.failure is None


def test_the_values_of_one_set_do_not_see_each_other() -> None:
    both = p.SetStep("both", "r@1/both", values={"a": lambda s: 2, "b": lambda s: s["a"]})
    run = walk(put("a", lambda s: 1), both, reply(lambda s: [s["a"], s["b"]]))
    (asked,) = run.start()
    assert isinstance(asked, Reply) and asked.body == [2, 1]


def test_a_run_that_rests_is_gone_as_soon_as_nobody_has_it() -> None:
    """One that refers to itself stays, with its message, until cycles are looked for: in the midst of another message."""
    branches = p.ParallelStep("both", "r@1/both", branches={"a": (call("one"),), "b": (call("two"),)})
    gc.disable()
    try:
        for step in (call("one"), branches):
            run = walk(step)
            assert run.start() and run.pending
            seen = weakref.ref(run)
            del run
            assert seen() is None
    finally:
        gc.enable()


def test_a_step_whose_condition_is_false_is_passed_over() -> None:
    run = walk(replace(call("one"), when=lambda s: s["body"]["x"] > 5), call("two"))
    assert paths(run.start()) == ["two"]


def test_a_condition_that_is_neither_true_nor_false_ends_the_run_with_its_place() -> None:
    run = walk(replace(call("one"), when=lambda s: "yes"))
    assert run.start() == [] and run.finished
    assert run.failure is not None and (run.failure.code, run.failure.place) == ("expression.not-a-condition", "r@1/one")


def test_an_expression_that_fails_ends_the_run_with_code_sentence_and_place() -> None:
    def missing(scope: Any) -> Any:
        raise ExpressionError("`body` has no `y`", code="expression.failed")

    run = walk(put("y", missing))
    run.start()
    assert run.failure is not None
    assert (run.failure.code, run.failure.sentence, run.failure.path) == ("expression.failed", "y: `body` has no `y`", "set-y")


def test_the_same_path_gives_the_same_key_and_another_message_another() -> None:
    first, again = walk(call("one")), walk(call("one"))
    (a,), (b,) = first.start(), again.start()
    assert isinstance(a, Call) and isinstance(b, Call) and a.key == b.key and len(a.key) == 64
    other = Walk(first.plan, first.message._replace(id="other"))
    (c,) = other.start()
    assert isinstance(c, Call) and c.key != a.key


def test_feeding_the_same_events_in_order_asks_the_same() -> None:
    steps = (
        call("one", as_="one", case={"k": lambda s: s["one"]}),
        p.ParallelStep("both", "r@1/both", branches={"a": (call("two"),), "b": (call("three"),)}),
        p.WaitStep("wait", "r@1/wait", type="news", case="k", deadline=lambda m: m + DAY, as_="news"),
        reply(lambda s: s["news"]),
    )
    events: list[tuple[str, Event]] = [
        ("one", Answered(T, "K")), ("one!case", Noted(T)), ("both/b/three", Answered(T, 3)), ("both/a/two", Answered(T + DAY, 2)),
        ("wait[0.0]", Arrived(T + DAY, "m2", {"n": 1})), ("reply", Noted(T + DAY)),
    ]  # fmt: skip

    def history() -> list[list[Ask]]:
        run = walk(*steps)
        return [run.start(), *(run.answer(path, event) for path, event in events)]

    assert history() == history()
    waits = [ask for asks in history() for ask in asks if isinstance(ask, Await)]
    assert [(w.key, w.deadline) for w in waits] == [(("k", "K"), T + 2 * DAY)]


def test_an_error_takes_the_first_clause_that_holds_and_the_run_goes_on() -> None:
    clauses = (
        p.Clause(lambda s: s["error"]["kind"] == "refused", (put("way", lambda s: "refused"),)),
        p.Clause(None, (put("way", lambda s: s["error"]["kind"]),)),
    )
    run = walk(call("one", on_error=clauses), reply(lambda s: s["way"]))
    run.start()
    (asked,) = run.answer("one", Failed(T, {"kind": "unreachable", "sentence": "down"}))
    assert isinstance(asked, Reply) and asked.body == "unreachable"


def test_the_name_error_is_gone_after_its_clause() -> None:
    run = walk(call("one", on_error=(p.Clause(None, ()),)), reply(lambda s: "error" in s))
    run.start()
    (asked,) = run.answer("one", Failed(T, {"kind": "refused", "sentence": "no"}))
    assert isinstance(asked, Reply) and asked.body is False


def test_an_unhandled_error_ends_the_run_as_what_it_was() -> None:
    run = walk(call("one"), call("two"))
    run.start()
    assert run.answer("one", Failed(T, {"kind": "in_doubt", "sentence": "who knows"})) == []
    assert run.finished and run.failure is not None and run.failure.code == "call.in-doubt"


def test_fail_takes_back_answered_calls_last_first_with_their_answers() -> None:
    failing = p.FailStep("stop", "r@1/stop", code="my.code", reason=lambda s: "because")
    run = walk(call("one", undo="sys.undo-one"), call("two", undo="sys.undo-two"), call("three"), failing)
    run.start()
    run.answer("one", Answered(T, {"n": 1}))
    run.answer("two", Answered(T, {"n": 2}))
    (first,) = run.answer("three", Answered(T, {"n": 3}))
    assert isinstance(first, Call) and (first.operation, first.request) == ("sys.undo-two", {"n": 2})
    (second,) = run.answer(first.path, Answered(T, {}))
    assert isinstance(second, Call) and (second.operation, second.request) == ("sys.undo-one", {"n": 1})
    assert run.answer(second.path, Answered(T, {})) == []
    assert run.finished and run.failure is not None and run.failure.code == "my.code"


@pytest.mark.parametrize("ending", ["an expression that fails", "a call that fails", "a list that is none"])
def test_only_a_fail_step_takes_back_what_was_done(ending: str) -> None:
    """What went wrong otherwise is mended and goes on from there."""

    def wrong(scope: object) -> Any:
        raise ExpressionError("no such field")

    last = {
        "an expression that fails": put("x", wrong), "a call that fails": call("two"),
        "a list that is none": p.EachStep("each", "r@1/each", items=lambda s: 7, item="x", steps=()),
    }[ending]  # fmt: skip
    run = walk(call("one", undo="sys.undo-one"), last)
    run.start()
    asked = run.answer("one", Answered(T, {"n": 1}))
    if paths(asked) == ["two"]:
        asked = run.answer("two", Failed(T, {"kind": "refused", "sentence": "no"}))
    assert (asked, run.finished) == ([], True)
    assert run.failure is not None and run.failure.code in ("expression.invalid", "call.refused", "expression.not-a-list")


def test_an_undo_that_fails_is_said_to_have_failed() -> None:
    run = walk(call("one", undo="sys.undo-one"), p.FailStep("stop", "r@1/stop", reason=lambda s: "because"))
    run.start()
    (undo,) = run.answer("one", Answered(T, {}))
    run.answer(undo.path, Failed(T, {"kind": "refused", "sentence": "too late"}))
    assert run.finished and run.failure is not None and (run.failure.code, run.failure.path) == ("undo.failed", "one!undo")


def test_an_undo_that_fails_ends_the_undoing_and_names_what_stands() -> None:
    run = walk(
        *(call(name, undo=f"sys.undo-{name}") for name in ("one", "two", "three")),
        p.FailStep("stop", "r@1/stop", reason=lambda s: "because"),
    )
    run.start()
    for name in ("one", "two"):
        run.answer(name, Answered(T, {}))
    (third,) = run.answer("three", Answered(T, {}))
    (second,) = run.answer(third.path, Answered(T, {}))
    assert run.answer(second.path, Failed(T, {"kind": "refused", "sentence": "too late"})) == []
    assert run.finished and run.failure is not None and run.failure.code == "undo.failed"
    assert run.failure.sentence == "sys.undo-two could not take back sys.two: too late; what sys.one (r@1/one) did stands too"


def test_a_branch_that_fails_waits_for_calls_in_flight_and_undoes_them_too() -> None:
    failing = p.FailStep("stop", "r@1/stop", reason=lambda s: "because")
    branches = {"a": (call("slow", undo="sys.undo-slow"),), "b": (call("quick"), failing)}
    run = walk(p.ParallelStep("both", "r@1/both", branches=branches))
    assert paths(run.start()) == ["both/a/slow", "both/b/quick"]
    assert run.answer("both/b/quick", Answered(T, {})) == [] and not run.finished
    (undo,) = run.answer("both/a/slow", Answered(T, {"n": 9}))
    assert isinstance(undo, Call) and (undo.operation, undo.request) == ("sys.undo-slow", {"n": 9})
    run.answer(undo.path, Answered(T, {}))
    assert run.finished


@pytest.mark.parametrize(("reason", "said"), [(None, ""), (3, "3"), (True, "true")])
def test_a_reason_that_is_no_text_is_said_as_rules_say_it(reason: Any, said: str) -> None:
    run = walk(p.FailStep("stop", "r@1/stop", reason=lambda s: reason))
    assert run.start() == [] and run.failure is not None and run.failure.sentence == said


def test_a_branch_that_ends_the_run_is_waited_for_by_nobody_and_its_end_is_no_failure() -> None:
    end = p.FailStep("basta", "r@1/basta", code="prova.ritirata", dead=False)
    wait = p.WaitStep("attesa", "r@1/attesa", type="prova.arrivo")
    run = walk(p.ParallelStep("both", "r@1/both", branches={"a": (call("one"), end), "b": (wait,)}), call("after"))
    run.start()
    assert run.answer("both/a/one", Answered(T, {})) == [] and run.finished and not run.pending
    assert run.failure is not None and ("prova.ritirata", False) == (run.failure.code, run.failure.dead)


@pytest.mark.parametrize(("kind", "ends"), [("in_doubt", "call.in-doubt"), ("refused", "prova.ritirata")])
def test_a_run_that_ends_while_a_call_is_on_its_way_needs_a_person_if_that_ends_in_doubt(kind: str, ends: str) -> None:
    end = p.FailStep("basta", "r@1/basta", code="prova.ritirata", dead=False)
    run = walk(p.ParallelStep("both", "r@1/both", branches={"a": (call("one"), end), "b": (call("two"),)}))
    run.start()
    run.answer("both/a/one", Answered(T, {}))
    assert run.winding_up
    run.answer("both/b/two", Failed(T, {"kind": kind, "code": "X", "sentence": "nobody knows"}))
    assert run.finished and run.failure is not None
    assert (ends, kind == "in_doubt") == (run.failure.code, run.failure.dead)


def test_a_branch_that_fails_at_once_keeps_the_other_from_being_asked() -> None:
    failing = p.FailStep("stop", "r@1/stop", reason=lambda s: "because")
    run = walk(p.ParallelStep("both", "r@1/both", branches={"a": (call("never"),), "b": (failing,)}))
    assert run.start() == [] and run.finished and not run.pending


def test_a_parallel_step_ends_when_all_branches_have_ended() -> None:
    run = walk(p.ParallelStep("both", "r@1/both", branches={"a": (call("one"),), "b": (put("x", lambda s: 1),)}), call("after"))
    assert paths(run.start()) == ["both/a/one"]
    assert paths(run.answer("both/a/one", Answered(T, {}))) == ["after"]


def test_parallel_without_branches_goes_on() -> None:
    assert paths(walk(p.ParallelStep("none", "r@1/none", branches={}), call("after")).start()) == ["after"]


def test_branches_that_fail_at_the_same_time_see_their_own_error_each() -> None:
    def branch(n: int) -> tuple[p.Step, ...]:
        mends = (call(f"mend{n}"), put(f"code{n}", lambda s: s["error"]["code"]))
        return (call(f"try{n}", on_error=(p.Clause(None, mends),)),)

    both = p.ParallelStep("both", "r@1/both", branches={"a": branch(1), "b": branch(2)})
    run = walk(both, reply(lambda s: [s["code1"], s["code2"], "error" in s]))
    run.start()
    run.answer("both/a/try1", Failed(T, {"kind": "refused", "code": "A", "sentence": "no"}))
    run.answer("both/b/try2", Failed(T, {"kind": "refused", "code": "B", "sentence": "no"}))
    run.answer("both/a/try1!error[0]/mend1", Answered(T, 1))
    (asked,) = run.answer("both/b/try2!error[0]/mend2", Answered(T, 2))
    assert isinstance(asked, Reply) and asked.body == ["A", "B", False]


def test_a_clause_that_gives_the_name_error_to_something_reads_that() -> None:
    steps = (put("error", lambda s: {"code": "MINE"}), put("way", lambda s: s["error"]["code"]))
    run = walk(call("one", on_error=(p.Clause(None, steps),)), reply(lambda s: [s["way"], "error" in s]))
    run.start()
    (asked,) = run.answer("one", Failed(T, {"kind": "refused", "code": "A", "sentence": "no"}))
    assert isinstance(asked, Reply) and asked.body == ["MINE", False]


def test_gathers_side_by_side_see_their_own_items_at_the_deadline() -> None:
    def branch(n: int) -> tuple[p.Step, ...]:
        gather = p.GatherStep(f"g{n}", f"r@1/g{n}", type="n", count=lambda s: 3, as_=f"list{n}", deadline=lambda m: m + DAY,
                              on_deadline=(call(f"ask{n}"), put(f"seen{n}", lambda s: s["items"])))  # fmt: skip
        return (gather,)

    both = p.ParallelStep("both", "r@1/both", branches={"a": branch(1), "b": branch(2)})
    run = walk(both, reply(lambda s: [s["seen1"], s["seen2"], "items" in s]))
    run.start()
    run.answer("both/a/g1[0]", Arrived(T, "m", "one"))
    run.answer("both/a/g1[1]", Expired(T + DAY))
    run.answer("both/b/g2[0]", Expired(T + DAY))
    run.answer("both/a/g1!deadline/ask1", Answered(T + DAY, 1))
    (asked,) = run.answer("both/b/g2!deadline/ask2", Answered(T + DAY, 2))
    assert isinstance(asked, Reply) and asked.body == [["one"], [], False]


def test_keys_that_a_branch_learns_while_another_walks_a_list_stay_known() -> None:
    items = p.EachStep("each", "r@1/each", items=lambda s: [1], item="n", steps=(call("one", as_="one", case={"i": lambda s: s["one"]}),))
    both = p.ParallelStep("both", "r@1/both", branches={"a": (items,), "b": (call("two", as_="two", case={"k": lambda s: s["two"]}),)})
    run = walk(both, p.WaitStep("wait", "r@1/wait", type="news", case="k", deadline=None), reply(lambda s: s["case"]))
    run.start()
    run.answer("both/b/two", Answered(T, "K"))
    run.answer("both/b/two!case", Noted(T))
    run.answer("both/a/each[0]/one", Answered(T, "I"))
    (asked,) = run.answer("both/a/each[0]/one!case", Noted(T))
    assert isinstance(asked, Await) and asked.key == ("k", "K")
    (asked,) = run.answer("wait[0.0]", Arrived(T, "m", None))
    assert isinstance(asked, Reply) and asked.body == {"k": "K", "i": "I"}


def test_each_walks_the_items_in_order_and_collects_values() -> None:
    inner = p.CallStep("one", "r@1/one", operation="sys.one", request=lambda s: {"i": s["item"], "n": s["index"]}, as_="got")
    step = p.EachStep("all", "r@1/all", items=lambda s: ["a", "b"], steps=(inner,), collect=lambda s: s["got"], as_="all")
    run = walk(step, reply(lambda s: s["all"]))
    (first,) = run.start()
    assert isinstance(first, Call) and (first.path, first.request) == ("all[0]/one", {"i": "a", "n": 0})
    (second,) = run.answer("all[0]/one", Answered(T, 1))
    assert isinstance(second, Call) and second.key != first.key
    (asked,) = run.answer("all[1]/one", Answered(T, 2))
    assert isinstance(asked, Reply) and asked.body == [1, 2]


def test_what_each_defines_inside_is_not_seen_outside() -> None:
    step = p.EachStep("all", "r@1/all", items=lambda s: [1], steps=(put("inner", lambda s: 1),))
    (asked,) = walk(step, reply(lambda s: "inner" in s)).start()
    assert isinstance(asked, Reply) and asked.body is False


def test_a_wait_is_renewed_and_then_given_up_with_null() -> None:
    step = p.WaitStep("wait", "r@1/wait", type="news", deadline=lambda m: m + DAY, as_="news", again=1, on_deadline=(call("nag"),))
    run = walk(step, reply(lambda s: s["news"]))
    assert paths(run.start()) == ["wait[0.0]"]
    assert paths(run.answer("wait[0.0]", Expired(T + DAY))) == ["wait!deadline[0]/nag"]
    (second,) = run.answer("wait!deadline[0]/nag", Answered(T + DAY, {}))
    assert isinstance(second, Await) and second.deadline == T + 2 * DAY
    run.answer("wait[1.0]", Expired(T + 2 * DAY))
    (asked,) = run.answer("wait!deadline[1]/nag", Answered(T + 2 * DAY, {}))
    assert isinstance(asked, Reply) and asked.body is None


@pytest.mark.parametrize(("type", "end"), [("news", "2026-10-20T22:00:00Z"), (None, "2026-10-19T22:00:00Z")])
def test_a_wait_ends_with_the_day_that_it_names_and_a_mere_delay_where_that_day_begins(type: str | None, end: str) -> None:
    run = walk(p.WaitStep("wait", "r@1/wait", type=type, by=lambda s: "2026-10-20"))
    (asked,) = run.start()
    assert isinstance(asked, Await) and asked.deadline == dt.datetime.fromisoformat(end)


def test_a_wait_is_renewed_until_its_date_and_not_after_it() -> None:
    last = (T + DAY * 1.5).isoformat()
    step = p.WaitStep("wait", "r@1/wait", type="news", deadline=lambda m: m + DAY, by=lambda s: last, again=9)
    run = walk(step)
    assert [ask.deadline for ask in run.start()] == [T + DAY]
    assert [ask.deadline for ask in run.answer("wait[0.0]", Expired(T + DAY))] == [T + DAY * 1.5]
    assert run.answer("wait[1.0]", Expired(T + DAY * 1.5)) == [] and run.finished


def test_a_wait_whose_date_passes_in_on_deadline_still_takes_what_came_by_then_and_does_nothing_more() -> None:
    last = T + DAY * 1.5
    nag = p.WaitStep("nag", "r@1/nag", deadline=lambda m: m + DAY)
    step = p.WaitStep(
        "wait", "r@1/wait", type="news", deadline=lambda m: m + DAY, by=lambda s: last.isoformat(), again=9, on_deadline=(nag,)
    )
    run = walk(step)
    run.start()
    run.answer("wait[0.0]", Expired(T + DAY))
    assert [ask.deadline for ask in run.answer("wait!deadline[0]/nag[0.0]", Expired(T + 2 * DAY))] == [last]
    assert run.answer("wait[1.0]", Expired(T + 2 * DAY)) == [] and run.finished


def test_a_gather_ends_by_its_date() -> None:
    run = walk(
        p.GatherStep("all", "r@1/all", type="news", count=lambda s: 9, deadline=lambda m: m + 60 * DAY, by=lambda s: "2026-03-10", as_="x")
    )
    (asked,) = run.start()
    assert isinstance(asked, Await) and asked.deadline == dt.datetime.fromisoformat("2026-03-10T23:00:00Z")


@pytest.mark.parametrize("said", ["domani", "", None, 3, ["2026-10-20"]])
def test_a_run_whose_wait_is_told_no_date_is_dead(said: Any) -> None:
    run = walk(p.WaitStep("wait", "r@1/wait", type="news", by=lambda s: said))
    assert run.start() == []
    assert run.failure is not None and run.failure.code == "wait.no-date"


def test_an_arrival_that_does_not_match_passes_by_and_the_deadline_stays() -> None:
    step = p.WaitStep("wait", "r@1/wait", type="news", match=lambda s: s["arrival"]["ok"], deadline=lambda m: m + DAY, as_="news")
    run = walk(step, reply(lambda s: s["news"]))
    run.start()
    (again,) = run.answer("wait[0.0]", Arrived(T + DAY / 2, "m", {"ok": False}))
    assert isinstance(again, Await) and (again.path, again.deadline) == ("wait[0.1]", T + DAY)
    (asked,) = run.answer("wait[0.1]", Arrived(T + DAY / 2, "m", {"ok": True}))
    assert isinstance(asked, Reply) and asked.body == {"ok": True}


def test_waiting_by_a_key_the_case_does_not_have_ends_the_run() -> None:
    run = walk(p.WaitStep("wait", "r@1/wait", type="news", case="iuv"))
    run.start()
    assert run.failure is not None and run.failure.code == "case.key-unknown"


def test_gather_completes_by_count() -> None:
    run = walk(p.GatherStep("all", "r@1/all", type="news", count=lambda s: 2, as_="all"), reply(lambda s: s["all"]))
    assert paths(run.start()) == ["all[0]"]
    assert paths(run.answer("all[0]", Arrived(T, "a", 1))) == ["all[1]"]
    (asked,) = run.answer("all[1]", Arrived(T, "b", 2))
    assert isinstance(asked, Reply) and asked.body == [1, 2]


def test_gather_completes_when_its_condition_holds() -> None:
    run = walk(p.GatherStep("all", "r@1/all", type="news", until=lambda s: sum(s["items"]) > 4, as_="all"), reply(lambda s: s["all"]))
    run.start()
    run.answer("all[0]", Arrived(T, "a", 3))
    (asked,) = run.answer("all[1]", Arrived(T, "b", 2))
    assert isinstance(asked, Reply) and asked.body == [3, 2]


def test_gather_gives_what_it_has_at_the_deadline_which_counts_from_the_first_wait() -> None:
    step = p.GatherStep("all", "r@1/all", type="news", count=lambda s: 9, deadline=lambda m: m + DAY, as_="all")
    run = walk(step, reply(lambda s: s["all"]))
    run.start()
    (second,) = run.answer("all[0]", Arrived(T + DAY / 2, "a", 1))
    assert isinstance(second, Await) and second.deadline == T + DAY
    (asked,) = run.answer("all[1]", Expired(T + DAY))
    assert isinstance(asked, Reply) and asked.body == [1]


def test_a_wait_with_steps_for_late_arrivals_says_when_it_is_over() -> None:
    step = p.WaitStep("wait", "r@1/wait", type="news", on_late=(call("late"),))
    run = walk(step)
    run.start()
    (closed,) = run.answer("wait[0.0]", Arrived(T, "m", {}))
    assert isinstance(closed, Close) and (closed.entry, closed.type) == ("wait", "news")


def test_a_run_for_a_late_arrival_walks_only_those_steps() -> None:
    plan = walk(p.WaitStep("wait", "r@1/wait", type="news", on_late=(call("late"),)), call("after")).plan
    late = Walk(plan, Message("m", "news", "/test", T, {"x": 5}), entry="wait")
    (asked,) = late.start()
    assert isinstance(asked, Call) and (asked.path, asked.request) == ("wait!late/late", {"x": 5})
    late.answer(asked.path, Answered(T, {}))
    assert late.finished and late.failure is None


def test_choose_takes_one_way_only() -> None:
    step = p.ChooseStep(
        "which",
        "r@1/which",
        clauses=(p.Clause(lambda s: False, (call("a"),)), p.Clause(lambda s: True, (call("b"),))),
        otherwise=(call("c"),),
    )
    assert paths(walk(step).start()) == ["which/b"]


def test_choose_without_a_clause_that_holds_goes_otherwise() -> None:
    step = p.ChooseStep("which", "r@1/which", clauses=(p.Clause(lambda s: False, (call("a"),)),), otherwise=(call("c"),))
    assert paths(walk(step).start()) == ["which/c"]


def test_keys_learnt_from_an_answer_join_the_case_and_are_seen() -> None:
    run = walk(call("one", as_="one", case={"iuv": lambda s: s["one"]["iuv"], "none": lambda s: None}), reply(lambda s: s["case"]))
    run.start()
    (joined,) = run.answer("one", Answered(T, {"iuv": 77}))
    assert isinstance(joined, Join) and joined.keys == {"iuv": "77"}
    (asked,) = run.answer(joined.path, Noted(T))
    assert isinstance(asked, Reply) and asked.body == {"iuv": "77"}


def test_a_key_that_no_database_keeps_ends_the_run_at_the_call_that_told_it() -> None:
    run = walk(call("one", as_="one", case={"iuv": lambda s: s["one"]}), call("two"))
    run.start()
    assert run.answer("one", Answered(T, "12\0")) == []
    assert run.failure is not None
    assert (run.failure.code, run.failure.path) == ("input.nul", "one")


def test_a_message_sent_gives_its_id() -> None:
    step = p.SendStep("send", "r@1/send", type="other", body=lambda s: {"y": 1}, as_="sent")
    run = walk(step, reply(lambda s: s["sent"]))
    (sent,) = run.start()
    assert isinstance(sent, Send) and (sent.type, sent.body) == ("other", {"y": 1})
    (asked,) = run.answer("send", Noted(T, {"id": "m7"}))
    assert isinstance(asked, Reply) and asked.body == {"id": "m7"}


def test_now_is_the_time_of_the_last_event_the_sequence_has_seen() -> None:
    run = walk(put("a", lambda s: s["now"]), call("one"), put("b", lambda s: s["now"]), reply(lambda s: [s["a"], s["b"]]))
    run.start()
    (asked,) = run.answer("one", Answered(T + DAY, {}))
    assert isinstance(asked, Reply) and asked.body == ["2026-03-02T08:00:00.000000Z", "2026-03-03T08:00:00.000000Z"]


def test_an_event_for_nothing_that_waits_is_an_error() -> None:
    run = walk(call("one"))
    run.start()
    with pytest.raises(KeyError):
        run.answer("two", Answered(T, {}))
