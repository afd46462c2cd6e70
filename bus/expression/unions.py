"""Alternatives laid together: one shape for all that a schema with ``allOf``, ``oneOf`` or ``anyOf`` takes, for who checks rules.

A field that every alternative has is there as mandatory as all make it; one that only some have may be read, and nothing is said of its
absence where a route asks about a neighbour of it (a discriminator). A field that none has is unknown, if none takes others. What
alternatives say otherwise (a text here, a number there) is left open: no shape says more than its schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

SOMETIMES = "x-sometimes"
"""In a shape: fields that some alternatives make mandatory, and others not."""
ALTERNATIVES = "x-alternatives"
"""In a shape: the shape of each alternative."""
CONDITIONS = "x-conditions"
"""In a shape: what its parts ask by ``if``, each with its ``then`` and ``else``."""
NULL: Schema = {"type": "null"}
_WORDS = ("allOf", "oneOf", "anyOf")
_ASKING = ("if", "then", "else")
_KINDS: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_SAID = {"title", "description", "default", "examples", "deprecated", "$comment", "$defs", "discriminator"}
"""What says nothing of a value."""


def kind_of(value: Any) -> str:
    """The JSON type of a value."""
    return _KINDS.get(type(value), "null")


def choices_of(form: Schema) -> list[Any]:
    """The only values that a shape takes, where it names them; else empty."""
    return [form["const"]] if "const" in form else list(form.get("enum", ()))


def laid(schema: Schema) -> Schema:
    """The shape of a schema: the same object where it has no alternatives."""
    return _Laying(schema).shape(schema) if any(_chooses(one) for one in shapes_within(schema)) else schema


def fits(form: Mapping[str, Any], names: Iterable[str], literals: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What an object with these fields lacks of an alternative, and what it has too much; ``literals`` are the values that are known."""
    fields = form.get("properties", {})
    missing = [name for name in form.get("required", ()) if name not in names]
    strange = [name for name in names if name not in fields] if is_closed(form) else []
    strange += [name for name, value in literals.items() if name in fields and value not in (choices_of(fields[name]) or [value])]
    return missing, strange


def referred(reference: str, root: Any) -> Any:
    """What a reference (``#/$defs/...``) leads to; None where there is nothing, or a name of its own (``#name``) is meant."""
    start, *pieces = reference.split("/")
    found = root if start == "#" else None
    for name in (piece.replace("~1", "/").replace("~0", "~") for piece in pieces):
        if isinstance(found, list):
            found = found[int(name)] if name.isdigit() and int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return found


def first_shape(shape: Schema) -> Schema:
    """The shape of the first alternative; itself where it has none."""
    found: Schema = shape[ALTERNATIVES][0] if ALTERNATIVES in shape else shape
    return found


def shapes_within(schema: Any) -> Iterator[Schema]:
    """A schema and all that stand in it."""
    if isinstance(schema, dict):
        yield schema
        for inner in schema.values():
            yield from shapes_within(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from shapes_within(inner)


def _chooses(node: Schema) -> bool:
    """Whether a schema has alternatives or parts; that it may be null is neither."""
    found = [(word, len([one for one in node[word] if one != NULL])) for word in _WORDS if isinstance(node.get(word), list)]
    return bool(found) and (found != [("anyOf", 1)] or len(node.keys() - _SAID) > 1)


@dataclass(frozen=True, slots=True)
class _Laying:
    root: Schema

    def shape(self, node: Any, seen: frozenset[str] = frozenset()) -> Any:
        """A schema without alternatives, but for null; ``seen`` are the references that led here."""
        if not isinstance(node, dict):
            return node
        plain = {word: self._inner(word, inner, seen) for word, inner in node.items() if word not in _WORDS}
        if not _chooses(node):
            return plain | {word: [self.shape(one, seen) for one in node[word]] for word in _WORDS if word in node}
        parts = [{word: inner for word, inner in plain.items() if word not in _SAID}]
        parts += [self._followed(one, seen) for one in node.get("allOf", ())]
        several = [forms for word in ("oneOf", "anyOf") if (forms := [self._followed(one, seen) for one in node.get(word, ())])]
        null = bool(several) and all(any(map(_null, forms)) for forms in several) and parts[0].get("type") is None
        choices = [[_bare(form) for form in forms if form != NULL] for forms in several]
        made = _met([_bare(part) for part in parts] + [_either(forms) for forms in choices])
        if len(choices) == 1 and len(choices[0]) > 1 and all(_object(form) for form in choices[0]):
            made[ALTERNATIVES] = [_met([*map(_bare, parts), form]) for form in choices[0]]
        if asked := [one for part in parts for one in part.get(CONDITIONS) or [part][: "if" in part]]:
            made[CONDITIONS] = [{word: one[word] for word in _ASKING if word in one} for one in asked]
        made |= {word: plain[word] for word in _SAID if word in plain}
        return {"anyOf": [made, NULL], **({"$defs": made.pop("$defs")} if "$defs" in made else {})} if null else made

    def _inner(self, word: str, inner: Any, seen: frozenset[str]) -> Any:
        if word in ("properties", "$defs") and isinstance(inner, dict):
            return {name: self.shape(one, seen) for name, one in inner.items()}
        return self.shape(inner, seen) if word == "items" else inner

    def _followed(self, node: Any, seen: frozenset[str]) -> Schema:
        """The shape of a part, wherever it is written; {} where it leads back to itself."""
        reference = node.get("$ref") if isinstance(node, dict) else None
        if not isinstance(reference, str):
            return self.shape(node, seen) if isinstance(node, dict) else {}
        return self._followed(referred(reference, {} if reference in seen else self.root), seen | {reference})


def _null(form: Schema) -> bool:
    return form == NULL or NULL in form.get("anyOf", ()) or "null" in kinds_of(form)


def _bare(form: Any) -> Schema:
    """A shape without its null; {} of one that is true or false, which says nothing of a value."""
    said = next((one for one in form["anyOf"] if one != NULL), {}) if isinstance(form, dict) and "anyOf" in form else form
    return said if isinstance(said, dict) else {}


def kinds_of(form: Schema) -> list[str]:
    """The JSON types that a value of a shape may have; empty where nobody says."""
    kinds = form.get("type", [])
    if not kinds and (values := [*form.get("enum", ()), *([form["const"]] if "const" in form else ())]):
        return list(dict.fromkeys(kind_of(value) for value in values))
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _object(form: Schema) -> bool:
    return kinds_of(form) in ([], ["object"]) and bool(form.keys() & {"properties", "required"})


def is_closed(form: Mapping[str, Any]) -> bool:
    """Whether an object has no fields but those that its shape names."""
    return form.get("additionalProperties") is False and not form.get("patternProperties")


def _once(values: Sequence[Any]) -> list[Any]:
    return [one for at, one in enumerate(values) if one not in values[:at]]


def _either(forms: Sequence[Schema]) -> Schema:
    """What is sure of a value that has one of several shapes."""
    real: list[Schema] = _once(forms)
    if len(real) == 1:
        return real[0]
    if not real or not all(real):
        return {}
    made: Schema = {word: said for word, said in real[0].items() if all(form.get(word) == said for form in real)}
    kinds = [kinds_of(form) for form in real]
    if all(kinds):
        several = list(dict.fromkeys(kind for one in kinds for kind in one))
        made["type"] = several[0] if len(several) == 1 else several
    if all("enum" in form or "const" in form for form in real):
        made.pop("const", None)
        made["enum"] = _once([one for form in real for one in choices_of(form)])
    made = {word: said for word, said in made.items() if word not in ("properties", "required", "items", "additionalProperties")}
    if all(one in ([], ["object"]) for one in kinds):
        made |= _fields_of_either(real)
    elif all(one == ["array"] for one in kinds) and all("items" in form for form in real):
        made["items"] = _either([_bare(form["items"]) for form in real])
    return made


def _fields_of_either(forms: Sequence[Schema]) -> Schema:
    names = dict.fromkeys(name for form in forms for name in form.get("properties", {}))
    fields = {name: _field([form["properties"][name] for form in forms if name in form.get("properties", {})]) for name in names}
    needed = [name for name in forms[0].get("required", ()) if all(name in form.get("required", ()) for form in forms)]
    some = {name for form in forms for name in (*form.get("required", ()), *form.get(SOMETIMES, ()))} - {*needed}
    made: Schema = {"properties": fields, "required": needed} if fields or needed else {}
    if some:
        made[SOMETIMES] = sorted(some)
    return made | ({"additionalProperties": False} if all(map(is_closed, forms)) else {})


def _field(several: Sequence[Any]) -> Any:
    """A field that several alternatives have: null, where one of them takes it."""
    if all(one == several[0] for one in several):
        return several[0]
    forms = [one if isinstance(one, dict) else {} for one in several]
    made = _either([_bare(form) for form in forms if form != NULL])
    return {"anyOf": [made, NULL]} if made and any(map(_null, forms)) else made


def _met(parts: Sequence[Schema]) -> Schema:
    """What is sure of a value that has all of several shapes."""
    made: Schema = {}
    for part in parts:
        for word, said in part.items():
            if word not in made:
                made[word] = said
            elif word == "properties":
                here = made[word]
                made[word] = {
                    **here,
                    **{n: _met([_bare(here[n]), _bare(one)]) if n in here and here[n] != one else one for n, one in said.items()},
                }
            elif word in ("required", SOMETIMES):
                made[word] = list(dict.fromkeys([*made[word], *said]))
            elif word == "enum":
                made[word] = [one for one in made[word] if one in said]
            elif made[word] != said:
                made[word] = None  # two limits of one kind: neither is told
    made = {word: said for word, said in made.items() if said is not None and word not in (ALTERNATIVES, CONDITIONS, *_ASKING)}
    return _closing(made, parts)


def _closing(made: Schema, parts: Sequence[Schema]) -> Schema:
    """A part that takes no other fields leaves only its own."""
    made.pop("additionalProperties", None)
    unevaluated = made.pop("unevaluatedProperties", None)
    closed = [part for part in parts if is_closed(part)]
    if closed:
        fields = {
            name: one for name, one in made.get("properties", {}).items() if all(name in part.get("properties", {}) for part in closed)
        }
        made |= {"properties": fields, "additionalProperties": False}
    elif unevaluated is False and not any(part.get("additionalProperties") or part.get("patternProperties") for part in parts):
        made["additionalProperties"] = False
    if SOMETIMES in made:
        made[SOMETIMES] = [name for name in made[SOMETIMES] if name not in made.get("required", ())]
    return made
