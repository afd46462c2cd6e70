"""Which simulations are played, and how many in one test."""

from __future__ import annotations

SEEDS, CHUNK = range(500), 50
