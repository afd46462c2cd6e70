"""JSON Schemas of message types, checked: what is no schema, and what in one cannot be meant.

A validator passes over in silence a word that it does not know, a format that there is not, a limit for another type. Here they are told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jsonschema_rs

from bus.expression.unions import referred, shapes_within
from bus.message import canonical
from bus.source import Pointer, Reporter, Severity, nearest, suggestion

_ANY = frozenset({
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "const", "enum", "type", "format",
    "$comment", "contentEncoding", "contentMediaType", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
    "maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains", "maxProperties",
    "minProperties", "required", "dependentRequired", "$ref", "$schema", "$id", "$anchor",
})  # fmt: skip
_ONE = frozenset({
    "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedProperties",
    "unevaluatedItems",
})  # fmt: skip
_MANY = frozenset({"properties", "patternProperties", "$defs", "dependentSchemas"})
_LIST = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_PARTS = frozenset({"if", "then", "else", "not", "dependentSchemas", "allOf", "anyOf", "oneOf"})
"""Words whose schemas say something of the value that the schema around them describes."""
_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")
_KEYWORDS = _ANY | _ONE | _MANY | _LIST
_CHECKED_FORMATS = (
    "date", "date-time", "time", "duration", "email", "uuid", "uri", "uri-reference", "iri", "iri-reference", "hostname", "idn-hostname",
    "idn-email", "ipv4", "ipv6", "regex", "json-pointer", "relative-json-pointer", "uri-template",
)  # fmt: skip
_FORMATS = (*_CHECKED_FORMATS, "int32", "int64", "float", "double", "byte", "binary", "password")
"""Those of JSON Schema, which are checked, and those of OpenAPI, which only tell."""
_SHOWN = {"format": _CHECKED_FORMATS[:6]}
_LIMITS = (
    ("minLength", "maxLength"), ("minItems", "maxItems"), ("minProperties", "maxProperties"), ("minContains", "maxContains"),
    ("minimum", "maximum"), ("exclusiveMinimum", "maximum"), ("minimum", "exclusiveMaximum"), ("exclusiveMinimum", "exclusiveMaximum"),
)  # fmt: skip
_SAYS_OF = {
    **dict.fromkeys(("minLength", "maxLength", "pattern", "contentEncoding", "contentMediaType"), frozenset({"string"})),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), frozenset({"integer", "number"})),
    **dict.fromkeys(
        ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains", "unevaluatedItems"),
        frozenset({"array"}),
    ),
    **dict.fromkeys(
        ("properties", "required", "additionalProperties", "patternProperties", "propertyNames", "minProperties", "maxProperties",
         "dependentRequired", "dependentSchemas", "unevaluatedProperties"), frozenset({"object"}),
    ),
}  # fmt: skip
"""The types that a word says something of."""
_ELSEWHERE = frozenset({"$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"})
"""Words that may say of fields elsewhere."""
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains")
_TAKES: tuple[tuple[Collection[str], tuple[type, ...], str], ...] = (
    (_ONE, (dict, bool), "a schema"),
    (_MANY, (dict,), "schemas by name"),
    (_LIST, (list,), "a list of schemas"),
    (("required", "enum"), (list,), "a list"),
    (_COUNTS, (int,), "a whole number"),
    (("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), (int, float), "a number"),
    (("pattern", "format", "$ref", "title", "description"), (str,), "a text"),
    (("type",), (str, list), "the name of a type, or a list of them"),
    (("uniqueItems", "deprecated", "readOnly", "writeOnly"), (bool,), "true or false"),
)
"""What kind of value a word takes, of YAML and in words."""
_INSTEAD = {
    ("additionalProperties", str): "write false, or true",
    ("required", bool): "name the mandatory fields in `required: [...]` of the object that has them",
    ("required", str): "write it in brackets: [...]",
    ("enum", str): "write it in brackets: [...]",
    ("items", list): "schemas for each place of a list are `prefixItems`",
    ("exclusiveMinimum", bool): "write the number itself, in place of `minimum`",
    ("exclusiveMaximum", bool): "write the number itself, in place of `maximum`",
    ("type", type(None)): 'write "null", in quotes',
}
"""What is written in place of what other drafts take."""
_OTHERWISE = {
    "nullable": 'write type: [..., "null"]',
    "definitions": "did you mean $defs?",
    "example": "did you mean examples?",
    "id": "did you mean $id?",
    "tipo": "did you mean type?",
    "proprieta": "did you mean properties?",
    "obbligatori": "did you mean required?",
    "valori": "did you mean enum?",
    "optional": "what is not in `required` of its object is optional",
}
"""What people mean by a word who know OpenAPI or earlier drafts, or write Italian."""
_NAMES = {
    "date": "a date is {type: string, format: date}", "datetime": "a moment is {type: string, format: date-time}",
    "text": "a text is {type: string}", "float": "it is {type: number}", "decimal": "it is {type: number}", "dict": "it is {type: object}",
    "list": "it is {type: array, items: {...}}",
}  # fmt: skip
_OF_A_KEYWORD = frozenset({"schema.unknown-keyword", "schema.idle-keyword"})


def compile_schema(schema: Any, pointer: Pointer, report: Reporter) -> Any:
    """A validator for a JSON Schema 2020-12; None, with findings, when it is not one."""
    faults = list(_schema_faults(schema, pointer, schema))
    for one in faults:
        report.report(one.place, one.code, one.sentence, one.hint, one.severity, key=one.code in _OF_A_KEYWORD)
    if any(one.severity == "error" for one in faults):
        return None
    try:
        return jsonschema_rs.Draft202012Validator(schema, mask="the value", validate_formats=True)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        place = (*pointer, *getattr(error, "instance_path", ()))
        report.report(place, "schema.invalid", f"this is no JSON Schema: {str(error).splitlines()[0]}")
        return None


def schema_of_schemas(itself: dict[str, Any]) -> dict[str, Any]:
    """What one may write in a schema, as a schema for editors; ``itself`` is the reference by which it is found."""
    names = dict(zip((str, int, float, bool, list, dict), ("string", "integer", "number", "boolean", "array", "object"), strict=True))
    words: dict[str, Any] = {word: {} for word in sorted(_KEYWORDS)}
    for taken, kinds, said in _TAKES:
        words |= {word: {"type": [names[one] for one in kinds], "description": said} for word in taken}
    words |= {word: {**itself, "description": "A schema"} for word in _ONE}
    words |= {word: words[word] | {"additionalProperties": itself} for word in _MANY}
    words |= {word: words[word] | {"items": itself} for word in _LIST}
    words["type"] |= {"anyOf": [{"enum": [*_TYPES]}, {"type": "array", "items": {"enum": [*_TYPES]}}]}
    words["format"] |= {"enum": [*_FORMATS]}
    return {"type": ["object", "boolean"], "properties": words, "additionalProperties": False}


def without_defaults(schema: Any) -> Any:
    """A schema without `default`, which nobody writes into a message that lacks the field: the same object where it has none."""
    if not isinstance(schema, dict):
        return schema
    made = {word: _each_inner(word, inner) for word, inner in schema.items() if word != "default"}
    return schema if len(made) == len(schema) and all(made[word] is schema[word] for word in made) else made


def _each_inner(word: str, value: Any) -> Any:
    """What a word of a schema says, its schemas without defaults."""
    inner = [(place, one, without_defaults(one)) for place, one in _inner(word, value)]
    if all(one is bare for _, one, bare in inner):
        return value
    if word in _ONE:
        return inner[0][2]
    return {place[0]: bare for place, _, bare in inner} if word in _MANY else [bare for _, _, bare in inner]


class _Wrong(NamedTuple):
    """One thing wrong in a schema."""

    place: Pointer
    code: str
    sentence: str
    hint: str = ""
    severity: Severity = "error"


def _schema_faults(schema: Any, pointer: Pointer, root: Any, *, part: bool = False) -> Iterator[_Wrong]:
    """What is wrong in a schema; of a ``part`` of another one (a condition, an alternative) fields may be described beside it."""
    if not isinstance(schema, dict):
        if not isinstance(schema, bool):
            hint = f"write {{type: {schema}}}" if schema in _TYPES else "it is written {type: ..., ...}"
            yield _Wrong(pointer, "schema.invalid", "this is no schema", hint)
        return
    wrong = {word: found for word, inner in schema.items() if (found := _wrong_word(word, inner, (*pointer, word), root)) is not None}
    strange = any(found.code == "schema.unknown-keyword" for found in wrong.values())  # one that stands between a word and its value
    yield from (found for word, found in wrong.items() if not strange or schema[word] is not None or word not in _KEYWORDS)
    right = {word: inner for word, inner in schema.items() if word not in wrong}
    yield from _contradictions(right, pointer)
    if "required" in right:
        lost = _never_there(right, right["required"], (*pointer, "required"))
        beside = part and right.get("additionalProperties") is not False
        yield from (one for name, one in lost if not beside or name not in _described(root))
    yield from _conditions(right, pointer)
    for word, inner in right.items():
        for place, one in _inner(word, inner):
            yield from _schema_faults(one, (*pointer, word, *place), root, part=word in _PARTS)


def _inner(word: str, value: Any) -> Iterable[tuple[Pointer, Any]]:
    """The schemas that a word of a schema holds, with their place below it."""
    if word in _ONE:
        return [((), value)]
    if word in _MANY:
        return [((name,), one) for name, one in value.items()]
    return [((position,), one) for position, one in enumerate(value)] if word in _LIST else []


def _wrong_word(word: str, value: Any, here: Pointer, root: Any) -> _Wrong | None:
    """What is wrong with one word of a schema, looked at alone."""
    if word not in _KEYWORDS:
        hint = _OTHERWISE.get(word) or suggestion(word, _KEYWORDS)
        return _Wrong(here, "schema.unknown-keyword", f"`{word}` is no keyword of JSON Schema", hint)
    for words, kinds, said in _TAKES:
        if word in words and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            return _Wrong(here, "schema.invalid", f"`{word}` takes {said}", _INSTEAD.get((word, type(value)), ""))
    if (word == "multipleOf" and value <= 0) or (word in _COUNTS and value < 0):
        return _Wrong(here, "schema.invalid", f"`{word}` is {'more than 0' if word == 'multipleOf' else '0 or more'}, not {value}")
    if word == "$ref" and not value.startswith("#"):
        hint = "put the schema under $defs and refer to #/$defs/..."
        return _Wrong(here, "schema.outside-reference", "a reference may not leave the file", hint)
    if word == "$ref" and (lost := _lost(value, root)) is not None:
        return _Wrong(here, "schema.invalid", f"there is nothing at `{value}`", lost)
    if word == "pattern" and not _is_pattern(value):
        hint = "what is no pattern but a sign itself has a backslash before it"
        return _Wrong(here, "schema.invalid", "this is no regular expression", hint)
    wrong = next((one for one in value if not _is_pattern(one)), None) if word == "patternProperties" else None
    if wrong is not None:
        return _Wrong((*here, wrong), "schema.invalid", f"`{wrong}` is no regular expression", "the names of these fields match it")
    if word == "enum" and not value:
        return _Wrong(here, "schema.contradiction", "an `enum` without values takes nothing", "name them")
    return _unknown_name(word, value, here) if word in {"type", "format"} else None


def _unknown_name(word: str, value: Any, here: Pointer) -> _Wrong | None:
    """A type or format that there is not."""
    known = _TYPES if word == "type" else _FORMATS
    for place, name in enumerate(value) if isinstance(value, list) else [(None, value)]:
        if name not in known:
            hint = suggestion(str(name), known) or _NAMES.get(str(name)) or "it has " + ", ".join(_SHOWN.get(word, known))
            hint = 'write "null", in quotes' if name is None else hint
            shown = "null" if name is None else name
            return _Wrong(here if place is None else (*here, place), "schema.invalid", f"JSON Schema has no {word} `{shown}`", hint)
    return None


def _contradictions(schema: Mapping[str, Any], pointer: Pointer) -> Iterator[_Wrong]:
    """Words of one schema that do not go together: nothing would be taken, or one of them says nothing."""
    for least, most in _LIMITS:
        low, high = schema.get(least), schema.get(most)
        if low is not None and high is not None and (low > high or (low == high and "exclusive" in least + most)):
            sentence = f"nothing can be both: `{least}` is {low}, `{most}` is {high}"
            yield _Wrong((*pointer, least), "schema.contradiction", sentence, "write the smaller one first")
    said = schema.get("type", [])
    kinds = [said] if isinstance(said, str) else said
    if not kinds:
        return
    values: list[tuple[Pointer, Any]] = [(("enum", position), value) for position, value in enumerate(schema.get("enum", ()))]
    values += [(("const",), schema["const"])] if "const" in schema else []
    for place, value in values:
        if not jsonschema_rs.is_valid({"type": kinds}, value):
            shown = value if isinstance(value, str) else canonical(value).decode()
            hint = f'put it in quotes: "{shown}"' if "string" in kinds and isinstance(value, int | float) else ""
            hint = 'write type: [..., "null"]' if value is None else hint
            yield _Wrong((*pointer, *place), "schema.contradiction", f"`{shown}` is not {' or '.join(kinds)}, so it is never taken", hint)
    for word in schema:
        owners = _SAYS_OF.get(word)
        if owners is not None and owners.isdisjoint(kinds):
            sentence = f"`{word}` says nothing of a value that is {' or '.join(kinds)}"
            yield _Wrong((*pointer, word), "schema.idle-keyword", sentence, f"it is for {' and '.join(sorted(owners))}", "warning")


def _lost(reference: str, root: Any) -> str | None:
    """A hint for a reference to nothing; None where there is something, or a name of its own (``#name``) is meant."""
    if referred(reference, root) is not None or not reference.startswith("#/"):
        return None
    found = root.get("$defs") if isinstance(root, dict) else None
    if not isinstance(found, dict) or not found:
        return "put the schema under $defs and refer to #/$defs/..."
    name = reference.rpartition("/")[2]
    near = name if name in found else nearest(name, found)
    return f"did you mean #/$defs/{near}?" if near is not None else "$defs has " + ", ".join(found)


def _is_pattern(text: str) -> bool:
    try:
        jsonschema_rs.validator_for({"pattern": text})
    except ValueError:
        return False
    return True


def _described(root: Any) -> set[str]:
    """The names of all fields that a schema describes, wherever they stand in it."""
    told = (one.get("properties") for one in shapes_within(root))
    return {name for fields in told if isinstance(fields, dict) for name in fields}


def _never_there(schema: Mapping[str, Any], required: Sequence[Any], pointer: Pointer) -> Iterator[tuple[str, _Wrong]]:
    """Mandatory fields that the schema itself does not let in, or of which it says nothing though it names others."""
    fields = schema.get("properties")
    closed = schema.get("additionalProperties") is False
    if not isinstance(fields, dict) or "patternProperties" in schema or (not closed and not _ELSEWHERE.isdisjoint(schema)):
        return
    for position, name in enumerate(required):
        if isinstance(name, str) and name not in fields:
            hint = suggestion(name, fields.keys() - set(map(str, required)))
            severity: Severity = "error" if closed or hint else "warning"
            yield name, _Wrong((*pointer, position), "type.unknown-field", f"the schema has no field `{name}`", hint, severity)


def _conditions(schema: Mapping[str, Any], pointer: Pointer) -> Iterator[_Wrong]:
    """Conditions that ask, or lead to, nothing: one without an `if`, or about fields that the schema does not let in."""
    for word in ("then", "else"):
        if word in schema and "if" not in schema:
            yield _Wrong((*pointer, word), "schema.idle-keyword", f"`{word}` says nothing without an `if`", "", "warning")
    fields = schema.get("properties")
    if not isinstance(fields, dict) or schema.get("additionalProperties") is not False or "patternProperties" in schema:
        return
    for where, name in _named_in_conditions(schema):
        if name not in fields:
            yield _Wrong((*pointer, *where), "type.unknown-field", f"the schema has no field `{name}`", suggestion(name, fields))


def _named_in_conditions(schema: Mapping[str, Any]) -> Iterator[tuple[Pointer, str]]:
    """The fields that conditions name, each with its place."""
    for word in ("if", "then", "else"):
        said = schema[word] if isinstance(schema.get(word), dict) else {}
        fields, needed = said.get("properties"), said.get("required")
        yield from (((word, "properties", name), name) for name in (fields if isinstance(fields, dict) else ()))
        yield from _texts(needed, (word, "required"))
    others = schema.get("dependentRequired")
    for name, needed in others.items() if isinstance(others, dict) else ():
        yield ("dependentRequired", name), name
        yield from _texts(needed, ("dependentRequired", name))


def _texts(written: Any, pointer: Pointer) -> Iterator[tuple[Pointer, str]]:
    """The texts of a list, if it is one, each with its place."""
    items = enumerate(written) if isinstance(written, list) else ()
    yield from (((*pointer, position), item) for position, item in items if isinstance(item, str))
