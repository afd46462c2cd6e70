"""Write the reference pages from the code: ``python -m tools.reference``; with ``--check`` say which are out of date and exit 1.

What is declared once (settings, operations, functions, the API) is described there and nowhere else; a test runs the check.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bus import config
from bus.adapter import Adapter, Operation
from bus.expression.library import table_functions
from bus.functions import FUNCTIONS
from bus.network import Proxy
from bus.route.codes import as_markdown
from tools.patterns import patterns
from tools.reference_rules import rules, steps
from tools.text import default_of, limits_of, row, sentence_of, type_of

PROJECT = Path(__file__).parents[1]
HOME = PROJECT / "docs" / "reference"
NOTICE = "<!-- Written by `make reference` from the code; do not edit. -->\n"


def adapter_classes() -> Iterator[tuple[str, type[Adapter]]]:
    """(name, class) of every adapter that pyproject.toml names, by name."""
    named = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]["snodo.adapters"]
    for name, target in sorted(named.items()):
        module, _, attribute = target.partition(":")
        yield name, getattr(importlib.import_module(module), attribute)


def fields_of(model: type[BaseModel], *, limits: bool = False) -> Iterator[str]:
    """A table of its fields; with ``limits`` also what a value must be besides its type."""
    schema = model.model_json_schema()["properties"] if limits and model.model_fields else {}
    yield row("name", "type", "default", "meaning")
    yield row("---", "---", "---", "---")
    for name, field in model.model_fields.items():
        key = field.alias or name
        told = [field.description, *limits_of(schema.get(key, {}))]
        yield row(f"`{key}`", f"`{type_of(field.annotation)}`", default_of(field), "; ".join(filter(None, told)))


def settings() -> Iterator[str]:
    yield "# Settings\n"
    yield "What `config.yaml` may hold. Unknown settings are refused."
    yield "What a name of a type holds (`SqlOperation`) stands below its adapter.\n"
    classes = ((name, one) for name, one in vars(config).items() if inspect.isclass(one) and one.__module__ == config.__name__)
    own = (one for name, one in classes if issubclass(one, BaseModel) and not name.startswith("_"))
    for model in (*own, Proxy):
        yield from ("", f"## {model.__name__}\n", sentence_of(model), "", *fields_of(model))
    for name, adapter in adapter_classes():
        yield from ("", f"## adapters: use: {name}\n", sentence_of(adapter), "", *fields_of(adapter.Settings))
        for part in dict.fromkeys(_parts(adapter.Settings.model_fields)):
            if part is not Proxy:
                yield from ("", f"### use: {name}: {part.__name__}\n", inspect.cleandoc(part.__doc__ or ""), "", *fields_of(part))


def operations() -> Iterator[str]:
    yield "# Operations\n"
    yield "What a route can `call`. Effect classes: [decisions/effect-classes.md](../decisions/effect-classes.md). Times are seconds."
    yield "What a name of a type holds (`Debitore`) stands below the operations of its adapter.\n"
    for name, adapter in adapter_classes():
        for operation in adapter.operations.values():
            yield from _operation(name, operation)
        parts = [part for one in adapter.operations.values() for model in (one.request, one.answer) for part in _parts(model.model_fields)]
        for part in dict.fromkeys(parts):
            yield from ("", f"## {name}: {part.__name__}\n", *fields_of(part, limits=True))


def _parts(fields: Mapping[str, FieldInfo]) -> Iterator[type[BaseModel]]:
    """The models within fields, and within those."""
    annotations = [field.annotation for field in fields.values()]
    for kind in annotations:
        annotations.extend(get_args(kind))  # grows while it is walked
        if inspect.isclass(kind) and not get_args(kind) and issubclass(kind, BaseModel):
            yield kind
            yield from _parts(kind.model_fields)


def _operation(adapter: str, operation: Operation) -> Iterator[str]:
    yield from ("", f"## {adapter}.{operation.name}\n", operation.doc or operation.method, "")
    facts = [f"effect `{operation.effect}`", f"timeout {operation.timeout:g}"]
    facts += [f"settle {operation.settle:g}"] if operation.settle else []
    facts += [f"undo `{operation.undo}`"] if operation.undo else []
    facts += [f"sequence `{operation.sequence}`"] if operation.sequence else []
    facts += [f"fails inside a success when {operation.failed_when}"] if operation.failed_when else []
    yield "; ".join(facts) + "\n"
    yield from ("Request:\n", *fields_of(operation.request, limits=True), "", "Answer:\n", *fields_of(operation.answer, limits=True))
    if operation.refusals:
        yield from ("", "Refusals:\n", row("code", "meaning"), row("---", "---"))
        yield from (row(f"`{code}`", sentence) for code, sentence in operation.refusals.items())


def functions() -> Iterator[str]:
    yield "# Functions of expressions\n"
    yield "The closed list; each example is true.\n"
    for function in (*FUNCTIONS.values(), *table_functions({})):
        parameters = ", ".join(f"{name}: {type_of(kind)}" for name, kind in function.parameters)
        yield from (
            "",
            f"## {function.name.replace('_column', ', one column')}\n",
            f"`{function.name.removesuffix('_column')}({parameters}) -> {type_of(function.returns)}`\n",
            inspect.cleandoc(function.doc),
            "",
        )
        yield from (f"- `{example}`" for example in function.examples)


def api() -> Iterator[str]:
    from bus.web.api import SERVED
    from bus.web.served import HEADERS, OF_PROBLEMS, PROBLEMS, Field

    def named(headers: Iterable[str]) -> str:
        told = ", ".join(f"`{name}`" for name in headers)
        return f" Headers: {told}." if told else ""

    def taken(field: Field) -> str:
        """What a parameter may be, where not any text is taken."""
        told = [", ".join(f"`{one}`" for one in field.schema["enum"])] if "enum" in field.schema else []
        if "maximum" in field.schema:
            told.append(f"{field.schema['minimum']} to {field.schema['maximum']}")
        if "default" in field.schema:
            told.append(f"{field.schema['default']} where it is left out")
        if field.required:
            told.append("must be there")
        return f" Taken: {'; '.join(told)}." if told else ""

    yield "# The HTTP API\n"
    yield "With all shapes, as OpenAPI: `GET /openapi.json` of a running bus. Every error is a problem with a code: [errors](errors.md).\n"
    for served in SERVED:
        who = f"Roles: {', '.join(sorted(served.roles))}." if served.roles else "No key needed."
        yield from ("", f"## {served.method} {served.path}\n", inspect.getdoc(served.handler) or served.summary, "", who, "")
        if served.fields:
            yield from (row("parameter", "in", "meaning"), row("---", "---", "---"))
            yield from (row(f"`{one.name}`", one.place, one.description + taken(one)) for one in served.fields)
            yield ""
        yield from (row("status", "meaning"), row("---", "---"))
        for status, (text, _, media) in served.answers.items():
            yield row(str(status), (f"{text} `{media}`" if media else text) + named(served.headers.get(status, ())))
        yield from (row(str(status), PROBLEMS[status] + named(OF_PROBLEMS.get(status, ()))) for status in served.all_problems())
    yield from ("", "## Headers of answers\n", row("header", "meaning"), row("---", "---"))
    yield from (row(f"`{name}`", text) for name, text in HEADERS.items())


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
    from bus.doctor.codes import as_markdown

    yield as_markdown()


def findings() -> Iterator[str]:
    """Every code that `bus validate` can say; the page that `bus explain` shares its text with."""
    yield as_markdown()


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
    if page is findings:
        return "".join(page())
    return NOTICE + "\n".join(line.rstrip(" ") for line in page()).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _present(name: str) -> str:
    path = HOME / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
