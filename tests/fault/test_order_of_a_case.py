"""Several doors and engines on one store: the effects of a case come in the order in which its messages were accepted."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

from bus import config
from bus.app import App, Role
from bus.engine.arrival import Submission
from bus.engine.engine import Engine, Pace
from bus.engine.outside import Outside
from bus.testing.patience import until
from tests.fault.conduct import IN_ORDER, Sistema, bus
from tests.integration.workshop import write_rules
from tests.small_bus import settings

CASES, EACH, ENGINES = 100, 4, 3
FEWER = 40


def test_the_effects_of_a_case_come_in_the_order_of_acceptance_whoever_works_on_it(tmp_path: Path) -> None:
    done: list[str] = []
    dice = random.Random(7)
    system = Sistema("ordine", lambda: None, done.append)
    with bus(tmp_path, system, steps=IN_ORDER, case="case: {a: body.a}") as app:
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
            sent = app.send(Submission("prova.ordine", {"a": str(case), "b": f"{case}-{n}"}, "prova")).result(60)
            for engine in dice.sample(others, 1):
                engine.ring(sent.runs)
        until(lambda: len(done) >= 2 * CASES * EACH)
        for engine, outside in zip(others, outsides, strict=True):
            engine.stop(60)
            outside.close()
    assert in_cases(done) == wanted(accepted)


def test_so_they_do_where_all_were_accepted_before_and_are_rung_for_in_any_order(tmp_path: Path) -> None:
    done: list[str] = []
    dice = random.Random(9)
    system = Sistema("ordine", lambda: None, done.append)
    with bus(tmp_path, system, steps=IN_ORDER, case="case: {a: body.a}") as app:
        app.engine.stop(10)
        accepted: dict[int, list[str]] = defaultdict(list)
        tickets: list[str] = []
        for n in range(FEWER * EACH):
            case = n % FEWER
            accepted[case].append(f"{case}-{n}")
            tickets += app.send(Submission("prova.ordine", {"a": str(case), "b": f"{case}-{n}"}, "prova")).result(60).runs
        outsides = [Outside(app.adapters, threads=4) for _ in range(ENGINES)]
        engines: list[Engine] = []
        pace = Pace(sweep=1, batch=20, most_live=60)
        for outside in outsides:
            engines.append(Engine(app.store, app.catalog, outside, app.clock, lambda runs: dice.choice(engines).ring(runs), pace))
        dice.shuffle(tickets)
        for ticket in tickets:
            dice.choice(engines).ring([ticket])
        for engine in engines:
            engine.start()
        until(lambda: len(done) >= 2 * FEWER * EACH)
        for engine, outside in zip(engines, outsides, strict=True):
            engine.stop(60)
            outside.close()
    assert in_cases(done) == wanted(accepted)


def test_so_they_do_with_several_doors_and_workers_on_postgresql(postgresql_url: str, rabbitmq_url: str, tmp_path: Path) -> None:
    done: list[str] = []
    dice = random.Random(11)
    system = Sistema("ordine", lambda: None, done.append)
    rules = write_rules(tmp_path, {"prova.ordine": IN_ORDER.replace("SISTEMA", "ordine")}, {"prova.ordine": "case: {a: body.a}"})
    told = settings(store={"url": postgresql_url}, channel={"url": rabbitmq_url}, engine={"sweep": 0.1, "threads": 4})
    roles: tuple[Role, ...] = ("web", "web", "worker", "worker", "worker")
    apps = [App(config.parse(told, rules / "config.yaml"), role=role, adapters={"ordine": system}) for role in roles]
    try:
        for app in apps:
            app.start()
        numbers = [case for case in range(FEWER) for _ in range(EACH)]
        dice.shuffle(numbers)
        accepted: dict[int, list[str]] = defaultdict(list)
        for n, case in enumerate(numbers):
            accepted[case].append(f"{case}-{n}")
            door = dice.choice(apps[:2])
            door.send(Submission("prova.ordine", {"a": str(case), "b": f"{case}-{n}"}, "prova")).result(60)
        until(lambda: len(done) >= 2 * FEWER * EACH)
    finally:
        for app in apps:
            app.stop()
    assert in_cases(done) == wanted(accepted)


def in_cases(done: list[str]) -> dict[int, list[str]]:
    """The effects of each case, in order."""
    made: dict[int, list[str]] = defaultdict(list)
    for x in done:
        made[int(x.removeprefix("fine ").partition("-")[0])].append(x)
    return made


def wanted(accepted: dict[int, list[str]]) -> dict[int, list[str]]:
    """What these should be: of each message the first step, then the second."""
    return {case: [step for b in bodies for step in (b, f"fine {b}")] for case, bodies in accepted.items()}
