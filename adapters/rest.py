"""REST: a client for adapters over `adapters.http`, and an adapter that is all configuration (`Rest`).

`RestClient.send` makes one HTTP exchange and says how it ended:

======================================= ==========================================================================================
no byte of the request left             `Unreachable` (refused, DNS, TLS, connect timeout); so is our certificate not taken
left, no usable answer                  `InDoubt`; `Unreachable` for a ``read``
408, 425, 429, 503                      `Unreachable`, with ``retry_after`` (seconds) when the system said when
other 4xx                               `Refused`, with the declared code the problem+json names, else ``HTTP_<status>``
other status that was not expected      `InDoubt`; `Unreachable` for a ``read``
======================================= ==========================================================================================

Whether a byte left is not guessed from exception types: the connection tells. One deadline over the whole exchange, replies limited in
size, JSON read strictly.
"""

from __future__ import annotations

import codecs
import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NoReturn, Self, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from pydantic import BaseModel, Field, ValidationError, model_validator

from adapters.http.crossing import crossing
from adapters.http.link import ALONE, Link, LinkSettings
from adapters.http.message import Reply, inflated
from adapters.http.outcome import ELSEWHERE, errors, is_page, no_answer, reason, retry_after_of
from adapters.openapi import BODY, DEEP, IN_PATH, Described, alternatives, document_of, model_of
from adapters.shapes import IN_BAND, Configured, ConfiguredOperation, Shape, WebAddress, WebHeaders, faults_of, refused_in_band, shape_of
from bus.adapter import Call, Effect, LocalFile, Operation, OutsideError, Refused, Settings, Text, Unreachable
from bus.message import canonical

M = TypeVar("M", bound=BaseModel)
Hook = Callable[[str, str, bytes, Call], Mapping[str, str]]
"""``(method, path, body, ctx) -> headers``: what must be computed per request, such as ``Digest`` or ``Agid-JWT-Signature``."""

_CHARSET = re.compile(r"charset\s*=\s*\"?(iso-8859-[0-9]{1,2}|windows-125[0-9]|utf-16)\b", re.IGNORECASE)
NOT_NOW = frozenset({408, 425, 429, 503})
_OURS = frozenset({"accept", "content-type", "user-agent", "x-correlation-id", "x-request-id", "traceparent"})
"""Headers that every request of ours has, where they have a value."""
_WITH_BODY = ("POST", "PUT", "PATCH")
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


_STRICT = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_no_constant, parse_float=_finite)


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
        value = {under: self.json()} if under else self.json()
        try:
            return kind.model_validate(value, extra=extra)
        except ValidationError as error:
            raise no_answer(self.effect, f"the reply has not the agreed shape: {faults_of(error)}", answered=True) from None

    def without_content(self, kind: type[M]) -> M:
        """The model that nothing is said of; one that must say something is a call without a usable answer."""
        try:
            return kind.model_validate({})
        except ValidationError as error:
            raise no_answer(self.effect, f"HTTP {self.status}, a success without content: {faults_of(error)}", answered=True) from None


class RestSettings(LinkSettings):
    """What every REST system needs in ``config.yaml``; adapters extend it."""

    url: WebAddress = Field(pattern=r"^[^?#]*$", description="base address of the system, without query")
    connect_timeout: float = Field(3.0, gt=0, description="seconds to wait for a connection")
    max_bytes: int = Field(5_000_000, gt=0, description="largest reply taken")
    pool: int = Field(16, ge=1, description="connections kept open")


@dataclass(slots=True)
class RestClient:
    """One system's HTTP side. Thread-safe. ``headers`` go with every request and are never shown; so is what ``hooks`` add."""

    settings: RestSettings
    headers: Mapping[str, str] = field(default_factory=dict)
    hooks: Sequence[Hook] = ()
    _link: Link = field(init=False)

    def __post_init__(self) -> None:
        self._link = self.settings.link(self.settings.connect_timeout, self.settings.pool)

    def send(
        self,
        ctx: Call,
        effect: Effect,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | list[str]] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        expect: Sequence[int] = (200,),
        refusals: Mapping[str, str] | None = None,
        idempotent: bool = False,
    ) -> RestReply:
        """One exchange. ``path`` is already quoted; ``body`` is JSON, sent in its canonical form (`bus.message.canonical`).

        ``idempotent`` sends ``ctx.key`` as ``Idempotency-Key``; ``refusals`` are the declared codes a 4xx may name.
        """
        content = b"" if body is None else canonical(body)
        wanted = {**_usual_headers(ctx, content), **self.headers, **(headers or {})}
        if idempotent:
            wanted["Idempotency-Key"] = ctx.key
        for hook in self.hooks:
            wanted.update(hook(method, path, content, ctx))
        line = f"{method} {urlsplit(self.settings.url).path.rstrip('/')}{path}"
        search = urlencode(query or {}, doseq=True)
        ctx.wire("out", content or search.encode(), "application/json" if content else "application/x-www-form-urlencoded", line)
        address = f"{self.settings.url.rstrip('/')}{path}" + (f"?{search}" if search else "")
        reply = self._exchange(ctx, effect, method, address, content, wanted, line)
        if reply.status not in expect:
            raise _ended_badly(reply, ctx, refusals or {}, line)
        return reply

    def close(self) -> None:
        self._link.close()

    def _exchange(
        self, ctx: Call, effect: Effect, method: str, address: str, content: bytes, headers: Mapping[str, str], line: str
    ) -> RestReply:
        with crossing(ctx.timeout) as going:
            try:
                limit = self.settings.max_bytes
                reply = self._link.exchange(method, address, content, headers, limit=limit, fresh=effect in ALONE)
                return self._read(ctx, effect, reply, line)
            except errors() as error:
                sentence = f"{line}: {reason(error)}"
                raise no_answer(effect if going.left else "read", sentence) from None

    def _read(self, ctx: Call, effect: Effect, reply: Reply, line: str) -> RestReply:
        """Keep what came, be it whole or not."""
        transaction = reply.headers.get("govway-transaction-id")
        note = f"{reply.status} {line}" + (f" GovWay-Transaction-ID {transaction}" if transaction else "")
        ctx.wire("in", reply.body, reply.headers.get("content-type", "application/octet-stream"), note)
        if reply.failed is not None:
            raise reply.failed
        if len(reply.body) > self.settings.max_bytes:
            raise no_answer(effect, f"{line}: the reply is larger than {self.settings.max_bytes} bytes", answered=True)
        # Some gateways compress what was asked for as it is.
        return RestReply(reply.status, reply.headers, inflated(reply.body, reply.headers, self.settings.max_bytes), effect)


def _usual_headers(ctx: Call, content: bytes) -> dict[str, str]:
    found = {"Accept": "application/json, application/problem+json", "Accept-Encoding": "identity", "User-Agent": "snodo"}
    if content:
        found["Content-Type"] = "application/json"
    if ctx.correlation_id:
        found["X-Correlation-ID"] = ctx.correlation_id
    if ctx.key:
        found["X-Request-Id"] = f"{ctx.key[:32]}-{ctx.attempt}"
    if ctx.traceparent:
        found["traceparent"] = ctx.traceparent
    return found


def _ended_badly(reply: RestReply, ctx: Call, refusals: Mapping[str, str], line: str) -> OutsideError:
    """The error that a status nobody expected stands for."""
    sentence = f"{line}: HTTP {reply.status}"
    if reply.status in NOT_NOW:
        return Unreachable(sentence, retry_after=retry_after_of(reply.headers, ctx.now), outside_code=f"HTTP_{reply.status}")
    problem = _problem_of(reply)
    if 400 <= reply.status < 500:
        code = _code_of(reply.status, problem, refusals)
        named = "" if code == f"HTTP_{reply.status}" else f", {code}"
        meaning = refusals.get(code) or HTTP_REFUSALS.get(code, "")
        return Refused(f"{sentence}{named}: {meaning}", outside_code=code, evidence=problem or None)
    if reply.status < 300:
        sentence += ", a success of another kind than this operation expects"
    elif reply.status < 400:
        sentence += ELSEWHERE
    return no_answer(reply.effect, sentence, outside_code=f"HTTP_{reply.status}", evidence=problem or None)


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


# -- a REST system by configuration alone ---------------------------------------------------------------------------------


class FailedWhen(Settings):
    """How the system says no inside a success: ``field`` of the reply equals ``equals``; ``code`` names the field with the reason. Names of
    fields within fields are joined with dots.
    """

    field: Text = Field(description="of the reply")
    equals: str | int | bool = Field(description="the value that means no")
    code: str | None = Field(None, description="the field with the reason")


class RestOperation(ConfiguredOperation):
    """One operation of a configured system. Fields of the request that are neither in ``path`` nor in ``query`` travel in the JSON body.

    With ``openapi`` it is named by its ``operation`` (operationId), or by ``method`` and ``path``, and the document says the rest.
    """

    operation: str = Field("", description="operationId in the OpenAPI document")
    method: Literal["", "GET", "POST", "PUT", "PATCH", "DELETE"] = Field("", description="of HTTP")
    path: str = Field("", pattern=r"^(/[^?#\s]*)?$", description="behind the `url` of the system; may hold {field}")
    request: Shape | None = Field(None, description="JSON Schema of an object; none: the OpenAPI document says it")
    answer: Shape | None = Field(None, description="JSON Schema of an object; none: the OpenAPI document says it")
    query: tuple[str, ...] = Field((), description="fields of the request that travel in the query")
    settle: float = Field(0.0, ge=0, description="seconds after which a call that timed out can take effect no more")
    success: tuple[int, ...] = Field((), description="statuses that mean yes; empty: those of the OpenAPI document, else 200, 201, 204")
    refusals: dict[str, str] = Field(default_factory=dict, description="code of the problem, or HTTP_<status> -> sentence")
    failed_when: FailedWhen | None = Field(None, description="how it says no inside a success")


class ConfiguredSettings(RestSettings):
    """Settings of the adapter ``rest``."""

    openapi: LocalFile = Field("", description="path of the system's OpenAPI document (YAML or JSON): it types requests and answers")
    headers: WebHeaders = Field(default_factory=dict, description="sent with every request, e.g. Ocp-Apim-Subscription-Key")
    validate_replies: bool = Field(True, description="false takes answers that stray from the OpenAPI document")
    operations: dict[str, RestOperation] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_there(self) -> Self:
        """Each operation is described here or in the document."""
        for name, one in self.operations.items():
            if self.openapi:
                self.described(name)
            elif not (one.method and one.path and one.request and one.answer):
                raise ValueError(f"operations.{name} needs method, path, request and answer, or an `openapi` document that says them")
        return self

    def described(self, name: str) -> Described | None:
        """What the OpenAPI document says of an operation; None without one. Raises ValueError when it has no such operation."""
        if not self.openapi:
            return None
        asked, document = self.operations[name], document_of(Path(self.openapi).resolve())
        found = document.operation(asked.operation, asked.method, asked.path)
        if found is None:
            wanted = asked.operation or f"{asked.method} {asked.path}"
            near = difflib.get_close_matches(asked.operation, document.names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(document.names[:12]) or 'none with an operationId'}"
            raise ValueError(f"operations.{name}: {self.openapi} has no operation {wanted}; {hint}")
        return found


class Rest(Configured):
    """A REST system with JSON bodies, described in ``config.yaml``: its operations exist per instance."""

    Settings = ConfiguredSettings

    def __init__(self, name: str, settings: ConfiguredSettings) -> None:
        super().__init__(name, settings)
        self._client = RestClient(settings, settings.headers)
        self._described = {name: described for name in settings.operations if (described := settings.described(name))}
        judged = settings.validate_replies
        self._offer({name: _declared(name, one, self._described.get(name), judged) for name, one in settings.operations.items()})

    def close(self) -> None:
        self._client.close()

    def check(self) -> Iterable[str]:
        """Does every header go with a request that the OpenAPI document asks for, is its body JSON, and every field somewhere?"""
        for name in self.settings.operations:
            yield from (f"operations.{name}: {sentence}" for sentence in self._misplaced(name))
        ours = {*_OURS, *(name.lower() for name in self.settings.headers)}
        for name, described in self._described.items():
            keyed = {"idempotency-key"} if self.operations[name].effect == "keyed" else set()
            for header in described.headers:
                if header.lower() not in ours | keyed:
                    yield f"operations.{name}: the contract asks for the header {header}, say it under `headers`"
            if described.media:
                yield f"operations.{name}: the contract asks for a body of {' or '.join(described.media)}, `rest` sends JSON alone"

    def _misplaced(self, name: str) -> Iterator[str]:
        """What of a request would go nowhere, and what an address asks for that no request has."""
        asked, described = self.settings.operations[name], self._described.get(name)
        method, path, query = (described.method, described.path, described.query) if described else (asked.method, asked.path, asked.query)
        forms = alternatives(described.request if described and asked.request is None else asked.request or {})
        fields = {field for form in forms for field in form.get("properties", {})}
        in_path = set(IN_PATH.findall(path))
        absent, lost = (in_path | set(asked.query)) - fields, fields - in_path - set(query)
        undoes = any(one.undo in (name, f"{self.name}.{name}") for one in self.settings.operations.values())
        if method in _WITH_BODY or undoes:  # what takes another call back is asked with all that this one answered
            lost = set()
        yield from (f"{field} stands in the address, and the request has no such field" for field in sorted(absent))
        yield from (f"{field} stands neither in `path` nor in `query`, and {method} goes without a body" for field in sorted(lost))

    def _ask(self, operation_name: str, request: BaseModel, ctx: Call) -> BaseModel:
        asked: RestOperation = self.settings.operations[operation_name]
        declared, described = self.operations[operation_name], self._described.get(operation_name)
        fields = request.model_dump(mode="json", exclude_none=described is None)
        method, template, asks, joined = (
            (described.method, described.path, described.query, described.joined)
            if described
            else (asked.method, asked.path, asked.query, {})
        )
        path, query, body = _parts_of(template, asks, fields, joined)
        reply = self._client.send(
            ctx, asked.effect, method, path, query=query,
            body=None if method not in _WITH_BODY else body.get(BODY) if described and described.whole else body,
            expect=asked.success or (described.success if described else (200, 201, 204)), refusals=declared.refusals,
            idempotent=asked.effect == "keyed",
        )  # fmt: skip
        told = reply.status != 204 and (described is None or described.told)
        if told or reply.body:
            _refuse_in_band(reply, asked.failed_when, declared)
        if not told:
            return reply.without_content(declared.answer)
        return reply.model(
            declared.answer,
            under=BODY if described and any(BODY in form.get("properties", {}) for form in alternatives(described.answer)) else "",
        )


def _parts_of(
    template: str, asks: Sequence[str], given: Mapping[str, Any], joined: Mapping[str, str]
) -> tuple[str, dict[str, str | list[str]], dict[str, Any]]:
    """Path, query and body of a request: what stands in the path, what is asked for in the query, and the rest.

    ``joined``: what stands between the items of a list that is one value. An object in the query is one parameter for each of its fields.
    """
    one_value = {name: mark.join(map(_said, given[name])) for name, mark in joined.items() if isinstance(given.get(name), list)}
    fields = {**given, **one_value}
    in_path = set(IN_PATH.findall(template))
    path = IN_PATH.sub(lambda found: quote(_said(fields[found[1]]), safe=""), template)
    asked = dict[str, Any]()
    for name in asks:
        value = fields.get(name)
        deep = joined.get(name) == DEEP
        asked |= {f"{name}[{key}]" if deep else key: one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    query = {name: [*map(_said, value)] if isinstance(value, list) else _said(value) for name, value in asked.items() if value is not None}
    return path, query, {name: value for name, value in fields.items() if name not in in_path and name not in asks}


def _said(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _declared(name: str, asked: RestOperation, described: Described | None, judged: bool) -> Operation:
    in_band = asked.failed_when
    refusals = {
        **HTTP_REFUSALS,
        **(described.refusals if described else {}),
        **asked.refusals,
        **({IN_BAND: "refused inside a success"} if in_band else {}),
    }
    return asked.declared(
        name, _request_of(name, asked, described), _answer_of(name, asked, described, judged), refusals, settle=asked.settle,
        failed_when=f"{in_band.field} == {in_band.equals!r}" if in_band else "",
        expected=described.expected if described else frozenset(),
        doc=asked.purpose or (described.purpose if described else ""),
    )  # fmt: skip


def _request_of(name: str, asked: RestOperation, described: Described | None) -> type[BaseModel]:
    if asked.request is not None or described is None:
        made = shape_of(f"{name}-request", asked.request or {}, closed=True)
    else:
        made = model_of(f"{name}-request", described.request, closed=True)
    return _addressed(made, IN_PATH.findall(described.path if described else asked.path))


def _addressed(made: type[BaseModel], names: Sequence[str]) -> type[BaseModel]:
    """The model that also refuses what would ask for another path: a missing or empty value, ``.`` and ``..`` in it."""

    class Addressed(made):  # type: ignore[misc, valid-type]  # made at run time
        @model_validator(mode="before")
        @classmethod
        def _in_path(cls, value: Any) -> Any:
            for name in names if isinstance(value, Mapping) else ():
                if value.get(name) is None or _said(value[name]) in {"", ".", ".."}:
                    raise ValueError(f"{name} stands in the path: it may be neither missing nor empty, nor . or ..")
            return value

    Addressed.__name__ = Addressed.__qualname__ = made.__name__
    return Addressed


def _answer_of(name: str, asked: RestOperation, described: Described | None, judged: bool) -> type[BaseModel]:
    if asked.answer is not None or described is None:
        return shape_of(f"{name}-answer", asked.answer or {}, closed=False, json=True)
    return model_of(f"{name}-answer", described.answer, closed=False, judged=judged)


def _refuse_in_band(reply: RestReply, rule: FailedWhen | None, declared: Operation) -> None:
    if rule is None:
        return
    value = reply.json()
    found = _at(value, rule.field)
    if found != rule.equals or isinstance(found, bool) != isinstance(rule.equals, bool):  # 1 is not true
        return
    said = _at(value, rule.code) if rule.code else None
    raise refused_in_band(declared, "" if said is None else str(said))


def _at(value: Any, path: str) -> Any:
    """What stands in a reply at names joined with dots; None where nothing does."""
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
