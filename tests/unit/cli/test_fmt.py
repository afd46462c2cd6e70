"""`bus fmt`: one layout; comments stay where they belong, and nothing means anything else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.cli import main
from bus.cli.layout import NotLaidOutError, laid_out
from bus.examine import load
from bus.source import read
from tests.corpus.files import BROKEN, world_in
from tests.corpus.world.operations import OPERATIONS

PROJECT = Path(__file__).parents[3]
OURS = [
    *PROJECT.glob("routes/**/*.yaml"),
    *PROJECT.glob("mappings/**/*.yaml"),
    *PROJECT.glob("docs/patterns/**/*.yaml"),
    PROJECT / "config.yaml",
]

MESSY = """\
# what this is
version: 1
route: prova.rotta     # its name

on: prova.istanza
steps:
    # the first
    - call: sistema.cerca   # asks
      id: a

      # who it is
      with:
          codice_fiscale: body.richiedente.codice_fiscale
      as: persona
      # - a step that was taken out
    - {reply: {nome: persona.nome}, id: b}
    - id: c
      set:
         testo: >-
              "a
              b"
      when: |
          persona.eta > 3
# the end
"""

LAID_OUT = """\
# what this is
route: prova.rotta     # its name
version: 1

on: prova.istanza
steps:
  # the first
  - id: a
    call: sistema.cerca   # asks

    # who it is
    with:
      codice_fiscale: body.richiedente.codice_fiscale
    as: persona
    # - a step that was taken out
  - {id: b, reply: {nome: persona.nome}}
  - id: c
    when: |
      persona.eta > 3
    set:
      testo: >-
        "a
        b"
# the end
"""


def test_a_messy_file_becomes_tidy() -> None:
    assert LAID_OUT.splitlines() == laid_out(MESSY).splitlines()


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_a_layout_says_the_same_and_stays(path: Path) -> None:
    text = path.read_text("utf-8")
    after = laid_out(text)
    assert after == laid_out(after)
    assert read(text.encode(), "").plain() == read(after.encode(), "").plain()
    assert sorted(line.strip() for line in text.splitlines() if line.strip().startswith("#")) == sorted(
        line.strip() for line in after.splitlines() if line.strip().startswith("#")
    )


def test_our_own_rules_are_laid_out() -> None:
    assert [] == [
        str(path)
        for path in OURS
        if path.is_relative_to(PROJECT / "routes") and laid_out(path.read_text("utf-8")) != path.read_text("utf-8")
    ]


def test_any_file_of_the_corpus_is_laid_out_or_refused_and_then_stays() -> None:
    for path in BROKEN:
        try:
            after = laid_out(path.read_text("utf-8"))
        except NotLaidOutError:
            continue
        assert after == laid_out(after), path


def test_codes_that_need_quotes_get_them() -> None:
    assert 'cap: "00118"\niuv: "302001234567890123"\n' == laid_out("cap: 00118\niuv: 302001234567890123\n")


@pytest.mark.parametrize("text", ["a: [1\n", "a: 1\na: 2\n", "- a\n", "", "a: &x 1\n", "\ta: 1\n"])
def test_what_is_no_good_yaml_is_left_alone(text: str) -> None:
    with pytest.raises(NotLaidOutError):
        laid_out(text)


def test_a_file_that_stands_in_braces_as_a_whole_is_told_so() -> None:
    with pytest.raises(NotLaidOutError, match="in braces"):
        laid_out("{a: 1}\n")


def test_the_shipped_rules_are_laid_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever tries `bus fmt --check` on them sees what it says of good ones."""
    folders = ("routes", "mappings", "docs/patterns")
    assert 0 == main(["fmt", "--check", *(str(PROJECT / folder) for folder in folders)])
    assert "0 files would change\n" == capsys.readouterr().out


def test_the_digest_of_the_rules_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = world_in(tmp_path / "rules")
    route = folder / "routes/buona.yaml"
    lines = route.read_text("utf-8").replace("\n      sistema.", "\n          sistema.").replace("clock:", "    clock:")
    route.write_text(lines.replace("version: 1\n", "").replace("steps:\n", "version: 1\nsteps:\n"), "utf-8")
    before = load(folder, OPERATIONS)
    assert 1 == main(["fmt", "--check", str(folder)])
    assert "+++" in capsys.readouterr().out
    assert 0 == main(["fmt", str(folder)])
    assert before.digest == load(folder, OPERATIONS).digest
    assert 0 == main(["fmt", "--check", str(folder)])
    assert [] == [path.name for path in folder.rglob(".*")]


@given(
    st.recursive(
        st.sampled_from(["x", "1", '"a # b"', "'it''s'", "true", "[1, {a: b}]", "{}", "|\n    two\n    lines", ""]),
        lambda inner: st.lists(st.tuples(st.sampled_from("abcd"), inner), min_size=1, max_size=3, unique_by=lambda pair: pair[0]),
        max_leaves=8,
    ),
    st.lists(st.sampled_from(["", "# remark", "    # deep"]), max_size=8),
)
def test_any_document_with_comments_is_laid_out_the_same_way_twice(value: object, remarks: list[str]) -> None:
    text = "\n".join(_lines({"k": value} if not isinstance(value, list) else dict(value), 0, iter(remarks))) + "\n"
    after = laid_out(text)
    assert after == laid_out(after), text


@pytest.mark.parametrize(
    "lead", ["k: ", "k:\n  - ", "k:\n  - a: ", "k:\n  -   a: ", "k:\n  - a: 1\n    b: ", "k:\n  - - ", "k:\n  - - a: "]
)
def test_a_flow_collection_with_a_comment_stays_where_it_is(lead: str) -> None:
    once = laid_out(f"{lead}{{x: 1,  # one\n            y: 2}}\n")
    assert once == laid_out(once)


def test_a_comment_behind_a_key_without_a_value_stays_where_it_is() -> None:
    assert "wait:  # only the time\n" == laid_out("wait:  # only the time\n")


def _lines(value: dict[str, object], indent: int, remarks: object) -> list[str]:
    lines: list[str] = []
    for key, inner in value.items():
        remark = next(remarks, None)  # type: ignore[call-overload]
        lines += [" " * indent + remark] if remark is not None else []
        if isinstance(inner, list):
            lines += [f"{' ' * indent}{key}:", *_lines(dict(inner), indent + 3, remarks)]
        else:
            lines.append(f"{' ' * indent}{key}: " + str(inner).replace("\n", "\n" + " " * indent))
    return lines


def test_blanks_at_the_end_of_a_line_of_a_block_belong_to_its_text() -> None:
    written = "route: x.y\nsteps:\n- id: t\n  when: >-   # folded\n    a   \n    == 1\n  set: {a: 1}\n"
    made = laid_out(written)
    assert "    when: >-   # folded\n      a   \n      == 1\n" in made
    assert made == laid_out(made)


@pytest.mark.parametrize(
    "data", ["route:   caffè\n".encode("latin-1"), "route:   a\n".encode("utf-16"), b"route:   a\0\n", b"\xef\xbb\xbfa:   1\n"]
)
def test_a_file_that_is_no_utf_8_stays_byte_for_byte_as_it_is(tmp_path: Path, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rotta.yaml"
    file.write_bytes(data)
    assert 1 == main(["fmt", str(file)])
    assert data == file.read_bytes()
    assert "left as it is" in capsys.readouterr().out


def test_comments_between_a_key_or_a_dash_and_what_stands_below_go_above_both() -> None:
    before = (
        "route: prova.rotta\nsteps:\n  - # first\n    id: a\n    reply:\n      x:\n        # one\n        1\n      y: # two\n"
        "        {z: 2}\n  - - # inner\n      3 # last\n"
    )
    after = laid_out(before)
    assert after == (
        "route: prova.rotta\nsteps:\n  # first\n  - id: a\n    reply:\n      # one\n      x: 1\n      # two\n      y: {z: 2}\n"
        "  # inner\n  - - 3  # last\n"
    )
    assert after == laid_out(after)


def test_a_comment_over_a_field_behind_a_list_whose_dashes_stand_below_its_key_stays_with_the_field() -> None:
    written = """\
steps:
- id: a
  choose:
  - when: body.x
    steps: []
    # of the clause
  # of otherwise
  otherwise: []
  # of a

# what is tried
tests:
- name: uno
# the last
"""
    tidy = """\
steps:
  - id: a
    choose:
      - when: body.x
        steps: []
        # of the clause
    # of otherwise
    otherwise: []
    # of a

# what is tried
tests:
  - name: uno
  # the last
"""
    assert tidy == laid_out(written)
    assert tidy == laid_out(tidy)


def test_a_file_that_is_not_read_as_rules_is_not_laid_out_and_told_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rotta.yml"
    file.write_text(MESSY, "utf-8")
    assert 2 == main(["fmt", str(file)])
    assert "the names of such files end in .yaml" in " ".join(capsys.readouterr().err.split())
    assert MESSY == file.read_text("utf-8")
    assert 2 == main(["fmt", str(tmp_path / "rotte")])
    assert "No such file or directory" in capsys.readouterr().err


def test_a_folder_that_is_not_ours_to_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Passed over in silence, its files would be taken for ones that are laid out."""
    (tmp_path / "chiusa").mkdir()
    (tmp_path / "a.yaml").write_text("a: 1\n")
    scandir = os.scandir

    def scan(path):
        if str(path).endswith("chiusa"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    assert main(["fmt", str(tmp_path)]) != 0
    told = capsys.readouterr()
    assert "chiusa" in told.err
    assert "Permission denied" in told.err


def test_the_lock_of_an_editor_keeps_no_folder_from_being_laid_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with unsaved changes in Emacs: the command ended at its lock, and laid out nothing behind it."""
    (tmp_path / "b.yaml").write_text(MESSY, "utf-8")
    (tmp_path / ".#b.yaml").symlink_to("somebody@host.1234:5678")
    (tmp_path / "a.yaml").symlink_to("gone.yaml")
    assert 0 == main(["fmt", str(tmp_path)])
    assert MESSY != (tmp_path / "b.yaml").read_text("utf-8")
