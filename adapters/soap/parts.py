"""Messages in MIME parts: SOAP with attachments, and MTOM, which takes bytes out of the envelope and leaves an `xop:Include`.

Some systems write so whenever they are set up for attachments, also where there is none. Parts that the envelope does not include are
left alone: they are in the evidence.
"""

from __future__ import annotations

import base64
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from adapters.soap.envelope import Opened, open_envelope
from adapters.soap.xml import Element, as_said, begun
from bus.errors import Malformed

INCLUDE = "{http://www.w3.org/2004/08/xop/include}Include"
_PARAMETER = r"""(?:^|;)\s*{}\s*=\s*(?:"([^"]*)"|([^;\s]+))"""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its Content-ID without brackets, its media type as it was written, its bytes."""

    name: str
    media_type: str
    content: bytes


def opened(content: bytes, media_type: str, *, max_bytes: int) -> Opened:
    """The envelope of a hostile message, in parts or not, in the encoding that it or its media type says. Raises `Malformed`."""
    parts = parts_of(content, media_type)
    root = parts[0] if parts else Part("", media_type, content)
    envelope = open_envelope(as_said(begun(root.content), root.media_type), max_bytes=max_bytes)
    put_back(envelope.body, parts[1:])
    return envelope


def parts_of(content: bytes, media_type: str) -> list[Part]:
    """The parts of a message, the envelope first; empty for one that is not in parts. Raises `Malformed`."""
    if not media_type.strip().lower().startswith("multipart/related"):
        return []
    boundary = _parameter(media_type, "boundary").encode("latin-1")
    pieces = re.split(rb"(?:^|\r?\n)--" + re.escape(boundary) + rb"(?:--)?[ \t]*(?:\r?\n|$)", content)[1:-1] if boundary else []
    found = [_part(piece) for piece in pieces]
    start = _parameter(media_type, "start").strip("<>")
    if not found:
        raise Malformed("a message in parts, and none of them can be read", code="soap.envelope")
    return sorted(found, key=lambda part: part.name != start) if start else found


def put_back(body: Element, parts: list[Part]) -> None:
    """Put bytes that stand in parts of their own into the envelope, as base64; each part once."""
    left = {part.name: part.content for part in parts}
    for place in list(body.iter(INCLUDE)):
        name = unquote(place.get("href", "").removeprefix("cid:"))
        if name not in left:
            raise Malformed("the envelope includes a part that is not there", code="soap.envelope")
        above = place.getparent()
        above.text = base64.b64encode(left.pop(name)).decode()
        above.remove(place)


def _part(piece: bytes) -> Part:
    head, content = (b"", piece) if piece[:1] in (b"\r", b"\n") else (*re.split(rb"\r?\n\r?\n", piece, maxsplit=1), b"")[:2]
    fields = dict(_fields(head.decode("latin-1")))
    coding = fields.get("content-transfer-encoding", "").lower()
    if coding == "quoted-printable":
        content = quopri.decodestring(content)
    elif coding == "base64":
        try:
            content = base64.b64decode(content)
        except ValueError:
            raise Malformed("a part of the message is not base64", code="soap.envelope") from None
    return Part(fields.get("content-id", "").strip("<>"), fields.get("content-type", ""), content)


def _fields(head: str) -> Iterator[tuple[str, str]]:
    for line in re.sub(r"\r?\n[ \t]+", " ", head).splitlines():
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.strip()


def _parameter(media_type: str, name: str) -> str:
    found = re.search(_PARAMETER.format(name), media_type, re.IGNORECASE)
    return (found[1] or found[2] or "") if found else ""
