"""How long the law wants things kept at least: what the settings may not fall short of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from bus import calendar
from bus.config import Retention
from bus.errors import ConfigError

ACCESSES = "6M"
"""How long the law wants accesses of administrators kept: Garante, 27/11/2008 (doc. web 1577499), 4.5."""


def check(settings: Retention, minima: Mapping[str, str]) -> None:
    """Raises `ConfigError` for a time shorter than the law allows. ``minima``: what adapters declare for their exchanges."""
    _enough("accesses", settings.accesses, ACCESSES, "the Garante's provvedimento of 27/11/2008, 4.5")
    for adapter, term in settings.journals.items():
        if adapter not in minima:
            hint = f"adapters with one: {', '.join(sorted(minima)) or 'none'}"
            raise ConfigError(f"retention.journals: {adapter} has no journal", code="retention.journal", hint=hint)
        _enough(f"journals.{adapter}", term, minima[adapter], f"what the adapter {adapter} declares")


def _enough(name: str, term: str | None, least: str, source: str) -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=number) for number in range(366)]
    if term is not None and any(calendar.add(day, f"-{term}") > calendar.add(day, f"-{least}") for day in days):
        raise ConfigError(
            f"retention.{name} is {term}, and at least {least} must be kept",
            code="retention.minimum",
            hint=f"{source}; left out, it is for ever",
        )
