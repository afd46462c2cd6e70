"""What unit tests of the rules share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bus.cli.rules import Declared, declared
from bus.examine import examine
from bus.testing.routes import Verdict, run_folder
from tests.unit.route_under_test import GIVEN, OPERATIONS, folder


@pytest.fixture(scope="module")
def known() -> Declared:
    """The settings as shipped, and what their adapters declare."""
    return declared(Path(__file__).parents[2] / "config.yaml")


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., list[Verdict]]:
    """Judge the tests of a route; its file must have no error."""

    def judge(steps: str, tests: str, given: str = GIVEN) -> list[Verdict]:
        catalog, findings = examine(folder(tmp_path, steps, tests, given), OPERATIONS)
        assert catalog is not None, "\n".join(map(str, findings))
        judge.catalog = catalog  # type: ignore[attr-defined]
        return run_folder(catalog, OPERATIONS)

    return judge
