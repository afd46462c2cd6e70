"""The key store in files: made once, never instead of another one; a destroyed key stays destroyed, under a new master key too."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.errors import ConfigError, Erased, StoreError
from bus.log.keyring import look, open_keyring, rekey


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


def test_two_processes_share_a_key_store_and_each_has_keys_of_its_own(tmp_path: Path) -> None:
    one, two = (open_keyring(tmp_path / "keys", tmp_path / "master.key", None) for _ in range(2))
    mine, theirs = one.fresh(), two.fresh()
    assert mine.id != theirs.id
    assert (two.key(mine.id), one.key(theirs.id)) == (mine, theirs)
    assert one.token("istanza:Ada") == two.token("istanza:Ada")
    one.close()
    two.close()


def test_under_a_new_master_key_all_is_as_before_but_for_the_old_master_key(tmp_path: Path) -> None:
    folder, master = tmp_path / "keys", tmp_path / "master.key"
    keys = open_keyring(folder, master, None)
    kept, gone, token = keys.fresh(), keys.fresh(), keys.token("istanza:Ada")
    keys.forget([gone.id])
    with pytest.raises(StoreError, match="in use"):
        rekey(folder, master)
    keys.close()
    old = master.read_bytes()
    rekey(folder, master)
    again = open_keyring(folder, master, keys.id)
    assert (again.key(kept.id), again.token("istanza:Ada")) == (kept, token)
    with pytest.raises(Erased):
        again.key(gone.id)
    again.close()
    master.write_bytes(old)
    with pytest.raises(ConfigError, match="is not the master key"):
        open_keyring(folder, master, keys.id)
