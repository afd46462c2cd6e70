"""Secrets of the settings: where each is taken from, ``{env: NAME}`` or ``{file: path}``, and what stands there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bus.errors import ConfigError
from bus.exact import UNREAD, Untyped
from bus.source import Pointer

EXAMPLE = "CHANGE-ME"
"""What stands for a secret in the examples of ``deploy/``."""


def secrets_in(value: Any) -> Iterator[tuple[str, str]]:
    """(``env`` or ``file``, name) of every secret that the settings name."""
    return ((str(pointer[-1]), name) for pointer, name in named(value) if isinstance(name, str))


def named(value: Any, pointer: Pointer = ()) -> Iterator[tuple[Pointer, Any]]:
    """Where settings say that a secret is taken from elsewhere, and what they write for its name; it may be none."""
    match value:
        case {"env": name} | {"file": name} if len(value) == 1:
            yield (*pointer, *value), name
        case dict() | list():
            for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
                yield from named(inner, (*pointer, step))


def with_secrets(value: Any, base: Path | None, needed: bool) -> Any:
    """Put secrets in the place of ``{env: …}`` and ``{file: …}``; without a ``base`` none is read, and what is not ``needed`` may lack."""
    match value:
        case {"env": str(name)} | {"file": str(name)} if len(value) == 1:
            if base is None:
                return UNREAD
            try:
                return secret_of(next(iter(value)), name, base)
            except ConfigError:
                if needed:
                    raise
                return UNREAD
        case dict():
            return {key: with_secrets(inner, base, needed) for key, inner in value.items()}
        case list():
            return [with_secrets(inner, base, needed) for inner in value]
        case _:
            return value


def secret_of(kind: str, name: str, base: Path) -> Untyped:
    """A secret, read; raises `ConfigError` where it is not there."""
    if kind == "env":
        if name not in os.environ:
            raise not_in_the_environment([name])
        return _chosen(name, os.environ[name])
    try:
        secret = (base / name).read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"cannot read the secret in {name}: {error.strerror}", code="config.secret-missing") from error
    except ValueError as error:  # not UTF-8, or the name holds a NUL
        raise ConfigError(f"cannot read the secret in {name!r}: it is no text in UTF-8", code="config.secret-missing") from error
    return _chosen(name, secret)


def not_in_the_environment(names: Sequence[str]) -> ConfigError:
    hint = "; ".join(f"export {name}=…" for name in names) + " before starting"
    return ConfigError(f"the environment has no {', '.join(names)}", code="config.secret-missing", hint=hint)


def still_the_example(names: Sequence[str]) -> ConfigError:
    said = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} still the example's, which everybody knows"
    return ConfigError(said, code="config.secret-missing", hint=f"put your own secret for {EXAMPLE}")


def _chosen(name: str, secret: str) -> Untyped:
    """A secret that somebody has chosen."""
    if EXAMPLE in secret:
        raise still_the_example([name])
    return Untyped(secret)
