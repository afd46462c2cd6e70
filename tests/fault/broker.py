"""What can be done to the broker and its tickets from outside, while the bus works."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kombu

from bus.channel import QUEUE
from bus.channel.line import Line
from bus.message import new_id
from tests.fault.house import House
from tests.fault.judge import Verdict, judge
from tests.fault.portal import Portal
from tests.fault.rules import TOGETHER, Sending

SENDERS = 8


class Meddler:
    """Takes its share of the tickets as a worker would, and publishes them again: doubled, out of order, late, mixed with ids of nobody.

    Some it keeps for ever. Use as a context manager; ``taken`` counts the tickets that went through its hands.
    """

    def __init__(self, url: str, seed: int) -> None:
        self._url, self._random = url, random.Random(seed)
        self._stop, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._meddle, daemon=True)
        self.taken = 0

    def __enter__(self) -> Meddler:
        self._thread.start()
        assert self._ready.wait(60), "the meddler does not get at the tickets"
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _meddle(self) -> None:
        with kombu.Connection(self._url) as taking, kombu.Connection(self._url) as giving:
            out, held = kombu.Producer(giving.channel(), serializer="json"), []

            def on_ticket(message: kombu.Message) -> None:
                held.append(json.loads(message.body))
                self.taken += 1
                message.ack()

            line, channel = Line(self._url, QUEUE, print, {}), taking.channel()
            line.declare(channel)
            with kombu.Consumer(channel, [line.queue], on_message=on_ticket, prefetch_count=3, auto_declare=False):
                self._ready.set()
                while not self._stop.is_set():
                    try:
                        taking.drain_events(timeout=0.2)
                    except TimeoutError:
                        self._give_back(out, held)
                    if len(held) >= 7:
                        self._give_back(out, held)

    def _give_back(self, out: Any, held: list[list[str]]) -> None:
        """A third is lost; the rest goes out twice, with the ids of several tickets mixed and one that is nobody's."""
        kept = [ticket for ticket in held if self._random.random() > 0.33]
        held.clear()
        runs = [run for ticket in kept for run in ticket] * 2
        self._random.shuffle(runs)
        if runs:
            out.publish([*runs, new_id()], routing_key=QUEUE)


def jobs(count: int, prefix: str) -> list[Sending]:
    """Runs of one keyed call; four to a case, so that order matters too."""
    return [Sending(f"{prefix}-{n}", "prova.breve", {"chi": f"{prefix}-{n}", "pratica": f"{prefix}-{n // 4}"}) for n in range(count)]


def many_jobs(runs: int, prefix: str) -> list[Sending]:
    """As `jobs`, each of them five runs: so many are pending in a fifth of the time that it takes to send them one by one."""
    count = runs // len(TOGETHER)
    return [Sending(f"{prefix}-{n}", "prova.insieme", {"chi": f"{prefix}-{n}", "pratica": f"{prefix}-{n // 4}"}) for n in range(count)]


def send(house: House, book: Path, sendings: list[Sending]) -> Portal:
    """Send them from several threads, those of one case by one thread, in order."""
    portal = Portal(house.url, book)
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(lambda part: portal.send_all(part), _dealt(sendings)))
    return portal


def _dealt(sendings: list[Sending]) -> Iterator[list[Sending]]:
    for hand in range(SENDERS):
        yield [sending for n, sending in enumerate(sendings) if n // 4 % SENDERS == hand]


def judged(house: House, portal: Portal) -> Verdict:
    """End the house in good order and compare the books."""
    house.stop()
    ledgers = {name: system.ledger() for name, system in house.systems.items()}
    with house.store() as store:
        return judge(store, portal.promises(), ledgers)


def done(house: House) -> int:
    """Effects so far; counted in the book itself: who asks ten times a second for thousands of lines keeps the system from its work."""
    book = house.systems["beta"].folder / "sistema.sqlite"
    with contextlib.closing(sqlite3.connect(f"file:{book}?mode=ro", uri=True)) as ledger:
        return int(ledger.execute("SELECT count(*) FROM effects WHERE kind = 'scrivi'").fetchone()[0])
