"""What the generated pages share: table rows, types and defaults as words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


def row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def holds(
    annotation: Any, model: Callable[[type[BaseModel]], str], mark: Callable[[Any], str] = lambda _: "", *, null: bool = False
) -> str:
    """What a value is to who writes YAML: ``list of text``, ``whole number``, ``path`` ...

    ``model`` says how a model is called, ``mark`` what a mark in an ``Annotated`` is called, if it has a word of its own; with ``null``
    it is said where a value may be null.
    """
    origin, inner = get_origin(annotation), get_args(annotation)

    def within(one: Any) -> str:
        return holds(one, model, mark, null=null)

    if origin is Annotated:
        return next(filter(None, map(mark, inner[1:])), "") or within(inner[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(within(one) for one in inner if null or one is not NoneType))
    if origin in (list, tuple):
        return f"list of {within(inner[0])}"
    if origin is dict:
        return "map" if inner[1] is Any else f"map from name to {within(inner[1])}"
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in inner if one != "")
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return model(annotation)
    return WORDS[annotation]


WORDS: dict[Any, str] = {
    str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", date: "date", datetime: "moment",
    Any: "anything", NoneType: "null",
}  # fmt: skip


def link_to(title: str, text: str = "") -> str:
    """A link to the heading of this page, as GitHub and GitLab name it."""
    return f"[{text or title}](#{re.sub(r'[^a-z0-9 _-]', '', title.lower()).replace(' ', '-')})"


_LIMITS = {
    "pattern": "written as `{}`", "minLength": "at least {} characters", "maxLength": "at most {} characters", "minimum": "at least {}",
    "exclusiveMinimum": "more than {}", "maximum": "at most {}", "minItems": "at least {} items", "maxItems": "at most {} items",
}  # fmt: skip


def limits_of(schema: Mapping[str, Any], *, patterns: bool) -> list[str]:
    """What JSON Schema says beyond the type of a field, in words."""
    said = [schema, *schema.get("anyOf", ())]
    asked = {word: words for word, words in _LIMITS.items() if patterns or word != "pattern"}
    found = [(word, words.format(one[word]), one[word]) for one in said for word, words in asked.items() if word in one]
    return ["not empty" if word in {"minLength", "minItems"} and value == 1 else words for word, words, value in found]


def default_of(field: FieldInfo) -> str:
    """As YAML has it; nothing where the field may be left out and then says nothing."""
    if field.is_required():
        return "required"
    if field.default is None or isinstance(field.default, BaseModel):
        return ""
    if field.default is PydanticUndefined or field.default in ("", ()):
        return "empty"
    return f"`{_in_yaml(field.default)}`"


def _in_yaml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_in_yaml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.10g}"
    return f'"{value}"' if re.fullmatch("[0-9:]+", str(value)) and isinstance(value, str) else str(value)


def sentence_of(thing: type) -> str:
    return (inspect.getdoc(thing) or "").split("\n\n", maxsplit=1)[0] if thing.__doc__ else ""
