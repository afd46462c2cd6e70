"""The routes of docs/patterns: no finding, every test passes, every way is taken, every mistake is noticed, and the page shows exactly them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.catalog import Catalog
from bus.cli.rules import Declared
from bus.examine import examine
from bus.testing.mutate import score
from bus.testing.routes import run_folder, untested
from tools.patterns import GROUPS, HOME
from tools.reference import main

PROJECT = Path(__file__).parents[2]
FOLDER = PROJECT / "docs" / "patterns"


@pytest.fixture(scope="module")
def catalog(known: Declared) -> Catalog:
    catalog, findings = examine(FOLDER, known.operations)
    assert [] == [str(finding) for finding in findings]
    assert catalog is not None
    return catalog


def test_every_test_passes_and_every_way_is_taken(catalog: Catalog, known: Declared) -> None:
    verdicts = run_folder(catalog, known.operations)
    assert [] == [(one.place, one.faults) for one in verdicts if not one.passed]
    assert {} == untested(catalog, verdicts)
    assert set(catalog.routes) == {one.route for one in verdicts}


@pytest.mark.slow
def test_the_tests_of_every_pattern_notice_every_small_mistake(catalog: Catalog, known: Declared) -> None:
    assert [] == [survivor for route in catalog.routes.values() for survivor in score(route, catalog, known.operations).survivors]


def test_the_page_has_every_route_once() -> None:
    shown = [name for names in GROUPS.values() for name in names]
    assert sorted(shown) == sorted(path.stem for path in HOME.glob("*.yaml"))
    assert len(shown) >= 25


def test_the_page_is_made_of_the_routes() -> None:
    assert 0 == main(["--check"])


def test_an_edited_route_makes_the_page_stale(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for path in HOME.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text("utf-8").replace("count: 3", "count: 4"), "utf-8")
    monkeypatch.setattr("tools.patterns.HOME", tmp_path)
    assert 1 == main(["--check"])
