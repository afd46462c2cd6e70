"""``bus test``: the tests inside the route files, in virtual time, without any outside system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bus.cli.common import CONFIG, Json, Settings, family, show
from bus.errors import ConfigError

if TYPE_CHECKING:
    from bus.adapter import Operation
    from bus.catalog import Catalog, Route

app = family("Run the tests inside the route files.")


@app.command("test")
def run_tests(
    path: Annotated[str, typer.Argument(help="A route file, a folder, or the name of a route; all when not said.")] = "",
    config: Settings = CONFIG,
    json: Json = False,
) -> None:
    """Run the tests of routes; exit code 1 when one of them fails."""
    from bus.catalog import load
    from bus.cli.rules import declared

    known = declared(config)
    catalog = load(known.config.rules, known.operations)
    told = [one for route in _chosen(catalog, path, known.config.rules) for one in _verdicts(route, catalog, known.operations)]
    show({"tests": told}, json, _told)
    raise typer.Exit(0 if all(one["passed"] for one in told) else 1)


def _verdicts(route: Route, catalog: Catalog, operations: dict[str, Operation]) -> Iterator[dict[str, Any]]:
    from bus.testing.routes import run

    tests = [one.model_dump(exclude_unset=True) for one in route.tests]
    for verdict in run(route.plan, tests, catalog, operations):
        faults = list(verdict.faults)
        yield {"route": verdict.route, "file": route.file, "test": verdict.name, "passed": verdict.passed, "faults": faults}


def _chosen(catalog: Catalog, path: str, rules: Path) -> list[Route]:
    """The routes at a path (relative to here or to the rules) or with a name."""
    if not path:
        return list(catalog.routes.values())
    given = Path(path).resolve()
    chosen = [
        route
        for name, route in catalog.routes.items()
        if name == path or (rules / route.file).resolve().is_relative_to(given) or (rules / path) == rules / route.file
    ]
    if not chosen:
        raise ConfigError(f"there is no route at {path}", code="config.route-unknown", hint="name a file, a folder or a route")
    return chosen


def _told(shown: dict[str, Any]) -> None:
    failed = [one for one in shown["tests"] if not one["passed"]]
    for one in failed:
        print(f"FAILED {one['file']}: {one['test']} ({one['route']})", *(f"  {fault}" for fault in one["faults"]), sep="\n")
    print(f"{len(shown['tests']) - len(failed)} passed, {len(failed)} failed")
