"""What is said of runs by their state."""

from __future__ import annotations

import time

from tests.small_bus import Caller, running


def test_runs_of_each_state_are_listed_newest_first(tmp_path):
    with running(tmp_path) as server:
        app = server.app

        def sent(name: str, who: str) -> str:
            message = Caller(server.port)("POST", "/messages", {"type": f"prova.{name}", "data": {"nome": who}}).json["id"]
            until = time.monotonic() + 20
            while app.message(message)["runs"][0]["state"] in ("ready", "running"):
                assert time.monotonic() < until
                time.sleep(0.02)
            return app.message(message)["runs"][0]["id"]

        ids = {name: [sent(name, f"{name} {number}") for number in range(2)] for name in ("attesa", "guasto", "silenzio")}
        gone = ids["guasto"].pop(0)
        Caller(server.port, "sistemista")("POST", f"/dead/{gone}/discard", {"reason": "prova"})
        expected = {"waiting": ids["attesa"], "dead": ids["guasto"], "done": ids["silenzio"], "cancelled": [gone], "ready": []}
        for state, runs in expected.items():
            assert [run["id"] for run in app.runs(state)] == runs[::-1], state
            assert {run["state"] for run in app.runs(state)} <= {state}
        assert [run["id"] for run in app.runs("waiting", most=1)] == ids["attesa"][1:]
        assert app.runs("waiting", route="prova.tace") == []
        assert len(app.runs()) == 6
