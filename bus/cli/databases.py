"""What commands share that read a database themselves, and not by a running bus: which one it is, and its keys."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from bus.errors import ConfigError

if TYPE_CHECKING:
    from bus.config import Config
    from bus.store.opening import Reader


def reading(store: str, config: Path) -> contextlib.closing[Reader]:
    """The database to read: the one that was said, else that of the settings."""
    from bus.store.opening import open_reader

    return contextlib.closing(open_reader(store or store_of(config)))


def store_of(config: Path) -> str:
    """Where the database is; secrets are not read: an auditor has none."""
    from bus.config import load

    return store_in(load(config, secrets=False))


def store_in(settings: Config) -> str:
    """The address of the database, as `store_of` gives it, from settings that were read without their secrets."""
    if not settings.store.url:
        hint = "name a database for reading with --store, or in SNODO_STORE"
        raise ConfigError("store.url is a secret, and secrets are not read here", code="replay.store", hint=hint)
    return settings.store.url


def give_keys(reader: Reader, config: Config) -> None:
    """Open the key store of a database that is only looked at; one that has none yet has nothing to open."""
    from bus.log.keystore import open_keyring

    if identity := keystore_of(reader):
        reader.keys = open_keyring(config.keystore.folder, config.keystore.master, identity)


def keystore_of(reader: Reader) -> str:
    """The id of the key store of a database; empty where it has none yet."""
    with reader.read() as tx:
        mark = tx.one("mark", name="keystore")
    return "" if mark is None else str(mark["value"])
