"""``bus new``: the beginning of a route, a mapping, a service or an adapter: commented, checked, with a test that passes."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.util import find_spec
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bus.cli.common import CONFIG, Json, Settings, family, show
from bus.errors import Conflict, Invalid, RulesError
from bus.mapping.model import NAME

if TYPE_CHECKING:
    from bus.catalog import Catalog
    from bus.cli.rules import Declared
    from bus.rulefiles import Files

app = family("Begin a route, a mapping, a service or an adapter: commented files that are correct, never over one that is there.")
_ADAPTER = r"[a-z][a-z0-9]*"
_CODE = r"[a-z0-9]+(-[a-z0-9]+)*"
_RULES = {
    NAME: "two words or more, joined by dots, of small letters, digits and hyphens, the first beginning with a letter",
    _ADAPTER: "one word of small letters and digits that begins with a letter",
    _CODE: "small letters and digits, in words joined by hyphens",
}
"""What a name must be, in words."""
_LONGEST = 80


@app.command()
def route(
    name: Annotated[str, typer.Argument(help="Its name, such as edilizia.presenta-pratica.")],
    on: Annotated[str, typer.Option("--on", help="Type of the message that starts it; a new type is begun too.")] = "",
    config: Settings = CONFIG,
    json: Json = False,
) -> None:
    """A route that answers, with its test; its message type too, unless it is there."""
    from bus.cli.starts import ROUTE, TYPE, filled

    _fit(NAME, name, "edilizia.presenta-pratica")
    said, on = on, on or f"{name}.richiesta"
    _fit(NAME, on, "edilizia.pratica.presentata")
    known, catalog = _house(config)
    _absent(name, catalog.routes, "route")
    file = _file_of("routes", name)
    if on in catalog.types:
        files, key, body = dict[str, str](), "", _body_of(on, catalog)
    else:
        files = {f"mappings/types/{on}.yaml": filled(TYPE, type=on, title=f"What starts {name}")}
        key, body = "key: body.richiesta\n", {"richiesta": "R-1"}
    files[file] = filled(ROUTE, route=name, file=file, type=on, key=key, body=_flow(body))
    written = _write(known, files)
    near = catalog.nearest_type(on) if said and on not in catalog.types else ""
    _tell(json, written, *([f"{on} is a new message type; {near}"] if near else []), f"next: bus validate; bus test {file}")


@app.command()
def mapping(
    name: Annotated[str, typer.Argument(help="Its name, such as edilizia.pratica-a-segnatura.")],
    source: Annotated[str, typer.Option("--from", help="Type of the message that it reads.")],
    target: Annotated[str, typer.Option("--to", help="Operation or type that it makes.")],
    config: Settings = CONFIG,
    json: Json = False,
) -> None:
    """A mapping that gives every field which its target needs, with its test; fields of the same name and kind are taken over."""
    from bus.cli.starts import MAPPING, MAPPING_TEST, filled
    from bus.route.world import World, target_schema
    from bus.source import suggestion

    _fit(NAME, name, "edilizia.pratica-a-segnatura")
    known, catalog = _house(config)
    _absent(name, catalog.mappings, "mapping")
    if source not in catalog.types:
        raise Invalid(
            f"there is no message type {source!r}",
            code="new.unknown",
            hint=suggestion(source, catalog.types) or "types are the files of mappings/types",
        )
    schema = target_schema(target, World(known.operations, catalog.types, catalog.mappings))
    if schema is None:
        hint = (
            suggestion(target, [*known.operations, *catalog.types])
            or "docs/reference/operations.md lists operations, mappings/types has types"
        )
        raise Invalid(f"{target!r} is neither an operation nor a type", code="new.unknown", hint=hint)
    fields = "\n".join(_fields(schema, schema, catalog.types[source].shape, "  "))
    file = _file_of("mappings", name)
    text = filled(MAPPING, name=name, file=file, to=target, fields=fields).replace("@FROM@", source)
    body = _body_of(source, catalog)
    written = _write(known, {file: text + filled(MAPPING_TEST, body=_flow(body), made=_flow(_made(known, file, text, name, body)))})
    next = f"next: say what the lines marked «say» should hold, here and in the test; bus validate; bus test {name}"
    _tell(json, written, next, f"then, in a route: `mapping: {name}`")


def _made(known: Declared, file: str, text: str, name: str, body: Any) -> Any:
    """What a mapping that is being written makes of a body."""
    from bus.rulefiles import files_of

    whole = _begun({**files_of(known.config.rules), file: text.encode()}, known)
    return whole.mappings[name]({"body": body, "message": {}, "case": {}, "now": ""})


@app.command()
def service(
    code: Annotated[str, typer.Argument(help="Its code, such as occupazione-suolo.")],
    title: Annotated[str, typer.Option("--titolo", help="Title for citizens.")],
    office: Annotated[str, typer.Option("--ufficio", help="Office: a key of the table uffici.")],
    fee: Annotated[int, typer.Option("--tariffa", min=0, help="What it costs, in cents; 0: nothing.")] = 0,
    config: Settings = CONFIG,
    json: Json = False,
) -> None:
    """An entry of routes/servizi.yaml, with a test of it: an application where the generic route is there, else a page of the website."""
    from bus.cli.starts import SERVICE, filled
    from bus.rulefiles import CATALOGUE
    from bus.services import GENERIC_ROUTE
    from bus.source import suggestion

    _fit(_CODE, code, "occupazione-suolo")
    known, catalog = _house(config)
    _absent(code, catalog.services, "service")
    if (offices := catalog.tables.get("uffici")) is not None and office not in offices:
        named = "its offices are " + ", ".join(sorted(offices))
        raise Invalid(f"there is no office {office!r} in the table uffici", code="new.unknown", hint=suggestion(office, offices) or named)
    word, office = _word(code), _word(office)
    if GENERIC_ROUTE in catalog.routes and "servizi.modulo-semplice" in catalog.types:
        about = "served by the generic route; another form: `modulo`; a route of its own: `percorso` in its place"
        rest = "    tipo: istanza\n    modulo: servizi.modulo-semplice"
        rest += f"\n    tariffa: {{importo: {fee}, causale: {_flow(title[:100])}}}" if fee else ""
    else:
        about, rest = "a page of the website", f"    tipo: informativo\n    pagina: /servizi/{code}"
    entry = filled(SERVICE, title=title.replace("\n", " "), about=about, code=word, quoted=_flow(title), office=office, rest=rest)
    files = _at_the_end(known, CATALOGUE, "# The services of the portal.\nservizi:\n", entry)
    if "tipo: istanza" in rest:
        files |= _test_of_service(known, catalog, word, office, fee)
    written = _write(known, files, over=frozenset(files))
    _tell(json, written, "next: bus validate" + (f"; bus test {GENERIC_ROUTE}" if len(files) > 1 else ""))


def _test_of_service(known: Declared, catalog: Catalog, code: str, office: str, fee: int) -> dict[str, str]:
    """A test beside the generic route, behind those that are there."""
    from bus.cli.starts import SERVICE_TEST, filled
    from bus.rulefiles import beside_of
    from bus.services import GENERIC_ROUTE

    begin = "# Tests of services: each application reaches the office of its entry.\ntests:\n"
    paying = f"{{pagopa.crea-posizione: {{importo: {fee}}}}}, " if fee else ""
    then = "\n    then: [{arrive: pagopa.ricevuta}]" if fee else ""
    test = filled(SERVICE_TEST, name=code.strip('"'), code=code, office=office, then=then, paying=paying)
    return _at_the_end(known, beside_of(catalog.routes[GENERIC_ROUTE].file), begin, test)


def _at_the_end(known: Declared, file: str, begin: str, text: str) -> dict[str, str]:
    """A file of the rules with a text at its end; ``begin``: what it is where it is not there."""
    path = known.config.rules / file
    before = path.read_text("utf-8") if path.is_file() else begin
    return {file: before.rstrip("\n") + "\n" + text}


@app.command()
def adapter(
    name: Annotated[str, typer.Argument(help="Its name: small letters and digits, such as tributi.")],
    folder: Annotated[Path, typer.Option("--folder", help="The project.")] = Path(),
    json: Json = False,
) -> None:
    """A package with adapter, simulator, contract and README, and a test that runs the suite which every adapter passes."""
    from bus.cli import starts

    _fit(_ADAPTER, name, "tributi")
    inside = (folder / "adapters/__init__.py").is_file()
    package = f"adapters.{name}" if inside else name
    if keyword.iskeyword(name) or keyword.iskeyword(name.capitalize()):
        raise Invalid(f"{name!r} is a word of Python and cannot name a package", code="new.name", hint="such as tributi")
    if not inside and (name == "tests" or find_spec(name) is not None):  # it would stand in the place of the other
        raise _taken(f"Python has a package {name!r} already")
    place = package.replace(".", "/")
    test = f"tests/contract/test_{name}.py" if (folder / "tests/contract").is_dir() else f"tests/test_{name}.py"
    values = {"name": name, "class": name.capitalize(), "package": package, "test": test}
    files = {
        f"{place}/__init__.py": "",
        f"{place}/adapter.py": starts.ADAPTER,
        f"{place}/simulator.py": starts.SIMULATOR,
        f"{place}/contract/{name}.yaml": starts.CONTRACT,
        f"{place}/README.md": starts.README,
        test: starts.TEST,
    }
    if taken := [file for file in files if (folder / file).exists()]:
        raise _taken(f"{taken[0]} is there already")
    for file, text in files.items():
        _put(folder / file, starts.filled(text, **values))
    found = [] if inside else [f"the bus finds it as every package of Python: installed beside it, or by PYTHONPATH={folder.resolve()}"]
    _tell(
        json, files,
        f"next: python -m pytest {test}; then, in config.yaml under adapters:",
        f"  {name}:\n    use: {package}.adapter:{name.capitalize()}\n    url: http://127.0.0.1:8199",
        f"    chiave: {{env: SNODO_{name.upper()}_KEY}}", *found,
    )  # fmt: skip


# --- what they share -------------------------------------------------------------------------------------------------


def _tell(json: bool, written: Iterable[Path | str], *said: str) -> None:
    """Which files were written, and what to do next."""
    files = [str(one) for one in written]
    show({"written": files, "next": list(said)}, json, lambda _: print(*files, *said, sep="\n"))


def _fit(pattern: str, name: str, example: str) -> None:
    if len(name) > _LONGEST:
        raise Invalid(f"the name has {len(name)} characters, and may have {_LONGEST}", code="new.name", hint=f"such as {example}")
    if not re.fullmatch(pattern, name):
        raise Invalid(f"{name!r} cannot be a name here: it is {_RULES[pattern]}", code="new.name", hint=f"such as {example}")


def _file_of(kind: str, name: str) -> str:
    """The file of a route or a mapping: in the folder of its office."""
    office, _, rest = name.partition(".")
    return f"{kind}/{office}/{rest.replace('.', '-')}.yaml"


def _word(text: str) -> str:
    """A name as YAML that reads it as a text."""
    return text if text[:1].isalpha() and text not in ("null", "true", "false") else dumps(text)


def _absent(name: str, known: Mapping[str, Any], what: str) -> None:
    if name in known:
        raise _taken(f"there is already a {what} {name!r}")


def _taken(sentence: str) -> Conflict:
    return Conflict(sentence, code="new.exists", hint="nothing was written; choose another name")


def _house(config: Path) -> tuple[Declared, Catalog]:
    """The settings and the rules; a project without rules is begun."""
    from bus.cli.rules import declared
    from bus.rulefiles import files_of

    known = declared(config)
    (known.config.rules / "routes").mkdir(parents=True, exist_ok=True)
    return known, _begun(files_of(known.config.rules), known)


def _begun(files: Files, known: Declared) -> Catalog:
    """The rules, with routes that do nothing in the place of those with an error: what is to be begun may be just what they miss."""
    from bus.examine import examine, load
    from bus.rulefiles import beside_of, is_route

    catalog, findings = examine(files, known.operations)
    if catalog is not None:
        return catalog
    wrong = {one.file for one in findings if one.severity == "error" and is_route(one.file)}
    beside = {beside_of(file) for file in wrong}
    return load({file: _idle(text) if file in wrong else text for file, text in files.items() if file not in beside}, known.operations)


def _idle(text: bytes) -> bytes:
    """A route of the same name, on the same type; what has neither stays as it is."""
    from bus.source import read

    document = read(text, "").plain()
    if not isinstance(document, dict) or not {"route", "on"} <= document.keys():
        return text
    steps = [{"id": "niente", "set": {"niente": None}}]
    return dumps({"route": document["route"], "version": 1, "on": document["on"], "steps": steps}).encode()


def _write(known: Declared, files: Mapping[str, str], over: Collection[str] = ()) -> list[Path]:
    """Write files that the whole of the rules is good with, or none of them. Only ``over`` may be there already."""
    from bus.examine import examine
    from bus.rulefiles import files_of

    rules = known.config.rules
    if taken := [file for file in files if file not in over and (rules / file).exists()]:
        raise _taken(f"{taken[0]} is there already")
    made = {**files_of(rules), **{file: text.encode() for file, text in files.items()}}
    _, findings = examine(made, known.operations)
    if wrong := [one for one in findings if one.file in files and one.severity == "error"]:
        raise RulesError("nothing was written, it would not be right", wrong, code="new.not-right")
    for file, text in files.items():
        _put(rules / file, text)
    return [rules / file for file in files]


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _flow(value: Any) -> str:
    """A value as flow YAML (JSON is)."""
    return dumps(value, ensure_ascii=False)


def _body_of(type: str, catalog: Catalog) -> Any:
    """A body of a type: one that some test sends, or one made of its schema. Raises `Invalid` when neither can be had."""
    from bus.mapping.example import example_of

    for one in catalog.routes.values():
        for test in one.tests:
            sent = test.send if one.plan.on == type and "send" in test.model_fields_set else test.given.get("messages", {}).get(type)
            if sent is not None and not catalog.validate(type, sent):
                return sent
    made = example_of(catalog.types[type].shape, catalog.types[type].shape)
    if faults := catalog.validate(type, made):
        where, of = (f"`{faults[0].pointer}`: ", "that field") if faults[0].pointer else ("", "the whole")
        hint = f"say `examples: [...]` of {of} in the schema of the type, or begin with a type of your own"
        raise Invalid(f"no body of {type!r} could be made up for a test: {where}{faults[0].sentence}", code="new.no-body", hint=hint)
    return made


def _fields(schema: Any, root: Any, source: dict[str, Any], indent: str) -> Iterator[str]:
    """Lines for what a target needs: the field of the same name where there is one, else a value that fits, to be replaced."""
    from bus.expression.unions import first_shape
    from bus.mapping.example import example_of
    from bus.mapping.shapes import resolve

    here = first_shape(resolve(schema, root))
    fields = here.get("properties", {})
    needed = here.get("required", ()) or list(fields)[:1]
    for name in needed:
        inner = resolve(fields.get(name, {}), root)
        if inner.get("type") == "object" and inner.get("properties"):
            yield f"{indent}{name}:"
            yield from _fields(inner, root, source, indent + "  ")
            continue
        said = " ".join(str(inner.get("description") or inner.get("title") or "").split())
        if (path := _same(name, inner, source)) is not None:
            yield f"{indent}{name}: {path}" + (f"  # {said}" if said else "")
        else:
            yield f"{indent}{name}: {_literal(example_of(inner, root))}  # say: {said or name}"
    for name in fields:
        if name not in needed:
            yield f"{indent}# {name}:"


_LIMITS = {"type", "enum", "pattern", "maxLength", "minLength", "format", "minimum", "maximum"}


def _same(name: str, wanted: dict[str, Any], source: dict[str, Any]) -> str | None:
    """A field of the message that surely is there, has that name, and may stand there as it is."""
    from bus.mapping.shapes import resolve

    there = resolve(source.get("properties", {}).get(name, {}), source)
    fits = wanted.get("type") in ("string", "integer", "boolean") and all(
        there.get(word) == wanted[word] for word in _LIMITS & wanted.keys()
    )
    return f"body.{name}" if fits and name in source.get("required", ()) else None


def _literal(value: Any) -> str:
    """A value as a template: texts are expressions, so they have two pairs of quotes."""
    if isinstance(value, str):
        return "'" + _flow(value).replace("'", "''") + "'"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_literal(inner)}" for name, inner in value.items()) + "}"
    return dumps(value)
