"""Everything goes wrong on the lines to the outside systems: nothing is lost, nothing done twice, and what nobody can know is told."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.fault import chaos
from tests.fault.bad_line import SPOILT, BadLine
from tests.fault.house import opened
from tests.fault.judge import judge

SEED, MESSAGES, SHARE = 20261201, 400, 0.25


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_is_lost_nor_doubled_on_the_worst_of_lines(tmp_path: Path) -> None:
    with opened(tmp_path / "house", "embedded") as (house, portal), contextlib.ExitStack() as stack:
        lines = {name: stack.enter_context(BadLine(urlsplit(one.url).port or 0, SEED, SHARE)) for name, one in house.systems.items()}
        told = json.loads(house.config_path.read_text("utf-8"))
        for name, line in lines.items():
            told["adapters"][name]["url"] = f"http://127.0.0.1:{line.port}"
        house.config_path.write_text(json.dumps(told), "utf-8")
        house.start()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda sender: portal.send_all(chaos.messages(SEED, sender, MESSAGES // 8)), range(8)))
        house.drained()
        met = sum((line.met for line in lines.values()), start=type(lines["alfa"].met)())
        house.stop()
        with house.store() as store:
            verdict = judge(store, portal.promises(), {name: system.ledger() for name, system in house.systems.items()})
    assert verdict.faults == []
    assert verdict.messages >= MESSAGES
    assert met.keys() == {spoil.__name__ for spoil in SPOILT}
