"""A worker: one process that does the work and has no door. It runs until it is told to stop, then ends in good order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from bus import memory
from bus.app import App
from bus.diagnostics import logger

LEAVING = 15.0
"""Seconds for what comes after requests and calls: the broker, the leases, the store. Units wait longer (`TimeoutStopSec`)."""


GIVE_BACK = 10.0
"""Seconds after which a worker gives back the memory that it does not use."""


class Ending(Protocol):
    def cancel(self) -> None: ...


def ending_within(seconds: float) -> Ending:
    """End the process in so many seconds, unless cancelled: a database that hangs would keep it for ever. It is as if it was killed:
    nothing is lost, and calls that were out are for whoever takes their runs over.
    """
    timer = threading.Timer(seconds, _cut_short, (seconds,))
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError:  # the system gives us no more threads: it ends us itself then, without a word of ours
        signal.setitimer(signal.ITIMER_REAL, seconds)
        return _Alarm()
    return timer


class _Alarm:
    def cancel(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _cut_short(seconds: float) -> None:
    logger("snodo.app").error(
        "stop.cut-short", seconds=seconds, sentence="it could not end in good order in that time: is the database there?"
    )
    os._exit(1)


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """What is done within ends in that time, or the process does."""
    timer = ending_within(seconds)
    try:
        yield
    finally:
        timer.cancel()


STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Each ends a process in good order; the last one comes when the terminal of whoever started it is closed."""


@contextmanager
def heeding(stop: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let those signals call ``stop``. One that whoever started us has ignored (nohup) stays ignored. Main thread only."""
    heard = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
    before = [(number, signal.signal(number, stop)) for number in heard]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def run(app: App, announce: Callable[[], None] = lambda: None) -> None:
    """Work until SIGTERM, SIGINT or SIGHUP: then claim nothing more, let calls in flight come home, give the leases back.

    Main thread only. Raises the `StoreError` that made the process unfit.
    """
    told = threading.Event()
    app.on_unfit = told.set
    with heeding(lambda *_: told.set()):
        try:
            app.start()
            memory.settle()
            announce()
            while not told.wait(GIVE_BACK):
                memory.give_back()
        finally:
            with bounded(app.config.engine.stop + LEAVING):
                app.stop()
    if app.unfit is not None:
        raise app.unfit
