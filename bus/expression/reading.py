"""What an expression refers to, as far as its text tells: paths, look-ups, comparisons, and what is written out in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bus.expression.walked import Walk

COMPARISONS = frozenset({"_<_", "_<=_", "_>_", "_>=_", "_==_", "_!=_"})
RECKONING = frozenset({"_+_", "_-_", "_*_", "_/_", "_%_"})
OF_DATES = frozenset({"date_add", "days_between", "working_day"})
"""Functions that take dates, and no moments."""
TO_A_DATE = "_+_ to a date"
"""The function of a literal that is joined to a date which another function gives."""
BEHIND_A_NUMBER = "date_add by a number and"
"""The function of a literal with which a duration ends that is put together: the unit in ``text(n) + "d"``."""
COMPARING = frozenset({"_==_", "_!=_", "@in"})


def as_written(path: Sequence[str]) -> str:
    """A path as it is written: ``body.righe[].importo``."""
    return ".".join(path).replace(".[]", "[]")


@dataclass(frozen=True, slots=True)
class Reference:
    """A path that an expression reads, such as ``("body", "richiedente", "nome")``; ``[]`` stands for each item of a list.

    ``offset`` is where it ends in the text, in characters; ``tested`` when only its presence is asked (``has``); ``needed`` when the
    expression has no value where there is none: it is no optional (``.?``), and not behind ``&&``, ``||`` or ``?``; ``bare`` when an
    operator or function takes it that refuses null, ``kept`` when ``orValue``, which gives a null on, has another value for none, and
    ``same`` when what this is compared with is neither;
    ``free`` when nothing around it asks a question, neither those signs nor a filter; ``never`` when it is read just where `has` has said
    that it is not there; ``sifted`` are the paths that the filters around it ask of each item; ``settled`` counts the pieces that lead to
    the items of a list for which another one stands where there is none: none of them is missing.
    """

    path: tuple[str, ...]
    offset: int
    tested: bool = False
    needed: bool = True
    bare: bool = False
    kept: bool = False
    same: bool = False
    free: bool = False
    never: bool = False
    sifted: tuple[tuple[str, ...], ...] = ()
    settled: int = 0

    @property
    def text(self) -> str:
        return as_written(self.path)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A ``lookup`` or ``rows`` whose table (and key, and column) is written out; None where it is computed.

    ``path`` is what the key is read from, where that is a path; ``below`` are the fields that are read of what is found; ``whole``: the
    value of the expression is what is found, or what is ``below``; ``rows``: it is ``rows``, for which the order of the table counts;
    ``by``: table and column of another look-up whose text is surely the key.
    """

    table: str | None
    column: str | None
    offset: int
    key: str | None = None
    path: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    whole: bool = False
    rows: bool = False
    by: tuple[str, str] | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """What is read of a row: a column, and what lies in it; nothing where it is the row itself."""
        return ((self.column,) if self.column is not None else ()) + self.below


@dataclass(frozen=True, slots=True)
class Cell:
    """A column that is read of each row of ``rows``; ``offset`` is where its name starts."""

    table: str
    column: str
    offset: int


@dataclass(frozen=True, slots=True)
class Told:
    """A value, written out, that an expression may give: a side of a ``? :``, or what stands for none; ``offset`` is where it starts.

    ``path`` leads to it within objects and lists that are written out (`[]`: an item); empty where it is the whole.
    """

    value: str | int | float | bool | None
    offset: int
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """The schema of one of several values of an expression ({}: not known); ``spared``: another value stands for its null."""

    shape: Mapping[str, Any]
    spared: bool


@dataclass(frozen=True, slots=True)
class Literal:
    """A text or whole number, written out, that a function or operator gets as one of its operands; ``offset`` is where it starts.

    ``path``: it stands for what is there, where that is missing.
    """

    function: str
    operand: int
    value: str | int
    offset: int
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pick:
    """``{"a": 1, "b": 2}[path]``, whose value something needs: the keys that are written out; ``offset`` is where the path starts."""

    path: tuple[str, ...]
    keys: frozenset[str]
    offset: int


@dataclass(frozen=True, slots=True)
class Place:
    """``list[2]`` whose value something needs, or ``first(list)`` of which it needs a field: the path of the list, and the place.

    ``or_none``: an empty list stands for one that is not there.
    """

    path: tuple[str, ...]
    number: int
    or_none: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """Two values that are compared. Of each its path, or what form it surely has: ``date``, ``date-time``, or ``text`` that is neither.

    ``offset`` is where the operator stands.
    """

    left: tuple[str, ...] | str
    right: tuple[str, ...] | str
    function: str
    offset: int


@dataclass(frozen=True, slots=True)
class Size:
    """A number, written out, with which ``size`` of something is compared; ``path`` is that of the thing, () where it is computed.

    ``offset`` is where the operator stands.
    """

    function: str
    path: tuple[str, ...]
    number: int
    offset: int


@dataclass(frozen=True, slots=True)
class Compared:
    """A path compared with values that are written out, each with where it starts; ``whole``: with nothing else, and as it is. Where
    `orValue` has another value for none, that is not among them. ``offset`` is that of the path, as its `Reference` has it.
    """

    function: str
    path: tuple[str, ...]
    values: tuple[tuple[Any, int], ...]
    whole: bool
    offset: int

    @property
    def texts(self) -> Iterator[tuple[str, int]]:
        """The texts that it may be the same as (``==``, ``!=``, ``in`` a list)."""
        found = self.values if self.function in COMPARING else ()
        return ((value, offset) for value, offset in found if isinstance(value, str) and value)


@dataclass(frozen=True, slots=True)
class Argument:
    """A path that a function of dates takes, as text where ``function`` is `text`, or an operator beside a value that is written out:
    ``beside`` is the kind of that; ``offset`` is the function's; ``spared``: another value stands for one that is missing.
    """

    function: str
    path: tuple[str, ...]
    offset: int
    beside: str = ""
    spared: bool = False


@dataclass(frozen=True, slots=True)
class Converted:
    """A text of which a function makes a number: ``path`` leads to it, or it is the ``column`` of a row of ``table``, of that with a
    ``key`` where this is written out. ``beside`` are the paths that the number is reckoned with.
    """

    function: str
    offset: int
    path: tuple[str, ...] = ()
    table: str = ""
    column: str = ""
    key: str = ""
    beside: tuple[tuple[str, ...], ...] = ()


@dataclass(slots=True)
class Reading:
    """What one expression refers to."""

    references: list[Reference] = field(default_factory=list)
    holders: list[Reference] = field(default_factory=list)
    """What `has` asks a field of, where it is asked: without it there is no answer."""
    lookups: list[Lookup] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    """The columns that it reads of all rows of a table."""
    compared: list[Compared] = field(default_factory=list)
    """What its paths are compared with, as far as that is written out."""
    pairs: list[Pair] = field(default_factory=list)
    """The values that it compares with one another."""
    sizes: list[Size] = field(default_factory=list)
    """The numbers with which it compares how many items, or how long a text, there is."""
    places: list[Place] = field(default_factory=list)
    """The items that it asks of lists by their place."""
    picks: list[Pick] = field(default_factory=list)
    """What it picks by a path out of what is written out."""
    arguments: list[Argument] = field(default_factory=list)
    """The paths whose values some functions and operators take as they are."""
    numbers: list[tuple[tuple[str, ...], int]] = field(default_factory=list)
    """What is reckoned with what `number` makes: its path, () of one with decimals that is written out; and where the operator stands."""
    converted: list[Converted] = field(default_factory=list)
    """The texts of which it makes numbers."""
    literals: list[Literal] = field(default_factory=list)
    """What is written out among the operands of its functions and operators."""
    results: list[Told] = field(default_factory=list)
    """The values, written out, between which it chooses with ``? :`` or that it gives for none, and those in what it makes of them."""
    texts: frozenset[str] = frozenset()
    """The texts, all of them written out, of which it gives one; empty where it may give anything else."""
    mixed: dict[int, bool] = field(default_factory=dict)
    """Offsets of operators between a value and one of another type, where only what `orValue` gives tells; and whether both are numbers."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """The schema of an object that it writes out, or of a list (`bus.expression.made`); {} where it does not."""
    walks: tuple[Walk, ...] = ()
    """The tables whose rows its macros go over: whenever it is evaluated, and for each part that only some values reach."""
    sides: tuple[Side, ...] = ()
    """What is known of each value between which it chooses, and of each list that it joins; of one alone where it does neither."""
    sifted: tuple[tuple[str, ...], ...] = ()
    """The paths of which each item of its list is one: ``list.filter(...)``, ``[one] + list``; empty where it gives something else."""
    asks: tuple[tuple[str, ...], ...] = ()
    """What the filters of that list, or of ``first``, ask of each item: paths below it."""
    row: str = ""
    """The table of which it gives a row; empty where it gives something else."""
    whole: tuple[str, ...] = ()
    """The path that it is, and nothing else: ``body.righe[size(body.righe) - 1].nome``; empty where it is not, or may lead to nothing."""
    first: tuple[tuple[str, ...], ...] = ()
    """The paths of which it gives an item: ``first(list)``, ``list.filter(...)[0]``; empty where it gives something else."""
    perhaps: bool = False
    """Whether it is `first` of some items, of which there may be none: then it is null."""
    loose_optional: int | None = None
    """The offset of an optional value used as if it were plain."""
    loose_type: int | None = None
    """The offset of a type (``type(x)``, ``string``) that is not only compared: it is no value of JSON."""

    @property
    def items(self) -> list[Reference]:
        """The paths that lead to, or through, each item of a list, where nothing asks about it first."""
        return [one for one in self.references if one.free and "[]" in one.path]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(reference.path[0] for reference in self.references)

    def texts_beside(self, path: Sequence[str]) -> Iterator[str]:
        """The texts, written out, that it asks whether the value of a path is one of."""
        return (text for one in self.compared if one.path == path for text, _ in one.texts)
