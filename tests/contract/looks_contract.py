"""The rest of the contract suite of stores: what sweepers, waits and duties find, and what not. Subclass it as `StoreContract`."""

from __future__ import annotations

import datetime as dt
from contextlib import nullcontext
from typing import Any

import pytest

from bus.clock import text_of
from bus.engine import claims
from bus.engine.gates import Crowd
from bus.log import cases, stretches
from bus.log.diagnosis import Broken
from bus.log.traces import BEFORE_ALL
from bus.message import canonical
from bus.store import Store, Tx, listed
from tests.contract.store_contract import LATER, LEASE, NOW, add_runs, blocking, claim, do, due, ids, pause, rows, settle, take_lane
from tests.views import Counting

SECOND = dt.timedelta(seconds=1)


def found(store: Store, query: str, **asked: Any) -> list[Any]:
    """The first column of each row."""
    return [next(iter(dict(row).values())) for row in rows(store, query, **asked)]


def add_message(store: Store, id: str, type: str = "t", *, case: str = "c") -> None:
    do(store, "add_message", id=id, type=type, sender="s", time=text_of(NOW), case_id=case, payload="p")


def _run(name: str) -> dict[str, Any]:
    row = {"version": 1, "digest": "d", "entry": "", "ordered": 1, "place": "r@1", "time": text_of(NOW)}
    return {"id": name, "message": name, "route": "r", "case_id": name, **row}


def twice_lost(store: Store, *runs: str) -> dt.datetime:
    """Claimed by two who vanished; returns when the second lease is over."""
    claim(store, *runs)
    claim(store, *runs, now=LATER)
    return LATER + LEASE + SECOND


class LooksContract:
    """Subclass and define the fixture ``store``: an empty database that nobody else uses."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    # -- claims ------------------------------------------------------------------------------------------------------

    def test_a_run_that_was_settled_has_no_strike_when_it_goes_on(self, store: Store) -> None:
        add_runs(store, "a")
        settle(store, claim(store, "a")[0], state="waiting")
        do(store, "wake_run", id="a", time=text_of(NOW))
        assert [row["strikes"] for row in claim(store, "a")] == [0]

    def test_who_gives_back_or_wakes_one_run_touches_no_other(self, store: Store) -> None:
        add_runs(store, "a", "b", "c", "d")
        first, _ = claim(store, "a", "b")
        for row in claim(store, "c", "d"):
            settle(store, row, state="waiting")
        do(store, "pause_run", id="a", fence=first["fence"], owner="uno", until=None)
        do(store, "wake_run", id="c", time=text_of(NOW))
        assert ids(claim(store, "a", "b", "c", "d", owner="due")) == ["a", "c"]

    def test_what_a_clock_that_was_ahead_wrote_is_found_and_put_right_and_nothing_else(self, store: Store) -> None:
        ahead, now, apart = NOW + dt.timedelta(hours=2), text_of(NOW), text_of(NOW + SECOND)
        add_runs(store, "a", "b", "c", "d")
        for run, due_at, at in (
            ("a", ahead, ahead),
            ("b", ahead + SECOND, ahead),
            ("c", ahead, NOW),
            ("d", NOW + SECOND / 2, NOW + SECOND / 2),
        ):
            do(store, "set_run", id=run, state="ready", due=text_of(due_at), place="", time=text_of(at), reason=None)
        wrong = [(row["id"], row["far"]) for row in rows(store, "runs_of_a_fast_clock", now=now, apart=apart, most=9)]
        assert wrong == [("d", 0), ("a", 1), ("b", 1)]
        do(store, "make_due", runs=listed("abcd"), now=now, apart=apart)
        assert due(store, NOW) == ["a", "b", "d"]

    def test_a_lease_that_is_too_far_off_is_voided_unless_it_was_renewed_and_a_pause_is_no_strike(self, store: Store) -> None:
        ahead = NOW + dt.timedelta(hours=2)
        add_runs(store, "held", "left", "other", "renewed")
        do(store, "leave_alone", runs=listed(["left"]), until=text_of(ahead + LEASE))
        for run in ("held", "renewed"):
            claim(store, run, now=ahead)
        claim(store, "other")
        far = rows(store, "leases_of_a_fast_clock", held=text_of(NOW + 9 * LEASE), paused=text_of(NOW + 9 * LEASE), most=9)
        assert sorted(ids(far)) == ["held", "left", "renewed"]
        assert found(store, "leases_of_a_fast_clock", held=text_of(NOW + 9 * LEASE), paused="9", most=9) == ["held", "renewed"]
        for row in far:
            lease = text_of(NOW + LEASE) if row["id"] == "renewed" else row["lease"]
            do(store, "end_far_lease", id=row["id"], lease=lease)
        assert {row["id"]: row["strikes"] for row in claim(store, "held", "left", "other", "renewed")} == {"held": 1, "left": 0}

    def test_an_unordered_suspect_is_claimed_alone_too(self, store: Store) -> None:
        add_runs(store, ("a", "same"), ("b", "same"), ordered=0)
        assert ids(claim(store, "a", "b", now=twice_lost(store, "b"))) == ["b"]

    def test_who_holds_a_lane_keeps_its_case_to_the_last_moment_of_its_lease(self, store: Store) -> None:
        add_runs(store, ("first", "same"), ("holder", "same"))
        take_lane(store, "holder")
        row = claim(store, "holder")[0]
        for now in (NOW, NOW + LEASE):
            assert (claim(store, "first", now=now), due(store, now)) == ([], [])
        assert due(store, LATER) == ["first", "holder"]
        pause(store, row, LATER)
        assert due(store, NOW) == ["first"], "it is left alone"

    def test_only_what_can_be_claimed_is_found_without_a_ticket(self, store: Store) -> None:
        add_runs(store, ("free", "same"), ordered=0)
        add_runs(store, ("a", "same"), "b")
        add_runs(store, "late", time=text_of(LATER + 9 * LEASE))
        claim(store, "free", now=LATER + LEASE)
        over = twice_lost(store, "b")
        assert due(store, over) == ["a"]
        assert due(store, over, suspects=True) == ["a", "b"]

    def test_a_run_that_somebody_has_for_no_time_is_found_and_claimed(self, store: Store) -> None:
        add_runs(store, "a", ("b", "case-a"))
        do(store, "claim_run", id="a", owner="nobody", lease=None)
        assert due(store, NOW) == ["a"]
        assert ids(claim(store, "b", "a", owner="due")) == ["a"]

    def test_of_what_is_due_only_what_came_due_since_a_moment_is_found(self, store: Store) -> None:
        add_runs(store, "before", time=text_of(NOW - SECOND))
        add_runs(store, "then")
        found = store.write(lambda tx: claims.due(tx, NOW, 9, claims.Part(since=text_of(NOW)))).result(30)
        assert ids(found) == ["then"]

    def test_all_crowds_are_asked_about_at_once_however_many_there_are(self, store: Store) -> None:
        """Each gate with less room than a page was a question in every claim: 300 of them to claim a few runs."""
        add_runs(store, "a", "b", digest="d1")
        add_runs(store, "c", "d", "e", digest="d2")
        add_runs(store, "f")
        crowds = [Crowd(f"g{n}", [f"d{n}", f"other{n}"], n - 1, LATER) for n in range(1, 40)]

        def counted(tx: Tx) -> tuple[dict[str, list[str]], int]:
            view = Counting(tx)
            return claims.turn_away(view, list("fedcba"), crowds), view.asked.total()

        assert store.write(counted).result(30) == ({"g1": ["b", "a"], "g2": ["d", "c"]}, 1)
        assert ids(claim(store, *"abcdef")) == ["e", "f"]
        crowds = [crowd._replace(room=6) for crowd in crowds]
        assert store.write(counted).result(30) == ({}, 0), "there is room for all of them"

    def test_a_suspect_that_nobody_can_claim_blocks_nobody(self, store: Store) -> None:
        add_runs(store, "dead", "later", "held", ("behind", "same"), ("before", "same"))
        for run in ("dead", "later", "held", "behind"):
            take_lane(store, run, run)
        over = twice_lost(store, "dead", "later", "held", "behind")
        state: dict[str, Any] = {"place": "", "time": text_of(NOW), "reason": None}
        do(store, "set_run", id="dead", state="dead", due=text_of(NOW), **state)
        do(store, "set_run", id="later", state="ready", due=text_of(over + SECOND), **state)
        for run in ("dead", "later"):
            do(store, "suspect", id=run, strikes=claims.SUSPECT)
        take_lane(store, "before", "altra")
        for run in ("held", "before"):
            claim(store, run, now=over)
        assert blocking(store, over) == []
        assert blocking(store, over + SECOND) == ["later"]
        assert blocking(store, over + LEASE) == ["later"], "leases are good to their last moment"

    def test_of_the_suspects_that_block_the_one_that_is_due_longest_comes_first(self, store: Store) -> None:
        add_runs(store, "young", time=text_of(NOW + SECOND))
        add_runs(store, ("old", "same"), ("twin", "same"), ordered=0)
        for run in ("young", "old"):
            take_lane(store, run, run)
        claim(store, "young", "old", now=NOW + SECOND)
        claim(store, "young", "old", now=LATER + SECOND)
        over = LATER + LEASE + SECOND
        claim(store, "twin", now=over)
        assert blocking(store, over) == []
        found = store.write(lambda tx: claims.blocking(tx, over + SECOND)).result(30)
        assert [(row["id"], row["strikes"]) for row in found] == [("old", 2), ("young", 2)]

    def test_long_lines_are_those_of_runs_that_are_due_and_have_an_order_the_longest_first(self, store: Store) -> None:
        add_runs(store, *((f"a{n}", "a") for n in range(2)), *((f"b{n}", "b") for n in range(3)), *((f"d{n}", "d") for n in range(2)))
        add_runs(store, *((f"u{n}", "u") for n in range(4)), ordered=0)
        add_runs(store, *((f"l{n}", "l") for n in range(4)), time=text_of(LATER))
        settle(store, claim(store, "d0")[0], state="dead")
        asked = {"now": text_of(NOW), "many": 2}
        assert found(store, "long_cases", **asked, most=9) == ["b", "a"]
        assert found(store, "long_cases", **asked, most=1) == ["b"]
        assert found(store, "count_ready", now=text_of(NOW), most=4) == [4]
        assert found(store, "count_ready", now=text_of(NOW), most=99) == [10]

    def test_a_run_is_paused_while_it_is_ready_and_due_and_its_pause_lasts(self, store: Store) -> None:
        add_runs(store, "young", time=text_of(NOW + SECOND))
        add_runs(store, "a", "dead", "later", "over")
        now = text_of(NOW + SECOND)
        for row in claim(store, "young", "a", "dead", "later", "over", now=NOW + SECOND):
            pause(store, row, NOW if row["id"] == "over" else NOW + SECOND)
        for run, state, when in (("dead", "dead", NOW), ("later", "ready", LATER)):
            do(store, "set_run", id=run, state=state, due=text_of(when), place="", time=now, reason=None)
        assert found(store, "runs_paused", now=now, most=9) == ["a", "young"]
        assert found(store, "runs_paused", now=now, most=1) == ["a"]
        assert sorted(found(store, "runs_kept_among", now=now, runs='["young","a","dead","later","over"]')) == ["a", "young"]

    # -- waits and messages ------------------------------------------------------------------------------------------

    def test_a_wait_is_found_by_all_that_it_waits_for_and_by_nothing_else(self, store: Store) -> None:
        add_runs(store, ("b", "same"), ("a", "same"), ("c", "other"))
        many = [
            ("b", "1", "t", "iuv", "7", "open"), ("a", "2", "t", "iuv", "7", "open"), ("a", "1", "t", "iuv", "7", "late"),
            ("a", "3", "u", "iuv", "7", "open"), ("a", "4", "t", "cig", "7", "open"), ("a", "5", "t", "iuv", "8", "open"),
            ("b", "6", "t", None, None, "open"), ("a", "7", "t", None, None, "late"), ("a", "8", "t", None, None, "open"),
            ("a", "9", "u", None, None, "open"), ("c", "10", "t", None, None, "open"), ("a", "11", None, None, None, "open"),
        ]  # fmt: skip
        told = {"place": "prova@1", "deadline": text_of(NOW), "late": 0}
        names = ("run", "path", "type", "name", "value", "state")
        for one in many:
            do(store, "add_wait", **told, **dict(zip(names, one, strict=True)))

        def waits(query: str, **asked: Any) -> list[tuple[str, str]]:
            return [(row["run"], row["path"]) for row in rows(store, query, **asked)]

        key = {"type": "t", "name": "iuv", "value": "7"}
        assert waits("waits_for_key", **key) == [("a", "1"), ("a", "2"), ("b", "1")]
        assert waits("waits_for_case", case_id="same", type="t") == [("a", "7"), ("a", "8"), ("b", "6")]
        assert waits("waits_for_any", case_id="same") == [("a", "8"), ("a", "9"), ("a", "7"), ("b", "6")]
        assert sorted(waits("waits_ever_for_key", **key)) == [("a", "1"), ("a", "2"), ("b", "1")]
        add_message(store, "m", case="same")
        add_message(store, "n", case="other")
        assert sorted(waits("waits_ever_for_case", message="m", type="t")) == [("a", "7"), ("a", "8"), ("b", "6")]
        for path in "12":
            do(store, "close_wait", run="a", path=path, state="matched")
        assert waits("waits_for_key", **key) == [("a", "1"), ("b", "1")], "a late one is no open one, and another's stays"
        assert found(store, "late_wait_for", type="t") == ["a"]
        assert found(store, "late_wait_for", type="u") == []

    def test_waits_are_found_by_what_they_wait_for_and_closed_only_while_they_are_open(self, store: Store) -> None:
        add_runs(store, ("a", "same"))

        def work(tx: Tx) -> None:
            for path, name, state in (("key", "iuv", "open"), ("late", "iuv", "late"), ("case", None, "open"), ("over", None, "late")):
                told = {"name": name, "value": name and "7", "deadline": text_of(LATER), "state": state, "late": int(state == "late")}
                tx.do("add_wait", run="a", path=path, place="prova@1", type="t", **told)

        def paths(query: str, **asked: object) -> list[str]:
            return sorted(row["path"] for row in rows(store, query, **asked))

        store.write(work).result(30)
        assert paths("waits_for_key", type="t", name="iuv", value="7") == ["key", "late"]
        assert paths("waits_for_case", type="t", case_id="same") == ["case", "over"]
        assert paths("waits_for_any", case_id="same") == ["case", "over"]
        assert [paths("waits_expired", now=text_of(now), most=9) for now in (NOW, LATER)] == [[], ["case", "key"]]
        known = {"intake": "[]", "case": "[]", "waits": '[["t","iuv","7"],["t","iuv","8"]]'}
        assert [row["third"] for row in rows(store, "known_among", **known)] == ["7", "7"]

        def close(tx: Tx) -> list[str]:
            tx.do("close_wait", run="a", path="late", state="matched")
            tx.do("close_wait", run="a", path="key", state="matched")
            tx.do("close_waits", run="a")
            return [row["state"] for row in tx.all("rows_of_waits", run="", path="", most=100) if row["run"] == "a"]

        assert store.write(close).result(30) == ["given up", "matched", "late", "late"]

    def test_a_message_is_not_found_again_for_a_run_that_has_it(self, store: Store) -> None:
        def work(tx: Tx) -> list[list[str]]:
            for message in ("m1", "m2"):
                tx.do("add_message", id=message, type="t", sender="s", time=text_of(NOW), case_id="c", payload="p")
                tx.do("add_message_key", name="iuv", value="7", message=message, type="t")
            tx.do("add_message", id="m3", type="t", sender="s", time=text_of(NOW), case_id="other", payload="p")
            tx.do("add_match", run="a", message="m1")
            by_key, page = {"type": "t", "name": "iuv", "value": "7"}, {"after": "", "most": 9}
            found = [tx.all("arrived_for_key", run=run, **by_key, **page) for run in ("a", "b")]
            found += [tx.all("arrived_for_case", run=run, case_id="c", type="t", **page) for run in ("a", "b")]
            return [[row["message"] for row in rows] for rows in found]

        assert store.write(work).result(30) == [["m2"], ["m1", "m2"], ["m2"], ["m1", "m2"]]

    def test_what_is_verified_of_waits_and_matches_is_asked_for_row_by_row(self, store: Store) -> None:
        add_runs(store, "a", "b")
        for run, path, state in (("a", "1", "open"), ("a", "2", "matched"), ("b", "1", "late")):
            told: dict[str, Any] = {"place": "", "type": "t", "name": None, "value": None, "deadline": None, "late": 0}
            do(store, "add_wait", run=run, path=path, state=state, **told)
        for message in ("m1", "m2"):
            do(store, "add_match", run="a", message=message)
        asked = listed([["a", "1"], ["b", "1"], ["b", "2"]])
        assert sorted((row["run"], row["path"]) for row in rows(store, "waits_among", names=asked)) == [("a", "1"), ("b", "1")]
        asked = listed([["a", "m2"], ["b", "m2"]])
        assert [(row["run"], row["message"]) for row in rows(store, "matches_among", names=asked)] == [("a", "m2")]
        assert [(row["run"], row["path"]) for row in rows(store, "waits_open_among", runs=listed(["a", "b"]))] == [("a", "1")]

    def test_deadlines_are_found_the_oldest_first(self, store: Store) -> None:
        add_runs(store, "a")
        for path, when in (("2", NOW), ("1", NOW - SECOND)):
            told: dict[str, Any] = {"place": "", "type": "t", "name": None, "value": None, "state": "open", "late": 0}
            do(store, "add_wait", run="a", path=path, deadline=text_of(when), **told)
        expired = [rows(store, "waits_expired", now=text_of(NOW), most=most) for most in (1, 9)]
        assert [[row["path"] for row in some] for some in expired] == [["1"], ["1", "2"]]

    def test_messages_that_came_are_found_by_their_type_and_key_in_their_order(self, store: Store) -> None:
        for message, type_name, name, value in (
            ("m3", "t", "iuv", "7"), ("m1", "t", "iuv", "7"), ("m2", "u", "iuv", "7"), ("m4", "t", "cig", "7"), ("m5", "t", "iuv", "8"),
        ):  # fmt: skip
            add_message(store, message, type_name)
            do(store, "add_message_key", name=name, value=value, message=message, type=type_name)
        by_key, by_case = {"type": "t", "name": "iuv", "value": "7"}, {"case_id": "c", "type": "t"}
        assert found(store, "arrived_for_key", run="a", **by_key, after="", most=9) == ["m1", "m3"]
        assert found(store, "arrived_for_key", run="a", **by_key, after="m1", most=9) == ["m3"]
        assert found(store, "arrived_ever_for_key", **by_key) == ["m1", "m3"]
        assert found(store, "arrived_for_case", run="a", **by_case, after="", most=9) == ["m1", "m3", "m4", "m5"]
        assert found(store, "arrived_for_case", run="a", **by_case, after="m1", most=2) == ["m3", "m4"]

    def test_a_lane_is_left_by_its_run_alone(self, store: Store) -> None:
        take_lane(store, "a", "fila")
        take_lane(store, "b", "altra")
        do(store, "leave_lane", run="a", path="p")
        assert found(store, "all_lanes") == ["altra"]

    def test_a_weak_key_goes_when_no_message_of_its_case_carries_that_value_under_that_name(self, store: Store) -> None:
        for message, case, name, value in (("m", "c", "email", "x"), ("n", "d", "email", "y"), ("o", "c", "cell", "z")):
            add_message(store, message, case=case)
            do(store, "add_message_key", name=name, value=value, message=message, type="t")
        for value, case in (("x", "c"), ("y", "c"), ("z", "c"), ("w", "d")):
            do(store, "add_case_key", name="email", value=value, case_id=case, strong=0)
        do(store, "drop_weak_case_keys", cases='["c"]')
        assert [(row["case_id"], row["value"]) for row in rows(store, "rows_of_case_keys", name="", value="", case_id="", most=1000)] == [
            ("d", "w"),
            ("c", "x"),
        ]

    @pytest.mark.parametrize(
        ("name", "value", "case", "strong", "unfounded"),
        [
            ("email", "w", "c", 0, []),
            ("iuv", "7", "d", 0, ["iuv"]),
            ("iuv", "8", "c", 1, ["iuv"]),
            ("cig", "7", "c", 1, ["cig"]),
            ("email", "7", "c", 2, ["email"]),
        ],
    )
    def test_a_key_of_a_case_is_told_by_a_record_under_its_name_or_names_a_person(
        self, store: Store, name: str, value: str, case: str, strong: int, unfounded: list[str]
    ) -> None:
        told = b'{"data":{"intake":[],"keys":{"iuv":"7"}}}'
        add_message(store, "m")
        do(store, "add_record", id="r", kind="received", time=text_of(NOW), message="m", run=None, content=told)
        for n, v, s in (("iuv", "7", 1), ("email", "x", 0)):
            do(store, "add_case_key", name=n, value=v, case_id="c", strong=s)
        asked = {"weak": '["email"]', "apart": "[]", "first": "", "second": "", "third": "", "most": 9}
        assert found(store, "keys_unfounded", **asked) == []
        do(store, "add_case_key", name=name, value=value, case_id=case, strong=strong)
        assert found(store, "keys_unfounded", **asked) == unfounded
        assert found(store, "keys_unfounded", **{**asked, "apart": listed([case])}) == []

    @pytest.mark.parametrize(
        ("row", "said"),
        [
            (("iuv", "9", 1), "`iuv`"),
            (("altro", "7", 1), "`altro`"),
            (("iuv", "8", 0), "`iuv`"),
            (("email", "8", 2), "`email`"),
            (("email", "8", 0), ""),
        ],
    )
    def test_of_a_case_under_many_keys_one_that_no_record_tells_is_found_too(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, row: tuple[str, str, int], said: str
    ) -> None:
        monkeypatch.setattr(cases, "MANY", 3)
        do(store, "add_case", id="m0", opened=text_of(NOW))
        for n in range(3):
            told = canonical({"kind": "received", "data": {"intake": [], "keys": {"iuv": f"{n}", "pratica": "c"}}})
            add_message(store, f"m{n}", case="m0")
            do(store, "add_record", id=f"r{n}", kind="received", time=text_of(NOW), message=f"m{n}", run=None, content=told)
            do(store, "add_case_key", name="iuv", value=f"{n}", case_id="m0", strong=1)
        do(store, "add_case_key", name="pratica", value="c", case_id="m0", strong=1)
        cases.strangers(store.read)
        name, value, strong = row
        do(store, "add_case_key", name=name, value=value, case_id="m0", strong=strong)
        with pytest.raises(Broken, match="m0 stands under a key " + said) if said else nullcontext():
            cases.strangers(store.read)

    @pytest.mark.parametrize("most", [1, 2, 3, 100])
    def test_a_row_that_no_record_made_is_found_wherever_it_stands(self, store: Store, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        monkeypatch.setattr(stretches, "MOST", most)
        names = [f"n{n}" for n in range(5)]
        for name in names:
            add_message(store, name, case=name)
            do(store, "add_run", **_run(name))
            do(store, "add_wait", run=name, path="p", place="r@1", type="t", name=None, value=None, deadline=None, state="open", late=0)
            do(store, "add_match", run=name, message="m")
            do(store, "add_intake_key", scope="s", key=name, message=name, content="c")
            do(store, "add_holder", holder="h", message=f"x{name}")
            do(store, "add_enclosure", file="f", message=f"x{name}")
            do(store, "add_message_key", name="k", value="v", message=f"x{name}", type="t")
            do(store, "add_case", id=f"x{name}", opened="2026")
            for value in ("7", "8"):  # more keys of a case than are looked at together
                do(store, "add_case_key", name="iuv", value=value, case_id=name, strong=1)

        def strangers(query: str, table: str, column: str) -> list[str]:
            found = [row[column] for row in stretches.found(store.read, query, table, weak="[]", apart="[]")]
            assert found == sorted(found)
            return list(dict.fromkeys(found))

        first = names[::most]  # of each stretch the first is told
        assert strangers("messages_unfounded", "messages", "id") == first
        assert strangers("cases_missing", "messages", "id") == first
        assert strangers("runs_unfounded", "runs", "id") == first
        assert strangers("cases_unfounded", "cases", "id") == [f"x{name}" for name in first]
        for table in ("holders", "enclosures", "message_keys"):
            assert strangers(f"{table}_unfounded", table, "message") == [f"x{name}" for name in first]
        assert strangers("waits_unfounded", "waits", "run") == names
        assert strangers("matches_unfounded", "matches", "run") == names
        assert strangers("intake_keys_unfounded", "intake_keys", "message") == names
        assert strangers("keys_unfounded", "case_keys", "case_id")[:1] == ["n0"]
        assert len(strangers("keys_unfounded", "case_keys", "case_id")) == {1: 5, 2: 5, 3: 3, 100: 1}[most]
        assert strangers("rules_missing", "runs", "digest") == ["d"]
        for number in range(5):
            do(store, "add_trace", facet=number % 2, at=-number, seq=number)
        counted = list(stretches.found(store.read, "count_traces", "traces", start=BEFORE_ALL, until=3))
        assert [sum(row["among"] for row in counted), sum(row["beyond"] for row in counted)] == [4, 0]
        do(store, "add_rules", digest="d", kind="route", content=b"")
        assert strangers("rules_missing", "runs", "digest") == []

    def test_what_is_old_is_found_page_by_page(self, store: Store) -> None:
        for name in ("m3", "m1", "m2", "m4"):
            add_message(store, name)
            do(store, "add_attachment", file=name, sender="s", payload="p", time=text_of(NOW))
        page = {"after": "m1", "until": "m4", "before": text_of(LATER)}
        assert [found(store, "messages_to_dispose", **page, most=most) for most in (1, 9)] == [["m2"], ["m2", "m3"]]
        assert found(store, "messages_to_dispose", **{**page, "before": text_of(NOW)}, most=9) == []
        files = {"after": "m1", "before": text_of(LATER)}
        assert [found(store, "files_to_dispose", **files, most=most) for most in (1, 9)] == [["m2"], ["m2", "m3", "m4"]]

    def test_runs_are_told_the_newest_first_up_to_a_bound(self, store: Store) -> None:
        add_runs(store, "c", "a", "b")
        asked = {"state": "ready", "route": "prova"}
        for query, more in (("runs_by_state", {}), ("runs_ready_or_dead", {"held": "", "now": text_of(NOW)})):
            assert [found(store, query, **asked, **more, most=most) for most in (2, 9)] == [["c", "b"], ["c", "b", "a"]]
            assert found(store, query, **{**asked, "route": "altra"}, **more, most=9) == []
        claimed = claim(store, "a")
        for held, now, theirs in (
            ("yes", NOW, ["a"]),
            ("no", NOW, ["c"]),
            ("yes", NOW + LEASE + SECOND, []),
            ("no", NOW + LEASE + SECOND, ["c"]),
        ):
            assert found(store, "runs_ready_or_dead", **asked, held=held, now=text_of(now), most=1) == theirs
        for row in [*claimed, *claim(store, "b", "c")]:
            settle(store, row, state="waiting")
        waiting = {**asked, "state": "waiting"}
        assert [found(store, "runs_waiting_or_cancelled", **waiting, most=most) for most in (2, 9)] == [["c", "b"], ["c", "b", "a"]]
        assert found(store, "runs_waiting_or_cancelled", **{**waiting, "state": "cancelled"}, most=9) == []

    def test_dead_runs_are_told_by_code_and_route_page_by_page_the_newest_first(self, store: Store) -> None:
        add_runs(store, "d", "a", "b", "c", "alive")
        for run, reason in (("a", "x"), ("b", "y"), ("c", "x"), ("d", "x")):
            do(store, "set_run", id=run, state="dead", due=text_of(NOW), place="", time=text_of(NOW), reason=reason)
        every: dict[str, Any] = {"code": None, "route": None, "after": None, "most": 9}
        asked: list[dict[str, Any]] = [
            {},
            {"code": "x"},
            {"code": "x", "after": "c"},
            {"most": 2, "after": "d"},
            {"route": "altra"},
            {"route": "prova", "code": "y"},
        ]
        assert [found(store, "dead_letters", **{**every, **one}) for one in asked] == [
            ["d", "c", "b", "a"], ["d", "c", "a"], ["a"], ["c", "b"], [], ["b"],
        ]  # fmt: skip

    # -- duties ------------------------------------------------------------------------------------------------------

    def test_a_duty_is_had_by_one_to_the_last_moment_and_each_owner_has_a_fence_of_its_own(self, store: Store) -> None:
        def take(tx: Tx, owner: str, now: dt.datetime) -> int | None:
            until, beyond = text_of(now + LEASE), text_of(now + 10 * LEASE)
            row = tx.one("take_lease", name="sigilli", owner=owner, until=until, now=text_of(now), beyond=beyond)
            return None if row is None else row["fence"]

        def held(owner: str, fence: int, name: str = "sigilli") -> bool:
            return found(store, "lease_held", name=name, owner=owner, fence=fence) == [1]

        turns = [("uno", NOW), ("due", NOW + LEASE), ("uno", NOW), ("due", LATER), ("uno", LATER)]
        assert [store.write(lambda tx, turn=turn: take(tx, *turn)).result(30) for turn in turns] == [1, None, 1, 2, None]  # type: ignore[misc]
        assert [held("due", 2), held("due", 1), held("uno", 2), held("due", 2, "altro")] == [True, False, False, False]
        do(store, "leave_leases", owner="uno")
        assert store.write(lambda tx: take(tx, "uno", LATER)).result(30) is None
        do(store, "leave_leases", owner="due")
        assert store.write(lambda tx: take(tx, "uno", LATER)).result(30) == 3
        set_back = NOW - 20 * LEASE
        assert store.write(lambda tx: take(tx, "due", set_back)).result(30) == 4, "a clock that was ahead gave it for longer than any is"
