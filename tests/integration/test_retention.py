"""What is too old goes, and nothing else; every proof of the log holds; what is interrupted is begun again."""

from __future__ import annotations

import datetime as dt
import gc
import io
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.cli import main
from bus.engine import projection
from bus.engine.accesses import Looker
from bus.engine.retention import KINDS, Kind, Questions
from bus.errors import Erased, StoreError
from bus.log import log
from bus.log.record import Record
from bus.log.verify import Trust, verify
from bus.mapping.protected import EVERYTHING
from bus.message import new_id
from bus.store import listed
from tests.integration.retaining import keeps, looked, readable, verified, wires
from tests.integration.workshop import Workshop, workshop
from tests.projections import told_otherwise
from tests.small_bus import Caller, key_of, running, wait_reply


@pytest.fixture
def shop(tmp_path: Path, url: str) -> Iterator[Workshop]:
    with workshop(tmp_path, url) as made:
        yield made


def applied(shop: Workshop, kind: Kind) -> None:
    after: Any = ""
    while after is not None:
        after = shop.app.destruction.dispose(kind, "sistemista", "prova", after)["after"]


def a_done_and_an_open_case(shop: Workshop) -> tuple[str, str]:
    done, dead = (shop.app.run(shop.start(name, modo)) for name, modo in (("una", "bene"), ("due", "no-avvisa")))
    shop.when(str(done["id"]), "done")
    shop.when(str(dead["id"]), "dead")
    shop.quiet()
    return str(done["message"]), str(dead["message"])


def paged(shop: Workshop, key: str) -> list[Any]:
    """The timeline of a case, a few records at a time."""
    told: list[Any] = []
    after: Any = 0
    while after is not None:
        page: Any = shop.app.case(key, after=after, most=2)
        told, after = told + page["timeline"], page["next"]
    return told


def test_old_payloads_go_by_case_and_every_proof_holds(shop: Workshop) -> None:
    done, dead = a_done_and_an_open_case(shop)
    keeps(shop.app, 20, payloads="30d", wire="30d")
    assert looked(shop, "payloads") == looked(shop, "wire") == {}
    keeps(shop.app, 40, payloads="30d")
    before = looked(shop, "payloads")
    assert before[""] >= 1
    assert before["open"] >= 1, "a dead letter is work in flight"
    assert readable(shop, done), "looking changes nothing"
    applied(shop, "payloads")
    assert (readable(shop, done), readable(shop, dead)) == (False, True)
    assert looked(shop, "payloads") == {"open": before["open"]}, "what is gone is not told again"
    assert verified(shop) == 0, "what is sealed stays, and nobody can open it"
    with shop.app.store.read() as tx:
        [record] = [one for _, one in log.everything(tx) if one.kind == "disposed"]
        assert (record.actor, record.data["what"], done in record.data["messages"]) == ("sistemista", "payloads", True)
    assert told_otherwise(shop.app.store) == {}
    whole: Any = shop.app.case("a:una")["timeline"]
    assert whole[-1]["kind"] == "disposed"
    assert paged(shop, "a:una") == whole, "why something is gone stands in its place on whatever page that is"
    assert "disposed" not in [line["kind"] for line in shop.app.case("a:due")["timeline"]]  # type: ignore[index, call-overload, union-attr]


def test_what_is_sent_again_after_it_went_is_the_same_message_and_nothing_is_done_twice(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        call, saluto = Caller(server.port), {"type": "prova.saluto", "data": {"nome": "una"}}

        def send(data: dict[str, Any], key: str = "chiave"):
            return call("POST", "/messages", {**saluto, "data": data}, {"Idempotency-Key": key})

        first = send({"nome": "una"})
        wait_reply(server.app, first.json["id"], 60)
        keeps(server.app, 40, payloads="30d")
        server.app.destruction.dispose("payloads", "sistemista", "prova", "")
        assert call("GET", f"/messages/{first.json['id']}").json["code"] == "payload.erased"
        again, other = send({"nome": "una"}), send({"nome": "altra"})
        assert (again.status, again.headers["idempotency-status"], again.content) == (202, "repeated", first.content)
        assert (other.status, other.json["code"], other.json["message_id"]) == (422, "input.key-reused", first.json["id"])
        runs = Caller(server.port, "sistemista")("GET", "/runs").json["runs"]
        assert [one["message"] for one in runs] == [first.json["id"]]


def test_wire_bytes_go_alone_and_the_log_says_why_they_are_gone(shop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    done, dead = a_done_and_an_open_case(shop)
    keeps(shop.app, 40, wire="30d")
    assert all(wires(shop, done))
    applied(shop, "wire")
    assert wires(shop, done)
    assert not any(wires(shop, done))
    assert all(wires(shop, dead))
    assert readable(shop, done)
    with shop.app.store.read() as tx:
        named = [message for _, one in log.everything(tx) if one.kind == "disposed" for message in one.data["wires"]]
    assert done in named
    gone = verified(shop)
    assert gone == sum(len(wires(shop, message)) for message in named)
    assert main(["log", "verify", "--store", shop.app.config.store.url]) == 0
    assert f"{gone} payloads, erased with a person or destroyed as too old, as the log says" in capsys.readouterr().out
    with shop.app.store.read() as tx:
        body = next(one for one in log.of_messages(tx, [done]) if one.kind == "received").payload("message")
    shop.app.store.write(lambda tx: tx.do("drop_payloads", payloads=listed([body]))).result()
    with pytest.raises(Exception, match="is gone"):
        verify(shop.app.store.read, Trust())


def test_looking_says_of_each_kind_what_destroying_one_after_the_other_does(shop: Workshop) -> None:
    """Wire bytes that go with their message are not told a second time."""
    done, _ = a_done_and_an_open_case(shop)
    keeps(shop.app, 40, {"altro": "24M"}, payloads="30d", wire="20d")
    said = {kind: shop.app.destruction.look(kind)["months"] for kind in KINDS}
    assert {kind: shop.app.destruction.dispose(kind, "sistemista", "prova")["months"] for kind in KINDS} == said
    assert not readable(shop, done)


def test_what_the_law_wants_kept_is_held_back_whatever_the_settings_say(shop: Workshop) -> None:
    done, _ = a_done_and_an_open_case(shop)
    keeps(shop.app, 400, {"sistema": "24M"}, payloads="30d", wire="30d")
    assert set(looked(shop, "payloads")) == {"minimum", "open"}
    applied(shop, "payloads")
    applied(shop, "wire")
    assert readable(shop, done)
    assert all(wires(shop, done))
    keeps(shop.app, 800, {"sistema": "24M"}, payloads="30d")
    assert "" in looked(shop, "payloads")


def test_what_systems_asked_for_is_forgotten_when_an_act_is_over(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two years of a busy system are hundreds of megabytes, and a door lives for months."""
    a_done_and_an_open_case(shop)
    made: list[weakref.ref[Questions]] = []

    class Watched(Questions):
        def __init__(self) -> None:
            super().__init__()
            made.append(weakref.ref(self))

    monkeypatch.setattr("bus.engine.retention.Questions", Watched)
    keeps(shop.app, 400, {"sistema": "24M"}, payloads="30d")
    for act in (looked, applied):
        act(shop, "payloads")
        shop.app.store.write(lambda tx: None).result()  # whoever writes lets go of what it did last
        gc.collect()
        assert made[-2]() is None
    assert len(made) == 3


def test_interrupted_before_the_keys_are_destroyed_it_is_finished_at_the_next_start(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, _ = a_done_and_an_open_case(shop)
    keeps(shop.app, 40, payloads="30d")

    def dies(numbers: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shop.app.keys, "forget", dies)
        with pytest.raises(KeyboardInterrupt):
            applied(shop, "payloads")
    assert readable(shop, done)
    shop.app.destruction.again()
    assert not readable(shop, done)
    applied(shop, "payloads")
    assert verified(shop) == 0


def test_what_the_key_store_refused_to_destroy_is_destroyed_at_the_next_act(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    done, _ = a_done_and_an_open_case(shop)
    keeps(shop.app, 40, payloads="30d", wire="30d")

    def away(numbers: Any) -> None:
        raise StoreError("the disk is away", code="keys.not-destroyed")

    with monkeypatch.context() as patch:
        patch.setattr(shop.app.keys, "forget", away)
        for _ in range(2):
            with pytest.raises(StoreError, match="the disk is away"):
                applied(shop, "payloads")
    assert looked(shop, "payloads").keys() == {"open"}, "the log was told, so no act finds it a second time"
    assert readable(shop, done)
    applied(shop, "wire")
    assert not readable(shop, done)
    assert verified(shop) == 0


def test_files_accesses_and_journals_go_on_either_store_as_they_were_told_before(shop: Workshop) -> None:
    done, _ = a_done_and_an_open_case(shop)
    shop.app.attachments.save(io.BytesIO(b"una prova"), "text/plain", "prova.txt", "prova")
    shop.app.open_message(done, Looker("revisore", EVERYTHING, "prova"))
    data = {"adapter": "sistema", "operation": "chiesto", "outcome": "answered"}
    served = Record(new_id(), "served", dt.datetime.now(dt.UTC), data=data)
    told = projection.entry(served, shop.app.store.keys.fresh(), {"request": {"x": 1}, "answer": {"y": 2}})
    shop.app.store.write(lambda tx: projection.write(tx, told)).result(20)
    terms = {"attachments": "30d", "accesses": "6M", "journals": {"sistema": "24M"}}
    keeps(shop.app, 400, {"sistema": "24M"}, **terms)
    assert looked(shop, "journals") == {}
    keeps(shop.app, 800, {"sistema": "24M"}, **terms)
    kinds: tuple[Kind, ...] = ("attachments", "accesses", "journals")
    before = {kind: looked(shop, kind) for kind in kinds}
    assert (before["attachments"], before["journals"], set(before["accesses"])) == ({"": 1}, {"": 1}, {""})
    for kind in kinds:
        applied(shop, kind)
    assert [looked(shop, kind) for kind in kinds] == [{}, {}, {}]
    with shop.app.store.read() as tx:
        looks = [one for _, one in log.everything(tx) if one.kind == "read"]
        for one in looks:
            with pytest.raises(Erased):
                log.json_payload(tx, str(one.payload("purpose")))
        assert [log.payload(tx, held.id) for held in told.record.payloads] == [None, None]
    assert looks
    assert verified(shop) == 2, "the rows of the journal; what has a key of its own is sealed for ever"


def test_a_page_behind_what_no_page_said_is_refused_as_such(tmp_path: Path) -> None:
    of_record, of_message, of_file = "17", "01a2271f-e0de-729e-94b9-c71212f7ff25", "UgkJ-1aXr_BYPt__VR6s-A"
    others = {
        "accesses": ("abc", "-1", "9" * 25, "1.5", of_message, of_file),
        "payloads": (of_record, of_file, of_message.upper()),
        "wire": (of_record, of_file),
        "attachments": (of_record, of_message),
    }
    own = {"accesses": of_record, "payloads": of_message, "wire": of_message, "attachments": of_file}
    with running(tmp_path, retention={"accesses": "6M", "payloads": "1y", "wire": "1y", "attachments": "1y"}) as server:
        call = Caller(server.port, "sistemista")
        for kind, after in ((kind, after) for kind, all_of_them in others.items() for after in all_of_them):
            asked = call("GET", f"/retention?kind={kind}&after={after}")
            done = call("POST", "/retention", {"kind": kind, "after": after, "reason": "scarto 2027"})
            assert [(422, "input.query")] * 2 == [(reply.status, reply.json.get("code")) for reply in (asked, done)], (kind, after)
        assert {call("GET", f"/retention?kind={kind}&after={after}").status for kind, after in own.items()} == {200}


def test_files_and_accesses_go_too_and_a_file_of_an_open_case_stays(tmp_path: Path) -> None:
    settings = {"attachments": "30d", "accesses": "6M"}
    with running(tmp_path, retention=settings) as server:
        call, app = Caller(server.port), server.app
        files = [call("POST", "/attachments?name=f.txt", f"testo {n}".encode()).json["sha256"] for n in range(2)]
        for type, file in (("prova.saluto", files[0]), ("prova.guasto", files[1])):
            call("POST", "/messages", {"type": type, "data": {"nome": type}, "attachments": [file]}, {"Prefer": "wait=25"})
        assert call("GET", f"/attachments/{files[0]}", headers={"Snodo-Purpose": "prova"}, name="revisore").status == 200
        keeps(app, 200, **settings)
        environment = {**os.environ, "SNODO_URL": server.url}

        def bus(*words: str, who: str = "sistemista") -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "bus.cli", "retention", *words, "--key", key_of(who)]
            return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)

        dry = json.loads(bus("--dry-run", "--json", who="revisore").stdout)
        told = {one["kind"]: {(row["held"], row["things"]) for row in one["months"]} for one in dry["kinds"]}
        assert list(told) == list(KINDS)
        assert told["attachments"] == {("", 1), ("open", 1)}
        assert sum(things for _, things in told["accesses"]) >= 2
        assert "kept for ever" in bus().stdout
        assert bus("apply", "--reason", "scarto", who="revisore").returncode == 1, "an auditor destroys nothing"
        assert "retention.reason-missing" in bus("apply", "--reason", " ").stderr
        assert bus("apply", "--reason", "scarto 2027").returncode == 0
        assert call("GET", f"/attachments/{files[0]}").status == 404
        assert call("GET", f"/attachments/{files[1]}").content == b"testo 1"
        assert len([path for path in (tmp_path / "var/attachments").rglob("*") if path.is_file()]) == 1
        with app.store.read() as tx:
            old = next(one for _, one in log.everything(tx) if one.kind == "read")
            with pytest.raises(Erased):
                log.json_payload(tx, str(old.payload("purpose")))
