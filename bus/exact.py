"""The base of all settings: a number is one that is written as a number, and of a secret that is not read nothing is said.

Pydantic would take ``true`` for 1 and ``"20"`` for 20; who wrote ``limit: true`` meant something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")


class Untyped(str):
    """A text out of the environment or a file, where nothing but text stands: it may say a number."""

    __slots__ = ()


UNREAD = Untyped("")
"""What stands for a secret that is not read yet. A setting that can be no empty text has its default instead, or stays this."""


def _something(given: Any) -> Any:
    if isinstance(given, str) and not given.strip() and given is not UNREAD:
        raise ValueError("may not be empty")
    return given


Text = Annotated[str, BeforeValidator(_something)]
"""A text that says something."""
File = Annotated[Path, BeforeValidator(_something)]
"""A path that somebody wrote; an empty one would be the folder of the settings."""
FileOrNone = Annotated[Path | None, BeforeValidator(_something)]
"""The same, where it may be left out."""


def number(value: Any) -> Any:
    """The number that a text out of the environment or a file says; anything else as it is."""
    if isinstance(value, Untyped) and (said := _NUMBER.fullmatch(value)):
        return float(value) if said[1] else int(value)
    return value


def _unless_unread(value: Any, validated: Callable[[Any], Any], *, instead: Any) -> Any:
    try:
        return validated(value)
    except ValueError:
        if value is UNREAD:
            return instead
        raise


def _as_written(schema: Any) -> Any:
    """The same schema of pydantic's core with strict numbers, and nothing else strict: a path is written as a text, a tuple as a list."""
    if isinstance(schema, list | tuple):
        return type(schema)(_as_written(inner) for inner in schema)
    if not isinstance(schema, dict):
        return schema
    made = {part: inner if part in ("default", "metadata") else _as_written(inner) for part, inner in schema.items()}
    kind = made.get("type")
    if kind in ("int", "float"):
        return {"type": "function-before", "function": {"type": "no-info", "function": number}, "schema": {**made, "strict": True}}
    if kind == "default" or (kind == "model-field" and made["schema"]["type"] != "default"):
        unless = {"type": "no-info", "function": partial(_unless_unread, instead=made.get("default", UNREAD))}
        return {**made, "schema": {"type": "function-wrap", "function": unless, "schema": made["schema"]}}
    return made


class Exact(BaseModel):
    """Settings: unknown ones are refused, and what is no number where a number is asked for; immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler, /) -> Any:
        return _as_written(handler(source))
