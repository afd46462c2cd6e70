"""Bodies read and written by what the contract says of them, without zeep: for types that are sequences or choices of elements, no more.

zeep looks for the type of each element anew, 260 µs for reading a small body and 125 for building one; what was compiled once from its own
types takes a tenth. Whatever is not plainly right (an attribute such as ``xsi:type`` or ``xsi:nil``, another order, something missing or
too much, a value of another kind) is left to zeep by raising `NotPlain`, so that bodies, values and complaints are the same.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from typing import Any, Protocol

from zeep.xsd.elements import Element as Declared
from zeep.xsd.elements.indicators import Choice, Sequence
from zeep.xsd.types.complex import ComplexType
from zeep.xsd.types.simple import AnySimpleType

from adapters.soap.kinds import is_abstract
from adapters.soap.xml import Element, add


class NotPlain(Exception):
    """zeep must read, or write, this."""


class Plain(Protocol):
    """The content of an element; both raise `NotPlain`."""

    def read(self, element: Element) -> Any:
        """What zeep's plain values would be."""
        ...

    def write(self, element: Element, value: Any) -> None:
        """Fill an element, as zeep would."""
        ...


def compiled(declared: Any) -> Plain | None:
    """The content of an element of a contract; None where its type is not a plain one."""
    try:
        return _of_type(declared.type, frozenset())
    except NotPlain:
        return None


def _of_type(kind: Any, above: frozenset[int]) -> Plain:
    if isinstance(kind, AnySimpleType):
        return _Simple(kind)
    if not isinstance(kind, ComplexType) or id(kind) in above or kind.attributes or getattr(kind, "_array_type", None) or is_abstract(kind):
        raise NotPlain
    nested = [indicator for _, indicator in kind.elements_nested]
    if len(nested) != 1 or type(nested[0]) not in (Sequence, Choice) or nested[0].accepts_multiple:
        raise NotPlain
    members = list(nested[0])
    if not all(type(member) is Declared for member in members) or len({member.qname.text for member in members}) < len(members):
        raise NotPlain
    parts = [_Part(position, member, _of_type(member.type, above | {id(kind)})) for position, member in enumerate(members)]
    return _Complex(parts, choice=isinstance(nested[0], Choice))


class _Simple:
    """A text."""

    def __init__(self, kind: Any) -> None:
        own = type(kind)
        if own.parse_xmlelement is not AnySimpleType.parse_xmlelement or own.render is not AnySimpleType.render:
            raise NotPlain
        self._kind = kind

    def read(self, element: Element) -> Any:
        if len(element) or element.attrib:
            raise NotPlain
        try:
            return None if element.text is None else self._kind.pythonvalue(element.text)
        except Exception:  # noqa: BLE001 - zeep says what becomes of it
            raise NotPlain from None

    def write(self, element: Element, value: Any) -> None:
        if value is None or isinstance(value, (dict, list, tuple)):
            raise NotPlain
        try:
            element.text = self._kind.xmlvalue(value)
        except Exception:  # noqa: BLE001 - zeep says what becomes of it
            raise NotPlain from None


class _Part:
    """One element of a complex type."""

    __slots__ = ("content", "many", "most", "name", "needed", "position", "tag")

    def __init__(self, position: int, member: Any, content: Plain) -> None:
        self.position, self.content, self.name = position, content, member.attr_name
        self.tag, self.many, self.needed = member.qname.text, member.accepts_multiple, not member.is_optional
        self.most = member.max_occurs if isinstance(member.max_occurs, int) else None

    def values(self, value: Any) -> Many[Any]:
        """What is to be written, one for each element; a part that may be left out is None."""
        if value is None and not self.needed:
            return ()
        if not self.many:
            return (value,)
        if not isinstance(value, list) or (self.needed and not value) or (self.most is not None and len(value) > self.most):
            raise NotPlain
        return value


class _Complex:
    """The children of an element of a sequence or a choice, in order."""

    def __init__(self, parts: list[_Part], *, choice: bool) -> None:
        self._parts, self._choice = parts, choice
        self._by_tag = {part.tag: part for part in parts}
        self._names = {part.name for part in parts}
        self._needed = {part.name for part in parts if part.needed and not choice}

    def read(self, element: Element) -> Any:
        if element.attrib or (element.text is not None and element.text.strip()):
            raise NotPlain
        found = self._children(element)
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

    def _children(self, element: Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        last = -1
        for child in element:
            part = self._by_tag.get(child.tag)
            if part is None or part.position < last or (part.position == last and not part.many):
                raise NotPlain
            last = part.position
            if part.many:
                found.setdefault(part.name, []).append(part.content.read(child))
            else:
                found[part.name] = part.content.read(child)
        return found

    def write(self, element: Element, value: Any) -> None:
        if not isinstance(value, dict) or not value or not value.keys() <= self._names:
            raise NotPlain
        for part in self._chosen(value) if self._choice else self._parts:
            for one in part.values(value.get(part.name)):
                part.content.write(add(element, part.tag), one)

    def _chosen(self, value: dict[str, Any]) -> list[_Part]:
        """The one part of a choice that is given, and says something."""
        chosen = [part for part in self._parts if value.get(part.name) is not None]
        if len(chosen) != 1 or not value[chosen[0].name]:
            raise NotPlain
        return chosen
