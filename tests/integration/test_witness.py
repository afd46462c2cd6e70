"""The witness as a program: it is started from its settings, killed at any moment, and never signs two histories."""

from __future__ import annotations

import base64
import configparser
import errno
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests
import yaml

from bus.cli import main
from bus.log import note as notes
from bus.log.checkpoint import checkpoint_of, cosigned, place_of
from bus.log.note import COSIGNATURE, Signer
from bus.witness.settings import Settings, load
from tests.small_log import SmallLog

DEPLOY = Path(__file__).parents[2] / "deploy/witness"
ORIGIN = "registro.comune.example/snodo"
KEY = Signer.new(ORIGIN)
LOG = SmallLog(ORIGIN, KEY)


class Program:
    """``bus witness serve`` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "bus.cli", "witness", "serve", "--config", str(folder / "witness.yaml"), "--json"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = json.loads(self._process.stdout.readline())["url"]
        self.session = requests.Session()

    def add(self, old: int, new: int) -> requests.Response:
        return self.session.post(f"{self.url}/add-checkpoint", data=LOG.request(old, new), timeout=60)

    def end(self, *, kill: bool = False) -> int:
        self.session.close()
        (self._process.kill if kill else self._process.terminate)()
        self._process.stdout.close()
        return self._process.wait(60)


@pytest.fixture
def folder(tmp_path, capsys):
    """Settings made as docs/sysadmin/witness.md says."""
    assert main(["witness", "key", "testimone.provincia.example/t1", "--to", str(tmp_path / "witness.key"), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    (tmp_path / "memory").mkdir()
    (tmp_path / "witness.yaml").write_text(
        f"key: witness.key\nmemory: memory\nport: 0\nlogs:\n  - origin: {ORIGIN}\n    keys: [{KEY.verifier}]\n", "utf-8"
    )
    (tmp_path / "public").write_text(made["public_key"], "utf-8")
    assert main(["witness", "begin", "--config", str(tmp_path / "witness.yaml")]) == 0
    assert f"{ORIGIN} BEGINS HERE: the first checkpoint" in capsys.readouterr().out
    return tmp_path


def test_the_key_is_for_its_owner_alone_and_is_never_made_twice(folder, capsys):
    assert (folder / "witness.key").stat().st_mode & 0o777 == 0o600
    before = (folder / "witness.key").read_bytes()
    assert main(["witness", "key", "altro.example", "--to", str(folder / "witness.key")]) == 2
    assert (folder / "witness.key").read_bytes() == before


@pytest.mark.timeout(300)
def test_a_witness_that_is_killed_at_any_moment_never_forgets_what_it_signed(folder, capsys):
    """kill -9 in the midst of requests, four times; whatever cosignature came out, the memory has at least that size afterwards."""
    ours = [notes.verifier((folder / "public").read_text("utf-8"))]
    signed = 0
    for turn in range(4):
        witness = Program(folder)
        size = json.loads(shown(capsys, folder))["logs"][0]["size"] or 0
        assert size >= signed
        for new in range(size + 1, size + 400):
            try:
                answer = witness.add(new - 1, new)
            except requests.RequestException:
                break
            if new == size + 1:
                threading.Timer(0.03 * (turn + 1), witness.end, kwargs={"kill": True}).start()
            assert answer.status_code == 200
            assert cosigned(notes.parse(LOG.checkpoint(new).encode() + answer.content), ours)
            signed = new
        witness._process.wait(60)
    assert signed > 0
    witness = Program(folder)
    assert witness.add(0, 1).status_code == 409
    assert int(witness.add(0, 1).text) >= signed
    assert witness.session.get(f"{witness.url}/{place_of(ORIGIN)}/checkpoint", timeout=60).status_code == 200
    assert witness.end() == 0


def shown(capsys, folder) -> str:
    capsys.readouterr()
    assert main(["witness", "show", "--config", str(folder / "witness.yaml"), "--json"]) == 0
    return capsys.readouterr().out


def test_the_last_checkpoint_is_shown_in_words(folder, capsys):
    capsys.readouterr()
    assert main(["witness", "show", "--config", str(folder / "witness.yaml")]) == 0
    assert capsys.readouterr().out == f"{ORIGIN}: nothing was cosigned yet\n"
    witness = Program(folder)
    witness.add(0, 1200)
    witness.end()
    assert main(["witness", "show", "--config", str(folder / "witness.yaml")]) == 0
    root = base64.b64encode(LOG.root(1200)).decode()
    assert f"{ORIGIN}: 1,200 records, root {root}, cosigned 20" in capsys.readouterr().out, "as in the checkpoint, and in `bus log verify`"
    assert checkpoint_of(notes.parse((folder / "memory" / place_of(ORIGIN) / "checkpoint").read_bytes()).text).size == 1200


def test_a_memory_that_is_not_there_is_not_shown_as_one_that_begins(folder, capsys):
    """A folder that is not mounted, or was written wrongly in the settings: its witness would not start."""
    (folder / "memory").rename(folder / "altrove")
    capsys.readouterr()
    assert main(["witness", "show", "--config", str(folder / "witness.yaml")]) == 0
    assert "the memory knows nothing of it" in capsys.readouterr().out
    assert json.loads(shown(capsys, folder))["logs"] == [{"origin": ORIGIN, "size": None, "begins": False}]


def test_a_witness_whose_memory_is_lost_starts_again_from_a_checkpoint_that_it_cosigned_only(folder, capsys):
    witness = Program(folder)
    witness.add(0, 1200)
    witness.end()
    held = folder / "held"
    held.write_bytes((folder / "memory" / place_of(ORIGIN) / "checkpoint").read_bytes())
    shutil.rmtree(folder / "memory" / place_of(ORIGIN))
    words = ["--config", str(folder / "witness.yaml")]
    assert main(["witness", "serve", *words]) == 2
    assert "bus witness begin --from-checkpoint FILE" in capsys.readouterr().err
    assert main(["witness", "show", *words]) == 0
    (folder / "unsigned").write_bytes(LOG.checkpoint(1300).encode())
    (folder / "junk").write_bytes(b"junk")
    for name, said in (("unsigned", "no cosignature of ours"), ("junk", "a note ends")):
        assert main(["witness", "begin", *words, "--from-checkpoint", str(folder / name)]) == 2
        told = capsys.readouterr().err
        assert (f"{folder / name}: {said}" in told, "bus log checkpoint --cosigned" in told) == (True, True), told
    assert main(["witness", "begin", *words, "--from-checkpoint", str(held)]) == 0
    assert f"{ORIGIN}: 1,200 records" in capsys.readouterr().out
    witness = Program(folder)
    assert witness.add(0, 1).status_code == 409
    assert witness.add(1200, 1201).status_code == 200
    witness.end()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("memory: memory", "memory: nowhere"), "there is no folder"),
        (("key: witness.key", "key: altra.key"), "there is no key"),
        (("+A", "+B"), "witness.yaml:6:12: error field.invalid"),
        (("port: 0", "porta: 0"), "did you mean port?"),
        ((str(KEY.verifier), str(Signer.new("altro.example", COSIGNATURE).verifier)), "is no key of a log"),
        (("port: 0", f"port: 0\nformer_keys: [{KEY.verifier}]"), "is no key of a witness"),
    ],
)
def test_settings_that_cannot_work_are_explained(folder, capsys, change, said):
    settings = folder / "witness.yaml"
    settings.write_text(settings.read_text("utf-8").replace(*change), "utf-8")
    assert main(["witness", "serve", "--config", str(settings)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("why", "remedy"), [(errno.EADDRINUSE, "another port"), (errno.EADDRNOTAVAIL, "an address of this machine")])
def test_where_it_cannot_listen_it_says_whether_the_port_or_the_host_is_wrong(folder, capsys, monkeypatch, why, remedy):
    def refuse(address, *, family):
        raise OSError(why, os.strerror(why))

    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(socket, "create_server", refuse)
    assert main(["witness", "serve", "--config", str(folder / "witness.yaml")]) == 2
    assert remedy in capsys.readouterr().err


def test_the_program_of_another_administrator_carries_nothing_of_the_bus():
    """Neither its engine nor its store nor any of its libraries is loaded: what is not there cannot fail or be attacked."""
    code = "import sys, bus.witness.serve; print(*sorted(n for n in sys.modules if n.startswith(('bus.', 'adapters')) or n.partition('.')[0] in %r))"
    heavy = ("sqlalchemy", "psycopg", "kombu", "zeep", "lxml", "cel_expr_python", "starlette", "requests", "sqlite3")
    loaded = subprocess.run([sys.executable, "-c", code % (heavy,)], capture_output=True, text=True, check=True).stdout.split()
    rooms = {".".join(name.split(".")[:2]) for name in loaded}
    assert rooms <= {
        "bus.clock",
        "bus.diagnostics",
        "bus.disk",
        "bus.errors",
        "bus.exact",
        "bus.faults",
        "bus.log",
        "bus.message",
        "bus.source",
        "bus.witness",
    }
    assert {name for name in loaded if name.startswith("bus.log.")} == {"bus.log.checkpoint", "bus.log.note", "bus.log.tree"}


# -- what deploy/witness says ---------------------------------------------------------------------------------------------


def test_the_unit_starts_the_witness_and_hears_that_it_is_ready(folder):
    """`snodo-witness.service` as it stands, in the place of systemd: its command, its variable, NOTIFY_SOCKET, SIGTERM."""
    unit = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    unit.optionxform = str
    unit.read_string((DEPLOY / "snodo-witness.service").read_text("utf-8"))
    service = unit["Service"]
    settings = yaml.safe_load((DEPLOY / "witness.yaml").read_text("utf-8"))
    assert Path(settings["memory"]).is_relative_to(service["ReadWritePaths"])
    program, *command = shlex.split(service["ExecStart"])
    variable, _, _ = service["Environment"].partition("=")
    assert program == "/opt/snodo/bin/bus"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(folder / "notify"))
        told.settimeout(100)
        environment = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), variable: str(folder / "witness.yaml")}
        with subprocess.Popen([sys.executable, "-m", "bus.cli", *command], env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert told.recv(100) == b"READY=1"
            assert process.stdout.readline().startswith("the witness listens on http://127.0.0.1:")
            process.terminate()
            assert process.wait(60) == 0


def test_the_settings_as_shipped_are_taken_and_every_setting_is_explained():
    loaded = load(DEPLOY / "witness.yaml")
    assert loaded.logs[0].origin == ORIGIN
    page = (DEPLOY.parents[1] / "docs/sysadmin/witness.md").read_text("utf-8")
    assert [name for name in Settings.model_fields if f"`{name}`" not in page] == []
