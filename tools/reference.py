"""Write the reference pages from the code: ``python -m tools.reference``; with ``--check`` say which are out of date and exit 1.

What is declared once (settings, operations, functions, the API) is described there and nowhere else; a test runs the check.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bus import config
from bus.adapter import Adapter, Operation
from bus.expression.library import table_functions
from bus.functions import FUNCTIONS
from bus.network import Proxy
from tools.patterns import patterns
from tools.reference_api import api
from tools.reference_rules import rules, steps
from tools.text import default_of, holds, limits_of, link_to, row, sentence_of

PROJECT = Path(__file__).parents[1]
HOME = PROJECT / "docs" / "reference"
NOTICE = "<!-- Written by `make reference` from the code; do not edit. -->\n"


SETTINGS = """# Settings

What `config.yaml` may hold. Unknown settings are refused, and all that is wrong is told at once, with line and column.
[config.yaml](../../config.yaml) is an example for one process, [deploy/config.yaml](../../deploy/config.yaml) one for several.
Relative paths start at the folder of `config.yaml`.

A secret is not written in the file. In the place of any text may stand `{env: NAME}`, which takes it from the environment,
or `{file: path}`, which takes it from a file that only the user of the bus can read.

The heading of a section is its path in the file: `anchors.witnesses` stands under `anchors`. What is not `required` may be left
out: then its default holds, or, where the column is blank, there is none."""


def adapter_classes() -> Iterator[tuple[str, type[Adapter]]]:
    """(name, class) of every adapter that pyproject.toml names, by name."""
    named = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]["snodo.adapters"]
    for name, target in sorted(named.items()):
        module, _, attribute = target.partition(":")
        yield name, getattr(importlib.import_module(module), attribute)


def fields_of(model: type[BaseModel], titles: Mapping[type[BaseModel], str], *, data: bool = False, answer: bool = False) -> Iterator[str]:
    """A table of its fields, with what a value must be besides its kind; of ``data`` also its pattern, and whether it may be null.

    ``titles`` are the headings of the models that a field may hold. All fields of an ``answer`` are there: it has no defaults.
    """
    schema = model.model_json_schema()["properties"] if model.model_fields else {}
    columns = [0, 1, 3] if answer else [0, 1, 2, 3]

    def line(*cells: str) -> str:
        return row(*(cells[column] for column in columns))

    yield line("name", "holds", "default", "meaning")
    yield line("---", "---", "---", "---")
    for name, field in model.model_fields.items():
        key = field.alias or name
        told = _with_limits(_meaning(field), limits_of(schema.get(key, {}), patterns=data))
        kind = holds(field.annotation, lambda one: link_to(titles[one], titles[one].rpartition(": ")[2]), null=data)
        yield line(f"`{key}`", kind, default_of(field), told)


def _meaning(field: FieldInfo) -> str:
    """What it means; of a section without a word of its own, what the section is."""
    kind = field.annotation
    return field.description or (sentence_of(kind) if inspect.isclass(kind) and issubclass(kind, BaseModel) else "")


def _with_limits(meaning: str, limits: Sequence[str]) -> str:
    """Both, as a sentence where the meaning is one."""
    said = "; ".join(limits)
    if said and meaning.endswith("."):
        return f"{meaning} {said[0].upper()}{said[1:]}."
    return "; ".join(filter(None, (meaning, said)))


def settings() -> Iterator[str]:
    """The whole file first, then its sections by the path at which they stand, then what each adapter takes."""
    yield SETTINGS
    titles: dict[type[BaseModel], str] = {config.Config: "The file"}
    titles |= {model: f"`{path}`" for model, path in _sections(config.Config)} | {Proxy: "`proxy`"}
    for model, title in titles.items():
        yield from ("", f"## {title}\n", sentence_of(model), "", *fields_of(model, titles))
    for name, adapter in adapter_classes():
        within = [part for part in dict.fromkeys(_parts(adapter.Settings.model_fields)) if part is not Proxy]
        titles |= {part: f"use: {name}: {part.__name__}" for part in within}
        about = "\n\n".join(filter(None, (sentence_of(adapter), sentence_of(adapter.Settings))))
        yield from ("", f"## adapters: use: {name}\n", about, "", *fields_of(adapter.Settings, titles))
        for part in within:
            yield from ("", f"### {titles[part]}\n", inspect.cleandoc(part.__doc__ or ""), "", *fields_of(part, titles))


def _sections(model: type[BaseModel], path: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """(model, path) of the sections within a section: `log`, `anchors`, `anchors.witnesses` ..."""
    for name, field in model.model_fields.items():
        for part in dict.fromkeys(_direct(field.annotation)):
            if part is not Proxy:
                yield part, f"{path}{name}"
                yield from _sections(part, f"{path}{name}.")


def _direct(kind: object) -> Iterator[type[BaseModel]]:
    """The models that an annotation names."""
    if inspect.isclass(kind) and not get_args(kind) and issubclass(kind, BaseModel):
        yield kind
    for one in get_args(kind):
        yield from _direct(one)


def operations() -> Iterator[str]:
    yield "# Operations\n"
    yield "What a route can `call`. Times are seconds, amounts of money are cents. What an effect promises is said in"
    yield "[effect classes](../decisions/effect-classes.md). A field of a request that is not `required` can be left out;"
    yield "all fields of an answer are there, those without a value as null. Of a `sequence` each call gets the next number,"
    yield "and no other gets it."
    for name, adapter in adapter_classes():
        asked = _within(one.request for one in adapter.operations.values())
        answered = _within(one.answer for one in adapter.operations.values())
        titles = {part: f"{name}: {part.__name__}" for part in [*asked, *answered]}
        for operation in adapter.operations.values():
            yield from _operation(name, operation, titles)
        for part, title in titles.items():
            yield from ("", f"## {title}\n", *_said_of(part), *fields_of(part, titles, data=True, answer=part not in asked))


def _within(models: Iterable[type[BaseModel]]) -> list[type[BaseModel]]:
    return [part for model in models for part in _parts(model.model_fields)]


def _parts(fields: Mapping[str, FieldInfo]) -> Iterator[type[BaseModel]]:
    """The models within fields, and within those."""
    for field in fields.values():
        for part in _direct(field.annotation):
            yield part
            yield from _parts(part.model_fields)


def _operation(adapter: str, operation: Operation, titles: Mapping[type[BaseModel], str]) -> Iterator[str]:
    yield from ("", f"## {adapter}.{operation.name}\n", inspect.cleandoc(operation.doc or operation.method), "")
    facts = [f"effect `{operation.effect}`", f"timeout {operation.timeout:g}"]
    facts += [f"settle {operation.settle:g}"] if operation.settle else []
    facts += [f"undo `{operation.undo}`"] if operation.undo else []
    facts += [f"sequence `{operation.sequence}`"] if operation.sequence else []
    facts += [f"fails inside a success when {operation.failed_when}"] if operation.failed_when else []
    yield "; ".join(facts) + "\n"
    for title, model in (("Request", operation.request), ("Answer", operation.answer)):
        yield from ("", f"{title}:\n", *_said_of(model), *fields_of(model, titles, data=True, answer=title == "Answer"))
    if operation.refusals:
        yield from ("", "Refusals:\n", row("code", "meaning"), row("---", "---"))
        yield from (row(f"`{code}`", sentence) for code, sentence in operation.refusals.items())


def _said_of(model: type[BaseModel]) -> Iterator[str]:
    """What the model says of its fields together."""
    if said := inspect.cleandoc(model.__doc__ or ""):
        yield f"{said}\n"


def functions() -> Iterator[str]:
    yield "# Functions of expressions\n"
    yield "The closed list; each example is true.\n"
    for function in (*FUNCTIONS.values(), *table_functions({})):
        parameters = ", ".join(f"{name}: {_word(kind)}" for name, kind in function.parameters)
        yield from (
            "",
            f"## {function.name.replace('_column', ', one column')}\n",
            f"`{function.name.removesuffix('_column')}({parameters}) -> {_word(function.returns)}`\n",
            inspect.cleandoc(function.doc),
            "",
        )
        yield from (f"- `{example}`" for example in function.examples)


def _word(kind: object) -> str:
    """What a function takes or gives; none takes a model."""
    return holds(kind, lambda one: one.__name__)


def reports() -> Iterator[str]:
    from bus.reports import of_adapters
    from bus.systems import adapters_of

    yield "# Reports\n"
    yield "What `bus report NAME` writes: the fields, in the order of the columns. How to ask for one: [for auditors](../auditor.md)."
    project = config.load(PROJECT / "config.yaml", secrets=False)
    telling = {name for name, adapter in adapter_classes() if adapter.reports is not Adapter.reports}
    chosen = {name: settings for name, settings in project.adapters.items() if settings.get("use", name) in telling}
    for report in of_adapters(adapters_of(project.model_copy(update={"adapters": chosen}))).values():
        yield from ("", f"## {report.name}\n", f"{report.title}. Source: {report.source}.", "", row("field", "meaning"), row("---", "---"))
        yield from (row(f"`{name}`", meaning) for name, meaning in report.fields.items())


def doctor() -> Iterator[str]:
    from bus.doctor.codes import CODES

    yield "# What `bus doctor` looks at\n"
    yield "Each check is one line: `ok`, `warning` or `wrong`, its code, what is so and where; then why it matters and what to do next."
    yield "Nothing is changed, in no system, and no business call is made. `bus explain CODE` says the row of this table; `--json` is for"
    yield "programs.\n"
    yield "Exit code 0: nothing wrong (perhaps warnings); 1: something is; 2: the settings cannot be used; 3: database or broker cannot be"
    yield "reached.\n"
    yield from (row("code", "looks at", "why", "what to do"), row("---", "---", "---", "---"))
    yield from (row(f"`{code}`", one.looks, one.meaning, one.cure) for code, one in CODES.items())


def findings() -> Iterator[str]:
    """Every code that `bus validate` can say, with what `bus explain` says of it."""
    from bus.route.codes import CODES

    yield "# Findings\n"
    yield "What `bus validate` can say about routes, mappings, types, tables and services. `bus explain CODE` prints the same.\n"
    for code, one in sorted(CODES.items()):
        yield f"## {code}\n\n{one.meaning}\n\n```text\n{one.example}\n```\n\n{one.cure}\n"


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "settings.md": settings,
    "operations.md": operations,
    "functions.md": functions,
    "api.md": api,
    "steps.md": steps,
    "rules.md": rules,
    "doctor.md": doctor,
    "reports.md": reports,
    "../patterns.md": patterns,
    "findings.md": findings,
}


def main(arguments: list[str]) -> int:
    stale = [name for name, page in PAGES.items() if _text(page) != _present(name)]
    if "--check" not in arguments:
        for name in stale:
            (HOME / name).write_text(_text(PAGES[name]), encoding="utf-8")
        return 0
    for name in stale:
        print(f"docs/reference/{name} is out of date: make reference")
    return 1 if stale else 0


def _text(page: Callable[[], Iterator[str]]) -> str:
    return NOTICE + "\n".join(line.rstrip(" ") for line in page()).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _present(name: str) -> str:
    path = HOME / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
