"""Tables are read strictly."""

from __future__ import annotations

import gc
from pathlib import Path
from weakref import ref

import pytest

from bus.mapping.tables import Rows, hint_for, read_table, shared


def read(tmp_path: Path, data: bytes):
    path = tmp_path / "uffici.csv"
    path.write_bytes(data)
    return read_table(path.read_bytes(), "uffici", str(path))


def test_the_first_column_is_the_key_and_values_are_text(tmp_path: Path) -> None:
    table, source = read(tmp_path, b'codice,nome\r\n0118,"Uno, due"\r\n\r\nB,\r\n')
    assert [] == source.findings
    assert table is not None
    assert {"0118": {"codice": "0118", "nome": "Uno, due"}, "B": {"codice": "B", "nome": ""}} == table.rows


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"codice,nome\nA,1\nA,2\n", "table.duplicate-key", 3),
        (b"codice,nome\nA,1,2\n", "table.ragged", 2),
        (b"codice,nome\nA\n", "table.ragged", 2),
        (b"codice,nome\n,x\n", "table.empty-key", 2),
        (b"codice,nome\nA ,x\n", "table.blank-key", 2),
        (b"codice,nome\nA,x\n\tB,x\n", "table.blank-key", 3),
        (b"codice;nome\nA;1\n", "table.header", 1),
        (b"codice\tnome\nA\t1\n", "table.header", 1),
        (b"A-1,Centro storico\nA-2,Periferia\n", "table.header", 1),
        (b"# zone\ncodice,nome\nA,1\nB,2\n", "table.header", 1),
        (b"codice,codice\nA,1\n", "table.header", 1),
        (b"", "table.empty", 1),
        (b"codice,nome\nA,caff\xe8\n", "table.encoding", 2),
        (b"\xef\xbb\xbfcodice,nome\n", "table.encoding", 1),
        (b"codice,nome\nA,\0\n", "table.encoding", 2),
        (b'codice,nome\nA,"aperta\n', "table.syntax", 2),
        (b'codice,nome\nA,"aperta\nB,2\nC,"3, 4"\n', "table.syntax", 2),
        (b'"codice,nome\nA,1\nB,2\n', "table.syntax", 1),
        (b'codice,nome\nA,1\n"B\n",2\n', "table.blank-key", 3),
        (b"codice,nome\nA,uno\x0bdue\n", "table.encoding", 2),
        ("codice,nome\nA\u200bB,1\n".encode(), "table.blank-key", 2),
        ("codice,nome\nA\u00a0B,1\n".encode(), "table.blank-key", 2),
        (b"codice,nome\n" + b"x" * 1_000_000, "table.too-large", 1),
    ],
)
def test_a_broken_table_is_a_finding_at_its_line(tmp_path: Path, data: bytes, code: str, line: int) -> None:
    _, source = read(tmp_path, data)
    assert [(code, line)] == [(f.code, f.line) for f in source.findings]


def test_a_key_that_is_there_twice_is_named(tmp_path: Path) -> None:
    _, source = read(tmp_path, b"codice,nome\nA,uno\nB,due\nA,tre\n")
    assert ["the key `A` is there twice"] == [one.sentence for one in source.findings]


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b'codice,nome\nA,"aperta\nB,2\n', "a quote opens in this row, and nothing closes it"),
        (b'codice,nome\nA,"aperta\nB,2\nC,"3, 4"\n', "a quote opens in this row, and the next one, in line 4, closes it"),
    ],
)
def test_a_quote_that_is_not_closed_is_told_where_it_opens(tmp_path: Path, data: bytes, hint: str) -> None:
    assert [hint] == [f.hint for f in read(tmp_path, data)[1].findings]


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"\xef\xbb\xbfcodice;nome\r\nA;1\r\n", "save it as UTF-8 without BOM, with commas between the columns"),
        (b"codice;nome\r\nA;caff\xe8\r\n", "save it as UTF-8, with commas between the columns"),
        (b"codice,nome\nA,caff\xe8;\n", "save it as UTF-8"),
    ],
)
def test_a_table_as_an_italian_spreadsheet_saves_it_is_told_all_at_once(tmp_path: Path, data: bytes, hint: str) -> None:
    assert [hint] == [f.hint for f in read(tmp_path, data)[1].findings]


def test_what_nobody_sees_in_a_key_is_named(tmp_path: Path) -> None:
    [found] = read(tmp_path, "codice,nome\nA\u200b,1\n".encode())[1].findings
    assert "ZERO WIDTH SPACE (U+200B)" in found.sentence


def test_a_value_that_is_too_long_is_told_in_our_words(tmp_path: Path) -> None:
    assert ["a value has more than 131,072 characters"] == [
        f.sentence for f in read(tmp_path, b"codice,nome\nA," + b"x" * 140_000)[1].findings
    ]


def test_who_looks_for_the_key_of_a_wrong_row_finds_it(tmp_path: Path) -> None:
    table, source = read(tmp_path, b"codice,nome\nA,1,2\n B,x\nC\n,y\n")
    assert 4 == len(source.findings)
    assert table is not None
    assert {"A", "B", "C"} == table.rows.keys()


@pytest.mark.parametrize("data", [b"", b"codice;nome\nA;1\n", b"\xef\xbb\xbfcodice,nome\n"])
def test_a_table_of_which_no_column_is_known_is_none(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data)[0] is None


def test_a_row_with_another_separator_is_still_known_by_its_key() -> None:
    """Pasted out of a spreadsheet: whoever looks for its key need not be told again."""
    table, source = read_table(b"codice,nome\nA,1\nB;2\n", "zone", "zone.csv")
    assert table is not None
    assert ["A", "B"] == list(table.rows)
    [told] = source.findings
    assert ("the row has 1 value, the header 2", "separate columns with commas") == (told.sentence, told.hint)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ufici", "did you mean uffici?"),
        ("zone", "it is made of mappings/tables/zone.csv, which is not there"),
        ("servizi", "it is made of routes/servizi.yaml, which is not there"),
    ],
)
def test_of_a_table_that_is_not_there_it_is_told_what_it_is_made_of(name: str, hint: str) -> None:
    """Whoever copies a type of another project knows its name, and not where it comes from."""
    assert hint == hint_for(name, ["uffici"])


def test_equal_tables_have_their_rows_once_and_only_while_somebody_has_them(tmp_path: Path) -> None:
    """Each edition of the rules that was put in force kept its own: 46 MB where five routes look into 20,000 rows."""

    def rows(data: bytes) -> Rows:
        table, _ = read(tmp_path, data)
        assert table is not None
        return table.rows

    one = rows(b"codice,nome\nsolo-qui,Uno\nB,Due\n")
    assert one is rows(b'codice,nome\r\nsolo-qui,"Uno"\r\nB,Due\r\n')
    assert one is not rows(b"codice,nome\nB,Due\nsolo-qui,Uno\n"), "`rows` gives them in order"
    assert one is shared({key: dict(row) for key, row in one.items()})
    gone = ref(one)
    del one
    gc.collect()
    assert gone() is None
