"""A process of this machine that is no more need not be waited for; one that is paused, or of another machine, is."""

from __future__ import annotations

import datetime as dt
import errno
import itertools
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bus.disk import READ_ONLY
from bus.engine import lifeline
from bus.engine.leases import Leases
from bus.engine.lifeline import FOLDER, Lifelines, gone, new_identity
from bus.engine.presence import LAST, Presence, gates, processes
from bus.engine.watching import with_gates
from bus.store.sqlite import SqliteStore
from bus.worker import LEAVING
from tests.clocks import FixedClock
from tests.contract.store_contract import LATER, NOW, add_runs, claim, ids

LIFELINE = "from bus.engine.lifeline import Lifelines; import sys; from pathlib import Path;"
LIFELINE += "Lifelines(Path(sys.argv[1])).hold('uno@elsewhere.1.1'); print(flush=True); input()"
CHILD = "from bus.engine.lifeline import new_identity; print(new_identity(), flush=True); input()"


@pytest.fixture
def child() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process, and the name it gives itself."""
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def test_a_process_is_gone_when_it_was_killed_and_not_when_it_is_stopped(child: tuple[subprocess.Popen[str], str]) -> None:
    process, name = child
    assert not gone(name)
    process.send_signal(signal.SIGSTOP)
    assert not gone(name)
    process.kill()
    process.wait(60)
    assert gone(name)


def test_a_killed_process_of_which_its_parent_took_no_note_is_gone(child: tuple[subprocess.Popen[str], str]) -> None:
    process, name = child
    process.kill()
    until = dt.datetime.now() + dt.timedelta(seconds=60)
    while not gone(name):
        assert dt.datetime.now() < until, "a zombie is not alive"
    assert process.returncode is None


def test_of_other_machines_other_starts_and_other_names_nobody_here_can_know() -> None:
    ours = new_identity()
    before, _, after = ours.partition("@")
    machine, pid, started = after.split(".")
    assert not gone(ours)
    assert gone(f"{before}@{machine}.{pid}.{int(started) - 1}"), "an earlier process had our number"
    assert not gone(f"{before}@{'0' * 16}.{pid}.{int(started) - 1}")
    assert [gone(name) for name in ("", "uno", "uno@", f"uno@{machine}", f"uno@{machine}.x.y", f"uno@{machine}.{pid}.")] == [False] * 6


def test_what_a_dead_process_held_is_free_at_once_and_counts_as_a_strike(
    store: SqliteStore, child: tuple[subprocess.Popen[str], str]
) -> None:
    process, name = child
    clock = FixedClock(NOW)
    dead, here, far = (Presence(store, clock, identity, "worker", "d") for identity in (name, new_identity(), "far@away.1.1"))
    for presence in (dead, far):
        presence.begin()
    add_runs(store, "a", "b")
    claim(store, "a", owner=name)
    claim(store, "b", owner="far@away.1.1")
    assert Leases(store, clock, name).take("poller", 60) == 1
    here.release_the_gone()
    assert claim(store, "a", "b") == [], "it lives"
    process.kill()
    process.wait(60)
    here.begin()
    assert [(row["id"], row["strikes"]) for row in claim(store, "a", "b")] == [("a", 1)]
    assert Leases(store, clock, "two").take("poller", 60) == 2
    with store.read() as tx:
        assert name not in {row["id"] for row in tx.all("processes_seen")}
    assert ids(claim(store, "b", now=LATER)) == ["b"], "the far one's lease ran out"
    for presence in (dead, here, far):
        presence.end()


def test_a_process_of_another_container_is_gone_when_the_kernel_dropped_its_lock_and_not_before(store: SqliteStore, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LIFELINE, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        lines, clock = Lifelines(tmp_path), FixedClock(NOW)
        here = Presence(store, clock, "due@here.1.1", "worker", "d", lifelines=lines)
        there = Presence(store, clock, "uno@elsewhere.1.1", "worker", "d")
        there.begin()
        here.begin()
        add_runs(store, "a")
        claim(store, "a", owner="uno@elsewhere.1.1")
        process.send_signal(signal.SIGSTOP)
        here.release_the_gone()
        assert claim(store, "a") == [], "it is stopped, and lives"
        [file] = [path for path in (tmp_path / FOLDER).iterdir() if path.name == "uno"]
        (tmp_path / "copy" / FOLDER).mkdir(parents=True)
        shutil.copy2(file, tmp_path / "copy" / FOLDER / "uno")
        assert not Lifelines(tmp_path / "copy").is_cut("uno@elsewhere.1.1"), "nobody ever held the copy"
        assert not lines.is_cut("due@here.1.1")
        assert not lines.is_cut("tre@nobody.1.1")
        process.kill()
        process.wait(20)
        here.release_the_gone()
        assert ids(claim(store, "a")) == ["a"]
        assert not file.exists()
        for presence in (here, there):
            presence.end()
        assert list((tmp_path / FOLDER).iterdir()) == []


def test_a_lifeline_is_held_though_another_process_cleans_at_the_same_time(tmp_path: Path) -> None:
    (tmp_path / FOLDER / "altro").mkdir(parents=True)  # cannot be read, as what another has just dropped
    Lifelines(tmp_path).hold("uno@elsewhere.1.1")
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} == {"altro", "uno"}


def test_without_a_local_folder_there_are_no_lifelines_and_the_process_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifeline, "LOCAL", frozenset())
    lines = Lifelines(tmp_path)
    lines.hold("uno@elsewhere.1.1")
    assert list((tmp_path / FOLDER).iterdir()) == []
    tmp_path.chmod(0o500)
    Lifelines(tmp_path / "nowhere").hold("uno@elsewhere.1.1")
    tmp_path.chmod(0o700)


def test_a_folder_that_takes_no_lifeline_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, str]] = []
    monkeypatch.setattr(lifeline, "logger", lambda name: SimpleNamespace(warning=lambda event, **more: said.append(more)))

    def refuses(path: object, flags: int, mode: int = 0) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(lifeline.os, "open", refuses)
    Lifelines(tmp_path).hold("uno@elsewhere.1.1")
    assert said == [{"error": "[Errno 30] Read-only file system", "hint": READ_ONLY}]


def test_where_proc_shows_the_processes_of_another_namespace_nobody_is_ever_taken_for_gone() -> None:
    program = (
        "import subprocess, sys; from bus.engine.lifeline import gone;"
        f"child = subprocess.Popen([sys.executable, '-c', {CHILD!r}], stdin=-1, stdout=-1, text=True);"
        "name = child.stdout.readline().strip(); child.kill(); child.wait(); print(name.partition('@')[2].partition('.')[0], gone(name))"
    )
    command = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: this machine lets nobody make a namespace")
    told = subprocess.run([*command, sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == " False\n"


def test_who_works_beside_whom_is_known_within_a_look_and_doors_do_not_count(store: SqliteStore) -> None:
    clock, counts = FixedClock(NOW), list[tuple[int, int]]()
    here = Presence(store, clock, new_identity(), "worker", "d", lambda *told: counts.append(told))
    others = [Presence(store, clock, f"0{n}@away.{n}.1", role, "d") for n, role in enumerate(("worker", "web", "worker"))]
    here.begin()
    for other in others:
        other.begin()
    here.release_the_gone()
    others[0].end()
    here.release_the_gone()
    clock.move(dt.timedelta(minutes=1))
    here.release_the_gone()
    for presence in (here, *others[1:]):
        presence.end()
    assert [count for count, _ in itertools.groupby(counts)] == [(1, 0), (3, 1), (2, 0), (1, 0)], "who is silent does not count"


def test_who_was_heard_of_last_at_a_time_that_has_not_come_yet_does_not_count(store: SqliteStore) -> None:
    """A machine that died before a clock was set back had its share of each limit for as long, and all of a limit of one."""
    clock, counts = FixedClock(NOW + dt.timedelta(hours=2)), list[tuple[int, int]]()
    lost, here = (Presence(store, clock, f"0{n}@away.{n}.1", "worker", "d", lambda *told: counts.append(told)) for n in range(2))
    lost.begin()
    clock.move(-dt.timedelta(hours=2))
    here.begin()
    with store.read() as tx:
        silent = {one["id"]: one["silent"] for one in processes(tx, clock.now())}
    for presence in (lost, here):
        presence.end()
    assert (counts[-1], silent) == ((1, 0), {"00@away.0.1": 7200.0, "01@away.1.1": 0.0})


def test_processes_tell_each_other_of_their_gates_until_they_end(store: SqliteStore) -> None:
    clock = FixedClock(NOW)
    here = {"places": 2, "out": 1, "in_line": 0, "turned_away": 0, "circuit": "closed"}
    there = {**here, "in_line": 4, "circuit": "open"}
    first = Presence(store, clock, "a", "worker", "r", gates=lambda: {"eco": here, "eco.chiama": here})
    second = Presence(store, clock, "b", "worker", "r", gates=lambda: {"eco": there})
    for one in (first, second):
        one._say()
        one._say_gates()
    with store.read() as tx:
        assert [{"eco": there}] == gates(tx, NOW, but="a")
        shown = with_gates({"adapters": {}}, gates(tx, NOW))
        assert [] == gates(tx, NOW + dt.timedelta(minutes=1)), "who is silent tells nothing"
    assert {"out": 2, "in_line": 4, "circuit": "open in 1 of 2"}.items() <= shown["adapters"]["eco"].items()  # type: ignore[union-attr,call-overload,index]
    assert ["eco"] == list(shown["adapters"])  # type: ignore[arg-type]
    second.end()
    first._say()
    with store.read() as tx:
        assert 1 == len(gates(tx, NOW))


def test_who_has_said_good_bye_does_not_say_that_it_is_here(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was about to when it was told to end: the others waited for it until it had been silent for long enough."""
    monkeypatch.setattr("bus.engine.presence.LOOK", 0.01)
    monkeypatch.setattr("bus.engine.presence.EVERY", 0.01)
    looks, goes_on = threading.Event(), threading.Event()

    def wait() -> dict[str, object]:
        looks.set()
        goes_on.wait(60)
        return {}

    here = Presence(store, FixedClock(NOW), new_identity(), "worker", "d", gates=wait)
    here.begin()
    assert looks.wait(60)
    threading.Timer(0.2, goes_on.set).start()
    here.end()
    here._thread.join(60)
    with store.read() as tx:
        assert tx.all("processes_seen") == []


def test_a_look_that_hangs_keeps_nobody_from_saying_good_bye(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a disk that hangs it outlasted the time that a process has to end: it ended without a word. What it meant to say is not said."""
    assert LAST < LEAVING
    monkeypatch.setattr("bus.engine.presence.LOOK", 0.01)
    monkeypatch.setattr("bus.engine.presence.EVERY", 0.01)
    monkeypatch.setattr("bus.engine.presence.LAST", 0.01)
    looks, goes_on = threading.Event(), threading.Event()

    def hang() -> dict[str, object]:
        looks.set()
        goes_on.wait()
        return {"sistema": {}}

    here = Presence(store, FixedClock(NOW), new_identity(), "worker", "d", gates=hang)
    here.begin()
    assert looks.wait(60)
    here.end()
    with store.read() as tx:
        assert tx.all("processes_seen") == []
    goes_on.set()
    here._thread.join(60)
    with store.read() as tx:
        assert (tx.all("processes_seen"), gates(tx, NOW)) == ([], [])


def test_a_store_that_is_closed_or_away_is_told_once(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    told, failed, enough = list[str](), list[Exception](), threading.Event()

    def hear(error: Exception) -> None:
        failed.append(error)
        if len(failed) > 8:
            enough.set()

    monkeypatch.setattr("bus.engine.presence.LOOK", 0.01)
    here = Presence(store, FixedClock(NOW), new_identity(), "worker", "d", gates=lambda: {"eco": len(failed)}, heard=hear)
    here._log = SimpleNamespace(warning=lambda event, error: told.append(error))
    here.begin()
    store.close()
    assert enough.wait(60)
    here._over.set()
    here._thread.join(60)
    assert len(told) <= 4, "a look, and what is said, each once; perhaps also while it closes"
