"""What the tests of the HTTP door share: an adapter whose system calls us, and a greeting."""

from __future__ import annotations

import threading

from bus.adapter import Adapter, Endpoint, Outbound


class Sportello(Adapter):
    """An adapter whose system calls us: it repeats, breaks, or takes its time."""

    def endpoints(self):
        return (
            Endpoint("eco", self.eco, budget=0.05, max_bytes=1000),
            Endpoint("rotto", self.breaks),
        )

    def eco(self, inbound, door):
        if inbound.query.get("lento"):
            threading.Event().wait(0.2)
        delivery = door.accept("prova.sveglia", {"nome": inbound.body.decode()}, key=inbound.body.decode())
        return Outbound(200, delivery.message_id.encode(), "text/plain", {"X-Repeated": str(delivery.repeated)})

    def breaks(self, inbound, door):
        raise RuntimeError("segreto interno")


def saluto(nome, **more):
    return {"type": "prova.saluto", "data": {"nome": nome}, **more}
