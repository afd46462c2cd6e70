"""The contract suite of stores: subclass it, give the fixture ``store``, and your database is proved to be good enough."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import pytest

from bus.clock import text_of
from bus.engine import claims
from bus.engine.gates import Crowd
from bus.errors import StoreError
from bus.store import Row, Store, Tx, listed
from bus.testing.patience import until

NOW = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)
LEASE = dt.timedelta(seconds=30)
LATER = NOW + LEASE + dt.timedelta(seconds=1)


def do(store: Store, query: str, **given: Any) -> None:
    """A change in a transaction of its own."""
    store.write(lambda tx: tx.do(query, **given)).result(30)


def rows(store: Store, query: str, **asked: Any) -> Sequence[Row]:
    """What a question finds in a transaction of its own."""
    return store.write(lambda tx: tx.all(query, **asked)).result(30)


def add_runs(store: Store, *runs: str | tuple[str, str], **more: Any) -> None:
    """Open runs that are ready since `NOW`; each has a case of its own, or the one named with it."""

    def work(tx: Tx) -> None:
        for run in runs:
            name, case = (run, f"case-{run}") if isinstance(run, str) else run
            row = {"ordered": 1, "version": 1, "entry": "", "place": "prova@1", "time": text_of(NOW), **more}
            tx.do("add_run", id=name, message=f"m-{name}", route="prova", **{"digest": "d", **row}, case_id=case)

    store.write(work).result(30)


def claim(store: Store, *runs: str, owner: str = "uno", now: dt.datetime = NOW, suspects: bool = True) -> list[Row]:
    return store.write(lambda tx: claims.claim(tx, runs, owner, now, LEASE, suspects=suspects)).result(30)


def settle(store: Store, row: Row, owner: str = "uno", state: str = "done", now: dt.datetime = NOW) -> None:
    """End a claim as the engine does."""
    pairs = f'[["{row["id"]}",{row["fence"]}]]'

    def work(tx: Tx) -> None:
        assert tx.all("runs_held", owner=owner, claims=pairs), "the claim was lost"
        tx.do("set_run", id=row["id"], state=state, due=text_of(now), place="", time=text_of(now), reason=None)

    store.write(work).result(30)


def due(store: Store, now: dt.datetime, *, suspects: bool = False) -> list[str]:
    return ids(store.write(lambda tx: claims.due(tx, now, 9, suspects=suspects)).result(30))


def blocking(store: Store, now: dt.datetime) -> list[str]:
    return ids(store.write(lambda tx: claims.blocking(tx, now)).result(30))


def take_lane(store: Store, run: str, name: str = "fila") -> None:
    do(store, "take_lane", name=name, run=run, path="p")


def pause(store: Store, row: Row, until: dt.datetime) -> None:
    do(store, "pause_run", id=row["id"], fence=row["fence"], owner="uno", until=text_of(until))


def put(name: str) -> Callable[[Tx], None]:
    """Work that writes one row, whose name `names` tells."""
    return lambda tx: tx.do("set_sequence", name=name, value=1)


def names(store: Store) -> set[str]:
    with store.read() as tx:
        return {row["name"] for row in tx.all("all_sequences")}


def failing(tx: Tx) -> None:
    """Work that writes, looks, and fails."""
    tx.do("set_sequence", name="bad", value=1)
    assert any(row["name"] == "bad" for row in tx.all("all_sequences"))
    raise ValueError("no")


@contextmanager
def together(store: Store) -> Iterator[None]:
    """What is written in the block waits for its end, and so for each other."""
    gate = threading.Event()
    store.write(lambda tx: gate.wait(30))
    try:
        yield
    finally:
        gate.set()


def ids(rows: Sequence[Row]) -> list[str]:
    return [row["id"] for row in rows]


class StoreContract:
    """Subclass and define the fixture ``store``: an empty database that nobody else uses."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    # -- writing and reading -----------------------------------------------------------------------------------------

    def test_works_that_wait_together_are_run_in_order(self, store: Store) -> None:
        seen: list[int] = []
        with together(store):
            futures = [store.write(lambda tx, n=n: seen.append(n)) for n in range(50)]  # type: ignore[misc]
        wait(futures, 30)
        assert seen == list(range(50))

    def test_work_may_be_done_by_who_waits_for_it_while_nobody_else_writes(self, store: Store) -> None:
        threads = [store.write(lambda tx: threading.get_ident(), here=True)]
        assert threads[0].done()
        with together(store):
            threads += [store.write(lambda tx: threading.get_ident()), store.write(lambda tx: threading.get_ident(), here=True)]
        mine, queued, behind = (thread.result(30) for thread in threads)
        assert (mine == threading.get_ident(), queued == mine, behind == queued) == (True, False, True)
        store.lull(30)  # whoever wrote those tells their ends before it puts its pen down
        with pytest.raises(ValueError, match="no"):
            store.write(failing, here=True).result(0)
        store.write(put("after"), here=True).result(0)
        assert names(store) == {"after"}

    def test_many_threads_that_write_here_lose_nothing(self, store: Store) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: store.write(put(f"n{n}"), here=n % 2 == 0).result(30), range(200)))
        assert len(names(store)) == 200

    def test_a_lull_comes_when_nobody_writes(self, store: Store) -> None:
        with together(store):
            began = time.monotonic()
            store.lull(0.05)
            assert time.monotonic() - began >= 0.05
        store.write(put("after")).result(30)
        store.lull(30)

    def test_a_work_that_fails_loses_only_its_own_changes(self, store: Store) -> None:
        with together(store):
            good, bad, after = store.write(put("good")), store.write(failing), store.write(put("after"))
        good.result(30), after.result(30)
        with pytest.raises(ValueError, match="no"):
            bad.result(30)
        assert names(store) == {"good", "after"}

    def test_works_that_fail_again_and_again_spoil_nothing_that_comes_after(self, store: Store) -> None:
        for turn in range(5):
            with pytest.raises(ValueError, match="no"):
                store.write(failing).result(30)
            for name in "ab":
                store.write(put(f"{name}{turn}")).result(30)
        assert names(store) == {f"{name}{turn}" for name in "ab" for turn in range(5)}

    def test_rows_and_changes_that_wait_for_the_end_of_a_transaction_keep_their_order(self, store: Store) -> None:
        add_runs(store, "a", "b")

        def state(tx: Tx, run: str, state: str) -> None:
            tx.do("set_run", id=run, state=state, due=text_of(NOW), place=state, time=text_of(NOW), reason=None)

        def work(tx: Tx) -> None:
            state(tx, "a", "waiting")
            state(tx, "b", "dead")
            row = {"ordered": 1, "version": 1, "entry": "", "place": "prova@1", "time": text_of(NOW)}
            tx.do("add_run", id="c", message="m", route="prova", digest="d", case_id="case-c", **row)
            state(tx, "c", "waiting")
            tx.do("wake_run", id="c", time=text_of(NOW))
            state(tx, "a", "done")
            for path in ("x", "y"):
                tx.do("add_wait", run="b", path=path, place="", type="t", name=None, value=None, deadline=None, state="open", late=0)
            tx.do("close_wait", run="b", path="x", state="matched")
            tx.do("close_waits", run="a")
            tx.do("close_waits", run="b")

        store.write(work).result(30)
        with store.read() as tx:
            assert {row["id"]: (row["state"], row["place"]) for row in tx.all("rows_of_runs", id="", most=1000)} == {
                "a": ("done", "done"), "b": ("dead", "dead"), "c": ("ready", "waiting"),
            }  # fmt: skip
            assert [(row["run"], row["path"], row["state"]) for row in tx.all("rows_of_waits", run="", path="", most=1000)] == [
                ("b", "x", "matched"), ("b", "y", "given up"),
            ]  # fmt: skip

    def test_a_statement_that_the_database_refuses_spoils_nothing_that_comes_after(self, store: Store) -> None:
        add_runs(store, "a")
        for _ in range(3):
            with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
                add_runs(store, "a")
            store.write(put("after")).result(30)
            store.write(put("and-again")).result(30)
        assert names(store) == {"after", "and-again"}

    def test_a_reader_sees_one_moment_for_as_long_as_it_looks(self, store: Store) -> None:
        store.write(put("a")).result(30)
        for seen in (1, 2):  # also in the next view of the same connection
            with store.read() as tx:
                assert len(tx.all("all_sequences")) == seen
                store.write(put(f"b{seen}")).result(30)
                assert len(tx.all("all_sequences")) == seen

    def test_a_future_that_was_cancelled_does_not_end_the_writer(self, store: Store) -> None:
        with together(store):
            cancelled = store.write(put("never"))
            assert cancelled.cancel()
        store.write(put("after")).result(30)
        assert names(store) == {"after"}
        here = threading.get_ident()
        until(lambda: store.write(lambda tx: threading.get_ident(), here=True).result(30) == here, "it is no work that is to be done")

    def test_records_are_followed_by_numbers_that_go_up(self, store: Store) -> None:
        for name in "ab":
            do(store, "add_record", id=name, kind="rules", time="t", message=None, run=None, content=name.encode())
        with store.read() as tx:
            first, second = tx.all("records_after", after=0, most=9)
        assert [bytes(row["content"]) for row in (first, second)] == [b"a", b"b"]
        assert first["seq"] < second["seq"]

    def test_closing_writes_what_was_taken_and_refuses_the_rest(self, store: Store) -> None:
        futures = [store.write(put(f"n{n}")) for n in range(500)]
        store.close()
        assert [future.exception(0) for future in futures] == [None] * 500
        with pytest.raises(StoreError, match="closed"):
            store.write(put("late"))
        with pytest.raises(StoreError, match="closed"):
            store.write(put("late"), here=True)
        with pytest.raises(StoreError, match="closed"):
            names(store)
        store.close()  # once more does no harm

    # -- claims ------------------------------------------------------------------------------------------------------

    def test_many_runs_are_claimed_at_once_in_the_order_in_which_they_were_accepted(self, store: Store) -> None:
        add_runs(store, "c", "a", "b")
        rows = claim(store, "a", "b", "c", "unknown")
        assert ids(rows) == ["c", "a", "b"]
        assert [(row["fence"], row["strikes"]) for row in rows] == [(1, 0)] * 3

    def test_runs_that_were_just_opened_are_claimed_as_others_are(self, store: Store) -> None:
        add_runs(store, ("dead", "held"), ("taken", "busy"))
        settle(store, claim(store, "dead")[0], state="dead")
        assert ids(claim(store, "taken", owner="due")) == ["taken"]
        late = text_of(LATER)
        opened = ["two", "alone", "one", "behind-dead", "behind-taken", "done"]
        add_runs(store, ("two", "pair"), "alone", ("one", "pair"), ("behind-dead", "held"), ("behind-taken", "busy"), "done")
        add_runs(store, ("twin", "twins"), ("other", "twins"), ordered=0)
        add_runs(store, "late", time=late)
        settle(store, claim(store, "done")[0])
        named = [*opened, "twin", "other", "late", "unknown", "taken", "dead"]
        rows = store.write(lambda tx: claims.claim_opened(tx, named, "uno", NOW, LEASE)).result(30)
        assert ids(rows) == ["two", "alone", "twin", "other"]
        assert [(row["fence"], row["strikes"]) for row in rows] == [(1, 0)] * 4
        mine = listed([row["id"], row["fence"]] for row in rows)
        assert sorted(ids(store.write(lambda tx: tx.all("runs_held", owner="uno", claims=mine)).result(30))) == sorted(ids(rows))
        assert claim(store, *named) == []
        assert claim(store, "alone", owner="due") == []
        assert ids(claim(store, "alone", owner="due", now=LATER)) == ["alone"], "when the lease is over, as any"

    def test_what_one_has_claimed_another_does_not_get(self, store: Store) -> None:
        add_runs(store, "a", "b")
        assert ids(claim(store, "a")) == ["a"]
        assert ids(claim(store, "a", "b", owner="due")) == ["b"]

    def test_a_run_that_is_not_due_or_not_ready_is_not_claimed(self, store: Store) -> None:
        add_runs(store, "late", time=text_of(LATER))
        add_runs(store, "done")
        settle(store, claim(store, "done")[0])
        assert claim(store, "late", "done") == []

    def test_of_one_case_only_the_first_accepted_is_claimed(self, store: Store) -> None:
        add_runs(store, ("z", "same"), ("a", "same"), ("m", "same"))
        first = claim(store, "a", "m", "z")
        assert ids(first) == ["z"]
        assert claim(store, "a", "m") == []
        settle(store, first[0])
        assert ids(claim(store, "a", "m")) == ["a"]

    def test_a_dead_run_holds_its_case_and_no_other(self, store: Store) -> None:
        add_runs(store, ("first", "held"), ("second", "held"), "free")
        settle(store, claim(store, "first")[0], state="dead")
        assert ids(claim(store, "second", "free")) == ["free"]

    def test_unordered_runs_of_one_case_go_together(self, store: Store) -> None:
        add_runs(store, ("a", "same"), ("b", "same"), ordered=0)
        assert ids(claim(store, "a", "b")) == ["a", "b"]

    def test_who_holds_a_lane_goes_before_its_case_and_alone(self, store: Store) -> None:
        add_runs(store, ("first", "same"), ("holder", "same"))
        take_lane(store, "holder")
        held = claim(store, "first", "holder")
        assert ids(held) == ["holder"]
        assert claim(store, "first") == []
        settle(store, held[0])
        assert ids(claim(store, "first")) == ["first"]

    def test_a_claim_whose_owner_vanished_is_a_strike_and_with_two_a_run_is_claimed_alone(self, store: Store) -> None:
        add_runs(store, "a", "b", "c")
        claim(store, "b", "c")
        assert claim(store, "b", owner="due") == []
        second = claim(store, "a", "b", "c", owner="due", now=LATER)
        assert [(row["id"], row["strikes"], row["fence"]) for row in second] == [("a", 0, 1), ("b", 1, 2), ("c", 1, 2)]
        third = LATER + 2 * LEASE
        assert ids(claim(store, "a", "b", "c", owner="tre", now=third, suspects=False)) == ["a"]
        assert [(row["id"], row["strikes"]) for row in claim(store, "a", "b", "c", owner="tre", now=third)] == [("b", 2)]
        assert ids(claim(store, "a", "b", "c", owner="tre", now=third)) == ["c"]

    def test_strikes_are_forgotten_when_told_and_a_graceful_leave_gives_none(self, store: Store) -> None:
        add_runs(store, "a", "b")
        claim(store, "a", "b")
        settle(store, claim(store, "a", now=LATER)[0], state="ready", now=LATER)
        do(store, "forget_strikes", runs='["a"]')
        claim(store, "b", now=LATER)
        do(store, "release_owner", owner="uno")
        assert sorted((row["id"], row["strikes"]) for row in claim(store, "a", "b", now=LATER)) == [("a", 0), ("b", 1)]

    def test_a_takeover_gives_a_strike_to_what_was_held_and_ends_pauses(self, store: Store) -> None:
        add_runs(store, "a", "b")
        claim(store, "a")
        row = claim(store, "b")[0]
        pause(store, row, LATER)
        assert claim(store, "b") == []
        do(store, "release_all")
        assert [(row["id"], row["strikes"]) for row in claim(store, "a", "b")] == [("a", 1), ("b", 0)]

    def test_a_pause_is_over_when_its_time_has_come_or_somebody_ends_it(self, store: Store) -> None:
        add_runs(store, "a")
        row = claim(store, "a")[0]
        pause(store, row, LATER)
        assert ids(rows(store, "runs_paused", now=text_of(NOW), most=9)) == ["a"]
        do(store, "end_pauses", runs='["a"]')
        assert ids(claim(store, "a")) == ["a"]

    def test_due_runs_are_claimed_without_tickets_those_first_that_waited_longest(self, store: Store) -> None:
        add_runs(store, "young", time=text_of(NOW + dt.timedelta(seconds=2)))
        add_runs(store, "old", ("old-2", "case-old"), "middle")
        assert ids(store.write(lambda tx: claims.due(tx, NOW + LEASE, 2)).result(30)) == ["old", "middle"]
        claim(store, "old", "middle")
        assert due(store, NOW + LEASE / 2) == ["young"]

    def test_of_a_long_line_only_the_first_is_found_and_who_holds_a_lane(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(claims, "LONG", 3)
        add_runs(store, ("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a"), ("b2", "b"), ("free", "a"), "c")
        settle(store, claim(store, "a1")[0], state="dead")

        def found(tx: Tx) -> tuple[claims.Lines, list[str]]:
            lines = claims.lines_of(tx, claims.long_lines(tx, NOW))
            return lines, ids(claims.due(tx, NOW, 9, claims.Part(lines)))

        assert store.write(found).result(30) == (claims.Lines(("a",), ("a2",)), ["b1", "c"])
        take_lane(store, "free")
        assert store.write(found).result(30)[1] == ["b1", "free", "c"]
        redelivered = {"id": "a1", "state": "ready", "due": text_of(NOW), "place": "", "time": text_of(NOW), "reason": None}
        do(store, "set_run", **redelivered)
        assert store.write(found).result(30) == (claims.Lines(("a",), ("a1",)), ["a1", "b1", "free", "c"])

    def test_of_runs_that_never_began_a_crowd_turns_away_those_beyond_its_room(self, store: Store) -> None:
        add_runs(store, "a", "b", "c", "d")
        row = claim(store, "a")[0]
        do(store, "pause_run", id="a", fence=row["fence"], owner="uno", until=None)
        crowd = Crowd("lento", ["d"], 1, LATER)
        assert store.write(lambda tx: claims.turn_away(tx, ["d", "a", "c", "b"], [crowd])).result(30) == {"lento": ["c", "b"]}
        assert ids(claim(store, "a", "b", "c", "d")) == ["a", "d"]
        do(store, "end_pauses", runs='["b","c"]')
        assert store.write(lambda tx: claims.turn_away(tx, ["b"], [crowd._replace(rules=["other"], room=0)])).result(30) == {}

    def test_who_lost_a_claim_settles_nothing(self, store: Store) -> None:
        add_runs(store, "a")
        lost = claim(store, "a")[0]
        held = claim(store, "a", owner="due", now=LATER)[0]
        with pytest.raises(AssertionError, match="lost"):
            settle(store, lost)
        settle(store, held, owner="due", now=LATER)

    def test_a_lease_is_good_to_its_last_moment(self, store: Store) -> None:
        add_runs(store, "a")
        claim(store, "a")
        assert claim(store, "a", owner="due", now=NOW + LEASE) == []
        assert store.write(lambda tx: claims.due(tx, NOW + LEASE, 9)).result(30) == []
        assert due(store, LATER) == ["a"]

    def test_a_run_without_order_stands_before_nobody_of_its_case(self, store: Store) -> None:
        add_runs(store, ("free", "same"), ("dead", "same"), ordered=0)
        settle(store, claim(store, "dead")[0], state="dead")
        add_runs(store, ("a", "same"))
        assert due(store, NOW) == ["free", "a"]
        claim(store, "free")
        assert ids(claim(store, "a")) == ["a"]

    def test_who_holds_a_lane_keeps_its_case_only_while_somebody_has_it(self, store: Store) -> None:
        add_runs(store, ("first", "same"), ("holder", "same"))
        take_lane(store, "holder")
        row = claim(store, "holder")[0]
        assert ids(claim(store, "first", now=LATER)) == ["first"], "its owner is no more"
        settle(store, claim(store, "first", now=LATER + 2 * LEASE)[0], state="ready", now=LATER)
        row = claim(store, "holder", now=LATER)[0]
        pause(store, row, LATER + LEASE)
        assert ids(claim(store, "first", now=LATER)) == ["first"], "it is left alone"

    def test_a_suspect_goes_before_those_that_are_due_longer_and_a_waiting_run_not_at_all(self, store: Store) -> None:
        add_runs(store, "old", "waits")
        add_runs(store, "suspect", time=text_of(NOW + dt.timedelta(seconds=1)))
        settle(store, claim(store, "waits")[0], state="waiting")
        claim(store, "suspect", now=LATER)
        claim(store, "suspect", now=LATER + 2 * LEASE)
        third = LATER + 4 * LEASE
        assert [(row["id"], row["strikes"]) for row in claim(store, "old", "suspect", "waits", now=third)] == [("suspect", 2)]
        assert ids(claim(store, "old", "waits", now=third)) == ["old"]

    @pytest.mark.parametrize(("fence", "owner"), [(1, "uno"), (0, "due")])
    @pytest.mark.parametrize("query", ["pause_run", "hold_runs", "runs_held"])
    def test_only_who_has_a_claim_ends_or_renews_it(self, store: Store, query: str, fence: int, owner: str) -> None:
        """``fence``: so much beside the true one."""
        add_runs(store, "a")
        row = claim(store, "a")[0]
        of, until = row["fence"] + fence, text_of(NOW + 9 * LEASE)
        asked = {
            "pause_run": {"id": "a", "fence": of, "owner": owner, "until": until},
            "hold_runs": {"owner": owner, "claims": f'[["a",{of}]]', "lease": until},
            "runs_held": {"owner": owner, "claims": f'[["a",{of}]]'},
        }[query]
        assert not store.write(lambda tx: tx.do(query, **asked) if query == "pause_run" else tx.all(query, **asked)).result(30)
        assert claim(store, "a", owner="tre") == []
        assert [row["strikes"] for row in claim(store, "a", owner="tre", now=LATER)] == [1]

    def test_what_is_given_back_or_left_in_another_state_is_free_at_once_and_without_a_strike(self, store: Store) -> None:
        add_runs(store, "a", "b", "c")
        fences = {row["id"]: row["fence"] for row in claim(store, "a", "b", "c")}
        do(store, "pause_run", id="a", fence=fences["a"], owner="uno", until=None)
        do(store, "set_run", id="c", state="ready", due=text_of(NOW), place="", time=text_of(NOW), reason=None)
        assert [row["strikes"] for row in claim(store, "a", "c", owner="due")] == [0, 0]
        do(store, "release_owner", owner="uno")
        assert ids(claim(store, "b", owner="due", now=LATER)) == ["b"]

    def test_a_run_that_somebody_has_is_not_left_alone(self, store: Store) -> None:
        add_runs(store, "held", "never", "paused")
        _, paused = claim(store, "held", "paused")
        do(store, "leave_alone", runs='["held","never","paused"]', until=text_of(LATER))
        pause(store, paused, LATER)
        now, named = text_of(NOW), '["held","never","paused"]'
        assert ids(rows(store, "runs_paused", now=now, most=9)) == ["never", "paused"]
        assert sorted((row["id"], row["owner"]) for row in rows(store, "runs_kept_among", now=now, runs=named)) == [
            ("held", "uno"),
            ("paused", None),
        ]
        do(store, "end_pauses", runs=named)
        assert sorted(ids(claim(store, "held", "never", "paused", owner="due"))) == ["never", "paused"]

    def test_a_late_message_s_run_is_not_turned_away_for_what_its_route_asks_first(self, store: Store) -> None:
        add_runs(store, "late", entry="tardi a")
        assert store.write(lambda tx: claims.turn_away(tx, ["late"], [Crowd("lento", ["d"], 0, LATER)])).result(30) == {}

    def test_a_suspect_blocks_others_when_it_holds_a_lane_and_nobody_has_it(self, store: Store) -> None:
        add_runs(store, "a", "b")
        take_lane(store, "a")
        moments = [NOW + number * 2 * LEASE for number in range(4)]
        for now, found in zip(moments[:3], ([], [], ["a"]), strict=True):
            assert blocking(store, now) == found
            claim(store, "a", "b", now=now)
        assert [blocking(store, now) for now in moments[2:]] == [[], ["a"]]

    def test_who_stands_behind_is_told_when_it_can_go_on(self, store: Store) -> None:
        add_runs(store, ("first", "same"), ("behind", "same"), ("held", "same"), "other")
        add_runs(store, ("late", "same"), time=text_of(LATER + LEASE))
        add_runs(store, ("taken", "same"), ordered=0)
        row = claim(store, "first")[0]
        claim(store, "taken")
        asked = {"claims": f'[["first",{row["fence"]}]]', "now": text_of(NOW)}
        settle(store, row)
        assert ids(rows(store, "runs_behind", **asked)) == ["behind"], "the others are told when it leaves"
        take_lane(store, "held", "fila")
        assert sorted(ids(rows(store, "runs_behind", **asked))) == ["behind", "held"], "who holds a lane goes before its turn"

    # -- turns, lanes, numbers ---------------------------------------------------------------------------------------

    def test_a_run_that_is_dead_or_done_is_woken_by_nothing_and_one_that_is_ready_keeps_its_turn(self, store: Store) -> None:
        add_runs(store, "ready", "waits", "dead")
        settle(store, claim(store, "waits")[0], state="waiting")
        settle(store, claim(store, "dead")[0], state="dead")

        def wake(tx: Tx) -> list[tuple[str, str]]:
            for run in ("ready", "waits", "dead"):
                tx.do("wake_run", id=run, time=text_of(LATER))
            return [(row["state"], row["due"]) for row in tx.all("rows_of_runs", id="", most=1000)]

        now, later = text_of(NOW), text_of(LATER)
        assert store.write(wake).result(30) == [("dead", now), ("ready", now), ("ready", later)]

    def test_numbers_only_go_up_and_a_lane_is_left_by_the_call_that_has_it(self, store: Store) -> None:
        def work(tx: Tx) -> list[int]:
            values = []
            for value in (1, 7, 3):
                tx.do("set_sequence", name="fila", value=value)
                row = tx.one("sequence", name="fila")
                assert row is not None
                values.append(row["value"])
            tx.do("take_lane", name="fila", run="a", path="p")
            tx.do("take_lane", name="altra", run="a", path="q")
            tx.do("leave_lane", run="a", path="q")
            return values

        assert store.write(work).result(30) == [1, 7, 7]
        with store.read() as tx:
            assert [row["name"] for row in tx.all("all_lanes")] == ["fila"]

    def test_a_wait_that_is_opened_again_and_a_lane_that_is_taken_again_are_as_they_were_told_last(self, store: Store) -> None:
        add_runs(store, "a")

        def work(tx: Tx) -> list[Any]:
            for state, deadline in (("given up", NOW), ("open", LATER)):
                told = {"type": "t", "name": None, "value": None, "deadline": text_of(deadline), "state": state, "late": 0}
                tx.do("add_wait", run="a", path="p", place="prova@1", **told)
            for run in ("a", "b"):
                tx.do("take_lane", name="fila", run=run, path=f"p-{run}")
            wait, lane = tx.one("wait", run="a", path="p"), tx.one("lane", name="fila")
            assert wait is not None
            assert lane is not None
            return [wait["state"], wait["deadline"], lane["run"], lane["path"]]

        assert store.write(work).result(30) == ["open", text_of(LATER), "b", "p-b"]

    def test_only_what_is_due_counts_and_only_who_has_an_order_is_first_in_line(self, store: Store) -> None:
        add_runs(store, ("free", "same"), ordered=0)
        add_runs(store, ("a", "same"), ("b", "same"))
        add_runs(store, "late", time=text_of(LATER))
        assert [row["ready"] for row in rows(store, "count_ready", now=text_of(NOW), most=9)] == [3]
        assert ids(rows(store, "runs_first", cases='["same"]')) == ["a"]

    def test_a_key_that_names_a_person_tells_no_case_and_goes_with_the_last_message_that_carries_it(self, store: Store) -> None:
        def work(tx: Tx) -> list[Any]:
            for name, strong in (("email", 0), ("pratica", 1)):
                tx.do("add_case_key", name=name, value="x", case_id="c", strong=strong)
            found = [tx.one("case_of_key", name=name, value="x") is None for name in ("email", "pratica")]
            known = tx.all("known_among", intake="[]", waits="[]", case='[["email","x"],["pratica","x"]]')
            tx.do("drop_weak_case_keys", cases='["c"]')
            return [
                found,
                [row["first"] for row in known],
                [row["name"] for row in tx.all("rows_of_case_keys", name="", value="", case_id="", most=1000)],
            ]

        assert store.write(work).result(30) == [[True, False], ["pratica"], ["pratica"]]

    def test_what_is_old_is_disposed_of_and_a_file_only_when_nobody_sent_it_since(self, store: Store) -> None:
        def work(tx: Tx) -> list[Any]:
            for file, sender, when in (("f", "s", NOW), ("f", "t", LATER), ("g", "s", LATER), ("g", "s", NOW)):
                tx.do("add_attachment", file=file, sender=sender, payload=f"p-{when == NOW}", time=text_of(when))
            for message, when in (("m1", NOW), ("m2", LATER)):
                tx.do("add_message", id=message, type="t", sender="s", time=text_of(when), case_id="c", payload="p")
            old = {"after": "", "before": text_of(LATER), "most": 9}
            files, messages = tx.all("files_to_dispose", **old), tx.all("messages_to_dispose", until="z", **old)
            return [[row["file"] for row in files], ids(messages), [row["payload"] for row in tx.all("attachments_of_file", file="g")]]

        assert store.write(work).result(30) == [["g"], ["m1"], ["p-True"]]

    # -- transactions ------------------------------------------------------------------------------------------------

    def test_work_that_fails_takes_nothing_with_it_not_even_later(self, store: Store) -> None:
        def failing(tx: Tx) -> None:
            tx.do("add_mark", name="presa", value="indietro")
            tx.one("mark", name="presa")
            tx.do("add_record", id="r", kind="rules", time="t", message=None, run=None, content=b"{}")
            raise RuntimeError("taken back")

        for turn in range(5):
            with pytest.raises(RuntimeError, match="taken back"):
                store.write(failing).result(30)
            for part in range(3):
                do(store, "add_mark", name=f"{turn} {part}", value="resta")
        with store.read() as tx:
            assert tx.one("mark", name="presa") is None
            assert tx.one("mark", name="4 2") is not None
            assert tx.one("newest_record") is None
            with pytest.raises(StoreError):
                tx.do("add_mark", name="guardata", value="no")

    def test_a_case_keeps_the_name_of_a_person_only_for_a_message_of_its_own(self, store: Store) -> None:
        for case in ("a", "b"):
            do(store, "add_message", id=case, type="t", sender="s", time="", case_id=case, payload="p")
            do(store, "add_message_key", name="email", value="e", message=case, type="t")
            do(store, "add_case_key", name="email", value="e", case_id=case, strong=0)
        do(store, "drop_weak_message_keys", messages='["a"]', weak='["email"]')
        do(store, "drop_weak_case_keys", cases='["a","b"]')
        assert [row["case_id"] for row in rows(store, "cases_by_value", name=None, value="e")] == ["b"]
