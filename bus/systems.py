"""The outside systems that the settings name, as adapters. Apart from `bus.app`, since whoever only reads rules needs no engine."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

from pydantic import BaseModel, ValidationError

from bus.adapter import Adapter, Operation
from bus.config import Config
from bus.errors import ConfigError
from bus.exact import UNREAD, number
from bus.faults import placed
from bus.secrets import secrets_in
from bus.source import nearest, suggestion

GROUP = "snodo.adapters"


def adapter_class(use: str) -> type[Adapter]:
    """The adapter class that ``use`` names: an entry point of the group ``snodo.adapters``, or ``module:Class``."""
    found = _point(use)
    try:
        cls = found.load() if found else getattr(importlib.import_module(use.partition(":")[0]), use.partition(":")[2])
    except (ImportError, AttributeError, ValueError) as error:
        known = sorted(point.name for point in _known())
        hint = f"known: {', '.join(known)}; or module:Class"
        if ":" in use and isinstance(error, ModuleNotFoundError) and error.name == use.partition(".")[0].partition(":")[0]:
            hint = f"install the distribution of {error.name} beside the bus, or name the folder that holds it in PYTHONPATH"
        elif meant := suggestion(use, known):
            hint = f"{meant} {hint}"
        raise ConfigError(f"there is no adapter {use!r}: {error}", code="config.adapter-unknown", hint=hint) from error
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
    """The adapters that the settings name; raises `ConfigError` with the faults of all of them, each with its place."""
    made: dict[str, Adapter] = {}
    refused: list[str] = []
    for name, settings in config.adapters.items():
        cls = class_of(config, name)
        refused += _crowded(config, name)
        try:
            made[name] = cls(name, _settings(config, name, cls))
        except ValidationError as error:
            refused += _refusals(config, name, cls, error.errors(include_url=False))
        except ConfigError as error:  # what the adapter itself finds in settings that are each of their kind
            refused.append(f"{config.place_of('adapters', name, key=True)}adapters.{name}: {error.in_words}")
        else:
            made[name].concurrency = _concurrency(settings)
    _refuse([*refused, *_at_one_address(config, made)])
    return made


def adapter_of(config: Config, name: str) -> Adapter:
    """One of them by itself, whatever is wrong with the others."""
    return adapters_of(config.model_copy(update={"adapters": {name: config.adapters[name]}}))[name]


def check_settings(config: Config) -> None:
    """What `adapters_of` would refuse, of settings that were read without secrets: nothing of those that hold one."""
    refused: list[str] = []
    for name in config.adapters:
        cls = class_of(config, name)
        refused += _crowded(config, name)
        try:
            _settings(config, name, cls)
        except ValidationError as error:
            unread = {key for key, value in config.written.get("adapters", {})[name].items() if [*secrets_in(value)]}
            faults = error.errors(include_url=False)
            told = [one for one in faults if one["type"] == "extra_forbidden" or (one["loc"] and one["loc"][0] not in unread)]
            refused += _refusals(config, name, cls, told)
    _refuse(refused)


def class_of(config: Config, name: str) -> type[Adapter]:
    """The class of an adapter by its section in the settings: `use` names it, else the section's own name."""
    own = config.adapters[name]
    try:
        return adapter_class(str(own.get("use", name)))
    except ConfigError as error:
        place = config.place_of("adapters", name, "use") if "use" in own else config.place_of("adapters", name, key=True)
        raise ConfigError(place + error.sentence, code=error.code, hint=error.hint) from error


def _at_one_address(config: Config, made: Mapping[str, Adapter]) -> Iterator[str]:
    """Adapters that systems would call where another one is called already: only one of them would ever hear."""
    owners: dict[str, str] = {}
    for name, path in ((name, endpoint.path.strip("/")) for name, adapter in made.items() for endpoint in adapter.endpoints()):
        first = owners.setdefault(path, name)
        if first != name:
            place = config.place_of("adapters", name, key=True)
            yield f"{place}adapters.{name}: systems call it at /{path}, where they call adapters.{first}: one bus serves one of them"


def _crowded(config: Config, name: str) -> Iterator[str]:
    """What is wrong with how many calls of an adapter may be made at once; without it ``engine.threads`` bounds them."""
    found = _concurrency(config.adapters[name])
    if not (found is None or (type(found) is int and 0 < found <= 256)):
        yield f"{config.place_of('adapters', name, 'concurrency')}adapters.{name}.concurrency: must be a whole number from 1 to 256"


def _concurrency(settings: Mapping[str, Any]) -> Any:
    """What is said of it; None also where it is not read yet."""
    found = settings.get("concurrency")
    return None if found is UNREAD else number(found)


def _settings(config: Config, name: str, cls: type[Adapter]) -> BaseModel:
    """What is the adapter's own of its section; where the files lie that it names is told to `bus.adapter.LocalFile`."""
    own = {key: value for key, value in config.adapters[name].items() if key not in {"use", "concurrency"}}
    return cls.Settings.model_validate(own, context={"folder": config.folder} if config.folder else None)


def _refusals(config: Config, name: str, cls: type[Adapter], faults: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One for each fault; that a field is missing is none where another one is probably that field, misspelt."""
    fields = {field.alias or name for name, field in cls.Settings.model_fields.items()}
    unknown = {fault["loc"]: nearest(str(fault["loc"][-1]), fields) for fault in faults if fault["type"] == "extra_forbidden"}
    meant = {loc: near for loc, near in unknown.items() if near is not None and len(loc) == 1}
    for fault in faults:
        if fault["type"] == "missing" and len(fault["loc"]) == 1 and fault["loc"][0] in meant.values():
            continue
        hint = f", did you mean {meant[fault['loc']]}?" if fault["loc"] in meant else ""
        yield f"{config.place_of('adapters', name, *fault['loc'], key=fault['loc'] in unknown)}adapters.{name}: {placed(fault)}{hint}"


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        hint = "docs/reference/settings.md lists what each adapter takes"
        raise ConfigError("\n".join(faults), code="config.adapter-settings", hint=hint)


def operations_of(adapters: Mapping[str, Adapter | type[Adapter]]) -> dict[str, Operation]:
    """All operations by the name routes use."""
    return {f"{name}.{operation.name}": operation for name, adapter in adapters.items() for operation in adapter.operations.values()}


def minima_of(adapters: Mapping[str, Adapter]) -> dict[str, str]:
    """How long the exchanges of adapters must be kept at least, by adapter, where one declares it."""
    return {name: report.keep for name, adapter in adapters.items() for report in adapter.reports() if report.keep}
