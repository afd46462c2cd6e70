"""How long the law wants things kept at least: what the settings may not fall short of. And files at most as long as their messages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from bus import calendar
from bus.config import Retention
from bus.errors import ConfigError

_DAYS = [dt.date(2024, 1, 1) + dt.timedelta(days=number) for number in range(366)]
ACCESSES = "6M"
"""How long the law wants accesses of administrators kept: Garante, 27/11/2008 (doc. web 1577499), 4.5."""


def check(settings: Retention, minima: Mapping[str, str]) -> None:
    """Raises `ConfigError` for a time shorter than the law allows, and for files that would outlive their messages: no erasure finds them.

    ``minima``: what adapters declare for their exchanges.
    """
    if settings.payloads and not (settings.attachments and not _shorter(settings.payloads, settings.attachments)):
        raise ConfigError(
            f"retention.attachments is {settings.attachments or 'for ever'}, payloads {settings.payloads}: nobody can tell whose they are",
            code="retention.files", hint=f"attachments: {settings.payloads}, or shorter: an erasure finds a person's files by the messages",
        )  # fmt: skip
    _enough("accesses", settings.accesses, ACCESSES, "the Garante's provvedimento of 27/11/2008, 4.5")
    for adapter, term in settings.journals.items():
        if adapter not in minima:
            hint = f"adapters with one: {', '.join(sorted(minima)) or 'none'}"
            raise ConfigError(f"retention.journals: {adapter} has no journal", code="retention.journal", hint=hint)
        _enough(f"journals.{adapter}", term, minima[adapter], f"what the adapter {adapter} declares")


def _enough(name: str, term: str | None, least: str, source: str) -> None:
    if term is not None and _shorter(term, least):
        raise ConfigError(
            f"retention.{name} is {term}, and at least {least} must be kept",
            code="retention.minimum",
            hint=f"{source}; left out, it is for ever",
        )


def _shorter(term: str, than: str) -> bool:
    """Whether it is so on any day of a year."""
    return any(calendar.add(day, f"-{term}") > calendar.add(day, f"-{than}") for day in _DAYS)
