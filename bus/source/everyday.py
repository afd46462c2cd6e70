"""The everyday part of YAML, read for its values alone, by patterns: a third of the cost of libyaml's events.

Maps and lists in blocks of one key or item a line, flow collections, plain and quoted texts on one line, simple blocks of text. Whatever is
not surely read as libyaml reads it is `OddError`: an anchor, a tag, a text over several lines, a key twice, a number that might be a code.
Then the reader with places looks at the file. A test holds the two against one another, on all files there are and on thousands of
broken ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from bus.message import JsonValue


class OddError(Exception):
    """Something that is not of every day."""


_KEY = r"""([A-Za-z_$][\w.$/-]{0,200}+)|"([^"\\\n]{0,200}+)"|'([^'\n]{0,200}+)'"""
_QUOTED = r""""((?:[^"\\\n]|\\["\\nt])*+)"|'((?:[^'\n]|'')*+)'"""
_FIRST = r"""(?:[^ \n:#&*!|>'"%@`,\[\]{}?-]|-(?=[^ \n-]))"""
_PLAIN = rf"{_FIRST}(?:[^ \n:]|:(?=[^ \n]))*+(?: ++(?:[^ \n:#]|:(?=[^ \n]))(?:[^ \n:]|:(?=[^ \n]))*+)*+"
_AFTER = r"(?:[^ \n:,\[\]{}?]|[:?](?=[^ \n,\[\]{}:?]))*+"
_PLAIN_IN_FLOW = rf"(?!-[,\[\]{{}}]){_FIRST}{_AFTER}(?: ++(?!#)[^ \n,\[\]{{}}:?]{_AFTER})*+"
_END = r" *+(?:(?<= )#[^\n]*+)?\n"
_ENTRY = re.compile(rf"( *+)(- ++)?(?:{_KEY}):(?: ++(?:({_PLAIN})|{_QUOTED})?)?{_END}")
_ITEM = re.compile(rf"( *+)(- ++)(?:({_PLAIN})|{_QUOTED}){_END}")
_OPENED = re.compile(rf"( *+)(- ++)?(?:(?:{_KEY}): ++)?(?=[\[{{])")
_TEXT = re.compile(rf"( *+)(- ++)?(?:{_KEY}): ++([|>])(-?)\n")
_SPACE = re.compile(r"(?:[ \n]|(?<=[ \n])#[^\n]*+)*+")
_BLANK = re.compile(r"(?: *+(?:#[^\n]*+)?\n)++")
_REST = re.compile(_END)
_FIELD = re.compile(rf"(?:{_KEY}): ++(?:({_PLAIN_IN_FLOW})|{_QUOTED})?")
_VALUE = re.compile(rf"(?:({_PLAIN_IN_FLOW})|{_QUOTED})")
_ODD = re.compile("[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|^(?:---|\\.\\.\\.)", re.MULTILINE)


def values(text: str, plain: Callable[[str], JsonValue], depth: int) -> Any:
    """The document, a map or a list. ``plain`` says what a plain text is (and raises `OddError` when it is doubtful)."""
    if _ODD.search(text):
        raise OddError
    return _Reader(text, plain, depth).read()


class _Reader:
    def __init__(self, text: str, plain: Callable[[str], JsonValue], depth: int) -> None:
        self.ended = text.endswith("\n")
        self.text = text if self.ended else f"{text}\n"
        self.plain, self.depth = plain, depth
        self.stack: list[tuple[int, Any]] = []
        self.root: Any = None
        self.open: tuple[int, dict[str, Any], str] | None = None

    def read(self) -> Any:
        """One line of a block at a time: this loop is all that most files need."""
        text, entry, at, end = self.text, _ENTRY.match, 0, len(self.text)
        plain, place = self.plain, self._place
        while at < end:
            found = entry(text, at)
            if found is None:
                at = self._other(at)
                continue
            at = found.end()
            lead, dash, name, double, single, word, quoted, doubled = found.groups()
            if name is None:
                name = double if double is not None else single
            elif name in _NO_KEYS:
                raise OddError
            here = place(len(lead), dash)
            if name in here or name == "<<":
                raise OddError
            if word is not None:
                here[name] = plain(word)
            elif quoted is not None:
                here[name] = quoted if "\\" not in quoted else json.loads(f'"{quoted}"')
            elif doubled is not None:
                here[name] = doubled.replace("''", "'")
            else:
                here[name] = None
                self.open = (len(lead) + len(dash or ""), here, name)
        if self.root is None:
            raise OddError
        return self.root

    def _place(self, column: int, dash: str | None) -> dict[str, Any]:
        """The map that a key at a column belongs to; with a ``dash`` before it, a new one in the list there."""
        stack = self.stack
        if self.open is None and dash is None and stack and stack[-1][0] == column and stack[-1][1].__class__ is dict:
            top: dict[str, Any] = stack[-1][1]
            return top
        if dash is None:
            return self._holder(column, dict)  # type: ignore[no-any-return]
        made: dict[str, Any] = {}
        self._holder(column, list).append(made)
        self._push(column + len(dash), made)
        return made

    def _holder(self, column: int, kind: type[Any]) -> Any:
        """The list or map whose items or keys stand in a column; it begins here where a key above waits for its value."""
        stack = self.stack
        if self.open is not None:
            (outer, holder, name), self.open = self.open, None
            if column > outer or (column == outer and kind is list):
                holder[name] = made = kind()
                self._push(column, made)
                return made
        while stack and (stack[-1][0] > column or (stack[-1][0] == column and kind is dict and stack[-1][1].__class__ is list)):
            stack.pop()
        if not stack and self.root is None:
            self.root = made = kind()
            self._push(column, made)
            return made
        if not stack or stack[-1][0] != column or stack[-1][1].__class__ is not kind:
            raise OddError
        return stack[-1][1]

    def _push(self, column: int, made: Any) -> None:
        self.stack.append((column, made))
        if len(self.stack) > self.depth:
            raise OddError

    def _other(self, at: int) -> int:
        """A line that is no key with a short value; the place after it, and after all lines that belong to it."""
        if found := _BLANK.match(self.text, at):
            return found.end()
        if found := _ITEM.match(self.text, at):
            lead, dash, word, quoted, doubled = found.groups()
            self._holder(len(lead), list).append(self._scalar(word, quoted, doubled))
            return found.end()
        if found := _OPENED.match(self.text, at):
            lead, dash, *names = found.groups()
            name = self._name(names)
            if name is None and dash is None:
                raise OddError
            holder = self._holder(len(lead), list) if name is None else self._place(len(lead), dash)
            value, at = self._flow(found.end(), len(self.stack))
            self._put(holder, name, value)
            return self._matched(_REST, at).end()
        found = self._matched(_TEXT, at)
        lead, dash, *names, style, chomped = found.groups()
        column = len(lead) + len(dash or "")
        holder = self._place(len(lead), dash)
        value, at = self._block(found.end(), column, style, chomped)
        self._put(holder, self._name(names), value)
        return at

    def _matched(self, pattern: re.Pattern[str], at: int) -> re.Match[str]:
        if found := pattern.match(self.text, at):
            return found
        raise OddError

    def _scalar(self, word: str | None, quoted: str | None, doubled: str | None) -> JsonValue:
        if word is not None:
            return self.plain(word)
        if quoted is not None:
            return str(json.loads(f'"{quoted}"'))
        if doubled is None:
            raise OddError
        return doubled.replace("''", "'")

    @staticmethod
    def _name(said: list[str | None]) -> str | None:
        if said[0] in _NO_KEYS:
            raise OddError
        return next((one for one in said if one is not None), None)

    @staticmethod
    def _put(holder: Any, name: str | None, value: Any) -> None:
        if name is None:
            holder.append(value)
        elif name in holder or name == "<<":
            raise OddError
        else:
            holder[name] = value

    # --- what goes over several lines --------------------------------------------------------------------------------

    def _flow(self, at: int, depth: int) -> tuple[Any, int]:
        """A flow collection, and the place after it."""
        if depth >= self.depth:
            raise OddError
        text, space = self.text, _SPACE.match
        made: Any = {} if text[at] == "{" else []
        closing, pattern = ("}", _FIELD) if text[at] == "{" else ("]", _VALUE)
        at = space(text, at + 1).end()  # type: ignore[union-attr]
        while text[at : at + 1] != closing:
            found = pattern.match(text, at)
            if found is None:
                if closing == "}" or text[at : at + 1] not in {"{", "["}:
                    raise OddError
                value, at = self._flow(at, depth + 1)
                made.append(value)
            elif closing == "]":
                made.append(self._scalar(*found.groups()))
                at = found.end()
            else:
                *names, word, quoted, doubled = found.groups()
                at = found.end()
                if word is quoted is doubled is None:
                    if text[at : at + 1] not in {"{", "["}:
                        raise OddError
                    value, at = self._flow(at, depth + 1)
                else:
                    value = self._scalar(word, quoted, doubled)
                self._put(made, self._name(names), value)
            at = space(text, at).end()  # type: ignore[union-attr]
            if text[at : at + 1] == ",":
                at = space(text, at + 1).end()  # type: ignore[union-attr]
            elif text[at : at + 1] != closing:
                raise OddError
        return made, at + 1

    def _block(self, at: int, column: int, style: str, chomped: str) -> tuple[str, int]:
        """A text in a block: lines kept (``|``) or folded (``>``); one that has blanks or blank lines where folding minds them is odd."""
        indent, lines = 0, list[str]()
        while at < len(self.text):
            end = self.text.index("\n", at)
            line = self.text[at:end]
            if line.strip(" "):
                begins = len(line) - len(line.lstrip(" "))
                indent = indent or begins
                if begins < indent or begins <= column:
                    break
            elif not lines:
                raise OddError
            lines.append(line[indent:])
            at = end + 1
        while lines and not lines[-1]:
            lines.pop()
        if at == len(self.text) and not self.ended:
            raise OddError
        if not lines or lines[-1].isspace() or (style == ">" and any(not line or line[0] == " " for line in lines)):
            raise OddError
        return (" " if style == ">" else "\n").join(lines) + ("" if chomped else "\n"), at


_NO_KEYS = frozenset({"null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE"})
"""Plain words that are no text."""
