"""SOAP envelopes, 1.1 and 1.2: opening them, and faults both ways."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.soap.wsdl import ENVELOPE_11, ENVELOPE_12
from adapters.soap.xml import Element, add, children, local, namespace, new, parse, serialize, text_at
from bus.errors import Malformed

MEDIA_TYPES = {ENVELOPE_11: "text/xml; charset=utf-8", ENVELOPE_12: "application/soap+xml; charset=utf-8"}

_OURS = ("", "http://schemas.xmlsoap.org/soap/actor/next", f"{ENVELOPE_12}/role/next", f"{ENVELOPE_12}/role/ultimateReceiver")
"""Whom a header is for, when it is for whoever reads the body."""


class SoapFault(Exception):
    """A SOAP fault: raised by a service's handler to send one; `fault_in` gives the one that was received.

    ``code`` is the local name (``Client``, ``Server`` or the system's own), ``detail`` the name of the detail's first element or its text,
    ``subcode`` the local name of SOAP 1.2's innermost Subcode: there a system's own code stands. None is sent.
    """

    def __init__(self, code: str, sentence: str, detail: str = "", subcode: str = "") -> None:
        super().__init__(f"{code}: {sentence}")
        self.code, self.sentence, self.detail, self.subcode = code, sentence, detail, subcode


@dataclass(frozen=True, slots=True)
class Opened:
    """An envelope taken apart; ``body`` is the Body element."""

    version: str
    body: Element

    @property
    def demanded(self) -> list[str]:
        """Names of the headers that the sender insists we understand; we understand none. What is for others on the way is not for us."""
        headers = (one for one in children(self.body.getparent()) if one.tag == f"{{{self.version}}}Header")
        blocks = [one for header in headers for one in children(header)]
        return [local(one) for one in blocks if self._said(one, "mustUnderstand") in ("1", "true") and self._for_us(one)]

    def _for_us(self, block: Element) -> bool:
        return (self._said(block, "actor") or self._said(block, "role")) in _OURS

    def _said(self, block: Element, name: str) -> str:
        return str(block.get(f"{{{self.version}}}{name}", "")).strip()

    @property
    def child(self) -> Element | None:
        """The one element that matters, or None for an empty body."""
        return next(children(self.body), None)


def open_envelope(content: bytes, *, max_bytes: int) -> Opened:
    """Take a hostile document apart. Raises `Malformed`."""
    root = parse(content, max_bytes=max_bytes)
    version = namespace(root)
    if local(root) != "Envelope" or version not in MEDIA_TYPES:
        raise Malformed(f"<{local(root)}> is not a SOAP envelope", code="soap.envelope")
    bodies = [child for child in children(root) if child.tag == f"{{{version}}}Body"]
    if len(bodies) != 1:
        raise Malformed("a SOAP envelope has exactly one Body", code="soap.envelope")
    return Opened(version, bodies[0])


def fault_in(opened: Opened) -> SoapFault | None:
    """The fault of a reply, or None."""
    fault = opened.child
    if fault is None or local(fault) != "Fault" or namespace(fault) != opened.version:
        return None
    if opened.version == ENVELOPE_11:
        return SoapFault(_local(text_at(fault, "faultcode")), text_at(fault, "faultstring") or "", _detail(fault, "detail"))
    subcode, path = "", ["Code", "Subcode"]
    while found := text_at(fault, *path, "Value"):
        subcode = _local(found)
        path.append("Subcode")
    code, sentence = _local(text_at(fault, "Code", "Value")), text_at(fault, "Reason", "Text") or ""
    return SoapFault(code, sentence, _detail(fault, "Detail"), subcode)


def _local(name: str | None) -> str:
    return (name or "").rpartition(":")[2]


def _detail(fault: Element, name: str) -> str:
    detail = next((child for child in children(fault) if local(child) == name), None)
    if detail is None:
        return ""
    first = next(children(detail), None)
    return (detail.text or "").strip() if first is None else local(first)


def fault_bytes(version: str, fault: SoapFault) -> bytes:
    """A well-formed fault envelope."""
    envelope = new(f"{{{version}}}Envelope", nsmap={"soap-env": version})
    body = add(envelope, f"{{{version}}}Body")
    element = add(body, f"{{{version}}}Fault")
    if version == ENVELOPE_12:
        kind = {"Client": "Sender", "Server": "Receiver"}.get(fault.code, fault.code)
        add(add(element, f"{{{version}}}Code"), f"{{{version}}}Value", f"soap-env:{kind}")
        reason = add(add(element, f"{{{version}}}Reason"), f"{{{version}}}Text", fault.sentence)
        reason.set("{http://www.w3.org/XML/1998/namespace}lang", "it")
        detail_tag = f"{{{version}}}Detail"
    else:
        add(element, "faultcode", f"soap-env:{fault.code}")
        add(element, "faultstring", fault.sentence)
        detail_tag = "detail"
    if fault.detail:
        add(element, detail_tag, fault.detail)
    return serialize(envelope)
