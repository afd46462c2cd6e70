"""docs/patterns.md, written from the routes in docs/patterns: the comment at the head of each is its text, the route is its example."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bus.source import read

HOME = Path(__file__).parents[1] / "docs" / "patterns" / "routes"

GROUPS: dict[str, tuple[str, ...]] = {
    "Which way": ("smistamento", "filtro", "destinatari", "tappe", "deviazione", "pubblicazione", "indirizzo"),
    "Several and one": ("divisione", "raccolta", "riordino", "composto", "interpello", "rate", "parallelo"),
    "What it says": ("traduzione", "arricchimento", "riduzione", "normalizzazione", "scontrino"),
    "Over time": ("processo", "correlazione", "attesa", "promemoria", "scadenza", "recesso", "interrogazione"),
    "When things go wrong": ("idempotenza", "fermo", "compensazione", "freno", "interruttore", "derivazione"),
}
"""Every route of the folder, in the order of the page."""

KEPT: tuple[tuple[str, str], ...] = (
    ("Message, Envelope Wrapper", "every message has an envelope of CloudEvents attributes: `message` in expressions"),
    ("Message Store, Message History", "the log, and each run's journal in it: `bus log`, `bus runs show`"),
    ("Guaranteed Delivery, Transactional Client", "a 202 is given after the commit; state, record and next work commit together"),
    ("Message Channel, Competing Consumers", "tickets over kombu, any number of workers; the database is the queue of record"),
    ("Messaging Gateway, Channel Adapter", "the HTTP doors; adapters with operations, endpoints and pollers"),
    ("Event-Driven Consumer, Service Activator", "`on` of a route, and `wait`; `call` for what it activates"),
    ("Pipes and Filters, Message Router", "a route is a list of steps; messages that it sends start other routes"),
    ("Dynamic Router", "the choice stands in a table, read with `lookup` as in the detour: `bus activate` changes it, and no route"),
    ("Selective Consumer", "`match` of a `wait`"),
    ("Request-Reply", "`reply`; the portal waits with `ask`, or comes back for it"),
    ("Canonical Data Model", "message types under `mappings/types`"),
    ("Invalid Message Channel", "a body that is not of its type is refused at the door with every fault, and never accepted"),
    ("Control Bus", "`bus runs`, `bus dead`, `bus doctor`, `/metrics`"),
    ("Test Message", "the tests beside each route, and simulators that pass the adapters' contract tests"),
)  # fmt: skip


def patterns() -> Iterator[str]:
    """The page."""
    yield "# Patterns"
    yield ""
    yield "The *Enterprise Integration Patterns* that a bus needs, each as a route. The routes are files in `docs/patterns/routes`;"
    yield "whenever the tests of Snodo run, they are checked, and their tests take every way through them. What they send is taken by the"
    yield "routes in `docs/patterns/routes/riceventi`: a message that nobody takes is refused."
    for group, names in GROUPS.items():
        yield f"\n## {group}"
        for name in names:
            yield from _pattern(HOME / f"{name}.yaml")
    yield "\n## Kept by the bus itself\n"
    yield "| pattern | where |"
    yield "|---|---|"
    yield from (f"| {name} | {where} |" for name, where in KEPT)


def _pattern(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    title, *words = [line[2:] for line in text.split("\nroute:")[0].split("\n")]
    document = read(text.encode(), path.name).plain()
    yield f"\n### {title}\n"
    yield from words
    yield "\n```yaml"
    yield _between(text, "steps:\n", "\ngiven:").rstrip()
    yield "```\n"
    yield "Its tests say: " + "; ".join(test["name"] for test in document["tests"]) + f". [The whole route](patterns/routes/{path.name})."


def _between(text: str, start: str, end: str) -> str:
    first = text.index(f"\n{start}") + 1
    return text[first : text.index(end, first)]
