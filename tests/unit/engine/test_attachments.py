"""What becomes of files that never came whole."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import pytest

from bus.clock import FixedClock
from bus.engine.attachments import LEFT, Attachments
from bus.errors import Erased
from bus.log.keyring import Keyring
from bus.store.sqlite import SqliteStore

T = dt.datetime(2026, 3, 2, 8, 0, tzinfo=dt.UTC)


def test_what_was_coming_when_a_process_was_killed_goes_with_its_key_and_what_is_coming_stays(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "s.db")
    store.keys = Keyring.in_memory()
    files = Attachments(tmp_path / "files", store, FixedClock(T))
    killed, coming = files.receive("a.pdf", "application/pdf"), files.receive("b.pdf", "application/pdf")
    for one in (killed, coming):
        one.write(b"BNCNNA80A41B429E" * 10_000)
        one._file.flush()
    key, long_ago = killed._key.id, time.time() - 2 * LEFT
    os.utime(killed._path, (long_ago, long_ago))
    files.clear()
    assert list(files.folder.glob(".coming-*")) == [coming._path]
    with pytest.raises(Erased):
        store.keys.key(key)
    killed._file.close()
    with coming:
        assert files.open(coming.finish("p").sha256).read(16) == b"BNCNNA80A41B429E"
    store.close()
