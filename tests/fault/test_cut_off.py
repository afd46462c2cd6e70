"""kill -9 at each word to the disk of an erasure, a retention, an export and a change of the log's key; then a start, and all is judged."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from bus.bundle.verify import Bundle
from bus.log import log
from bus.log.note import Signer, read_signer
from bus.log.verify import Trust, verify
from bus.testing.patience import until
from bus.web.serve import Server
from tests.fault import cut_off
from tests.integration.erasing import NAME, OTHER, WHO, asked, confirmed, greet, scanned, two_sysadmins
from tests.nursery import Born
from tests.small_bus import Caller, running, write

pytestmark = pytest.mark.timeout(600)


class World(NamedTuple):
    """A bus that was stopped: the person to be erased, somebody else, each with a message and a file of their own."""

    folder: Path
    request: str
    messages: tuple[str, str]
    files: tuple[str, str]

    def at(self, folder: Path) -> World:
        shutil.copytree(self.folder, folder)
        return self._replace(folder=folder)

    def act(self, act: str, at: int) -> bool:
        """Whether it came to its end; else it was killed."""
        arguments, errors = [act, str(at), str(self.folder / "config.yaml"), self.request], self.folder.with_suffix(".err")
        acting = Born("tests.fault.cut_off", arguments, dict(os.environ), errors)
        with acting.stdout:
            code = acting.wait(120)
        assert code in (0, -signal.SIGKILL), errors.read_text()
        return code == 0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    with running(folder, keys=two_sysadmins()) as server:
        call, messages, files = Caller(server.port), [], []
        for name, who in ((NAME, WHO), ("Mario", OTHER)):
            files.append(call("POST", f"/attachments?name={who}.txt", f"{name} {who}".encode()).json["sha256"])
            messages.append(greet(server, name, who, attachments=files[-1:]))
        request = asked(server).json["id"]
    return World(folder, request, tuple(messages), tuple(files))  # type: ignore[arg-type]


def moments(world: World, act: str, tmp_path: Path):
    """The world after each moment at which the act was cut off, and after the act."""
    for at in range(200):
        here = world.at(tmp_path / f"{at}")
        ended = here.act(act, at)
        yield here, ended
        shutil.rmtree(here.folder)
        if ended:
            assert at > 3, "it was hardly cut off"
            return
    raise AssertionError("it comes to no end")


@contextlib.contextmanager
def started(world: World, **changes: object):
    with running(world.folder, keys=two_sysadmins(), **changes) as server:
        yield server
        until(lambda: verified(server), "everything is sealed")
    assert scanned(world.folder) == []


def verified(server: Server, *keys: Signer) -> bool:
    """Whether all is sealed; raises `Broken`."""
    return verify(server.app.store.read, Trust(tuple(key.verifier for key in keys))).waiting == 0


def told(server: Server, kind: str) -> list:
    with server.app.store.read() as tx:
        return [one for _, one in log.everything(tx) if one.kind == kind]


def readable(server: Server, world: World, which: int) -> bool:
    """Whether message and file of one can be read; raises where only one of them can."""
    call = Caller(server.port)
    message = call("GET", f"/messages/{world.messages[which]}").status
    file = call("GET", f"/attachments/{world.files[which]}").status
    assert (message, file) in ((200, 200), (410, 404)), (message, file)
    return message == 200


def gone(server: Server, world: World, kind: str) -> None:
    """What such records say is destroyed is: keys, rows, files."""
    app = server.app
    for record in told(server, kind):
        assert all(not app.keys.left([key]) for key in record.data["keys"])
        assert not [file for file in record.data["files"] if app.attachments.place(file).exists()], "a file that was destroyed is there"


def test_an_erasure_is_done_or_pending_wherever_it_is_cut_off(world: World, tmp_path: Path) -> None:
    seen = set()
    for here, ended in moments(world, "erase", tmp_path):
        with started(here) as server:
            done = bool(told(server, "erased"))
            seen.add(done)
            assert readable(server, here, 1)
            assert readable(server, here, 0) is not done
            pending = [one["id"] for one in server.app.destruction.waiting()]
            assert pending == ([] if done else [here.request])
            assert done or not ended
            if not done:
                assert confirmed(server, here.request).status == 200
                assert not readable(server, here, 0)
            gone(server, here, "erased")
    assert seen == {True, False}


def test_what_is_too_old_goes_at_the_next_run_wherever_one_is_cut_off(world: World, tmp_path: Path) -> None:
    seen = set()
    for here, ended in moments(world, "retain", tmp_path):
        with started(here) as server:
            seen.add(len(told(server, "disposed")))
            gone(server, here, "disposed")
            if not ended:
                cut_off.retain(server.app)
            gone(server, here, "disposed")
            assert [readable(server, here, which) for which in (0, 1)] == [False, False]
            disposed = [one for record in told(server, "disposed") for one in (*record.data["messages"], *record.data["files"])]
            assert len(disposed) == len(set(disposed)) == 4, "each is told once"
    assert seen == {0, 1, 2}


def test_an_export_that_is_cut_off_leaves_no_half_bundle(world: World, tmp_path: Path) -> None:
    for here, ended in moments(world, "export", tmp_path):
        out = here.folder / "fascicolo.zip"
        assert out.exists() >= ended
        with running(here.folder, keys=two_sysadmins()) as server:
            assert len(told(server, "exported")) <= 1
            if not out.exists():
                cut_off.export(server.app, out)
            until(lambda: verified(server), "everything is sealed")
        assert Bundle(out.read_bytes(), []).found == []


def test_a_change_of_keys_that_is_cut_off_anywhere_is_made_at_the_next_start(world: World, tmp_path: Path) -> None:
    world = world.at(tmp_path / "changed")
    before = read_signer(world.folder / "var/log.key")
    key = Signer.new(before.verifier.name)
    (world.folder / "var/new.key").write_text(key.secret())
    (world.folder / "var/new.key").chmod(0o600)
    changes = {"log": {"key": "var/new.key", "previous_key": "var/log.key"}}
    write(world.folder, keys=two_sysadmins(), **changes)
    for here, _ in moments(world, "start", tmp_path):
        with started(here, **changes) as server:
            until(lambda: len(told(server, "keys")) > 2, "it is told")
            for known in (before, key):
                until(lambda known=known: verified(server, known), "everything is sealed")
            assert readable(server, here, 0)
            assert readable(server, here, 1)
