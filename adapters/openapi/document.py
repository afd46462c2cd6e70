"""What an OpenAPI document says of an operation: OpenAPI 3.0, 3.1 and Swagger 2.0, in YAML or JSON, over several files.

A request's fields are the parameters in path, query and headers and the fields of the body, side by side; a body or an answer that is no
object stands under ``body``. Of the headers those are fields, too, that the settings do not give.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from adapters.http.files import ASKED, MULTIPART, SAVED, is_file, kind_of
from adapters.openapi.schema import BODY, Reader, Schema, alternatives, each_of, followed, is_bytes, loaded
from adapters.shapes import FORM

METHODS = ("get", "post", "put", "patch", "delete")
DEEP = "[]"
"""Instead of what stands between items: an object whose fields are written `name[field]`."""
IN_PATH = re.compile(r"\{([^{}]+)\}")
"""The names in a path."""
TECHNICAL = frozenset({"400", "401", "403", "405", "406", "408", "411", "413", "414", "415", "417", "425", "426", "429", "431"})
"""Statuses that say something of the protocol, of credentials or of load: nothing that a route could answer."""
_TEXT: Schema = {"type": "string"}
_OF_THE_PROTOCOL = frozenset({"accept", "content-type", "authorization"})
"""Headers that a document may name and does not describe (OpenAPI 3.1, Parameter Object)."""
_A_HEADER = "a header: what is the same for all calls stands under `headers` of the adapter"
_READY = "303"
"""Says with JSON, in ModI's NONBLOCK_PULL, that the result is ready; elsewhere it is a redirection, which is never followed."""
Encoding: TypeAlias = Literal["json", "form", "multipart", "text", "file", ""]


class Body(NamedTuple):
    """What is said of a body: its schema, whether there must be one, how it is written, and of which media types it may be."""

    schema: Any
    needed: bool
    encoding: Encoding = "json"
    media: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Described:
    """One operation. ``refusals`` are its 4xx statuses (``HTTP_404``) and the codes that their bodies list, ``expected`` the statuses
    of the matter. ``headers`` are the fields that travel there. ``whole``: the body is the field ``body``; ``told``: a success has JSON;
    ``encoding``: how the body is written, in one of the ``media`` types; empty where none of those can be. ``files`` are the fields of it
    that are files; ``accept`` are the media types of a success that is the text or the file ``said``. ``joined``: what stands between the
    items of a list that is one parameter.
    """

    method: str
    path: str
    query: tuple[str, ...]
    headers: tuple[str, ...] = ()
    request: Schema = field(default_factory=dict)
    answer: Schema = field(default_factory=dict)
    whole: bool = False
    told: bool = True
    success: tuple[int, ...] = (200, 201, 204)
    refusals: Mapping[str, str] = field(default_factory=dict)
    expected: frozenset[str] = frozenset()
    purpose: str = ""
    encoding: Encoding = "json"
    media: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    said: Literal["text", "file", ""] = ""
    accept: tuple[str, ...] = ()
    joined: Mapping[str, str] = field(default_factory=dict)
    credentials: tuple[frozenset[str], ...] = ()
    """Ways to say who asks: the headers, in lowercase, of each; none where nothing is said, or one of them is no header."""


class Document:
    """An OpenAPI document on disk. Raises ValueError, with a sentence, for what cannot be read as one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        root = loaded(path)
        if not isinstance(root, dict) or not ("openapi" in root or "swagger" in root) or not isinstance(root.get("paths"), dict):
            raise ValueError(f"{path} is no OpenAPI document: it has no `openapi` and `paths`")
        self._consumes: list[Any] = root.get("consumes") or []
        self._produces: list[Any] = root.get("produces") or []
        components, _ = followed(root.get("components"), path)
        schemes, _ = followed(components.get("securitySchemes") or root.get("securityDefinitions"), path)
        self._headers = {name: _header_of(followed(one, path)[0]) for name, one in schemes.items()}
        self._security = root.get("security")
        self.found = list(self._operations(root))

    @property
    def names(self) -> list[str]:
        """All operationIds."""
        return sorted(str(one["operationId"]) for _, _, _, one in self.found if "operationId" in one)

    def operation(self, name: str = "", method: str = "", path: str = "") -> Described | None:
        """The operation with an operationId, or with a method and a path."""
        for item, own_method, own_path, one in self.found:
            if one.get("operationId") == name if name else (own_method.upper(), own_path) == (method.upper(), path):
                return self._described(item, own_method, own_path, one)
        return None

    def _operations(self, root: Schema) -> Iterator[tuple[Schema, str, str, Schema]]:
        for path, written in root["paths"].items():
            item, _ = followed(written, self.path)
            yield from ((item, method, str(path), item[method]) for method in METHODS if isinstance(item.get(method), dict))

    def _described(self, item: Schema, method: str, path: str, one: Schema) -> Described:
        parameters = [followed(each, self.path)[0] for each in (*item.get("parameters", ()), *one.get("parameters", ()))]
        given = {str(each.get("name")): each for each in parameters if each.get("in") in {"path", "query"}}
        for name in IN_PATH.findall(path):  # what stands in the path is needed, also where the document forgets to say so
            given.setdefault(name, {"in": "path", "required": True, "schema": {"type": "string"}})
        body = self._body(one, parameters)
        schema = Reader(asked=True, files=body.encoding == "multipart").schema(body.schema, self.path)
        request, whole = _joined(*self._fields(given), schema, body.needed, bool(body.schema))
        heads = {str(each.get("name")): each for each in parameters if each.get("in") == "header"}
        heads = {name: each for name, each in heads.items() if name.lower() not in _OF_THE_PROTOCOL and not _has_field(request, name)}
        replies = {str(status): followed(reply, self.path)[0] for status, reply in one.get("responses", {}).items()}
        refusals, expected = _refusals(replies, Reader(asked=False), self.path)
        return replace(
            self._told(one, replies), method=method.upper(), path=path, purpose=str(one.get("summary", "")),
            query=tuple(name for name, each in given.items() if each["in"] == "query"), headers=tuple(heads),
            request=_headed(request, *self._fields(heads)), whole=whole, encoding=body.encoding, media=body.media,
            files=tuple(name for name, each in schema.get("properties", {}).items() if _holds_files(each)),
            joined={name: mark for name, each in {**_in_form(parameters), **given, **heads}.items() if (mark := _between(each))},
            refusals=refusals, expected=expected, credentials=self._credentials(one),
        )  # fmt: skip

    def _credentials(self, one: Schema) -> tuple[frozenset[str], ...]:
        ways = [[self._headers.get(name, "") for name in way] for way in one.get("security", self._security) or () if isinstance(way, dict)]
        return tuple(map(frozenset, ways)) if all(all(way) for way in ways) and all(ways) else ()

    def _fields(self, parameters: dict[str, Schema]) -> tuple[dict[str, Schema], list[str]]:
        """The schemas of parameters, and which of them are needed."""
        read = Reader(asked=True)
        schemas = {name: read.schema(each.get("schema", each), self.path) for name, each in parameters.items()}
        return schemas, [name for name, each in parameters.items() if each.get("required")]

    def _told(self, one: Schema, replies: dict[str, Schema]) -> Described:
        """What is said of the answer: JSON, else a text or a file."""
        old = [str(kind) for kind in one.get("produces") or self._produces]
        good = {code: content for code, reply in replies.items() if (code[0] == "2" or code == _READY) and (content := _json(reply, old))}
        success = tuple(int(code) for code in replies if code.isdigit() and (code[0] == "2" or code in good)) or (200, 201, 202, 204)
        kinds = tuple(kind for code, reply in replies.items() if code[0] == "2" for kind in _media(reply, old))
        if good or any(map(_IS_JSON, kinds)) or not (said := kind_of(kinds)):
            answer = _either([Reader(asked=False).schema(content, self.path) for content in good.values()])
            return Described("", "", (), answer=answer, told=bool(good), success=success)
        answer = _single(_TEXT if said == "text" else SAVED, needed="204" not in replies)
        return Described("", "", (), answer=answer, told=False, success=success, said=said, accept=kinds)

    def _body(self, one: Schema, parameters: list[Schema]) -> Body:
        consumed = tuple(str(kind) for kind in one.get("consumes") or self._consumes)
        old = next((each for each in parameters if each.get("in") == "body"), None)
        if old is not None:
            return self._plain(old.get("schema", {}), bool(old.get("required")), () if any(map(_IS_JSON, consumed)) else consumed)
        if fields := _in_form(parameters):
            return _form_of(fields, consumed)
        body, _ = followed(one.get("requestBody", {}), self.path)
        content, needed = body.get("content", {}), bool(body.get("required"))
        kinds = tuple(str(kind) for kind in content)
        if not kinds or any(map(_IS_JSON, kinds)):
            return Body(_json(body), needed)
        of_form = {_bare(kind): (content[kind] or {}).get("schema") or {} for kind in kinds}
        if MULTIPART in of_form and (FORM not in of_form or self._has_files(of_form[MULTIPART])):
            return Body(of_form[MULTIPART], needed, "multipart")
        if FORM in of_form:
            return Body(of_form[FORM], needed, "form")
        return self._plain(of_form[_bare(kinds[0])], needed, kinds)

    def _plain(self, schema: Any, needed: bool, media: tuple[str, ...]) -> Body:
        """A body that is neither a form nor, where it has ``media`` types, JSON: a file or a text, or nothing that could be written."""
        if not media:
            return Body(schema, needed)
        known, _ = followed(schema, self.path)
        kind = kind_of(media) if known.get("type", "string") == "string" and "properties" not in known else ""
        return Body(_single(_TEXT if kind == "text" else ASKED, needed=needed) if kind else {}, needed and bool(kind), kind, media)

    def _has_files(self, schema: Any) -> bool:
        """Whether a form has parts that are files."""
        read = Reader(asked=True, files=True).schema(schema, self.path)
        return any(map(_holds_files, read.get("properties", {}).values()))


@lru_cache(maxsize=64)
def document_of(path: Path) -> Document:
    """The document of a file, read once in a process."""
    return Document(path)


def _header_of(scheme: Schema) -> str:
    """The header by which a scheme of security says who asks, in lowercase; empty where it is none."""
    if scheme.get("type") == "apiKey":
        return str(scheme.get("name", "")).lower() if scheme.get("in") == "header" else ""
    return "authorization" if scheme.get("type") in {"http", "basic", "oauth2", "openIdConnect"} else ""


def _between(parameter: Schema) -> str:
    """What stands between the items of a list in the address; empty where each is a parameter of its own."""
    style = parameter.get("style", "form" if parameter["in"] == "query" else "simple")
    if "schema" not in parameter:  # Swagger 2.0
        style = parameter.get("collectionFormat", "csv")
    elif style != "deepObject" and parameter.get("explode", style == "form") and parameter["in"] == "query":
        style = "multi"
    return {"multi": "", "deepObject": DEEP, "ssv": " ", "spaceDelimited": " ", "tsv": "\t", "pipes": "|", "pipeDelimited": "|"}.get(
        style, ","
    )


_IS_JSON = re.compile(r".*[/+]json\b|\*/\*").match


def _in_form(parameters: list[Schema]) -> dict[str, Schema]:
    """The fields of a form, which Swagger 2.0 describes as parameters, by name."""
    return {str(each.get("name")): each for each in parameters if each.get("in") == "formData"}


def _form_of(fields: dict[str, Schema], consumed: tuple[str, ...]) -> Body:
    """Such a form: of parts where one is a file, or where it is taken in no other way."""
    needed = [name for name, each in fields.items() if each.get("required")]
    schema = {"type": "object", "properties": fields, "required": needed}
    if any(map(is_bytes, fields.values())):
        return Body(schema, bool(needed), "multipart")
    if not consumed or FORM in consumed:
        return Body(schema, bool(needed), "form")
    return Body(schema, bool(needed), "multipart") if MULTIPART in consumed else Body({}, False, "", consumed)


def _holds_files(said: Schema) -> bool:
    """Whether a value is a file, or a list of them."""
    return any(map(is_file, each_of(said)))


def _bare(kind: str) -> str:
    return kind.partition(";")[0].strip().lower()


def _media(reply: Schema, old: list[str]) -> list[str]:
    """The media types of a reply; ``old``: those that Swagger 2.0 names for all replies of an operation."""
    if "content" in reply:
        return [_bare(str(kind)) for kind in reply["content"]]
    return [*map(_bare, old)] if "schema" in reply else []


def _json(holder: Schema, old: Sequence[str] = ()) -> Schema:
    """The schema of the JSON that a body or a reply holds; ``old`` as for `_media`."""
    content = holder.get("content", {})
    kinds = (kind for kind in content if _IS_JSON(str(kind)))
    schema = (content.get(next(kinds, "")) or {}).get("schema") or holder.get("schema") or {}
    if not isinstance(schema, dict) or schema.get("type") == "file" or ("schema" in holder and old and not any(map(_IS_JSON, old))):
        return {}
    return schema


def _single(schema: Schema, *, needed: bool) -> Schema:
    """What is one value, under ``body``."""
    return {"type": "object", "properties": {BODY: schema}, "required": [BODY] if needed else [], "additionalProperties": False}


def _joined(fields: dict[str, Schema], needed: list[str], body: Schema, must: bool, there: bool) -> tuple[Schema, bool]:
    """One request out of parameters and body; whether the body is one field of it. ``there``: it has a body, known or not."""
    forms = alternatives(body)
    if (
        len(forms) > 1
        and all("properties" in form for form in forms)
        and not any(fields.keys() & form["properties"].keys() for form in forms)
    ):
        return {"type": "object", "anyOf": [_joined(fields, needed, form, must, there)[0] for form in forms]}, False
    plain = body.get("properties", {})
    whole = there and (not plain or bool(fields.keys() & plain.keys()))
    if whole:
        fields, needed = {**fields, BODY: body}, [*needed, *([BODY] if must else [])]
    else:
        fields, needed = {**fields, **plain}, [*needed, *body.get("required", ())]
    made: Schema = {"type": "object", "properties": fields, "required": needed}
    return ({**made, "additionalProperties": False} if whole or not plain or "additionalProperties" in body else made), whole


def _has_field(request: Schema, name: str) -> bool:
    return any(name in form.get("properties", {}) for form in alternatives(request))


def _headed(request: Schema, fields: dict[str, Schema], needed: list[str]) -> Schema:
    """A request that has these headers, too, as fields."""
    if "anyOf" in request:
        return {**request, "anyOf": [_headed(form, fields, needed) for form in request["anyOf"]]}
    fields = {name: {**one, "description": f"{one.get('description', '')} ({_A_HEADER})".strip()} for name, one in fields.items()}
    return {**request, "properties": {**request["properties"], **fields}, "required": [*request["required"], *needed]}


def headless(request: Schema, names: Collection[str]) -> Schema:
    """A request without these fields."""
    if "anyOf" in request:
        return {**request, "anyOf": [headless(form, names) for form in request["anyOf"]]}
    kept = {name: one for name, one in request["properties"].items() if name not in names}
    return {**request, "properties": kept, "required": [name for name in request["required"] if name not in names]}


def _either(answers: list[Schema]) -> Schema:
    """The schema of what one of several successes says."""
    if not answers:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    shaped = [one if "properties" in one else _under_body(one) for answer in answers for one in _shapes(answer)]
    whole = [{"type": "object", "required": [], **one} for one in shaped]
    return whole[0] if len(whole) == 1 else {"type": "object", "anyOf": whole}


def _shapes(answer: Schema) -> list[Schema]:
    """The alternatives of an answer, if all of them are objects with fields; else it is one value."""
    forms = alternatives(answer)
    return forms if all("properties" in form for form in forms) else [answer]


def _under_body(schema: Schema) -> Schema:
    if schema.get("type", "object") == "object":
        return {"properties": {}}  # an object, or anything at all: nothing is known of its fields
    return {"properties": {BODY: schema}, "required": [BODY], "additionalProperties": False}


def _refusals(replies: Mapping[str, Schema], told: Reader, path: Path) -> tuple[dict[str, str], frozenset[str]]:
    """What the system may refuse with: each 4xx status of its own, or the codes that its body lists; and which are of the matter."""
    found: dict[str, str] = {}
    expected: set[str] = set()
    for status, reply in replies.items():
        if not re.fullmatch(r"4[0-9][0-9]", status):
            continue
        sentence = " ".join(str(reply.get("description", "")).split())[:200] or f"refused with {status}"
        forms = alternatives(told.schema(_json(reply), path))
        listed = [one for form in forms for one in form.get("properties", {}).get("code", {}).get("enum", ())]
        codes = [one for one in dict.fromkeys(listed) if isinstance(one, str)]
        found |= {f"HTTP_{status}": sentence, **dict.fromkeys(codes, sentence)}
        if status not in TECHNICAL and not codes:
            expected.add(f"HTTP_{status}")
    return found, frozenset(expected)
