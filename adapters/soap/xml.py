"""The one room of lxml: hostile XML in, validated XML, XML out.

What comes from outside is read by `parse`, which refuses before any tree is built: more bytes, elements or depth than allowed, any
DOCTYPE (so no entity can exist), anything that is not well-formed. Only schema files of our own disk are read by `parse_file`,
which allows a DTD (the W3C's own schemas have one) but never the network.
"""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from xml.parsers import expat

from lxml import etree as _lxml

from bus.errors import ConfigError, Malformed

Element: TypeAlias = Any
"""An lxml element; its methods may be used anywhere, its module only here."""

etree: Any = _lxml  # its stubs lag behind it

XSD = "http://www.w3.org/2001/XMLSchema"
XSI = "http://www.w3.org/2001/XMLSchema-instance"

_ABSENT = "/dev/null/remote-schema"
MAX_BYTES = 10_000_000
MAX_DEPTH = 64
MAX_ELEMENTS = 500_000
"""Elements in a document: each costs some 130 bytes of memory and 4 µs, even one of four bytes. Lists of 10,000 rows have 200,000."""
MAX_ATTRIBUTES = 1_000
"""Attributes of an element, names of namespaces included: libxml2 compares each with all others."""
MAX_TAG = 1_000_000
"""Bytes of a tag or comment, of which a parser tells only when it has all of it: 16 MB of attributes took half a minute."""
_PIECE = 65_536

_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
_PLAIN = ("ascii", "cp125", "iso8859-", "utf-16", "utf-8")
"""How the names of the encodings begin that are taken: others of Python take time without end (punycode) or hide characters (utf-7)."""
_MOMENT = re.compile(
    r"(?:-?[0-9]{4,}-[0-9]{2}(?:-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9.]+)?)?|[0-9]{2}:[0-9]{2}:[0-9.]+)(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)
_BLANKS = " \t\r\n"
"""What XML takes for a blank; Python knows others."""
_BEFORE = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]+(?=<\?xml)")
_DECLARED = re.compile(rb"""(?:\xef\xbb\xbf)?<(?:\?xml[^>]*\sencoding\s*=\s*["']([^"']*)|[^\0])""")
_SAYS_ITS_OWN = re.compile(rb"\xef\xbb\xbf|\xfe\xff|\xff\xfe|<\0\?\0|\0<\0\?|<\?xml[^>]*\sencoding\s*=")


def parse(content: bytes, *, max_bytes: int = MAX_BYTES) -> Element:
    """The root element of a document from outside.

    Raises `Malformed` with code ``input.too-large``, ``input.doctype``, ``input.too-deep`` or ``input.malformed``.
    """
    if len(content) > max_bytes:
        raise Malformed(f"the XML document is larger than {max_bytes} bytes", code="input.too-large")
    _Guard().read(content)
    try:
        root = etree.fromstring(content, _parser())
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Malformed(f"not well-formed XML: {error}") from None
    if root.getroottree().docinfo.doctype:
        raise _doctype()
    return root


def _parser() -> Any:
    """One for each thread: making it takes as long as reading a small document with it.

    ``huge_tree``: a text may be longer than 10 MB (a document in Base64). Bytes and depth were bounded before, and no entity can grow.
    """
    if not hasattr(_local, "parser"):
        _local.parser = etree.XMLParser(
            resolve_entities=False, load_dtd=False, no_network=True, huge_tree=True, remove_comments=True, remove_pis=True
        )
    return _local.parser


_local = threading.local()


def _doctype() -> Malformed:
    return Malformed("the XML document has a DOCTYPE; no DTD and no entity is accepted", code="input.doctype")


class _Guard:
    """A first pass with expat, which tells of a DOCTYPE, of depth and of numbers before anything can grow."""

    def __init__(self) -> None:
        self._depth = self._elements = 0

    def read(self, content: bytes) -> None:
        reader = expat.ParserCreate()
        reader.StartDoctypeDeclHandler = self._refuse
        reader.StartElementHandler = self._start
        reader.EndElementHandler = self._end
        try:
            for at in range(0, len(content), _PIECE):
                reader.Parse(content[at : at + _PIECE], False)
                if at - reader.CurrentByteIndex > MAX_TAG:
                    raise Malformed(f"a tag or comment of the XML document is larger than {MAX_TAG} bytes", code="input.too-large")
            reader.Parse(b"", True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise Malformed(f"not well-formed XML: {error}{_not_as_it_says(content)}") from None

    def _refuse(self, *_: Any) -> None:
        raise _doctype()

    def _start(self, _: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise Malformed(f"the XML document has more than {MAX_ELEMENTS} elements", code="input.too-large")
        if len(attributes) > MAX_ATTRIBUTES:
            raise Malformed(f"an element of the XML document has more than {MAX_ATTRIBUTES} attributes", code="input.too-large")
        if self._depth > MAX_DEPTH:
            raise Malformed(f"the XML document is deeper than {MAX_DEPTH} levels", code="input.too-deep")

    def _end(self, *_: Any) -> None:
        self._depth -= 1


def _not_as_it_says(content: bytes) -> str:
    """What is said of characters that are not in UTF-8, in which XML is where it says nothing else; where they are, nothing."""
    if not _should_be_utf_8(content):
        return ""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return f"; it should be in UTF-8, as far as it says, and byte {error.start + 1} is not (0x{content[error.start]:02X})"
    return ""


def _should_be_utf_8(content: bytes) -> bool:
    """Whether a document says so, or says nothing."""
    declared = _DECLARED.match(content)
    return declared is not None and (declared[1] or b"utf-8").lower() in (b"utf-8", b"utf8")


def begun(content: bytes) -> bytes:
    """XML from its declaration on: scripts of some servers write line ends before it, for which no parser takes it."""
    blanks = _BEFORE.match(content)
    return content[blanks.end() :] if blanks else content


def as_said(content: bytes, media_type: str) -> bytes:
    """XML that says no encoding itself is in the one that its media type says (RFC 7303 §3.2), and here then in UTF-8. So is XML that says
    UTF-8 and is not: a template says it, and the server that fills it does not know.
    """
    said = _CHARSET.search(media_type)
    if said is None or (_SAYS_ITS_OWN.match(content) and not _not_as_it_says(content)):
        return content
    try:
        name = codecs.lookup(said[1]).name
        return content.decode(name).encode() if name.startswith(_PLAIN) else content
    except (LookupError, ValueError):
        return content


def parse_file(path: Path) -> Element:
    """The root of a schema or WSDL file of our own disk. Raises `ConfigError`."""
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True)
    try:
        return etree.parse(str(path), parser).getroot()
    except (OSError, etree.XMLSyntaxError) as error:
        raise ConfigError(f"cannot read {path}: {error}", hint="check the path given in the adapter's settings") from None


def serialize(element: Element) -> bytes:
    """UTF-8 with an XML declaration. Costs a few microseconds a kilobyte."""
    return bytes(etree.tostring(element, encoding="UTF-8", xml_declaration=True))


def fragment(element: Element) -> bytes:
    """UTF-8 without a declaration, with the namespaces in force declared."""
    return bytes(etree.tostring(element, encoding="UTF-8", with_tail=False))


def new(tag: str, text: str | None = None, *, nsmap: Mapping[str, str] | None = None, **attributes: str) -> Element:
    """A free element. ``tag`` is ``name`` or ``{namespace}name``. Raises `Malformed` for characters that XML cannot say."""
    made = etree.Element(tag, nsmap=dict(nsmap) if nsmap else None)
    return _filled(made, text, attributes)


def add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    """A new last child of ``parent``."""
    return _filled(etree.SubElement(parent, tag), text, attributes)


def _filled(element: Element, text: str | None, attributes: Mapping[str, str]) -> Element:
    try:
        for name, value in attributes.items():
            element.set(name, value)
        element.text = text
    except ValueError:
        raise Malformed(f"the text of <{local(element)}> has characters that XML cannot carry") from None
    return element


def local(element: Element) -> str:
    """The name of an element without its namespace."""
    return str(etree.QName(element).localname)


def namespace(element: Element) -> str:
    """The namespace of an element, or an empty string."""
    return str(etree.QName(element).namespace or "")


def split(tag: str) -> tuple[str, str]:
    """``{namespace}name`` to its two halves."""
    name = etree.QName(tag)
    return str(name.namespace or ""), str(name.localname)


def set_name(element: Element, attribute: str, name: str, behind: str = "") -> None:
    """Let an attribute say a qualified name (``{namespace}local``), by a prefix that is in scope, with what stands ``behind`` it."""
    element.set(attribute, etree.QName(name))
    element.set(attribute, element.get(attribute, "") + behind)


def children(element: Element) -> Iterator[Element]:
    """The child elements, whatever else stands between them."""
    return (child for child in element if isinstance(child.tag, str))


def text_at(element: Element, *names: str) -> str | None:
    """The text found by walking down local names, whatever their namespace; None when one is missing."""
    for name in names:
        found = next((child for child in children(element) if local(child) == name), None)
        if found is None:
            return None
        element = found
    return (element.text or "").strip()


class _Local(_lxml.Resolver):
    """Gives a schema its parts: documents held in memory first, then files of our disk, never the network."""

    def __init__(self, documents: Mapping[str, bytes]) -> None:
        super().__init__()
        self._documents = documents

    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:  # type: ignore[override]
        if system_url in self._documents:
            return self.resolve_string(self._documents[system_url], context, base_url=system_url)
        if re.match(r"(?i)(https?|ftp):", system_url):
            # An import that is not found is passed over; a schema that needs it does not compile.
            return self.resolve_filename(_ABSENT, context)  # type: ignore[attr-defined]
        return None


class Schema:
    """A compiled XML Schema. Compile once per process (tens of milliseconds); `errors` costs some tens of microseconds. Thread-safe."""

    def __init__(self, content: bytes, base_url: str, documents: Mapping[str, bytes] | None = None) -> None:
        parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
        parser.resolvers.add(_Local(documents or {}))
        try:
            self._schema = etree.XMLSchema(etree.fromstring(content, parser, base_url=base_url))
        except (etree.XMLSchemaParseError, etree.XMLSyntaxError) as error:
            raise ConfigError(f"the schema {base_url} does not compile: {error}") from None
        self._lock = threading.Lock()

    @classmethod
    def of_file(cls, path: Path) -> Schema:
        """The schema in a local file; what it imports is taken from local files only."""
        return cls(path.read_bytes(), path.resolve().as_uri())

    def errors(self, element: Element) -> list[str]:
        """One sentence per violation, without the offending values (they may be personal); empty when valid.

        Blanks around dates and times, which libxml2 refuses against XML Schema (part 2, 4.3.6), are taken away.
        """
        with self._lock:
            if self._schema.validate(element) or (_collapse_moments(element) and self._schema.validate(element)):
                return []
            return [f"line {entry.line}: {_without_values(entry.message)}" for entry in self._schema.error_log][:20]


def _collapse_moments(element: Element) -> bool:
    """Whether there was a date or a time with blanks around it; there is none any more."""
    found = False
    for one in element.iter(_lxml.Element):
        text = one.text or ""
        bare = text.strip(_BLANKS)
        if not len(one) and text != bare and _MOMENT.fullmatch(bare):
            one.text, found = bare, True
    return found


def _without_values(message: str) -> str:
    message = re.sub(r"(value|Value) '.*?' (is|has|does)", r"\1 \2", message, flags=re.DOTALL)
    message = re.sub(r"key-sequence \['.*'\]", "key-sequence", message, flags=re.DOTALL)
    return re.sub(r"(: )'.*?' is not a valid value", r"\1not a valid value", message, flags=re.DOTALL)
