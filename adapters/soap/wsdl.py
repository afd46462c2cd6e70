"""The one module that knows zeep's insides: a WSDL read once, its bodies built and read by zeep, judged by a compiled XSD.

zeep reads contracts well but is not let near the network or the wire: it would fetch imports, keep no raw bytes, verify
signatures before it looks for faults, and follow the WSDL's own ``soap:address``. Here it only turns dicts into bodies and back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import zeep
import zeep.exceptions
from zeep.helpers import serialize_object
from zeep.transports import Transport
from zeep.wsdl import Document
from zeep.wsdl.bindings.soap import Soap11Binding, Soap12Binding
from zeep.wsdl.messages.multiref import process_multiref
from zeep.wsdl.messages.soap import RpcMessage
from zeep.xsd.context import XmlParserContext
from zeep.xsd.elements import Element as Declared
from zeep.xsd.elements.indicators import Choice

from adapters.soap.content import Ambiguous
from adapters.soap.kinds import fill, set_families
from adapters.soap.plain import NotPlain, Plain, compiled
from adapters.soap.schema import ENCODING, ENCODING_SCHEMA, Wrapper, body_schema, documents
from adapters.soap.shapes import families
from adapters.soap.xml import XSD, XSI, Element, Schema, add, children, local, new, set_name, split
from bus.errors import ConfigError, Invalid, Malformed

ENVELOPE_11 = "http://schemas.xmlsoap.org/soap/envelope/"
ENVELOPE_12 = "http://www.w3.org/2003/05/soap-envelope"
_ANY = f"{{{XSD}}}anyType"
"""The type for which zeep has no name."""
_MAX_ELEMENTS = 20_000
_TYPE, _NIL = f"{{{XSI}}}type", f"{{{XSI}}}nil"
_MAX_NILS = 50
"""Elements of a reply that is not valid which are looked at for their ``xsi:nil``: for each the whole is judged anew."""
logging.getLogger("zeep.xsd.types.simple").disabled = True  # its tracebacks quote values, which may be personal


class _LocalTransport(Transport):
    """Loads WSDL and schema files from our disk and nothing else; it has no session."""

    def __init__(self) -> None:
        self.cache = None
        self._close_session = False

    def load(self, url: Any) -> bytes:
        if url == ENCODING:  # which contracts of arrays name without saying where it is
            return ENCODING_SCHEMA
        split_url = urlsplit(str(url))
        if split_url.scheme not in ("", "file"):
            raise ConfigError(f"the contract wants {url} from the network", hint="put a copy beside the WSDL, correct schemaLocation")
        return Path(unquote(split_url.path)).read_bytes()


@dataclass(frozen=True)
class SoapOperation:
    """One operation of a port. ``request_tag`` and ``reply_tag`` are the body's child, as ``{namespace}name``."""

    name: str
    soap_action: str
    rpc: bool
    encoded: bool
    request_tag: str
    reply_tag: str
    raw: Any


def _parts(message: Any) -> tuple[tuple[str, str], ...]:
    """The parts of an rpc message as ``(name, type tag)``."""
    if message.abstract is None:
        return ()
    return tuple(
        (name, part.type.qname.text if part.type.qname else _ANY) for name, part in message.abstract.parts.items() if part.type is not None
    )


class Wsdl:
    """One port of one WSDL. Thread-safe once made; get it by `load`."""

    def __init__(self, path: Path, port: str = "") -> None:
        self.path = path
        # DTDs are let through here, and only here: the W3C's own schema files have one.
        settings = zeep.Settings(forbid_dtd=False, forbid_entities=False, forbid_external=False, xml_huge_tree=False)
        try:
            self._document: Any = Document(str(path), cast(Any, _LocalTransport()), settings=settings)
        except (OSError, zeep.exceptions.Error) as error:
            hint = "check the path given in the adapter's settings" if not path.is_file() else "it names that file: put a copy of it there"
            raise ConfigError(f"cannot read the contract {path}: {error}", hint=hint if isinstance(error, OSError) else "") from None
        set_families(self._document.types.types, families(path))
        self._binding = self._choose(port)
        self.soap12 = isinstance(self._binding, Soap12Binding)
        self.envelope = ENVELOPE_12 if self.soap12 else ENVELOPE_11
        encoded = _encoded_operations(path)
        self.operations: Mapping[str, SoapOperation] = {
            raw.name: _operation(raw, raw.name in encoded) for raw in self._binding.all().values()
        }
        self._plain: dict[int, Plain | None] = {}
        self._by_tag = {operation.request_tag: operation for operation in self.operations.values()}

    def _choose(self, port: str) -> Any:
        """The named port, else the first one of SOAP 1.1, else of 1.2."""
        ports = {name: found for service in self._document.services.values() for name, found in service.ports.items()}
        wanted = [found.binding for name, found in ports.items() if port in ("", name)]
        for kind in (Soap11Binding, Soap12Binding):
            for binding in wanted:
                if isinstance(binding, kind):
                    return binding
        hint = f"there are {', '.join(ports)}" if ports else "is it a WSDL? it describes no service"
        raise ConfigError(f"{self.path.name} has no SOAP port {port!r}".removesuffix(" ''"), hint=hint)

    @cached_property
    def schema(self) -> Schema:
        """The compiled schema of all bodies, wrappers of rpc operations included."""
        wrappers = [wrapper for operation in self.operations.values() if operation.rpc for wrapper in _wrappers(operation)]
        return body_schema(self.path, wrappers, encoded=any(operation.encoded for operation in self.operations.values()))

    def operation(self, name: str) -> SoapOperation:
        """Raises `ConfigError` when the contract has no such operation."""
        try:
            return self.operations[name]
        except KeyError:
            hint = f"there are {', '.join(sorted(self.operations))}"
            raise ConfigError(f"{self.path.name} has no operation {name!r}", hint=hint) from None

    def headers(self, operation: SoapOperation) -> dict[str, Any]:
        """The SOAP headers that the contract has for the requests of an operation, by the names that they have on the wire."""
        header = operation.raw.input.header
        if header is None or not header.type._element:  # noqa: SLF001 - zeep looks there itself
            return {}
        return {declared.qname.localname: declared for _, declared in header.type.elements}

    def put_headers(self, envelope: Element, operation: SoapOperation, values: Mapping[str, Any]) -> None:
        """Say, in the envelope of a request, what stands in those headers of the contract. Raises `Invalid` when it does not fit."""
        said = {name: declared for name, declared in self.headers(operation).items() if name in values}
        if not said:
            return
        header = new(f"{{{self.envelope}}}Header")
        envelope.insert(0, header)
        for name, declared in said.items():
            value = values[name]
            try:
                declared.render(header, declared(**value) if isinstance(value, Mapping) else value)
            except (zeep.exceptions.Error, TypeError, ValueError, AttributeError, ArithmeticError) as error:
                raise Invalid(f"the values do not fit the header {name}: {error}", code="soap.values") from None
        if faults := [line for child in children(header) for line in self.errors(child)]:
            raise Invalid(f"a header is not valid: {faults[0]}", code="soap.values")

    def operation_for(self, body_child: Element) -> SoapOperation | None:
        """The operation whose request this is: the body decides, SOAPAction is only a hint (WS-I BP R2744)."""
        return self._by_tag.get(body_child.tag)

    def build_request(self, operation: SoapOperation, values: Mapping[str, Any]) -> Element:
        """The envelope of a request. Raises `Invalid` when ``values`` do not fit the contract."""
        return self._build(operation, operation.raw.input, operation.request_tag, values)

    def build_reply(self, operation: SoapOperation, values: Mapping[str, Any]) -> Element:
        """The envelope of a reply. Raises `Invalid` when ``values`` do not fit the contract."""
        return self._build(operation, operation.raw.output, operation.reply_tag, values)

    def read_request(self, operation: SoapOperation, body_child: Element) -> dict[str, Any]:
        """The values of a valid request, as plain dicts, lists and Python values."""
        return self._read(operation.raw.input, body_child)

    def read_reply(
        self, operation: SoapOperation, body_child: Element, *, stray: bool = False, filled: bool = False
    ) -> dict[str, Any]:  # fmt: skip
        """The values of a reply, as plain dicts, lists and Python values; raises `Malformed` for one that strays too far to be read.

        ``stray``: one whose elements stand in another order or namespace, or are more or less than the contract's, is read by their names.
        ``filled``: what must stand there and is empty is said too (`adapters.soap.kinds.fill`), but in SOAP encoding, where it may stand
        for what nobody knows. Changes the element.
        """
        message = operation.raw.output
        if operation.encoded and operation.reply_tag:
            _arrange(body_child, message, whole=True)
        try:
            values = self._read(message, body_child)
            return fill(values, body_child, message.body.type) if filled and operation.reply_tag and not operation.encoded else values
        except (zeep.exceptions.Error, ArithmeticError, TypeError, ValueError) as error:  # a malformed amount, an unknown type
            if stray and operation.reply_tag:
                _arrange(body_child, message, whole=operation.encoded, stray=True)
                return self.read_reply(operation, body_child, filled=filled)
            why = error if isinstance(error, (zeep.exceptions.XMLParseError, Ambiguous)) else type(error).__name__
            raise Malformed(f"the reply cannot be read: {why}") from None

    def settle_reply(self, operation: SoapOperation, body: Element) -> Element | None:
        """The child of a reply's body, references resolved, an rpc wrapper by its WS-I name (SOAP 1.1 §7.1: the name means nothing).

        Raises `Malformed` when the references do not end.
        """
        if operation.encoded:
            _put_beside(body, {name for name, _ in _parts(operation.raw.output)} if operation.reply_tag else set())
            _check_references(body)
            process_multiref(body)  # type: ignore[no-untyped-call]
            _drop_encoding_marks(body)
        child = next(children(body), None)
        if child is not None and operation.encoded and operation.reply_tag:
            _arrange(child, operation.raw.output)
        if child is not None and operation.rpc:
            child.tag = operation.reply_tag
        return child

    def errors(self, body_child: Element) -> list[str]:
        """What the schema says against a body; empty when valid."""
        return self.schema.errors(body_child)

    def errors_of_reply(self, body_child: Element) -> list[str]:
        """As `errors`. ``xsi:nil`` where the contract knows of none is how some servers say that there is nothing: it is an empty text, or
        no element at all, whichever the contract takes. Changes the element.
        """
        errors = self.errors(body_child)
        for one in [each for each in body_child.iterdescendants() if _is_nil(each)][:_MAX_NILS] if errors else []:
            errors = self._without_nil(body_child, one, errors)
        return errors

    def _without_nil(self, body_child: Element, one: Element, errors: list[str]) -> list[str]:
        """What is left of ``errors`` without an element's ``xsi:nil``, or without the element; the same where neither is better."""
        above, said = one.getparent(), one.attrib.pop(_NIL)
        place, if_empty = above.index(one), self.errors(body_child)
        above.remove(one)
        if_absent = self.errors(body_child)
        if len(if_absent) < min(len(if_empty), len(errors)):
            return if_absent
        above.insert(place, one)
        if len(if_empty) < len(errors):
            return if_empty
        one.set(_NIL, said)
        return errors

    def _build(self, operation: SoapOperation, message: Any, tag: str, values: Mapping[str, Any]) -> Element:
        plain = self._plain_of(message)
        if plain is not None:
            with suppress(NotPlain):
                envelope = self.empty()
                plain.write(add(envelope[0], tag), values)
                return envelope
        return self.build_by_zeep(operation, message, tag, values)

    def empty(self) -> Element:
        """An envelope with an empty body."""
        envelope = new(f"{{{self.envelope}}}Envelope", nsmap={"soap-env": self.envelope})
        add(envelope, f"{{{self.envelope}}}Body")
        return envelope

    def build_by_zeep(self, operation: SoapOperation, message: Any, tag: str, values: Mapping[str, Any]) -> Element:
        """What `adapters.soap.plain` must agree with."""
        envelope = self.empty()
        body = envelope[0]
        if message.body is None:
            return envelope
        try:
            message.body.render(body, message.body(**values))
        except (zeep.exceptions.Error, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise Invalid(f"the values do not fit {operation.name}: {error}", code="soap.values") from None
        child = body[0]
        if operation.rpc:
            child.tag = tag
        if operation.encoded:
            _mark_types(child, dict(_parts(message)))
        return envelope

    def _plain_of(self, message: Any) -> Plain | None:
        if id(message) not in self._plain:
            self._plain[id(message)] = None if message.body is None or isinstance(message, RpcMessage) else compiled(message.body)
        return self._plain[id(message)]

    def _read(self, message: Any, body_child: Element) -> dict[str, Any]:
        if message.body is None:
            return {}
        plain = self._plain_of(message)
        if plain is not None:
            with suppress(NotPlain):
                if isinstance(made := plain.read(body_child), dict):
                    return made
        return self.read_by_zeep(message, body_child)

    def read_by_zeep(self, message: Any, body_child: Element) -> dict[str, Any]:
        """What `adapters.soap.plain` must agree with."""
        context = XmlParserContext(self._document.settings)  # type: ignore[no-untyped-call]
        plain = serialize_object(message.body.parse(body_child, self._document.types, context=context), dict)  # type: ignore[no-untyped-call]
        return plain if isinstance(plain, dict) else {"value": plain}


def _is_nil(element: Element) -> bool:
    return element.get(_NIL) in ("true", "1") and not len(element)


def _operation(raw: Any, encoded: bool) -> SoapOperation:
    rpc = isinstance(raw.input, RpcMessage)
    request = raw.input.body.qname.text if raw.input.body is not None else ""
    reply = raw.output.body.qname.text if raw.output is not None and raw.output.body is not None else ""
    if rpc and reply:
        reply = f"{{{split(reply)[0]}}}{raw.name}Response"
    return SoapOperation(raw.name, raw.soapaction or "", rpc, rpc and encoded, request, reply, raw)


def _wrappers(operation: SoapOperation) -> list[Wrapper]:
    found = [Wrapper(*split(operation.request_tag), _parts(operation.raw.input))]
    return [*found, Wrapper(*split(operation.reply_tag), _parts(operation.raw.output))] if operation.reply_tag else found


def _encoded_operations(path: Path) -> set[str]:
    """Names of the operations whose body is ``use="encoded"``; zeep forgets this once the binding is resolved."""
    return {
        operation.get("name")
        for _, root in documents(path)
        for binding in children(root)
        if local(binding) == "binding"
        for operation in children(binding)
        for body in operation.iter()
        if isinstance(body.tag, str) and local(body) == "body" and body.get("use") == "encoded"
    }


def _mark_types(wrapper: Element, parts: Mapping[str, str]) -> None:
    """SOAP encoding: say the encoding on the wrapper and ``xsi:type`` on each part, which section 5 servers rely on."""
    wrapper.set(f"{{{ENVELOPE_11}}}encodingStyle", ENCODING)
    for part in children(wrapper):
        if _TYPE not in part.attrib:  # of a derived type it says that
            set_name(part, _TYPE, parts[part.tag])


def _put_beside(body: Element, parts: Collection[str]) -> None:
    """Put beside the wrapper what its parts refer to: Delphi's servers write that inside it, before the part."""
    referred = {name.removeprefix("#") for one in body.iter() if (name := one.get("href", "")).startswith("#")}
    for wrapper in [*children(body)][:1]:
        for one in [*children(wrapper)]:
            if one.get("id") in referred and one.tag not in parts:
                body.append(one)


def _check_references(body: Element) -> None:
    """SOAP encoding's ``href``/``id`` can turn in a circle or grow as entities do: raises `Malformed` before they are followed."""
    targets = {one.get("id"): one for one in children(body) if one.get("id")}
    sizes: dict[str, int] = {}

    def grown(element: Element, above: frozenset[str]) -> int:
        total = 0
        for one in element.iter():
            name = (one.get("href") or "").removeprefix("#")
            total += 1 if name not in targets else size_of(name, above)
        return total

    def size_of(name: str, above: frozenset[str]) -> int:
        if name in above:
            raise Malformed("the references of the reply turn in a circle")
        if name not in sizes:
            sizes[name] = grown(targets[name], above | {name})
        return sizes[name]

    if grown(body, frozenset()) > _MAX_ELEMENTS:
        raise Malformed(f"the references of the reply stand for more than {_MAX_ELEMENTS} elements")


def _arrange(top: Element, message: Any, *, whole: bool = False, stray: bool = False) -> None:
    """Put what SOAP encoding tells by its name alone (SOAP 1.1 §5.1) into the contract's order, as XML Schema and zeep want it.

    ``whole``: what was left out (§5.6) stands there and is empty, which zeep wants too. ``stray``: names are compared without their
    namespace, and what the contract does not know goes.
    """
    if not isinstance(message, RpcMessage):
        _arrange_struct(top, message.body.type, whole=whole, stray=stray)
        return
    parts = {} if message.abstract is None else message.abstract.parts
    for one in children(top):
        if (name := local(one) if stray else one.tag) in parts:
            one.tag = name
            _arrange_struct(one, parts[name].type, whole=whole, stray=stray)


def _arrange_struct(struct: Element, kind: Any, *, whole: bool, stray: bool) -> None:
    declared = [member for _, member in getattr(kind, "elements", ())]
    members = [member for member in declared if isinstance(member, Declared)]
    if not members:
        return
    names = {split(member.qname.text)[1] if stray else member.qname.text: (place, member) for place, member in enumerate(members)}
    places = {member.qname.text: place for place, member in enumerate(members)}
    if stray and not any(local(one) in names for one in children(struct)):
        return  # else it would say nothing, and that may mean no
    found = []
    for one in children(struct):
        _, member = names.get(local(one) if stray else one.tag, (0, None))
        if member is not None:
            one.tag = member.qname.text
            _arrange_struct(one, member.type, whole=whole, stray=stray)
        if member is not None or not stray or len(members) < len(declared) or _is_derived(struct, kind):
            found.append(one)
    if whole and found and not any(isinstance(nested, Choice) for _, nested in kind.elements_nested):
        there = {one.tag for one in found}
        found += [new(member.qname.text) for member in members if member.qname.text not in there and not member.is_optional]
    struct[:] = sorted(found, key=lambda one: places.get(one.tag, len(places)))


def _is_derived(struct: Element, kind: Any) -> bool:
    """Whether an element says that it is of another type than its contract has for it, which may know more."""
    said = struct.get(_TYPE, "").rpartition(":")[2].strip()
    return bool(said) and said != getattr(kind, "name", None)


def _drop_encoding_marks(body: Element) -> None:
    """Take away the attributes of SOAP encoding that no schema declares, once references are resolved."""
    for element in body.iter():
        for name in (f"{{{ENVELOPE_11}}}encodingStyle", f"{{{ENCODING}}}root", "id"):
            element.attrib.pop(name, None)
        prefix = element.get(_TYPE, "").rpartition(":")[0]
        if prefix and element.nsmap.get(prefix.strip()) == ENCODING:  # such as Array: what is in it, the contract says
            del element.attrib[_TYPE]


_loaded: dict[tuple[Path, str], Wsdl] = {}
_loading = threading.Lock()


def load(path: str | Path, port: str = "") -> Wsdl:
    """The contract in a local file, read once per process (about 50 ms) and shared. Raises `ConfigError`."""
    key = (Path(path).resolve(), port)
    with _loading:
        if key not in _loaded:
            _loaded[key] = Wsdl(*key)
        return _loaded[key]
