"""Files that take the place of others, or are new."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.disk import save


def test_a_saved_file_takes_the_place_of_another_unless_it_is_to_be_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "f"
    save(path, b"one", 0o600, anew=True)
    with pytest.raises(FileExistsError):
        save(path, b"two", 0o600, anew=True)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one", 0o600)
    save(path, b"three")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("f", b"three")]
