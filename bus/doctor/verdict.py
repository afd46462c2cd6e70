"""What a check says, and what it is given to look at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from bus.adapter import Adapter
from bus.config import Config
from bus.doctor.codes import CODES
from bus.store import Tx
from bus.store.opening import open_reader
from bus.store.schema import REVISION
from bus.store.survey import Survey

Level: TypeAlias = Literal["ok", "warning", "wrong"]
UNTOLD = "not looked at: the secret that is its address is not there"
UNGUARDED = "whoever is on the way can read it, or answer in the place of who is asked"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line: what is so, where; and unless all is well, why that matters and what to do next (from `bus.doctor.codes` if not said)."""

    code: str
    level: Level
    what: str
    where: str = ""
    why: str = ""
    next: str = ""


def ok(code: str, what: str, where: str = "") -> Verdict:
    return Verdict(code, "ok", what, where)


def warning(code: str, what: str, where: str = "", *, why: str = "", next: str = "") -> Verdict:
    return Verdict(code, "warning", what, where, why or CODES[code].meaning, next or CODES[code].cure)


def wrong(code: str, what: str, where: str = "", *, why: str = "", next: str = "") -> Verdict:
    return Verdict(code, "wrong", what, where, why or CODES[code].meaning, next or CODES[code].cure)


@dataclass(slots=True)
class Surroundings:
    """What checks look at. The first ones fill it for the later ones; what could not be had is None or empty, and passed over.

    ``lacking``: whether a secret is not there, or is none; ``adapters`` are those that could be made.
    """

    path: Path
    now: Callable[[], dt.datetime]
    config: Config | None = None
    lacking: bool = False
    adapters: Mapping[str, Adapter] = field(default_factory=dict)
    store: Survey | None = None

    @property
    def settings(self) -> Config:
        """The settings; only for checks that `needs_settings`."""
        assert self.config is not None
        return self.config

    @property
    def database(self) -> Survey:
        """What the database was found to be; only for checks that `needs_store`."""
        assert self.store is not None
        return self.store

    @property
    def readable(self) -> bool:
        """Whether the database has the schema that this program speaks; only for checks that `needs_store`."""
        return self.database.revision == REVISION

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """What no figure tells is read in one look at the database; only where it is `readable`."""
        with closing(open_reader(self.settings.store.url)) as reader, reader.read() as tx:
            yield tx

    def rows(self, figure: str) -> Sequence[dict[str, Any]]:
        """A figure of the database; none where it has no such rows."""
        return self.database.figures.get(figure, ())

    def value(self, figure: str, column: str) -> Any:
        """A column of a figure's first row, or None."""
        return next((row[column] for row in self.rows(figure)), None)


Check: TypeAlias = Callable[[Surroundings], Iterable[Verdict]]


def needs_settings(check: Check) -> Check:
    """The check, which finds nothing to look at where there are no settings."""
    return lambda at: () if at.config is None else check(at)


def needs_store(check: Check) -> Check:
    """The check, which finds nothing to look at where there is no database."""
    return lambda at: () if at.store is None else check(at)


def needs_figures(check: Check, code: str, *figures: str) -> Check:
    """Where one of the ``figures`` of the database could not be had, say so: nobody may take that for nothing found."""

    def checked(at: Surroundings) -> Iterable[Verdict]:
        missed = None if at.store is None else next((at.store.missed[name] for name in figures if name in at.store.missed), None)
        return needs_store(check)(at) if missed is None else [warning(code, f"not looked at: {missed.sentence}", next=missed.hint)]

    return checked


def megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB" if size < 1e10 else f"{size / 1e9:,.0f} GB"
