"""``make bench``: all measurements in one run, printed as a table and written to ``benchmarks/results/``.

``--quick`` takes a minute or two and proves nothing; ``--profile`` only says where the time goes; of the other options (``--help``) each
takes one measurement alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import checking, evidence, exporting, gates, production, recomputing, report, searching, soak, verifying, waits
from benchmarks.machine import here
from benchmarks.measures import Bench, rounds
from benchmarks.where import profile

RESULTS = Path(__file__).parent / "results"
SHORTENED = frozenset({"verify", "evidence", "export", "search"})
"""What ``--quick`` makes so short that its figures are not kept."""


def say(text: str) -> None:
    print(text, flush=True)


def _alone(folder: Path, options: argparse.Namespace) -> tuple[str, dict[str, Any], Callable[..., str]] | None:
    """The one measurement that was asked for: its name, what was found, how that is shown; None for a whole run."""
    quick = options.quick
    if options.recompute:
        return "recompute", recomputing.measured(folder), recomputing.table
    if options.production:
        return "production", production.measured(folder), production.table
    if options.validate:
        return "validate", checking.measured(folder), checking.table
    if options.verify:
        return "verify", verifying.measured(folder, 20_000 if quick else verifying.LEAVES), verifying.table
    if options.evidence:
        return "evidence", evidence.measured(folder, *((100, 2) if quick else ())), evidence.table
    if options.export:
        return "export", exporting.measured(folder, *((300,) if quick else ())), exporting.table
    if options.gates:
        return "gates", gates.measured(folder), gates.table
    if options.search:
        only = "" if options.search == "both" else options.search
        found = searching.measured(folder, 20_000 if quick else searching.RECORDS, only)
        return f"search-{only}" if only else "search", found, searching.table
    if options.waits:
        return "waits", waits.compared(folder), waits.table
    if options.soak:
        return "soak", soak.soak(folder, options.soak, options.rate), soak.table
    return None


def _whole(folder: Path, machine: dict[str, Any], *, quick: bool) -> dict[str, Any]:
    """The results of a whole run."""
    with Bench(folder) as bench:
        seconds = 3 if quick else 15
        bench.replied(3)  # what a process does for the first time
        young = bench.replied(seconds)
        rounds(bench, *((1.0, 2) if quick else (4.0, 5)), say)
        steady = bench.steady(seconds) | {"young_ms": young}
        memory = bench.bus.memory()
    proofs = evidence.measured(folder / "evidence", *((100, 2) if quick else evidence.SHORT))
    rules = checking.measured(folder, rounds=1 if quick else checking.ROUNDS)
    return report.results(machine, bench.figures, steady, memory, rules, proofs, quick=quick)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Benchmarks of the bus; see docs/design/performance.md.")
    parser.add_argument("--quick", action="store_true", help="two short rounds: a minute or two, for seeing that it works")
    parser.add_argument("--profile", action="store_true", help="only the profile of the bus's threads")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="only a steady load for so long")
    parser.add_argument("--rate", type=int, default=soak.RATE, metavar="N", help="of the soak, messages a second (%(default)s)")
    parser.add_argument("--waits", action="store_true", help="only what a match costs among 1,000 and among 1,000,000 open waits")
    parser.add_argument("--recompute", action="store_true", help="only how fast runs are replayed and edited rules planned")
    parser.add_argument("--verify", action="store_true", help="only what it takes to verify a log of 1,000,000 records")
    parser.add_argument("--validate", action="store_true", help="only what it takes to check 300 routes")
    parser.add_argument(
        "--search", choices=("both", "sqlite", "postgresql"), help="only what a page of a search takes among 1,000,000 records"
    )
    parser.add_argument("--production", action="store_true", help="only production mode: PostgreSQL, RabbitMQ, doors and workers")
    parser.add_argument("--gates", action="store_true", help="only what a dead or slow system does to the messages of another")
    parser.add_argument("--evidence", action="store_true", help="only what receipts, tree, checkpoints and tiles cost")
    parser.add_argument("--export", action="store_true", help="only what a bundle of 10,000 messages takes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results are written; a quick run writes none")
    return parser.parse_args()


def main() -> int:
    options, machine = _options(), here()
    say(f"{machine['cores']} cores, {machine['processor']}; load of the machine before: {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory(prefix="snodo-bench-") as made:
        folder = Path(made)
        folder.chmod(0o755)  # PostgreSQL runs as another user and must reach its own folder
        if options.profile:
            say(report.profile_table(profile(folder, 400 if options.quick else 3000)))
            return 0
        if alone := _alone(folder, options):
            name, found, table = alone
            say("\n" + table(machine, found))
            if not (options.quick and name.partition("-")[0] in SHORTENED):
                told = {"stores": found} if name.startswith("search") else found
                say(f"written: {report.keep(name, {'machine': machine, **told}, table(machine, found), options.results)}")
            return 0
        results = _whole(folder, machine, quick=options.quick)
    say("\n" + report.table(results))
    if not options.quick:
        path = report.write(results, options.results)
        say(f"written: {path} and {path.with_suffix('.md').name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
