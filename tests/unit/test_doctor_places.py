"""What the doctor says of files, folders and disks: who may write and read them, and where they lie."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bus import config
from bus.app import App
from bus.disk import READ_ONLY
from bus.doctor import database, here, keystore
from bus.doctor.verdict import UNGUARDED, Surroundings
from bus.errors import ConfigError, StoreError
from bus.store.opening import doubts
from tests.small_bus import running, write
from tests.unit.examining import examined, levels


@pytest.mark.parametrize("open_to_all", ["config.yaml", "routes", "routes/prova.yaml", "mappings", "snodo.db", "attachments"])
def test_what_every_user_may_write_is_told(tmp_path, open_to_all):
    """Whoever writes `config.yaml` gives himself the key of a sysadmin."""
    path = write(tmp_path, store={"url": f"sqlite:///{tmp_path}/snodo.db"}, attachments={"folder": str(tmp_path / "attachments")})
    for folder in ("routes", "mappings", "attachments"):
        (tmp_path / folder).mkdir(exist_ok=True)
    for file in ("routes/prova.yaml", "snodo.db"):
        (tmp_path / file).touch(0o644)
    assert levels(examined(path), "doctor.files") == ["ok"]
    (tmp_path / open_to_all).chmod(0o666 if "." in open_to_all else 0o777)
    [told] = examined(path)["doctor.files"]
    assert (told.level, told.where, told.next) == ("wrong", str(tmp_path / open_to_all), f"chmod o-w {tmp_path / open_to_all}")


@pytest.mark.parametrize("place", ["var/keys", "var/master.key", "var/log.key", "var/receipts.key", "config.yaml"])
def test_the_remedy_of_what_is_open_to_others_is_a_command_that_works_as_it_is_typed(tmp_path, place):
    """Of a folder with a blank in its name it said what the shell takes for two."""
    home = tmp_path / "dell'ente, in uso"
    home.mkdir()
    path = write(home)
    with running(home):
        pass
    (home / place).chmod(0o777 if place == "var/keys" else 0o666)
    remedies = {one.next for told in examined(path).values() for one in told if one.next.startswith("chmod ")}
    try:
        with running(home):
            pass
    except ConfigError as refused:
        remedies.add(refused.hint)
    assert remedies
    for remedy in remedies:
        subprocess.run(remedy, shell=True, check=True, capture_output=True)
    assert not any(one.level == "wrong" for told in examined(path).values() for one in told)
    with running(home):
        pass


@pytest.mark.parametrize(("kind", "level"), [
    ("nfs4", "wrong"), ("cifs", "wrong"), ("fuse.s3fs", "wrong"), ("tmpfs", "warning"), ("9p", "warning"), ("vboxsf", "warning"), ("ext4", "ok"),
])  # fmt: skip
def test_a_file_on_the_network_is_refused_and_in_memory_doubted(tmp_path, monkeypatch, kind, level):
    for room in ("bus.store.opening", "bus.doctor.database"):
        monkeypatch.setattr(f"{room}.filesystem", lambda folder: kind)
    monkeypatch.setattr(here, "LITTLE", 0)
    path = write(tmp_path)
    told = examined(path)["doctor.store-disk"]
    assert told[0].level == level
    if level == "wrong":
        with pytest.raises(StoreError) as refused:
            App(config.load(path), adapters={})
        assert (told[0].what, told[0].next) == (refused.value.sentence, refused.value.hint)
    else:
        assert [one.what for one in told if one.level == "warning"] == doubts(config.load(path).store.url)


def test_a_database_that_goes_with_its_container_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("bus.doctor.database.filesystem", lambda folder: "overlay")
    [told] = [one for one in examined(write(tmp_path))["doctor.store-disk"] if "container" in one.what]
    assert (told.level, told.next) == ("warning", "mount a volume there, and others for keys and attachments")


def test_a_master_key_in_the_key_store_that_it_wraps_is_told(tmp_path):
    with running(tmp_path, keystore={"folder": "var/keys", "master": "var/keys/master.key"}):
        [told] = examined(tmp_path / "config.yaml")["doctor.keystore"]
    assert (told.level, told.what) == ("warning", "the master key lies in the key store that it wraps")


@pytest.mark.parametrize("kind", ["tmpfs", "overlay", "ext4"])
def test_keys_and_attachments_that_do_not_outlive_a_restart_are_told(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("bus.doctor.here.filesystem", lambda folder: kind if folder.name == "keys" else "nfs4")
    [told] = examined(write(tmp_path))["doctor.places"]
    assert (told.level, "keys" in told.what) == ("ok" if kind == "ext4" else "warning", True)


@pytest.mark.parametrize(("kind", "goes"), [("tmpfs", "with this boot of the machine"), ("overlay", "with this container")])
def test_attachments_that_go_are_not_said_to_take_keys_along(tmp_path, monkeypatch, kind, goes):
    monkeypatch.setattr("bus.doctor.here.filesystem", lambda folder: kind if folder.name == "attachments" else "ext4")
    [told] = examined(write(tmp_path))["doctor.places"]
    assert told.why == f"what is in it goes {goes}, and messages name its files"


def test_a_way_to_the_database_that_is_only_doubtful_is_not_said_to_lose_anything(monkeypatch):
    """Nor does the bus refuse to start for it: the same check also finds settings that do lose what was accepted."""
    store = SimpleNamespace(unsafe=[], where="db:5432/snodo", durability="fsync on", checksums=True)
    settings = SimpleNamespace(store=SimpleNamespace(url="postgresql://snodo@db/snodo?sslmode=prefer", shared=True))
    told, fine = database.safety(cast(Surroundings, SimpleNamespace(database=store, settings=settings)))
    assert (told.level, told.why, told.next) == ("warning", UNGUARDED, database.STORE_TLS)
    assert fine.level == "ok"


@pytest.mark.parametrize("started", [False, True])
def test_folders_that_take_no_writes_are_told_before_the_first_start_and_after_it(tmp_path, monkeypatch, started):
    """Outside what the unit names in ReadWritePaths: "make the folder", which was there, or "the first start makes it"."""
    if started:
        with running(tmp_path):
            pass
    path = write(tmp_path)
    for room in (here, keystore):
        monkeypatch.setattr(room, "is_read_only", lambda place: True)
    found = examined(path)
    for check in ("doctor.attachments", "doctor.keystore") if started else ("doctor.attachments",):
        [told] = found[check]
        assert (told.level, told.what, told.next) == ("wrong", "the disk takes no writes", READ_ONLY)


def test_a_secret_that_everybody_can_read_is_wrong(tmp_path):
    secret = tmp_path / "segreto"
    secret.write_text("sqlite:///var/snodo.db")
    path = write(tmp_path, store={"url": {"file": "segreto"}})
    secret.chmod(0o644)
    assert levels(examined(path), "doctor.secrets") == ["wrong"]
    secret.chmod(0o600)
    assert levels(examined(path), "doctor.secrets") == ["ok"]


def test_free_space_has_two_bounds(tmp_path, monkeypatch):
    monkeypatch.setattr(here, "LITTLE", 1e30)
    assert [one.level for one in here.space("doctor.attachments", tmp_path)] == ["warning"]
    monkeypatch.setattr(here, "TOO_LITTLE", 1e29)
    assert [one.level for one in here.space("doctor.attachments", tmp_path)] == ["wrong"]


def test_each_doubt_of_a_disk_says_its_own_reason_and_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("bus.store.opening.filesystem", lambda folder: "tmpfs")
    monkeypatch.setattr(here, "LITTLE", 1e30)
    memory, full = examined(write(tmp_path))["doctor.store-disk"]
    assert (memory.level, memory.why, memory.next) == (
        "warning",
        "network folders and memory do not keep what they say they wrote",
        "put the file on a local disk",
    )
    assert (full.level, full.why, full.next) == ("warning", "a full disk refuses messages", "make room on it, or move to a larger one")


def close(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """What is in the folders of this name is for another user alone; tests may run as root, who may read everything."""

    def refusing(as_it_was: Any) -> Any:
        def refuse(place: Path, *given: Any, **named: Any) -> Any:
            if place.parent.name == folder:
                raise PermissionError(13, "Permission denied", str(place))
            return as_it_was(place, *given, **named)

        return refuse

    for name in ("exists", "is_dir", "is_file", "stat", "open", "read_bytes", "read_text"):
        monkeypatch.setattr(Path, name, refusing(getattr(Path, name)))


@pytest.mark.parametrize("folder", ["etc", "prove"])
def test_settings_and_rules_that_only_root_may_read_are_told_with_the_remedy(tmp_path, monkeypatch, folder):
    """As where root copied them under the umask 077."""
    (tmp_path / "etc").mkdir()
    path = write(tmp_path / "etc")
    rules = tmp_path / "etc" / "routes" / "prove"
    rules.mkdir(parents=True)
    (rules / "una.yaml").write_text("route: una\n")
    close(monkeypatch, folder)
    found = examined(path)
    assert "doctor.check" not in found
    if folder == "etc":
        [told] = found["doctor.settings"]
        assert (told.what, told.why) == (f"{path} cannot be read: Permission denied", "config.unreadable")
        assert told.next == "let the user who runs this read the file and enter its folder"
    else:
        [told] = found["doctor.rules"]
        assert (told.level, told.what, told.where) == ("wrong", "cannot be read: Permission denied", str(rules / "una.yaml"))
        assert told.next == "let the user of the bus read all files of rules, and enter their folders"


def test_keys_in_a_folder_that_is_not_ours_are_told_as_that_by_the_doctor_and_at_the_start(tmp_path, monkeypatch):
    """As where root made the folder of the secrets: not even whether a file is there can be asked."""
    keys = {"log": {"key": "secrets/log.key", "receipt_key": "secrets/receipts.key"}, "keystore": {"master": "secrets/master.key"}}
    (tmp_path / "secrets").mkdir(0o700)
    with running(tmp_path, **keys):
        path = tmp_path / "config.yaml"

    close(monkeypatch, "secrets")
    found = examined(path)
    assert "doctor.check" not in found
    assert {one.where for one in found["doctor.secrets"]} == {str(tmp_path / "secrets" / name) for name in ("log.key", "receipts.key")}
    with pytest.raises(ConfigError, match=r"cannot read the master key .*master\.key: .*Permission denied"):
        App(config.load(path))
