"""The key store: is it there, closed to others, and the one that this database was written with? Nothing is made, no key is unwrapped."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from bus.doctor.verdict import Surroundings, Verdict, ok, warning, wrong
from bus.errors import ConfigError
from bus.log.keyring import look

CODE = "doctor.keystore"


def keystore(at: Surroundings) -> Iterator[Verdict]:
    """Before the first start there is none; an old database without its own is lost."""
    folder, master = at.settings.keystore.folder, at.settings.keystore.master
    assert at.store is not None
    expected = next((row["value"] for row in at.store.figures.get("keystore_of_payloads", ())), None)
    try:
        found = look(folder, master, expected)
    except ConfigError as error:
        yield wrong(CODE, error.sentence, str(folder), next=error.hint)
        return
    except OSError as error:
        yield wrong(CODE, f"cannot be read: {error.strerror}", str(folder))
        return
    if not found:
        yield warning(CODE, "there is no key store yet; the first start makes it", str(folder), next="back it up then")
    elif stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield wrong(CODE, "other users of this machine may enter the folder", str(folder), next=f"chmod 0700 {folder}")
    elif not os.access(folder, os.W_OK):
        yield wrong(CODE, "the folder is not ours to write", str(folder))
    else:
        yield ok(CODE, "the key store is there, closed to others" + (", and this database's own" if expected else ""), str(folder))
