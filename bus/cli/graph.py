"""``bus graph``: a route, or the whole municipality, as a picture or as text."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bus.cli.common import CONFIG, Settings, family
from bus.cli.failures import write_utf_8
from bus.errors import Invalid, NotFound
from bus.message import JsonObject

app = family()


class Drawing(StrEnum):
    """How it is drawn."""

    svg = "svg"
    mermaid = "mermaid"
    text = "text"


@app.command()
def graph(
    route: Annotated[str, typer.Argument(help="Name of a route.")] = "",
    every: Annotated[bool, typer.Option("--all", help="The whole municipality: types, routes, systems.")] = False,
    form: Annotated[Drawing, typer.Option("--format", help="How it is drawn.")] = Drawing.text,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it here instead of printing it.")] = None,
    config: Settings = CONFIG,
) -> None:
    """Draw a route of the rules in the folder, or the whole municipality; `bus validate` says whether they are good."""
    from bus.cli.rules import declared
    from bus.examine import load
    from bus.route import graph as one
    from bus.route.svg import route_svg
    from bus.source import suggestion

    if bool(route) == every:
        said = "say a route or --all, not both" if every else "say which route, or --all"
        raise Invalid(said, code="cli.usage", hint="bus graph edilizia.presenta-pratica --format svg -o pratica.svg")
    known = declared(config)
    routes = {name: dict(found.plan.rules["route"]) for name, found in load(known.config.rules, known.operations).routes.items()}  # type: ignore[arg-type]
    if every:
        drawn = _municipality(form, routes.values(), known.config.organization.name)
    elif route not in routes:
        hint = suggestion(route, routes) or "there are " + ", ".join(sorted(routes))
        raise NotFound(f"there is no route {route!r}", code="graph.unknown-route", hint=hint)
    else:
        drawn = {"svg": route_svg, "mermaid": one.as_mermaid, "text": one.as_text}[form.value](routes[route])
    if output is None:
        if form is not Drawing.text:
            write_utf_8()
        print(drawn)
    else:
        output.write_text(drawn.rstrip("\n") + "\n", "utf-8")
        print(output)


def _municipality(form: Drawing, routes: Collection[JsonObject], title: str) -> str:
    from bus.route import overview

    match form:
        case Drawing.svg:
            return overview.as_svg(routes, title)
        case Drawing.mermaid:
            return overview.as_mermaid(routes, title)
        case Drawing.text:
            return overview.as_text(routes)
