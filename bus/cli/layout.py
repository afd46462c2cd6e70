"""A YAML file laid out in one way: fields in the order of their model, two spaces a level, comments where they belong.

Nothing of a value is written anew: scalars and flow collections keep the text that their author gave them. A comment on lines of its own
belongs to what follows it, one behind a value to that value; a comment that is indented like the items above it stays with those.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel

from bus.config import Config
from bus.mapping.model import MappingDocument, MappingTest
from bus.mapping.types import TypeDocument
from bus.route.model import RouteDocument, TestDocument
from bus.route.steps import KINDS
from bus.route.steps.common import Role
from bus.services import Servizio
from bus.source import Node, Source, doubtful_number, read

Shape: TypeAlias = "type[BaseModel] | str | None"
"""Whose fields a map has: a model, ``step``, ``branches`` (names of lists of steps), ``services``, or nobody's."""

WIDTH = 140
"""A flow collection over several lines becomes one line where it fits."""
QUOTED = frozenset({"yaml.leading-zero", "yaml.long-number", "yaml.odd-number", "yaml.not-finite"})
"""Findings that quotes take away."""
_KINDS: dict[str, Shape] = {
    "route": RouteDocument,
    "mapping": MappingDocument,
    "type": TypeDocument,
    "servizi": "services",
    "organization": Config,
}
_TESTS: dict[type[BaseModel], type[BaseModel]] = {RouteDocument: TestDocument, MappingDocument: MappingTest}
_HIDDEN = 1_000_000
"""A column that no line has: inside a scalar nothing is a comment."""
_COMMENT = re.compile(r"(?:^|\s+)#.*")
_DASHES = re.compile(r"(?: |- )*")
_BLOCK = re.compile(r"[|>][-+]?[0-9]?[-+]?")


class NotLaidOutError(Exception):
    """Why a file is left as it is."""


def laid_out(text: str, name: str = "") -> str:
    """The text in the one layout. Raises `NotLaidOutError` when it is not YAML, or when a value or a comment would not be the same."""
    source = read(text.encode(), name)
    if wrong := [one for one in source.findings if one.code not in QUOTED]:
        raise NotLaidOutError(str(wrong[0]))
    root = source.root
    if root is None or root.kind != "map":
        raise NotLaidOutError(f"{name}: the file does not hold a map of fields")
    if source.text[root.start] == "{":
        raise NotLaidOutError(f"{name}: the whole file stands in braces: write its fields on lines of their own")
    shape: Shape = next((shape for word, shape in _KINDS.items() if word in root.fields), None)
    made = "\n".join(_Layout(source).document(root, shape)) + "\n"
    after = read(made.encode(), name)
    if after.findings or after.plain() != source.plain() or _comments(after) != _comments(source):
        raise NotLaidOutError(f"{name}: laid out, it would not say the same")
    return made


def _comments(source: Source) -> Counter[str]:
    layout = _Layout(source)
    return Counter([*layout.own.values(), *(one.strip() for one in layout.behind.values())])


@dataclass
class _Layout:
    """Goes through a document once, in its own order; ``line`` is the last line that has been written (from 1)."""

    source: Source
    line: int = 0
    own: dict[int, str] = field(default_factory=dict)
    behind: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find the comments: ``own`` lines of them, and those ``behind`` a value."""
        taken: dict[int, int] = {}
        for node in _scalars(self.source.root):
            first, last = node.line, self._last_line(node)
            if last > first and _is_block(node):
                taken.update(dict.fromkeys(range(first + 1, last + 1), _HIDDEN))
            else:
                taken.update(dict.fromkeys(range(first, last), _HIDDEN))
                ends = node.end - (self.source.text.rfind("\n", 0, node.end) + 1)
                taken[last] = max(taken.get(last, 0), ends)
        for number, line in enumerate(self.source.lines, 1):
            start = taken.get(number, 0)
            found = _COMMENT.search(line, min(start, len(line))) if start < _HIDDEN else None
            if found and line[: found.start()].strip():
                self.behind[number] = found[0].rstrip() if found[0].startswith("  ") else f"  {found[0].strip()}"
            elif found:
                self.own[number] = found[0].strip()

    def document(self, root: Node, shape: Shape) -> list[str]:
        lines = self._map(root, shape, 0)
        lines += self._leading(len(self.source.lines) + 1, 0)
        while lines and not lines[-1]:
            lines.pop()
        return lines

    # --- blocks ------------------------------------------------------------------------------------------------------

    def _map(self, node: Node, shape: Shape, indent: int) -> list[str]:
        shape = _kind_of(node) if shape == "step" else shape
        chunks: dict[str, list[str]] = {}
        top: list[str] = []
        for position, (name, (key, value)) in enumerate(node.fields.items()):
            lead = self._leading(key.line, indent)
            if position == 0 and indent == 0:
                top, lead = lead, []  # comments over the file stay on top, whatever field comes first
            if key.line < value.line and value.start < value.end and (value.kind == "scalar" or self._is_flow(value)):
                self._own(key.line, value.line)
                self.line = key.line - 1
                lead += self._leading(value.line, indent)
            written = self.source.text[key.start : key.end] if key.style else name
            chunks[name] = [*lead, *self._entry(f"{' ' * indent}{written}:", value, _inside(shape, name), indent)]
        tail = self._tail(node, indent)
        return [*top, *(line for name in _ranked(chunks, shape) for line in chunks[name]), *tail]

    def _entry(self, lead: str, value: Node, shape: Shape, indent: int) -> list[str]:
        """``lead`` and its value: on the same line, or below."""
        if value.kind == "scalar" or self._is_flow(value):
            return self._written(lead, value, shape, indent)
        behind_key = (self.behind[number] for number in range(value.line - 1, self.line, -1) if number in self.behind)
        head = lead + next(behind_key, "")
        self.line += 1
        inner = self._map(value, shape, indent + 2) if value.kind == "map" else self._list(value, shape, indent + 2)
        return [head, *inner]

    def _list(self, node: Node, shape: Shape, indent: int) -> list[str]:
        lines: list[str] = []
        for item in node.items:
            self._own(self.line + 1, item.line)
            lines += self._leading(item.line, indent)
            dash = f"{' ' * indent}-"
            if item.kind == "scalar" or self._is_flow(item):
                lines += self._written(dash, item, shape, indent)
                continue
            inner = self._map(item, shape, indent + 2) if item.kind == "map" else self._list(item, shape, indent + 2)
            first = next(position for position, line in enumerate(inner) if line.strip() and not line.strip().startswith("#"))
            inner[first] = f"{dash} {inner[first].strip()}" if inner[first].startswith(" " * (indent + 2)) else inner[first]
            lines += [*(line[2:] if line else line for line in inner[:first]), *inner[first:]]
        return [*lines, *self._tail(node, indent)]

    def _own(self, first: int, until: int) -> None:
        """Comments behind a key or a dash whose value stands on a later line: they go above both."""
        for number in range(first, until):
            if number in self.behind:
                self.own[number] = self.behind.pop(number).strip()

    def _leading(self, until: int, indent: int) -> list[str]:
        """The comments of their own between the last line and this one; one blank line where there were some."""
        found: list[str] = []
        for number in range(self.line + 1, until):
            if number in self.own:
                found.append(" " * indent + self.own[number])
            elif not self.source.lines[number - 1].strip() and found[-1:] != [""] and (found or self.line):
                found.append("")
        self.line = max(self.line, until - 1)
        return found

    def _tail(self, node: Node, indent: int) -> list[str]:
        """Comments below the last entry, indented like it: they stay. Where the next field is, too, as behind a list whose dashes stand
        below the key itself, they belong to that.
        """
        found: list[str] = []
        below = enumerate(self.source.lines[self.line :], self.line + 1)
        follows = next((line for number, line in below if line.strip() and number not in self.own), "")
        beside = node.kind == "list" and follows != "" and _blanks(follows) == node.column - 1
        for number, line in enumerate(self.source.lines[self.line :] if indent else (), self.line + 1):
            if number in self.own and _blanks(line) >= node.column - 1 + beside:
                if number - self.line > 1:
                    found.append("")
                found.append(" " * indent + self.own[number])
                self.line = number
            elif line.strip():
                break
        return found

    # --- values ------------------------------------------------------------------------------------------------------

    def _is_flow(self, node: Node) -> bool:
        return self.source.text[node.start : node.start + 1] in {"{", "["}

    def _last_line(self, node: Node) -> int:
        if _is_block(node):
            return node.line + len(self._block_lines(node))
        return self.source.text.count("\n", 0, node.end) + 1

    def _block_lines(self, node: Node) -> list[str]:
        """The lines of a block scalar, as they are written."""
        below = self.source.lines[node.line :]
        first = next((line for line in below if line.strip()), "")
        indent = _blanks(first)
        taken = 0
        for position, line in enumerate(below, 1):
            if line.strip() and (_blanks(line) < indent or not indent):
                break
            taken = position if line.strip() else taken
        return below[:taken]

    def _written(self, lead: str, node: Node, shape: Shape, indent: int) -> list[str]:
        if node.kind != "scalar":
            lines = self._flow_lines(node, shape, len(lead) + 1, indent)
        elif _is_block(node):
            lines = self._block(node, indent)
        else:
            lines = self._scalar(node, indent)
        last = self._last_line(node)
        numbers = [number for number in range(max(node.line, self.line), last + 1) if number in self.behind]
        remark = self.behind[numbers[-1]] if numbers else ""
        place = 0 if _is_block(node) else -1
        self.line = max(self.line, last)
        lines[0] = f"{lead} {lines[0]}".rstrip()
        lines[place] += remark
        return lines

    def _scalar(self, node: Node, indent: int) -> list[str]:
        raw = self.source.text[node.start : node.end]
        if node.style == "" and isinstance(node.value, str) and doubtful_number(node.value):
            return [json.dumps(node.value)]
        first, *rest = raw.split("\n")
        return [first.rstrip(), *((" " * (indent + 2) + line.strip()) if line.strip() else "" for line in rest)]

    def _block(self, node: Node, indent: int) -> list[str]:
        head = _BLOCK.match(self.source.text, node.start)
        content = self._block_lines(node)
        if head is None or re.search(r"[0-9+]", head[0]):
            raise NotLaidOutError(f"{self.source.file}:{node.line}: a block that counts its own blanks is not laid out")
        least = min((_blanks(line) for line in content if line.strip()), default=0)
        return [head[0], *(" " * (indent + 2) + line[least:] if line.strip() else "" for line in content)]

    def _flow_lines(self, node: Node, shape: Shape, column: int, indent: int) -> list[str]:
        last = self._last_line(node)
        remarks = any(number in self.behind or number in self.own for number in range(node.line, last))
        one = self._flow(node, shape)
        if not remarks and "\n" not in one and (node.line == last or column + len(one) <= WIDTH):
            return [one]
        first, *rest = self.source.text[node.start : node.end].split("\n")
        before = self._lead(node)
        for number in range(node.line, last):  # comments inside come along with the lines
            self.own.pop(number, None)
            self.behind.pop(number, None)
        return [first.rstrip(), *(" " * (indent + max(0, _blanks(line) - before)) + line.strip() for line in rest)]

    def _lead(self, node: Node) -> int:
        """How far in what leads to a value begins, on the line where the value does: its key, also one behind a dash, or its own dash."""
        dashes = _DASHES.findall(self.source.lines[node.line - 1])[0]
        return len(dashes) if len(dashes) < node.column - 1 or "-" not in dashes else dashes.rindex("-")

    def _flow(self, node: Node, shape: Shape) -> str:
        """A flow collection as one line."""
        text = self.source.text
        if node.kind == "scalar":
            return self._scalar(node, 0)[0] if "\n" not in text[node.start : node.end] else "\n"
        if not self._is_flow(node):
            return text[node.start : node.end].strip()  # a pair without braces in a list
        if node.kind == "list":
            return "[" + ", ".join(self._flow(item, shape) for item in node.items) + "]"
        shape = _kind_of(node) if shape == "step" else shape
        parts = []
        for name in _ranked(node.fields, shape):
            key, value = node.fields[name]
            said = self._flow(value, _inside(shape, name)) if value.end > value.start else "null"
            parts.append(f"{text[key.start : key.end]}: {said}")
        return "{" + ", ".join(parts) + "}"


def _is_block(node: Node) -> bool:
    return node.style in {"|", ">"}


def _blanks(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _scalars(node: Node | None) -> Iterator[Node]:
    if node is None:
        return
    if node.kind == "scalar":
        yield node
    for key, value in node.fields.values():
        yield key
        yield from _scalars(value)
    for item in node.items:
        yield from _scalars(item)


def _kind_of(node: Node) -> Shape:
    return next((KINDS[name] for name in node.fields if name in KINDS), None)


def _ranked(names: Iterable[str], shape: Shape) -> list[str]:
    """The names of fields in the order of their model; those that it has not stay behind."""
    order = [info.alias or name for name, info in shape.model_fields.items()] if isinstance(shape, type) else []
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def _inside(shape: Shape, name: str) -> Shape:
    """The shape of what a field holds; of a list, that of its items."""
    if shape == "services":
        return Servizio
    if shape == "branches":
        return "step"
    if not isinstance(shape, type):
        return None
    if name == "tests" and shape in _TESTS:
        return _TESTS[shape]
    found = next((info for own, info in shape.model_fields.items() if name == (info.alias or own)), None)
    if found is None:
        return None
    if any(isinstance(one, Role) and one.name == "steps" for one in found.metadata):
        return "step"
    if name == "parallel":
        return "branches"
    return next(_models(found.annotation), None)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
