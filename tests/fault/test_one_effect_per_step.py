"""Two hundred applications while everything fails around them: judged only by the systems' ledgers, by what the portal was promised, and by the API."""

from __future__ import annotations

import re
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from bus import config
from bus.client import Client, ClientError
from bus.copying import rows_of
from bus.log.keystore import unlock
from bus.store.sqlite import SqliteStore
from bus.testing.patience import until
from bus.testing.town import key_of
from tests.integration.kit import BUILDING, HASTE, Town, building, hasty_rules, ledger, neighbours
from tests.simulation.judge import rebuilt

APPLICATIONS = 200
FAULTS: dict[str, list[dict[str, Any]]] = {
    "anagrafe": [
        {"fault": "slow", "seconds": 0.3, "probability": 0.1, "seed": 1},
        {"fault": "lose_reply", "probability": 0.1, "seed": 2},
        {"fault": "html", "probability": 0.05, "seed": 3},
        {"fault": "garbage", "probability": 0.03, "seed": 4},
    ],
    "protocollo": [
        {"fault": "slow", "seconds": 0.2, "probability": 0.2, "seed": 5},
        {"fault": "lose_reply", "operation": "protocollazione", "probability": 0.1, "seed": 6},
        {"fault": "late", "operation": "protocollazione", "seconds": 2.5, "probability": 0.05, "seed": 7},
        {"fault": "garbage", "operation": "protocollazione", "probability": 0.03, "seed": 8},
        {"fault": "html", "probability": 0.03, "seed": 9},
    ],
    "edilizia": [
        {"fault": "lose_reply", "operation": "a", "probability": 0.1, "seed": 10},
        {"fault": "late", "operation": "a", "seconds": 0.3, "probability": 0.03, "seed": 11},
        {"fault": "html", "operation": "a", "probability": 0.03, "seed": 12},
    ],
    "pagopa": [
        {"fault": "slow", "seconds": 0.3, "probability": 0.1, "seed": 13},
        {"fault": "lose_reply", "probability": 0.1, "seed": 14},
        {"fault": "late", "operation": "crea-posizione", "seconds": 0.7, "probability": 0.05, "seed": 15},
        {"fault": "garbage", "probability": 0.03, "seed": 16},
        {"fault": "html", "probability": 0.03, "seed": 17},
    ],
    "scrivania": [
        {"fault": "lose_reply", "probability": 0.1, "seed": 18},
        {"fault": "late", "seconds": 0.7, "probability": 0.05, "seed": 19},
        {"fault": "html", "probability": 0.03, "seed": 20},
    ],
    "notifiche": [
        {"fault": "lose_reply", "operation": "messaggio", "probability": 0.1, "seed": 21},
        {"fault": "late", "operation": "messaggio", "seconds": 0.7, "probability": 0.05, "seed": 22},
        {"fault": "html", "operation": "profilo", "probability": 0.05, "seed": 23},
    ],
}
PLAN = ((20, "register"), (40, "bus"), (70, "register"), (100, "bus"), (130, "register"), (160, "bus"), (185, "register"))
"""What is killed when so many applications have been registered."""


@pytest.fixture
def town(tmp_path: Any) -> Iterator[Town]:
    with Town(tmp_path / "town", hasty_rules(tmp_path / "rules"), HASTE) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_applications_have_one_effect_each_whatever_fails(town: Town) -> None:
    for system, faults in FAULTS.items():
        town.simulators[system].faults(faults)
    over = threading.Event()
    with ThreadPoolExecutor(2) as others:
        killer = others.submit(_kill_by_plan, town)
        operator = others.submit(_operate, town, over)
        try:
            accepted, paid = _present_and_pay(town)
            killer.result(300)
            _let_it_settle(town)
        finally:
            over.set()
            operator.result(120)
    assert len(accepted) == APPLICATIONS
    dead = town.client("sistemista").get("/dead")["dead"]
    _judge(town, accepted, paid, [one["message"] for one in dead])
    assert {(one["route"], one["reason"]) for one in dead} <= {("notifiche.avviso", "call.in-doubt")}, "only a mail may be in doubt"
    _rebuilt_is_the_same(town)


def _present_and_pay(town: Town) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Replies by istanza, and the receipt of each payment by notice."""
    people, portal = neighbours(), Client(town.url, key_of("portale"), attempts=9, pause=0.1)
    replies: dict[str, dict[str, Any]] = {}
    receipts: dict[str, str] = {}

    def live(n: int) -> None:
        istanza = f"SUE-2026-{n:06d}"
        body = building(istanza, who=people[n % len(people)], oggetto=f"Opere {istanza}")
        accepted = portal.send(BUILDING, body, key=istanza, wait=20)
        reply = accepted.get("reply") or until(lambda: portal.message(accepted["id"])["reply"], f"{istanza} is answered", 300, every=0.5)
        replies[istanza], notice = reply, reply["avviso"]
        receipts[notice] = until(lambda: town.pay(notice)["receiptId"], f"{notice} is paid", 200, every=0.5)

    with portal, ThreadPoolExecutor(40) as pool:
        list(pool.map(live, range(APPLICATIONS)))
    return replies, receipts


def _kill_by_plan(town: Town) -> None:
    register = town.simulators["protocollo"]
    for count, victim in PLAN:
        until(lambda at=count: len(register.ledger("registrazione")) >= at, f"{count} are registered", 300, every=0.3)
        if victim == "register":
            register.restart()
            register.faults(FAULTS["protocollo"])
        else:
            town.stop_bus(signal.SIGKILL)
            town.start_bus()


def _operate(town: Town, over: threading.Event) -> None:
    """The person who minds the dead letters: a call that failed five times in this weather is asked again, with the same key."""
    with Client(town.url, key_of("sistemista"), attempts=9, pause=0.1) as operator:
        while not over.wait(0.5):
            for run in operator.get("/dead")["dead"]:
                if run["route"] == "notifiche.avviso":
                    continue
                doubt = run["reason"] == "call.in-doubt"
                act, more = ("decide", {"decision": "again"}) if doubt else ("redeliver", {})
                try:
                    operator.post(f"/dead/{run['id']}/{act}", {"reason": "il sistema risponde di nuovo", **more})
                except ClientError as error:
                    if error.code != "client.unanswered":  # the bus was killed meanwhile; whether it was done, the next look says
                        raise


def _let_it_settle(town: Town) -> None:
    """Nothing to do in the bus, nothing under way in the systems; receipts the node had given up are sent again."""
    for system in FAULTS:
        town.simulators[system].clear()
    town.simulators["node"].restart()
    operator = town.client("sistemista")

    def quiet() -> bool:
        left = (run for state in ("ready", "running", "waiting", "dead") for run in operator.get("/runs", state=state)["runs"])
        return all(run["state"] == "dead" and run["route"] == "notifiche.avviso" for run in left)

    until(quiet, "all runs have ended", 300, every=0.3)
    for simulator in town.simulators.values():
        simulator.wait_until_quiet()


def _judge(town: Town, replies: dict[str, dict[str, Any]], receipts: dict[str, str], stuck: list[str]) -> None:
    once = dict.fromkeys(replies, 1)
    assert Counter(e["key"] for e in ledger(town, "protocollo", "registrazione")) == once
    opened = Counter(e["detail"]["testo"].removeprefix("Opere ") for e in ledger(town, "edilizia", "pratica"))
    assert opened == once
    numbers = {istanza: str(reply["pratica"]) for istanza, reply in replies.items()}
    assert Counter(str(e["detail"]["pratica"]) for e in ledger(town, "edilizia", "mappale")) == dict.fromkeys(numbers.values(), 1)
    ours = {e["key"]: str(e["detail"]["numero"]) for e in ledger(town, "protocollo", "registrazione")}
    assert {i: str(int(reply["protocollo"].partition("/")[2])) for i, reply in replies.items()} == ours
    notices_paid = {reply["avviso"]: 1 for reply in replies.values()}
    assert Counter("3" + e["detail"]["iuv"] for e in ledger(town, "pagopa", "posizione")) == notices_paid
    assert Counter(e["detail"]["noticeNumber"] for e in ledger(town, "node", "pagamento")) == notices_paid
    assert Counter("3" + e["key"] for e in ledger(town, "edilizia", "pagamento")) == notices_paid
    assert set(receipts) == set(notices_paid)
    assert Counter(e["detail"]["richiesta"]["riferimento"] for e in ledger(town, "scrivania", "elemento")) == once
    by_app = _told(e["detail"]["content"]["markdown"] for e in ledger(town, "notifiche", "messaggio-io"))
    by_mail = _told(e["detail"]["testo"] for e in ledger(town, "notifiche", "email"))
    assert {(by_app | by_mail)[istanza] for istanza in by_app | by_mail} == {1}, "at most once on each channel"
    assert len(once.keys() - by_app.keys() - by_mail.keys()) <= len(stuck)


def _told(texts: Iterable[str]) -> Counter[str]:
    """How often each application is spoken of."""
    return Counter(name for text in texts for name in re.findall(r"SUE-2026-[0-9]{6}", text))


def _rebuilt_is_the_same(town: Town) -> None:
    """All that happened, crashes included, is in the log."""
    town.stop_bus()
    store = SqliteStore(town.folder / "var" / "snodo.db")
    unlock(store, config.load(town.folder / "config.yaml").keystore)
    with closing(store):
        assert store.write(rebuilt).result(120) == []
        with store.read() as tx:
            assert len(list(rows_of(tx, "runs"))) >= 3 * APPLICATIONS
