"""``bus activate``, ``bus rollback``, ``bus status``: which rules are in force, and how to change that while the bus works."""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bus.cli.common import CONFIG, Json, Key, Reason, Settings, Url, client, family, given, show
from bus.cli.words import when
from bus.errors import RulesError, counted

if TYPE_CHECKING:
    from bus.catalog import Catalog
    from bus.cli.rules import Declared
    from bus.client import Client
    from bus.rulefiles import Files

WITHIN = 10.0
"""Seconds in which all processes should have taken the rules over."""
SILENT = 30.0
MOST = 1000
"""Activations that are listed."""
app = family()
back = family()
state = family()
As = Annotated[str, typer.Option("--as", help="Who does it, if not your login; kept with the reason.")]
Expect = Annotated[str, typer.Option("--expect", help="Fingerprint that must be in force, as `bus status` or `bus plan` said.")]


@app.command("activate")
def activate(
    reason: Reason, config: Settings = CONFIG, who: As = "", expect: Expect = "",
    with_tests: Annotated[bool, typer.Option("--with-tests", help="Run the tests first; a failure activates nothing.")] = False,
    url: Url = "", key: Key = "", json: Json = False,
) -> None:  # fmt: skip
    """Check the files, activate, show what changed. Runs in flight finish under their rules. Exit code 1: nothing was activated."""
    from bus.cli.rules import declared

    known = declared(config)
    catalog, files = _files(known)
    if with_tests:
        _test(catalog, known)
    with client(url, key, config) as bus:
        active = bus.get("/rules")
        changes = list(_changes(active, catalog, files))
        texts = {path: content.decode() for path, content in files.items()}
        body = {"reason": reason, "as": who or _login(), "expected": expect or active["rules"], "files": texts}
        told = bus.post("/rules/activate", body)
        _done(bus, {**told, "changes": changes}, "activated", json)


@back.command("rollback")
def rollback(
    reason: Reason,
    to: Annotated[str, typer.Option("--to", help="Fingerprint of the rules to go back to, 8 digits or more; `bus status --history`.")] = "",
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="How many activations to go back; one, if neither is said.")] = None,
    who: As = "", expect: Expect = "", url: Url = "", key: Key = "", json: Json = False,
) -> None:  # fmt: skip
    """Go back to earlier rules, show what changed; the files stay as they are. Runs in flight finish under the rules they began with."""
    with client(url, key) as bus:
        way = given({"steps": steps, "to": to, "expected": expect})
        theirs = bus.get("/rules")["parts"]
        told = bus.post("/rules/rollback", {"reason": reason, "as": who or _login(), **way})
        _done(bus, {**told, "changes": list(_otherwise(theirs, bus.get("/rules")["parts"]))}, "rolled back to", json)


@state.command("status")
def status(
    config: Settings = CONFIG,
    history: Annotated[bool, typer.Option("--history", help="List the activations instead.")] = False,
    url: Url = "", key: Key = "", json: Json = False,
) -> None:  # fmt: skip
    """Show the rules in force against the files.

    Exit code 0: the files are what runs, everywhere; 1: they differ, have errors, or a process works under others or needs a restart.
    """
    from bus.cli.rules import declared
    from bus.rulefiles import files_of, fingerprints

    with client(url, key, config) as bus:
        if history:
            show(bus.get("/rules/history", limit=MOST), json, _print_history)
            return
        active = bus.get("/rules")
    known = declared(config)
    restart = _differing(active["settings"], known.config.fingerprints)
    unchanged = not restart and active["files"] == fingerprints(files_of(known.config.rules))  # byte for byte: not to be read as rules
    changes, wrong = ([], None) if unchanged else _against(active, known)
    found = {
        **{name: active[name] for name in ("rules", "edition", "act", "time", "actor", "as", "reason", "earlier", "carried")},
        "changes": changes,
        "refused": _refused(known) if unchanged else 0,
        "restart": restart,
        "processes": active["processes"],
        "behind": _behind(active, active["rules"]),
    }
    show(found, json, _print_status)
    if wrong is not None:
        sys.stdout.flush()  # what runs comes first, also where both go to one file
        raise wrong
    raise typer.Exit(1 if any(found[name] for name in ("changes", "refused", "restart", "behind")) else 0)


# --- the files -----------------------------------------------------------------------------------------------------------


def _files(known: Declared) -> tuple[Catalog, Files]:
    """The files of the settings, checked; raises `RulesError` with all findings."""
    from bus import examine
    from bus.rulefiles import files_of

    folder = known.config.rules
    files = files_of(folder)
    return examine.load(files if (folder / "routes").is_dir() else folder, known.operations), files


def _refused(known: Declared) -> int:
    """How many errors this version of Snodo finds in files that are in force: an earlier one did not. What `bus validate` found counts."""
    from bus.cli.validate import found_in

    return sum(one.severity == "error" for one in found_in(known.config.rules, known))


def _against(active: Mapping[str, Any], known: Declared) -> tuple[list[str] | None, RulesError | None]:
    """What differs from the rules in force; of files with errors nobody can tell, and the errors are handed back."""
    try:
        return list(_changes(active, *_files(known))), None
    except RulesError as error:
        return None, error


def _test(catalog: Catalog, known: Declared) -> None:
    from bus.testing.mappings import run_mappings
    from bus.testing.routes import run_folder, summary

    verdicts = [*run_folder(catalog, known.operations), *run_mappings(catalog, known.operations)]
    if not all(one.passed for one in verdicts):
        print(summary(verdicts))
        raise RulesError("tests fail: nothing was activated", code="rules.tests-fail", hint="mend the rules, or their tests")


def _changes(active: Mapping[str, Any], catalog: Catalog, files: Files) -> Iterator[str]:
    """What an activation of these files would change, one line each; what differs in comments only comes last."""
    from bus.rulefiles import fingerprints

    told = list(_otherwise(active["parts"], catalog.parts))
    yield from told
    yield from _forgotten(active["parts"]["routes"], catalog)
    if not told:
        yield from (f"{path}: only comments or tests" for path in _differing(active["files"], fingerprints(files)))


def _forgotten(before: Mapping[str, str], catalog: Catalog) -> Iterator[str]:
    """New routes with a `key` of their own beside some that are gone: under another name what was taken is known no more."""
    gone = ", ".join(sorted(before.keys() - catalog.routes.keys()))
    for name in sorted(catalog.routes.keys() - before.keys()) if gone else ():
        plan = catalog.routes[name].plan
        if plan.key is not None and catalog.types[plan.on].key is None:
            yield f"route {name}: its `key` knows nothing of what a route that is gone took ({gone}): the same message again is done again"


def _otherwise(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """The routes, mappings, types, tables and services that are new, gone or changed, by their fingerprints."""
    for kind, now in after.items():
        then = before[kind]
        for name in _differing(then, now):
            yield f"{kind.removesuffix('s')} {name}: {'new' if name not in then else 'gone' if name not in now else 'changed'}"


def _differing(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names whose fingerprint is not as it was."""
    return sorted(name for name in {*then, *now} if then.get(name) != now.get(name))


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user here
        return ""


# --- telling -------------------------------------------------------------------------------------------------------------


def _done(bus: Client, told: dict[str, Any], what: str, json: bool) -> None:
    """Wait until all processes work under the new rules, and say so; None of ``behind`` where the bus could not be asked any more."""
    from bus.client import ClientError

    try:
        late = _late(bus, told["rules"])
    except ClientError:
        late = None
    show({**told, "behind": late}, json, lambda told: _print_done(told, what))


def _late(bus: Client, rules: str) -> list[str]:
    """The processes that do not work under these rules, after a while."""
    end = time.monotonic() + WITHIN
    while True:
        shown = bus.get("/rules")
        late = _behind(shown, rules)
        if not late or shown["rules"] != rules or time.monotonic() > end:
            return late
        time.sleep(0.1)


def _print_done(told: dict[str, Any], what: str) -> None:
    if not told["changed"]:
        print(f"nothing to change: {told['rules'][:12]} is in force already")
        return
    for change in told["changes"]:
        print(f"  {change}")
    print(f"{what} {told['rules'][:12]}")
    if told["behind"] is None:
        print("  whether all processes work under them could not be asked: the bus does not answer now; `bus status` says it when it does")
    for name in told["behind"] or ():
        print(f"  {name} does not work under them yet, but under earlier ones; as long as `bus status` names it: see its log, restart it")
    if any(change.startswith("service ") for change in told["changes"]):
        print("  the services changed; to show them on the website: bus send sito.catalogo.richiesto '{}'")


def _print_status(found: dict[str, Any]) -> None:
    since = when(found["time"])
    print(f"{found['rules'][:12]} is in force since {since}, {found['act']} by {_by(found)}: {found['reason']}")
    for change in found["changes"] or ():
        print(f"  {change}")
    if found["changes"] is None:
        print("the files have errors, so what differs cannot be told")
    elif found["changes"]:
        print("the files differ: `bus plan` shows what that means, `bus activate` puts them in force")
    elif found["refused"]:
        errors = counted(found["refused"], "error")
        print(f"the files are what runs; this version of Snodo would not take them again ({errors}): `bus validate` shows why")
    else:
        print("the files are what runs")
    for one in found["earlier"]:
        runs = counted(one["runs"], "run") + (f" ({one['dead']} dead: `bus dead list`)" if one.get("dead") else "")
        print(f"  {runs} of {one['route']}@{one['version']} {one['digest'][:12]} will finish under earlier rules")
    for name in found["carried"]:
        print(f"  {name} is taken for runs of earlier rules alone, till a later activation finds that they have ended")
    for name in found["restart"]:
        print(f"  settings {name} have changed: restart the processes")
    for name in found["behind"]:
        print(f"  {name} works under other rules")


def _print_history(shown: dict[str, Any]) -> None:
    for one in shown["activations"]:
        print(f"{one['rules'][:12]}  {when(one['time'])}  {one['act']:<11}  {_by(one)}: {one['reason']}")
    if len(shown["activations"]) == MOST:
        print(f"these are the newest {MOST:,}")


def _by(act: Mapping[str, Any]) -> str:
    return f"{act['actor']} ({act['as']})" if act["as"] else str(act["actor"])


def _behind(shown: Mapping[str, Any], rules: str) -> list[str]:
    """The processes that do not work under these rules; those that are silent are not waited for."""
    return [_name(one) for one in shown["processes"] if one["rules"] != rules and one["silent"] < SILENT]


def _name(process: Mapping[str, Any]) -> str:
    return f"{process['role']} {process['host']}/{process['pid']}"
