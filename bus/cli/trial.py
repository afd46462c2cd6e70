"""``bus test``: the tests inside the route files, in virtual time, without any outside system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bus.cli.common import CONFIG, Json, Settings, family, show
from bus.errors import ConfigError

if TYPE_CHECKING:
    from bus.catalog import Catalog, Route
    from bus.testing.mutate import Score

app = family("Run the tests inside the route files.")


@app.command("test")
def run_tests(
    path: Annotated[str, typer.Argument(help="A route file, a folder, or the name of a route; all when not said.")] = "",
    config: Settings = CONFIG,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Say also which ways no test takes, which count as failures, and which faults no test tries.")
    ] = False,
    mutate: Annotated[bool, typer.Option("--mutate", help="Say also which small mistakes in the rules no test would notice.")] = False,
    least: Annotated[
        int, typer.Option("--least", help="With --mutate: a route that notices a smaller part of them, in per cent, fails.")
    ] = 80,
    json: Json = False,
) -> None:
    """Run the tests of routes; exit code 1 when one of them fails."""
    from bus.catalog import load
    from bus.cli.rules import declared
    from bus.testing.mutate import score
    from bus.testing.routes import as_json, run_folder, summary, untested, untried

    known = declared(config)
    catalog = load(known.config.rules, known.operations)
    routes = [route.plan.route for route in _chosen(catalog, path, known.config.rules)]
    verdicts = run_folder(catalog, known.operations, routes)
    left = {name: ways for name, ways in untested(catalog, verdicts).items() if coverage and name in routes}
    faults = {name: ways for name, ways in untried(catalog, known.operations, verdicts).items() if coverage and name in routes}
    passed = all(one.passed for one in verdicts)
    scores = [score(catalog.routes[name], catalog, known.operations) for name in routes] if mutate and passed else []
    if json:
        noticed = {one.route: {"percent": one.percent, "noticed": one.noticed, "survivors": list(one.survivors)} for one in scores}
        show(
            {
                **as_json(verdicts),
                **({"untested": left, "untried": faults} if coverage else {}),
                **({"mutation": noticed} if mutate else {}),
            },
            True,
            print,
        )
    else:
        print(*(f"untried {name}: {way}" for name, ways in faults.items() for way in ways), sep="\n", end="\n" if faults else "")
        print(*(f"UNTESTED {name}: {way}" for name, ways in left.items() for way in ways), summary(verdicts), sep="\n")
        print(*_told(scores), sep="\n", end="\n" if scores else "")
    raise typer.Exit(0 if passed and not left and all(one.percent >= least for one in scores) else 1)


def _told(scores: list[Score]) -> Iterator[str]:
    """What no test noticed, then one line for each route."""
    yield from (f"UNNOTICED {one.route}: {survivor}" for one in scores for survivor in one.survivors)
    yield from (f"{one.percent:>4} % {one.route}: {one.noticed} of {one.noticed + len(one.survivors)} mistakes noticed" for one in scores)


def _chosen(catalog: Catalog, path: str, rules: Path) -> list[Route]:
    """The routes at a path (relative to here or to the rules) or with a name."""
    if not path:
        return list(catalog.routes.values())
    given = Path(path.replace(".test.yaml", ".yaml")).resolve()
    chosen = [
        route
        for name, route in catalog.routes.items()
        if name == path
        or (rules / route.file).resolve().is_relative_to(given)
        or (rules / path.replace(".test.yaml", ".yaml")) == rules / route.file
    ]
    if not chosen:
        raise ConfigError(f"there is no route at {path}", code="config.route-unknown", hint="name a file, a folder or a route")
    return chosen
