"""What all measurements stand on: processes that end with the run, messages with numbers of their own, the load sent to a door."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from benchmarks.house import Bus, key_of
from benchmarks.processes import Process
from benchmarks.work import Kind

CONNECTIONS = 64


class Stand(ABC):
    """Used by ``with``; what `_open` enters into ``stack`` is closed at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "processes.log"
        self.stack = ExitStack()
        self._next = 1

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    @abstractmethod
    def _open(self) -> None: ...

    def _outside(self) -> tuple[str, str]:
        """Start the outside systems; their address and that of their database."""
        told = json.loads(self.stack.enter_context(Process("benchmarks.outside", str(self.folder / "outside"), log=self.log)).ready)
        return f"http://127.0.0.1:{told['port']}", told["database"]

    def numbers(self, count: int) -> int:
        """The first of so many numbers that nobody had before."""
        first, self._next = self._next, self._next + count
        return first

    def load_on(self, load: Process, port: int, kind: Kind, count: int, **how: Any) -> dict[str, Any]:
        """Send so many messages of a kind; what the load generator tells. Raises RuntimeError when one is refused."""
        headers = f"X-Api-Key: {key_of('portale')}\r\n" + how.pop("headers", "")
        order = {"kind": kind, "host": "127.0.0.1", "port": port, "headers": headers, "start": self.numbers(count), "count": count}
        told = load.order({"connections": CONNECTIONS, **order, **how})
        if set(told["statuses"]) - {"202", "200"}:
            raise RuntimeError(f"{kind}: answers {told['statuses']}")
        return told


class OneBus(Stand):
    """A bus between the outside systems, and a load for it; ``options`` are those of `benchmarks.serve`."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self._options = options

    def _open(self) -> None:
        systems, database = self._outside()
        self.load = self.stack.enter_context(Process("benchmarks.load", log=self.log))
        self.bus = self.stack.enter_context(Bus(self.folder / "bus", systems, database, *self._options))

    def send(self, kind: Kind, count: int, **how: Any) -> dict[str, Any]:
        """See `load_on`."""
        return self.load_on(self.load, self.bus.port, kind, count, **how)
