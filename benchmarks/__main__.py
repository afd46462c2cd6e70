"""``make bench``: all measurements in one run, printed as a table and written to ``benchmarks/results/``.

``--quick`` takes less than a minute and proves nothing; ``--profile`` only says where the time goes; ``--soak MINUTES`` only looks
whether memory stays flat, ``--waits`` only what a match costs among many waits, ``--recompute`` only how fast replay and plan are,
``--verify`` only how long a log is verified, ``--evidence`` only what receipts and tree cost, ``--export`` what a bundle takes,
``--validate`` only how long 300 routes are checked (also part of a whole run).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmarks import checking, evidence, exporting, gates, production, recomputing, report, searching, soak, verifying, waits
from benchmarks.measures import Bench, rounds
from benchmarks.where import profile

RESULTS = Path(__file__).parent / "results"


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Benchmarks of the bus; see docs/design/performance.md.")
    parser.add_argument("--quick", action="store_true", help="two short rounds: less than a minute, for seeing that it works")
    parser.add_argument("--profile", action="store_true", help="only the profile of the bus's threads")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="only a steady load of 200 messages a second for so long")
    parser.add_argument("--waits", action="store_true", help="only what a match costs among 1,000 and among 1,000,000 open waits")
    parser.add_argument("--recompute", action="store_true", help="only how fast runs are replayed and edited rules planned")
    parser.add_argument("--verify", action="store_true", help="only what it takes to verify a log of 1,000,000 records")
    parser.add_argument("--validate", action="store_true", help="only what it takes to check 300 routes")
    parser.add_argument(
        "--search", choices=("both", "sqlite", "postgresql"), help="only what a page of a search takes among 1,000,000 records"
    )
    parser.add_argument("--production", action="store_true", help="only production mode: PostgreSQL, RabbitMQ, doors and workers")
    parser.add_argument("--gates", action="store_true", help="only what a dead or slow system does to the messages of another")
    parser.add_argument("--evidence", action="store_true", help="only what receipts, tree, checkpoints and traces cost")
    parser.add_argument("--export", action="store_true", help="only what a bundle of 10,000 messages takes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results are written; a quick run writes none")
    options = parser.parse_args()
    machine = report.machine()
    say(f"{machine['cores']} cores, {machine['processor']}; load of the machine before: {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory(prefix="snodo-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user and must reach its own folder
        if options.profile:
            say(report.profile_table(profile(Path(folder), 400 if options.quick else 3000)))
            return 0
        if options.recompute:
            again = recomputing.measured(Path(folder))
            say("\n" + recomputing.table(machine, again))
            said = report.keep("recompute", {"machine": machine, **again}, recomputing.table(machine, again), options.results)
            say(f"written: {said}")
            return 0
        if options.production:
            made = production.measured(Path(folder))
            say("\n" + production.table(machine, made))
            say(f"written: {report.keep('production', {'machine': machine, **made}, production.table(machine, made), options.results)}")
            return 0
        if options.validate:
            looked = checking.measured(Path(folder))
            say("\n" + checking.table(machine, looked))
            say(f"written: {report.keep('validate', {'machine': machine, **looked}, checking.table(machine, looked), options.results)}")
            return 0
        if options.verify:
            checked = verifying.measured(Path(folder), 20_000 if options.quick else verifying.LEAVES)
            say("\n" + verifying.table(machine, checked))
            if not options.quick:
                say(
                    f"written: {report.keep('verify', {'machine': machine, **checked}, verifying.table(machine, checked), options.results)}"
                )
            return 0
        if options.evidence:
            cost = evidence.measured(Path(folder), *((100, 2) if options.quick else ()))
            say("\n" + evidence.table(machine, cost))
            if not options.quick:
                say(f"written: {report.keep('evidence', {'machine': machine, **cost}, evidence.table(machine, cost), options.results)}")
            return 0
        if options.export:
            bundle = exporting.measured(Path(folder), *((300,) if options.quick else ()))
            say("\n" + exporting.table(machine, bundle))
            if not options.quick:
                say(f"written: {report.keep('export', {'machine': machine, **bundle}, exporting.table(machine, bundle), options.results)}")
            return 0
        if options.gates:
            apart = gates.measured(Path(folder))
            say("\n" + gates.table(machine, apart))
            say(f"written: {report.keep('gates', {'machine': machine, **apart}, gates.table(machine, apart), options.results)}")
            return 0
        if options.search:
            only = "" if options.search == "both" else options.search
            sought = searching.measured(Path(folder), 20_000 if options.quick else searching.RECORDS, only)
            say("\n" + searching.table(machine, sought))
            if not options.quick:
                name = f"search-{only}" if only else "search"
                said = report.keep(name, {"machine": machine, "stores": sought}, searching.table(machine, sought), options.results)
                say(f"written: {said}")
            return 0
        if options.waits:
            among = waits.compared(Path(folder))
            say("\n" + waits.table(machine, among))
            say(f"written: {report.keep('waits', {'machine': machine, **among}, waits.table(machine, among), options.results)}")
            return 0
        if options.soak:
            found = soak.soak(Path(folder), options.soak)
            say("\n" + soak.table(machine, found))
            say(f"written: {report.keep('soak', {'machine': machine, **found}, soak.table(machine, found), options.results)}")
            return 0
        with Bench(Path(folder)) as bench:
            rounds(bench, *((1.0, 2) if options.quick else (4.0, 5)), say)
            steady = bench.steady(3 if options.quick else 15)
            memory = bench.bus.memory()
        rules = checking.measured(Path(folder), rounds=1 if options.quick else checking.ROUNDS)
    results = report.results(machine, bench.figures, steady, memory, rules, quick=options.quick)
    say("\n" + report.table(results))
    if not options.quick:
        path = report.write(results, options.results)
        say(f"written: {path} and {path.with_suffix('.md').name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
