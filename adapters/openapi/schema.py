"""Schemas of OpenAPI read as JSON Schema: references over several files, what is laid together, alternatives written out.

It says no more than it is sure of: what refers to itself is left open. An object that lists its fields and does not say that it takes
others is taken to have no others.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import jsonschema_rs
import yaml

from adapters.http.files import ASKED

Schema: TypeAlias = dict[str, Any]
_KEPT = (
    "type", "enum", "const", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "multipleOf", "minItems", "maxItems", "description", "format",
)  # fmt: skip
_DEPTH = 16
_FORMS = 24
"""How many alternatives of one value are told apart, at most."""
"""How many alternatives of one value are told apart, at most."""
NULL: Schema = {"type": "null"}
BODY = "body"
"""Where a body that is no object stands."""


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


@lru_cache(maxsize=64)
def loaded(path: Path) -> Any:
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
        node = loaded(base)
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
            return {"anyOf": [*different, NULL]}
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
        if self.files and is_bytes(node):
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


def is_bytes(said: Schema) -> bool:
    """Whether bytes are meant: as Swagger 2.0, OpenAPI 3.0 or 3.1 say it."""
    in_words = "contentMediaType" in said and "contentEncoding" not in said
    return said.get("type") == "file" or (said.get("type", "string") == "string" and (said.get("format") == "binary" or in_words))


def alternatives(schema: Any) -> list[Schema]:
    """The alternatives of a schema, null left out; itself where it has none."""
    return [one for one in schema["anyOf"] if one != NULL] if "anyOf" in schema else [schema]


def each_of(schema: Schema) -> list[Schema]:
    """The alternatives of a value, or of the items of a list."""
    forms = alternatives(schema)
    return [one for form in forms for one in (each_of(form.get("items", {})) if form.get("type") == "array" else [form])]
