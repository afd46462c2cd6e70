"""The outside systems that the settings name, as adapters. Apart from `bus.app`, since who only reads rules needs no engine."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

from pydantic import ValidationError

from bus.adapter import Adapter, Operation
from bus.config import Config, secrets_in
from bus.errors import ConfigError
from bus.faults import placed
from bus.source import suggestion

GROUP = "snodo.adapters"


def adapter_class(use: str) -> type[Adapter]:
    """The adapter class that ``use`` names: an entry point of the group ``snodo.adapters``, or ``module:Class``."""
    found = _point(use)
    try:
        cls = found.load() if found else getattr(importlib.import_module(use.partition(":")[0]), use.partition(":")[2])
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(sorted(point.name for point in _known()))
        raise ConfigError(
            f"there is no adapter {use!r}: {error}", code="config.adapter-unknown", hint=f"known: {known}; or module:Class"
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, Adapter)):
        raise ConfigError(f"{use!r} is not an adapter", code="config.adapter-unknown", hint="it must be a subclass of bus.adapter.Adapter")
    return cls


def class_name(use: str) -> str:
    """The class that ``use`` names, as ``module:Class``; it may not be there."""
    found = _point(use)
    return found.value if found else use


def _point(use: str) -> EntryPoint | None:
    return next(iter(_known().select(name=use)), None)


@cache
def _known() -> EntryPoints:
    """The adapters that are installed: asked for once, since it reads the metadata of all libraries."""
    return entry_points(group=GROUP)


def adapters_of(config: Config) -> dict[str, Adapter]:
    """The adapters that the settings name; raises `ConfigError` with the faults of one adapter at a time."""
    made: dict[str, Adapter] = {}
    for name, settings in config.adapters.items():
        cls, concurrency = class_of(name, settings), _concurrency(name, settings)
        try:
            made[name] = cls(name, cls.Settings.model_validate(_own(settings), context=_context(config)))
        except ValidationError as error:
            raise _refusal(name, cls, error.errors(include_url=False)) from error
        made[name].concurrency = concurrency
    return made


def check_settings(config: Config) -> None:
    """What `adapters_of` would refuse, of settings that were read without secrets: nothing of those that hold one."""
    for name, settings in config.adapters.items():
        cls = class_of(name, settings)
        _concurrency(name, settings)
        try:
            cls.Settings.model_validate(_own(settings), context=_context(config))
        except ValidationError as error:
            unread = {key for key, value in config.written.get("adapters", {})[name].items() if [*secrets_in(value)]}
            faults = error.errors(include_url=False)
            if faults := [one for one in faults if one["type"] == "extra_forbidden" or (one["loc"] and one["loc"][0] not in unread)]:
                raise _refusal(name, cls, faults) from error


def class_of(name: str, settings: Mapping[str, Any]) -> type[Adapter]:
    """The class of an adapter by its section in the settings: `use` names it, else the section's own name."""
    return adapter_class(str(settings.get("use", name)))


def _concurrency(name: str, settings: Mapping[str, Any]) -> int | None:
    """How many calls of an adapter may be made at once; None where its section does not say it."""
    found = settings.get("concurrency")
    if found is None or (type(found) is int and 0 < found <= 256):
        return found
    sentence = f"adapters.{name}.concurrency: must be a whole number from 1 to 256"
    raise ConfigError(sentence, code="config.adapter-settings", hint="without it `engine.threads` bounds the calls")


def _context(config: Config) -> dict[str, Any] | None:
    """Where the files lie that settings name; see `bus.adapter.LocalFile`."""
    return {"folder": config.folder} if config.folder else None


def _own(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What is the adapter's own of its section; the rest is ours."""
    return {key: value for key, value in settings.items() if key not in {"use", "concurrency"}}


def _refusal(name: str, cls: type[Adapter], faults: Iterable[Mapping[str, Any]]) -> ConfigError:
    fields = {field.alias or name for name, field in cls.Settings.model_fields.items()}
    said = []
    for fault in faults:
        meant = suggestion(str(fault["loc"][-1]), fields) if fault["type"] == "extra_forbidden" and len(fault["loc"]) == 1 else ""
        said.append(f"{placed(fault)}, {meant}" if meant else placed(fault))
    return ConfigError(f"adapters.{name}: {'; '.join(said)}", code="config.adapter-settings", hint=f"adapters/{name}/README.md lists them")


def operations_of(adapters: Mapping[str, Adapter]) -> dict[str, Operation]:
    """All operations by the name routes use."""
    return {f"{name}.{operation.name}": operation for name, adapter in adapters.items() for operation in adapter.operations.values()}


def minima_of(adapters: Mapping[str, Adapter]) -> dict[str, str]:
    """How long the exchanges of adapters must be kept at least, by adapter, where one declares it."""
    return {name: report.keep for name, adapter in adapters.items() for report in adapter.reports() if report.keep}
