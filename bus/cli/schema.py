"""``bus schema``: JSON Schemas for editors, with the names of this installation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bus.cli.common import CONFIG, Json, Settings, family, show
from bus.cli.failures import write_utf_8
from bus.errors import ConfigError

if TYPE_CHECKING:
    from bus.cli.rules import Declared
    from bus.cli.schemas import Vocabulary
    from bus.mapping.tables import TableFile

app = family()
FOLDER = Path(".snodo/schemas")


@app.command()
def schema(
    name: Annotated[
        str, typer.Argument(help="Print this one: route, tests, mapping, type, services or config; all are written when not said.")
    ] = "",
    folder: Annotated[Path, typer.Option("--folder", help="Where they are written.")] = FOLDER,
    config: Settings = CONFIG,
    json: Json = False,
) -> None:
    """Write the schemas, or print one; write them again when adapters or types change."""
    from bus.cli.rules import declared
    from bus.cli.schemas import FILES, schemas

    made = schemas(vocabulary_of(declared(config)))
    if name:
        if name not in made:
            raise ConfigError(f"there is no schema {name!r}", code="cli.usage", hint="there are " + ", ".join(made))
        write_utf_8()
        print(_text(made[name]), end="")
        return
    _folder(folder)
    for one, document in made.items():
        (folder / f"{one}.json").write_text(_text(document), "utf-8")
    show({"written": {str(folder / f"{one}.json"): FILES[one] for one in made}}, json, lambda told: _written(told["written"], folder))


def _written(files: dict[str, Sequence[str]], folder: Path) -> None:
    for file, those in files.items():
        print(f"{file}  for {those[0]}")
    print("An editor finds them by .vscode/settings.json (docs/sysadmin/editor.md), or by a file's first line:")
    print(f"# yaml-language-server: $schema={(folder.resolve() / 'route.json').as_uri()}")  # a path ends there at its first blank


def _folder(folder: Path) -> None:
    """Make the folder. What is written from the settings and the rules is none of the files that git should ask about."""
    ours = folder == FOLDER and not FOLDER.parent.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if ours:
        (FOLDER.parent / ".gitignore").write_text("*\n", "utf-8")


def _text(document: Any) -> str:
    return dumps(document, ensure_ascii=False, indent=1) + "\n"


def vocabulary_of(known: Declared) -> Vocabulary:
    """What there is to name, also while some of the rules are wrong."""
    from bus.cli.schemas import Vocabulary
    from bus.expression import Tables
    from bus.mapping.types import compile_type
    from bus.route.tests_check import SERVICES
    from bus.rulefiles import CATALOGUE
    from bus.services import read_services
    from bus.source import Notes, read_file
    from bus.systems import class_of

    rules = known.config.rules

    def documents(pattern: str, word: str) -> list[dict[str, Any]]:
        read = (read_file(path).plain() for path in sorted(rules.glob(pattern)))
        return [one for one in read if isinstance(one, dict) and isinstance(one.get(word), str)]

    tables, types = _tables(rules), documents("mappings/types/*.yaml", "type")
    catalogue = rules / CATALOGUE
    offered = read_services(read_file(catalogue).plain(), Notes("services")) if catalogue.is_file() else {}
    rows = Tables({name: table.rows for name, table in tables.items() if table})
    rows[SERVICES] = {code: one.row() for code, one in offered.items()}
    compiled = [compile_type(one, Notes("types"), rows) for one in types]
    columns = {name: ", ".join(table.columns) if table else "" for name, table in tables.items()}
    offices = tables.get("uffici")
    return Vocabulary(
        operations=known.operations,
        adapters={name: class_of(known.config, name) for name in known.config.adapters},
        types=_titled(types, "type", "title"),
        shapes={one.name: one.shape for one in compiled if one},
        mappings=_titled(documents("mappings/**/*.yaml", "mapping"), "mapping", "title"),
        routes=_titled(documents("routes/**/*.yaml", "route"), "route", "purpose"),
        tables={**columns, SERVICES: f"the services of {CATALOGUE}"},
        offices={key: str(row.get("nome", "")) for key, row in offices.rows.items()} if offices else {},
    )


def _tables(rules: Path) -> dict[str, TableFile | None]:
    """By name; None for one that cannot be read."""
    from bus.mapping.tables import read_table

    return {path.stem: read_table(path.read_bytes(), path.stem, path.name)[0] for path in sorted(rules.glob("mappings/tables/*.csv"))}


def _titled(documents: Iterable[dict[str, Any]], word: str, title: str) -> dict[str, str]:
    return {one[word]: str(one.get(title, "")) for one in documents}
