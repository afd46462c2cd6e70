"""A route in ``bus test`` and in the engine, side by side: what it asks, sends and answers, how it ends, and which records are written.

::

    python -m tests.differential 0-299          these seeds: which differ, and in what
    python -m tests.differential 17             one, with its route and its test
    python -m tests.differential 0-99 --kill    the engine is killed now and then
    python -m tests.differential 0-99 --order   routes that keep the order of their cases

Then each run is replayed, which must call it equal, and a test is cut out of its log, which must go as the run went.

What several branches do in one moment may be told in another order: it is compared without order. Which of two calls that end in one moment
comes first is chance in a bus; a seed may show it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bus.catalog import Catalog
from bus.diagnostics import configure
from bus.errors import RulesError
from bus.log import log
from bus.log.record import Record
from bus.message import parsed
from bus.replay.evidence import Evidence, Opening, Rulebook, gathered
from bus.replay.recount import recount
from bus.route.model import TestDocument
from bus.testing.cutting import Cut, cut
from bus.testing.routes import play
from bus.testing.script import TrialError
from bus.testing.trial import Trial
from tests.differential.live import Live
from tests.differential.rules import OPERATIONS, Chance, catalog_of

MEMORY = Path("/dev/shm")
"""Where the store may lie, whose durability is not what is examined."""
_UNORDERED = ("replies", "sent", "calls", "records")
_CODED = frozenset({"dead", "refused", "unanswered"})


def of_trial(trial: Trial) -> dict[str, Any]:
    """What a test saw."""
    failure = trial.run.walk.failure if trial.run.walk.finished else None
    return {
        "state": trial.run.state,
        "late": [*(run.state for run in trial.runs[1:]), *("ready" for _ in trial.held)],
        "end": [failure.code, _step(failure.place) if failure.dead else ""] if failure else None,
        "tries": dict(trial.tried),
        "calls": [[name, OPERATIONS[name].request.model_validate(request).model_dump(mode="json")] for name, request in trial.calls],
        "replies": trial.replies,
        "sent": [list(one) for one in trial.sent],
        "records": [_told(kind, fields.get("step", ""), fields.get("code")) for kind, fields in trial.records],  # type: ignore[union-attr]
    }


def _told(kind: str, step: Any, code: Any) -> str:
    return f"{kind} {'' if kind in ('received', 'done', 'dead') else step} {code if kind in _CODED else ''}"


def _step(place: str | None) -> str:
    return (place or "").rpartition("/")[2]


class Observed:
    """What a bus has in its log about the run of a message."""

    def __init__(self, live: Live, message: str) -> None:
        with live.store.read() as tx:
            self.records = [record for _, record in log.everything(tx)]
            self.states = {row["id"]: row["state"] for row in tx.all("runs_by_state", state=None, route=None, most=1000)}
            self.payloads, _ = log.payloads(tx, [row["id"] for row in tx.all("payloads_after", after="", most=100_000)])
            rules = {row["digest"]: parsed(row["content"]) for row in tx.all("rules_after", after="", most=1000) if row["kind"] == "route"}
        self.evidence: Evidence = gathered(self.records, self.payloads.get, Rulebook(rules.get))
        self.opening: Opening = next(one for one in self.evidence.openings if one.message == message)
        self.tries, self.calls = dict(live.outside.tried), [list(one) for one in live.outside.asked.values()]

    def told(self) -> dict[str, Any]:
        """As `of_trial`."""
        run, late = self.opening.run, [one.data["opens"]["id"] for one in self.records if one.kind == "late"]
        own = [one for one in self.records if one.run in (run, *late) or (one.kind == "received" and one.message == self.opening.message)]
        end = next((one for one in reversed(own) if one.run == run and one.kind in ("dead", "done") and one.data.get("code")), None)
        return {
            "state": self.states[run],
            "late": [self.states[one] for one in late],
            "end": [end.data["code"], _step(end.place) if end.kind == "dead" else ""] if end else None,
            "tries": self.tries,
            "calls": self.calls,
            "replies": [self._value(one, "reply") for one in own if one.kind == "replied"],
            "sent": [self._sent(one) for one in own if one.kind == "sent"],
            "records": [_told(one.kind, _step(one.place), one.data.get("code")) for one in own if one.kind != "parked"],
        }

    def unlike(self) -> list[str]:
        """What a replay says of the runs that it does not call equal."""
        verdicts = [recount(one, self.evidence, OPERATIONS) for one in self.evidence.openings]
        return [f"{one.result}: {[each.sentence for each in one.differences]}" for one in verdicts if one.result != "equal"]

    def cut(self, catalog: Catalog) -> Cut:
        return cut(self.opening, self.evidence, catalog, OPERATIONS)

    def _value(self, record: Record, role: str) -> Any:
        return parsed(self.payloads[str(record.payload(role))])

    def _sent(self, record: Record) -> list[Any]:
        received = next(one for one in self.records if one.kind == "received" and one.message == record.data["sent"])
        return [record.data["type"], self._value(received, "message")["body"]]


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What two observations have apart."""
    found = [f"{name}: {one[name]} / {other[name]}" for name in one if name not in _UNORDERED and one[name] != other[name]]
    for name in _UNORDERED:
        here, there = (Counter(json.dumps(each, sort_keys=True) for each in seen[name]) for seen in (one, other))
        if here != there:
            found.append(f"{name}: {list((here - there).elements())} / {list((there - here).elements())}")
    return found


def compared(route: Mapping[str, Any], test: Mapping[str, Any], kills: random.Random | None = None) -> tuple[list[str], Cut | None]:
    """What differs; and the test that was cut out of the log, where nothing does. Raises `RulesError`."""
    with tempfile.TemporaryDirectory(prefix="snodo-differential-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        catalog = catalog_of(Path(folder), dict(route))
        plan = catalog.routes[str(route["route"])].plan
        wanted = of_trial(play(plan, TestDocument.model_validate(test), catalog, OPERATIONS))
        live = Live(Path(folder), catalog, test["given"], kills)
        try:
            seen = Observed(live, live.play(test))
        finally:
            live.close()
        told = seen.told()
        found = differences(wanted, told) + [f"replay: {one}" for one in seen.unlike()]
        if found or kills is not None:
            return found, None
        try:
            made = seen.cut(catalog)
        except TrialError as error:
            return [f"the test that was cut: {error.sentence}"], None
        again = of_trial(play(plan, TestDocument.model_validate(made.test), catalog, OPERATIONS))
        ends = ("state", "late", "end")
        found = [f"the test that was cut: {name}: {again[name]} / {told[name]}" for name in ends if again[name] != told[name]]
        return found if made.same else [*found, "the test that was cut asks others"], made


def of_seed(seed: int, order: str = "none", *, kill: bool = False) -> list[str] | None:
    """What differs in the route of a seed; None where the rules would not load."""
    route, test = Chance(seed, order).play()
    try:
        return compared(route, test, random.Random(seed) if kill else None)[0]
    except RulesError:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 when nothing differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=str(__doc__).partition("\n")[0])
    parser.add_argument("seeds", help="from-to, or one")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--order", action="store_true")
    options = parser.parse_args(arguments)
    configure("critical")
    first, _, last = options.seeds.partition("-")
    order, counts = "case" if options.order else "none", Counter[str]()
    for seed in range(int(first), int(last or first) + 1):
        found = of_seed(seed, order, kill=options.kill)
        counts["refused" if found is None else "differ" if found else "same"] += 1
        if found:
            sys.stdout.write("\n  ".join((f"{seed}", *found)) + "\n")
        if not last:
            sys.stdout.write(json.dumps(Chance(seed, order).play(), indent=1) + "\n")
    sys.stdout.write(f"{dict(counts)}\n")
    return int(bool(counts["differ"]))
