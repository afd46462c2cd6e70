"""The bus as `bus serve` runs it, for the benchmarks; prints its port.

    python -m benchmarks.serve CONFIG [--resting|--no-evidence] [--profile FOLDER]

Threads tell the kernel their names, so that their CPU time can be read from outside.

``--resting``: the engine does not work, so that accepting is seen alone (what a process that only holds the door would do).
``--no-evidence``: no receipts, no tree, no checkpoints; only to see what they cost. Searches find everything as ever.
``--profile``: each thread's CPU time by function, one file a thread in FOLDER at the end. It slows everything down by half.
"""

from __future__ import annotations

import argparse
import cProfile
import ctypes
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bus import config
from bus.app import App
from bus.engine import search
from bus.engine.sequencer import MOST, Sequencer
from bus.web.serve import Server

_PR_SET_NAME = 15


class Resting(App):
    """Takes messages in and works on none."""

    def start(self) -> None:
        """Nothing begins to work."""

    def stop(self) -> None:
        self.channel.close()
        self.outside.close()
        self.store.close()


class Bare(App):
    """Gives no receipts and seals nothing."""

    def _promises(self) -> None:
        """None."""

    def _sequencer(self) -> Sequencer:
        return Tracer(self.store, self.clock, self.leases, self.config.log.origin, ())


class Tracer(Sequencer):
    """Seals nothing; makes what searches look at."""

    def turn(self) -> int:
        return 0

    def trace(self) -> int:
        return MOST if search.trace(self._store) else 0


def _name_threads() -> None:
    """From now on, each thread that starts says its name to the kernel (which keeps 15 bytes of it)."""
    libc, begin = ctypes.CDLL(None), threading.Thread.run

    def run(self: threading.Thread) -> None:
        libc.prctl(_PR_SET_NAME, self.name.encode(), 0, 0, 0)
        begin(self)

    threading.Thread.run = run  # type: ignore[method-assign]


def _profiled(folder: Path) -> Callable[[], None]:
    """Profile every thread that starts from now on, and this one; the function returned ends this one's."""
    begin = threading.Thread.run

    def run(self: threading.Thread) -> None:
        profile = cProfile.Profile(time.thread_time)
        try:
            profile.runcall(begin, self)
        finally:
            profile.dump_stats(folder / f"{self.name}-{self.native_id}.prof")

    threading.Thread.run = run  # type: ignore[method-assign]
    own = cProfile.Profile(time.thread_time)
    own.enable()

    def end() -> None:
        own.disable()
        own.dump_stats(folder / "web.prof")

    return end


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--resting", action="store_true")
    parser.add_argument("--no-evidence", action="store_true")
    parser.add_argument("--profile", type=Path)
    options: Any = parser.parse_args()
    _name_threads()
    end = _profiled(options.profile) if options.profile else None
    loaded = config.load(options.config)
    app = (Resting if options.resting else Bare if options.no_evidence else App)(loaded)
    server = Server(app, "127.0.0.1", 0)
    server.run(lambda url: print(server.port, flush=True))
    if end is not None:
        end()


if __name__ == "__main__":
    main()
