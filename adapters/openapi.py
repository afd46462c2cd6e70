"""What an OpenAPI document says of an operation: OpenAPI 3.0, 3.1 and Swagger 2.0, in YAML or JSON, over several files.

A request's fields are the parameters in path and query and the fields of the JSON body, side by side; a body or an answer that is no
object stands under ``body``. Alternatives (``oneOf``, ``anyOf``) are written out, each with all that stands beside them. It says no
more than it is sure of: what refers to itself is left open. An object that lists its fields and does not say that it takes others is
taken to have no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import jsonschema_rs
import yaml
from pydantic import BaseModel, ConfigDict, model_validator

from adapters.http.files import ASKED, MULTIPART, SAVED, is_file, kind_of
from adapters.shapes import FORM, Unfit
from bus.message import EXACT

Schema: TypeAlias = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")
BODY = "body"
"""Where a body that is no object stands."""
DEEP = "[]"
"""Instead of what stands between items: an object whose fields are written `name[field]`."""
IN_PATH = re.compile(r"\{([^{}]+)\}")
"""The names in a path."""
TECHNICAL = frozenset({"400", "401", "403", "405", "406", "408", "411", "413", "414", "415", "417", "425", "426", "429", "431"})
"""Statuses that say something of the protocol, of credentials or of load: nothing that a route could answer."""
_KEPT = (
    "type", "enum", "const", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minItems", "maxItems", "description", "format",
)  # fmt: skip
_DEPTH = 16
_FORMS = 24
"""How many alternatives of one value are told apart, at most."""
_NULL: Schema = {"type": "null"}
_TEXT: Schema = {"type": "string"}


class _Loader(yaml.CSafeLoader):
    """YAML 1.2, as OpenAPI wants it. In 1.1, PyYAML's, ``NO`` is false, a day is no text, ``12:30`` is 750 and ``010`` is 8."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _written, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_written})$"), _first)

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
    of the matter. ``headers`` are those it must be given; ``whole``: the body is the field ``body``; ``told``: a success has JSON to read;
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


class Document:
    """An OpenAPI document on disk. Raises ValueError, with a sentence, for what cannot be read as one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        root = _loaded(path)
        if not isinstance(root, dict) or not ("openapi" in root or "swagger" in root) or not isinstance(root.get("paths"), dict):
            raise ValueError(f"{path} is no OpenAPI document: it has no `openapi` and `paths`")
        self._consumes: list[Any] = root.get("consumes") or []
        self._produces: list[Any] = root.get("produces") or []
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
        asked, told = Reader(asked=True), Reader(asked=False)
        parameters = [followed(each, self.path)[0] for each in (*item.get("parameters", ()), *one.get("parameters", ()))]
        given = {str(each.get("name")): each for each in parameters if each.get("in") in {"path", "query"}}
        for name in IN_PATH.findall(path):  # what stands in the path is needed, also where the document forgets to say so
            given.setdefault(name, {"in": "path", "required": True, "schema": {"type": "string"}})
        body = self._body(one, parameters)
        schema = replace(asked, files=body.encoding == "multipart").schema(body.schema, self.path)
        fields = {name: asked.schema(each.get("schema", each), self.path) for name, each in given.items()}
        request, whole = _joined(
            fields, [name for name, each in given.items() if each.get("required")], schema, body.needed, bool(body.schema)
        )
        replies = {str(status): followed(reply, self.path)[0] for status, reply in one.get("responses", {}).items()}
        old = [str(kind) for kind in one.get("produces") or self._produces]
        good = {code: content for code, reply in replies.items() if (code[0] == "2" or code == _READY) and (content := _json(reply, old))}
        answer = _either([told.schema(content, self.path) for content in good.values()])
        accept = () if good else tuple(kind for code, reply in replies.items() if code[0] == "2" for kind in _media(reply, old))
        if said := kind_of(accept):
            answer = _single(_TEXT if said == "text" else SAVED, needed="204" not in replies)
        refusals, expected = _refusals(replies, told, self.path)
        return Described(
            method=method.upper(), path=path, query=tuple(name for name, each in given.items() if each["in"] == "query"),
            headers=tuple(str(each["name"]) for each in parameters if each.get("in") == "header" and each.get("required")),
            request=request, answer=answer, whole=whole, told=bool(good),
            success=tuple(int(code) for code in replies if code.isdigit() and (code[0] == "2" or code in good)) or (200, 201, 202, 204),
            refusals=refusals, expected=expected, purpose=str(one.get("summary", "")), encoding=body.encoding, media=body.media,
            files=tuple(name for name, each in schema.get("properties", {}).items() if _holds_files(each)), said=said, accept=accept,
            joined={name: mark for name, each in {**_in_form(parameters), **given}.items() if (mark := _between(each))},
        )  # fmt: skip

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


@lru_cache(maxsize=64)
def _loaded(path: Path) -> Any:
    try:
        text = path.read_text("utf-8-sig")
        return json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe one
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read as OpenAPI: {str(error).splitlines()[0]}") from None


def followed(node: Any, base: Path) -> tuple[Schema, Path]:
    """What a node refers to, and the file it stands in; {} where that is elsewhere or not there."""
    for _ in range(_DEPTH):
        if not isinstance(node, dict):
            return {}, base
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node, base
        file, _, pointer = reference.partition("#")
        base = (base.parent / file).resolve() if file else base
        if not base.is_file():  # an address, or a part that nobody copied: nothing is known of it
            return {}, base
        node = _loaded(base)
        for piece in filter(None, pointer.split("/")):
            key = piece.replace("~1", "/").replace("~0", "~")
            node = node.get(key, {}) if isinstance(node, dict) else {}
    return {}, base


@dataclass(frozen=True, slots=True)
class Reader:
    """Makes JSON Schema of OpenAPI's: references taken in, ``allOf`` laid together, ``nullable`` said as JSON Schema says it.

    ``asked``: of a request, which has no ``readOnly`` fields; an answer has no ``writeOnly`` ones. ``files``: bytes are files.
    """

    asked: bool
    files: bool = False

    def schema(self, node: Any, base: Path, seen: tuple[int, ...] = ()) -> Schema:
        """The schema of a value; {} where nothing is sure."""
        made = _Laid()
        self._lay(node, base, seen, made)
        forms = self._forms(made)
        said = [form.schema() for form in forms]
        if not all(said):
            return {word: made.words[word] for word in ("description",) if word in made.words}
        different = [one for at, one in enumerate(said) if one not in said[:at]]
        if any(form.null for form in forms):
            return {"anyOf": [*different, _NULL]}
        return different[0] if len(different) == 1 else {"anyOf": different}

    def _forms(self, made: _Laid) -> list[_Laid]:
        """Each alternative with all that stands beside it; one that is not sure of anything where they are too many."""
        done, todo = list[_Laid](), [made]
        while todo:
            one = todo.pop(0)
            if not one.choices:
                done.append(one)
                continue
            (choices, names, base, seen), *rest = one.choices
            for choice, known in zip(choices, names, strict=True):
                form = replace(one, words=dict(one.words), fields=dict(one.fields), needed=list(one.needed), choices=list(rest))
                self._lay(choice, base, seen, form)
                for field_name, values in known.items():
                    told = form.fields.get(field_name, {})
                    form.fields |= {field_name: {**told, "enum": values}} if told and not told.keys() & {"enum", "const"} else {}
                todo.append(form)
            if len(todo) + len(done) > _FORMS:
                return [_Laid(unsure=True)]
        return done

    def _lay(self, written: Any, base: Path, seen: tuple[int, ...], made: _Laid) -> None:
        node, base = followed(written, base)
        if id(node) in seen or len(seen) > _DEPTH:
            made.unsure = True
            return
        seen = (*seen, id(node))
        if self.files and _is_file(node):
            node = {**ASKED, "description": node.get("description") or ASKED["description"]}
        made.words.update({word: node[word] for word in _KEPT if word in node})
        made.open |= node.get("additionalProperties", False) is not False or "patternProperties" in node
        if isinstance(node.get("additionalProperties"), dict) and not made.others:
            made.others = self.schema(node["additionalProperties"], base, seen)
        made.null |= bool(node.get("nullable") or node.get("x-nullable"))
        hidden = "readOnly" if self.asked else "writeOnly"
        for name, inner in (node.get("properties") or {}).items():
            if not followed(inner, base)[0].get(hidden):
                made.fields[str(name)] = self.schema(inner, base, seen)
        made.needed += node["required"] if isinstance(node.get("required"), list) else ()  # at a parameter it is true or false
        if "items" in node:
            made.words["items"] = self.schema(node["items"], base, seen)
        for part in node.get("allOf", ()):
            self._lay(part, base, seen, made)
        for word in ("oneOf", "anyOf"):
            choices = node.get(word, ())
            real = [one for one in choices if not (isinstance(one, dict) and one.get("type") == "null")]
            made.null |= len(real) < len(choices)
            if real:
                made.choices.append((real, [_discriminated(node.get("discriminator"), one) for one in real], base, seen))


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


def _discriminated(told: Any, choice: Any) -> dict[str, list[str]]:
    """The values by which a discriminator tells this alternative: its names in the mapping, else that of its schema."""
    reference = str(choice.get("$ref", "")) if isinstance(choice, dict) else ""
    if not reference or not isinstance(told, dict) or "propertyName" not in told:
        return {}
    name = reference.rpartition("/")[2]
    mapped = [str(value) for value, target in (told.get("mapping") or {}).items() if target in (reference, name)]
    return {str(told["propertyName"]): mapped or [name]}


@dataclass(slots=True)
class _Laid:
    """What the parts of one schema say together. ``choices``: alternatives, what tells each, their file and what led there."""

    words: Schema = field(default_factory=dict)
    fields: dict[str, Schema] = field(default_factory=dict)
    needed: list[str] = field(default_factory=list)
    open: bool = False
    others: Schema = field(default_factory=dict)
    """That of the values of a map, where it has no fields of its own."""
    null: bool = False
    unsure: bool = False
    choices: list[tuple[list[Any], list[dict[str, list[str]]], Path, tuple[int, ...]]] = field(default_factory=list)

    def schema(self) -> Schema:
        """What is said of a value that is not null."""
        said = dict(self.words)
        kinds = said.get("type")
        if isinstance(kinds, list):
            self.null |= "null" in kinds
            real = [kind for kind in kinds if kind != "null"]
            said["type"] = real[0] if len(real) == 1 else real
        if None in said.get("enum", ()):
            self.null, said["enum"] = True, [one for one in said["enum"] if one is not None]
        _limits(said)
        if self.fields:
            said |= {
                "type": "object",
                "properties": self.fields,
                "required": [one for one in dict.fromkeys(self.needed) if one in self.fields],
            }
        elif self.others:
            said["additionalProperties"] = self.others
        if self.unsure:
            return {}
        if self.fields and not self.open:
            said["additionalProperties"] = False
        return said


def _limits(said: Schema) -> None:
    """OpenAPI 3.0 says with true that a limit is exclusive; patterns that no library reads judge nothing, nor do formats but of time."""
    for exclusive, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(said.get(exclusive), bool) and said.pop(exclusive) and plain in said:
            said[exclusive] = said.pop(plain)
    if said.get("format") not in {None, "date", "date-time"}:
        del said["format"]
    if "pattern" in said:
        try:
            jsonschema_rs.validator_for({"pattern": said["pattern"]})
        except ValueError:
            del said["pattern"]


_IS_JSON = re.compile(r".*[/+]json\b|\*/\*").match


def _in_form(parameters: list[Schema]) -> dict[str, Schema]:
    """The fields of a form, which Swagger 2.0 describes as parameters, by name."""
    return {str(each.get("name")): each for each in parameters if each.get("in") == "formData"}


def _form_of(fields: dict[str, Schema], consumed: tuple[str, ...]) -> Body:
    """Such a form: of parts where one is a file, or where it is taken in no other way."""
    needed = [name for name, each in fields.items() if each.get("required")]
    schema = {"type": "object", "properties": fields, "required": needed}
    if any(map(_is_file, fields.values())):
        return Body(schema, bool(needed), "multipart")
    if not consumed or FORM in consumed:
        return Body(schema, bool(needed), "form")
    return Body(schema, bool(needed), "multipart") if MULTIPART in consumed else Body({}, False, "", consumed)


def _is_file(said: Schema) -> bool:
    """Whether bytes are meant: as Swagger 2.0, OpenAPI 3.0 or 3.1 say it."""
    in_words = "contentMediaType" in said and "contentEncoding" not in said
    return said.get("type") == "file" or (said.get("type", "string") == "string" and (said.get("format") == "binary" or in_words))


def _holds_files(said: Schema) -> bool:
    """Whether a value is a file, or a list of them."""
    return any(map(is_file, _items(said)))


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


def alternatives(schema: Any) -> list[Schema]:
    """The alternatives of a schema, null left out; itself where it has none."""
    return [one for one in schema["anyOf"] if one != _NULL] if "anyOf" in schema else [schema]


def never_said(answer: Schema, path: str, value: Any) -> str:
    """Why a contract's answer surely never has this value at names joined with dots; empty where it may."""
    leaves = [form["properties"][BODY] if form.get("properties", {}).keys() == {BODY} else form for form in alternatives(answer)]
    for name in path.split("."):
        forms = [form for leaf in leaves for form in _items(leaf)]
        if any("properties" not in form or form.get("additionalProperties") is not False for form in forms):
            return ""
        leaves = [form["properties"][name] for form in forms if name in form["properties"]]
    if not leaves:
        return f"the contract's answer has no {path}"
    if any(jsonschema_rs.is_valid(form, value) for leaf in leaves for form in _items(leaf)):
        return ""
    return f"{path} of the contract's answer is never {json.dumps(value, ensure_ascii=False)}"


def _items(schema: Schema) -> list[Schema]:
    """The alternatives of a value, or of the items of a list."""
    forms = alternatives(schema)
    return [one for form in forms for one in (_items(form.get("items", {})) if form.get("type") == "array" else [form])]


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


# --- models ----------------------------------------------------------------------------------------------------------


def model_of(name: str, schema: Schema, *, closed: bool, judged: bool = True) -> type[BaseModel]:
    """A model that takes what a schema takes, and tells it to the rules.

    Not ``closed``: also fields that the contract does not know; not ``judged``: anything.
    """
    validator = jsonschema_rs.validator_for(schema if closed else opened(schema))

    class Told(BaseModel):
        model_config = ConfigDict(extra="allow", frozen=True)

        @model_validator(mode="before")
        @classmethod
        def _fits(cls, value: Any) -> Any:
            kept = without_nulls(value, schema)
            try:
                if judged:
                    validator.validate(kept)  # ends at the first fault: a list of wrong items has as many
            except jsonschema_rs.ValidationError as fault:
                place = ".".join(str(piece) for piece in fault.instance_path)
                raise Unfit(f"{place or 'the whole'} does not fit the contract: {fault.kind.name}") from None
            return in_kind(kept, schema, told=not closed)

        @classmethod
        def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
            return schema

    Told.__name__ = Told.__qualname__ = name
    return Told


def without_nulls(value: Any, *schemas: Any) -> Any:
    """A value without the nulls that none of its schemas takes: an optional field that is null is one that is left out."""
    forms = [form for schema in schemas for form in alternatives(schema)]
    if isinstance(value, list):
        return [without_nulls(inner, *(form.get("items", {}) for form in forms)) for inner in value]
    if not isinstance(value, dict):
        return value
    fields = {name: [one for form in forms if isinstance(one := _field(form, name), dict)] for name in value}
    kept = {name: inner for name, inner in value.items() if inner is not None or any(_NULL in one.get("anyOf", ()) for one in fields[name])}
    return {name: without_nulls(inner, *fields[name]) for name, inner in kept.items()}


def in_kind(value: Any, *schemas: Any, told: bool) -> Any:
    """A value whose numbers are of the kind that its schemas say, as rules are checked by it: JSON has one kind, expressions have two.

    12.0 is a whole number where one is due; of what a system ``told``, 12 is one with decimals.
    """
    forms = [form for schema in schemas for form in alternatives(schema)]
    if isinstance(value, list):
        return [in_kind(inner, *(form.get("items", {}) for form in forms), told=told) for inner in value]
    if isinstance(value, dict):
        known = {name: [form["properties"][name] for form in forms if name in form.get("properties", {})] for name in value}
        return {name: in_kind(inner, *known[name], told=told) for name, inner in value.items()}
    kinds = [form.get("type") for form in forms if form != _NULL]
    if isinstance(value, float) and value.is_integer() and set(kinds) == {"integer"}:
        return int(value)
    return float(value) if told and type(value) is int and set(kinds) == {"number"} and abs(value) <= EXACT else value


def _field(form: Schema, name: str) -> Any:
    return form.get("properties", {}).get(name, form.get("additionalProperties"))


def opened(schema: Any) -> Any:
    """A schema whose objects take other fields too."""
    if isinstance(schema, list):
        return [opened(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {word: {name: opened(one) for name, one in inner.items()} if word == "properties" else opened(inner)
            for word, inner in schema.items() if not (word == "additionalProperties" and inner is False)}  # fmt: skip
