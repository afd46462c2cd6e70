"""``python -m bus.cli`` is ``bus``: one command in a process of its own, which begins and ends as cheaply as that allows."""

from __future__ import annotations

import atexit
import codecs
import gc
import os
import signal
import sys
import threading
from contextlib import suppress
from io import TextIOWrapper
from typing import NoReturn

from bus.cli import main

PLAIN = {
    "├": "|", "└": "`", "│": "|", "─": "-", "…": "...", "€": "EUR",
    **dict.fromkeys("→⇒", ">"), **dict.fromkeys("●✓✗◷⇐‖■†↻✎§◉▤○◌∞▪", "*"),
}  # fmt: skip
"""What is drawn and cannot be written in the terminal's locale, in signs that each has. What a sign means the words beside it say, too."""
OBJECTS = 200_000
"""New objects after which cycles of garbage are looked for: a command makes its modules and rules, and hardly any garbage."""


def _keep_numbers() -> None:
    """What was closed by whoever started us (``2>&-``) leads nowhere: no socket or file of ours gets its number and what is said to it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def _end_when_told() -> None:
    """The first process of a container gets no signal that it does not ask for: while it starts it would work on, and be killed later."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))


def _in_other_letters(error: UnicodeError) -> tuple[str | bytes, int]:
    """What a terminal of another locale cannot write: lines and signs in plain ones, names of files as their bytes, else by number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    one = error.object[error.start]
    if "\udc80" <= one <= "\udcff":  # a byte of a name that is none of this locale's
        return bytes([ord(one) - 0xDC00]), error.start + 1
    return PLAIN.get(one) or codecs.backslashreplace_errors(UnicodeEncodeError(error.encoding, one, 0, 1, error.reason))[0], error.start + 1


def start() -> NoReturn:
    """Run the command that this process was started for."""
    _end_when_told()
    gc.set_threshold(OBJECTS)
    _keep_numbers()
    codecs.register_error("bus", _in_other_letters)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # what became a pipe after it was opened cannot be changed any more
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="bus")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # looking for some reads the metadata of all libraries; we use none
    try:
        code = main()
    except KeyboardInterrupt:  # while the modules of a command are read; later the command says the same
        code = 128 + signal.SIGINT
    leave(code)


def leave(code: int) -> NoReturn:
    """End this process; not by taking its objects apart one by one, which costs a tenth of what checking 300 routes does."""
    if threading.active_count() > 1:
        sys.exit(code)
    atexit._run_exitfuncs()  # noqa: SLF001  there is no public name for what `sys.exit` would do
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    start()
