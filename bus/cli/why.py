"""``bus why`` and ``bus why-not``: which conditions a run asked, where they are written, and what they read."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from bus.cli.common import CONFIG, Granted, Json, Key, Purpose, Settings, Store, Url, announced, family, show
from bus.errors import NotFound

if TYPE_CHECKING:
    from pathlib import Path

    from bus.replay.why import Account

app = family()
why_not = family()
Run = Annotated[str, typer.Argument(help="Id of the run (bus runs), of a message that started one or more, or a key of a case.")]
Found: TypeAlias = "tuple[Account, Mapping[str, Any], list[str]]"
"""A run, what was found out about it for a program, and the same in lines."""


@app.command()
def why(
    run: Run, purpose: Purpose = "", url: Url = "", key: Key = "", config: Settings = CONFIG, store: Store = "", json: Json = False
) -> None:
    """Walk a run again from its journal, under the rules it had; values are shown with --purpose, which the running bus writes down."""
    granted = announced(url, key, config, "why", purpose, what=run)
    found: list[Found] = []
    for told in _accounts(run, config, store, granted):
        reasons = told.why()
        found.append((told, {"reasons": [one.as_json() for one in reasons]}, [line for one in reasons for line in one.lines()]))
    _show(found, json)


@why_not.command()
def why_not_(
    run: Run, step: Annotated[str, typer.Argument(help="Id of the step.")], purpose: Purpose = "", url: Url = "", key: Key = "",
    config: Settings = CONFIG, store: Store = "", json: Json = False,
) -> None:  # fmt: skip
    """Walk a run again from its journal, and say what kept it from a step."""
    granted = announced(url, key, config, "why", purpose, what=run)
    accounts = _accounts(run, config, store, granted)
    found: list[Found] = []
    for told in accounts:
        with suppress(KeyError):
            reason = told.why_not(step)
            found.append((told, reason.as_json(), list(reason.lines())))
    if not found:
        raise _no_step(step, accounts)
    _show(found, json)


def _no_step(step: str, accounts: list[Account]) -> NotFound:
    from bus.source import suggestion

    known = list(dict.fromkeys(one.id for told in accounts for one in told.plan.walk()))
    hint = suggestion(step, known) or "its steps are " + ", ".join(known)
    missed = dict.fromkeys(
        f"{told.plan.name} has no step {step!r} under the rules of this run ({told.past.rules[:12]})" for told in accounts
    )
    return NotFound("; ".join(missed), code="why.unknown-step", hint=hint)


def _show(found: list[Found], json: bool) -> None:
    """What was found out about each run, for a program or for a person."""
    said = [{"run": told.opening.run, "rules": told.past.rules, **reasons} for told, reasons, _ in found]
    words = (line for told, _, lines in found for line in (told.head(), *lines))
    show(said if len(said) > 1 else said[0], json, lambda _: print(*words, sep="\n"))


def _accounts(run: str, config: Path, store: str, granted: Granted | None) -> list[Account]:
    """The runs of a name; what was said is shown as far as it was ``granted``. Raises `NotFound`."""
    from bus.cli.rules import no_run, recomputing
    from bus.examine import types_of
    from bus.planning.planning import in_force
    from bus.replay import window
    from bus.replay.evidence import Rulebook, pages
    from bus.replay.why import Values, account

    with recomputing(config, store, granted) as (_, reader):
        values = Values(granted.sees, types_of(in_force(reader))) if granted else Values()
        messages, only = window.named(reader, run)
        found = []
        for page in pages(reader, window.pages_of(messages), Rulebook.of(reader)):
            found += [account(opening, page, values) for opening in page.openings if only in (None, opening.run)]
    if not found:
        raise no_run(messages[0], code="why.no-run")
    return found
