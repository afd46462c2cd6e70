"""Does one dead or slow system take anything from the others? ``python -m benchmarks --gates``.

Messages for system A and for system B come at a steady rate into one process of the bus. In turns A is well, hangs (takes calls and never
answers), and is dead (nobody listens). Measured is the time from a message for B to its reply; its 99th percentile may move by 20 %.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from benchmarks.house import Bus
from benchmarks.machine import heading
from benchmarks.processes import Process
from benchmarks.stand import Stand
from bus.testing.ports import free_port

How = Literal["well", "hangs", "dead"]
HOWS: tuple[How, ...] = ("well", "hangs", "dead")
RATE_A, RATE_B = 20, 40
"""Messages a second."""
SECONDS, ROUNDS = 6, 9
MOVES = 1.2
"""The aim: B's p99 while A does not answer, against that while A is well."""


class Other(threading.Thread):
    """System A: one port, and a way of answering that can be changed."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.port, self._how = free_port(), "dead"
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.start()

    def run(self) -> None:
        self._loop.run_forever()

    def become(self, how: How) -> None:
        """From now on it answers, hangs, or is not there; calls that hang are cut."""
        asyncio.run_coroutine_threadsafe(self._become(how), self._loop).result(10)

    async def _become(self, how: How) -> None:
        self._how = how
        for writer in self._open:
            writer.close()
        if self._server is not None:
            self._server.close()
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self.port) if how != "dead" else None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                content = b'{"ricevuta":"R-%d"}' % len(await reader.readexactly(length))
                if self._how == "well":
                    writer.write(
                        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)
                    )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()


class Gated(Stand):
    """One bus between A and B, with a load for each."""

    def _open(self) -> None:
        start = self.stack.enter_context
        self.other = Other()
        systems, database = self._outside()
        self.loads = [start(Process("benchmarks.load", log=self.log)) for _ in range(2)]
        self.bus = start(Bus(self.folder / "bus", systems, database, other=f"http://127.0.0.1:{self.other.port}"))

    def round(self, how: How) -> dict[str, float]:
        """Milliseconds from B's messages to their replies while A is so; A is well again, and all of its own done, when this returns."""
        self.other.become(how)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(self.load_on, self.loads[0], self.bus.port, "altrove", RATE_A * SECONDS, rate=RATE_A)
            asking = {"rate": RATE_B, "headers": "Prefer: wait=20\r\n"}
            told = self.load_on(self.loads[1], self.bus.port, "richiesta", RATE_B * SECONDS, **asking)
            other.result()
        self.other.become("well")
        self.bus.wait_until_done("banco.altrove", 0)
        return dict[str, float](told["latencies"])


def measured(folder: Path) -> dict[str, Any]:
    """Medians over the rounds, of p50 and p99 in milliseconds; and of what each round's p99 is to that of its round while A was well."""
    found: dict[How, list[dict[str, float]]] = defaultdict(list)
    with Gated(folder) as stand:
        stand.round("well")
        for turn in range(ROUNDS):
            for how in HOWS[turn % 3 :] + HOWS[: turn % 3]:  # nobody is always the last of a round
                found[how].append(stand.round(how))
    of = {how: {part: statistics.median(one[part] for one in rounds) for part in ("p50", "p99")} for how, rounds in found.items()}
    ratios = {how: [one["p99"] / well["p99"] for one, well in zip(found[how], found["well"], strict=True)] for how in HOWS}
    return {
        "rates": [RATE_A, RATE_B],
        "rounds": found,
        **{how: {**of[how], "ratio": round(statistics.median(ratios[how]), 2)} for how in HOWS},
    }


def table(machine: dict[str, Any], found: dict[str, Any]) -> str:
    """Markdown."""
    words = {"well": "answers", "hangs": "takes calls and never answers", "dead": "is dead: nobody listens"}
    lines = [
        *heading("One system dead or slow", machine),
        f"One `bus serve`: {RATE_A} messages a second for system A, {RATE_B} for B; {ROUNDS} rounds of {SECONDS} s in turns, medians.", "",
        "| while system A … | B, to the reply: p50 ms | p99 ms | p99 against A well | aim |", "|---|---:|---:|---:|---:|",
        *(
            f"| {words[how]} | {found[how]['p50']} | {found[how]['p99']} | {found[how]['ratio']:.2f} | {MOVES if how != 'well' else ''} |"
            for how in HOWS
        ), "",
    ]  # fmt: skip
    return "\n".join(lines)
