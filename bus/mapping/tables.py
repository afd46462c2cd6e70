"""Tables: code lists in CSV (mappings/tables/*.csv). The first column is the key; all values are text.

Strict: UTF-8 without BOM, a header of distinct names, rows of the same length, distinct keys, no control characters. At most 1 MB.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from bus.errors import counted
from bus.message import JsonValue, digest
from bus.source import LIMIT, Source, suggestion

_CONTROL = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f]")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Rows(dict[str, dict[str, JsonValue]]):
    """What `lookup` reads: key to row, column to value. Never changed once it is `shared`."""

    __slots__ = ("__weakref__",)


_IN_USE: WeakValueDictionary[str, Rows] = WeakValueDictionary()


def shared(rows: Mapping[str, dict[str, JsonValue]]) -> Rows:
    """These rows, as somebody in this process has them already if anybody does.

    Each edition of the rules and each earlier plan that is kept would have its own: 10 MB of a list of 20,000.
    """
    return _IN_USE.setdefault(digest([list(rows), rows]), Rows(rows))


@dataclass(frozen=True, slots=True)
class TableFile:
    """One table, with its rows as far as they can be read."""

    name: str
    columns: tuple[str, ...]
    rows: Rows


def read_table(data: bytes, name: str, shown: str) -> tuple[TableFile | None, Source]:
    """The table, or None, and the source with its findings; ``shown`` is how they call the file.

    Rows that are wrong are there as far as they can be read: whoever looks for their keys need not be told again.
    """
    source = Source(shown, data.decode("utf-8", "replace").replace("\r\n", "\n"))
    if problem := _unreadable(data):
        source.at(*problem)
        return None, source
    columns: list[str] = []
    rows: dict[str, dict[str, JsonValue]] = {}
    reader = csv.reader(io.StringIO(source.text, newline=""), strict=True)
    begins = 1  # a row with a quote may go over several lines, and over many where one is not closed
    try:
        for cells in reader:
            if not columns:
                columns = _header(cells, source)
            elif cells and not any(one.code == "table.header" for one in source.findings):  # how many columns there are is not known
                _add_row(cells, columns, rows, source, begins)
            begins = reader.line_num + 1
    except csv.Error as error:
        large = "field larger" in str(error)
        said = f"a value has more than {csv.field_size_limit():,} characters" if large else f"not CSV: {error}"
        ends = "nothing closes it" if "end of data" in str(error) else f"the next one, in line {reader.line_num}, closes it"
        hint = f"a quote opens in this row, and {ends}" if reader.line_num > begins or "end of data" in str(error) else ""
        source.at(begins, 1, "table.syntax", said, "" if large else hint)
    if not columns and not source.findings:
        source.at(1, 1, "table.empty", "the table has no header", "the first line names the columns, the first one is the key")
    readable = columns and not any(one.line == 1 for one in source.findings)
    return (TableFile(name, tuple(columns), shared(rows)) if readable else None), source


def hint_for(name: str, tables: Iterable[str]) -> str:
    """What to do where there is no table of a name."""
    file = "routes/servizi.yaml" if name == "servizi" else f"mappings/tables/{name}.csv"
    return suggestion(name, tables) or f"it is made of {file}, which is not there"


def _unreadable(data: bytes) -> tuple[Any, ...] | None:
    if len(data) > LIMIT:
        return 1, 1, "table.too-large", f"the table has more than {LIMIT} bytes"
    head = data.partition(b"\n")[0]
    commas = ", with commas between the columns" if b"," not in head and (b";" in head or b"\t" in head) else ""
    if data.startswith(b"\xef\xbb\xbf"):
        return 1, 1, "table.encoding", "the table starts with a byte order mark", f"save it as UTF-8 without BOM{commas}"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data[: error.start].count(b"\n") + 1, 1, "table.encoding", "the table is not UTF-8", f"save it as UTF-8{commas}"
    if found := _CONTROL.search(data):  # no XML can hold it
        said = f"a control character (U+{found[0][0]:04X}) is not taken"
        return data[: found.start()].count(b"\n") + 1, 1, "table.encoding", said, "delete it"
    return None


def _header(cells: list[str], source: Source) -> list[str]:
    wrong = [one for one in cells if not _COLUMN.fullmatch(one)]
    if any(mark in one for one in wrong for mark in ";\t"):
        source.at(1, 1, "table.header", f"`{wrong[0].expandtabs(1)}` cannot name a column", "separate columns with commas")
    elif wrong:
        named = " and ".join(f"`{one}`" for one in wrong[:3])
        said = f"{named} cannot name a column" if len(wrong) == 1 else f"{named} cannot name columns"
        source.at(1, 1, "table.header", said, "the first line names the columns: letters, digits and underscores, no comment above it")
    elif twice := next((one for position, one in enumerate(cells) if one in cells[:position]), None):
        source.at(1, 1, "table.header", f"the column `{twice}` is there twice", "give each a name of its own")
    return cells


def _add_row(cells: list[str], columns: list[str], rows: dict[str, dict[str, JsonValue]], source: Source, line: int) -> None:
    if len(cells) != len(columns):
        others = [] if len(cells) > 1 else re.split(r"[;\t]", cells[0])
        hint = "a value with a comma is written in quotes" if len(cells) > len(columns) else ""
        if others[1:]:
            hint = "separate columns with commas"
        source.at(line, 1, "table.ragged", f"the row has {counted(len(cells), 'value')}, the header {len(columns)}", hint)
        cells = others or cells
    elif cells[0] in rows:
        source.at(line, 1, "table.duplicate-key", f"the key `{cells[0]}` is there twice")
    elif not cells[0]:
        source.at(line, 1, "table.empty-key", "the row has no key")
    elif cells[0] != cells[0].strip():
        source.at(line, 1, "table.blank-key", f"a blank stands beside the key `{cells[0].strip()}`", "delete it")
    elif hidden := next((one for one in cells[0] if not one.isprintable()), ""):
        named = unicodedata.name(hidden, "a control character")
        source.at(
            line, 1, "table.blank-key", f"in the key `{cells[0]}` stands what nobody sees: {named} (U+{ord(hidden):04X})", "delete it"
        )
    if key := cells[0].strip():
        rows.setdefault(key, {column: cells[at] if at < len(cells) else "" for at, column in enumerate(columns)})
