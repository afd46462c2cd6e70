"""What the bus says of itself, on stderr: one JSON object a line, no bodies, no personal data. The only room that configures structlog."""

from __future__ import annotations

import logging
import select
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from bus.errors import without_persons

PATIENCE, SPAN = 0.5, 10.0
"""Seconds for which all lines of a ``SPAN`` together wait to be taken: a slow reader holds up no more than one that stands still."""
PIECE = 1000
"""Characters of which a pipe that can be written to takes at least so many at once: 4,096 bytes (PIPE_BUF), four for each."""


@contextmanager
def _no_rich() -> Iterator[None]:
    """Structlog takes rich in for tracebacks in colours, which we never show: 5 MB of a process and 0.1 s of its start."""
    hidden = "rich" not in sys.modules
    if hidden:
        sys.modules["rich"] = cast(Any, None)
    try:
        yield
    finally:
        if hidden:
            del sys.modules["rich"]


with _no_rich():
    import structlog


class _Stderr:
    """Whatever stderr is when a line is said: whoever embeds the bus may put another one in its place and close the first.

    A line that cannot be said (a full disk, a pipe whose reader is gone or stands still, no stderr at all) harms nobody: it is lost, and
    counted. A reader that is slow or stands still holds them up for `PATIENCE`.
    """

    def __init__(self) -> None:
        self._lost = 0
        self._cut = False
        """Whether the last line was said in part."""
        self._since, self._left = -SPAN, PATIENCE
        """When this span began, and the seconds that are left in it to wait."""
        self._begun = threading.local()
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Each thread's lines are said when they are whole."""
        line = getattr(self._begun, "line", "") + text
        self._begun.line = "" if line.endswith("\n") else line
        if line.endswith("\n"):
            with self._lock:
                self._say(line)
        return len(text)

    def _say(self, lines: str) -> None:
        try:
            if self._lost:
                before = "\n" if self._cut else ""
                self._hand_over(f'{before}{{"event": "log.lost", "level": "warning", "lines": {self._lost}}}\n')
                self._lost = 0
            self._hand_over(lines)
        except (OSError, ValueError, AttributeError):
            self._lost += lines.count("\n")

    def _hand_over(self, lines: str) -> None:
        """Raises TimeoutError, an OSError, where nobody takes it."""
        for at in range(0, len(lines), PIECE):
            if not self._is_taken():
                self._cut |= at > 0
                raise TimeoutError
            sys.stderr.write(lines[at : at + PIECE])
            sys.stderr.flush()
        self._cut = False

    def _is_taken(self) -> bool:
        now = time.monotonic()
        if now - self._since > SPAN:
            self._since, self._left = now, PATIENCE
        taken = _takes_more(self._left)
        self._left = max(0.0, self._left - (time.monotonic() - now))
        return taken

    def flush(self) -> None:
        """Do nothing: no line is kept back, each was handed over when it was whole."""


def _takes_more(patience: float) -> bool:
    """Whether `PIECE` can be written to stderr, at the latest in ``patience`` seconds, without a wait for whoever reads it."""
    try:
        number = sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):  # none of the system's: it waits for nobody
        return True
    ready = select.poll()
    ready.register(number, select.POLLOUT)
    return bool(ready.poll(patience * 1000))


_STDERR = _Stderr()


def configure(level: str = "info") -> None:
    """Set up structlog for the whole process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
            hide_persons,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _STDERR)),
    )
    root = logging.getLogger()
    if not any(isinstance(handler, _Libraries) for handler in root.handlers):
        root.addHandler(_Libraries(logging.WARNING))
    _catch_what_nobody_caught()


def _catch_what_nobody_caught() -> None:
    """What Python itself would print of an exception that ended a thread, a destructor or the process; hooks of others stay."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = lambda kind, error, trace: _say("", kind, error, trace)
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _of_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = lambda told: _say(
            f"{told.err_msg or 'Exception ignored in'}: {type(told.object).__name__}\n", told.exc_type, told.exc_value, told.exc_traceback
        )


def _of_thread(told: Any) -> None:
    if told.exc_type is not SystemExit:
        name = told.thread.name if told.thread else "?"
        _say(f"Exception in thread {name}:\n", told.exc_type, told.exc_value, told.exc_traceback)


def _say(before: str, kind: Any, error: Any, trace: Any) -> None:
    _STDERR.write(without_persons(before + "".join(traceback.format_exception(kind, error, trace))))


def logger(name: str) -> Any:
    """What a part of the bus speaks through: ``logger("snodo.engine").warning("event", field=…)``."""
    return structlog.get_logger(name)


def hide_persons(_logger: Any, _method: str, line: Any) -> str:
    """The last word on a line as it is said, whatever it was made of: names of fields, nested values, the text of an exception."""
    return without_persons(line)


class _Libraries(logging.Handler):
    """Says what libraries warn of as the bus says its own: they do not speak through structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            say = logger(record.name).error if record.levelno >= logging.ERROR else logger(record.name).warning
            say(record.getMessage(), library=record.name, exc_info=record.exc_info)
        except Exception:  # noqa: BLE001 - a line that cannot be made harms nobody, as in `logging` itself
            self.handleError(record)
