"""A SOAP system described in ``config.yaml``: its WSDL and its operations. The answer is what its contract says, as JSON.

Dates become ISO texts, decimals become texts as they were written, binary is base64 both ways, or a file, what the contract leaves open is
XML. What this cannot say (a probe, a token that expires) is the work of an adapter of its own.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adapters.http.credentials import LoginSettings
from adapters.http.outcome import no_answer
from adapters.shapes import EFFECT, IN_BAND, Configured, ConfiguredOperation, Shape, faults_of, refused_in_band, shape_of
from adapters.soap.client import BAD_REQUEST, SoapClient, put
from adapters.soap.files import told, with_contents, with_kept
from adapters.soap.head import Head, UsernameToken
from bus.adapter import Call, Caution, LocalFile, Operation, Settings, Text
from bus.errors import Invalid
from bus.message import is_file_name


class InBand(Settings):
    """How the system says no inside a success: what stands at ``field``, in one of several items too, differs from ``ok``."""

    field: Text = Field(description="names joined with dots, in the answer")
    ok: str = Field(default="", description="the value that means yes, as XML writes it; empty: the field must be absent or empty")


class SoapOperationSettings(ConfiguredOperation):
    """One operation. ``request`` and ``answer`` are JSON Schemas of objects; without them the WSDL says what goes."""

    operation: Text = Field(description="name of the operation in the WSDL")
    effect: Literal["read", "keyed", "once"] = Field("once", description=EFFECT)
    timeout: float = Field(gt=0, description="seconds for one call")
    settle: float = Field(default=0.0, ge=0, description="seconds after which a call that timed out can take effect no more")
    request: Shape | None = Field(None, description="JSON Schema of an object; none: the WSDL says it")
    answer: Shape | None = Field(None, description="JSON Schema of an object; none: the WSDL says it")
    key: str = Field(default="", description="keyed: where in the request our key goes, names joined with dots")
    failed_when: InBand | None = Field(None, description="how it says no inside a success")
    refusals: dict[str, str] = Field(default_factory=dict, description="code of a fault, or HTTP_<status> -> sentence")
    files: dict[str, str] = Field(
        default_factory=dict, description="bytes of the answer to keep as files: where, names joined with dots -> name of the file"
    )

    @model_validator(mode="after")
    def _as_the_wsdl_says(self) -> Self:
        if self.files and self.answer:
            raise ValueError("files are kept where the WSDL says the answer: leave `answer` out")
        if wrong := next((name for name in self.files.values() if not is_file_name(name)), None):
            raise ValueError(f"files: {wrong!r} is no name of a file")
        return self


class SoapSettings(LoginSettings):
    wsdl: LocalFile = Field(min_length=1, description="path of the WSDL")
    port: str = Field(default="", description="port of the WSDL; empty takes the first one of SOAP 1.1")
    connect_timeout: float = Field(default=3.0, gt=0, description="seconds to connect")
    max_reply_bytes: int = Field(default=20_000_000, gt=0, description="largest reply taken")
    soap_headers: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="SOAP headers, by the names that the contract gives them: what stands in each"
    )
    username_token: UsernameToken | None = Field(None, description="who asks, by WS-Security")
    max_upload: int = Field(
        default=30_000_000, gt=0, description="bytes of the files of one request together; the worker holds five times as many"
    )
    validate_replies: bool = Field(default=True, description="false takes replies that stray from the system's own XSD")
    operations: dict[str, SoapOperationSettings] = Field(min_length=1, description="what routes may call, by name")

    @property
    def head(self) -> Head:
        return Head(self.soap_headers, self.username_token)


def _as_the_wsdl(name: str, schema: Callable[[], dict[str, Any]]) -> type[BaseModel]:
    """A model that takes anything, since the XSD judges, and tells rules what the WSDL says."""

    class Told(BaseModel):
        model_config = ConfigDict(extra="allow", frozen=True)

        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return schema()

    Told.__name__ = Told.__qualname__ = name
    return Told


class Soap(Configured):
    """A system whose operations exist per instance, as `config.yaml` names them."""

    Settings = SoapSettings

    def __init__(self, name: str, settings: SoapSettings) -> None:
        super().__init__(name, settings)
        link = settings.link(settings.connect_timeout)
        tokens = settings.credentials.tokens(settings.url, settings.proxy) if settings.credentials else None
        self._client = SoapClient(
            settings.wsdl, settings.url, link, port=settings.port, headers=settings.headers, head=settings.head,
            max_reply_bytes=settings.max_reply_bytes, validate_replies=settings.validate_replies, tokens=tokens,
        )  # fmt: skip
        wsdl, port = Path(settings.wsdl), settings.port
        self._offer({name: _declared(name, declared, wsdl, port) for name, declared in settings.operations.items()})

    def check(self) -> Iterable[str]:
        """Does the WSDL have the operations, and in them the fields and headers that the settings name?"""
        from adapters.soap.shapes import is_absent

        if self.settings.credentials:
            yield from self.settings.credentials.cautions()
        missing = [*self._client.missing(*(declared.operation for declared in self.settings.operations.values()))]
        yield from missing
        if missing:  # perhaps nothing of it can be read
            return
        yield from self._check_headers()
        for name, declared in self.settings.operations.items():
            asked, answer = self._client.shapes(declared.operation)
            if declared.key and is_absent(asked, declared.key):
                yield f"operations.{name}.key: the request of {declared.operation} has no {declared.key}"
            if declared.failed_when and is_absent(answer, declared.failed_when.field):
                yield f"operations.{name}.failed_when: the reply of {declared.operation} has no {declared.failed_when.field}"
            yield from (
                f"operations.{name}.files: the reply of {declared.operation} has no {place}"
                for place in declared.files
                if is_absent(answer, place)
            )

    def _check_headers(self) -> Iterator[str]:
        """Has the contract the headers of which the settings say something, do they fit it, and are there others?"""
        head, wsdl = self.settings.head, self._client.wsdl
        found, faults = dict[str, None](), dict[str, None]()
        for name, declared in self.settings.operations.items():
            operation = wsdl.operation(declared.operation)
            there = wsdl.headers(operation)
            found |= dict.fromkeys(there)
            if unsaid := head.unsaid(there):
                yield Caution(f"operations.{name}: the contract has a SOAP header {unsaid[0]} for {declared.operation}, and none is sent")
            try:
                wsdl.put_headers(wsdl.empty(), operation, head.values if head.is_whole else {})
            except Invalid as error:
                faults[error.sentence] = None
        others = f"; it has {', '.join(found)}" if found else ""
        faults |= {f"the contract has no header {name} for these operations{others}": None for name in head.values if name not in found}
        yield from (f"soap_headers: {fault}" for fault in faults)

    def close(self) -> None:
        self._client.close()

    def _ask(self, operation_name: str, request: BaseModel, ctx: Call) -> BaseModel:
        asked: SoapOperationSettings = self.settings.operations[operation_name]
        declared = self.operations[operation_name]
        values = request.model_dump(mode="json", exclude_none=True)
        values = with_contents(values, self._client.shapes(asked.operation)[0], ctx, self.settings.max_upload, BAD_REQUEST)
        if asked.key:
            put(values, asked.key, ctx.key)
        said = as_json(self._client.call(asked.operation, values, ctx, effect=asked.effect, refusals=declared.refusals, filled=True))
        _refuse_in_band(said, asked.failed_when, declared)
        for place, file_name in asked.files.items():
            try:
                said = with_kept(said, place.split("."), file_name, ctx)
            except ValueError:
                raise no_answer(asked.effect, f"{operation_name}: {place} of the reply is not base64", answered=True) from None
        try:
            return declared.answer.model_validate(said)
        except ValidationError as error:
            sentence = f"{operation_name}: the reply does not have the agreed shape: {faults_of(error)}"
            raise no_answer(asked.effect, sentence, answered=True) from None


def _declared(name: str, asked: SoapOperationSettings, wsdl: Path, port: str) -> Operation:
    def schema(way: int) -> dict[str, Any]:
        from adapters.soap.shapes import shapes_of, without

        said = shapes_of(wsdl, asked.operation, port)[way]
        if way == 0:
            return without(said, asked.key)
        for place in asked.files:
            said = told(said, place.split("."))
        return said

    refusals = {
        **asked.refusals,
        **({IN_BAND: "refused inside a success, with a code that is not declared"} if asked.failed_when else {}),
        BAD_REQUEST: "the request does not fit the contract: nothing was sent",
    }
    request = asked.request and shape_of(f"{name}-request", asked.request, closed=True)
    answer = asked.answer and shape_of(f"{name}-answer", asked.answer, closed=False)
    return asked.declared(
        name, request or _as_the_wsdl(f"{name}-request", lambda: schema(0)), answer or _as_the_wsdl(f"{name}-answer", lambda: schema(1)),
        refusals, settle=asked.settle,
        failed_when=f"{asked.failed_when.field} is not {asked.failed_when.ok!r}" if asked.failed_when else "",
    )  # fmt: skip


def _refuse_in_band(said: Any, rule: InBand | None, declared: Operation) -> None:
    if rule is None:
        return
    texts = [*filter(None, _texts_at(said, rule.field.split(".")))]
    if not texts and rule.ok:
        sentence = f"{declared.name}: the reply says neither yes nor no, {rule.field} is not there"
        raise no_answer(declared.effect, sentence, answered=True)
    text = next((text for text in texts if text != rule.ok), rule.ok)
    if text != rule.ok:
        raise refused_in_band(declared, text)


def _texts_at(value: Any, names: list[str]) -> Iterator[str]:
    """What stands there, as XML writes it; of each item where there are several. An object of which nothing is said is no text."""
    if isinstance(value, list):
        for one in value:
            yield from _texts_at(one, names)
    elif names:
        yield from _texts_at(value.get(names[0]) if isinstance(value, Mapping) else None, names[1:])
    elif value is not None and not _says_nothing(value):
        yield str(value).lower() if isinstance(value, bool) else str(value)


def _says_nothing(value: Any) -> bool:
    return isinstance(value, (Mapping, list)) and all(map(_says_nothing, value.values() if isinstance(value, Mapping) else value))


def as_json(value: Any) -> Any:
    """Values of a contract as JSON: dates as ISO texts, decimals as they were written, INF and NaN as texts, binary as base64, absent ones
    left out.

    What the contract leaves open (``any``) is XML, as text; an item of a list that is empty, or ``xsi:nil``, is null.
    """
    if value is None or isinstance(value, (str, int, bool)):
        return value
    if isinstance(value, float):
        from adapters.soap.kinds import number

        return number(value)
    if isinstance(value, Mapping):
        return {name: as_json(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [as_json(inner) for inner in value]
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    from adapters.soap.xml import fragment

    return fragment(value).decode()
