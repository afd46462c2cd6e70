"""``bus validate``: every finding in the settings and the rules, with its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bus.cli.common import CONFIG, Format, Json, Settings, family

if TYPE_CHECKING:
    from bus.cli.rules import Declared
    from bus.source import Finding

app = family("Check settings, routes, mappings, types, tables and services.")


@app.command()
def validate(
    folder: Annotated[Path | None, typer.Argument(help="Folder of routes/ and mappings/, instead of that of the settings.")] = None,
    config: Settings = CONFIG,
    form: Annotated[Format, typer.Option("--format", help="How findings are written.")] = Format.text,
    json: Json = False,
) -> None:
    """Check everything and show all findings at once; exit code 1 when one of them is an error."""
    from bus.catalog import examine
    from bus.cli.formats import written
    from bus.cli.rules import declared
    from bus.cli.words import counted

    known = declared(config)
    _, rules = examine(folder or known.config.rules, known.operations)
    findings = [*_settings(config, known), *rules]
    errors = sum(finding.severity == "error" for finding in findings)
    said = written(findings, Format.json if json else form)
    if json or form is not Format.text:
        print(said)
    else:
        told = f"{counted(errors, 'error')}, {counted(len(findings) - errors, 'warning')}"
        print(said, told, sep="\n\n" if findings else "")
    raise typer.Exit(1 if errors else 0)


def _settings(path: Path, known: Declared) -> Iterator[Finding]:
    """What the adapters say of their own settings once they have seen the contracts."""
    from bus.engine.retention import check
    from bus.source import Finding
    from bus.systems import minima_of

    check(known.config.retention, minima_of(known.adapters))
    if known.missing:
        hint = "the adapters' own settings were not checked; the rules were"
        yield Finding(str(path), 1, 1, "config.secret-missing", "warning", known.missing, hint)
    for name, adapter in known.adapters.items():
        yield from (Finding(str(path), 1, 1, "config.adapter-contract", "error", f"adapters.{name}: {said}") for said in adapter.check())
