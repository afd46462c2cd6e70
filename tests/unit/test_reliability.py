"""The figures of the page of promises are those of the program: the tests that it names make them small, to be quick."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus import app, config, worker
from bus.engine import sweeper
from bus.store import postgres_session
from bus.web import bridge, serve

PAGE = (Path(__file__).parents[2] / "docs/design/reliability.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("| after {:g} s; where TCP sees it", postgres_session.SILENT),
        ("`/status` says 503 after {:g} s", app.STUCK),
        ("is told `store.unknown` after {:g} |", bridge.PATIENCE),
        ("ends in its time: requests {:g} s", serve.GRACE),
        ("calls `engine.stop` ({:g} s)", config.Engine().stop),
        ("the rest {:g} s.", worker.LEAVING),
        ("when its lease ends (`engine.lease`, {:g} s)", config.Engine().lease),
    ],
)
def test_a_time_that_is_promised_is_the_one_that_is_kept(said: str, seconds: float) -> None:
    assert said.format(seconds) in PAGE


def test_what_is_said_of_the_looks_of_a_sweeper_is_so() -> None:
    assert "one sweep in ten learns" in PAGE
    assert "followed by ten times as long" in PAGE
    assert (sweeper.LEARN, sweeper.PAUSE) == (10, 10)
