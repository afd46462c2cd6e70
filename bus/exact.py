"""The base of all settings: a number is one that is written as a number.

Pydantic would take ``true`` for 1 and ``"20"`` for 20; who wrote ``limit: true`` meant something else.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler


def _numbers_as_written(schema: Any) -> None:
    """Make numbers strict, and nothing else: a path is written as a text, a tuple as a list."""
    if isinstance(schema, list | tuple):
        for inner in schema:
            _numbers_as_written(inner)
    elif isinstance(schema, dict):
        if schema.get("type") in ("int", "float"):
            schema["strict"] = True
        for part, inner in schema.items():
            if part not in ("default", "metadata"):
                _numbers_as_written(inner)


class Exact(BaseModel):
    """Settings: unknown ones are refused, and what is no number where a number is asked for; immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler, /) -> Any:
        made = handler(source)
        _numbers_as_written(made)
        return made
