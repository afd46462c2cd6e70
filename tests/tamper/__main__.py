"""``make tamper``: the long form of tests/tamper/test_tamper.py, with another seed each time; says the seed of whatever was not found."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.tamper.suite import clean, logs, storm

CLEAN, TAMPERINGS, PARTS = 1_000, 10_000, 20


def part(seed: str) -> tuple[int, Counter[str], list[str]]:
    """A twentieth of the whole: logs made anew, each verified as it is, then tampered with."""
    with tempfile.TemporaryDirectory() as folder:
        small = logs(Path(folder), CLEAN // PARTS, seed)
    alarms = [f"clean log {at} of {seed}: {said}" for at, one in enumerate(small) if (said := clean(one))]
    done, complaints = storm(small, TAMPERINGS // PARTS, seed)
    return len(small), done, alarms + complaints


def parts(seed: str) -> Iterator[tuple[int, Counter[str], list[str]]]:
    with ProcessPoolExecutor(2) as pool:
        yield from pool.map(part, [f"{seed}-{n}" for n in range(PARTS)])


def main(seed: str) -> int:
    print(f"seed {seed}", flush=True)
    began, untouched, done, complaints = time.monotonic(), 0, Counter[str](), list[str]()
    for size, counted, said in parts(seed):
        untouched, done = untouched + size, done + counted
        complaints += said
        print(f"\r{done.total():,} tamperings, {untouched:,} clean logs, {len(complaints)} complaints", end="", flush=True)
    print(f"\n{len(done)} kinds: " + ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in sorted(done.items())))
    print(*complaints, sep="\n")
    print(f"{'NOT ' if complaints else ''}all found and no false alarm, in {time.monotonic() - began:.0f} s")
    return 1 if complaints else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tests.tamper", description="Tamper with logs at random: 10,000 times, all to be found."
    )
    parser.add_argument("seed", nargs="?", default=secrets.token_hex(4), help="that of a run before, to have it again")
    sys.exit(main(parser.parse_args().seed))
