"""A full disk and a broken one: at every write, sync and truncation of a scenario in turn. Whoever is not told "accepted" is told why and what
to do; nothing that was acknowledged is lost, nothing is half, and the bus goes on when the disk does.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from bus.diagnostics import configure
from bus.disk import READ_ONLY
from bus.engine.arrival import Submission
from bus.engine.attachments import Attachments
from bus.engine.intake import Intake
from bus.errors import StoreError
from bus.log.keyring import Keyring
from bus.log.keystore import open_keyring
from bus.store.sqlite import ROOM, SqliteStore
from bus.testing.patience import until
from tests.clocks import FixedClock
from tests.fault.disk import Disk
from tests.fault.power import FILE, KEYS, faults_inside, folder
from tests.simulation.parts import START
from tests.simulation.system import rules
from tests.small_bus import Caller, Process, Reply, running

MESSAGES, OUTAGE = 6, 3
"""``OUTAGE``: so many uses of the disk fail one after another."""
FAULTS = {"full": apsw.FullError, "broken": apsw.IOError, "damaged": apsw.CorruptError, "not to be opened": apsw.CantOpenError}


@pytest.fixture(autouse=True)
def _quiet() -> None:
    configure("critical")


class Failing:
    """A disk of which the uses ``first`` to ``first + OUTAGE`` fail; ``error`` None: none does, they are counted."""

    def __init__(self, first: int, error: Callable[..., Exception] | None) -> None:
        self.uses, self._first, self._error = 0, first, error
        self.disk = Disk(self._use)

    def _use(self, kind: str, name: str) -> None:
        self.uses += 1
        if self._error is not None and self._first <= self.uses < self._first + OUTAGE:
            raise self._error(f"{kind} of {name} fails")


def play(failing: Failing, path: Path) -> tuple[list[str], list[StoreError]]:
    """Send messages, again and again until each is accepted: their ids, and the refusals on the way."""
    refusals: list[StoreError] = []
    while True:
        try:
            store = SqliteStore(path / FILE, opened=failing.disk.open)
            break
        except StoreError as error:
            refusals.append(error)
    with closing(store):
        store.keys = KEYS
        intake, accepted = Intake(store, rules, FixedClock(START), lambda runs: None), []
        for number in range(MESSAGES):
            while len(accepted) == number:
                try:
                    accepted.append(intake.send(Submission("sim.avviso", {"chi": f"m{number}"}, "portale", key=f"k{number}")).result(20).id)
                except StoreError as error:
                    refusals.append(error)
                    assert len(refusals) <= OUTAGE
    return accepted, refusals


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAULTS)
def test_at_any_use_of_a_failing_disk_nothing_acknowledged_is_lost_and_the_bus_goes_on(fault: str) -> None:
    with folder() as path:
        counted = Failing(0, None)
        play(counted, path)
    refused = 0
    stride = OUTAGE  # so each use fails of each fault
    outages = range(1 + list(FAULTS).index(fault) % stride, counted.uses + 1, stride)
    for first in outages:
        with folder() as path:
            accepted, refusals = play(Failing(first, FAULTS[fault]), path)
            assert all(one.hint and one.code.startswith("store.") for one in refusals), (first, refusals)
            assert faults_inside(path / FILE, accepted) == [], first
            refused += len(refusals)
    assert refused > len(outages) / 2


def test_a_file_that_may_not_grow_is_told_and_what_was_accepted_stays(tmp_path: Path) -> None:
    """A real limit of the system, in a process of its own: RLIMIT_FSIZE, as a quota."""
    program = f"""
import resource, signal, sys
from pathlib import Path
from tests.fault.test_disk import accept_until_refused
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
accept_until_refused(Path({str(tmp_path)!r}))
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert ended.returncode == 0, ended.stderr
    ids, _, told = ended.stdout.partition("\n")
    accepted = ids.split(",")
    assert "the database failed" in told
    assert len(accepted) > 3
    with closing(keys_in(tmp_path)) as keys:
        assert faults_inside(tmp_path / FILE, accepted, keys) == []


def keys_in(path: Path) -> Keyring:
    return open_keyring(path / "keys", path / "master.key", None)


def accept_until_refused(path: Path) -> None:
    """Print the ids that were accepted under a limit, then the refusal; then take the limit away and go on."""
    with closing(SqliteStore(path / FILE)) as store:
        store.keys = keys_in(path)
        intake = Intake(store, rules, FixedClock(START), lambda runs: None)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
        accepted: list[str] = []
        try:
            while len(accepted) < 1000:
                accepted += [intake.send(Submission("sim.avviso", {"chi": "x" * 5000}, "portale")).result(20).id]
        except StoreError as error:
            told = f"{error.sentence}; {error.hint}"
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        accepted.append(intake.send(Submission("sim.avviso", {"chi": "at last"}, "portale")).result(20).id)
    print(",".join(accepted), told, sep="\n")


def test_a_bus_without_room_says_so_also_when_nobody_sends_and_is_well_again_by_itself(tmp_path: Path) -> None:
    """A limit of the system on a process that runs, as a quota: `/status` alone is asked then, as load balancers do."""
    bus, accepted = Process(tmp_path), []
    try:
        call = Caller(bus.port)

        def send(number: int) -> Reply:
            saluto = {"type": "prova.saluto", "data": {"nome": f"n{number}", "numero": "x" * 20_000}}
            return call("POST", "/messages", saluto, {"Idempotency-Key": f"k{number}"})

        unlimited = resource.prlimit(bus.process.pid, resource.RLIMIT_FSIZE, (ROOM // 2, resource.RLIM_INFINITY))
        while (refused := send(len(accepted))).status == 202:
            accepted.append(refused.json["id"])
            assert len(accepted) < 1000
        for reply in (refused, call("GET", "/status", name=None), call("GET", "/status", name=None)):
            assert (reply.status, reply.json["code"]) == (503, "store.failed")
            assert "retry-after" in reply.headers
        resource.prlimit(bus.process.pid, resource.RLIMIT_FSIZE, unlimited)
        until(lambda: call("GET", "/status", name=None).status == 200)
        accepted.append(send(len(accepted)).json["id"])
    finally:
        bus.stop()
    lines = [json.loads(line) for line in bus.log.read_text("utf-8").splitlines()]
    errors = [line["event"] for line in lines if line["level"] == "error"]
    assert len(errors) == len(set(errors)), "what is tried again and again is told once"
    folder = tmp_path / "var"
    with closing(open_keyring(folder / "keys", folder / "master.key", None)) as keys:
        assert faults_inside(folder / FILE, accepted, keys) == []


def test_a_bus_whose_key_store_is_full_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as server:
        call = Caller(server.port)
        monkeypatch.setattr(server.app.store.keys, "_unused", [])
        with monkeypatch.context() as full:
            full.setattr("bus.log.keyring.os.fsync", fails_as_full)
            reply = call("GET", "/status", name=None)
        assert (reply.status, reply.json["code"]) == (503, "keys.failed")
        assert call("GET", "/status", name=None).status == 200


def fails_as_full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_folder_of_attachments_is_told_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(SqliteStore(tmp_path / FILE)) as store:
        store.keys = KEYS
        files = Attachments(tmp_path / "files", store, FixedClock(START))

        with monkeypatch.context() as patch:
            patch.setattr("bus.engine.attachments.os.fsync", fails_as_full)
            with pytest.raises(StoreError) as told, files.receive("a.pdf", "application/pdf") as receiving:
                receiving.write(b"x" * 1000)
                receiving.finish("portale")
        assert (told.value.code, bool(told.value.hint)) == ("store.failed", True)
        assert [one for one in (tmp_path / "files").rglob("*") if one.is_file()] == []
        with files.receive("a.pdf", "application/pdf") as receiving:
            receiving.write(b"x" * 1000)
            kept = receiving.finish("portale")
        with files.open(kept.sha256) as stream:
            assert stream.read() == b"x" * 1000


def test_a_folder_of_attachments_that_becomes_read_only_is_told_whoever_meets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be thrown away either hid why the file was not kept, or ended a start without a word of the folder."""
    with closing(SqliteStore(tmp_path / FILE)) as store:
        store.keys = KEYS
        files = Attachments(tmp_path / "files", store, FixedClock(START))
        of_nobody = KEYS.token("0" * 64)
        files.place(of_nobody).parent.mkdir(parents=True)
        files.place(of_nobody).write_bytes(b"")
        with monkeypatch.context() as patch:
            patch.setattr("bus.engine.attachments.os.fsync", fails_as_read_only)
            patch.setattr(Path, "unlink", fails_as_read_only)
            with pytest.raises(StoreError) as refused, files.receive("b.pdf", "application/pdf") as receiving:
                receiving.write(b"x" * 1000)
                receiving.finish("portale")
            patch.setattr("bus.engine.attachments.LEFT", -1.0)
            with pytest.raises(StoreError) as cleared:
                files.clear()
            with pytest.raises(StoreError) as dropped:
                files.drop([of_nobody], [])
        assert {(one.value.code, one.value.hint) for one in (refused, cleared, dropped)} == {("store.failed", READ_ONLY)}


def fails_as_read_only(*_: object, **__: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))
