"""What a system can still do after a timeout counts from when it was asked, not from when we meant to ask: a call may have waited for a thread."""

from __future__ import annotations

from pathlib import Path

from tests.integration.workshop import workshop


def test_a_doubt_about_a_call_that_waited_for_a_thread_is_looked_into_only_when_it_has_settled(tmp_path: Path) -> None:
    with workshop(tmp_path, threads=1) as shop:
        before = shop.start("prima", "lento-registra")
        run = shop.start("seconda", "tardo-registra")
        for one in (before, run):
            shop.when(one, "done")
        kinds = [line["kind"] for line in shop.app.run(run)["journal"] if line.get("path") == "registra"]
        registered = [key for name, key in shop.system.effects if name == "registra"]
    assert [kind for kind in kinds if kind != "parked"] == ["asked", "unanswered", "answered"]
    assert len(registered) == len(set(registered)) == 2
