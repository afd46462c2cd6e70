"""Which files of a folder are rules, and that they are read as they were at one moment."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bus import rulefiles
from bus.errors import RulesError
from bus.rulefiles import files_of, is_path, strays


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "routes").mkdir()
    _write(tmp_path, b"before")
    return tmp_path


def _write(folder: Path, content: bytes) -> None:
    for name in ("a", "b"):
        (folder / f"routes/{name}.yaml").write_bytes(content)


def test_files_that_change_while_they_are_read_are_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of branch writes one file after the other: half of the one and half of the other would be rules that nobody wrote."""
    read = rulefiles._content

    def changing(path: Path) -> bytes:
        content = read(path)
        if content == b"before":
            _write(folder, b"after it")
        return content

    monkeypatch.setattr(rulefiles, "_content", changing)
    assert {b"after it"} == set(files_of(folder).values())


@pytest.mark.parametrize("several", [False, True])
def test_files_are_not_read_between_two_that_git_writes(folder: Path, monkeypatch: pytest.MonkeyPatch, several: bool) -> None:
    """It writes them slowly enough, on a busy machine, that a whole look falls between two of them."""
    own = folder / ".git"
    if several:
        own = folder / "elsewhere"
        (folder / ".git").write_text(f"gitdir: {own}\n", "utf-8")
    own.mkdir()
    (own / "index.lock").touch()
    (folder / "routes/a.yaml").write_bytes(b"after it")

    def sleep(_: float) -> None:
        (folder / "routes/b.yaml").write_bytes(b"after it")
        (own / "index.lock").unlink()

    monkeypatch.setattr(time, "sleep", sleep)
    assert {b"after it"} == set(files_of(folder).values())


def test_what_git_is_long_at_keeps_nobody_from_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit whose message somebody is writing, or a lock that was left lying."""
    (folder / ".git").mkdir()
    (folder / ".git/index.lock").touch()
    monkeypatch.setattr(rulefiles, "PATIENCE", -1.0)
    assert {b"before"} == set(files_of(folder).values())


def test_a_lock_that_was_left_lying_is_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".git").mkdir()
    (folder / ".git/index.lock").touch()
    os.utime(folder / ".git/index.lock", (time.time() - rulefiles.LEFT,) * 2)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits"))
    assert {b"before"} == set(files_of(folder).values())


def test_a_repository_of_somebody_else_keeps_nobody_from_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".git").mkdir()
    told = os.stat

    def closed(path: object, **how: object) -> os.stat_result:
        if str(path).endswith("index.lock"):
            raise PermissionError(13, "Permission denied", str(path))
        return told(path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", closed)
    assert {b"before"} == set(files_of(folder).values())


def test_a_file_that_goes_while_it_is_read_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = rulefiles._content

    def going(path: Path) -> bytes:
        (folder / "routes/b.yaml").unlink(missing_ok=True)
        return read(path)

    monkeypatch.setattr(rulefiles, "_content", going)
    assert {"routes/a.yaml": b"before"} == files_of(folder)


def test_a_folder_that_never_comes_to_rest_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = rulefiles._content

    def changing(path: Path) -> bytes:
        path.write_bytes(read(path) + b".")
        return b""

    monkeypatch.setattr(rulefiles, "_content", changing)
    monkeypatch.setattr(rulefiles, "PATIENCE", -1.0)
    with pytest.raises(RulesError, match="change while they are read") as told:
        files_of(folder)
    assert "rules.changing" == told.value.code


@pytest.mark.parametrize("name", [b"citt\xe0.yaml", b"a\nb.yaml", "a\u202eb.yaml".encode()])
def test_a_name_that_cannot_be_written_down_is_told_and_not_read(folder: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(folder / "routes") + b"/" + name)).write_bytes(b"x")
    assert {"routes/a.yaml", "routes/b.yaml"} == files_of(folder).keys()
    [told] = strays(folder)
    assert ("catalog.not-read", True) == (told.code, str(told).isprintable())


@pytest.mark.parametrize(
    "path", ["routes/a.yaml", "routes/x/città.yaml", "mappings/tables/50%.csv", "routes/a (1).yaml", "routes/..a.yaml"]
)
def test_what_may_be_the_name_of_a_file_of_rules(path: str) -> None:
    assert is_path(path)


@pytest.mark.parametrize(
    "path", ["config.yaml", "routes", "routes/", "/routes/a.yaml", "routes/../a.yaml", "routes/./a.yaml", "routes/a.txt", "routes/a\n.yaml"]
)
def test_what_may_not_be_the_name_of_a_file_of_rules(path: str) -> None:
    assert not is_path(path)


def test_what_a_mac_and_an_editor_put_beside_a_file_is_no_file_of_rules(folder: Path) -> None:
    """An unsaved buffer of Emacs is a link to nothing, and was told to be deleted; the other was told to hold control characters."""
    (folder / "routes/._a.yaml").write_bytes(b"\0\5\26\7")
    (folder / "routes/.#a.yaml").symlink_to("somebody@host.1234:5678")
    assert {"routes/a.yaml", "routes/b.yaml"} == files_of(folder).keys()
    assert [] == strays(folder)
