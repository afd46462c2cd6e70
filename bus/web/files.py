"""Attachments over HTTP: the file is the raw body, taken and given piece by piece; memory stays flat whatever its size."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import IO
from urllib.parse import quote, unquote

from bus.engine.attachments import CHUNK, SPLIT, TOO_LARGE, Receiving
from bus.errors import Invalid, Malformed, NotFound, StoreError
from bus.message import Attachment
from bus.web import bodies
from bus.web.answer import Answer, Call, json_answer
from bus.web.digests import announced
from bus.web.problems import WrongMedia

_PARAMETER = re.compile(r"(?:^|;)\s*([^\s=;\"]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"\s*|([^\s;\"][^;\"]*|))(?=;|$)")
"""One of a header, quoted or not. Who does not quote a name with blanks means all of it. Its cost grows with the header, not faster."""
_UTF8 = re.compile(r"utf-8'[a-z0-9-]*'(.+)", re.IGNORECASE)
_ETAG = re.compile(r'(?:^|,)\s*(?:W/)?"([^"]*)"\s*(?=,|$)')
_MEDIA = re.compile(r"[a-zA-Z0-9!#$&^_.+-]+/[a-zA-Z0-9!#$&^_.+-]+")

FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")
"""What is taken of these holds more than the file, or less: ``curl -d`` leaves line ends out."""


async def receive(call: Call) -> Answer:
    """Take a file in: 201 with its address when it is durable. The same file again is the same address."""
    attachments = call.app.attachments
    bodies.refuse_large(call.headers, attachments.limit, code=TOO_LARGE, hint=SPLIT)
    bodies.refuse_compressed(call.headers)
    if call.header(b"content-range") is not None:  # kept, it would be a file of its own that a document goes on with
        raise Malformed("a piece of a file is not taken", code="attachment.piece", hint="send the whole file, without Content-Range")
    wanted = announced(call.headers, "attachment.digest")
    receiving = await call.run(partial(attachments.receive, media_type=_media(call), name=_name(call)))
    try:
        await _take(call, receiving)
        if wanted - {receiving.digest()}:
            raise Invalid("the file is not the one that its digest names", code="attachment.digest", hint="send it again")
        file = await call.run(lambda: receiving.finish(call.caller.name))
    finally:
        await call.run(receiving.close)
    address = f"{call.app.config.http.prefix}/attachments/{file.sha256}"
    return json_answer({**file._asdict(), "links": {"content": address}}, 201, [(b"location", address.encode())])


async def _take(call: Call, receiving: Receiving) -> None:
    """Write in pieces of `CHUNK`: a trip to a thread for every 64 KB that the network gives would cost more than the writing."""
    pending, size = [], 0
    async for piece in bodies.pieces(call.receive):
        pending.append(piece)
        size += len(piece)
        if size >= CHUNK:
            await call.run(partial(receiving.write, b"".join(pending)))
            pending, size = [], 0
    await call.run(partial(receiving.write, b"".join(pending)))


def _name(call: Call) -> str:
    said = _PARAMETER.findall(call.header(b"content-disposition") or "")
    names = {name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain.strip() for name, quoted, plain in said}
    if found := _UTF8.fullmatch(names.get("filename*", "")):
        with suppress(UnicodeDecodeError):  # what is not what it says counts as not said (RFC 6266 §4.3)
            return unquote(found[1], errors="strict")
    if raw := names.get("filename"):
        try:
            return raw.encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:  # ISO 8859-1, as RFC 6266 has it where no encoding is named
            return raw
    return call.query.get("name", "")


def _media(call: Call) -> str:
    media = (call.header(b"content-type") or "application/octet-stream").partition(";")[0].strip().lower()
    if media in FORMS:
        sentence = f"{media} is what a form sends, and not a file"
        raise WrongMedia(sentence, hint="send the file itself as the body, with its own type: curl --data-binary @FILE")
    if len(media) > 100 or not _MEDIA.fullmatch(media):
        raise Invalid("the content type is not a media type", code="input.invalid", hint="for example application/pdf")
    return media


async def give(call: Call) -> Answer:
    """The file itself, to whoever sent it; to sysadmins and auditors for a purpose, which is recorded first."""
    attachments, address, looker = call.app.attachments, call.path["sha256"], call.looker

    def find() -> Attachment:
        try:
            return attachments.describe(address, call.caller.name)
        except NotFound:
            if not call.caller.sees_all:
                raise
            return attachments.look(address, looker)

    file = await call.run(find)
    try:
        stream = await call.run(lambda: attachments.open(address))
    except NotFound:
        raise StoreError("the file is known, and is not in its folder", code="payload.swapped", hint="restore it from a backup") from None
    etag = (b"etag", f'"{file.sha256}"'.encode())
    if _has_it(call, file.sha256):
        stream.close()
        return Answer(304, headers=[etag])
    first = await _begun(call, stream)
    digest = base64.b64encode(bytes.fromhex(file.sha256))
    headers = [
        (b"content-disposition", f"attachment; filename*=UTF-8''{quote(file.name, safe='')}".encode()),
        (b"repr-digest", b"sha-256=:" + digest + b":"),
        etag,
    ]
    return Answer(200, _read(call, stream, first), headers, file.media_type.encode(), file.size)


def _has_it(call: Call, sha256: str) -> bool:
    """Whether the caller has the file already: ``If-None-Match`` names it (RFC 9110 §13.1.2: weakly compared), or is ``*``."""
    said = call.header(b"if-none-match") or ""
    return said == "*" or sha256 in _ETAG.findall(said)


async def _begun(call: Call, stream: IO[bytes]) -> bytes:
    """The first piece, before the answer begins: a file that is not what was sealed is told by a problem."""
    try:
        return await call.run(lambda: stream.read(CHUNK))
    except BaseException:
        stream.close()
        raise


async def _read(call: Call, stream: IO[bytes], piece: bytes) -> AsyncIterator[bytes]:
    try:
        while piece:
            yield piece
            piece = await call.run(lambda: stream.read(CHUNK))
    finally:
        stream.close()
