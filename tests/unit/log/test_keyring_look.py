"""What `bus doctor` sees of a key store."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bus.errors import ConfigError
from bus.log.keyring import BLOCK
from bus.log.keystore import blocks, look, open_keyring, rekey


def test_a_look_says_what_opening_would_say_and_makes_nothing(tmp_path: Path) -> None:
    folder, master = tmp_path / "keys", tmp_path / "master.key"
    assert not look(folder, master, None)
    with pytest.raises(ConfigError, match="this database was written with one"):
        look(folder, master, "of-old")
    assert list(tmp_path.iterdir()) == []
    made = open_keyring(folder, master, None)
    made.close()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert look(folder, master, made.id)
    with pytest.raises(ConfigError, match="is not the key store of this database"):
        look(folder, master, "of-another")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    master.unlink()
    with pytest.raises(ConfigError, match="cannot read the master key"):
        look(folder, master, made.id)


@pytest.mark.parametrize("written", ["", "[1]", "\udcff", "{}", "index"])
def test_a_key_store_that_does_not_say_any_more_what_it_is_is_told_as_that(tmp_path: Path, written: str) -> None:
    """The start was a traceback, and the doctor asked for a report."""
    folder, master = tmp_path / "keys", tmp_path / "master.key"
    made = open_keyring(folder, master, None)
    made.close()
    about = folder / "about.json"
    told = json.loads(about.read_text())
    content = json.dumps({**told, "index": told["master"]}) if written == "index" else written
    about.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=r"about\.json is not as it was made"):
        open_keyring(folder, master, made.id)


def test_the_file_that_says_who_uses_a_key_store_may_be_missing_in_a_copy(tmp_path: Path) -> None:
    """It is hidden, and a copy of `keys/*` leaves it out: the start asked whether it was there, and ours."""
    folder, master = tmp_path / "keys", tmp_path / "master.key"
    open_keyring(folder, master, None).close()
    (folder / ".lock").unlink()
    again = open_keyring(folder, master, None)
    again.close()
    assert rekey(folder, master) == 0


def test_a_block_that_was_cut_is_not_counted_as_there(tmp_path: Path) -> None:
    """The doctor called such a key store sound."""
    folder, master = tmp_path / "keys", tmp_path / "master.key"
    made = open_keyring(folder, master, None)
    block = made.fresh().id // BLOCK
    made.close()
    assert block in blocks(folder)
    [path] = (folder / "1").glob(f"*{block}.keys")
    os.truncate(path, path.stat().st_size // 2)
    assert block not in blocks(folder)
