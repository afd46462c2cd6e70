"""Files in contracts of REST: in a request one of the case's attachments, by its address; in an answer one that the bus keeps from now on.

They travel as the whole body, or as parts of a form (``multipart/form-data``, RFC 7578), and are in memory meanwhile.
"""

from __future__ import annotations

import hashlib
import io
import mimetypes
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from email.message import Message
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias

from adapters.http.client import RestReply, Written, as_text
from adapters.http.outcome import is_page, no_answer
from bus.adapter import Call, Refused
from bus.message import canonical, is_file_name

Schema: TypeAlias = dict[str, Any]
MULTIPART = "multipart/form-data"
ASKED: Schema = {
    "type": "object",
    "description": "a file, as message.attachments and the answers that give one name it",
    "properties": {
        "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "name": {"type": "string", "minLength": 1, "maxLength": 255},
        "media_type": {"type": "string"},
        "size": {"type": "integer"},
    },
    "required": ["sha256"],
    "additionalProperties": False,
}
"""A file in a request, in JSON Schema."""
SAVED: Schema = {**ASKED, "description": "the file, which the bus keeps from now on", "required": ["sha256", "name", "media_type", "size"]}
"""A file in an answer."""
_ADDRESS = re.compile("[0-9a-f]{64}").fullmatch
_ANY = "application/octet-stream"
_IS_TEXT = re.compile(r"text/|application/(?:[^;]*\+)?xml\b|application/(?:x-)?(?:csv|ndjson|yaml)\b").match
_MEDIA = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}").fullmatch
"""A media type without parameters (RFC 6838 §4.2)."""


def is_file(schema: Mapping[str, Any]) -> bool:
    """Whether a schema is that of a file."""
    return bool(schema.get("properties", {}).keys() == ASKED["properties"].keys())


def names_one(value: Mapping[str, Any]) -> bool:
    """Whether a value says which file: as `ASKED` has it."""
    return value.keys() <= ASKED["properties"].keys() and _ADDRESS(str(value.get("sha256"))) is not None


def kind_of(media: Sequence[str]) -> Literal["text", "file", ""]:
    """What a body of one of these media types, none of them JSON, is to rules; nothing where it has parts that nobody describes."""
    if not media or any(one.startswith("multipart/") for one in media):
        return ""
    return "text" if all(map(_IS_TEXT, media)) else "file"


# -- requests -------------------------------------------------------------------------------------------------------------


def as_file(ctx: Call, file: Mapping[str, Any], media: str, most: int) -> Written:
    """A file as the whole body; of its own media type where the contract's says several (``image/*``)."""
    content = contents(ctx, [file], most)[file["sha256"]]
    return Written(content, media if _MEDIA(media) else _named(ctx, file)[1])


def as_words(text: str, media: str) -> Written:
    """A text as the whole body, in UTF-8."""
    return Written(text.encode(), media if "charset" in media else f"{media}; charset=utf-8")


def multipart(ctx: Call, fields: Mapping[str, Any], files: Sequence[str], most: int) -> Written:
    """A form of parts: those named in ``files`` as files, objects as JSON, each item of a list as a part of its own.

    The same for each try of a call. What stands between the parts is nothing that a sender of files could foresee.
    """
    from urllib3.fields import RequestField
    from urllib3.filepost import encode_multipart_formdata

    given = [(name, one) for name, value in fields.items() for one in (value if isinstance(value, list) else [value]) if one is not None]
    sent = contents(ctx, [one for name, one in given if name in files], most)
    parts = []
    for name, one in given:
        if name in files:
            file_name, media = _named(ctx, one)
            part = RequestField(name, sent[one["sha256"]], filename=file_name)
            part.make_multipart(content_type=media)
        else:
            part = RequestField(name, canonical(one) if isinstance(one, dict) else as_text(one).encode())
            part.make_multipart(content_type="application/json" if isinstance(one, dict) else None)
        parts.append(part)
    boundary = hashlib.sha256(f"multipart {ctx.key}".encode()).hexdigest()[:48]
    return Written(*encode_multipart_formdata(parts, boundary))


def contents(ctx: Call, files: Iterable[Mapping[str, Any]], most: int, code: str = "HTTP_413") -> dict[str, bytes]:
    """The bytes of files, by address. Raises `Refused` with that ``code`` when they are together more than ``most``."""
    assert ctx.open_attachment is not None, "the engine gives every call a way to its files"
    found: dict[str, bytes] = {}
    left = most
    for sha256 in dict.fromkeys(str(file["sha256"]) for file in files):
        with ctx.open_attachment(sha256) as stream:
            found[sha256] = stream.read(left + 1)
        left -= len(found[sha256])
        if left < 0:
            sentence = f"its files are together larger than {most} bytes: raise max_upload, if the system takes them, or send less"
            raise Refused(sentence, outside_code=code)
    return found


def _named(ctx: Call, file: Mapping[str, Any]) -> tuple[str, str]:
    """Name and media type of a file: as the rules say, else as it came with the message."""
    came = next((one for one in ctx.attachments if one.sha256 == file["sha256"]), None)
    media = str(file.get("media_type") or (came.media_type if came else _ANY))
    is_one = _MEDIA(media.partition(";")[0].strip()) and media.isascii() and media.isprintable()
    return str(file.get("name") or (came.name if came else "file")), media if is_one else _ANY


# -- answers --------------------------------------------------------------------------------------------------------------


def text_of(reply: RestReply, accept: Sequence[str]) -> str:
    """A reply that is a text; a page that nobody asked for, or bytes of no text, are a call without a usable answer."""
    if "text/html" not in accept:
        _refuse_page(reply)
    try:
        return reply.text.decode()
    except UnicodeDecodeError:
        raise no_answer(reply.effect, f"the reply is no text: {reply.kind}, and not in UTF-8", answered=True) from None


def saved(ctx: Call, reply: RestReply, operation: str, *, judged: bool) -> Mapping[str, Any]:
    """A reply that is a file, kept; a page, nothing at all, or (``judged``) JSON are a call without a usable answer."""
    _refuse_page(reply)
    if not reply.body or (judged and "json" in reply.media_type):
        why = reply.kind if reply.body else "it is empty"
        raise no_answer(reply.effect, f"the reply is no file as the contract says: {why}", answered=True)
    media = reply.media_type if _MEDIA(reply.media_type) else _ANY
    return kept(ctx, reply.body, media, _file_name(reply, media, operation))


def kept(ctx: Call, content: bytes, media: str, name: str) -> Mapping[str, Any]:
    """Keep bytes that another system gave as a file; what answers say of it."""
    assert ctx.save_attachment is not None, "the engine gives every call a place for files"
    return ctx.save_attachment(io.BytesIO(content), media, name)._asdict()


def _refuse_page(reply: RestReply) -> None:
    if is_page(reply.headers):
        raise no_answer(reply.effect, f"the reply is a page for people: {reply.kind}")


def _file_name(reply: RestReply, media: str, operation: str) -> str:
    """As ``Content-Disposition`` says (RFC 6266), without folders, in UTF-8 too, as many write it; else after the operation."""
    header, written = Message(), reply.headers.get("content-disposition", "")
    with suppress(UnicodeError):
        written = written.encode("latin-1").decode()
    header["Content-Disposition"] = written
    said = PurePosixPath((header.get_filename() or "").replace("\\", "/")).name
    return said if is_file_name(said) else f"{operation}{mimetypes.guess_extension(media) or ''}"
