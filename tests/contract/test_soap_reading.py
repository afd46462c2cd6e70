"""What is read without zeep is what zeep reads, for every contract that the project ships."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapters.soap.reading import NotPlain, Read, compiled
from adapters.soap.wsdl import Wsdl, load
from adapters.soap.xml import Element, add, etree, new

ADAPTERS = Path(__file__).parents[2] / "adapters"
VALUES = ("", "1", "true", "2026-03-01", "2026-03-01T09:30:00Z", "12.50", " è ", "0118", None)


def readers() -> Iterator[tuple[Wsdl, str, Any, Read]]:
    """Every message of a shipped contract that has a reader."""
    for path in sorted(ADAPTERS.rglob("*.wsdl")):
        wsdl = load(path)
        for operation in wsdl.operations.values():
            for message in (operation.raw.input, operation.raw.output):
                if message is not None and message.body is not None and (reader := compiled(message.body)) is not None:
                    yield wsdl, f"{path.stem} {message.body.qname.localname}", message, reader


def fits(kind: Any, value: str | None) -> bool:
    try:
        return value is None or kind.pythonvalue(value) is not None
    except Exception:
        return False


def made(declared: Any, chance: random.Random, parent: Element | None = None) -> Element:
    """A document of a contract's shape; now and then something is missing, doubled, marked or out of order."""
    element = new(declared.qname.text) if parent is None else add(parent, declared.qname.text)
    kind = declared.type
    if not hasattr(kind, "elements_nested"):
        element.text = chance.choice([value for value in VALUES if fits(kind, value) or chance.random() < 0.01] or VALUES)
    else:
        for _, indicator in kind.elements_nested:
            members = list(indicator)
            chosen = [chance.choice(members)] if "Choice" in type(indicator).__name__ else members
            for member in chosen:
                least = 0 if member.is_optional or chance.random() < 0.03 else 1
                most = 2 if member.accepts_multiple or chance.random() < 0.01 else 1
                for _ in range(chance.randint(least, most)):
                    made(member, chance, element)
    if chance.random() < 0.01:
        element.set("{http://www.w3.org/2001/XMLSchema-instance}nil", "true")
    return element


def test_a_body_read_without_zeep_is_as_zeep_reads_it_in_nearly_every_shipped_contract() -> None:
    found = [(name, _read_alike(wsdl, message, reader, random.Random(name))) for wsdl, name, message, reader in readers()]
    assert len(found) > 15
    assert not [name for name, read in found if read < 5]


def _read_alike(wsdl: Wsdl, message: Any, reader: Read, chance: random.Random) -> int:
    """How many of some documents were read, all of them as zeep reads them."""
    read = 0
    for _ in range(100):
        document = made(message.body, chance)
        try:
            plain = reader(document)
        except NotPlain:
            continue
        if plain is not None:
            read += 1
            assert plain == wsdl.read_by_zeep(message, document), etree.tostring(document)
    return read
