"""What `bus validate` and `bus test` share: the settings and what the adapters declare, also where the secrets are not at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.adapter import Adapter, Operation
from bus.app import adapter_class, adapters_of, operations_of
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
    made = {} if missing else adapters_of(config)
    if not missing:
        return Declared(config, operations_of(made), made)
    offered = {name: _offered(name, settings, config) for name, settings in config.adapters.items()}
    return Declared(config, {f"{name}.{one.name}": one for name, several in offered.items() for one in several}, made, missing)


def _offered(name: str, settings: Mapping[str, Any], config: Config) -> Iterable[Operation]:
    """What an adapter offers though a secret is not at hand: what its class declares, or what its own settings do (`use: soap`)."""
    cls = adapter_class(str(settings.get("use", name)))
    if cls.operations:
        return cls.operations.values()
    return adapters_of(config.model_copy(update={"adapters": {name: settings}}))[name].operations.values()
