"""Faltering: what is tried again and again, and fails. The same failure is told once, and each next try is later."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bus.clock import running_time

FIRST, MOST = 0.2, 3.0
"""Seconds before the next try: after the first failure, and after many."""
WELL = 10.0
"""Seconds without a failure after which all is well: a try that had nothing to ask of the store proves nothing."""


class Faltering:
    """The failures of one thread's work. ``tell`` says a failure, ``again`` that work goes on; ``ticks`` gives running time."""

    def __init__(
        self, tell: Callable[[Exception], None], again: Callable[[], None] = lambda: None, ticks: Callable[[], float] = running_time
    ) -> None:
        self._tell, self._again, self._ticks = tell, again, ticks
        self._told = ""
        self._pause = self._failed = 0.0

    def attempt(self, work: Callable[[], object]) -> None:
        """Try; for whoever tries again at a time of its own."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever one try meets, there is a next one
            self.failed(error)
        else:
            self.went_well()

    def failed(self, error: Exception) -> float:
        """Note that a try failed, and tell it once; returns the seconds to wait before the next."""
        said = f"{type(error).__name__}: {error}"
        if said != self._told:
            self._tell(error)
        self._told, self._failed, self._pause = said, self._ticks(), min(max(2 * self._pause, FIRST), MOST)
        return self._pause

    def went_well(self) -> None:
        """A try did not fail."""
        if self._told and self._ticks() - self._failed > WELL:
            self._told, self._pause = "", 0.0
            self._again()


def repeat(name: str, every: float, over: threading.Event, work: Callable[[], object], tell: Callable[[Exception], None]) -> None:
    """Do ``work`` in a thread of its own, every so many seconds until it is ``over``; ``tell`` says its failures."""
    faltering = Faltering(tell)

    def go_on() -> None:
        while not over.wait(every):
            faltering.attempt(work)

    threading.Thread(target=go_on, name=name, daemon=True).start()
