"""One compiled XML Schema for everything a WSDL can put in a SOAP body.

A WSDL holds its schemas inline, several for one namespace, importing one another without saying where; rpc wrappers are in no
schema at all. `body_schema` gathers them under one driver schema, resolving only against local files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.soap.xml import XSD, Element, Schema, add, children, fragment, local, namespace, new, parse, parse_file, split

ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
_SIMPLE = (
    "string", "normalizedString", "token", "boolean", "float", "double", "decimal", "duration", "dateTime", "time", "date", "hexBinary",
    "base64Binary", "anyURI", "integer", "nonPositiveInteger", "negativeInteger", "nonNegativeInteger", "positiveInteger", "long", "int",
    "short", "byte", "unsignedLong", "unsignedInt", "unsignedShort", "unsignedByte",
)  # fmt: skip
_NAMED = {name: name for name in _SIMPLE} | {"base64": "base64Binary"}
_SIMPLE_TYPES = "".join(f'<simpleType name="{name}"><restriction base="{base}"/></simpleType>' for name, base in _NAMED.items())
ENCODING_SCHEMA = f"""<schema xmlns="{XSD}" xmlns:e="{ENCODING}" targetNamespace="{ENCODING}">
<attribute name="arrayType" type="string"/><group name="Array"><sequence>
<any namespace="##any" minOccurs="0" maxOccurs="unbounded" processContents="lax"/></sequence></group>
<complexType name="Array"><group ref="e:Array"/><anyAttribute namespace="##any" processContents="lax"/></complexType>
{_SIMPLE_TYPES}</schema>""".encode()
"""What is used of SOAP 1.1's encoding (section 5): arrays, and its names for the simple types, which Axis's contracts prefer."""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """The element that an rpc operation puts in the body: its parts are children without a namespace, ``(name, type tag)``."""

    namespace: str
    name: str
    parts: tuple[tuple[str, str], ...]


def body_schema(wsdl: Path, wrappers: Iterable[Wrapper], *, encoded: bool) -> Schema:
    """The schema that judges the children of ``soap:Body``. Raises `ConfigError` when the files do not compile.

    ``encoded``: bodies are in SOAP's encoding, where what has no value may be left out (SOAP 1.1 §5.6).
    """
    base = wsdl.resolve().parent.as_uri()
    groups: dict[str, list[Element]] = {}
    for path, schema in _inline_schemas(wsdl):
        made = parse(fragment(schema))  # a copy that keeps the prefixes in force
        _absolute_locations(made, path)
        _open_arrays(made)
        if encoded:
            _open_structs(made)
        groups.setdefault(made.get("targetNamespace", ""), []).append(made)
    if encoded:
        groups.setdefault(ENCODING, [parse(ENCODING_SCHEMA)])
    for wrapper in wrappers:
        groups.setdefault(wrapper.namespace, []).append(_wrapper_schema(wrapper))
    places = {name: f"{base}/.group-{position}.xsd" for position, name in enumerate(groups)}
    documents: dict[str, bytes] = {}
    for name, members in groups.items():
        for position, member in enumerate(members):
            _locate_imports(member, places)
            documents[f"{places[name]}.{position}.xsd"] = fragment(member)
        documents[places[name]] = fragment(_group(name, [f"{places[name]}.{position}.xsd" for position in range(len(members))]))
    return Schema(fragment(_driver(places)), wsdl.resolve().as_uri(), documents)  # the name that complaints say


def documents(wsdl: Path) -> Iterator[tuple[Path, Element]]:
    """A WSDL and the local files that it and they import, each once, with its path: what it names is relative to that.

    One that is not there is passed over: whoever needs what it holds says so.
    """
    found = [wsdl.resolve()]
    for path in found:  # which grows
        if not path.is_file():
            continue
        root = parse_file(path)
        yield path, root
        for child in children(root):
            there = beside(path, child.get("location")) if local(child) == "import" else None
            if there is not None and there not in found:
                found.append(there)


def beside(path: Path, location: str | None) -> Path | None:
    """The local file that a file names; None where it names none."""
    return (path.parent / location).resolve() if location and "://" not in location else None


def _inline_schemas(wsdl: Path) -> Iterator[tuple[Path, Element]]:
    """Each schema element within the files of a WSDL, with the path of its file."""
    for path, root in documents(wsdl):
        for child in children(root):
            if local(child) == "types":
                yield from ((path, schema) for schema in children(child) if namespace(schema) == XSD)


def _imports(schema: Element) -> Iterator[Element]:
    return (child for child in children(schema) if local(child) in ("import", "include"))


def _absolute_locations(schema: Element, path: Path) -> None:
    for item in _imports(schema):
        there = beside(path, item.get("schemaLocation"))
        if there is not None:
            item.set("schemaLocation", there.as_uri())


def _open_arrays(schema: Element) -> None:
    """An array of SOAP's encoding says its items in an attribute, and XML Schema would read that it has none."""
    for kind in [one for one in schema.iter(f"{{{XSD}}}complexType") if _is_array(one)]:
        for child in list(kind):
            kind.remove(child)
        add(add(kind, f"{{{XSD}}}sequence"), f"{{{XSD}}}any", minOccurs="0", maxOccurs="unbounded", processContents="lax")
        add(kind, f"{{{XSD}}}anyAttribute", namespace="##any", processContents="lax")


def _open_structs(schema: Element) -> None:
    for kind in schema.iter(f"{{{XSD}}}complexType"):
        for member in kind.iter(f"{{{XSD}}}element"):
            member.set("minOccurs", "0")


def _is_array(kind: Element) -> bool:
    derived = kind.find(f"{{{XSD}}}complexContent/{{{XSD}}}restriction")
    prefix, _, name = ("" if derived is None else derived.get("base", "")).rpartition(":")
    return name == "Array" and kind.nsmap.get(prefix or None) == ENCODING


def _locate_imports(schema: Element, places: dict[str, str]) -> None:
    """An import that says only a namespace is given the place of our group for it."""
    for item in _imports(schema):
        if not item.get("schemaLocation") and item.get("namespace") in places:
            item.set("schemaLocation", places[item.get("namespace")])


def _wrapper_schema(wrapper: Wrapper) -> Element:
    """``<xs:element name="Login">`` with its parts; attributes such as ``encodingStyle`` are let through."""
    needed = {split(tag)[0] for _, tag in wrapper.parts} - {XSD, ENCODING, wrapper.namespace}
    prefixes = {f"n{position}": name for position, name in enumerate(sorted(needed))} | {"xs": XSD, "own": wrapper.namespace}
    schema = new(f"{{{XSD}}}schema", nsmap=dict(prefixes), targetNamespace=wrapper.namespace)
    for name in sorted(needed):
        add(schema, f"{{{XSD}}}import", namespace=name)
    element = add(schema, f"{{{XSD}}}element", name=wrapper.name)
    content = add(element, f"{{{XSD}}}complexType")
    sequence = add(content, f"{{{XSD}}}sequence")
    back = {name: prefix for prefix, name in prefixes.items()}
    for part, tag in wrapper.parts:
        space, kind = split(tag)
        add(sequence, f"{{{XSD}}}element", name=part, type="xs:anyType" if space == ENCODING else f"{back[space]}:{kind}")
    add(content, f"{{{XSD}}}anyAttribute", namespace="##other", processContents="skip")
    return schema


def _group(name: str, members: list[str]) -> Element:
    """All the schemas of one namespace as one document: a second import of a namespace would be passed over."""
    schema = new(f"{{{XSD}}}schema", nsmap={"xs": XSD}, **({"targetNamespace": name} if name else {}))
    for place in members:
        add(schema, f"{{{XSD}}}include", schemaLocation=place)
    return schema


def _driver(places: dict[str, str]) -> Element:
    schema = new(f"{{{XSD}}}schema", nsmap={"xs": XSD}, targetNamespace="urn:snodo:driver")
    for name, place in places.items():
        add(schema, f"{{{XSD}}}import", schemaLocation=place, **({"namespace": name} if name else {}))
    return schema
