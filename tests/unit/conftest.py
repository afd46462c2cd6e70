"""What unit tests of the rules share."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.cli.rules import Declared, declared


@pytest.fixture(scope="module")
def known() -> Declared:
    """The settings as shipped, and what their adapters declare."""
    return declared(Path(__file__).parents[2] / "config.yaml")
