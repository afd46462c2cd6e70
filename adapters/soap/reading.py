"""Bodies read by what the contract says of them, without zeep: for types that are sequences or choices of elements, and no more than that.

zeep looks for the type of each element anew, 260 µs for a small reply; a reader compiled once from its own types takes a tenth.
Whatever is not plainly right in a document (an attribute such as ``xsi:type`` or ``xsi:nil``, another order, something missing or too much)
is left to zeep by raising `NotPlain`, so that the values are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zeep.xsd.elements import Element as Declared
from zeep.xsd.elements.indicators import Choice, Sequence
from zeep.xsd.types.complex import ComplexType
from zeep.xsd.types.simple import AnySimpleType

from adapters.soap.xml import Element

Read = Callable[[Element], Any]


class NotPlain(Exception):
    """zeep must read this."""


def compiled(declared: Any) -> Read | None:
    """A reader for an element of a contract, giving what zeep's plain values would be; None where its type is not a plain one."""
    try:
        return _of_type(declared.type, frozenset())
    except NotPlain:
        return None


def _of_type(kind: Any, above: frozenset[int]) -> Read:
    if isinstance(kind, AnySimpleType):
        return _simple(kind)
    if not isinstance(kind, ComplexType) or id(kind) in above or kind.attributes or getattr(kind, "_array_type", None):
        raise NotPlain
    nested = [indicator for _, indicator in kind.elements_nested]
    if len(nested) != 1 or type(nested[0]) not in (Sequence, Choice) or nested[0].accepts_multiple:
        raise NotPlain
    members = list(nested[0])
    if not all(type(member) is Declared for member in members) or len({member.qname.text for member in members}) < len(members):
        raise NotPlain
    parts = [_Part(position, member, _of_type(member.type, above | {id(kind)})) for position, member in enumerate(members)]
    return _Complex(parts, choice=isinstance(nested[0], Choice))


def _simple(kind: Any) -> Read:
    if type(kind).parse_xmlelement is not AnySimpleType.parse_xmlelement:
        raise NotPlain

    def read(element: Element) -> Any:
        if len(element) or element.attrib:
            raise NotPlain
        try:
            return None if element.text is None else kind.pythonvalue(element.text)
        except Exception:  # noqa: BLE001 - zeep says what becomes of it
            raise NotPlain from None

    return read


class _Part:
    """One element of a complex type."""

    __slots__ = ("many", "name", "needed", "position", "read", "tag")

    def __init__(self, position: int, member: Any, read: Read) -> None:
        self.position, self.read, self.name = position, read, member.attr_name
        self.tag, self.many, self.needed = member.qname.text, member.accepts_multiple, not member.is_optional


class _Complex:
    """Reads the children of an element of a sequence or a choice, in order."""

    def __init__(self, parts: list[_Part], *, choice: bool) -> None:
        self._parts, self._choice = parts, choice
        self._by_tag = {part.tag: part for part in parts}
        self._needed = {part.name for part in parts if part.needed and not choice}

    def __call__(self, element: Element) -> Any:
        if element.attrib or (element.text is not None and element.text.strip()):
            raise NotPlain
        found = self._read(element)
        if not found:
            if self._needed:
                raise NotPlain
            return None
        if not self._needed <= found.keys() or (self._choice and len(found) > 1):
            raise NotPlain
        for part in self._parts:
            if part.name not in found:
                found[part.name] = None if self._choice or not part.many else []
        return found

    def _read(self, element: Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        last = -1
        for child in element:
            part = self._by_tag.get(child.tag)
            if part is None or part.position < last or (part.position == last and not part.many):
                raise NotPlain
            last = part.position
            if part.many:
                found.setdefault(part.name, []).append(part.read(child))
            else:
                found[part.name] = part.read(child)
        return found
