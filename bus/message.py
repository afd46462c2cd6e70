"""Messages: what one system says. Immutable; an envelope and a body.

The envelope is CloudEvents 1.0 (``id``, ``source``, ``type``, ``subject``, ``time``, ``datacontenttype``, ``dataschema``)
with the extensions ``correlationid``, ``causationid``, ``key``, ``traceparent`` and ``sender`` (who was authenticated,
while ``source`` is what the sender claims). Bodies are JSON; XML and files are attachments, known by their SHA-256.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import operator
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import orjson

from bus.clock import text_of

JsonValue: TypeAlias = "None | bool | int | float | str | list[JsonValue] | dict[str, JsonValue]"
JsonObject: TypeAlias = "dict[str, JsonValue]"

MAX_TYPE_LENGTH = 120
EXACT = 2**53
"""The largest whole number up to which all are numbers with decimals, too (IEEE 754)."""


class Attachment(NamedTuple):
    """A file that travels beside a message: ``sha256`` (lowercase hex) is its address, ``size`` in bytes."""

    sha256: str
    size: int
    media_type: str
    name: str


def is_file_name(text: str) -> bool:
    """Whether a file may be called so: 1 to 255 printable characters, no slashes, not dots and blanks alone."""
    return bool(text.strip(" .")) and len(text) <= 255 and text.isprintable() and "/" not in text and "\\" not in text


class Message(NamedTuple):
    """One message. ``id`` is a UUIDv7 given by the bus; ``time`` is when the bus accepted it (UTC).

    A named tuple, as all that is made for every message: it cannot change, and is made in a third of a frozen dataclass's time.
    """

    id: str
    type: str
    source: str
    time: dt.datetime
    body: JsonValue
    sender: str = ""
    subject: str | None = None
    datacontenttype: str = "application/json"
    dataschema: str | None = None
    correlationid: str = ""
    causationid: str | None = None
    key: str | None = None
    traceparent: str | None = None
    attachments: tuple[Attachment, ...] = ()


class _Ids:
    """UUIDv7 (RFC 9562 §6.2 method 1): milliseconds, then a counter, so ids of one process never go back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._counter = 0
        self._head = ""

    def next(self) -> str:
        with self._lock:
            now = time.time_ns() // 1_000_000
            if now > self._last:
                self._begin(now, _random.getrandbits(11))
            elif self._counter == 0xFFF:
                self._begin(self._last + 1, 0)
            else:
                self._counter += 1
            head, counter = self._head, self._counter
        tail = f"{_random.getrandbits(62) | 1 << 63:016x}"
        return f"{head}{counter:03x}-{tail[:4]}-{tail[4:]}"

    def _begin(self, milliseconds: int, counter: int) -> None:
        """The first id of a millisecond: the text up to the counter is the same for all of them."""
        self._last, self._counter = milliseconds, counter
        text = f"{milliseconds:012x}"
        self._head = f"{text[:8]}-{text[8:]}-7"


_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{64}")
_random = random.Random()
"""Seeded by the system at start. Ids need to differ, not to be secret: a system call for each took longer than the rest."""
os.register_at_fork(after_in_child=_random.seed)
new_id = _Ids().next
"""A fresh UUIDv7 as text; increasing within a process; thread-safe; about 1 µs."""


def as_id(text: str) -> str:
    """An id as the bus writes it: in capitals a UUID, or the SHA-256 of a file, is the same (RFC 9562 §4). Any other text as it is."""
    return text.lower() if _HEXADECIMAL.fullmatch(text) else text


def canonical(value: Any) -> bytes:
    """The one byte form of a JSON value: sorted keys, UTF-8, no blanks. Raises TypeError on what JSON cannot say."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def parsed(text: bytes) -> Any:
    """The value of JSON that the bus itself wrote; for text from outside see `bus.jsontext`."""
    return orjson.loads(text)


def as_kept(value: Any) -> JsonValue:
    """A JSON value as the log gives it back to whoever reads it later. Raises TypeError on what JSON cannot say."""
    kept: JsonValue = parsed(canonical(value))
    return kept


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical form of a JSON value."""
    return hashlib.sha256(canonical(value)).hexdigest()


def has_decimals(value: JsonValue) -> bool:
    """Whether a number of it is written with decimals, be they zeros."""
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, float):
            return True
        todo.extend(one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
    return False


def in_one_writing(value: JsonValue) -> JsonValue:
    """The value with its whole numbers as such: 12.0 and 12 are the same number in two writings."""
    return with_numbers(value, lambda path: "integer") if has_decimals(value) else value


def with_numbers(value: JsonValue, kind: Callable[[tuple[str, ...]], str], path: tuple[str, ...] = ()) -> JsonValue:
    """The value, whose whole numbers are of the kind that ``kind`` says of their paths: ``integer``, ``number`` (with decimals), or any."""
    if isinstance(value, dict):
        return {name: with_numbers(inner, kind, (*path, name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_numbers(inner, kind, (*path, "[]")) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT and kind(path) == "integer":
        return int(value)
    if type(value) is int and abs(value) <= EXACT and kind(path) == "number":
        return float(value)
    return value


def texts_in(value: JsonValue) -> Iterator[str]:
    """All texts in a JSON value, names of fields left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts_in(inner)


def without_nulls(value: JsonValue) -> JsonValue:
    """A JSON value without the fields that are null, as requests are kept; null items of lists stay."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def envelope_of(message: Message) -> dict[str, Any]:
    """The message as a CloudEvents JSON object without ``data``; absent attributes are left out."""
    given = zip(_ENVELOPE_NAMES, _envelope_values(message), strict=True)
    envelope: dict[str, Any] = {name: value for name, value in given if value is not None and value != ""}
    envelope["specversion"] = "1.0"
    envelope["time"] = text_of(message.time)
    if message.attachments:
        envelope["attachments"] = [file._asdict() for file in message.attachments]
    return envelope


_ENVELOPE_NAMES = (
    "id", "source", "type", "subject", "datacontenttype", "dataschema",
    "correlationid", "causationid", "key", "traceparent", "sender",
)  # fmt: skip
_envelope_values = operator.attrgetter(*_ENVELOPE_NAMES)


def message_of(envelope: Mapping[str, Any], body: JsonValue) -> Message:
    """The inverse of `envelope_of`."""
    known = {name: envelope[name] for name in _ENVELOPE_NAMES if name in envelope}
    known["time"] = dt.datetime.fromisoformat(envelope["time"]).astimezone(dt.UTC)
    files = tuple(Attachment(**a) for a in envelope.get("attachments", ()))
    return Message(body=body, attachments=files, **known)
