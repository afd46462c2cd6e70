"""What the generated pages share: table rows, types and defaults as words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


def row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def type_of(annotation: Any) -> str:
    """``str``, ``int | None``, ``list[Mappale]``: names without the modules they come from."""
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join("None" if one is NoneType else type_of(one) for one in get_args(annotation))
    if get_origin(annotation) is Annotated:
        return type_of(get_args(annotation)[0])
    plain = annotation.__name__ if inspect.isclass(annotation) and not get_args(annotation) else str(annotation)
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", plain)


_LIMITS = {
    "pattern": "written as `{}`", "minLength": "at least {} characters", "maxLength": "at most {} characters", "minimum": "at least {}",
    "exclusiveMinimum": "more than {}", "maximum": "at most {}", "minItems": "at least {} items", "maxItems": "at most {} items",
}  # fmt: skip


def limits_of(schema: Mapping[str, Any]) -> list[str]:
    """What JSON Schema says beyond the type of a field, in words."""
    said = [schema, *schema.get("anyOf", ())]
    found = [(word, words.format(one[word]), one[word]) for one in said for word, words in _LIMITS.items() if word in one]
    return ["not empty" if word in {"minLength", "minItems"} and value == 1 else words for word, words, value in found]


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined:
        return "empty"
    return f"`{str(field.default) if isinstance(field.default, Path) else repr(field.default)}`"


def sentence_of(thing: type) -> str:
    return (inspect.getdoc(thing) or "").split("\n\n", maxsplit=1)[0] if thing.__doc__ else ""
