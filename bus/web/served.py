"""One declaration for each thing the API serves: it routes, it authorizes, and the OpenAPI document is made from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl

from bus.config import Role
from bus.errors import Invalid
from bus.web.answer import Answer, Call

Handler: TypeAlias = Callable[[Call], Awaitable[Answer]]
PROBLEMS: Mapping[int, str] = {
    400: "Not well-formed, or a header or limit is not respected.",
    401: "There is no valid API key.",
    403: "The key does not have the right to do this.",
    404: "There is no such thing here.",
    408: "The request did not come in time.",
    410: "It was erased: nobody can read it any more.",
    413: "Larger than the limit.",
    415: "A media type, or a content coding, that is not taken.",
    417: "Expect asks for something that nobody here does.",
    422: "Well-formed, but not valid; or in conflict with what was sent before.",
    429: "This key asks for too much at once.",
    431: "The headers are too large.",
    500: "Something unexpected went wrong.",
    503: "The bus takes no more for now.",
}
HEADERS: Mapping[str, str] = {
    "Accept-Encoding": "identity: of a body in a content coding, the one that is taken.",
    "Content-Disposition": "attachment; with the name of the file, where it has one.",
    "ETag": "Of the file: its address, in quotes.",
    "Idempotency-Status": "repeated: this message was taken before. Only then.",
    "Location": "The address of what was taken in.",
    "Preference-Applied": "wait=N: the seconds that the bus was ready to wait for the reply. Only where Prefer asked for it.",
    "Repr-Digest": "sha-256=:base64: of the file (RFC 9530).",
    "Retry-After": "Seconds to wait.",
    "Snodo-Receipt": "The signed promise, in base64. Not of a message that was taken without one.",
    "WWW-Authenticate": "How to say who asks.",
}
"""Headers of answers, beside those that every answer has (`bus.web.answer.STANDING`) and those of HTTP itself."""
SOMETIMES = frozenset({"Accept-Encoding", "Idempotency-Status", "Preference-Applied", "Snodo-Receipt"})
"""Those that are there under a condition."""
OF_PROBLEMS: Mapping[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    415: ("Accept-Encoding",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
ALWAYS = frozenset({400, 417, 422, 431, 500, 503})
"""Problems that every address can answer with."""
BODY = frozenset({408, 413, 415})
"""Those of every address that takes a body, besides."""

_AS_HEADERS: Mapping[str, tuple[str, str]] = {
    "wait": ("Prefer", "Prefer: wait=N"),
    "purpose": ("Snodo-Purpose", "Snodo-Purpose: …"),
    "key": ("Idempotency-Key", "Idempotency-Key: …"),
}
"""What is looked for in a query, and is said in a header: its name, and an example."""


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of a request. What stands in the path is always ``required``."""

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    place: Literal["path", "query", "header"] = field(kw_only=True)
    required: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """One method of one address. ``roles`` empty: no key needed. ``answers``: status to (description, schema, media type or nothing).

    ``problems``: those of its own, besides what all have like it. ``headers``: of each answer, of `HEADERS`.
    """

    name: str
    method: str
    path: str
    handler: Handler
    summary: str
    roles: frozenset[Role]
    answers: Mapping[int, tuple[str, str, str]]
    problems: Collection[int] = ()
    fields: tuple[Field, ...] = ()
    body: Mapping[str, str] = field(default_factory=dict)
    tag: str = "messages"
    headers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def query(self, text: bytes) -> dict[str, str]:
        """The parameters of a query; raises `Invalid` for one that is not declared, or is there twice."""
        if not text:
            return {}
        try:
            pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict")
        except ValueError:
            raise Invalid("the query cannot be read", code="input.query", hint="percent-encode it as UTF-8") from None
        given, known = dict(pairs), [one.name for one in self.fields if one.place == "query"]
        for name in given:
            if name not in known:
                hint = self._as_header(name) or f"known here: {', '.join(known) or 'none'}"
                raise Invalid(f"there is no parameter {name!r}", code="input.query", hint=hint)
        if len(given) < len(pairs):
            twice = next(name for name in given if [one for one, _ in pairs].count(name) > 1)
            raise Invalid(f"the parameter {twice!r} is there twice", code="input.query", hint="keep one of the two")
        return given

    def _as_header(self, name: str) -> str:
        """How to say in a header what somebody looked for in the query."""
        header, example = _AS_HEADERS.get(name.lower(), ("", ""))
        return f"it is a header: {example}" if any(one.name == header for one in self.fields) else ""

    def all_problems(self) -> list[int]:
        keyed = {401, 403, 429} if self.roles else set()
        return sorted({*self.problems, *keyed, *ALWAYS, *(BODY if self.body else ())})
