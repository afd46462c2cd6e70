"""What somebody with the database in his hands could do to it. Each kind changes a copy at a random place and says what must be found."""

from __future__ import annotations

from tests.tamper import on_records, on_tables
from tests.tamper.tampering import KINDS, Expected

__all__ = ["KINDS", "Expected", "on_records", "on_tables"]
