"""What `bus doctor` sees of a key store."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.errors import ConfigError
from bus.log.keystore import look, open_keyring


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
