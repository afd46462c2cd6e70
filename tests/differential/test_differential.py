"""A route does in ``bus test`` what it does in the engine; its replay says so, and a test cut out of its log goes as it went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bus.cli.trial import _cut_of, _out_of_the_log
from bus.diagnostics import configure
from tests.differential.compare import Observed, compared, of_seed
from tests.differential.live import Live
from tests.differential.rules import OPERATIONS, catalog_of


@pytest.mark.parametrize("tens", range(14))
def test_routes_by_chance_do_the_same_everywhere(tens: int) -> None:
    configure("critical")
    told = {seed: of_seed(seed) for seed in range(10 * tens, 10 * tens + 10)}
    assert {seed: found for seed, found in told.items() if found} == {}
    assert list(told.values()).count([]) > 6, "hardly any of these routes loads"


@pytest.mark.parametrize("tens", range(4))
def test_routes_that_keep_the_order_of_their_cases_do_the_same_everywhere(tens: int) -> None:
    configure("critical")
    told = {seed: of_seed(seed, "case") for seed in range(10 * tens, 10 * tens + 10)}
    assert {seed: found for seed, found in told.items() if found} == {}


@pytest.mark.parametrize("tens", range(4))
def test_routes_whose_engine_is_killed_now_and_then_do_as_those_of_a_test(tens: int) -> None:
    configure("critical")
    told = {seed: of_seed(seed, kill=True) for seed in range(10 * tens, 10 * tens + 10)}
    assert {seed: found for seed, found in told.items() if found} == {}


ANSWER = {"answers": {"chi": "aa1", "n": 1}}
LATE = [{"id": "tardi", "call": "bb.scrivi", "with": {"chi": "body.chi"}, "dead_on": "any"}]
WAIT = {"id": "attesa", "wait": "p.parte", "as": "parte"}
REPLY = {"id": "fine", "reply": {"quando": "now"}}
TWO = [{"id": "parti", "gather": "p.parte", "count": "2", "deadline": "2d", "as": "parti"}, REPLY]


def arrives(**more: Any) -> dict[str, Any]:
    return {"arrive": "p.parte", "body": {"chi": "m1", "caso": "c1", **more}}


@pytest.mark.parametrize(
    ("steps", "given", "then", "cut"),
    [
        pytest.param(
            [{**WAIT, "by": 'body.entro + "T10:30:15"'}, REPLY], {}, [{"pass": "60d"}], [{"pass": "1152h"}, {"pass": "1815s"}],
            id="a date that is farther than the longest duration in seconds",
        ),
        pytest.param(
            [{**WAIT, "deadline": "1h", "on_late": LATE}, REPLY], {"bb.scrivi": ANSWER}, [{"pass": "2h"}, arrives()],
            [{"pass": "1h"}, {"pass": "1h"}, arrives()], id="a late message and what its run asks",
        ),
        pytest.param(
            [{**WAIT, "deadline": "1h"}, REPLY], {}, [{"pass": "2h"}], [{"pass": "1h"}], id="a deadline",
        ),
        pytest.param(
            TWO, {}, [{"pass": "30s"}, arrives(), {"pass": "3d"}], [arrives(), {"pass": "2d"}],
            id="a deadline behind a message that came within a minute",
        ),
        pytest.param(
            [{"id": "registra", "call": "aa.registra", "with": {"chi": "body.chi"}, "dead_on": "any"}, {**WAIT, "by": '"2026-03-02"'}, REPLY],
            {"aa.registra": {"in_doubt": "happened", **ANSWER}}, [{"pass": "1d"}], [{"pass": "15h"}],
            id="a date behind a call that took more than a minute",
        ),
        pytest.param(
            [{"id": "manda", "send": "p.parte", "with": {"chi": "body.chi", "caso": "body.caso"}}, *TWO], {}, [arrives()], [arrives()],
            id="a message that the run sends itself",
        ),
    ],
)  # fmt: skip
def test_a_test_that_is_cut_out_of_the_log_lets_the_same_time_pass(
    steps: list[dict[str, Any]], given: dict[str, Any], then: list[dict[str, Any]], cut: list[dict[str, Any]]
) -> None:
    route = {"route": "p.prova", "version": 1, "on": "p.inizio", "case": {"pratica": "body.caso"}, "steps": steps}
    send = {"chi": "m0", "caso": "c1", "n": 1, "voci": [], "entro": "2026-04-19"}
    test = {"name": "t", "given": {"clock": "2026-03-02T09:00:00+01:00", **given}, "send": send, "then": then, "expect": {"state": "done"}}
    found, made = compared(route, test)
    assert found == []
    assert made is not None and made.test["then"] == cut


CALL = {"id": "scrivi", "call": "aa.scrivi", "with": {"chi": "body.chi"}, "timeout": "60s", "dead_on": "any"}


@pytest.mark.parametrize(
    ("wait", "then", "told"),
    [
        pytest.param(WAIT, {"id": "fine", "reply": {"n": "parte.n"}}, ("matched 00:00", "replied 00:00"), id="what was here"),
        pytest.param({**WAIT, "deadline": "10s", "match": "arrival.n > 9"}, REPLY, ("expired 00:10", "replied 00:10"), id="a deadline"),
        pytest.param(WAIT, {"id": "fine", "fail": "p.rinuncia", "dead": False}, ("matched 00:00", "done 00:40"), id="an early end"),
    ],
)
def test_a_branch_goes_on_while_the_call_beside_it_is_out(tmp_path: Path, wait: Any, then: Any, told: tuple[str, str]) -> None:
    steps = [{"id": "insieme", "parallel": {"uno": [CALL], "due": [wait, then]}}]
    route = {"route": "p.prova", "version": 1, "on": "p.inizio", "case": {"pratica": "body.caso"}, "steps": steps}
    given = {"clock": "2026-03-02T09:00:00+01:00", "aa.scrivi": {"delays": "40s", **ANSWER}}
    live = Live(tmp_path, catalog_of(tmp_path, route), given)
    try:
        earlier = [{**arrives(n=3), "at": "2026-03-02T08:00:00+01:00"}]
        seen = Observed(live, live.play({"earlier": earlier, "send": {"chi": "m0", "caso": "c1"}, "then": []}))
    finally:
        live.close()
    times = [f"{one.kind} {one.time:%M:%S}" for one in seen.records if one.run == seen.opening.run]
    assert {*told, "answered 00:40"} <= set(times)
    assert seen.unlike() == []


@pytest.mark.parametrize("of", ["message", "run"])
def test_what_is_read_for_a_cut_has_the_runs_of_late_messages(tmp_path: Path, of: str) -> None:
    """As `bus test new --from` reads it: the journal of the first run, and those that its late messages opened."""
    steps = [{**WAIT, "deadline": "1h", "on_late": LATE}, REPLY]
    route = {"route": "p.prova", "version": 1, "on": "p.inizio", "case": {"pratica": "body.caso"}, "steps": steps}
    catalog = catalog_of(tmp_path, route)
    live = Live(tmp_path, catalog, {"clock": "2026-03-02T09:00:00+01:00", "bb.scrivi": ANSWER})
    try:
        message = live.play({"send": {"chi": "m0", "caso": "c1"}, "then": [{"pass": "3h"}, arrives()]})
        page, name = _out_of_the_log(live.store, message if of == "message" else Observed(live, message).opening.run)  # type: ignore[arg-type]
    finally:
        live.close()
    test = _cut_of(page, name, catalog, OPERATIONS, "").test
    assert test["then"] == [{"pass": "1h"}, {"pass": "2h"}, arrives()]
    assert test["expect"] == {
        "state": "done", "reply": {"quando": "2026-03-02T09:00:00.000000Z"}, "calls": [{"bb.scrivi": {"chi": "m1"}}],
        "case": {"pratica": "c1"}, "late": ["done"],
    }  # fmt: skip
