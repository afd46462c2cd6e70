"""The sequencer on both stores: every committed record has one place, in the order of commits, under one root for each size."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from bus import doctor
from bus.engine.leases import Leases
from bus.engine.sequencer import DUTY, LEASE, MOST, Sequencer
from bus.errors import ConfigError, StoreError
from bus.log import checkpoint, keys, log, tree
from bus.log.note import ED25519, Signer
from bus.log.record import Record
from bus.log.stored import StoredTree
from bus.message import new_id
from bus.store import Store, Tx
from bus.store.opening import open_store
from tests.clocks import FixedClock
from tests.servers import PostgreSQL
from tests.small_bus import write

ORIGIN = "prova.example/log"
NOW = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)


class Desk:
    """Sequencers of one log, their clock and their running time."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock, self.signer, self.ticks = store, FixedClock(NOW), Signer.new(ORIGIN, ED25519), 0.0

    def sequencer(self, owner: str, *signers: Signer, origin: str = ORIGIN, lost: tuple[str, ...] = ()) -> Sequencer:
        leases = Leases(self.store, self.clock, owner)
        return Sequencer(self.store, self.clock, leases, origin, signers or (self.signer,), lambda: self.ticks, lost)

    def wait(self, seconds: float) -> None:
        self.clock.move(dt.timedelta(seconds=seconds))
        self.ticks += seconds

    def add(self, count: int) -> None:
        self.store.write(lambda tx: [add(tx) for _ in range(count)]).result(30)


def add(tx: Tx, **data: object) -> None:
    log.append(tx, Record(new_id(), "polled", NOW, data=data))


def audited(store: Store, signer: Signer) -> int:
    """Every record at its place, every checkpoint good, each with a proof that it follows the one before; the size of the tree."""
    with store.read() as tx:
        stored, size = StoredTree(tx), StoredTree(tx).size()
        committed = tx.all("records_after", after=0, most=10**6)
        contents = list(stored.contents(0, size))
        assert contents == [row["content"] for row in committed[:size]]
        edge = tree.CompactRange()
        roots = {0: edge.root()}
        for content in contents:
            edge.extend([tree.leaf_hash(content)])
            roots[edge.size] = edge.root()
        at = 0
        while at < size:
            found = stored.checkpoint_of(at + 1)
            assert found is not None
            said = checkpoint.opened(found.note, ORIGIN, [signer.verifier])
            assert (said.size, said.root) == (found.size, found.root) == (found.size, roots[found.size])
            assert tree.extends(roots[at], at, found.root, found.size, stored.consistency(at, found.size))
            at = found.size
        for index in random.Random(1).sample(range(size), min(size, 50)):
            assert stored.index_of(committed[index]["seq"]) == index
            assert tree.includes(roots[size], size, index, tree.leaf_hash(contents[index]), stored.inclusion(index, size))
        return size


def test_records_are_sealed_in_order_and_what_is_sealed_stays(store: Store) -> None:
    desk = Desk(store)
    one = desk.sequencer("uno")
    assert one.turn() == 0, "an empty log; it is told which keys sign"
    desk.add(300)
    assert one.turn() == 301
    assert one.turn() == 0
    desk.add(MOST + 5)
    assert [one.turn(), one.turn(), one.turn()] == [MOST, 5, 0]
    assert audited(store, desk.signer) == 301 + MOST + 5
    for changed in (
        lambda tx: tx.do("add_checkpoint", size=301, root=b"\0" * 32, last=301, time="", fence=1, note=b""),
        lambda tx: tx.do("put_tile", level=0, number=0, hashes=b"\0" * 8192, first=1),
    ):
        with pytest.raises(Exception, match=r"(?i)unique|tiles only grow"):
            store.write(lambda tx, changed=changed: [changed(tx), tx.all("last_checkpoint"), tx.all("tile", level=0, number=0)]).result(30)


def test_a_log_that_is_without_its_end_is_sealed_on_from_what_is_there(postgresql: PostgreSQL, postgresql_url: str) -> None:
    """As that of a standby which was behind: what came there was sealed only once its numbers were beyond those that are gone."""
    name, behind = postgresql_url.rpartition("/")[2], f"{postgresql_url.rpartition('/')[2]}_behind"
    with closing(open_store(postgresql_url)) as store, psycopg.connect(postgresql.url, autocommit=True) as admin:

        def cut_off() -> None:
            admin.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", [name])

        desk = Desk(store)
        one = desk.sequencer("uno")
        desk.add(10)
        assert (one.turn(), one.turn(), one.turn()) == (10, 1, 0)
        cut_off()
        admin.execute(f"CREATE DATABASE {behind} TEMPLATE {name}".encode())
        desk.add(100)
        assert one.turn() == 100
        cut_off()
        admin.execute(f"DROP DATABASE {name}".encode())
        admin.execute(f"ALTER DATABASE {behind} RENAME TO {name}".encode())
        desk.add(20)
        assert one.turn() == 20
        desk.add(80)
        assert one.turn() == 80, "and a tree of the same size has another root"
        assert audited(store, desk.signer) == 111


def test_one_process_has_the_duty_and_another_takes_it_over_where_it_was_left(store: Store) -> None:
    desk = Desk(store)
    one, two = desk.sequencer("uno"), desk.sequencer("due")
    desk.add(10)
    one.turn(), one.turn()
    desk.add(10)
    assert two.turn() == 0, "it is the other's"
    desk.wait(LEASE + 1)
    assert two.turn() == 10
    desk.add(5)
    assert one.turn() == 0, "it was silent for too long"
    assert two.turn() == 5
    assert audited(store, desk.signer) == 26


def test_who_is_alone_takes_the_duty_over_at_once_and_seals_all_that_was_committed_before_it_ends(store: Store) -> None:
    desk = Desk(store)
    assert Leases(store, desk.clock, "gone").take(DUTY, LEASE)
    mine = desk.sequencer("uno")
    mine.start(alone=True)
    desk.add(5)
    mine.stop()
    with store.read() as tx:
        committed = len(tx.all("records_after", after=0, most=99))
    assert audited(store, desk.signer) == committed > 5


def test_who_slept_longer_than_the_lease_seals_nothing(store: Store) -> None:
    """Its own running time stood still too, as under SIGSTOP: it believes to be on duty."""
    desk = Desk(store)
    asleep, awake = desk.sequencer("uno"), desk.sequencer("due")
    desk.add(10)
    asleep.turn(), asleep.turn()
    desk.add(10)
    desk.clock.move(dt.timedelta(seconds=LEASE + 1))
    assert awake.turn() == 10
    with pytest.raises(StoreError, match="another process numbers the log"):
        asleep.turn() or desk.add(1) or asleep.turn()
    assert audited(store, desk.signer) == 21


def test_keys_are_changed_with_both_signing_and_a_stranger_signs_nothing(store: Store) -> None:
    desk = Desk(store)
    new, stranger = Signer.new(ORIGIN, ED25519), Signer.new(ORIGIN, ED25519)
    desk.add(1)
    desk.sequencer("uno").turn()
    with pytest.raises(ConfigError, match="is signed by"):
        desk.sequencer("uno", stranger).turn()
    with pytest.raises(ConfigError, match=r"this log is prova.example/log"):
        desk.sequencer("uno", origin="altro").turn()
    both = desk.sequencer("uno", new, desk.signer)
    both.turn(), both.turn()
    desk.add(1)
    after = desk.sequencer("uno", new)
    after.turn(), after.turn()
    with store.read() as tx:
        kept = [stored.note for size in (1, 3) if (stored := StoredTree(tx).checkpoint_of(size))]
        newest = StoredTree(tx).checkpoint()
    assert checkpoint.opened(kept[1], ORIGIN, [desk.signer.verifier]) == checkpoint.opened(kept[1], ORIGIN, [new.verifier])
    assert newest is not None
    assert checkpoint.opened(newest.note, ORIGIN, [new.verifier])


def test_who_has_not_the_key_of_the_log_keeps_nobody_from_the_duty(store: Store) -> None:
    desk = Desk(store)
    desk.add(1)
    desk.sequencer("uno").turn()
    desk.wait(LEASE + 1)
    stranger = desk.sequencer("due", Signer.new(ORIGIN, ED25519))
    stranger._stopping.set()  # so that nobody waits
    assert stranger._turn_quietly() == 0
    desk.add(1)
    assert desk.sequencer("tre").turn() > 0


def test_a_key_that_signs_no_more_is_told_to_be_lost_once_and_vouches_for_nobody(store: Store) -> None:
    """Stolen while keys were being changed, or after: others sign, and the log says that this one counts no more."""
    desk, new, stranger = Desk(store), Signer.new(ORIGIN, ED25519), Signer.new(ORIGIN, ED25519)
    old = str(desk.signer.verifier)
    for signers in ((desk.signer,), (new, desk.signer), (new,)):
        desk.add(1)
        desk.sequencer("uno", *signers).turn()
    for _ in range(2):
        last = desk.sequencer("uno", new, lost=(old, str(stranger.verifier)))
        desk.add(1)
        last.turn()
    with store.read() as tx:
        said = keys.history(tx, "checkpoints")
    assert [one.data.get("lost") for one in said] == [None, None, None, [old]]
    forged = keys.announcement("checkpoints", ORIGIN, [stranger, desk.signer], desk.clock)
    store.write(lambda tx: log.append(tx, forged)).result(30)
    for sequencer in (last, desk.sequencer("uno", new, lost=(old,))):
        with pytest.raises((StoreError, ConfigError)):
            sequencer.turn()


@pytest.mark.parametrize("signed", [True, False])
def test_nobody_without_a_key_says_that_one_is_lost(store: Store, signed: bool) -> None:
    desk = Desk(store)
    desk.add(1)
    desk.sequencer("uno").turn()
    record = keys.announcement("checkpoints", ORIGIN, [desk.signer], desk.clock, ["prova.example/log+00000000+x"])
    record = record._replace(data={**record.data, "lost": [str(desk.signer.verifier)], **({} if signed else {"signed": ""})})
    store.write(lambda tx: log.append(tx, record)).result(30)
    with pytest.raises(StoreError, match="none of its keys has signed"):
        desk.sequencer("uno").turn()


def test_a_key_that_is_lost_is_replaced_when_the_settings_name_it_and_the_log_says_so(store: Store) -> None:
    desk, new = Desk(store), Signer.new(ORIGIN, ED25519)
    desk.add(1)
    desk.sequencer("uno").turn()
    lost = (str(desk.signer.verifier),)
    for other in ((), (str(new.verifier),)):
        with pytest.raises(ConfigError, match="is signed by"):
            desk.sequencer("uno", new, lost=other).turn()
    desk.sequencer("uno", new, lost=lost).turn()
    desk.sequencer("uno", new).turn()
    with store.read() as tx:
        said, newest = keys.history(tx, "checkpoints"), StoredTree(tx).checkpoint()
    assert [(one.data["keys"], one.data.get("lost")) for one in said] == [(list(lost), None), ([str(new.verifier)], list(lost))]
    assert newest is not None
    assert checkpoint.opened(newest.note, ORIGIN, [new.verifier]).size == 3
    with pytest.raises(ConfigError, match="is signed by"):
        desk.sequencer("uno").turn()


@pytest.mark.parametrize("said", ["strange", "both", "copied", "rubbish"])
def test_an_announcement_of_keys_that_no_key_of_the_log_signed_is_not_sealed(tmp_path: Path, said: str) -> None:
    """Whoever can write to the database would sign with his own key what comes after."""
    store, stranger = open_store(f"sqlite:///{tmp_path}/prova.db"), Signer.new(ORIGIN, ED25519)
    desk = Desk(store)
    sequencer = desk.sequencer("uno")
    sequencer.turn(), sequencer.turn()
    with store.read() as tx:
        first = keys.history(tx, "checkpoints")[0].data
    forged = keys.announcement("checkpoints", ORIGIN, [stranger], desk.clock).data
    both = {**forged, "keys": [*forged["keys"], *first["keys"]]}
    rubbish = {"purpose": "checkpoints"}
    data = {"strange": forged, "both": both, "copied": {**both, "signed": first["signed"]}, "rubbish": rubbish}[said]
    store.write(lambda tx: log.append(tx, Record(new_id(), "keys", NOW, data=data))).result(30)
    with pytest.raises(StoreError) as refused:
        sequencer.turn()
    assert refused.value.code == "store.keys"
    with store.read() as tx:
        assert StoredTree(tx).size() == 1
    store.close()


def test_a_failure_that_lasts_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, said = open_store(f"sqlite:///{tmp_path}/prova.db"), []
    sequencer = Desk(store).sequencer("uno")
    monkeypatch.setattr(sequencer._log, "error", lambda event, **told: said.append((event, told["code"])), raising=False)

    def full() -> int:
        raise StoreError("the database failed: disk is full")

    monkeypatch.setattr(sequencer, "turn", full)
    sequencer._stopping.set()  # so that nobody waits
    assert [sequencer._turn_quietly() for _ in range(3)] == [0, 0, 0]
    assert said == [("sequencer.failed", "store.failed")]
    store.close()


def test_nothing_is_sealed_upon_a_tree_that_somebody_changed(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/prova.db")
    desk = Desk(store)
    desk.add(10)
    desk.sequencer("uno").turn()
    raw = sqlite3.connect(tmp_path / "prova.db")
    raw.execute("DROP TRIGGER tiles_only_grow")
    raw.execute("UPDATE tiles SET hashes = zeroblob(length(hashes))")
    raw.commit()
    raw.close()
    desk.add(1)
    with pytest.raises(StoreError, match="does not have the root of its checkpoint"):
        desk.sequencer("uno").turn()
    store.close()


@pytest.mark.parametrize(
    ("removed", "said"),
    [
        (("DELETE FROM records WHERE seq > 8",), "the last record is number 8"),
        (("DELETE FROM records WHERE seq > 8", "INSERT INTO records (id, kind, time, content) VALUES ('x', 'read', '', x'')"),
         "covers record number 12, and that one is not there"),
        (("DELETE FROM checkpoints WHERE size > 5",), "the stored tree has 12 records, and its last checkpoint 5"),
        (("DELETE FROM checkpoints", "DELETE FROM tiles"), "somebody outside has vouched for 12 records, and its last checkpoint 0"),
        (("DELETE FROM checkpoints", "DELETE FROM tiles", "DELETE FROM anchors", "DELETE FROM records",
          "INSERT INTO messages (id, type, sender, time, case_id, payload) VALUES ('m', 't', 's', '', 'c', 'p')"),
         "there are messages, and no record of the first of them or of the last"),
    ],
)  # fmt: skip
def test_nothing_is_sealed_upon_a_log_that_was_cut_and_doctor_says_so(tmp_path: Path, removed: tuple[str, ...], said: str) -> None:
    path = write(tmp_path)
    (tmp_path / "var").mkdir()
    store = open_store(f"sqlite:///{tmp_path}/var/snodo.db")
    desk = Desk(store)
    for count in (5, 6):
        desk.add(count)
        desk.sequencer("uno").turn()
    store.write(lambda tx: tx.do("add_anchor", kind="witness", name="t", size=12, time="", evidence=b"")).result(30)
    with closing(sqlite3.connect(tmp_path / "var/snodo.db")) as raw:
        for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")
        for statement in removed:
            raw.execute(statement)
        raw.commit()
    with pytest.raises(StoreError, match=said) as refused:
        desk.sequencer("uno").turn()
    assert (refused.value.code, "bus log verify" in refused.value.hint) == ("store.tree", True)
    store.close()
    [verdict] = [one for one in doctor.examine(path) if one.code == "doctor.tree"]
    assert (verdict.level, verdict.what, verdict.next) == ("wrong", refused.value.sentence, refused.value.hint)


def test_fifty_writers_leave_no_record_out_and_none_out_of_order(postgresql_url: str) -> None:
    """Each a session of its own; a third of what they begin is taken back, after the database gave it numbers."""
    stores = [open_store(postgresql_url) for _ in range(50)]
    desk = Desk(stores[0])
    over, sizes = threading.Event(), []

    def write_on(number: int, store: Store) -> None:
        dice = random.Random(number)
        for turn in range(6):
            while sum(size > 0 for size in sizes) < turn // 2:
                over.wait(0.01)  # so that the tree grows while they write

            def work(tx: Tx, turn: int = turn) -> None:
                for _ in range(dice.randint(1, 4)):
                    add(tx, writer=number, turn=turn)
                if dice.random() < 0.3:
                    tx.all("records_after", after=10**9, most=1)  # what was buffered is written first
                    raise RuntimeError("taken back")

            try:
                store.write(work).result(60)
            except RuntimeError:
                pass

    def seal_on() -> None:
        sequencer, all_is_there = desk.sequencer("uno"), False
        while not all_is_there or sizes[-1] > 0:
            all_is_there = over.is_set()
            sizes.append(sequencer.turn())

    writers = [threading.Thread(target=write_on, args=one) for one in enumerate(stores)]
    sealing = threading.Thread(target=seal_on)
    for thread in (*writers, sealing):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    sealing.join()
    with stores[0].read() as tx:
        rows = tx.all("records_after", after=0, most=10**6)
        assert rows[-1]["seq"] > len(rows), "gaps, because of what was taken back"
    assert sum(size > 0 for size in sizes) >= 2, "the tree grew while they wrote"
    assert audited(stores[0], desk.signer) == len(rows)
    for store in stores:
        store.close()


ZOMBIE = """
import os, signal, sys
from bus.clock import SystemClock
from bus.engine import sequencer
from bus.engine.leases import Leases
from bus.log.note import signer
from bus.store.opening import open_store
sequencer.LEASE = 0.2
store = open_store(sys.argv[1])
one = sequencer.Sequencer(store, SystemClock(), Leases(store, SystemClock(), "zombie"), "prova.example/log", (signer(sys.argv[2]),))
one.turn()
sealing = one._seal
def asleep(*arguments):
    if not slept:
        slept.append(True)
        print("asleep", flush=True)
        sys.stdin.readline()
    sealing(*arguments)
slept = []
one._seal = asleep
try:
    one.turn()
    print("sealed", flush=True)
except Exception as error:
    print(error, flush=True)
os._exit(0)
"""


def test_a_stopped_process_whose_duty_was_taken_over_makes_no_second_root(postgresql_url: str) -> None:
    """It is stopped with a signed checkpoint in its hands, inside its transaction; the server ends that, another one seals meanwhile."""
    store = open_store(postgresql_url)
    desk = Desk(store)
    zombie = subprocess.Popen(
        [sys.executable, "-c", ZOMBIE, postgresql_url, desk.signer.secret()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert zombie.stdout is not None
    try:
        assert zombie.stdout.readline() == "asleep\n"
        os.kill(zombie.pid, signal.SIGSTOP)
        desk.clock.moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=5)
        desk.add(5)
        awake = desk.sequencer("sveglio")
        assert awake.turn() == 6
        os.kill(zombie.pid, signal.SIGCONT)
        said, _ = zombie.communicate("\n", timeout=100)
        assert "another process numbers the log now" in said
        assert audited(store, desk.signer) == 6
    finally:
        zombie.kill()
        zombie.wait()
        store.close()
