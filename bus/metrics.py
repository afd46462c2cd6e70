"""Figures for monitoring, in Prometheus' text format. The only room that knows prometheus-client.

What happens in a process is counted where it happens, by `count`; what is so at the moment is asked at each scrape (`Figure`). Labels are
bounded by the rules and the settings (types, operations, states), and never hold anybody's data.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

COUNTERS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "snodo_messages_accepted": ("Messages accepted, by type.", ("type",)),
    "snodo_messages_repeated": ("Messages that had been accepted before under the same key, by type.", ("type",)),
    "snodo_calls": ("Calls of outside systems, by how they ended: answered, refused, unreachable, in_doubt.", ("operation", "ending")),
}
"""Name without ``_total``; what it says, its labels. Since the start of the process."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that is so now: a value for each value of ``label``, or one for the empty text where there is no label."""

    name: str
    help: str
    values: Mapping[str, float]
    label: str = ""
    grows: bool = False


Ask = Callable[[], Iterable[Figure]]
_counted: Counter[tuple[str, tuple[str, ...]]] = Counter()
_lock = threading.Lock()


def count(name: str, *labels: str) -> None:
    """One more; `name` is one of `COUNTERS`. Cheap, and safe from any thread."""
    with _lock:
        _counted[name, labels] += 1


def page(ask: Ask) -> bytes:
    """The whole page, with what ``ask`` says."""
    from prometheus_client import generate_latest

    return generate_latest(_registry(ask))


def serve(port: int, ask: Ask) -> tuple[int, Callable[[], None]]:
    """Serve the page on a loopback port (0: a free one), for a process without a door; gives the port and how to stop. Raises OSError."""
    from prometheus_client import start_http_server

    server, thread = start_http_server(port, "127.0.0.1", _registry(ask))

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(5)

    return server.server_port, stop


def _registry(ask: Ask) -> Any:
    from prometheus_client import CollectorRegistry, ProcessCollector

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(ask))
    ProcessCollector(registry=registry)
    return registry


class _Collector:
    """What prometheus-client asks at each scrape."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def describe(self) -> Iterable[Any]:
        """Tell nothing beforehand: to describe the figures would be to ask the store."""
        return ()

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        with _lock:
            counted = dict(_counted)
        for name, (text, labels) in COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=labels)
            for (one, values), number in sorted(counted.items()):
                if one == name:
                    counter.add_metric(values, number)
            yield counter
        for figure in self._ask():
            family = CounterMetricFamily if figure.grows else GaugeMetricFamily
            shown = family(figure.name, figure.help, labels=(figure.label,) if figure.label else ())
            for value, now in figure.values.items():
                shown.add_metric((value,) if figure.label else (), now)
            yield shown
