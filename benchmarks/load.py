"""The load generator, a process of its own: raw HTTP over kept connections, as little work per request as can be.

``python -m benchmarks.load`` reads one order (JSON) per line from standard input and answers each with one line::

    {"kind", "host", "port", "headers", "start", "count", "connections"}            closed loop: as fast as answers come
    {..., "rate"}                                                                   open loop: so many a second, come what may

Latency in the open loop counts from the moment a request *should* have left, so that a stall is not hidden.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections import deque
from typing import Any, cast

import uvloop

from benchmarks.work import requests_of

_AWAKE = 0.0002
"""Seconds before a request is due at which who sends it is awake."""


class _Line(asyncio.Protocol):
    """One connection, one request at a time. ``pull`` gives the next request, or None when there is none now."""

    def __init__(self, load: _Load) -> None:
        self._load, self._buffer, self._due = load, b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._number = transport.get_extra_info("socket").fileno()
        self._load.free(self)

    def send(self, request: bytes, due: float) -> None:
        """By any thread: nothing of ours is on its way, so that the kernel takes all of it."""
        self._due = due
        if os.write(self._number, request) < len(request):
            raise RuntimeError("a request does not fit into the socket")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        place = head.find(b"content-length:")
        length = int(head[place + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        status = int(self._buffer[9:12])
        self._buffer = b""
        self._load.answered(status, time.monotonic() - self._due)
        self._load.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost()

    def close(self) -> None:
        self._transport.abort()


class _Load:
    def __init__(self, order: dict[str, Any]) -> None:
        count = order["count"]
        made = requests_of(order["kind"], order["start"], count, order["headers"])
        self._requests, self.expected = deque(made), len(made)
        self._free: deque[_Line] = deque()
        self._rate: float = order.get("rate", 0.0)
        self._due: deque[float] = deque()
        self._serving = threading.Lock()
        self.statuses: dict[int, int] = {}
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def free(self, line: _Line) -> None:
        if self._rate:
            self._free.append(line)
            self._serve()
        elif self._requests:
            line.send(self._requests.popleft(), time.monotonic())

    def _serve(self) -> None:
        """In the open loop: what should have left by now leaves, as far as lines are free."""
        with self._serving:
            while self._free and self._due:
                self._free.popleft().send(self._requests.popleft(), self._due.popleft())

    def answered(self, status: int, seconds: float) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latencies.append(seconds)
        if len(self.latencies) == self.expected and not self.done.done():
            self.done.set_result(None)

    def lost(self) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("a connection was closed"))

    def pace(self) -> None:
        """In a thread of its own: timers of an event loop are good to a millisecond, a fourth of what is measured, sleep to a tenth."""
        start = time.monotonic()
        for number in range(self.expected):
            moment = start + number / self._rate
            time.sleep(max(0.0, moment - _AWAKE - time.monotonic()))
            while time.monotonic() < moment:
                pass
            self._due.append(moment)
            self._serve()


async def _carry_out(order: dict[str, Any]) -> dict[str, Any]:
    load = _Load(order)
    lines: list[_Line] = []
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    for _ in range(order["connections"]):
        _, line = await loop.create_connection(lambda: _Line(load), order["host"], order["port"])
        lines.append(line)
    if order.get("rate"):
        threading.Thread(target=load.pace, daemon=True).start()
    await load.done
    ended = time.monotonic()
    for line in lines:
        line.close()
    return {"began": began, "ended": ended, "statuses": load.statuses, "latencies": _summary(load.latencies)}


def _summary(seconds: list[float]) -> dict[str, float]:
    """Milliseconds."""
    ordered = sorted(seconds)
    return {name: round(ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000, 2) for name, part in _PARTS}


_PARTS = (("p50", 0.50), ("p90", 0.90), ("p99", 0.99), ("max", 1.0))


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(uvloop.run(_carry_out(json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
