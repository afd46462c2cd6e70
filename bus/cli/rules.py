"""What `bus validate` and `bus test` share: the settings and what the adapters declare, also where the secrets are not at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bus.adapter import Adapter, Operation
from bus.app import adapter_class, adapters_of
from bus.config import Config, load
from bus.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Declared:
    """Settings; operations by full name; the adapters themselves, unless a secret is ``missing`` (a sentence) to make them."""

    config: Config
    operations: dict[str, Operation]
    adapters: dict[str, Adapter]
    missing: str = ""


def declared(path: Path) -> Declared:
    """Read the settings; raises `ConfigError` for anything wrong but a missing secret."""
    try:
        config, missing = load(path), ""
    except ConfigError as error:
        if error.code != "config.secret-missing":
            raise
        config, missing = load(path, secrets=False), error.sentence
    classes = {name: adapter_class(str(settings.get("use", name))) for name, settings in config.adapters.items()}
    operations = {f"{name}.{one.name}": one for name, cls in classes.items() for one in cls.operations.values()}
    return Declared(config, operations, {} if missing else adapters_of(config), missing)
