"""What zeep makes of XSD's own types, mended, and of elements without content. Imported for its effect on zeep, and for `fill`, `number`.

=============================== ===========================================================================================================
bytes, yes and no               judged: libxml2 and zeep take any text for bytes, and any for true or for false
durations, years, months, days  as written: a year is two values to zeep, and a duration an English sentence
dates, moments, numbers         as written where Python has none like it (the year 12026), or they are none in a reply that strays from its
                                contract (``31/12/2026``): zeep drops them, so that a person who died would be alive. ``24:00:00`` is the
                                next midnight
INF and NaN                     as XML writes them, from what we are given too: they are no numbers of JSON
true and false                  in a text as XML writes them, not as Python does
lists                           a text is the list that it writes: to zeep each of its letters is an item. An item that is null is nil,
                                where it may be; where a contract takes anything, neither list nor object is written as Python writes it
attributes left out             what their contract says then is of their type: to zeep it is a text, and ``"false"`` is not false
elements that are ``xsi:nil``   nothing: zeep makes an object of which nothing is said
=============================== ===========================================================================================================
"""

from __future__ import annotations

import base64
import datetime as dt
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, cast

from zeep.xsd import Nil
from zeep.xsd.const import NotSet
from zeep.xsd.elements import Any as Wildcard
from zeep.xsd.elements import Attribute
from zeep.xsd.elements import Element as Declared
from zeep.xsd.elements.indicators import Choice, OrderIndicator
from zeep.xsd.types import AnyType, ComplexType, ListType, UnionType
from zeep.xsd.types import builtins as xsd

from adapters.soap import content
from adapters.soap.xml import XSI, Element, parse, set_name

_NIL = f"{{{XSI}}}nil"
_ARRAY_TYPE = "{http://schemas.xmlsoap.org/soap/encoding/}arrayType"
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_END_OF_DAY = re.compile(r"(?<=T)24(?=:00:00(?:\.0+)?(?:Z|[+-]|$))")
_OF_DAYS = (xsd.Duration, xsd.gYearMonth, xsd.gYear, xsd.gMonthDay, xsd.gDay, xsd.gMonth)
_NO_TEXTS = (*_OF_DAYS, xsd.Boolean, xsd.Decimal, xsd.Float, xsd.Double, xsd.Date, xsd.DateTime, xsd.Time)
"""Types of which no empty text is a value."""


def fill(values: Any, element: Element, kind: Any) -> Any:
    """The values of an element of this type, with what its contract wants to stand there and stands there empty.

    zeep takes it for nothing: here a text is ``""``, a list of a simple type ``[]``, and an object has no fields but its lists, all empty.
    What may be left out, or be nil, stays nothing. Changes ``values``.
    """
    if not isinstance(kind, ComplexType):
        return _empty(kind) if values is None and not element.text else values
    members = _members_of(kind)
    if values is None and members:
        values = {member.name: [] for member in members if member.many}
    for member in members if isinstance(values, dict) else ():
        value = values.get(member.name)
        if value is None:
            there = element.find(member.tag) if member.needed else None
            if there is not None and not there.get(_NIL):
                values[member.name] = fill(None, there, member.kind)
        elif isinstance(value, list):
            if member.nested or None in value:
                _fill_items(value, element.findall(member.tag), member)
        elif member.nested and (there := element.find(member.tag)) is not None:
            fill(value, there, member.kind)
    return values


def _fill_items(values: list[Any], there: list[Element], member: _Member) -> None:
    if len(values) != len(there):
        return
    for place, (one, child) in enumerate(zip(values, there, strict=True)):
        if one is not None or not (member.nillable or child.get(_NIL)):
            values[place] = fill(one, child, member.kind)


class _Member(NamedTuple):
    """An element of a type. ``needed``: it must be there, and may not be nil; ``nested``: there is more within it."""

    name: str
    tag: str
    kind: Any
    many: bool
    nillable: bool
    needed: bool
    nested: bool


@cache
def _members_of(kind: Any) -> list[_Member]:
    found = _members([indicator for _, indicator in kind.elements_nested])
    return [_member(one, needed=needed and not one.nillable) for one, needed in found]


def _member(one: Any, *, needed: bool) -> _Member:
    nested = isinstance(one.type, ComplexType)
    return _Member(one.attr_name, one.qname.text, one.type, one.accepts_multiple, one.nillable, needed, nested)


def _members(parts: Iterable[Any]) -> Iterator[tuple[Any, bool]]:
    """The elements of a type, each with whether it must be there; of a choice, whose elements zeep calls optional, the chosen one must."""
    for part in parts:
        if isinstance(part, Declared):
            yield part, not part.is_optional
        elif isinstance(part, OrderIndicator) and not part.accepts_multiple:
            yield from ((one, needed or (isinstance(part, Choice) and one in part)) for one, needed in _members(part))


def _empty(kind: Any) -> Any:
    return [] if isinstance(kind, ListType) else None if isinstance(kind, _NO_TEXTS) else ""


def _binary_said(_: xsd.Base64Binary, value: Any) -> Any:
    """Bytes, or a text that is base64 already. Raises ValueError for another text."""
    return base64.b64encode(value if isinstance(value, bytes) else _binary_read(_, value))


def _binary_read(_: xsd.Base64Binary, value: str) -> bytes:
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except ValueError:
        raise ValueError("a text that stands for bytes is not base64") from None


def _truth_said(_: xsd.Boolean, value: Any) -> str:
    """Raises ValueError for what is neither."""
    if (found := _TRUTH.get(str(value).strip().lower())) is None:
        raise ValueError("what stands for true or false is neither")
    return "true" if found else "false"


def _truth_read(_: xsd.Boolean, value: str) -> bool:
    """Raises ValueError for what is neither, of which then nothing is read."""
    try:
        return _TRUTH[value.strip().lower()]
    except KeyError:
        raise ValueError("what stands for true or false is neither") from None


def _as_written(_: Any, value: Any) -> str:
    return str(value).strip()


def _else_as_written(usual: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """A reader that gives the text where there is no such value."""

    def read(kind: Any, value: str) -> Any:
        try:
            return usual(kind, value)
        except (ValueError, OverflowError):
            return value.strip() or None

    return read


def _moment_read(kind: Any, value: str, usual: Callable[[Any, str], Any] = xsd.DateTime.pythonvalue) -> Any:
    begun = _END_OF_DAY.sub("00", value.strip())
    return usual(kind, value) if begun == value.strip() else usual(kind, begun) + dt.timedelta(days=1)


def _one_of_several(kind: Any, element: Element, *more: Any, usual: Any = UnionType.parse_xmlelement, **named: Any) -> Any:
    """A value of a union; zeep makes the text ``None`` of an empty one."""
    return None if element.text is None else usual(kind, element, *more, **named)


def number(value: Any) -> Any:
    """A number, or the text that XML has for what is none of JSON."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"


def _number_said(_: Any, value: Any) -> str:
    if isinstance(value, (list, tuple, Mapping)):
        raise TypeError("what stands for a number is a list or an object")
    return str(number(value)).strip()


def _text_said(kind: Any, value: Any, usual: Callable[[Any, Any], str] = xsd.String.xmlvalue) -> str:
    return str(value).lower() if isinstance(value, bool) else usual(kind, value)


def _list_said(kind: Any, value: Any, usual: Callable[[Any, Any], str] = ListType.xmlvalue) -> str:
    return usual(kind, value.split() if isinstance(value, str) else value)


def _anything_said(kind: Any, value: Any, usual: Callable[[Any, Any], str] = AnyType.xmlvalue) -> str:
    if isinstance(value, (list, tuple, Mapping)):
        raise TypeError("where the contract takes anything stands a list or an object: say it as a text")
    return usual(kind, value)


def _items_said(declared: Any, parent: Element, value: Any, path: Any = None, usual: Any = Declared.render) -> None:
    """Raises TypeError for several objects where one is due, of which zeep would write the first."""
    of_objects = isinstance(declared.type, ComplexType) and not getattr(declared.type, "_array_type", None)
    if of_objects and isinstance(value, list) and (
        any(isinstance(one, list) for one in value) or not (declared.accepts_multiple or len(value) == 1)
    ):  # fmt: skip
        raise TypeError(f"where one {declared.name} is due stands a list")
    many, before = declared.nillable and isinstance(value, list), len(parent)
    usual(declared, parent, [Nil if one is None else one for one in value] if many else value, path)
    if isinstance(declared.type, ComplexType) and not of_objects and value is not None:
        _mark_arrays(declared, parent[before:], value)


def _mark_arrays(declared: Any, arrays: Sequence[Element], value: Any) -> None:
    """Say of arrays of SOAP's encoding how many items they have, and of what (SOAP 1.1 §5.4.2).

    Raises TypeError where not every item was written.
    """
    items = value if isinstance(value, list) else getattr(value, "_value_1", None)
    if len(arrays) == 1 and isinstance(items, list) and len(arrays[0]) != len(items):
        raise TypeError(f"not every item of {declared.name} can be written")
    of_what = getattr(declared.type._array_type.array_type, "qname", None)  # noqa: SLF001 - where zeep has it
    if of_what is not None:
        for array in arrays:
            set_name(array, _ARRAY_TYPE, of_what.text, f"[{len(array)}]")


def family_of(kind: Any) -> Sequence[Any]:
    """The types that may stand in the place of a type, if these are not it alone (`set_families`)."""
    return getattr(kind, "snodo_family", ())


def set_families(kinds: Iterable[Any], families: Mapping[str, Sequence[str]]) -> None:
    """Let the types of a contract know which others may stand in their place: zeep knows neither these nor which are abstract."""
    known = {kind.qname.text: kind for kind in kinds if kind.qname is not None}
    for name, family in families.items():
        if name in known:
            known[name].snodo_family = [known[one] for one in family if one in known]


def _made_of(kind: Any, value: Any, name: str, usual: Any = ComplexType._create_object) -> Any:  # noqa: SLF001 - see `_mend`
    """What is given for an element of a complex type; an object that has fields which the type has not is of one derived from it."""
    if family_of(kind) and isinstance(value, Mapping):
        value = _of_family(kind, value)
    return usual(kind, value, name)


def _of_family(kind: Any, value: Mapping[str, Any]) -> Any:
    """An object as the type that it fits: the one that is due, else that of fewest fields which has all of its. Raises TypeError where none
    has, or several have the same ones.
    """
    fields = {one: {name for name, _ in (*one.elements, *one.attributes)} for one in family_of(kind)}
    if kind in fields and value.keys() <= fields[kind]:
        return value
    fit = sorted((one for one in fields if value.keys() <= fields[one]), key=lambda one: len(fields[one]))
    if not fit:
        raise TypeError(f"none of {', '.join(one.qname.localname for one in fields)} has all of the fields {', '.join(value)}")
    if len(fit) > 1 and fields[fit[0]] == fields[fit[1]]:
        raise TypeError(f"it may be {fit[0].qname.localname} or {fit[1].qname.localname}, which have the same fields")
    return fit[0](**value)


def is_abstract(kind: Any) -> bool:
    """Whether only types that are derived from it may stand in its place."""
    return bool(family_of(kind)) and kind not in family_of(kind)


def _open_said(wildcard: Any, parent: Element, value: Any, path: Any = None, usual: Any = Wildcard.render) -> None:
    """What the contract leaves open is XML in a text, in a request as in a reply. Raises `Malformed` for a text that is none."""
    if wildcard.restrict is not None and (value is NotSet or not value):  # an array without items
        return
    if isinstance(wildcard.restrict, ComplexType) and isinstance(value, list):  # zeep would not look at what stands in them
        value = [_made_of(wildcard.restrict, one, "item") if isinstance(one, Mapping) else one for one in value]
    if wildcard.restrict is None:
        value = [_open(one) for one in value] if isinstance(value, list) else _open(value)
    usual(wildcard, parent, value, path)


def _open(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return parse(value.encode()) if value.strip() else None


def _nil_is_nothing(declared: Any, element: Element, *more: Any, usual: Any = Declared.parse, **named: Any) -> Any:
    """What an element says; nothing where it is nil and has no other attribute."""
    if len(element.attrib) == 1 and element.get(_NIL, "").strip() in ("true", "1"):
        return None
    return usual(declared, element, *more, **named)


def _default_of(attribute: Any) -> Any:
    """What an attribute that is left out says."""
    return None if attribute.default is None else attribute.parse(attribute.default)


def _mend() -> None:
    made: Any = xsd  # whose methods mypy would not have replaced
    made.Base64Binary.xmlvalue, made.Base64Binary.pythonvalue = _binary_said, _binary_read
    made.Boolean.xmlvalue, made.Boolean.pythonvalue = _truth_said, _truth_read
    made.DateTime.pythonvalue = _else_as_written(_moment_read)
    for kind in (made.Date, made.Time, made.Integer, made.Long, made.Double, made.Float):
        kind.pythonvalue = _else_as_written(kind.pythonvalue)
    days: Any = _OF_DAYS
    for kind in days:
        kind.xmlvalue = kind.pythonvalue = _as_written
    cast(Any, UnionType).parse_xmlelement = _one_of_several
    made.Float.xmlvalue = made.Double.xmlvalue = _number_said
    made.String.xmlvalue = _text_said
    cast(Any, ListType).xmlvalue, cast(Any, AnyType).xmlvalue = _list_said, _anything_said
    content.mend()
    cast(Any, Declared).parse, cast(Any, Declared).render = _nil_is_nothing, _items_said
    cast(Any, Wildcard).render = _open_said
    cast(Any, ComplexType)._create_object = _made_of  # noqa: SLF001 - where zeep takes an object
    cast(Any, Attribute).default_value = property(_default_of)


_mend()
