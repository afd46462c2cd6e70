"""What the bus says of itself, on stderr: one JSON object a line, no bodies, no personal data. The only room that configures structlog."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO, cast

import structlog

_FISCAL_CODE = re.compile(r"\b[A-Z]{6}[0-9LMNPQRSTUV]{2}[A-EHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]\b", re.IGNORECASE)


class _Stderr:
    """Whatever stderr is when a line is said: whoever embeds the bus may put another one in its place and close the first."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure(level: str = "info", *, pretty: bool = False) -> None:
    """Set up structlog for the whole process; ``pretty`` is for people at a terminal."""
    renderer: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            hide_persons,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
    )


def tells(level: str, of: str) -> bool:
    """Whether lines ``of`` a level are said at all when ``level`` is the least that is."""
    levels = logging.getLevelNamesMapping()
    return levels[of.upper()] >= levels[level.upper()]


def logger(name: str) -> Any:
    """What a part of the bus speaks through: ``logger("snodo.engine").warning("event", field=…)``."""
    return structlog.get_logger(name)


def hide_persons(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Whatever looks like a codice fiscale is struck out, wherever it slipped in."""
    return {name: _FISCAL_CODE.sub("[codice fiscale]", value) if isinstance(value, str) else value for name, value in event.items()}
