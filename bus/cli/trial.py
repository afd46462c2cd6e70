"""``bus test``: the tests inside the route files, in virtual time, without any outside system."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from bus.cli.common import CONFIG, Json, Key, LogKey, Purpose, Settings, Store, Url, announced, family, show
from bus.errors import ConfigError, Damaged

if TYPE_CHECKING:
    from bus.adapter import Operation
    from bus.catalog import Catalog
    from bus.replay.evidence import Evidence
    from bus.store.opening import Reader
    from bus.testing.cutting import Cut
    from bus.testing.mutate import Score

Ways: TypeAlias = "Mapping[str, Sequence[Mapping[str, str]]]"
"""The ways or faults of each route, by its name, each with its place."""

app = family(
    "Run the tests inside the route files (options: bus test run --help), or cut a new one out of the log.", bare="run", other="run"
)


@app.command("run")
def run_tests(
    path: Annotated[str, typer.Argument(help="A file of rules, a folder, or the name of a route or mapping; all when not said.")] = "",
    config: Settings = CONFIG,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Say also which ways no test takes, which count as failures, and which faults no test tries.")
    ] = False,
    mutate: Annotated[bool, typer.Option("--mutate", help="Say also which small mistakes in the rules no test would notice.")] = False,
    least: Annotated[
        int, typer.Option("--least", help="With --mutate: a route that notices a smaller part of them, in per cent, fails.", min=0, max=100)
    ] = 80,
    json: Json = False,
) -> None:
    """Run the tests of routes and mappings; exit code 1 when one of them fails."""
    from bus.cli.rules import declared
    from bus.examine import load
    from bus.testing.mappings import run_mappings
    from bus.testing.routes import as_json, run_folder, summary, untested, untried

    known = declared(config)
    catalog = load(known.config.rules, known.operations)
    routes, mappings = _chosen(catalog, path, known.config.rules)
    verdicts = [*run_folder(catalog, known.operations, routes), *run_mappings(catalog, known.operations, mappings)]
    left = _placed(untested(catalog, verdicts) if coverage else {}, catalog, routes)
    faults = _placed(untried(catalog, known.operations, verdicts) if coverage else {}, catalog, routes)
    passed = all(one.passed for one in verdicts)
    scores = _scores(catalog, known.operations, routes, mappings) if mutate and passed else []
    if json:
        noticed = {one.route: {"percent": one.percent, "noticed": one.noticed, "survivors": list(one.survivors)} for one in scores}
        covered, mutated = {"untested": left, "untried": faults} if coverage else {}, {"mutation": noticed} if mutate else {}
        show({**as_json(verdicts), **covered, **mutated}, True, print)
    else:
        untaken = [f"UNTESTED {one['place']}: {name}: {one['way']}" for name, ways in left.items() for one in ways]
        print(*_untried(faults), *untaken, summary(verdicts), *_told(scores), sep="\n")
        if mutate and not passed:
            print("no mistakes were made: --mutate asks what tests notice that pass, so mend these first")
    raise typer.Exit(0 if passed and not left and all(one.percent >= least for one in scores) else 1)


def _scores(catalog: Catalog, operations: Mapping[str, Operation], routes: Sequence[str], mappings: Sequence[str]) -> list[Score]:
    """The scores of the routes, and of the mappings that none of these routes applies."""
    from bus.testing.mutate import score, score_mapping

    applied = {mapping for name in routes for mapping in catalog.routes[name].plan.rules["mappings"]}  # type: ignore[union-attr]
    scored = [score(catalog.routes[name], catalog, operations) for name in routes]
    return scored + [score_mapping(catalog.tested[name], catalog, operations) for name in mappings if name not in applied]


def _placed(found: Mapping[str, Sequence[str]], catalog: Catalog, routes: Collection[str]) -> Ways:
    """Ways and faults of the routes with the place at which each step or branch is written."""
    from bus.replay.places import Places

    def of(name: str, ways: Sequence[str]) -> list[dict[str, str]]:
        places = Places(catalog.routes[name].texts)
        return [{"place": places.way(way.partition(": ")[0]), "way": way} for way in ways]

    return {name: of(name, ways) for name, ways in found.items() if name in routes}


def _untried(faults: Ways) -> Iterator[str]:
    """One line for each step: which of its faults no test tries."""
    for name, ways in faults.items():
        for place, some in groupby(ways, key=itemgetter("place")):
            steps = [one["way"].partition(": ") for one in some]
            yield f"untried {place}: {name}: {steps[0][0]}: {', '.join(_in_short([fault for _, _, fault in steps]))}"


def _in_short(faults: Sequence[str]) -> list[str]:
    """Faults for a line: what any HTTP service may answer, in one word where there are several of it (`--json` has each)."""
    own = [fault for fault in faults if not fault.startswith("HTTP_")]
    common = len(faults) - len(own)
    return [*own, f"HTTP_... ({common})"] if common > 2 else list(faults)


@app.command("new")
def new_test(
    message: Annotated[str, typer.Option("--from", help="Id of the message or of its run, or the key of a case.")],
    name: Annotated[str, typer.Option("--name", help="What the test says must hold; a sentence.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Add it to the end of the route's file.")] = False,
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Take it out of a bundle; no database is needed.")] = None,
    log_key: LogKey = None,
    purpose: Purpose = "",
    url: Url = "",
    key: Key = "",
    config: Settings = CONFIG,
    store: Store = "",
    json: Json = False,
) -> None:
    """Cut a test out of the log, with invented people in the place of real ones.

    It shows what was said: that takes a purpose, which the running bus writes down, and a key that sees everything.

    After that nothing leaves this process, no secret is read.
    """
    from bus.cli.rules import offered, offline, proven, recomputing
    from bus.engine.accesses import Looker, needs_all, purpose_of
    from bus.examine import load
    from bus.testing.cutting import as_yaml

    if bundle is not None:
        settings = offline(config)
        operations = offered(settings)
        catalog = load(settings.rules, operations)
        made = _cut_of(proven(bundle, log_key).evidence, message, catalog, operations, name)
    else:
        granted = announced(url, key, config, "test", purpose_of(purpose), what=message)
        needs_all(Looker("", granted.sees if granted else frozenset()), "a test out of the log")
        with recomputing(config, store, granted) as (settings, reader):
            operations = offered(settings)
            catalog = load(settings.rules, operations)
            made = _cut_of(*_out_of_the_log(reader, message), catalog, operations, name)
    text, file = as_yaml(made.test), catalog.routes[made.route].file
    if write:
        _add(settings.rules, file, text, operations)
    told = {
        "route": made.route,
        "file": str(settings.rules / file),
        "added": write,
        "test": text,
        "replaced": made.replaced,
        "same": made.same,
    }
    show(told, json, lambda _: _say_cut(made, told))


def _say_cut(made: Cut, told: dict[str, Any]) -> None:
    """Say what was replaced, and whether the test goes as the run went."""
    if told["added"]:
        print(f"added to {told['file']}", file=sys.stderr)
    else:
        print(told["test"], end="")
    print(f"names, codes and addresses replaced: {made.replaced}; read its texts before others do", file=sys.stderr)
    if not made.same:
        asked = ", ".join(made.asked) or "nothing"
        print(f"the original run asked {asked}: under the rules in the folder the test goes another way", file=sys.stderr)


def _out_of_the_log(reader: Reader, name: str) -> tuple[Evidence, str]:
    """What the log holds of a run or a message, and which of the two to begin with."""
    from bus.replay import window
    from bus.replay.evidence import Rulebook, pages
    from bus.testing.cutting import late_for

    messages, run = window.named(reader, name)
    book = Rulebook.of(reader)
    [page] = pages(reader, [messages[:1]], book)
    with contextlib.suppress(Damaged):  # who cuts the test says so
        if late := [message for opening in page.openings for message in late_for(page, opening.run)]:
            [page] = pages(reader, [[messages[0], *late]], book)
    return page, run or messages[0]


def _cut_of(evidence: Evidence, name: str, catalog: Catalog, operations: Mapping[str, Operation], said: str) -> Cut:
    """The test cut of the run with that id, or of the first that began with that message; raises `NotFound`."""
    from bus.cli.rules import no_run
    from bus.testing.cutting import cut

    opening = next((one for one in evidence.openings if name in (one.run, one.message)), None)
    if opening is None:
        raise no_run(name, code="test.no-run")
    return cut(opening, evidence, catalog, operations, said)


def _add(rules: Path, name: str, text: str, operations: Mapping[str, Operation]) -> None:
    """Add a test at the end of a route's file, unless the rules would not load with it."""
    from bus.examine import load
    from bus.rulefiles import files_of

    file = rules / name
    before = file.read_text("utf-8")
    tops = re.findall(r"^([A-Za-z_]+):", before, re.MULTILINE)
    if "tests" in tops and tops[-1] != "tests":
        hint = "without --write the test is printed, to be put there by hand"
        raise ConfigError(f"the tests of {file} do not stand at its end", code="test.not-at-the-end", hint=hint)
    after = before.rstrip("\n") + "\n" + ("" if "tests" in tops else "\ntests:\n") + text
    load({**files_of(rules), name: after.encode()}, operations)
    file.write_text(after, "utf-8")


def _told(scores: list[Score]) -> Iterator[str]:
    """What no test noticed, then one line for each route."""
    yield from (f"UNNOTICED {one.route}: {survivor}" for one in scores for survivor in one.survivors)
    yield from (f"{one.percent:>4} % {one.route}: {one.noticed} of {one.noticed + len(one.survivors)} mistakes noticed" for one in scores)


def _chosen(catalog: Catalog, path: str, rules: Path) -> tuple[list[str], list[str]]:
    """The routes, and the mappings that have tests, at a path (relative to here or to the rules) or with a name."""
    files = {name: route.file for name, route in catalog.routes.items()}
    tested = {name: one.file for name, one in catalog.tested.items()}
    if not path:
        return list(files), list(tested)
    path = path.replace(".test.yaml", ".yaml")
    at = (Path(path).resolve(), (rules / path).resolve())

    def meant(names: Mapping[str, str]) -> list[str]:
        places = {name: (rules / file).resolve() for name, file in names.items()}
        return [name for name, place in places.items() if name == path or any(place.is_relative_to(one) for one in at)]

    routes, mappings = meant(files), meant(tested)
    if not routes and not mappings and path not in catalog.mappings:
        from bus.source import suggestion

        hint = suggestion(path, {*files, *catalog.mappings}) or "name a file, a folder, a route or a mapping"
        raise ConfigError(f"there is no route or mapping at {path}", code="config.route-unknown", hint=hint)
    return routes, mappings
