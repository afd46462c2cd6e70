"""A REST system described in ``config.yaml``: its addresses, and its shapes or an OpenAPI document that says them.

An adapter of one's own takes the client from here too (`adapters.http.client`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, Field, model_validator

from adapters.http.client import HTTP_REFUSALS, USUAL, Hook, RestClient, RestReply, RestSettings, as_text, as_texts
from adapters.http.credentials import LoginSettings
from adapters.http.files import as_file, as_words, multipart, saved, text_of
from adapters.openapi.document import DEEP, IN_PATH, Described, document_of, headless
from adapters.openapi.model import model_of, never_said
from adapters.openapi.schema import BODY, alternatives
from adapters.shapes import IN_BAND, Configured, ConfiguredOperation, Shape, refused_in_band, shape_of
from bus.adapter import Call, Caution, LocalFile, Operation, Settings, Text

__all__ = ["HTTP_REFUSALS", "Hook", "Rest", "RestClient", "RestReply", "RestSettings"]

_IN_HEADER = re.compile("[\t -~\xa0-\xff]*").fullmatch
_WHERE = {
    "authorization": "`headers`, `pdnd` or `oauth2`",
    "agid-jwt-signature": "`pdnd.integrity`",
    "agid-jwt-trackingevidence": "`pdnd.audit`",
}
_WITH_BODY = ("POST", "PUT", "PATCH")


class FailedWhen(Settings):
    """How the system says no inside a success: ``field`` of the reply, in one of several items too, equals ``equals``; ``code`` names the
    field with the reason. Names of fields within fields are joined with dots.
    """

    field: Text = Field(description="of the reply")
    equals: str | int | bool = Field(description="the value that means no")
    code: str | None = Field(None, description="the field with the reason")


class RestOperation(ConfiguredOperation):
    """One operation of a configured system. Fields of the request that are neither in ``path`` nor in ``query`` travel in the body.

    With ``openapi`` it is named by its ``operation`` (operationId), or by ``method`` and ``path``, and the document says the rest.
    """

    operation: str = Field("", description="operationId in the OpenAPI document")
    method: Literal["", "GET", "POST", "PUT", "PATCH", "DELETE"] = Field("", description="of HTTP")
    path: str = Field("", pattern=r"^(/[^?#\s]*)?$", description="behind the `url` of the system; may hold {field}")
    request: Shape | None = Field(None, description="JSON Schema of an object; none: the OpenAPI document says it")
    answer: Shape | None = Field(None, description="JSON Schema of an object; none: the OpenAPI document says it")
    query: tuple[str, ...] = Field((), description="fields of the request that travel in the query")
    form: bool = Field(False, description="the body is a form, not JSON; an OpenAPI document says it by itself")
    settle: float = Field(0.0, ge=0, description="seconds after which a call that timed out can take effect no more")
    success: tuple[int, ...] = Field((), description="statuses that mean yes; empty: those of the OpenAPI document, else 200, 201, 204")
    location: str = Field("", description="field of the `answer` that takes the header Location, as of a 302; it is not followed")
    refusals: dict[str, str] = Field(default_factory=dict, description="code of the problem, or HTTP_<status> -> sentence")
    failed_when: FailedWhen | None = Field(None, description="how it says no inside a success")


class ConfiguredSettings(RestSettings, LoginSettings):
    """Settings of the adapter ``rest``."""

    openapi: LocalFile = Field("", description="path of the system's OpenAPI document (YAML or JSON): it types requests and answers")
    max_upload: int = Field(
        30_000_000, gt=0, description="bytes of the files of one request together; the worker holds three times as many"
    )
    validate_replies: bool = Field(True, description="false takes answers that stray from the OpenAPI document")
    operations: dict[str, RestOperation] = Field(min_length=1, description="what routes may call, by name")

    @model_validator(mode="after")
    def _all_there(self) -> Self:
        """Each operation is described here or in the document."""
        for name, one in self.operations.items():
            if self.openapi:
                self.described(name)
            elif not (one.method and one.path and one.request and one.answer):
                raise ValueError(f"operations.{name} needs method, path, request and answer, or an `openapi` document that says them")
        return self

    def described(self, name: str) -> Described:
        """What the OpenAPI document says of an operation, or without one the settings. Raises ValueError when it has no such operation."""
        asked = self.operations[name]
        if not self.openapi:
            return Described(asked.method, asked.path, asked.query, encoding="form" if asked.form else "json")
        document = document_of(Path(self.openapi).resolve())
        found = document.operation(asked.operation, asked.method, asked.path)
        if found is None:
            wanted = asked.operation or f"{asked.method} {asked.path}"
            near = difflib.get_close_matches(asked.operation, document.names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(document.names[:12]) or 'none with an operationId'}"
            raise ValueError(f"operations.{name}: {self.openapi} has no operation {wanted}; {hint}")
        return found


class Rest(Configured):
    """A REST system described in ``config.yaml``: its operations exist per instance."""

    Settings = ConfiguredSettings

    def __init__(self, name: str, settings: ConfiguredSettings) -> None:
        super().__init__(name, settings)
        self._client = RestClient(settings, settings.headers, credentials=settings.credentials)
        self._described = {name: _left(settings, name) for name in settings.operations}
        judged = settings.validate_replies
        self._offer({name: _declared(name, one, self._described[name], judged) for name, one in settings.operations.items()})

    def close(self) -> None:
        self._client.close()

    def check(self) -> Iterable[str]:
        """Does every header go with a request that the document asks for, can its body be written, and does every field go somewhere?

        Can the key for PDND be read?
        """
        if self.settings.credentials:
            yield from self.settings.credentials.cautions()
        for name, asked in self.settings.operations.items():
            yield from (f"operations.{name}: {sentence}" for sentence in self._misplaced(name))
            described, rule = self._described[name], asked.failed_when
            if rule and described.told and (never := never_said(described.answer, rule.field, rule.equals)):
                yield Caution(f"operations.{name}.failed_when: {never}: what it says for no would be taken for yes")
            if asked.location and asked.location not in (asked.answer or {}).get("properties", {}):
                yield f"operations.{name}.location: no {asked.location} is said under `answer`"
            yield from self._unmet(name)

    def _unmet(self, name: str) -> Iterator[str]:
        """What the contract asks for and does not get."""
        described, by_hand = self._described[name], self.settings.operations[name].request
        for header in described.headers if by_hand else ():
            if header in described.request["required"] and header not in by_hand.get("properties", {}):
                yield f"operations.{name}: the contract asks for the header {header}, say it under `headers`"
        if by_hand and (described.files or described.encoding == "file"):
            yield f"operations.{name}: the contract asks for files, and only its own request says where they go: leave `request` out"
        if lacking := self._lacking(described):
            where = " and ".join(_WHERE.get(header, "`headers`") for header in lacking)
            yield Caution(f"operations.{name}: the contract asks for the header {' and '.join(lacking)}, which nothing says: see {where}")
        if not described.encoding:
            wanted = " or ".join(described.media)
            yield f"operations.{name}: the contract asks for a body of {wanted}, not JSON, a form, a text or a file"

    def _lacking(self, described: Described) -> list[str]:
        """The headers that still lack of what the contract has callers say who they are with; those of the way that lacks least."""
        given = self.settings.given
        least: frozenset[str] = min((way - given for way in described.credentials), key=len, default=frozenset())
        return sorted(least)

    def _misplaced(self, name: str) -> Iterator[str]:
        """What of a request would go nowhere, and what an address asks for that no request has."""
        asked, described = self.settings.operations[name], self._described[name]
        fields = {field for form in alternatives(asked.request or described.request) for field in form.get("properties", {})}
        in_path = set(IN_PATH.findall(described.path))
        absent, lost = (in_path | set(asked.query)) - fields, fields - in_path - set(described.query) - set(described.headers)
        undoes = any(one.undo in (name, f"{self.name}.{name}") for one in self.settings.operations.values())
        if described.method in _WITH_BODY or undoes:  # what takes another call back is asked with all that this one answered
            lost = set()
        yield from (f"{field} stands in the address, and the request has no such field" for field in sorted(absent))
        objects = _objects(asked.request or described.request) if described.encoding == "form" else set[str]()
        yield from (f"{field} is an object, and a form has none" for field in sorted(objects - in_path - set(described.query)))
        yield from (
            f"{field} stands neither in `path` nor in `query`, and {described.method} goes without a body" for field in sorted(lost)
        )

    def _ask(self, operation_name: str, request: BaseModel, ctx: Call) -> BaseModel:
        asked: RestOperation = self.settings.operations[operation_name]
        declared, described = self.operations[operation_name], self._described[operation_name]
        fields = request.model_dump(mode="json", exclude_none=not self.settings.openapi)
        path, query, headers, body = _parts_of(described, fields)
        if described.said:
            headers["Accept"] = ", ".join((*described.accept, "application/problem+json"))
        reply = self._client.send(
            ctx, asked.effect, described.method, path, query=query,
            body=self._written(ctx, described, body), form=described.encoding == "form",
            headers=headers, expect=asked.success or described.success, refusals=declared.refusals, idempotent=asked.effect == "keyed",
            sure=asked.refusals,
        )  # fmt: skip
        if described.said and reply.status != 204 and not asked.answer:
            return self._told(operation_name, reply, ctx)
        told = reply.status != 204 and described.told
        if told or reply.body:
            _refuse_in_band(reply, asked.failed_when, declared)
        if asked.location:
            return reply.located(declared.answer, asked.location)
        if not told:
            return reply.without_content(declared.answer)
        whole = any(BODY in form.get("properties", {}) for form in alternatives(described.answer))
        return reply.model(declared.answer, under=BODY if whole else "")

    def _written(self, ctx: Call, described: Described, fields: Mapping[str, Any]) -> Any:
        """The body, as the client takes it; None where there is none."""
        if described.method not in _WITH_BODY:
            return None
        if described.encoding == "multipart":
            in_order = {name: fields[name] for name in described.request.get("properties", ()) if name in fields}
            return multipart(ctx, {**in_order, **fields}, described.files, self.settings.max_upload)
        if described.encoding not in ("file", "text"):
            return fields.get(BODY) if described.whole else fields
        whole, media = fields.get(BODY), described.media[0]
        if whole is None:
            return None
        return as_file(ctx, whole, media, self.settings.max_upload) if described.encoding == "file" else as_words(whole, media)

    def _told(self, name: str, reply: RestReply, ctx: Call) -> BaseModel:
        """The answer that is a text or a file."""
        described, judged = self._described[name], self.settings.validate_replies
        said = text_of(reply, described.accept) if described.said == "text" else saved(ctx, reply, name, judged=judged)
        return self.operations[name].answer.model_validate({BODY: said})


def _left(settings: ConfiguredSettings, name: str) -> Described:
    """What is said of an operation; of its headers those are left for the rules that the settings, or we, do not give anyhow."""
    described = settings.described(name)
    ours = USUAL | settings.given | ({"idempotency-key"} if settings.operations[name].effect == "keyed" else set())
    given = {header for header in described.headers if header.lower() in ours}
    if not given:
        return described
    return replace(
        described, headers=tuple(name for name in described.headers if name not in given), request=headless(described.request, given)
    )


def _parts_of(described: Described, given: Mapping[str, Any]) -> tuple[str, dict[str, str | list[str]], dict[str, str], dict[str, Any]]:
    """Path, query, headers and body of a request: what stands in each, and the rest.

    An object in the query is one parameter for each of its fields.
    """
    one_value = {name: mark.join(map(as_text, given[name])) for name, mark in described.joined.items() if isinstance(given.get(name), list)}
    fields = {**given, **one_value}
    in_path = set(IN_PATH.findall(described.path))
    path = IN_PATH.sub(lambda found: quote(as_text(fields[found[1]]), safe=""), described.path)
    asked = dict[str, Any]()
    for name in described.query:
        value = fields.get(name)
        deep = described.joined.get(name) == DEEP
        asked |= {f"{name}[{key}]" if deep else key: one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    headers = {name: as_text(fields[name]) for name in described.headers if fields.get(name) is not None}
    elsewhere = {*in_path, *described.query, *described.headers}
    return path, as_texts(asked), headers, {name: value for name, value in fields.items() if name not in elsewhere}


def _objects(request: Mapping[str, Any]) -> set[str]:
    """The fields of a request that may be objects, or lists of them."""
    fields = [one for form in alternatives(request) for one in form.get("properties", {}).items()]
    kinds = [(name, each) for name, said in fields for kind in alternatives(said) for each in (kind, kind.get("items") or {})]
    return {name for name, kind in kinds if "properties" in kind or kind.get("type") == "object"}


def _declared(name: str, asked: RestOperation, described: Described, judged: bool) -> Operation:
    in_band = asked.failed_when
    refusals = {
        **HTTP_REFUSALS,
        **described.refusals,
        **asked.refusals,
        **({IN_BAND: "refused inside a success"} if in_band else {}),
    }
    return asked.declared(
        name, _request_of(name, asked, described), _answer_of(name, asked, described, judged), refusals, settle=asked.settle,
        failed_when=f"{in_band.field} == {in_band.equals!r}" if in_band else "",
        expected=described.expected, doc=asked.purpose or described.purpose,
    )  # fmt: skip


def _request_of(name: str, asked: RestOperation, described: Described) -> type[BaseModel]:
    if asked.request is None:
        made = model_of(f"{name}-request", described.request, closed=True)
    else:
        made = shape_of(f"{name}-request", asked.request, closed=True)
    return _addressed(made, IN_PATH.findall(described.path), described.headers)


def _addressed(made: type[BaseModel], names: Sequence[str], headers: Sequence[str]) -> type[BaseModel]:
    """The model that also refuses what would ask for another path (a missing or empty value, ``.`` and ``..`` in it), and what no header
    holds.
    """

    class Addressed(made):  # type: ignore[misc, valid-type]  # made at run time
        @model_validator(mode="before")
        @classmethod
        def _in_path(cls, value: Any) -> Any:
            for name in names if isinstance(value, Mapping) else ():
                if value.get(name) is None or as_text(value[name]) in {"", ".", ".."}:
                    raise ValueError(f"{name} stands in the path: it may be neither missing nor empty, nor . or ..")
            for name in headers if isinstance(value, Mapping) else ():
                if not _IN_HEADER(as_text(value.get(name) or "")):
                    raise ValueError(f"{name} is a header: it may hold one line, of the signs of Latin-1")
            return value

    Addressed.__name__ = Addressed.__qualname__ = made.__name__
    return Addressed


def _answer_of(name: str, asked: RestOperation, described: Described, judged: bool) -> type[BaseModel]:
    if asked.answer is None:
        return model_of(f"{name}-answer", described.answer, closed=False, judged=judged)
    return shape_of(f"{name}-answer", asked.answer, closed=False, json=True)


def _refuse_in_band(reply: RestReply, rule: FailedWhen | None, declared: Operation) -> None:
    if rule is None:
        return
    value = reply.json()
    found = [*_at(value, rule.field.split("."))]
    no = next((place for place, one in enumerate(found) if _is(one, rule.equals)), None)
    if no is None:
        return
    codes = [*_at(value, rule.code.split("."))] if rule.code else []
    said = codes[no] if len(codes) == len(found) else next(iter(codes), None)
    raise refused_in_band(declared, "" if said is None else str(said))


def _is(found: Any, value: Any) -> bool:
    """Whether they are equal; 1 is not true."""
    return bool(found == value) and isinstance(found, bool) == isinstance(value, bool)


def _at(value: Any, names: Sequence[str]) -> Iterator[Any]:
    """What stands in a reply at these names, of each item where there are several; None where nothing does."""
    if isinstance(value, list):
        for one in value:
            yield from _at(one, names)
    elif names:
        yield from _at(value.get(names[0]) if isinstance(value, dict) else None, names[1:])
    else:
        yield value
