"""From a request to a submission: CloudEvents 1.0 over HTTP, structured and binary mode.

Structured: the body is the envelope, its ``data`` the message's body (``application/cloudevents+json``; ``application/json`` may
leave ``specversion`` out). Binary: the envelope is in ``ce-*`` headers, the body is the body. ``time`` is read and not kept: the bus
gives its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from bus.engine.arrival import Submission
from bus.errors import Invalid, Malformed
from bus.jsontext import parse, parse_object, pointer
from bus.message import MAX_TYPE_LENGTH, JsonValue, is_file_name
from bus.web.auth import Caller
from bus.web.problems import WrongMedia

LONGEST = 200
"""Characters of an attribute or of a key."""
MOST_FILES = 50
_ATTRIBUTES = frozenset(
    "specversion id source type subject time datacontenttype dataschema correlationid causationid traceparent".split()  # noqa: SIM905
)
_JSON = re.compile(r"application/(?:[a-z0-9.-]+\+)?json")
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_QUOTED, _ESCAPED = re.compile(rb'"((?:[^"\\]|\\.)*)"'), re.compile(rb"\\(.)")
_ADDRESS = re.compile(r"[0-9a-f]{64}")
_FILE = "a SHA-256 address (64 lowercase hex digits), or an object of one, `sha256`, and a `name` (255 printable characters, no slashes)"


class NamedFile(NamedTuple):
    """An attachment by its address, and what it is called in this message; None: as it was called when it was sent."""

    address: str
    name: str | None = None


def submission_of(
    headers: Mapping[bytes, bytes], content: bytes, limit: int, caller: Caller
) -> tuple[Submission, tuple[NamedFile, ...]]:  # fmt: skip
    """What somebody sends, and the files that it names. The idempotency key is that of the header, else the event's id.

    Raises `WrongMedia`, `Malformed`, `TooLarge`, or `Invalid` with all faults of the envelope.
    """
    media = media_type(headers)
    key = _key(headers)
    if b"ce-type" in headers or b"ce-specversion" in headers:
        if not _JSON.fullmatch(media) or media.startswith("application/cloudevents"):
            raise _wrong(media, "the body of a binary event must be application/json")
        attributes, data = _binary(headers), parse(content, limit)
    elif media in ("application/json", "application/cloudevents+json"):
        attributes = parse_object(content, limit)
        if media != "application/json":
            attributes.setdefault("specversion", None)
        data = attributes.pop("data", None)
    else:
        raise _wrong(media, "messages come as application/json or application/cloudevents+json")
    _check(attributes)
    named = attributes.get("attachments", ())
    files = tuple([NamedFile(one) if isinstance(one, str) else NamedFile(one["sha256"], one["name"]) for one in named])
    return _submission(attributes, data, key, headers, caller), files


def media_type(headers: Mapping[bytes, bytes]) -> str:
    """The media type without its parameters; raises `WrongMedia` for a charset that is not UTF-8."""
    raw = headers.get(b"content-type", b"")
    if raw == b"application/json":
        return "application/json"
    media, *parameters = raw.decode("latin-1").lower().split(";")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise _wrong(raw.decode("latin-1"), "JSON is UTF-8")
    return media.strip()


def _wrong(media: str, hint: str) -> WrongMedia:
    return WrongMedia(f"the content type {media or '(none)'} is not taken here", hint=hint)


def _key(headers: Mapping[bytes, bytes]) -> str | None:
    raw = headers.get(b"idempotency-key")
    if raw is None:
        return None
    key = raw.decode("latin-1")
    if not 1 <= len(key) <= LONGEST or not key.isascii() or not key.isprintable():
        raise Malformed(
            "this Idempotency-Key is not taken", code="input.idempotency-key", hint=f"1 to {LONGEST} printable ASCII characters"
        )
    return key


def _binary(headers: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Attributes from ``ce-*`` headers."""
    found: dict[str, Any] = {name[3:].decode("latin-1"): _told(value) for name, value in headers.items() if name.startswith(b"ce-")}
    found.setdefault("specversion", "")
    if b"traceparent" in headers:
        found.setdefault("traceparent", headers[b"traceparent"].decode("latin-1"))
    return found


def _told(value: bytes) -> str | None:
    """What a header of an event says: UTF-8, perhaps in quotes, perhaps percent-encoded (CloudEvents HTTP binding §3.1.3.2)."""
    if quoted := _QUOTED.fullmatch(value):
        value = _ESCAPED.sub(rb"\1", quoted[1])
    try:
        return unquote_to_bytes(value).decode()
    except ValueError:
        return None


def _check(given: Mapping[str, Any]) -> None:
    faults = [fault for name, value in given.items() if (fault := _fault_of(name, value))]
    if "type" not in given:
        faults.append(_fault("type", "must be there"))
    if faults:
        raise Invalid(
            f"the envelope is not right: {faults[0]['pointer']}: {faults[0]['sentence']}",
            code="envelope.invalid",
            hint="a message is {type, data, id?, source?, subject?, attachments?}",
            faults=faults,
        )


def _fault_of(name: str, value: Any) -> dict[str, str] | None:
    """What is wrong with one attribute, if anything."""
    if name == "attachments":
        if not isinstance(value, list) or len(value) > MOST_FILES:
            return _fault(name, f"must be a list of at most {MOST_FILES} files")
        wrong = next((index for index, one in enumerate(value) if not _is_file(one)), None)
        if wrong is not None:
            return _fault(name, f"must be {_FILE}", wrong)
        twice = next((index for index, one in enumerate(value) if one in value[:index]), None)
        return None if twice is None else _fault(name, "is there before: name each file once, or under two names", twice)
    if name not in _ATTRIBUTES:
        return _fault(name, "there is no such attribute")
    if name == "specversion":
        return None if value == "1.0" else _fault(name, 'must be "1.0"')
    if not isinstance(value, str):
        return _fault(name, "must be text (in a header: UTF-8, percent-encoded)")
    longest = MAX_TYPE_LENGTH if name == "type" else LONGEST
    if not 1 <= len(value) <= longest or not value.isprintable():
        return _fault(name, f"must have 1 to {longest} characters, all of them printable")
    if name == "datacontenttype" and not _JSON.fullmatch(value):
        return _fault(name, "must be application/json")
    return None


def _is_file(given: Any) -> bool:
    if isinstance(given, dict):
        name = given.get("name")
        return given.keys() == {"sha256", "name"} and isinstance(name, str) and is_file_name(name) and _is_address(given["sha256"])
    return _is_address(given)


def _is_address(given: Any) -> bool:
    return isinstance(given, str) and _ADDRESS.fullmatch(given) is not None


def _fault(name: str, sentence: str, *below: int) -> dict[str, str]:
    return {"pointer": pointer((name, *below)), "sentence": sentence}


def _submission(
    given: Mapping[str, Any], data: JsonValue, key: str | None, headers: Mapping[bytes, bytes], caller: Caller
) -> Submission:  # fmt: skip
    get = given.get
    trace = get("traceparent") or headers.get(b"traceparent", b"").decode("latin-1")
    return Submission(
        type=given["type"], body=data, sender=caller.name, role=caller.role or "", source=get("source", ""), subject=get("subject"),
        key=key or get("id"), dataschema=get("dataschema"), correlationid=get("correlationid", ""), causationid=get("causationid"),
        # A trace that cannot be read is started anew, as W3C Trace Context wants.
        traceparent=trace if trace and _TRACE.fullmatch(trace) else None,
    )  # fmt: skip
