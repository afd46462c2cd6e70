"""Literals that a function or an operator never takes: what holds one fails on every message, and need not run to be found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from bus.errors import ExpressionError
from bus.expression import Environment, Expression, literal
from bus.expression.reading import BEHIND_A_NUMBER, TO_A_DATE

_TRIED = {
    ("_/_", 1): "1 / {}",
    ("_%_", 1): "1 % {}",
    ("timestamp", 0): "timestamp({})",
    ("duration", 0): "duration({})",
    ("int", 0): "int({})",
    ("double", 0): "double({})",
    ("bool", 0): "bool({})",
    ("matches", 1): '"".matches({})',
    ("date_add", 0): 'days_between({}, "2026-01-01")',
    ("date_add", 1): 'date_add("2026-01-01", {})',
    (BEHIND_A_NUMBER, 1): 'date_add("2026-01-01", "1" + {})',
    ("days_between", 0): 'days_between({}, "2026-01-01")',
    ("days_between", 1): 'days_between("2026-01-01", {})',
    ("working_day", 0): 'days_between({}, "2026-01-01")',
    ("date_of", 0): "date_of({})",
    ("year_of", 0): "year_of({})",
    ("cf_birth_date", 0): "cf_birth_date({})",
    ("cents", 0): "cents({})",
    ("number", 0): "number({})",
    ("pad", 1): 'pad("", {})',
}
"""What each operand is tried in; the other operands are good ones."""

_DATED = "a date is written 2026-03-01, a moment 2026-03-01T10:00:00Z"
_WORDS = {
    BEHIND_A_NUMBER: ("this is no unit by which a date moves", "behind the number stands d, wd (working days), w, M (months) or y"),
    "timestamp": ("this is no moment", f"{_DATED}; with dates date_add(...) and days_between(...) reckon"),
    "duration": ("this is no duration of CEL", "it takes 90s, 15m or 36h; date_add(...) moves dates by days and more"),
    "int": ("this is no whole number", "write its digits"),
    "double": ("this is no number", "write its digits, with a point before decimals"),
    "bool": ("this is neither true nor false", "write true or false, without quotes"),
    "matches": ("", "what is no pattern but a sign itself has two backslashes before it"),
    "number": ("", "write its digits, with a point or a comma before decimals"),
    "cents": ("", "write it as 1234.50"),
    "days_between": ("", _DATED),
    "working_day": ("", _DATED),
    "date_of": ("", _DATED),
    "year_of": ("", _DATED),
    "_/_": ("nothing can be divided by 0", "take another number, or ask first with ? :"),
    "_%_": ("nothing can be divided by 0", "take another number, or ask first with ? :"),
}
"""Sentences in place of those of CEL, and what to do."""

_TO_MATCH = "write both with a point, or both without one: orValue(0.0) * 1.1; int(...) or double(...) makes them the same type"
_TO_JOIN = "text(...) makes text of a number, number(...) a number of text; orValue(0) gives a number"
_FROM_ZERO = frozenset({"_[_]", "substring", "charAt"})


def misfits(expression: Expression) -> Iterator[tuple[str, str, int]]:
    """The literals of an expression that can never be right: (sentence, hint, offset) of each."""
    if is_bare_date(expression):
        date = expression.text.strip()
        yield "this subtracts numbers, and is no date", f"a date is a text, and has quotes of its own: '\"{date}\"'", 0
    for number in _THOUSANDS.finditer(expression.text) if ".000" in expression.text else ():
        if said := number[1]:
            yield f"{said} is {said.partition('.')[0]}: a point stands before decimals", f"write {said.replace('.', '')}", number.start(1)
    for offset, numbers in expression.reads.mixed.items():
        sentence = "what stands in the place of a missing value is of another type than the other side"
        yield sentence, _TO_MATCH if numbers else _TO_JOIN, offset
    for one in expression.reads.literals:
        if not one.path and (found := misfit(one.function, one.operand, one.value)) is not None:
            yield *found, one.offset


DAYS = re.compile(r"-?\d+(wd|[dwMy])")
"""A duration by which dates move."""
_THOUSANDS = re.compile(r"""\"[^\"]*\"|'[^']*'|(?<![\w.])([1-9]\d{0,2}\.000)(?![\w.])""")
"""A number with the point that stands between thousands in Italy; texts are passed over."""
_DATE = re.compile(r"\s*\d{4}-\d{1,2}-\d{1,2}\s*")


def unmoved(what: str, date: str, by: str) -> tuple[str, str]:
    """(sentence, hint) for a duration that is joined to ``what``; ``date`` is how the date of that is written."""
    return f"+ joins texts, and does not move {what} by {by}", f'write date_add({date}, "{by}")'


def is_bare_date(expression: Expression) -> bool:
    """Whether it is a date without quotes, which subtracts numbers."""
    return expression.in_cel and _DATE.fullmatch(expression.text) is not None


@lru_cache(maxsize=4096)
def misfit(function: str, operand: int, value: str | int) -> tuple[str, str] | None:
    """Why a value is none that a function takes as one of its operands, and what to do; None where it is, or nobody knows."""
    if function in _FROM_ZERO and operand and isinstance(value, int) and value < 0:
        return "places count from 0, and there is none before it", "the last one is [size(x) - 1]" if function == "_[_]" else ""
    if function == TO_A_DATE and isinstance(value, str) and DAYS.fullmatch(value):
        return unmoved("a date", "…", value)
    tried = _TRIED.get((function, operand))
    if tried is None:
        return None
    # days in place of working days: those would ask for the holidays, which take long to import
    text = literal(re.sub(r"(?<=\d)wd$", "d", value)) if isinstance(value, str) else str(value)
    try:
        _ALONE.compile(tried.format(text))({})
    except ExpressionError as error:
        sentence, hint = _WORDS.get(function, ("", error.hint))
        return sentence or error.sentence, hint
    return None


_ALONE = Environment(())
