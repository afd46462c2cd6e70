"""Aggregators keep their promise on the live engine: doors, two workers, PostgreSQL and RabbitMQ, and processes that die.

A message that may be gathered is in exactly one place: in the one list of its gather, or with `on_late`. Whether the last one and the
deadline, two at once, or one more and the end came first is a matter of luck; that none is lost and none counted twice is not.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from bus.testing.patience import until
from tests.fault.house import House, opened
from tests.fault.portal import Portal
from tests.fault.rules import RETRY, TYPE, Sending

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CASES, SEED = 30, 20261126
ROUTE = """
route: prova.{name}
version: 1
owner: prove@comune.example
purpose: gathers
on: prova.{name}
case: {{pratica: body.pratica}}
steps:
  - id: pezzi
    gather: prova.pezzo
    case: pratica
    {until}
    as: pezzi
    {deadline}
    on_late:
      - {{id: tardi, call: alfa.scrivi, with: {{chi: '"tardi " + body.chi'}}, {retry}}}
  - id: scrivi
    call: alfa.scrivi
    with: {{chi: '"raccolto " + body.chi + ":" + pezzi.map(p, p.chi).join(",")'}}
    {retry}
"""
GATHERS = {
    "numero": ("count: 3", "deadline: 30d"),
    "condizione": ("until: 'items.exists(p, p.chi.endsWith(\"fine\"))'", "deadline: 30d"),
    "tempo": ("count: 3", "deadline: 2s"),
}


class Told(NamedTuple):
    """What the system outside was told of one case: the lists that were gathered, and what came late."""

    lists: list[list[str]]
    late: list[str]


def write(folder: Path) -> None:
    for name, (end, deadline) in GATHERS.items():
        text = ROUTE.format(name=name, until=end, deadline=deadline, retry=RETRY)
        (folder / "routes" / f"{name}.yaml").write_text(text, "utf-8")
    for name in (*GATHERS, "pezzo"):
        (folder / "mappings/types" / f"prova.{name}.yaml").write_text(TYPE.format(name=name), "utf-8")


def start(name: str, case: str) -> Sending:
    return Sending(f"{case}-inizio", f"prova.{name}", {"chi": case, "pratica": case})


def piece(case: str, name: str) -> Sending:
    return Sending(f"{case}-{name}", "prova.pezzo", {"chi": f"{case}-{name}", "pratica": case})


def told(house: House) -> dict[str, Told]:
    """By case, from the ledger of the system outside."""
    found: dict[str, Told] = {}
    for effect in house.systems["alfa"].ledger("scrivi"):
        word, _, rest = effect["detail"]["chi"].partition(" ")
        case, _, names = rest.partition(":") if word == "raccolto" else (rest.rpartition("-")[0], "", rest)
        one = found.setdefault(case, Told([], []))
        if word == "raccolto":
            one.lists.append([name for name in names.split(",") if name])
        else:
            one.late.append(names)
    return found


def kept(house: House, sent: dict[str, list[str]]) -> dict[str, Told]:
    """Everything told, once each of it is known to be in exactly one place."""
    found = told(house)
    for case, names in sent.items():
        assert 1 == len(found[case].lists), (case, found[case])
        assert Counter(f"{case}-{name}" for name in names) == Counter([*found[case].lists[0], *found[case].late]), (case, found[case])
    return found


def at_once(works: list[Callable[[], object]]) -> None:
    """Let go together."""
    gate = threading.Barrier(len(works))

    def one(work: Callable[[], object]) -> None:
        gate.wait(100)
        work()

    with ThreadPoolExecutor(len(works)) as pool:
        list(pool.map(one, works))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Portal]]:
    with opened(tmp_path_factory.mktemp("gather") / "house", "production", workers=2) as (made, portal):
        write(made.folder)
        made.start()
        yield made, portal


def messages_of(case: str, gather: str, names: list[str]) -> list[Sending]:
    return [start(gather, case), *(piece(case, name) for name in names)]


@pytest.mark.parametrize("gather", ["numero", "condizione"])
def test_two_at_once_and_one_more_than_enough_are_gathered_or_late_never_both(house: tuple[House, Portal], gather: str) -> None:
    """The start, the pieces and the one that completes come side by side: before the gather, with it, after its end."""
    made, portal = house
    names = ["a", "b", "c", "d", "fine"] if gather == "condizione" else ["a", "b", "c", "d", "e"]
    sent = {f"{gather}{number}": names for number in range(CASES)}

    def one(case: str) -> None:
        at_once([lambda one=one: portal.send(one) for one in messages_of(case, gather, names)])  # type: ignore[misc]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, sent))
    made.drained()
    found = kept(made, sent)
    sizes = Counter(len(found[case].lists[0]) for case in sent)
    assert (set(sizes) == {3}) if gather == "numero" else all(found[case].lists[0][-1] == f"{case}-fine" for case in sent)


def test_a_deadline_against_the_last_message_is_won_by_one_of_them(house: tuple[House, Portal]) -> None:
    """The last piece is sent about when the deadline comes: it completes the list, or it is late and the list is short.

    Two pieces are there before the gather begins. In one case the last one is, too, in one the list was told before it is sent: both are
    surely seen.
    """
    made, portal = house
    dice = random.Random(SEED)
    sent = {f"tempo{number}": ["a", "b", "c"] for number in range(CASES)}

    def one(case: str, after: float) -> None:
        portal.send_all(reversed(messages_of(case, "tempo", ["a", "b"])))
        time.sleep(after)
        portal.send(piece(case, "c"))

    def first(case: str) -> None:
        portal.send_all(reversed(messages_of(case, "tempo", ["a", "b", "c"])))

    def last(case: str) -> None:
        portal.send_all(reversed(messages_of(case, "tempo", ["a", "b"])))
        until(lambda: case in told(made), f"the list of {case} is told")
        portal.send(piece(case, "c"))

    sure, doubtful = [*sent][:2], [*sent][2:]
    with ThreadPoolExecutor(15) as pool:
        begun = [pool.submit(work, case) for work, case in zip((first, last), sure, strict=True)]
        list(pool.map(one, doubtful, [dice.uniform(0.5, 3.5) for _ in doubtful]))
        for each in begun:
            each.result()
    made.drained()
    found = kept(made, sent)
    assert {2, 3} >= {len(found[case].lists[0]) for case in sent}
    assert {0, 1} == {len(found[case].late) for case in sent}, "both were seen"


def test_gathers_go_on_where_they_were_when_their_processes_are_killed(house: tuple[House, Portal]) -> None:
    """Workers and doors are killed again and again between the pieces; the gathers are none the wiser."""
    made, portal = house
    dice = random.Random(SEED)
    names = ["a", "b", "c", "d"]
    sent = {f"morte{number}": names for number in range(CASES)}
    everything = [one for case in sent for one in messages_of(case, "numero", names)]
    dice.shuffle(everything)
    with ThreadPoolExecutor(8) as pool:
        sending = [pool.submit(portal.send, one) for one in everything]
        for victim in ("worker", "web", "worker1", "worker"):
            time.sleep(dice.uniform(0.1, 0.5))
            made.members[victim].kill()
            made.members[victim].start()
        for one in sending:
            one.result()
    made.drained()
    found = kept(made, sent)
    assert {3} == {len(found[case].lists[0]) for case in sent}
