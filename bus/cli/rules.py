"""What commands that work on rules share: the settings and what the adapters declare, also where the secrets are not at hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bus.adapter import Adapter, Operation
from bus.cli.common import Granted
from bus.cli.databases import give_keys, keystore_of, store_in
from bus.config import Config, load
from bus.errors import ConfigError, EvidenceError, NotFound, Unproven
from bus.systems import adapter_class, adapter_of, adapters_of, class_name, class_of, operations_of

if TYPE_CHECKING:
    from bus.replay.evidence import Bundle
    from bus.store.opening import Reader


@dataclass(frozen=True)
class Declared:
    """Settings. What they say of adapters is read when it is asked for, and then may raise `ConfigError`."""

    config: Config
    missing: str = ""
    """A sentence when a secret is missing."""

    @cached_property
    def adapters(self) -> dict[str, Adapter]:
        """The adapters by name; empty where a secret is missing that they need."""
        return {} if self.missing else adapters_of(self.config)

    @cached_property
    def operations(self) -> dict[str, Operation]:
        """All operations by full name."""
        return offered(self.config) if self.missing else operations_of(self.adapters)

    @property
    def fixed(self) -> bool:
        """Whether the code of the adapters alone says what they offer: none reads a contract that the settings name."""
        made = all(one.operations is type(one).operations for one in self.adapters.values())
        return made and all(adapter_class(name).operations for name in self.classes)

    @property
    def classes(self) -> set[str]:
        """The classes of the adapters, as ``module:Class``; nobody has looked whether they are there."""
        return {class_name(str(settings.get("use", name))) for name, settings in self.config.adapters.items()}


def declared(path: Path) -> Declared:
    """Read the settings; raises `ConfigError` for anything wrong but a missing secret."""
    try:
        config, missing = load(path), ""
    except ConfigError as error:
        if error.code != "config.secret-missing":
            raise
        config, missing = load(path, secrets=False), error.sentence
    return Declared(config, missing)


def offered(config: Config) -> dict[str, Operation]:
    """All operations by full name, as far as they can be told without secrets."""
    return operations_of({name: _declaring(config, name) for name in config.adapters})


def still_offered(config: Config) -> dict[str, Operation]:
    """As `offered`, of the adapters that can be told here: what was done is recomputed though the program of one is gone, which is said."""
    found: dict[str, Adapter | type[Adapter]] = {}
    for name in config.adapters:
        try:
            found[name] = _declaring(config, name)
        except ConfigError as error:
            print(f"what the adapter {name} declares cannot be told here: {error.sentence}", file=sys.stderr)
    return operations_of(found)


def _declaring(config: Config, name: str) -> Adapter | type[Adapter]:
    """What names an adapter's operations while a secret is not at hand: its class, or itself where its settings do (`use: soap`)."""
    cls = class_of(config, name)
    return cls if cls.operations else adapter_of(config, name)


def offline(path: Path) -> Config:
    """Settings without their secrets; from here on nothing leaves this process."""
    from bus.replay import guard

    guard.arm()
    return load(path, secrets=False)


def proven(path: Path, log_keys: Sequence[str] | None) -> Bundle:
    """The bundle in a file, once it has proved itself: by the keys of the log as published, else by its own, and then that is said.

    Raises `Unproven`; `EvidenceError` for a malformed key; `OSError`.
    """
    from bus.bundle import verify
    from bus.replay.evidence import Bundle

    try:
        keys = [verify.Key(key, 1) for key in log_keys or ()]
    except (ValueError, IndexError, verify.Malformed) as error:
        raise EvidenceError(str(error), hint="as the municipality publishes it: NAME+NUMBER+BASE64") from None
    bundle = verify.Bundle(path.read_bytes(), keys)
    if bundle.found:
        hint = "recompute nothing out of it; keep it as it is, and have the case exported again"
        raise Unproven(f"{path} does not prove itself", why=verify.report(bundle, "en"), hint=hint)
    if bundle.own_keys:
        print(f"the bundle proves itself by its own key; compare it with the published one, or give that as --log-key: "
              f"{verify.shown(', '.join(bundle.own_keys))}", file=sys.stderr)  # fmt: skip
    return Bundle(bundle.files)


def no_run(message: str, *, code: str) -> NotFound:
    """That no run began with a message: it may have come to one that waited for it."""
    hint = f"where a run waited for it, take that run: bus message {message} names it under `woke`"
    return NotFound("no route began with this message", code=code, hint=hint)


@contextmanager
def recomputing(path: Path, store: str, granted: Granted | None = None) -> Iterator[tuple[Config, Reader]]:
    """Settings without their secrets, and the database to read; from here on nothing leaves this process.

    Raises `ConfigError` when what was ``granted`` was written in the log of another database.
    """
    from bus.replay import guard
    from bus.store.opening import hosts_of, open_reader

    guard.arm()
    config = load(path, secrets=False)
    url = store or store_in(config)
    guard.only_host(hosts_of(url))
    with closing(open_reader(url)) as reader:
        give_keys(reader, config)
        if granted is not None and keystore_of(reader) != granted.keystore:
            hint = "--url names the bus that works on this database"
            raise ConfigError("the purpose was written in the log of another bus", code="access.other-log", hint=hint)
        yield config, reader
