"""Several engines on one store: the effects of a case come in the order in which its messages were accepted."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

from bus.engine.engine import Engine, Pace
from bus.engine.intake import Submission
from bus.engine.outside import Outside
from tests.fault.test_gates import Sistema, bus, until

CASES, EACH, ENGINES = 100, 4, 3
STEPS = """case: {a: body.a}
steps:
  - {id: prima, call: SISTEMA.fai, with: {x: body.b}}
  - {id: dopo, call: SISTEMA.fai, with: {x: '"fine " + body.b'}}
"""


def test_the_effects_of_a_case_come_in_the_order_of_acceptance_whoever_works_on_it(tmp_path: Path) -> None:
    done: list[str] = []
    dice = random.Random(7)
    system = Sistema("ordine", lambda: None, done.append)
    with bus(tmp_path, system, steps=STEPS, case="case: {a: body.a}") as app:
        outsides = [Outside(app.adapters, threads=4) for _ in range(ENGINES - 1)]
        pace = Pace(sweep=0.05, batch=20, most_live=60)
        others = [Engine(app.store, app.catalog, outside, app.clock, app.channel.publish, pace) for outside in outsides]
        for engine in others:
            engine.start()
        numbers = [case for case in range(CASES) for _ in range(EACH)]
        dice.shuffle(numbers)
        accepted: dict[int, list[str]] = defaultdict(list)
        for n, case in enumerate(numbers):
            accepted[case].append(f"{case}-{n}")
            sent = app.send(Submission("prova.ordine", {"a": str(case), "b": f"{case}-{n}"}, "prova")).result(20)
            for engine in dice.sample(others, 1):
                engine.ring(sent.runs)
        until(lambda: len(done) >= 2 * CASES * EACH)
        for engine, outside in zip(others, outsides, strict=True):
            engine.stop(5)
            outside.close()
    made: dict[int, list[str]] = defaultdict(list)
    for x in done:
        made[int(x.removeprefix("fine ").partition("-")[0])].append(x)
    wanted = {case: [step for b in bodies for step in (b, f"fine {b}")] for case, bodies in accepted.items()}
    assert made == wanted
