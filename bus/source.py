"""YAML with places: the only room of PyYAML. Text in, a tree of nodes and all findings out.

The YAML we read is a strict part of YAML 1.2: core schema (``no``, ``on`` and ``12:30`` are text), UTF-8, one document, no anchors,
aliases, tags or merge keys, no duplicate keys, at most 1 MB and 40 levels. A plain scalar that might be a code (``00118``, ``+39055``,
``302001234567890123``) is not guessed at: it must be quoted. Everything wrong becomes a `Finding` with its place; nothing is raised.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from bus.faults import sentence_of
from bus.message import JsonValue

LIMIT = 1_000_000
DEPTH = 40

Severity = Literal["error", "warning"]
Pointer: TypeAlias = "tuple[str | int, ...]"
"""Where a value is in a document: keys and positions from the root."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong or doubtful in a file of rules. ``line`` and ``column`` count from 1, in characters."""

    file: str
    line: int
    column: int
    code: str
    severity: Severity
    sentence: str
    hint: str = ""
    excerpt: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity} {self.code}: {self.sentence}"


class Reporter(Protocol):
    """Who takes findings: a `Source`, or `Notes` for rules that come from no file."""

    def report(
        self, pointer: Sequence[str | int], code: str, sentence: str, hint: str = "",
        severity: Severity = "error", *, key: bool = False, within: tuple[int, int] | None = None,
    ) -> None: ...  # fmt: skip


class Notes:
    """Findings on rules that come from no file: the place is said as a pointer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.findings: list[Finding] = []

    def report(
        self, pointer: Sequence[str | int], code: str, sentence: str, hint: str = "",
        severity: Severity = "error", *, key: bool = False, within: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """Note a finding."""
        line, column = within or (1, 1)
        self.findings.append(Finding("/".join([self.name, *map(str, pointer)]), line, column, code, severity, sentence, hint))


def suggestion(word: str, known: Iterable[str]) -> str:
    """``did you mean …?``, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else ""


def render(findings: Iterable[Finding], form: str = "text") -> str:
    """Findings as ``text`` (with the source line and a caret) or ``json`` (a list of objects)."""
    if form == "json":
        return json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2)
    return "\n\n".join(_as_text(finding) for finding in findings)


def _as_text(finding: Finding) -> str:
    lines = [str(finding)]
    if finding.excerpt:
        lead = finding.excerpt[: finding.column - 1]
        caret = "".join("\t" if character == "\t" else " " for character in lead) + "^"
        lines += [f"  {finding.line:>4} | {finding.excerpt}", f"       | {caret}"]
    if finding.hint:
        lines.append(f"  hint: {finding.hint}")
    return "\n".join(lines)


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
        self.root: Node | None = None
        self.findings: list[Finding] = []
        self._lines: list[str] | None = None
        self._refused: set[tuple[int, int]] = set()

    @property
    def lines(self) -> list[str]:
        if self._lines is None:
            self._lines = self.text.split("\n")
        return self._lines

    def plain(self) -> Any:
        return None if self.root is None else self.root.plain()

    def name(self, field: str) -> str:
        """What a field at the top says, also in a file that is no YAML: others may speak of it, and need not be told again."""
        found = re.search(rf"^{field}:[ \t]*(\S+)", self.text, re.MULTILINE)
        return found[1] if found else ""

    def at(self, line: int, column: int, code: str, sentence: str, hint: str = "", severity: Severity = "error") -> None:
        """Note a finding at a place; what the notation already refused there has no second cause."""
        if (line, column) in self._refused and not code.startswith("yaml."):
            return
        excerpt = self.lines[line - 1].rstrip("\r")[:200] if 0 < line <= len(self.lines) else ""
        finding = Finding(self.file, line, column, code, severity, sentence, hint, excerpt)
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
        line, column = self.place(pointer, key=key, within=within)
        self.at(line, column, code, sentence, hint, severity)

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
        if within is not None and node.kind == "scalar":
            return self._inside(node, *within)
        return node.line, node.column

    def _inside(self, node: Node, line: int, column: int) -> tuple[int, int]:
        """The place in the file of a place in a scalar's text: through quotes, escapes, folding and indentation."""
        text = str(node.value)
        starts = [0, *(found.end() for found in re.finditer("\n", text))]
        wanted = min(starts[min(line, len(starts)) - 1] + column - 1, len(text))
        offset = _raw_offset(self.text[node.start : node.end], node.style, text, wanted)
        before = self.text[: node.start + offset]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _raw_offset(raw: str, style: str, text: str, wanted: int) -> int:
    """The offset in the raw scalar of the character ``wanted`` of its text (or of its end)."""
    position, indent = _content_start(raw, style)
    for character in text[:wanted]:
        if style == '"' and raw[position : position + 1] == "\\":
            position += {"x": 4, "u": 6, "U": 10}.get(raw[position + 1 : position + 2], 2)
        elif style == "'" and raw[position : position + 2] == "''":
            position += 2
        elif character in " \n" and raw[position : position + 1] != character:
            position = _skip_fold(raw, position)
        elif character == "\n":
            position += 1 + _leading(raw, position + 1, indent)
        elif character == " " and style in {"", "'", '"'} and (folded := re.compile(r"[ \t]*\n\s*").match(raw, position)):
            position = folded.end()
        else:
            position += 1
    return min(position, len(raw))


def _content_start(raw: str, style: str) -> tuple[int, int]:
    if style not in {"|", ">"}:
        return (1 if style in {'"', "'"} else 0), 0
    body = raw.find("\n") + 1
    first = next((line for line in raw[body:].split("\n") if line.strip()), "")
    indent = len(first) - len(first.lstrip(" "))
    return body + _leading(raw, body, indent), indent


def _leading(raw: str, start: int, most: int) -> int:
    count = 0
    while count < most and raw[start + count : start + count + 1] == " ":
        count += 1
    return count


def _skip_fold(raw: str, position: int) -> int:
    found = re.compile(r"\s*").match(raw, position)
    return found.end() if found else position


# --- reading ---------------------------------------------------------------------------------------------------------


def read_file(path: Path, name: str = "", limit: int = LIMIT) -> Source:
    """Read a file; ``name`` is how findings call it."""
    name = name or str(path)
    if path.stat().st_size > limit:
        source = Source(name, "")
        source.at(1, 1, "yaml.too-large", f"the file has {path.stat().st_size} bytes, at most {limit} are taken", "split it")
        return source
    return read(path.read_bytes(), name, limit)


def read(data: bytes, name: str, limit: int = LIMIT) -> Source:
    """Read YAML. The result's findings are those of the notation alone."""
    if len(data) > limit:
        return _refused(name, "yaml.too-large", f"the file has {len(data)} bytes, at most {limit} are taken", "split it")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _not_utf8(name, data, error.start)
    source = Source(name, text.replace("\r\n", "\n"))
    if text.startswith("\ufeff"):
        source.at(1, 1, "yaml.byte-order-mark", "the file starts with a byte order mark", "save it as UTF-8 without BOM")
    elif not _tabs(source):
        _Reader(source).read()
    return source


def _refused(name: str, code: str, sentence: str, hint: str) -> Source:
    source = Source(name, "")
    source.at(1, 1, code, sentence, hint)
    return source


def _not_utf8(name: str, data: bytes, offset: int) -> Source:
    source = Source(name, data.decode("utf-8", "replace"))
    line, column = data[:offset].count(b"\n") + 1, len(data[data.rfind(b"\n", 0, offset) + 1 : offset].decode("utf-8", "replace")) + 1
    source.at(line, column, "yaml.encoding", "the file is not UTF-8", "save it as UTF-8")
    return source


def _tabs(source: Source) -> bool:
    """Tabs in indentation: YAML forbids them, and its own message does not say so."""
    if "\t" not in source.text:
        return False
    for number, line in enumerate(source.lines, 1):
        lead = line[: len(line) - len(line.lstrip(" \t"))]
        if "\t" in lead and line.strip():
            source.at(number, lead.index("\t") + 1, "yaml.tab", "a tab in the indentation", "indent with spaces")
    return bool(source.findings)


class _Reader:
    """Builds the tree from libyaml's events, so that anchors, tags and depth are seen before anything is built of them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.stack: list[tuple[Node, Node | None]] = []
        self.too_deep = False

    def read(self) -> None:
        loader = yaml.CSafeLoader(self.source.text)
        documents, broken = 0, False
        try:
            while (event := loader.get_event()) is not None:
                kind = event.__class__
                if kind is yaml.DocumentStartEvent:
                    documents += 1
                    if documents > 1:
                        self._at(event, "yaml.documents", "a second document starts here", "write one document to a file")
                        break
                elif kind in _HANDLED:
                    self._handle(event)
        except yaml.YAMLError as error:
            broken = True
            self._syntax(error)
        finally:
            loader.dispose()
        if self.source.root is None and not self.source.findings:
            self.source.at(1, 1, "yaml.empty", "the file says nothing")
        if broken:
            self.source.root = None  # half a tree would only make the same mistake seen again

    def _handle(self, event: Any) -> None:
        if isinstance(event, yaml.CollectionEndEvent):
            node, _ = self.stack.pop()
            node.end = getattr(event.end_mark, "index", 0)
            return
        node = self._node(event)
        self._place_in_parent(node)
        if node.kind != "scalar":
            self.stack.append((node, None))
            if len(self.stack) > DEPTH:
                self._at(event, "yaml.too-deep", f"more than {DEPTH} levels within one another")
                raise yaml.YAMLError

    def _node(self, event: Any) -> Node:
        mark = event.start_mark
        kind = event.__class__
        if kind is yaml.AliasEvent:
            self._at(event, "yaml.alias", "an alias (*) is not taken", "write the value out")
            return Node("scalar", mark.line + 1, mark.column + 1, mark.index, event.end_mark.index, "*")
        if event.anchor:
            self._at(event, "yaml.anchor", "an anchor (&) is not taken", "write the value where it is needed")
        if event.tag:
            self._at(event, "yaml.tag", "a tag (!) is not taken", "write the value without it")
        if kind is not yaml.ScalarEvent:
            return Node("map" if kind is yaml.MappingStartEvent else "list", mark.line + 1, mark.column + 1, mark.index)
        node = Node("scalar", mark.line + 1, mark.column + 1, mark.index, event.end_mark.index, event.style or "", event.value)
        if not event.style:
            node.value = self._plain(event)
        return node

    def _place_in_parent(self, node: Node) -> None:
        if not self.stack:
            self.source.root = node
            return
        parent, key = self.stack[-1]
        if parent.kind == "list":
            parent.items.append(node)
        elif key is None:
            self.stack[-1] = (parent, node)
        else:
            self.stack[-1] = (parent, None)
            self._add_field(parent, key, node)

    def _add_field(self, parent: Node, key: Node, node: Node) -> None:
        report = self.source.at
        if not isinstance(key.value, str) or key.kind != "scalar":
            report(key.line, key.column, "yaml.key", "a key must be text", "put it in quotes")
            self.source.refuse(node)  # what it holds is not looked at: who knows what was meant
            parent.fields.setdefault(self.source.text[key.start : key.end], (key, node))
        elif key.value == "<<" and not key.style:
            report(key.line, key.column, "yaml.merge", "a merge key (<<) is not taken", "write the fields out")
        elif key.value in parent.fields:
            first = parent.fields[key.value][0]
            report(key.line, key.column, "yaml.duplicate-key", f"the key `{key.value}` was already written on line {first.line}")
        else:
            parent.fields[key.value] = (key, node)

    def _plain(self, event: Any) -> JsonValue:
        text: str = event.value
        if text in _WORDS:
            return _WORDS[text]
        if text[0] not in _NUMBER_STARTS:
            return text
        if problem := doubtful_number(text):
            self._at(event, *problem)
            return text
        return _number(text)

    def _at(self, event: Any, code: str, sentence: str, hint: str = "") -> None:
        self.source.at(event.start_mark.line + 1, event.start_mark.column + 1, code, sentence, hint)

    def _syntax(self, error: yaml.YAMLError) -> None:
        mark = getattr(error, "problem_mark", None)
        if mark is not None:
            sentence, hint = _syntax_words(error, self.source.lines[mark.line] if mark.line < len(self.source.lines) else "", mark.column)
            if "not closed" in sentence:
                mark = getattr(error, "context_mark", None) or mark  # where it was opened: libyaml noticed at the end of the file
            self.source.at(mark.line + 1, mark.column + 1, "yaml.syntax", sentence, hint)
        elif hasattr(error, "position"):
            line, column = _line_and_column(self.source.text, _first_control(self.source.text))
            hint = "delete it, or write it as \\u escape"
            self.source.at(line, column, "yaml.control-character", "a control character is not taken", hint)


_HANDLED = frozenset({
    yaml.ScalarEvent, yaml.AliasEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent, yaml.MappingEndEvent, yaml.SequenceEndEvent,
})  # fmt: skip

_WORDS: dict[str, JsonValue] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NUMBER_STARTS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
_LIKE_NUMBER = re.compile(r"[-+]?(?:0o[0-7]+|0x[0-9a-fA-F]+|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
MOST_DIGITS = 15
"""Longer plain numbers are codes (notice numbers, IUV) or would lose digits in some reader."""


def doubtful_number(text: str) -> tuple[str, str, str] | None:
    """(code, sentence, hint) for a plain scalar that YAML reads as a number and its author perhaps not; None when it is clear."""
    hint = f'quote it: "{text}"'
    if _NOT_FINITE.fullmatch(text):
        return "yaml.not-finite", f"`{text}` would be a number without value", hint
    if not _LIKE_NUMBER.fullmatch(text):
        return None
    if re.match(r"[-+]?0[0-9a-zA-Z]", text):
        return "yaml.leading-zero", f"`{text}` looks like a number with a leading zero", hint
    if len(re.findall(r"[0-9]", text)) > MOST_DIGITS:
        return "yaml.long-number", f"`{text}` looks like a number with more than {MOST_DIGITS} digits", hint
    if not (_INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text)):
        return "yaml.odd-number", f"`{text}` is a number to YAML and perhaps not to you", f"{hint}, or write it with plain digits"
    return None


def _number(text: str) -> JsonValue:
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return text


def _syntax_words(error: Any, line: str, column: int) -> tuple[str, str]:
    problem, context = str(error.problem or ""), str(error.context or "")
    if "mapping values are not allowed" in problem:
        return "a colon starts a second value here", "put text that holds «: » in quotes; check the indentation"
    if "cannot start any token" in problem:
        return f"`{line[column : column + 1]}` cannot start a value", "put the text in quotes"
    if "unexpected end of stream" in problem:
        return "a quote is not closed", ""
    if "expected ',' or" in problem:
        return "a bracket is not closed, or a comma is missing", ""
    if "expected key" in problem or "expected '-'" in problem or "expected <document start>" in problem:
        return "this line does not fit what is above", "check the indentation"
    return f"not YAML: {problem}{' ' + context if context else ''}", ""


_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _first_control(text: str) -> int:
    found = _CONTROL.search(text)
    return found.start() if found else 0


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def walk(node: Node, pointer: Pointer = ()) -> Iterator[tuple[Pointer, Node]]:
    """All nodes with their pointers, parents first."""
    yield pointer, node
    for name, (_, inner) in node.fields.items():
        yield from walk(inner, (*pointer, name))
    for position, inner in enumerate(node.items):
        yield from walk(inner, (*pointer, position))


# --- documents -------------------------------------------------------------------------------------------------------

M = TypeVar("M", bound=BaseModel)


def validated(document: Any, model: type[M], report: Reporter, pointer: Pointer = ()) -> M | None:
    """A document as a pydantic model; what does not fit becomes findings ``field.unknown``, ``field.missing``, ``field.invalid``."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        misspelt = {(place[:-1], meant) for fault in faults if (place := _place(fault)) and (meant := _meant(fault, model, place))}
        for fault in faults:
            if not (fault["type"] == "missing" and (fault["loc"][:-1], f"did you mean {fault['loc'][-1]}?") in misspelt):
                _report_fault(fault, model, report, pointer)
        return None


def _place(fault: Any) -> tuple[Any, ...]:
    return tuple(piece for piece in fault["loc"] if piece != "[key]")


def _meant(fault: Any, model: type[BaseModel], place: tuple[Any, ...]) -> str:
    """The hint of an unknown field: a field that is missing because its name is misspelt is one mistake, not two."""
    return suggestion(str(place[-1]), _fields_at(model, place[:-1])) if fault["type"] == "extra_forbidden" else ""


def _report_fault(fault: Any, model: type[BaseModel], report: Reporter, pointer: Pointer) -> None:
    place = _place(fault)
    name = str(place[-1]) if place else ""
    known = _fields_at(model, place[:-1])
    if fault["type"] == "extra_forbidden":
        hint = suggestion(name, known) or ("it takes " + ", ".join(known) if known else "")
        report.report((*pointer, *place), "field.unknown", f"there is no field `{name}` here", hint, key=True)
    elif fault["type"] == "missing":
        report.report((*pointer, *place[:-1]), "field.missing", f"the field `{name}` is missing", _described(model, place))
    else:
        last = place[-1] if place else None
        label = f"item {last + 1} " if isinstance(last, int) else f"`{name}` " if name else "this "
        hint = _described(model, place) if isinstance(last, str) else ""
        report.report((*pointer, *place), "field.invalid", f"{label}{sentence_of(fault)}", hint, key="[key]" in fault["loc"])


def _described(model: type[BaseModel], place: Sequence[Any]) -> str:
    owner = _model_at(model, place[:-1])
    for name, info in owner.model_fields.items() if owner else ():
        if place[-1] in {name, info.alias}:
            return info.description or ""
    return ""


def _fields_at(model: type[BaseModel], place: Sequence[Any]) -> list[str]:
    owner = _model_at(model, place)
    return [info.alias or name for name, info in owner.model_fields.items()] if owner else []


def _model_at(model: type[BaseModel] | None, place: Sequence[Any]) -> type[BaseModel] | None:
    """The model that describes a place inside a document."""
    for piece in place:
        if model is None:
            return None
        if isinstance(piece, int):
            continue
        found = next((info for name, info in model.model_fields.items() if piece in {name, info.alias}), None)
        model = _model_in(found.annotation) if found else model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for argument in get_args(annotation) if (inner := _model_in(argument))), None)
