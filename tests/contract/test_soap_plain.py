"""What is read and written without zeep is what zeep reads and writes, for every contract that the project ships."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.soap.plain import NotPlain, Plain, compiled
from adapters.soap.wsdl import SoapOperation, Wsdl, load
from adapters.soap.xml import Element, add, etree, new, serialize
from bus.errors import Invalid

ADAPTERS = Path(__file__).parents[2] / "adapters"
VALUES = ("", "1", "true", "2026-03-01", "2026-03-01T09:30:00Z", "12.50", " è ", "0118", None)
SAID = tuple(value for value in VALUES if value)


def plain_ones() -> Iterator[tuple[Wsdl, str, SoapOperation, Any, Plain]]:
    """Every message of a shipped contract whose body is a plain one."""
    for path in sorted(ADAPTERS.rglob("*.wsdl")):
        wsdl = load(path)
        for operation in wsdl.operations.values():
            for message in (operation.raw.input, operation.raw.output):
                if message is not None and message.body is not None and (plain := compiled(message.body)) is not None:
                    yield wsdl, f"{path.stem} {message.body.qname.localname}", operation, message, plain


def fits(kind: Any, value: str | None) -> bool:
    try:
        return value is None or kind.pythonvalue(value) is not None
    except Exception:
        return False


def made(declared: Any, chance: random.Random, parent: Element | None = None, values: Sequence[str | None] = VALUES) -> Element:
    """A document of a contract's shape; now and then something is missing, doubled, marked or out of order."""
    element = new(declared.qname.text) if parent is None else add(parent, declared.qname.text)
    kind = declared.type
    if not hasattr(kind, "elements_nested"):
        element.text = chance.choice([value for value in values if fits(kind, value) or chance.random() < 0.01] or values)
    else:
        for _, indicator in kind.elements_nested:
            members = list(indicator)
            chosen = [chance.choice(members)] if "Choice" in type(indicator).__name__ else members
            for member in chosen:
                least = 0 if member.is_optional or chance.random() < 0.03 else 1
                most = 2 if member.accepts_multiple or chance.random() < 0.01 else 1
                for _ in range(chance.randint(least, most)):
                    made(member, chance, element, values)
    if chance.random() < 0.01:
        element.set("{http://www.w3.org/2001/XMLSchema-instance}nil", "true")
    return element


def test_a_body_read_without_zeep_is_as_zeep_reads_it_in_nearly_every_shipped_contract() -> None:
    found = [(name, _read_alike(wsdl, message, plain, random.Random(name))) for wsdl, name, _, message, plain in plain_ones()]
    assert len(found) > 15
    assert not [name for name, read in found if read < 5]


def _read_alike(wsdl: Wsdl, message: Any, plain: Plain, chance: random.Random) -> int:
    """How many of some documents were read, all of them as zeep reads them."""
    read = 0
    for _ in range(100):
        document = made(message.body, chance)
        try:
            values = plain.read(document)
        except NotPlain:
            continue
        if values is not None:
            read += 1
            assert values == wsdl.read_by_zeep(message, document), etree.tostring(document)
    return read


def test_a_body_written_without_zeep_is_as_zeep_writes_it_in_nearly_every_shipped_contract() -> None:
    found = [(name, _written_alike(*one, random.Random(name))) for wsdl, name, *rest in plain_ones() for one in [(wsdl, *rest)]]
    assert len(found) > 15
    assert not [name for name, written in found if written < 5]


def _written_alike(wsdl: Wsdl, operation: SoapOperation, message: Any, plain: Plain, chance: random.Random) -> int:
    """How many of some values were written, all of them as zeep writes them."""
    written, tag = 0, message.body.qname.text
    for _ in range(100):
        document = wsdl.empty()
        try:
            read = plain.read(made(message.body, chance, values=SAID))
            values = changed(read, chance) if chance.random() < 0.5 else read
            plain.write(add(document[0], tag), values)
        except NotPlain:
            continue
        written += 1
        assert serialize(document) == serialize(wsdl.build_by_zeep(operation, message, tag, values)), values
    return written


def changed(value: Any, chance: random.Random) -> Any:
    """Values as a rule might give them: now and then something is missing, unknown, empty, or of another kind."""
    if chance.random() < 0.01:
        return chance.choice([None, "", 0, [], {}, ["x"], {"y": "z"}, True])
    if isinstance(value, dict):
        kept = {name: changed(one, chance) for name, one in value.items() if one is not None or chance.random() < 0.5}
        return {**kept, "ignoto": 1} if chance.random() < 0.01 else kept
    return [changed(one, chance) for one in value] if isinstance(value, list) else value


def test_what_the_contract_does_not_know_is_still_refused_by_name() -> None:
    wsdl, _, operation, _, _ = next(one for one in plain_ones() if one[3] is one[2].raw.input)
    with pytest.raises(Invalid, match="ignoto"):
        wsdl.build_request(operation, {"ignoto": 1})


def test_a_value_that_python_cannot_hold_is_told_to_nobody(caplog):
    wsdl = load(ADAPTERS / "anagrafe/contract/anagrafe.wsdl")
    kind = wsdl._document.types.get_type("{http://www.w3.org/2001/XMLSchema}boolean")
    assert kind.parse_xmlelement(etree.fromstring("<vivo>SI</vivo>")) is None
    assert caplog.text == ""
