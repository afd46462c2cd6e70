"""What we believe of kombu's memory transport: it forgets, it polls. Each test talks through a queue of its own."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from kombu import Connection

TRY = """
import sys
from kombu import Connection
with Connection("memory://") as connection:
    queue = connection.SimpleQueue("tagliandi")
    if sys.argv[1] == "put":
        queue.put("uno")
    print(queue.qsize())
    queue.close()
"""


def run(what):
    return subprocess.run([sys.executable, "-c", TRY, what], capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_the_memory_transport_forgets_everything_at_restart():
    assert run("put") == "1"
    assert run("look") == "0"


def test_two_connections_of_one_process_share_the_memory():
    with Connection("memory://") as first, Connection("memory://") as second:
        out, into = first.SimpleQueue("condivisa"), second.SimpleQueue("condivisa")
        out.put({"run": 1})
        message = into.get(timeout=60)
        assert message.payload == {"run": 1}
        message.ack()
        out.close()
        into.close()


def test_a_ticket_that_was_not_acknowledged_is_lost_when_its_connection_closes():
    """The memory transport restores nothing (``do_restore = False``): the sweeper must ring again."""
    with Connection("memory://") as connection, closing(connection.SimpleQueue("perduta")) as queue:
        queue.put("uno")
        assert queue.get(timeout=60).payload == "uno"
    with Connection("memory://") as connection, closing(connection.SimpleQueue("perduta")) as queue, pytest.raises(queue.Empty):
        queue.get(timeout=0.3)


def latency(interval, times=2):
    """The shortest wait, in seconds, of a consumer that was already waiting when a ticket was put."""
    options = {} if interval is None else {"polling_interval": interval}
    waits = []
    with Connection("memory://", transport_options=options) as reading, Connection("memory://") as writing:
        queue, out = reading.SimpleQueue(f"attesa-{interval}"), writing.SimpleQueue(f"attesa-{interval}")
        for _ in range(times):
            put = []

            def ring(put=put, out=out):
                put.append(time.monotonic())
                out.put("uno")

            timer = threading.Timer(0.1, ring)
            timer.start()
            queue.get(timeout=60).ack()
            waits.append(time.monotonic() - put[0])
            timer.join(60)
        queue.close()
        out.close()
    return min(waits)


def test_the_default_polling_interval_is_what_makes_the_memory_transport_slow():
    slow, quick = latency(None), latency(0.01, times=10)
    assert slow > 0.2, "the default no longer waits: the setting may go"
    assert quick < 0.1
