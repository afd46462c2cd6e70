"""Places, lines, and what becomes of those that find neither."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import Counter
from typing import Any

from bus.adapter import Adapter, Call, Contract, Settings, operation
from bus.engine.circuit import Habits, Place
from bus.engine.gates import LINES, LONGEST, SHORTEST, STUCK, Gates, sizes
from bus.engine.threads import Threads
from bus.errors import OutsideError, Refused, Unreachable
from bus.route.plan import CallStep, Clause

T = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)


class Niente(Contract):
    pass


class Due(Adapter):
    @operation(effect="read", timeout=1)
    def prima(self, request: Niente, ctx: Call) -> Niente:
        return request

    @operation(effect="read", timeout=1, concurrency=2)
    def seconda(self, request: Niente, ctx: Call) -> Niente:
        return request


def p(number: int, path: str = "p") -> Place:
    return (f"r{number}", 1, path)


def gates(places: int = 2, most_live: int = 24) -> Gates:
    """Two places, and a line for six."""
    return Gates({"a": places, "b": places}, most_live, Habits(after=3, pause=2))


def enter(all_gates: Gates, count: int, operation: str = "a.x") -> list[str]:
    return [all_gates.enter(p(n), operation, T) for n in range(count)]


def test_an_adapter_has_one_gate_and_an_operation_that_declares_its_concurrency_another() -> None:
    due = Due("due", Settings())
    assert sizes({"due": due}, 16) == {"due": 16, "due.seconda": 2}
    due.concurrency = 5
    assert sizes({"due": due}, 16) == {"due": 5, "due.seconda": 2}


def test_who_finds_no_place_stands_in_line_and_who_finds_no_line_is_turned_away() -> None:
    made = gates()
    assert enter(made, 10) == ["in"] * 2 + ["line"] * 6 + ["away"] * 2
    assert made.enter(p(20), "b.x", T) == "in"


def test_a_line_of_large_messages_is_as_much_shorter() -> None:
    """Hundreds of a megabyte each stood in one, live, with several gigabytes."""
    made, share = gates(), LINES // 2
    large = [made.enter(p(n), "a.x", T, share // 3) for n in range(8)]
    assert large == ["in"] * 2 + ["line"] * 3 + ["away"] * 3
    first = {"a.x": [("one", CallStep("s", "p"))]}
    assert [crowd.room for crowd in made.crowds(first, 9, T, Counter())] == [0]
    assert made.called(T) == []
    for n in range(2):
        made.came_home(p(n), None, T)
        made.next(T)
    assert made.called(T) == ["r5", "r6"]
    assert [made.enter(p(n), "b.x", T, 3 * share) for n in range(4)] == ["in", "in", "line", "away"]  # one may always stand there
    made.came_home(p(0), None, T)
    made.next(T)
    assert made.enter(p(9), "b.x", T, 1) == "line"
    assert made.of("b.x").room(T) == 5  # behind a small one small ones are expected


def test_a_place_that_comes_free_is_given_to_the_first_in_line() -> None:
    made = gates()
    enter(made, 5)
    made.came_home(p(0), None, T)
    assert made.stir(T)
    assert made.next(T) == [p(2)]
    assert made.enter(p(2), "a.x", T) == "in"
    assert not made.stir(T)


def test_those_that_were_turned_away_are_called_when_the_line_is_half_empty() -> None:
    made = gates()
    enter(made, 10)
    assert made.called(T) == []
    for n in range(4):
        made.came_home(p(n), None, T)
        made.next(T)
    assert made.called(T) == ["r8", "r9"]


def test_one_that_comes_back_by_itself_is_not_called_and_one_that_comes_in_vain_keeps_its_turn() -> None:
    made = gates()
    enter(made, 11)
    assert made.enter(p(8), "a.x", T) == "away"
    made.came_home(p(0), None, T)
    made.next(T)
    assert made.enter(p(9), "a.x", T) == "line"
    assert made.describe()["a"]["turned_away"] == 2  # type: ignore[index,call-overload]
    for n in range(1, 6):
        made.came_home(p(n), None, T)
        made.next(T)
    assert made.called(T) == ["r8", "r10"]


def test_a_crowded_gate_names_the_rules_that_begin_there_and_the_room_that_is_left() -> None:
    made, planned = gates(), CallStep("s", "p", on_error=(Clause(None, ()),))
    first = {"a.x": [("one", CallStep("s", "p")), ("two", planned)], "b.x": [("three", CallStep("s", "p"))]}
    enter(made, 5)
    assert [(c.gate, list(c.rules), c.room) for c in made.crowds(first, 4, T, Counter())] == [("a", ["one", "two"], 3)]
    assert made.crowds(first, 3, T, Counter()) == []
    claimed = Counter({"one": 2, "elsewhere": 9})  # of these rules two are claimed that do not ask yet
    assert [(c.gate, c.room) for c in made.crowds(first, 3, T, claimed)] == [("a", 1)]
    for n in range(3):
        made.came_home(p(n), Unreachable("down"), T)
    assert [(c.gate, list(c.rules), c.room) for c in made.crowds(first, 1, T, Counter())] == [("a", ["one"], 0)]
    made.turn_away("a", ["r9"])
    assert made.describe()["a"]["turned_away"] == 1  # type: ignore[index,call-overload]


def test_which_rules_begin_at_which_gate_is_sorted_out_once_for_all_gates_while_the_rules_are_the_same() -> None:
    """Each gate went through all rules for every claim: 19 ms where there are 300 systems."""
    looked: list[str] = []

    class Rules(dict[str, Any]):
        def items(self) -> Any:
            looked.append("")
            return super().items()

    made = Gates({f"a{n}": 2 for n in range(30)}, 60, Habits(), lambda *_, **__: None)
    first, other = (Rules({f"a{n}.x": [(f"d{n}", CallStep("s", "p"))] for n in some}) for some in (range(29, -1, -1), (7, 40)))
    assert len(made.crowds(first, 5, T, Counter())) == len(made.crowds(first, 5, T, Counter())) == 30
    assert len(looked) == 1
    assert [crowd.gate for crowd in made.crowds(other, 5, T, Counter())] == ["a7"]


def test_a_run_keeps_only_the_places_that_it_needs() -> None:
    made = gates()
    for path in ("x", "y", "z"):
        made.enter(p(1, path), "a.x", T)
    made.keep(("r1", 1), {"y"})
    assert made.enter(p(2), "a.x", T) == "in"
    assert made.describe()["a"] == {"places": 2, "out": 2, "in_line": 0, "turned_away": 0, "circuit": "closed", "locked_out": []}


def test_an_open_circuit_turns_all_of_the_line_away_and_calls_one_for_a_trial() -> None:
    made = gates(places=4, most_live=40)
    enter(made, 9)
    for n in range(3):
        made.came_home(p(n), Unreachable("down"), T)
    turned = made.next(T)
    assert turned == [p(n) for n in range(4, 9)]
    assert [made.enter(place, "a.x", T) for place in turned] == ["away"] * 5
    assert made.called(T) == []
    later = T + dt.timedelta(seconds=2)
    assert made.called(later) == ["r4"]
    assert [made.enter(p(n), "a.x", later) for n in (4, 5)] == ["in", "away"]
    made.came_home(p(4), None, later)
    assert made.enter(p(5), "a.x", later) == "in"


def test_nobody_overtakes_the_line() -> None:
    made = gates()
    enter(made, 3)
    made.came_home(p(0), None, T)
    assert made.enter(p(9), "a.x", T) == "line"
    assert made.next(T) == [p(2)]


def opened(made: Gates) -> dt.datetime:
    """When a trial may go out: three calls had no answer."""
    for number in (100, 101, 102):
        made.circuits["a"].ended(p(number), Unreachable("nobody there"), T)
    return T + dt.timedelta(seconds=2)


def test_of_a_line_before_an_open_circuit_one_goes_to_see_and_the_others_are_turned_away_once() -> None:
    made = gates()
    enter(made, 6)
    opened(made)
    assert made.next(T) == [p(2), p(3), p(4), p(5)], "to be turned away"
    assert made.next(T) == []
    assert [made.enter(p(n), "a.x", T) for n in (2, 3)] == ["away", "away"]
    patient = Gates({"a": 2}, 24, Habits(after=3, pause=100, longest=100))
    opened(patient)
    assert patient.of("a.x").again(T) > T + dt.timedelta(seconds=100), "not before somebody may go and see"
    full = gates()
    enter(full, 5)
    trial = opened(full)
    assert full.next(trial) == [], "no place is free for a trial"
    full.came_home(p(0), Unreachable("nobody there"), T)
    full.came_home(p(1), Unreachable("nobody there"), T)
    assert full.next(trial) == [p(2)]
    assert full.enter(p(2), "a.x", trial) == "in"
    assert not full.circuits["a"].wants_trial(trial)


def test_a_trial_that_found_no_place_or_was_not_made_leaves_it_to_another() -> None:
    made = gates()
    enter(made, 2)
    trial = opened(made)
    assert made.enter(p(7), "a.x", trial) == "line"
    assert made.circuits["a"].wants_trial(trial)
    made.leave(p(7))
    made.came_home(p(0), Unreachable("nobody there"), trial)
    assert made.enter(p(8), "a.x", trial) == "in"
    assert not made.circuits["a"].wants_trial(trial)
    made.keep(("r8", 1), ())
    assert made.circuits["a"].wants_trial(trial)


def test_who_is_turned_away_out_of_the_line_does_not_stand_in_it_any_more() -> None:
    made = gates()
    enter(made, 3)
    opened(made)
    assert made.enter(p(2), "a.x", T) == "away"
    assert (made.describe()["a"]["in_line"], made.describe()["a"]["turned_away"]) == (0, 1)  # type: ignore[index, call-overload]


def test_what_did_not_go_out_frees_its_place_and_says_nothing_of_the_system() -> None:
    made = gates()
    enter(made, 1)
    made.circuits["a"].failures = 2
    made.came_home(p(0), None, T, asked=False)
    assert (made.circuits["a"].failures, made.of("a.x").out) == (2, set())


def test_the_pause_of_those_turned_away_grows_with_their_number_so_that_looking_in_vain_costs_little() -> None:
    made = gates()
    few = [enter(made, 9), made.of("a.x").again(T)][1]
    enter(made, 20_000)
    many = made.of("a.x").again(T)
    assert 0.75 * SHORTEST <= (few - T).total_seconds() <= 1.25 * SHORTEST
    assert 0.75 * LONGEST <= (many - T).total_seconds() <= 1.25 * LONGEST


def test_threads_are_made_when_they_are_needed_kept_and_bounded() -> None:
    threads, gate, done = Threads(3, "prova"), threading.Event(), threading.Semaphore(0)
    assert threads.count() == 0
    threads.run(done.release)
    assert done.acquire(timeout=60)
    for _ in range(6):
        threads.run(lambda: (gate.wait(60), done.release()))  # type: ignore[arg-type,return-value]
    assert threads.count() == 3
    gate.set()
    assert all(done.acquire(timeout=60) for _ in range(6))
    assert threads.close(time.monotonic() + 60)


def test_a_thread_that_hangs_does_not_keep_the_others_from_closing() -> None:
    threads, gate = Threads(1, "prova"), threading.Event()
    threads.run(lambda: gate.wait(30))  # type: ignore[arg-type,return-value]
    begun = time.monotonic()
    assert not threads.close(begun + 0.1)
    assert time.monotonic() - begun < 25
    gate.set()


def test_a_system_that_does_not_take_us_any_more_is_told_once_and_shown_until_it_does() -> None:
    """A route may go on without its answer, so that no dead letter would say it."""
    said: list[tuple[str, str, str]] = []

    def say(event: str, operation: str = "", code: str = "", **_: object) -> None:
        said.append((event, operation, code))

    made = Gates({"a": 2}, 24, Habits(after=9), say)
    kept_out, away = Refused("who is that?", outside_code="HTTP_401", locked_out=True), Unreachable("nobody there")
    ends: list[OutsideError | None] = [Refused("no", outside_code="HTTP_401"), kept_out, kept_out, away, None, kept_out]
    shown = []
    for error in ends:
        for name in ("a.x", "a.y"):  # each by its own credentials, perhaps
            made.enter(p(0), name, T)
            made.came_home(p(0), error if name == "a.x" else None, T)
        told: Any = made.describe()["a"]
        shown.append(told["locked_out"])
    assert said == [("call.locked-out", "a.x", "HTTP_401")] * 2
    assert shown == [[], ["a.x"], ["a.x"], ["a.x"], [], ["a.x"]]


def test_who_was_turned_away_is_left_alone_the_longer_the_longer_nothing_has_come_home() -> None:
    made = gates()
    enter(made, 9)
    gate, later = made.of("a.x"), T + dt.timedelta(seconds=STUCK)
    assert gate.again(later) - later == gate.again(T) - T, "none is known to have been out before"
    made.came_home(p(0), None, T)
    assert (gate.again(later) - later) / (gate.again(T) - T) == STUCK / SHORTEST
    made.came_home(p(1), None, later, asked=False)
    assert gate.again(later) - later == gate.again(T) - T, "one that did not go out after all gave its place back, too"


def test_a_run_is_away_that_one_of_the_gates_turned_away_and_did_not_call_since() -> None:
    made = gates()
    enter(made, 10)
    assert made.are_away(["r0", "r8", "r9", "altra"]) == ["r8", "r9"]
    for number in range(8):
        made.came_home(p(number), None, T)
        made.leave(p(number))
    assert (set(made.called(T)), made.are_away(["r8", "r9"]), made.away()) == ({"r8", "r9"}, [], False)
