"""What the tests of anchors share: a bus that seals and anchors when it is told to."""

from __future__ import annotations

from contextlib import contextmanager

from bus import config
from bus.app import App
from bus.engine.arrival import Submission
from bus.log import note as notes
from bus.log.stored import StoredTree
from tests.integration.kit import ShiftedClock
from tests.small_bus import write

ORIGIN = "prova.example/log"


class Bus:
    """A bus whose sequencer and anchoring take their turns when they are told to."""

    def __init__(self, folder, adapters, **anchors) -> None:
        self.folder, self.clock = folder, ShiftedClock()
        self.path = write(folder, log={"origin": ORIGIN}, anchors={"every": 3600, **anchors})
        self.app = App(config.load(self.path), clock=self.clock, adapters=adapters)
        self.app.engine.start()
        self.app.channel.consume(self.app.engine.ring)

    def add(self, count: int = 1) -> int:
        for n in range(count):
            self.app.send(Submission("prova.silenzio", {"nome": f"n{n}"}, "portale")).result(20)
        self.app.sequencer.turn()
        with self.app.store.read() as tx:
            return StoredTree(tx).size()

    def newest(self):
        with self.app.store.read() as tx:
            return StoredTree(tx).checkpoint()

    def anchors(self) -> list[dict]:
        with self.app.store.read() as tx:
            return [dict(row) for row in tx.all("anchors_of", size=StoredTree(tx).size())]

    def key(self) -> notes.Verifier:
        return self.app.sequencer._signers[0].verifier


@contextmanager
def bus(folder, adapters=None, **anchors):
    folder.mkdir(exist_ok=True)
    made = Bus(folder, adapters or {}, **anchors)
    try:
        yield made
    finally:
        made.app.stop()
