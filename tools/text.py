"""What the generated pages share: table rows, types and defaults as words."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


def row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def type_of(annotation: Any) -> str:
    """``str``, ``int | None``, ``list[Mappale]``: names without the modules they come from."""
    plain = annotation.__name__ if inspect.isclass(annotation) and not get_args(annotation) else str(annotation)
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", plain)


def default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined:
        return "empty"
    return f"`{str(field.default) if isinstance(field.default, Path) else repr(field.default)}`"


def sentence_of(thing: type) -> str:
    return (inspect.getdoc(thing) or "").split("\n\n", maxsplit=1)[0] if thing.__doc__ else ""
