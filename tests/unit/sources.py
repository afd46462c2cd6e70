"""The files of the product that tests read as text."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).parents[2]
PYTHON = sorted(path for folder in ("bus", "adapters") for path in (PROJECT / folder).rglob("*.py"))
