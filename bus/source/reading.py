"""Reading YAML, twice as fast where nothing is wrong.

`read` first takes only the values; the tree with the places is made when somebody asks for a place, or at once when anything is
doubtful. Places cost more than all checks of a good file, and a good file is never asked for one.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from bus.message import JsonValue
from bus.source.findings import line_and_column
from bus.source.slips import BANG, BANG_HINT, BLANKS, COLON_MISSING, IN_QUOTES, Slips
from bus.source.tree import Node, Source

LIMIT = 1_000_000
DEPTH = 40


def read_file(path: Path) -> Source:
    """Read a file; nothing of one that is too large."""
    return _too_large(str(path)) if path.stat().st_size > LIMIT else read(path.read_bytes(), str(path))


def read(data: bytes, name: str) -> Source:
    """Read YAML; ``name`` is how findings call it. The result's findings are those of the notation alone."""
    if len(data) > LIMIT:
        return _too_large(name)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _not_utf8(name, data, error.start)
    source = Source(name, text.replace("\r\n", "\n"))
    if text.startswith("\ufeff"):
        source.at(1, 1, "yaml.byte-order-mark", "the file starts with a byte order mark", "save it as UTF-8 without BOM")
    elif not _tabs(source) and not _unseen(source):
        value = _values_alone(source.text)
        if value is None:
            _Reader(source).read()
        else:
            source.expect(value, lambda: _Reader(source).read())
    return source


def _refused(name: str, code: str, sentence: str, hint: str) -> Source:
    source = Source(name, "")
    source.at(1, 1, code, sentence, hint)
    return source


def _too_large(name: str) -> Source:
    return _refused(name, "yaml.too-large", f"the file has more than {LIMIT} bytes", "split it")


def _not_utf8(name: str, data: bytes, offset: int) -> Source:
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return _refused(name, "yaml.encoding", "the file is UTF-16", "save it as UTF-8")
    source = Source(name, data.decode("utf-8", "replace"))
    line, column = data[:offset].count(b"\n") + 1, len(data[data.rfind(b"\n", 0, offset) + 1 : offset].decode("utf-8", "replace")) + 1
    source.at(line, column, "yaml.encoding", "the file is not UTF-8", "save it as UTF-8")
    return source


def _tabs(source: Source) -> bool:
    """Tabs in indentation: YAML forbids them, and its own message does not say so. An editor that writes them does so in all lines."""
    if "\t" not in source.text:
        return False
    tabs = list(_INDENTED_BY_TAB.finditer(source.text))
    if tabs:
        line, column = line_and_column(source.text, tabs[0].end() - 1)
        more = f", and in {len(tabs) - 1} more {'lines' if len(tabs) > 2 else 'line'}" if tabs[1:] else ""
        hint = "indent with spaces; an editor can write them for the Tab key"
        source.at(line, column, "yaml.tab", f"a tab in the indentation{more}", hint)
    return bool(tabs)


def _unseen(source: Source) -> bool:
    """Ends of lines that YAML sees and editors do not: no place behind them would be right. Also what only looks like a blank."""
    if not any(odd in source.text for odd in ("\r" if source.text.isascii() else _ODD)):
        return False
    for found in _ODD_BLANK.finditer(source.text):
        line, column = line_and_column(source.text, found.end() - 1)
        sentence = f"this is no plain blank (U+{ord(found[0][-1]):04X}), and stands in the indentation"
        source.at(line, column, "yaml.control-character", sentence, "write a plain blank in its place")
    for found in _ODD_LINE_END.finditer(source.text):
        line, column = line_and_column(source.text, found.start())
        if found[0] == "\r" and source.text.count("\r") > 1 and "\n" not in source.text.rstrip("\n"):
            source.at(line, column, "yaml.control-character", "lines end with a carriage return alone", "save it with line ends LF")
            break
        source.at(line, column, "yaml.control-character", f"a line ends here that nobody sees (U+{ord(found[0]):04X})", "delete it")
    return bool(source.findings)


_INDENTED_BY_TAB = re.compile(r"^ *\t(?=[ \t]*[^\s])", re.MULTILINE)
_LINE_ENDS = "\r\x85\u2028\u2029"
_ODD = BLANKS + _LINE_ENDS
_ODD_BLANK = re.compile(f"^[ -]*[{BLANKS}]", re.MULTILINE)
_ODD_LINE_END = re.compile(f"[{_LINE_ENDS}]")


class _DoubtfulError(Exception):
    """Something that the author must be told about, with its place."""


def _values_alone(text: str) -> Any:
    """The document without places; None when anything in it has to be looked at with its place, or it is no map and no list."""
    loader = yaml.CSafeLoader(text)
    try:
        return _values(loader.get_event)
    except (yaml.YAMLError, _DoubtfulError):
        return None
    finally:
        loader.dispose()


def _values(next_event: Any) -> Any:
    """One loop, no call for each value: it runs some hundred thousand times when a catalog is read."""
    scalar, ends, starts, numbers = yaml.ScalarEvent, _ENDS, _STARTS, _NUMBER_STARTS
    root: Any = None
    here: Any = None
    key: Any = None
    above: list[tuple[Any, Any]] = []
    known: dict[str, Any] = {word: value for word, value in _WORDS.items() if word}
    while (event := next_event()) is not None:
        kind = event.__class__
        if kind is scalar:
            value = event.value
            if not event.style:
                if value in known:
                    value = known[value]
                elif not value:  # nothing, or a comma in an expression without quotes
                    raise _DoubtfulError
                elif value[0] in numbers:
                    value = known[value] = _sure(value)
        elif kind in ends:
            here, key = above.pop()
            continue
        elif kind in starts:
            value = {} if kind is yaml.MappingStartEvent else []
        else:
            if kind is yaml.AliasEvent or (kind is yaml.DocumentStartEvent and root is not None):
                raise _DoubtfulError
            continue
        if event.anchor or event.tag:
            raise _DoubtfulError
        if here.__class__ is list:
            here.append(value)
        elif key is not None:
            here[key], key = value, None
        elif here is None:
            root = value
        elif value.__class__ is not str or value in here or value == "<<" or ":" in value or "{" in value or "[" in value:
            raise _DoubtfulError
        else:
            key = value
        if kind is not scalar:
            above.append((here, key))
            here, key = value, None
            if len(above) > DEPTH:
                raise _DoubtfulError
    return root if root.__class__ in (dict, list) else None


def _sure(text: str) -> JsonValue:
    """A plain scalar that starts as numbers do, and says only one thing."""
    if doubtful_number(text):
        raise _DoubtfulError
    return _number(text)


class _Reader:
    """Builds the tree from libyaml's events, so that anchors, tags and depth are seen before anything is built of them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.stack: list[tuple[Node, Node | None]] = []
        self.lost = False
        self.last: Any = None
        self.anchors: dict[str, JsonValue] = {}
        self.bare: dict[int, Node] = {}
        """Of each line the first key with neither colon nor value."""

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
                        self.lost = True
                        break
                elif kind in _HANDLED:
                    self._handle(event)
                    self.last = event
        except yaml.YAMLError as error:
            broken = True
            if told := Slips(self.source, self.last).of(error):
                self.source.at(*told)
        finally:
            loader.dispose()
        if not broken:
            self._tell_bare()
        if self.source.root is None and not self.source.findings:
            self.source.at(1, 1, "yaml.empty", "the file says nothing")
        if broken or self.lost:
            self.source.root = None  # half a tree would only make the same mistake seen again

    def _tell_bare(self) -> None:
        """Tell of each key that has no value, in the place of what else was told of it."""
        for key in self.bare.values():
            place = (key.line, key.column)
            self.source.findings = [one for one in self.source.findings if (one.line, one.column) != place]
            if glued := _GLUED_WITHIN.match(str(key.value)):
                self.source.at(key.line, key.column + glued.end(1), "yaml.syntax", NO_BLANK, f"write `{glued[1]}: …`")
                continue
            hint = f"write `{key.value}: …`; {IN_QUOTES}" if _NAME.fullmatch(str(key.value)) else IN_QUOTES
            self.source.at(*place, "yaml.syntax", f"`{key.value}` has no value", hint)

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
            key = self.stack[-1][1] if self.stack else None
            if key is None or key.value != "<<":  # of a merge it is told as a whole
                self._at(event, "yaml.alias", "an alias (*) is not taken", "write the value out")
            if key is not None:
                self.source.refuse(key)
            meant = self.anchors.get(event.anchor)  # so that nothing else is missed for want of it
            return Node("scalar", mark.line + 1, mark.column + 1, mark.index, event.end_mark.index, "*", meant)
        if event.anchor:
            self._at(event, "yaml.anchor", "an anchor (&) is not taken", "write the value where it is needed")
        negated = kind is yaml.ScalarEvent and not event.style and _NEGATED.match(self.source.text, mark.index)
        if negated:
            self._at(event, "yaml.tag", BANG, BANG_HINT)
        elif event.tag:
            self._at(event, "yaml.tag", "a tag (!) is not taken", "write the value without it")
        if kind is not yaml.ScalarEvent:
            return Node("map" if kind is yaml.MappingStartEvent else "list", mark.line + 1, mark.column + 1, mark.index)
        node = Node("scalar", mark.line + 1, mark.column + 1, mark.index, event.end_mark.index, event.style or "", event.value)
        if negated:
            node.value = self.source.text[node.start : node.end].strip()
        elif not event.style:
            node.value = self._plain(event)
        if event.anchor:
            self.anchors[event.anchor] = node.value
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
        if key.kind == "map" and self.source.text[key.start - 1 : key.start] == "{" and self.source.text[key.end : key.end + 1] == "}":
            self.lost = True
            self.bare.pop(key.line, None)
            inner = self.source.text[key.start + 1 : key.end - 1].strip()
            report(key.line, key.column - 1, "yaml.key", "an expression stands without braces", f"write {inner}")
        elif not isinstance(key.value, str) or key.kind != "scalar":
            comma = _DECIMALS.search(self.source.text, 0, key.end) if key.kind == "scalar" and node.value is None else None
            if comma:
                self.lost = True
                report(key.line, key.column - 1, "yaml.syntax", "a comma ends the value", f"write {comma[1]}.{comma[2]}: {_POINT}")
            else:
                report(key.line, key.column, "yaml.key", "a key must be text", "put it in quotes")
            self.source.refuse(node)  # what it holds is not looked at: who knows what was meant
            self.lost = self.lost or key.kind != "scalar"
            parent.fields.setdefault(self.source.text[key.start : key.end], (key, node))
        elif not key.style and (bare := _NO_COLON.match(key.value)):
            self.lost = True
            report(key.line, key.column + bare.end(1), "yaml.syntax", COLON_MISSING, f"write `{bare[1]}: {bare[2]}…`")
        elif not key.style and (glued := _GLUED.match(key.value)):
            self.lost = True
            report(key.line, key.column + glued.end(1), "yaml.syntax", NO_BLANK, f"write `{glued[1]}: …`")
        elif not node.end - node.start and node.kind == "scalar" and ":" not in self.source.text[key.end : node.start]:
            self.lost = True  # it may be the rest of the value before it
            self.bare.setdefault(key.line, key)
        elif key.value == "<<" and not key.style:
            self.lost = True  # what it would bring is not known
            report(key.line, key.column, "yaml.merge", "a merge key (<<) is not taken", "write the fields out")
        elif key.value in parent.fields:
            first, held = parent.fields[key.value]
            self.source.refuse(held)  # perhaps the other was meant
            self.lost = self.lost or key.value == "id"  # two items run into one: what else is seen of them has this cause
            hint = "if a new item begins here, write `- ` before it" if key.value == "id" else "delete one of them"
            report(key.line, key.column, "yaml.duplicate-key", f"the key `{key.value}` was already written on line {first.line}", hint)
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


_NAME = re.compile(r"[\w.-]+")
_DECIMALS = re.compile(r"(?<![\w.])(-?\d+),(\d+)\Z")
"""A number with a comma before its decimals, which ends a value within braces: the second half is read as a key without a value."""
_POINT = "decimals stand behind a point"
_NO_COLON = re.compile(r"([\w.-]+)[ \t]+([{\[])")
_NEGATED = re.compile(r"!(?:\w+[.(]|\(|[a-z_]\w*[ \t]*(?:[\n,}\]#&|=?]|$))")
"""The start of an expression such as ``!body.urgente``, ``!has(body.x)`` or ``!urgente``: to YAML a tag."""
_GLUED = re.compile(r"([\w.-]+):['\"\[{]")
"""A key that goes on as its value: ``oggetto:'"Pratica: "'``."""
_GLUED_WITHIN = re.compile(r"(\$?[A-Za-z_][\w.-]*):[^\s:]")
"""The same within ``{…}``, where it is all of a field: ``{mensa:body.domanda}``."""
NO_BLANK = "a blank is missing after the colon"
_HANDLED = frozenset({
    yaml.ScalarEvent, yaml.AliasEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent, yaml.MappingEndEvent, yaml.SequenceEndEvent,
})  # fmt: skip

_ENDS = frozenset({yaml.MappingEndEvent, yaml.SequenceEndEvent})
_STARTS = frozenset({yaml.MappingStartEvent, yaml.SequenceStartEvent})
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
_SHOWN = 60
"""Characters of a number that a finding repeats."""


def doubtful_number(text: str) -> tuple[str, str, str] | None:
    """(code, sentence, hint) for a plain scalar that YAML reads as a number and its author perhaps not; None when it is clear."""
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    hint = f'quote it: "{shown}"'
    if _NOT_FINITE.fullmatch(text):
        return "yaml.not-finite", f"`{shown}` would be a number without value", hint
    if not _LIKE_NUMBER.fullmatch(text):
        return None
    if re.match(r"[-+]?0[0-9a-zA-Z]", text):
        return "yaml.leading-zero", f"`{shown}` looks like a number with a leading zero", hint
    if len(re.findall(r"[0-9]", text)) > MOST_DIGITS:
        return "yaml.long-number", f"`{shown}` looks like a number with more than {MOST_DIGITS} digits", hint
    if not (_INTEGER.fullmatch(text) or _DECIMAL.fullmatch(text)):
        return "yaml.odd-number", f"`{shown}` is a number to YAML and perhaps not to you", f"{hint}, or write it with plain digits"
    return None


def _number(text: str) -> JsonValue:
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return text
