"""REST: a client for adapters. `RestClient.send` makes one HTTP exchange and says how it ended:

======================================= ==========================================================================================
no byte of the request left             `Unreachable` (refused, DNS, TLS, connect timeout); so is our certificate not taken
left, no usable answer                  `InDoubt`; `Unreachable` for a ``read``
408, 425, 429                           `Unreachable`, with ``retry_after`` (seconds) when the system said when
503                                     as above; `InDoubt` for ``once`` and ``queryable`` where it does not say when: so does a proxy whose
                                        system took too long, or hung up, when the work may be done
403 that says when                      `Unreachable`: so Azure API Management tells of a quota that is used up
403 with a page for people              as no usable answer, unless the caller is sure: a firewall before the system wrote it, and some do
                                        when they have seen what the system answers, and the work is done
404 with a page for people              `Unreachable`, unless the caller is sure: a server before the system does not know where that is; of
                                        what was asked for nobody has said anything
401, to a token that was kept           `Unreachable`: it may be over, and the next try has another
other 4xx                               `Refused`, with the declared code the problem+json names, else ``HTTP_<status>``
other status that was not expected      `InDoubt`; `Unreachable` for a ``read``
======================================= ==========================================================================================

Whether a byte left is not guessed from exception types: the connection tells. One deadline over the whole exchange, replies limited in
size, JSON read strictly.
"""

from __future__ import annotations

import codecs
import json
import math
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NoReturn, TypeVar
from urllib.parse import urlencode, urlsplit

from pydantic import BaseModel, Field, ValidationError

from adapters.http.link import ALONE, Link, LinkSettings
from adapters.http.message import inflated
from adapters.http.outcome import KEPT_OUT, asked_for, exchanged, is_page, led_away, no_answer, refuse_cut, retry_after_of
from adapters.http.tokens import Credentials, Tokens
from adapters.shapes import FORM, WebAddress, faults_of
from bus.adapter import Call, Effect, OutsideError, Refused, Unreachable, Wire
from bus.message import canonical

M = TypeVar("M", bound=BaseModel)
Hook = Callable[[str, str, bytes, Call], Mapping[str, str]]
"""``(method, path, body, ctx) -> headers``: what must be computed per request, such as ``Digest`` or ``Agid-JWT-Signature``."""

_CHARSET = re.compile(r"charset\s*=\s*\"?(iso-?8859-[0-9]{1,2}|latin-?1|windows-125[0-9]|cp125[0-9]|utf-16)\b", re.IGNORECASE)
NOT_NOW = frozenset({408, 425, 429})
USUAL = frozenset({"accept", "content-type", "user-agent", "x-correlation-id", "x-request-id", "traceparent"})
"""Headers that every request of ours has, where they have a value."""
DEPTH = 40
HTTP_REFUSALS: Mapping[str, str] = MappingProxyType(
    {
        "HTTP_400": "the system could not read the request",
        "HTTP_401": "our credentials are not valid",
        "HTTP_403": "our credentials do not allow this",
        "HTTP_404": "no such resource",
        "HTTP_409": "in conflict with the state of the resource",
        "HTTP_412": "a precondition does not hold",
        "HTTP_413": "the request is too large",
        "HTTP_415": "the media type is not taken",
        "HTTP_422": "the content is not acceptable",
        "HTTP_4XX": "refused with another 4xx status",
    }
)
"""What any HTTP system may refuse with; part of the ``refusals`` of every operation made with `RestClient`."""


def strict_json(data: bytes) -> Any:
    """JSON from outside: raises ValueError on duplicate keys, NaN, infinities, bytes that are not UTF-8 and depth beyond 40."""
    try:
        value = _STRICT.decode(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deep") from None
    _check_depth(value, DEPTH)
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    if math.isfinite(number := float(text)):
        return number
    raise ValueError("a number is too large")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:  # of more digits than Python reads
        raise ValueError("a number is too large") from None


_STRICT = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole)


def _check_depth(value: Any, allowed: int) -> None:
    if not isinstance(value, (dict, list)):
        return
    if allowed == 0:
        raise ValueError("nested too deep")
    for inner in value.values() if isinstance(value, dict) else value:
        _check_depth(inner, allowed - 1)


@dataclass(frozen=True, slots=True)
class RestReply:
    """What came back with an expected status. Header names are lowercase."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    effect: Effect

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    @property
    def kind(self) -> str:
        """Status, media type and coding, for a sentence."""
        coding = self.headers.get("content-encoding", "")
        return f"HTTP {self.status}, {self.media_type[:100] or 'of no media type'}" + (f" coded in {coding[:100]}" if coding else "")

    @property
    def text(self) -> bytes:
        """The body in UTF-8: without the mark that may stand before it (RFC 8259 §8.1), and out of the charset that its media type says."""
        said = _CHARSET.search(self.headers.get("content-type", ""))
        try:
            return self.body.decode(said[1]).encode() if said else self.body.removeprefix(codecs.BOM_UTF8)
        except (LookupError, ValueError):
            return self.body

    def json(self) -> Any:
        """The body as JSON; an unreadable one is a call without a usable answer."""
        try:
            return strict_json(self.text)
        except UnicodeDecodeError:
            why = f"{self.kind}, and not in UTF-8"
        except ValueError as error:
            why = self.kind if self.media_type and "json" not in self.media_type else str(error) if self.body else "it is empty"
        raise no_answer(self.effect, f"the reply is not JSON: {why}", answered=not is_page(self.headers))

    def is_absent(self, system: str) -> bool:
        """Whether the system has no such thing. A gateway's 404 says nothing of it: that is no answer (`bus.adapter.OutsideError`)."""
        if self.status != 404:
            return False
        said = self.json()
        if not isinstance(said, dict) or "statusCode" in said:  # as Azure API Management says it of an address that it does not serve
            raise no_answer(self.effect, f"a 404 that is not {system}'s: look at the address in the settings")
        return True

    def model(self, kind: type[M], under: str = "", *, extra: Literal["ignore"] | None = None) -> M:
        """The body as a model of the system's own contract; a body of another shape is a call without a usable answer.

        ``under``: the body is the value of that field. ``extra="ignore"`` leaves alone what ``kind`` does not know.
        """
        return self._fitted(kind, {under: self.json()} if under else self.json(), extra)

    def located(self, kind: type[M], field: str) -> M:
        """As `model`, with what the header ``Location`` says as ``field``; a body that is no JSON, as redirections have, says nothing."""
        in_json = "json" in self.media_type or (self.status < 300 and not self.media_type)
        said = self.json() if self.body and in_json else None
        return self._fitted(kind, {**(said if isinstance(said, dict) else {}), field: self.headers.get("location")})

    def _fitted(self, kind: type[M], value: Any, extra: Literal["ignore"] | None = None) -> M:
        try:
            return kind.model_validate(value, extra=extra)
        except ValidationError as error:
            raise no_answer(self.effect, f"the reply does not have the agreed shape: {faults_of(error)}", answered=True) from None

    def without_content(self, kind: type[M]) -> M:
        """The model that nothing is said of; one that must say something is a call without a usable answer."""
        try:
            return kind.model_validate({})
        except ValidationError as error:
            raise no_answer(self.effect, f"HTTP {self.status}, a success without content: {faults_of(error)}", answered=True) from None


@dataclass(frozen=True, slots=True)
class Written:
    """A body that is written already; empty where there is none."""

    content: bytes = b""
    media_type: str = ""


class RestSettings(LinkSettings):
    """What every REST system needs in ``config.yaml``; adapters extend it."""

    url: WebAddress = Field(pattern=r"^[^?#]*$", description="base address of the system, without query")
    connect_timeout: float = Field(3.0, gt=0, description="seconds to wait for a connection")
    max_bytes: int = Field(5_000_000, gt=0, description="largest reply taken")
    pool: int = Field(16, ge=1, description="connections kept open")


@dataclass(slots=True)
class RestClient:
    """One system's HTTP side. Thread-safe. ``headers`` go with every request and are never shown; so is what ``hooks`` add, and the token
    where ``credentials`` say how to get one.
    """

    settings: RestSettings
    headers: Mapping[str, str] = field(default_factory=dict)
    hooks: Sequence[Hook] = ()
    credentials: Credentials | None = None
    _link: Link = field(init=False)
    _tokens: Tokens | None = field(init=False)

    def __post_init__(self) -> None:
        self._link = self.settings.link(self.settings.connect_timeout, self.settings.pool)
        self._tokens = self.credentials.tokens(self.settings.url.rstrip("/"), self.settings.proxy) if self.credentials else None

    def send(
        self,
        ctx: Call,
        effect: Effect,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        body: Any = None,
        form: bool = False,
        headers: Mapping[str, str] | None = None,
        expect: Sequence[int] = (200,),
        refusals: Mapping[str, str] | None = None,
        idempotent: bool = False,
        sure: Collection[str] = (),
    ) -> RestReply:
        """One exchange. ``path`` is already quoted; ``body`` is JSON, sent in its canonical form (`bus.message.canonical`), a ``form``, or
        what is `Written` already.

        ``idempotent`` sends ``ctx.key`` as ``Idempotency-Key``; ``refusals`` are the declared codes a 4xx may name, ``sure`` those that are
        one also where a page says them (``HTTP_403``, ``HTTP_404``).
        """
        written, begun = _written(body, form=form), time.monotonic()
        content = written.content
        wanted = {**_usual_headers(ctx, written.media_type), **self.headers, **(headers or {})}
        if idempotent:
            wanted["Idempotency-Key"] = ctx.key
        for hook in self.hooks:
            wanted.update(hook(method, path, content, ctx))
        if self._tokens is not None:
            kind = next((value for name, value in wanted.items() if name.lower() == "content-type"), "")
            wanted.update(self._tokens.headers(ctx, content, kind))
        line = f"{method} {urlsplit(self.settings.url).path.rstrip('/')}{path}"
        search = urlencode(query or {}, doseq=True)
        asked = Wire("out", content or search.encode(), written.media_type or FORM, line)
        address = f"{self.settings.url.rstrip('/')}{path}" + (f"?{search}" if search else "")
        reply = self._exchange(ctx, effect, method, address, content, wanted, asked)
        if reply.status == 401 and self._tokens is not None:
            self._tokens.refuse(line, wanted["Authorization"], begun)
        if reply.status not in expect:
            raise _ended_badly(reply, ctx, refusals or {}, sure, line)
        return reply

    def close(self) -> None:
        self._link.close()

    def _exchange(
        self, ctx: Call, effect: Effect, method: str, address: str, content: bytes, headers: Mapping[str, str], asked: Wire
    ) -> RestReply:
        limit, line = self.settings.max_bytes, asked.note
        exchange = partial(self._link.exchange, method, address, content, headers, limit=limit, fresh=effect in ALONE)
        reply = exchanged(ctx, effect, line, asked, exchange)
        transaction = reply.headers.get("govway-transaction-id")
        note = f"{reply.status} {line}" + (f" GovWay-Transaction-ID {transaction}" if transaction else "")
        ctx.wire("in", reply.body, reply.headers.get("content-type", "application/octet-stream"), note)
        refuse_cut(reply, limit, effect, line)
        # Some gateways compress what was asked for as it is.
        return RestReply(reply.status, reply.headers, inflated(reply.body, reply.headers, limit), effect)


def _written(body: Any, *, form: bool) -> Written:
    if isinstance(body, Written):
        return body
    if body is None:
        return Written()
    if not form:
        return Written(canonical(body), "application/json")
    content = urlencode(as_texts(body), doseq=True).encode()
    return Written(content, FORM if content else "")


def as_texts(values: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Values as addresses and forms have them; what is null is left out."""
    there = {name: value for name, value in values.items() if value is not None}
    return {name: [*map(as_text, value)] if isinstance(value, list) else as_text(value) for name, value in there.items()}


def as_text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _usual_headers(ctx: Call, kind: str) -> dict[str, str]:
    found = {"Accept": "application/json, application/problem+json", "Accept-Encoding": "identity", "User-Agent": "snodo"}
    if kind:
        found["Content-Type"] = kind
    if ctx.correlation_id:
        found["X-Correlation-ID"] = ctx.correlation_id
    if ctx.key:
        found["X-Request-Id"] = f"{ctx.key[:32]}-{ctx.attempt}"
    if ctx.traceparent:
        found["traceparent"] = ctx.traceparent
    return found


def _ended_badly(reply: RestReply, ctx: Call, refusals: Mapping[str, str], sure: Collection[str], line: str) -> OutsideError:
    """The error that a status nobody expected stands for."""
    sentence = f"{line}: HTTP {reply.status}"
    if _is_not_now(reply):
        return Unreachable(sentence, retry_after=retry_after_of(reply.headers, ctx.now), outside_code=f"HTTP_{reply.status}")
    if is_page(reply.headers) and f"HTTP_{reply.status}" not in sure:
        if reply.status == 403:
            sentence += ", with a page: a firewall before the system does not let us through, or what the system answers"
            return no_answer(reply.effect, sentence, outside_code="HTTP_403", locked_out=True)
        if reply.status == 404:
            sentence += ", with a page that is not the system's: look at the address in the settings"
            return Unreachable(sentence, outside_code="HTTP_404")
    problem = _problem_of(reply)
    if 400 <= reply.status < 500:
        code = _code_of(reply.status, problem, refusals)
        named = "" if code == f"HTTP_{reply.status}" else f", {code}"
        meaning = refusals.get(code) or HTTP_REFUSALS.get(code, "")
        kept_out = reply.status in KEPT_OUT and (reply.status == 401 or not named)
        wanted = asked_for(reply.headers) if reply.status == 401 else ""
        return Refused(f"{sentence}{named}: {meaning}{wanted}", outside_code=code, evidence=problem or None, locked_out=kept_out)
    if reply.status < 300:
        sentence += ", a success of another kind than this operation expects"
    sentence += led_away(reply.status)
    return no_answer(reply.effect, sentence, outside_code=f"HTTP_{reply.status}", evidence=problem or None)


def _is_not_now(reply: RestReply) -> bool:
    """Whether a status says that nothing was done, and that we may come again."""
    if reply.status in (403, 503) and "retry-after" in reply.headers:
        return True
    return reply.status in NOT_NOW or (reply.status == 503 and reply.effect not in ALONE)


def _problem_of(reply: RestReply) -> dict[str, Any]:
    """The problem+json of a reply, or nothing."""
    try:
        value = strict_json(reply.text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _code_of(status: int, problem: Mapping[str, Any], refusals: Mapping[str, str]) -> str:
    """The declared code that a problem names in ``code``, at the end of ``type``, or as ``title``; else one made of the status."""
    said = (problem.get("code"), str(problem.get("type", "")).rpartition("/")[2], problem.get("title"))
    for code in said:
        if isinstance(code, str) and code in refusals:
            return code
    plain = f"HTTP_{status}"
    return plain if plain in HTTP_REFUSALS or plain in refusals else "HTTP_4XX"
