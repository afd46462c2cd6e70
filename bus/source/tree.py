"""A document with places: the tree of its values, and the file that it was read from."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bus.message import JsonValue
from bus.source.findings import Finding, Pointer, Severity, line_and_column

_SHOWN, _BEHIND, _FARTHEST = 200, 80, 5_000
"""How much of a line is shown with a finding; behind the place; and up to which column it is shown at all."""
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What a terminal would obey rather than show."""


@dataclass(slots=True)
class Node:
    """One YAML value and its place (from 1; ``start`` and ``end`` are character offsets in the file)."""

    kind: Literal["map", "list", "scalar"]
    line: int
    column: int
    start: int
    end: int = 0
    style: str = ""
    value: JsonValue = None
    items: list[Node] = field(default_factory=list)
    fields: dict[str, tuple[Node, Node]] = field(default_factory=dict)

    def plain(self) -> Any:
        """The value without places."""
        if self.kind == "map":
            return {name: inner.plain() for name, (_, inner) in self.fields.items()}
        if self.kind == "list":
            return [inner.plain() for inner in self.items]
        return self.value

    def child(self, step: str | int) -> Node | None:
        if self.kind == "map":
            return self.fields[str(step)][1] if str(step) in self.fields else None
        if self.kind == "list" and isinstance(step, int) and 0 <= step < len(self.items):
            return self.items[step]
        return None


class Source:
    """One file: its text, its tree (None when there is none) and its findings."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.findings: list[Finding] = []
        self._root: Node | None = None
        self._value: Any = None
        self._places: Callable[[], None] | None = None
        self._lines: list[str] | None = None
        self._refused: set[tuple[int, int]] = set()

    @property
    def lines(self) -> list[str]:
        if self._lines is None:
            self._lines = self.text.split("\n")
        return self._lines

    def expect(self, value: Any, places: Callable[[], None]) -> None:
        """Hold a document's value; ``places`` makes the tree once it is asked for."""
        self._value, self._places = value, places

    @property
    def root(self) -> Node | None:
        if self._places is not None:
            places, self._places = self._places, None
            places()
        return self._root

    @root.setter
    def root(self, node: Node | None) -> None:
        self._root = node

    def plain(self) -> Any:
        """The value without places: always the same one."""
        if self._value is None and self.root is not None:
            self._value = self.root.plain()
        return self._value

    def again(self) -> Source:
        """The same document, for findings of their own."""
        other = Source(self.file, self.text)
        other._refused = self._refused

        def places() -> None:
            other.root = self.root

        other.expect(self._value, places)
        return other

    def name(self, field: str) -> str:
        """What a field at the top says, also in a file that is no YAML or spells it otherwise: who speaks of it need not be told again."""
        said = dict(re.findall(r"^(\w+)[ \t]*:?[ \t]+[\"']?([^\s\"'#]+)", self.text, re.MULTILINE))
        near = difflib.get_close_matches(field, [word.lower() for word in said], n=1, cutoff=0.7)
        return next((value for word, value in said.items() if near and word.lower() == near[0]), "")

    def at(self, line: int, column: int, code: str, sentence: str, hint: str = "", severity: Severity = "error") -> None:
        """Note a finding at a place; what the notation already refused there has no second cause."""
        if (line, column) in self._refused and not code.startswith("yaml."):
            return
        shown = column + _BEHIND if _SHOWN - _BEHIND < column <= _FARTHEST else _SHOWN
        excerpt = self.lines[line - 1].rstrip("\r")[:shown] if 0 < line <= len(self.lines) else ""
        finding = Finding(self.file, line, column, code, severity, *(_UNSEEN.sub("\ufffd", one) for one in (sentence, hint, excerpt)))
        if finding not in self.findings:
            self.findings.append(finding)
            if code.startswith("yaml."):
                self._refused.add((line, column))

    def refuse(self, node: Node) -> None:
        """What stands at a node has been found wrong already."""
        self._refused.add((node.line, node.column))

    def report(
        self, pointer: Sequence[str | int], code: str, sentence: str, hint: str = "",
        severity: Severity = "error", *, key: bool = False, within: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """Note a finding on the value (or the ``key``) at a pointer; the nearest existing ancestor when there is none.

        ``within`` is a line and column inside the text of a scalar, as an expression counts them.
        """
        if within is not None and code == "expression.invalid" and self.place(pointer) in self._refused:
            return  # `0o17`: what is odd to YAML is no expression either
        line, column = self.place(pointer, key=key, within=within)
        self.at(line, column, code, sentence, hint, severity)

    def also(self, pointer: Sequence[str | int], name: str, other: str) -> None:
        """Let a field of the map at a pointer be found under another name, too: the one that was meant."""
        node = self.root
        for step in pointer:
            node = node.child(step) if node else None
        if node is not None and name in node.fields:
            node.fields.setdefault(other, node.fields[name])

    def place(self, pointer: Sequence[str | int], *, key: bool = False, within: tuple[int, int] | None = None) -> tuple[int, int]:
        """Line and column of what a pointer points to."""
        node, name = self.root, None
        for step in pointer:
            inner = node.child(step) if node else None
            if node is None or inner is None:
                name, within = None, None
                break
            name = node.fields[str(step)][0] if node.kind == "map" else None
            node = inner
        if node is None:
            return 1, 1
        if key and name is not None:
            return name.line, name.column
        if node.kind == "scalar" and (within is not None or node.style in _BLOCKS):
            return self._inside(node, *(within or (1, 1)))  # of a block its text, not the `|` before it
        return node.line, node.column

    def _inside(self, node: Node, line: int, column: int) -> tuple[int, int]:
        """The place in the file of a place in a scalar's text: through quotes, escapes, folding and indentation."""
        text = str(node.value)
        starts = [0, *(found.end() for found in re.finditer("\n", text))]
        wanted = min(starts[min(line, len(starts)) - 1] + column - 1, len(text))
        offset = _raw_offset(self.text[node.start : node.end], node.style, text, wanted)
        return line_and_column(self.text, node.start + offset)


_BLOCKS = frozenset({"|", ">"})


def _raw_offset(raw: str, style: str, text: str, wanted: int) -> int:
    """The offset in the raw scalar of the character ``wanted`` of its text (or of its end)."""
    position = _in_block(raw, text, wanted) if style in _BLOCKS else _in_flow(raw, style, wanted)
    return min(position, len(raw))


def _in_flow(raw: str, style: str, wanted: int) -> int:
    """The place in ``raw`` of character ``wanted`` of a text over several lines.

    There one line break is a blank, more are one less, and one after a backslash is none.
    """
    fold, position, index = _FOLDS[style == '"'], len(style), 0
    while index < wanted or (style == '"' and raw.startswith("\\\n", position)):
        if found := fold.match(raw, position):
            position = found.end()
            index += max(found[0].count("\n") - 1, not found[0].startswith("\\"))
            continue
        if style == '"' and raw.startswith("\\", position):
            position += {"x": 4, "u": 6, "U": 10}.get(raw[position + 1 : position + 2], 2)
        else:
            position += 2 if style == "'" and raw.startswith("''", position) else 1
        index += 1
    return position


_FOLDS = (re.compile(r"[ \t]*\n[ \t\n]*"), re.compile(r"(?:\\|[ \t]*)\n[ \t\n]*"))
"""The end of a line and what is blank after it; the second in double quotes."""


def _in_block(raw: str, text: str, wanted: int) -> int:
    """The place in ``raw`` of character ``wanted`` of a block's text; of a blank, or the end, the one behind the last sign before.

    Line ends are folded and indentation is cut, but what is no blank stands in both, in the same order.
    """
    body = raw.find("\n") + 1
    signs = [body + found.start() for found in _SIGN.finditer(raw[body:])]
    before = len(_SIGN.findall(text[:wanted]))
    if before < len(signs) and (not before or _SIGN.match(text, wanted)):
        return signs[before]
    return signs[before - 1] + 1 if before else body


_SIGN = re.compile(r"\S")


def walk(node: Node, pointer: Pointer = ()) -> Iterator[tuple[Pointer, Node]]:
    """All nodes with their pointers, parents first."""
    yield pointer, node
    for name, (_, inner) in node.fields.items():
        yield from walk(inner, (*pointer, name))
    for position, inner in enumerate(node.items):
        yield from walk(inner, (*pointer, position))
