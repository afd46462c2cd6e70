"""Findings: one thing wrong or doubtful in a file, with its place; who takes them, and how they are shown."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, Protocol, TypeAlias

Severity = Literal["error", "warning"]
_PARTS = re.compile(r"[_.-]")
_OF_A_THING = frozenset({
    "case.unknown-key", "function.unknown", "name.maybe-null", "name.maybe-undefined", "name.reserved", "name.undefined",
    "reply.undeclared", "service.unknown-form", "service.unknown-route", "test.not-asked", "test.not-awaited", "test.not-sent",
})  # fmt: skip
"""What is one mistake, wherever in a file the thing that is not there is named."""
_OF_ALL_FILES = frozenset({
    "mapping.not-given", "mapping.unknown", "mapping.wrong-source", "mapping.wrong-target", "operation.unknown", "table.unknown",
    "type.unknown",
})  # fmt: skip
"""What is one mistake in however many files: often what they name is wrong, and none of them."""
EMPTY = "write its value, or leave the line out"
"""What to do about a field that says nothing, where null would be passed over in silence."""
Pointer: TypeAlias = "tuple[str | int, ...]"
"""Where a value is in a document: keys and positions from the root."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file of rules, as a finding says it."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong or doubtful in a file of rules. ``line`` and ``column`` count from 1, in characters. ``others``: where else it shows;
    people read it in ``hint``.
    """

    file: str
    line: int
    column: int
    code: str
    severity: Severity
    sentence: str
    hint: str = ""
    excerpt: str = field(default="", compare=False)
    others: tuple[Place, ...] = field(default=(), compare=False, kw_only=True)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity} {self.code}: {self.sentence}"


class Reporter(Protocol):
    """What takes findings: a `Source`, or `Notes` for rules that come from no file. ``also``: a field is found under another name, too."""

    findings: list[Finding]

    def report(
        self, pointer: Sequence[str | int], code: str, sentence: str, hint: str = "",
        severity: Severity = "error", *, key: bool = False, within: tuple[int, int] | None = None,
    ) -> None: ...  # fmt: skip

    def also(self, pointer: Sequence[str | int], name: str, other: str) -> None: ...


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

    def also(self, pointer: Sequence[str | int], name: str, other: str) -> None:
        """Places are pointers as they are."""


def report_empty(report: Reporter, pointer: Pointer, *, key: bool = False) -> None:
    """That a field says nothing, where null would be passed over in silence."""
    report.report(pointer, "field.invalid", f"`{pointer[-1]}` says nothing", EMPTY, key=key)


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def suggestion(word: str, known: Iterable[str]) -> str:
    """``did you mean …?``, or nothing when no known word is near; and which sign of the word only looks like a letter, or like nothing."""
    near = nearest(word, known)
    strange = next((one for one in word if not one.isascii() and not unicodedata.name(one, "").startswith("LATIN")), "")
    named = f" It has {unicodedata.name(strange, 'a sign')} (U+{ord(strange):04X})." if strange else ""
    return f"did you mean {near}?{named}" if near is not None else ""


def nearest(word: str, known: Iterable[str], least: float = 0.6) -> str | None:
    """The known word that was probably meant: the same but for capitals, a near one, of which ``least`` is the same (from 0 to 1), or the
    one of several parts whose initials were written (``cf`` for ``codice_fiscale``).
    """
    known = list(known)
    if (same := next((one for one in known if one.casefold() == word.casefold() and one != word), None)) is not None:
        return same
    if len(word) == 2 and (short := next((one for one in sorted(known) if len(one) == 2 and one[0] == word[0]), None)):
        return short
    near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=least)
    return next(iter(near or (one for one in sorted(known) if len(word) > 1 and _initials(one) == word.casefold())), None)


def _initials(word: str) -> str:
    return "".join(part[:1] for part in _PARTS.split(word.casefold()))


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by file and place. What several routes bring to light is said once, and so is a thing that several places of a file,
    or several files, miss: at the first, with where else.
    """
    found: dict[Hashable, list[Finding]] = {}
    for one in sorted(dict.fromkeys(findings), key=lambda one: (one.file, one.line, one.column, one.code)):
        found.setdefault(_cause(one), []).append(one)
    return [_with_places(first, others) for first, *others in found.values()]


def _cause(one: Finding) -> Hashable:
    if one.code in _OF_ALL_FILES:
        return one.code, one.sentence
    return (one.file, one.code, one.sentence) if one.code in _OF_A_THING else one


def _with_places(first: Finding, others: list[Finding]) -> Finding:
    if not others:
        return first
    places = [f"{f'{one.file}:' if one.file != first.file else ''}{one.line}:{one.column}" for one in others]
    more = len(places) - 5
    shown = ", ".join(places[:5]) + (f" and {more} more {'place' if more == 1 else 'places'}" if more > 0 else "")
    hint = f"{first.hint} (also at {shown})" if first.hint else f"also at {shown}"
    everywhere = tuple(place for one in others for place in (Place(one.file, one.line, one.column), *one.others))
    return replace(first, hint=hint, others=everywhere)


_WIDEST, _BEFORE = 200, 120
"""The longest line that is shown whole; of a longer one only what stands around the place, and this much before it."""


def render(findings: Iterable[Finding], form: str = "text") -> str:
    """Findings as ``text`` (with the source line and a caret) or ``json`` (a list of objects)."""
    if form == "json":
        text = json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2)
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # the name of a file may be no UTF-8, JSON is
    return "\n\n".join(_as_text(finding) for finding in findings)


def _as_text(finding: Finding) -> str:
    lines = [str(finding)]
    if finding.excerpt:
        start = max(finding.column - _BEFORE, 0) if len(finding.excerpt) > _WIDEST else 0
        shown = "…" * (start > 0) + finding.excerpt[start:]
        lead = shown[: finding.column - 1 - start + (start > 0)]
        caret = "".join("\t" if character == "\t" else " " for character in lead) + "^"
        lines += [f"  {finding.line:>4} | {shown}"] + [f"       | {caret}"] * (finding.column <= len(finding.excerpt) + 1)
    if finding.hint:
        lines.append(f"  hint: {finding.hint}")
    return "\n".join(lines)
