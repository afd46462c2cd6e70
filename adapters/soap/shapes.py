"""What a WSDL says of the values of an operation, as JSON Schema: for checking rules, and for nothing else.

The XSD judges what crosses; this only tells the checker which fields there are, their types, codes and limits, before anything runs. It
says no more than it is sure of: what it does not understand (``any``, groups, mixed content) is left open.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

from adapters.http.files import ASKED
from adapters.soap.schema import ENCODING, beside, documents
from adapters.soap.xml import XSD, Element, children, local, namespace, parse_file, split

Schema: TypeAlias = dict[str, Any]

_DEPTH = 12
_FAMILY = 5
"""What a type costs of the depth that has others derived from it: in each of them there may be more of such types."""
_FORMS = 16
"""Ways in which the choices of one object may be taken together: where there are more, what is chosen is optional."""
_ARRAY_TYPE = "{http://schemas.xmlsoap.org/wsdl/}arrayType"
_SPOKEN = ("http://schemas.xmlsoap.org/wsdl/soap/", "http://schemas.xmlsoap.org/wsdl/soap12/")
_INTEGERS = frozenset({
    "int", "integer", "long", "short", "byte", "nonNegativeInteger", "positiveInteger", "unsignedInt", "unsignedLong", "unsignedShort",
    "unsignedByte", "negativeInteger", "nonPositiveInteger",
})  # fmt: skip
_ATTRIBUTES = frozenset({"attribute", "attributeGroup", "anyAttribute"})
_FACETS = {"minLength": "minLength", "maxLength": "maxLength", "minInclusive": "minimum", "maxInclusive": "maximum"}


@lru_cache(maxsize=64)
def shapes_of(wsdl: Path, operation: str, port: str = "") -> tuple[Schema, Schema]:
    """Schemas of an operation's request and answer at a port (see `Wsdl`); open ones ({}) where the contract has no such operation."""
    return _contract(wsdl).shapes(operation, port)


@dataclass
class _Contract:
    """The parts of a WSDL and its schemas by qualified name."""

    wsdl: Path
    operations: dict[tuple[str, str], Element] = field(default_factory=dict)
    parts: dict[tuple[str, str], Element] = field(default_factory=dict)
    bindings: dict[str, tuple[str, str]] = field(default_factory=dict)
    """How each binding is spoken (a namespace), and its port type. One of HTTP may have the same operation too, with other messages."""
    ports: dict[str, str] = field(default_factory=dict)
    elements: dict[str, Element] = field(default_factory=dict)
    types: dict[str, Element] = field(default_factory=dict)
    groups: dict[tuple[str, str], Element] = field(default_factory=dict)
    """Groups of elements (``group``) and of attributes (``attributeGroup``), by kind and name."""
    derived: dict[str, list[str]] = field(default_factory=dict)
    """The types that extend a type."""
    _seen: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        for path, root in documents(self.wsdl):
            if namespace(root) == XSD:
                self._schema(root, path)
                continue
            for child in children(root):
                if local(child) == "types":
                    for schema in children(child):
                        self._schema(schema, path)
                else:
                    self._part(child)

    def _part(self, part: Element) -> None:
        name = part.get("name", "")
        if local(part) == "binding":
            spoken = next((namespace(inner) for inner in children(part) if local(inner) == "binding"), "")
            self.bindings[name] = spoken, part.get("type", "").rpartition(":")[2]
        elif local(part) == "service":
            self.ports |= {port.get("name", ""): port.get("binding", "").rpartition(":")[2] for port in children(part)}
        elif local(part) in {"portType", "message"}:
            known = self.operations if local(part) == "portType" else self.parts
            known |= {(name, inner.get("name", "")): inner for inner in children(part)}

    def _schema(self, schema: Element, path: Path) -> None:
        target = schema.get("targetNamespace", "")
        for child in children(schema):
            if local(child) in {"import", "include"}:
                there = beside(path, child.get("schemaLocation"))
                if there is not None and there not in self._seen and there.is_file():
                    self._seen.add(there)
                    self._schema(parse_file(there), there)
            elif local(child) == "element":
                self.elements[f"{{{target}}}{child.get('name')}"] = child
            elif local(child) in {"group", "attributeGroup"}:
                self.groups[local(child), f"{{{target}}}{child.get('name')}"] = child
            elif local(child) in {"complexType", "simpleType"}:
                self.types[f"{{{target}}}{child.get('name')}"] = child
                if (extended := _extended(child)) is not None:
                    self.derived.setdefault(extended, []).append(f"{{{target}}}{child.get('name')}")

    def family(self, name: str) -> list[str]:
        """The types that may stand where a type is due: it, unless it is abstract, and all that are derived from it."""
        found = [name]
        for one in found:
            found += [derived for derived in self.derived.get(one, ()) if derived not in found]
        concrete = [one for one in found if (kind := self.types.get(one)) is None or kind.get("abstract") != "true"]
        return concrete or [name]

    def shapes(self, operation: str, port: str) -> tuple[Schema, Schema]:
        found = self.operations.get((self._port_type(port), operation))
        ways = {local(child): child.get("message", "").rpartition(":")[2] for child in children(found)} if found is not None else {}
        return self._message(ways.get("input", ""), asked=True), self._message(ways.get("output", ""), asked=False)

    def _port_type(self, port: str) -> str:
        """That of the named port, else of the first one of SOAP 1.1, else of 1.2."""
        bound = [self.bindings[binding] for name, binding in self.ports.items() if port in ("", name) and binding in self.bindings]
        return next((port_type for version in _SPOKEN for spoken, port_type in bound if spoken == version), "")

    def _message(self, name: str, *, asked: bool) -> Schema:
        parts = {part: element for (message, part), element in self.parts.items() if message == name and name and local(element) == "part"}
        told = _Told(self, asked=asked)
        if len(parts) == 1 and (only := next(iter(parts.values()))).get("element"):
            return told.element(self.elements.get(_qname(only, only.get("element"))), 0)
        if not parts or any(not one.get("type") for one in parts.values()):
            return {}
        fields = {part: told.named(one, one.get("type"), 0) for part, one in parts.items()}
        return _Fields(fields, sorted(fields) if asked else []).schema()


@dataclass
class _Fields:
    """The fields of one object, gathered from all parts of its type; ``closed``: there are no others. Of each of the ``choices`` the
    object has the fields of one.
    """

    known: dict[str, Schema] = field(default_factory=dict)
    needed: list[str] = field(default_factory=list)
    closed: bool = True
    choices: list[list[_Fields]] = field(default_factory=list)

    def schema(self) -> Schema:
        forms = [form.alone() for form in self.forms()]
        different = [one for at, one in enumerate(forms) if one not in forms[:at]]
        return different[0] if len(different) == 1 else {"anyOf": different}

    def alone(self) -> Schema:
        made: Schema = {"type": "object", "properties": self.known, "required": self.needed}
        return {**made, "additionalProperties": False} if self.closed else made

    def forms(self) -> list[_Fields]:
        """The object in each way in which its choices may be taken."""
        made = [replace(self, choices=[])]
        for choice in self.choices:
            made = [one.beside(form) for one in made for way in choice for form in way.forms()]
            if len(made) > _FORMS:
                return [self.loose()]
        return made

    def beside(self, other: _Fields) -> _Fields:
        return _Fields({**self.known, **other.known}, [*self.needed, *other.needed], self.closed and other.closed)

    def loose(self) -> _Fields:
        """The object with the fields of all its choices, none of which need be there; one is left open that is not the same in all."""
        made = replace(self, known=dict(self.known), choices=[])
        for way in (one.loose() for choice in self.choices for one in choice):
            made.known |= {name: one if made.known.get(name, one) == one else {} for name, one in way.known.items()}
            made.closed = made.closed and way.closed
        return made


@dataclass(frozen=True)
class _Told:
    """What one message of the contract says, from its element down; ``asked``: it is a request. ``depth`` ends types in circles."""

    contract: _Contract
    asked: bool

    def element(self, element: Element | None, depth: int) -> Schema:
        """The schema of an element's value."""
        if element is None or depth > _DEPTH:
            return {}
        if element.get("ref"):
            return self.element(self.contract.elements.get(_qname(element, element.get("ref"))), depth + 1)
        if element.get("type"):
            return self.named(element, element.get("type"), depth)
        inner = next((child for child in children(element) if local(child) in {"complexType", "simpleType"}), None)
        return self._type(inner, depth)

    def named(self, at: Element, name: str, depth: int) -> Schema:
        """The schema of a type by the name that stands at an element."""
        qualified = _qname(at, name)
        space, name = split(qualified)
        if space in (XSD, ENCODING):
            name = "base64Binary" if name == "base64" else name
            return {"anyOf": [_plain(name), ASKED]} if self.asked and name == "base64Binary" else _plain(name)
        family = self.contract.family(qualified)
        if family == [qualified]:
            return self._type(self.contract.types.get(qualified), depth)
        if len(family) > _FORMS:
            return {}
        schemas = [self._type(self.contract.types.get(one), depth + _FAMILY) for one in family]
        different = [one for at, one in enumerate(schemas) if one not in schemas[:at]]
        return different[0] if len(different) == 1 else {} if {} in different else {"anyOf": different}

    def _type(self, kind: Element | None, depth: int) -> Schema:
        if kind is None or depth > _DEPTH:
            return {}
        if local(kind) == "simpleType":
            return self._simple(kind, depth)
        if (array := _array(kind)) is not None:
            return {"type": "array", "items": self.named(array, array.get(_ARRAY_TYPE).partition("[")[0], depth + 1)}
        fields = _Fields()
        self._content(kind, depth, fields)
        return fields.schema() if fields.known or fields.choices else {}

    def _simple(self, kind: Element, depth: int) -> Schema:
        limits = next((child for child in children(kind) if local(child) == "restriction"), None)
        if limits is None or not limits.get("base"):
            return {} if self.asked else self._several(kind, depth)
        made = dict(self.named(limits, limits.get("base"), depth + 1))
        if "anyOf" in made:  # bytes, whose limits are not those of the text that stands for them
            return made
        facets = [(local(child), child.get("value", "")) for child in children(limits)]
        codes = [value for name, value in facets if name == "enumeration"]
        if codes and made.get("type") == "string":
            made["enum"] = codes
        elif codes and made.get("type") == "integer" and all(code.lstrip("-").isdigit() for code in codes):
            made["enum"] = [int(code) for code in codes]
        for name, value in facets:
            if name in _FACETS and value.lstrip("-").isdigit():
                made[_FACETS[name]] = int(value)
            elif name == "length" and value.isdigit():
                made["minLength"] = made["maxLength"] = int(value)
        return made

    def _several(self, kind: Element, depth: int) -> Schema:
        """What an answer says of a list, which is read as one, or of a union, which is read as a text; requests may say both otherwise."""
        found = next((child for child in children(kind) if local(child) in {"list", "union"}), None)
        if found is None or local(found) == "union":
            return {} if found is None else {"type": "string"}
        return {"type": "array", "items": self.named(found, found.get("itemType"), depth + 1) if found.get("itemType") else {}}

    def _content(self, kind: Element, depth: int, fields: _Fields) -> None:
        """Gather the fields of a complex type."""
        if kind.get("mixed") == "true":
            fields.closed = False
        for child in children(kind):
            word = local(child)
            if word in {"sequence", "all"} and child.get("maxOccurs", "1") == "1":
                self._particles(children(child), depth, fields, optional=child.get("minOccurs") == "0")
            elif word == "choice" and child.get("maxOccurs", "1") == "1":
                self._choice(child, depth, fields, optional=False)
            elif word == "group":
                self._particles([child], depth, fields, optional=False)
            elif word == "attribute" and child.get("name"):
                fields.known[child.get("name")] = self.element(child, depth + 1)
                fields.needed += [child.get("name")] * (child.get("use") == "required")
            elif word == "attributeGroup" and depth <= _DEPTH and (there := self._group(child)) is not None:
                self._content(there, depth + 1, fields)
            elif word == "complexContent":
                self._derived(child, depth, fields)
            elif word == "simpleContent":
                self._valued(child, depth, fields)
            elif word != "annotation":
                fields.closed = False

    def _group(self, at: Element) -> Element | None:
        """The group that is meant where one is referred to."""
        return self.contract.groups.get((local(at), _qname(at, at.get("ref", ""))))

    def _valued(self, content: Element, depth: int, fields: _Fields) -> None:
        """A simple value with attributes: it is the field ``_value_1``, as zeep calls it."""
        derived = next((child for child in children(content) if local(child) == "extension"), None)
        if derived is None or not (value := self.named(derived, derived.get("base", ""), depth + 1)) or "properties" in value:
            fields.closed = False
            return
        fields.known["_value_1"] = value
        fields.needed.append("_value_1")
        self._content(derived, depth + 1, fields)
        if self.asked and fields.needed == ["_value_1"]:  # in a request the value may stand alone then
            fields.known.clear()

    def _derived(self, content: Element, depth: int, fields: _Fields) -> None:
        derived = next((child for child in children(content) if local(child) in {"extension", "restriction"}), None)
        base = self.contract.types.get(_qname(derived, derived.get("base", ""))) if derived is not None else None
        if derived is None or base is None or depth > _DEPTH:
            fields.closed = False
            return
        if local(derived) == "extension":
            self._content(base, depth + 1, fields)
        elif any(local(one) in _ATTRIBUTES for one in base.iter() if isinstance(one.tag, str)):  # those of the base stay, said or not
            fields.closed = False
        self._content(derived, depth + 1, fields)

    def _particles(self, group: Iterable[Element], depth: int, fields: _Fields, *, optional: bool) -> None:
        for child in group:
            word = local(child)
            if word == "element":
                self._particle(child, depth, fields, optional=optional)
            elif word in {"sequence", "all"} and child.get("maxOccurs", "1") == "1":
                self._particles(children(child), depth, fields, optional=optional or child.get("minOccurs") == "0")
            elif word == "choice" and child.get("maxOccurs", "1") == "1":
                self._choice(child, depth, fields, optional=optional)
            elif word == "group" and child.get("maxOccurs", "1") == "1" and depth <= _DEPTH and (there := self._group(child)) is not None:
                self._particles(children(there), depth + 1, fields, optional=optional or child.get("minOccurs") == "0")
            elif word != "annotation":
                fields.closed = False

    def _choice(self, group: Element, depth: int, fields: _Fields, *, optional: bool) -> None:
        """One of the particles of a group, or none of them where it is ``optional``."""
        ways = [_Fields()] if optional or group.get("minOccurs") == "0" else []
        for child in children(group):
            if local(child) != "annotation":
                ways.append(_Fields())
                self._particles([child], depth, ways[-1], optional=False)
        fields.choices += [ways] * bool(ways)

    def _particle(self, child: Element, depth: int, fields: _Fields, *, optional: bool) -> None:
        name = child.get("name") or child.get("ref", "").rpartition(":")[2]
        one = self.element(child, depth + 1)
        most, nil = child.get("maxOccurs", "1"), child.get("nillable") == "true"
        if self.asked and nil and one:
            one = {"anyOf": [one, {"type": "null"}]}
        fields.known[name] = {"type": "array", "items": one} if most not in {"0", "1"} else one
        if most not in {"0", "1"} and child.get("minOccurs", "1") != "0":
            fields.known[name]["minItems"] = int(child.get("minOccurs", "1"))
        if self.asked and most.isdigit() and int(most) > 1:
            fields.known[name]["maxItems"] = int(most)
        if not optional and child.get("minOccurs", "1") != "0" and not nil:
            fields.needed.append(name)


@lru_cache(maxsize=16)
def _contract(wsdl: Path) -> _Contract:
    return _Contract(wsdl)


def families(wsdl: Path) -> dict[str, list[str]]:
    """Of each type of a contract that others are derived from, or that is abstract, the types that may stand in its place."""
    contract = _contract(wsdl)
    found = {name: contract.family(name) for name in contract.types}
    return {name: family for name, family in found.items() if family != [name]}


def _extended(kind: Element) -> str | None:
    """The name of the complex type that a type extends."""
    content = next((child for child in children(kind) if local(child) == "complexContent"), None)
    extension = next((child for child in children(content) if local(child) == "extension"), None) if content is not None else None
    return None if extension is None else _qname(extension, extension.get("base", ""))


def _array(kind: Element) -> Element | None:
    """The attribute by which a type is an array of SOAP's encoding, of one dimension: it says of what (WSDL 1.1 §2.2)."""
    found = (
        one for one in kind.iter(f"{{{XSD}}}attribute") if one.get(_ARRAY_TYPE, "").endswith("[]") and one.get(_ARRAY_TYPE).count("[") == 1
    )
    return next(found, None)


def _plain(name: str) -> Schema:
    """A type of XSD as it becomes JSON: dates, decimals and binary are texts."""
    if name in _INTEGERS:
        return {"type": "integer"}
    if name == "boolean":
        return {"type": "boolean"}
    if name == "date":
        return {"type": "string", "format": "date"}
    return {"type": "number"} if name in {"float", "double"} else {} if name in {"anyType", "anySimpleType"} else {"type": "string"}


def _qname(at: Element, name: str) -> str:
    prefix, _, own = name.rpartition(":")
    return f"{{{at.nsmap.get(prefix or None, '')}}}{own}"


def without(schema: Schema, path: str) -> Schema:
    """A request's schema whose field at ``path`` need not be given: the adapter puts our key there."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [without(one, path) for one in schema["anyOf"]]}
    name, _, rest = path.partition(".")
    if not name or name not in schema.get("properties", {}):
        return schema
    inner = without(schema["properties"][name], rest)
    needed = [one for one in schema["required"] if one != name or (rest and not _may_be_empty(inner))]
    return {**schema, "properties": {**schema["properties"], name: inner}, "required": needed}


def _may_be_empty(schema: Schema) -> bool:
    return any(map(_may_be_empty, schema["anyOf"])) if "anyOf" in schema else not schema.get("required")


def is_absent(schema: Schema, path: str) -> bool:
    """Whether the contract surely has nothing at names joined with dots; those of a list stand in its items."""
    if "anyOf" in schema:
        return all(is_absent(one, path) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return is_absent(schema["items"], path)
    name, _, rest = path.partition(".")
    if name not in schema.get("properties", {}):
        return schema.get("additionalProperties") is False or schema.get("type", "object") != "object"
    return bool(rest) and is_absent(schema["properties"][name], rest)
