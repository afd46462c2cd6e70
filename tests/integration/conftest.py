"""One town for each file of tests, as eight systems, a node and a bus take some seconds to start; and what else several files share."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.cli import main
from bus.log import note
from bus.store import Store
from bus.store.opening import open_store
from bus.web.serve import Server
from tests.integration.auditing import Auditor
from tests.integration.erasing import two_sysadmins
from tests.integration.kit import HASTE, Town, hasty_rules
from tests.integration.sportello import Sportello
from tests.small_bus import Caller, key_of, running, wait_reply
from tests.tamper.logs import Small, make
from tests.tsa import Authority


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """The rules as shipped."""
    with Town(tmp_path_factory.mktemp("town")) as made:
        yield made


@pytest.fixture(scope="module")
def hasty_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Short times; the simulators are well again before each test that asks for `troubled`."""
    folder = tmp_path_factory.mktemp("hasty")
    with Town(folder / "town", hasty_rules(folder / "rules"), HASTE) as made:
        yield made


@pytest.fixture
def troubled(hasty_town: Town) -> Iterator[Town]:
    """A town to trouble: no faults before, none after."""
    yield hasty_town
    for simulator in hasty_town.simulators.values():
        if not simulator.alive:
            simulator.restart()
        simulator.clear()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Server]:
    """A bus with two sysadmins: an erasure takes two."""
    with running(tmp_path, keys=two_sysadmins()) as server:
        yield server


@pytest.fixture
def edited(worked: Path, tmp_path: Path) -> Path:
    """The rules of a bus that has ``worked``, in another folder, to be edited."""
    for name in ("routes", "mappings"):
        shutil.copytree(worked / name, tmp_path / name)
    return tmp_path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """A time-stamping authority."""
    made = Authority(tmp_path_factory.mktemp("tsa"))
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    return f"sqlite:///{tmp_path}/prova.db" if request.param == "sqlite" else str(request.getfixturevalue("postgresql_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An empty store of each kind."""
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A bus with an adapter whose system calls us."""
    folder = tmp_path_factory.mktemp("bus")
    with running(folder, {"sportello": Sportello("sportello", None)}, attachments={"folder": "files", "limit": 2_000_000}) as made:
        yield made


@pytest.fixture(scope="module")
def call(server: Server) -> Caller:
    """Asks that bus as a portal."""
    return Caller(server.port)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A log of 400 messages, and the bytes of its store."""
    return make(tmp_path_factory.mktemp("logs"), random.Random(7), 400)


@pytest.fixture
def file(small: Small, tmp_path: Path) -> Path:
    """That store, for one test to change."""
    path = tmp_path / "snodo.db"
    path.write_bytes(small.raw)
    return path


@pytest.fixture
def auditor(file: Path, small: Small, capsys: pytest.CaptureFixture[str]) -> Auditor:
    """Whoever verifies that store."""
    return Auditor(file, small, capsys)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """A bundle of one case with a reply, and the log's public key; made by three commands of an auditor (the third is verify.py)."""
    folder = tmp_path_factory.mktemp("bundle")
    with running(folder) as server:
        ask = Caller(server.port)
        for name in ("Ada", "Bo", "Cy"):
            body = {"type": "prova.saluto", "data": {"nome": name}}
            wait_reply(server.app, ask("POST", "/messages", body).json["id"], 60)
        out = folder / "fascicolo.zip"
        words = ["log", "export", "--case", "istanza:Bo", "--purpose", "prova", "--out", str(out)]
        assert main([*words, "--url", f"http://127.0.0.1:{server.port}", "--key", key_of("revisore")]) == 0
    return out.read_bytes(), str(note.read_signer(folder / "var/log.key").verifier)
