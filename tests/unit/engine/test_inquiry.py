"""What is said of runs by their state."""

from __future__ import annotations

from typing import Any

from bus.engine import inquiry, watching
from bus.testing.patience import until
from tests.contract.store_contract import do
from tests.simulation.simulation import Simulation
from tests.small_bus import Caller, running
from tests.unit.engine.kit import row_of, send, turn
from tests.views import Counting


def test_runs_of_each_state_are_listed_newest_first(tmp_path):
    with running(tmp_path) as server:
        app = server.app

        def sent(name: str, who: str) -> str:
            message = Caller(server.port)("POST", "/messages", {"type": f"prova.{name}", "data": {"nome": who}}).json["id"]
            until(lambda: app.message(message)["runs"][0]["state"] not in ("ready", "running"), f"{name} waits or has ended")
            return app.message(message)["runs"][0]["id"]

        ids = {name: [sent(name, f"{name} {number}") for number in range(2)] for name in ("attesa", "guasto", "silenzio")}
        gone = ids["guasto"].pop(0)
        Caller(server.port, "sistemista")("POST", f"/dead/{gone}/discard", {"reason": "prova"})
        expected = {"waiting": ids["attesa"], "dead": ids["guasto"], "done": ids["silenzio"], "cancelled": [gone], "ready": []}
        for state, runs in expected.items():
            assert [run["id"] for run in app.runs(state)] == runs[::-1], state
            assert {run["state"] for run in app.runs(state)} <= {state}
        assert [run["id"] for run in app.runs("waiting", most=1)] == ids["attesa"][1:]
        assert app.runs("waiting", route="prova.tace") == app.runs(route="prova.nessuna") == []
        assert [run["id"] for run in app.runs(route="prova.fallisce")] == [*ids["guasto"], gone]
        assert [run["id"] for run in app.runs("done", route="prova.tace", most=1)] == ids["silenzio"][1:]
        assert len(app.runs()) == 6


def test_of_runs_that_are_ready_and_running_as_many_are_told_as_were_asked_for(tmp_path):
    with running(tmp_path) as server:
        call, store = Caller(server.port, "sistemista"), server.app.store
        for number in range(3):
            call("POST", "/messages", {"type": "prova.attesa", "data": {"nome": f"Ida {number}"}})
        until(lambda: len(server.app.runs("waiting")) == 3, "all of them wait")
        new, middle, old = [run["id"] for run in server.app.runs()]
        later = "2999-01-01T00:00:00.000000Z"
        for run in (new, middle, old):
            asked = {"id": run, "state": "ready", "due": later, "place": "", "time": later, "reason": None}
            do(store, "set_run", **asked)
        do(store, "claim_run", id=old, owner="altrove", lease=later)
        for state, run in (("running", old), ("ready", new)):
            [told] = call("GET", f"/runs?state={state}&limit=1").json["runs"]
            assert (told["id"], told["state"]) == (run, state)
        assert [run["id"] for run in call("GET", "/runs?state=ready").json["runs"]] == [new, middle]


def test_each_page_of_a_run_tells_of_its_own_waits_and_of_those_that_are_open(world: Simulation) -> None:
    """A gather of thousands gave all of its waits with each page of its journal."""
    row = row_of(world, send(world, "raccolta", caso="c"))
    for _ in range(2):
        turn(world)
        send(world, "parte", caso="c")
    turn(world, "answer")
    turn(world)
    with world.store.read() as tx:
        whole: Any = inquiry.run(tx, row["id"], "9")
        pages, after = list[Any](), 0
        while after is not None:
            pages.append(inquiry.run(tx, row["id"], "9", after=after, most=1))
            after = pages[-1]["next"]
    own = [[wait["path"] for wait in page["waits"] if wait["state"] != "open"] for page in pages]
    assert [path for some in own for path in some] == ["parti[0]", "parti[1]", "parti!closed"]
    assert max(map(len, own)) == 1
    assert all("pausa[0.0]" in [wait["path"] for wait in page["waits"]] for page in pages)
    assert whole["waits"] == sorted({wait["path"]: wait for page in pages for wait in page["waits"]}.values(), key=lambda one: one["path"])


def test_of_the_log_as_it_grows_no_more_is_read_than_is_shown_where_all_of_it_is(world: Simulation) -> None:
    """From the beginning of a long log each page of a hundred read five thousand records, and each first look, too."""
    for _ in range(20):
        send(world, "senza", caso="c", iuv="i")
    with world.store.read() as tx:
        whole = watching.tail(tx, None, 1000, watching.Filter())["records"]
        pages, view = list[Any](), Counting(tx)
        after: Any = 0
        while (page := watching.tail(view, after, 6, watching.Filter()))["records"]:  # type: ignore[arg-type]
            pages, after = [*pages, *page["records"]], page["next"]  # type: ignore[misc]
        assert pages == whole
        assert watching.tail(view, None, 6, watching.Filter())["records"] == whole[-6:]  # type: ignore[index,arg-type]
    assert len(pages) >= 20
    assert view.rows["records_after"] < 2 * len(pages)
    assert view.rows["newest_records"] == 6
