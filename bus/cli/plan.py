"""``bus plan``: what edited rules would have done otherwise with messages of the log. Nothing leaves this process, nothing is written."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from bus.cli.common import CONFIG, Json, Key, Purpose, Settings, Since, Store, Until, Url, announced, family, show
from bus.errors import RulesError

app = family()
OTHERWISE = 4


@app.command()
def plan(
    since: Since = "",
    until: Until = "",
    last: Annotated[int, typer.Option("--last", min=1, help="How many of the newest messages, where no time is given.")] = 10_000,
    routes: Annotated[
        Path | None, typer.Option("--routes", help="Folder of the edited routes/ and mappings/; without it that of the settings.")
    ] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, max=100, help="Examples of each difference.")] = 3,
    purpose: Purpose = "",
    url: Url = "",
    key: Key = "",
    config: Settings = CONFIG,
    store: Store = "",
    json: Json = False,
) -> None:
    """Say what edited rules would have done otherwise with messages of the log; without any effect.

    Exit code 0: nothing would have gone otherwise; 4: something would, or there are new warnings; 1: the edited rules have errors.
    """
    from bus.cli.rules import offered, recomputing
    from bus.mapping.protected import EVERYTHING
    from bus.planning.planning import origins_of, planned
    from bus.replay import window

    folder = _folder(routes)
    granted = announced(url, key, config, "plan", purpose, **{"from": since, "to": until})
    with recomputing(config, store, granted) as (settings, reader):
        timed = bool(since or until)
        messages = window.between(reader, *window.times(since or None, until or None)) if timed else window.newest(reader, last)
        values = granted is not None and granted.sees >= EVERYTHING
        try:
            found = planned(
                reader, folder or settings.rules, offered(settings), messages, examples, values=values, origins=origins_of(settings)
            )
        except RulesError as error:
            if folder and error.code == RulesError.default_code:
                error.hint = f"run `bus validate {quote(str(folder))}`"
            raise
        if timed and not found.messages:
            print(window.none_between(reader), file=sys.stderr)
        show(found.as_json(), json, lambda _: print(found.as_text()))
    raise typer.Exit(0 if found.empty else OTHERWISE)


def _folder(routes: Path | None) -> Path | None:
    """The folder that holds ``routes/``; who names that one itself means its parent. Raises `BadParameter` where there is none."""
    if routes is not None and not routes.is_dir():
        raise typer.BadParameter(f"{routes} is no folder: name the one that holds routes/", param_hint="--routes")
    if routes is not None and routes.name == "routes" and not (routes / "routes").is_dir():
        return routes.resolve().parent
    return routes
