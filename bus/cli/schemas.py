"""JSON Schemas of the files that people write, for a YAML language server: completion and hover while they write.

Made of the models that read the files, so that fields and their descriptions are never written twice; what this installation has
(operations, types, mappings, routes, offices) comes in as enumerations with descriptions. `bus validate` says more: schemas know no
expressions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from pydantic import BaseModel, Field, create_model
from pydantic.json_schema import models_json_schema

from bus.adapter import Adapter, Operation
from bus.config import Config
from bus.expression.typing import resolved
from bus.mapping.model import MappingDocument, MappingTest
from bus.mapping.schema import schema_of_schemas
from bus.mapping.shapes import CODES
from bus.mapping.types import TypeDocument
from bus.route.model import Conduct, RouteDocument, TestDocument, TestsFile
from bus.route.steps import KINDS
from bus.route.target import answer_of, shape_of
from bus.services import Servizio

Schema: TypeAlias = dict[str, Any]
Names: TypeAlias = Mapping[str, str]

DRAFT = "http://json-schema.org/draft-07/schema#"
"""The draft that the YAML language server knows best."""

FILES = {
    "route": ("routes/**/*.yaml", "!routes/servizi.yaml", "!routes/**/*.test.yaml"),
    "tests": ("routes/**/*.test.yaml",),
    "services": ("routes/servizi.yaml",),
    "mapping": ("mappings/**/*.yaml", "!mappings/types/*.yaml"),
    "type": ("mappings/types/*.yaml",),
    "config": ("config.yaml",),
}
"""Each schema, and the files it is for."""

_DEPTH = 6
"""How deep the fields of a request are told."""
_STEPS = {"type": "array", "items": {"type": "object", "additionalProperties": True}}
_DURATIONS = {
    **dict.fromkeys(("deadline", "pass"), r"^[1-9][0-9]{0,5}(s|m|h|d|wd|w|M|y)$"),
    **dict.fromkeys(("timeout", "wait", "most", "per"), r"^[1-9][0-9]{0,5}(s|m|h|d)$"),
}
_NAMED = {
    ("Call", "call"): "asked", ("Call", "undo"): "asked", ("Call", "mapping"): "mappings", ("Map", "map"): "mappings",
    ("Send", "send"): "types", ("Send", "mapping"): "mappings", ("Wait", "wait"): "types", ("Gather", "gather"): "types",
    ("RouteDocument", "on"): "types", ("MappingDocument", "from"): "types", ("MappingDocument", "to"): "targets",
    ("Servizio", "modulo"): "types", ("Servizio", "percorso"): "routes", ("Servizio", "ufficio"): "offices",
    ("Arrival", "arrive"): "types", ("Happening", "arrive"): "types",
}  # fmt: skip
"""Fields that name something of the installation: what of `Vocabulary`."""

_SAY_SOMETHING = {"RouteDocument", "ClauseModel", "TypeDocument", "Servizio", "Expectation", *(model.__name__ for model in KINDS.values())}
"""Models whose fields say something where they are written."""


@dataclass(frozen=True)
class Vocabulary:
    """What there is to name: each with its description. ``shapes`` are the types whose files can be read, as messages are checked."""

    operations: Mapping[str, Operation] = field(default_factory=dict)
    adapters: Mapping[str, type[Adapter]] = field(default_factory=dict)
    types: Names = field(default_factory=dict)
    shapes: Mapping[str, Schema] = field(default_factory=dict)
    mappings: Names = field(default_factory=dict)
    routes: Names = field(default_factory=dict)
    tables: Names = field(default_factory=dict)
    offices: Names = field(default_factory=dict)

    @cached_property
    def asked(self) -> Names:
        """The operations, each with its description."""
        return {name: _first_line(one) for name, one in self.operations.items()}

    @property
    def targets(self) -> Names:
        """What a mapping can make."""
        return {**self.asked, **self.types}


def _first_line(operation: Operation) -> str:
    said = operation.doc.split("\n\n")[0].replace("``", "`").replace("\n", " ").strip()
    return f"{said} ({operation.effect})".strip()


def schemas(vocabulary: Vocabulary) -> dict[str, Schema]:
    """All schemas, by the name they have in `FILES`."""
    route = _route(vocabulary)
    return {
        "route": route,
        "tests": _tests(route),
        "mapping": _mapping(vocabulary),
        "type": _type(vocabulary),
        "services": _services(vocabulary),
        "config": _config(vocabulary),
    }


def _models(models: Iterable[type[BaseModel]], vocabulary: Vocabulary) -> dict[str, Schema]:
    """Definitions of models, by the name of the class, with the names of the installation in them."""
    _, made = models_json_schema([(model, "validation") for model in models], ref_template="#/$defs/{model}")
    definitions: dict[str, Schema] = made.get("$defs", {})
    for owner, schema in definitions.items():
        for name, inner in schema.get("properties", {}).items():
            if owner in _SAY_SOMETHING and (owner, name) != ("Wait", "wait"):
                _without_null(inner)
            if what := _NAMED.get((owner, name)):
                if names := getattr(vocabulary, what):
                    _texts(inner, _one_of(names))
            elif name in _DURATIONS:
                _texts(inner, {"pattern": _DURATIONS[name]})
    return definitions


def _without_null(schema: Schema) -> None:
    """What may be left out is not written with nothing behind it: `bus validate` refuses that."""
    if {"type": "null"} in schema.get("anyOf", ()):
        schema["anyOf"] = [one for one in schema["anyOf"] if one != {"type": "null"}]
        schema.pop("default", None)


def _one_of(names: Names) -> Schema:
    """That a text is one of the names that there are."""
    known = sorted(names)
    return {"enum": known, "enumDescriptions": [names[one] for one in known]}


def _texts(schema: Schema, more: Schema) -> None:
    """Narrow the text among the alternatives of a schema."""
    for one in [schema, *schema.get("anyOf", ())]:
        if one.get("type") == "string":
            one.update(more)


def _document(model: type[BaseModel], vocabulary: Vocabulary, description: str) -> Schema:
    definitions = _models([model], vocabulary)
    return {"$schema": DRAFT, **definitions.pop(model.__name__), "description": description, "$defs": definitions}


# --- routes ----------------------------------------------------------------------------------------------------------


def _route(vocabulary: Vocabulary) -> Schema:
    definitions = _models([RouteDocument, TestDocument, Conduct, *KINDS.values()], vocabulary)
    route = definitions.pop("RouteDocument")
    route["properties"]["tests"]["items"] = {"$ref": "#/$defs/TestDocument"}
    given = _given(vocabulary)
    for fields in (route["properties"], definitions["TestDocument"]["properties"]):
        fields["given"] = {**given, "description": fields["given"]["description"]}
    expected = definitions["Expectation"]["properties"]
    for part, names in (("calls", vocabulary.asked), ("sent", vocabulary.types)):
        if names:
            with_values = {
                "type": "object",
                "properties": {name: {"description": text} for name, text in names.items()},
                "additionalProperties": False,
            }
            expected[part]["anyOf"][0]["items"] = {"anyOf": [_one_of(names), with_values]}
    if asked := sorted(vocabulary.operations):
        expected["tries"]["propertyNames"] = {"enum": asked}
    definitions["Call"]["allOf"] = [_asked(name, one) for name, one in sorted(vocabulary.operations.items())]
    definitions["Send"]["allOf"] = [_where("send", name, {"with": _fields(shape)}) for name, shape in sorted(vocabulary.shapes.items())]
    step = {"description": "One step: its kind is the field that names it", "anyOf": [_ref(kind.__name__) for kind in KINDS.values()]}
    definitions["Step"] = step
    whole = {"$schema": DRAFT, **route, "description": "A route: what happens when a message of a type comes.", "$defs": definitions}
    made: Schema = _with_steps(whole)
    return made


def _tests(route: Schema) -> Schema:
    """Tests beside a route: what its own file may hold of them."""
    fields = {name: route["properties"][name] for name in TestsFile.model_fields}
    return {
        "$schema": DRAFT, "description": "Tests of the route in the file of the same name.", "type": "object", "properties": fields,
        "required": ["tests"], "additionalProperties": False, "$defs": route["$defs"],
    }  # fmt: skip


def _with_steps(schema: Any) -> Any:
    """Lists of steps, wherever they stand."""
    if isinstance(schema, list):
        return [_with_steps(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if all(schema.get(word) == said for word, said in _STEPS.items()):
        return {**schema, "items": _ref("Step")}
    return {name: _with_steps(inner) for name, inner in schema.items()}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _asked(name: str, operation: Operation) -> Schema:
    """The fields of an operation's request, where it is called."""
    codes = {"anyOf": [{"const": "any"}, {"type": "array", "items": {"enum": sorted(operation.refusals)}}]}
    return _where("call", name, {"with": _fields(shape_of(operation.request)), **({"dead_on": codes} if operation.refusals else {})})


def _where(part: str, name: str, fields: Schema) -> Schema:
    """What its fields are where a part of it has this name."""
    return {"if": {"properties": {part: {"const": name}}, "required": [part]}, "then": {"properties": fields}}


def _fields(root: Schema, schema: Any = None, depth: int = 0) -> Schema:
    """What a template may say of a value of a schema: which fields an object has, and no more. Their values are expressions."""
    inner, _ = resolved(root if schema is None else schema, root)
    said: Schema = {"description": told} if (told := _told(inner)) and depth else {}
    if depth > _DEPTH:
        return said
    if inner.get("type") == "array":
        items = _fields(root, inner.get("items", {}), depth + 1)
        return {**said, "items": items, "properties": {"$value": items}}
    if fields := inner.get("properties"):
        said["properties"] = {name: _fields(root, one, depth + 1) for name, one in fields.items()}
        if inner.get("additionalProperties") is False:
            said |= {"patternProperties": {r"^\$": True}, "additionalProperties": False}
    return said


def _told(schema: Schema) -> str:
    kinds = schema.get("type") or " or ".join(sorted({str(one.get("type", "object")) for one in schema.get("anyOf", ())}))
    codes = ", ".join(map(str, schema.get("enum") or schema.get(CODES, ())))
    return ". ".join(one for one in (schema.get("description", ""), f"one of {codes}" if codes else str(kinds or "")) if one)


def _given(vocabulary: Vocabulary) -> Schema:
    conducts = {name: _conduct(one) for name, one in vocabulary.operations.items()}
    asked = {name: {**conducts[name], "description": text} for name, text in vocabulary.asked.items()}
    bodies = {name: _fields(vocabulary.shapes.get(name, {})) | {"description": text} for name, text in vocabulary.types.items()}
    messages = {"type": "object", "description": "Bodies, by type", "properties": bodies}
    clock = {"type": "string", "description": 'The moment at which the test begins, such as "2026-03-02T09:00:00+01:00"'}
    return {
        "type": "object",
        "properties": {"clock": clock, "messages": messages, **asked},
        "additionalProperties": False if asked else _turns(_ref("Conduct")),
    }


def _conduct(operation: Operation) -> Schema:
    """What an operation does in a test: once, or turn by turn. The fields of its answer are told."""
    return _turns({"allOf": [_ref("Conduct"), {"properties": {"answers": _fields(answer_of(operation.answer))}}]})


def _turns(conduct: Schema) -> Schema:
    return {"anyOf": [conduct, {"type": "array", "items": conduct}]}


# --- the other files -------------------------------------------------------------------------------------------------


def _mapping(vocabulary: Vocabulary) -> Schema:
    made = _document(MappingDocument, vocabulary, "A mapping: from a message to what an operation is asked, or to another message.")
    made["$defs"] |= _models([MappingTest], vocabulary)
    made["properties"]["tests"]["items"] = _ref("MappingTest")
    targets = {**{name: shape_of(one.request) for name, one in vocabulary.operations.items()}, **vocabulary.shapes}
    made["allOf"] = [_where("to", name, {"fields": _fields(shape)}) for name, shape in sorted(targets.items())]
    return made


def _type(vocabulary: Vocabulary) -> Schema:
    made = _document(TypeDocument, vocabulary, "A message type: the shape of its body, and what of it tells the case.")
    if vocabulary.tables:
        made["properties"]["codes"]["additionalProperties"] = {"type": "string", **_one_of(vocabulary.tables)}
    made["$defs"]["Schema"] = schema_of_schemas(_ref("Schema"))
    made["properties"]["schema"] = {
        "allOf": [_ref("Schema"), {"type": "object"}],
        "description": made["properties"]["schema"]["description"],
    }
    return made


def _services(vocabulary: Vocabulary) -> Schema:
    definitions = _models([Servizio], vocabulary)
    entries = {"type": "array", "items": _ref("Servizio"), "description": "The services"}
    return {
        "$schema": DRAFT, "type": "object", "description": "What the portal offers: one entry for each service.",
        "properties": {"servizi": entries}, "required": ["servizi"], "additionalProperties": False, "$defs": definitions,
    }  # fmt: skip


_SECRET = {
    "type": "object",
    "description": "{env: NAME} takes it from the environment, {file: path} from a file",
    "properties": {
        "env": {"type": "string", "description": "Name of a variable of the environment"},
        "file": {"type": "string", "description": "Path of a file that holds the secret alone"},
    },
    "minProperties": 1, "maxProperties": 1, "additionalProperties": False,
}  # fmt: skip


def _config(vocabulary: Vocabulary) -> Schema:
    made = _document(Config, vocabulary, "The settings of a bus.")
    systems = made["properties"]["adapters"]
    for name, cls in vocabulary.adapters.items():
        use = Field(name, description="Name of the adapter, when the system has a name of its own")
        concurrency = Field(None, description="Calls at once, at most, in one process; `threads` of the engine when not said")
        model = create_model(f"Settings_{name}", __base__=cls.Settings, use=(str, use), concurrency=(int | None, concurrency))
        _, own = models_json_schema([(model, "validation")], ref_template=f"#/$defs/{name}-{{model}}")
        made["$defs"] |= {f"{name}-{inner}": schema for inner, schema in own["$defs"].items()}
        about = (cls.__doc__ or "").strip().splitlines()
        systems.setdefault("properties", {})[name] = {**_ref(f"{name}-{model.__name__}"), "description": about[0] if about else name}
    made["$defs"]["Secret"] = _SECRET
    whole: Schema = _with_secrets(made)
    return whole


def _with_secrets(schema: Any, key: str = "") -> Any:
    """Wherever a text or a number may stand, it may be told from elsewhere."""
    if isinstance(schema, list):
        return [_with_secrets(one) for one in schema]
    if not isinstance(schema, dict) or key == "Secret":
        return schema
    if schema.get("type") in ("string", "integer", "number") and "enum" not in schema and "const" not in schema:
        told = {word: schema[word] for word in ("description", "default", "title") if word in schema}
        return {**told, "anyOf": [{word: said for word, said in schema.items() if word not in told}, _ref("Secret")]}
    return {name: _with_secrets(inner, name) for name, inner in schema.items()}
