"""What the exit code of a command says: the same of the same mistake, whether the command finds it or the bus."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from bus.cli import failures
from bus.cli.plan import OTHERWISE
from tests.small_bus import write

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "words",
    [
        "runs --state ieri", "log search ieri", "log search --outcome ieri", "log search --from ieri", "log search --text x",
        "log export --from ieri --to 2026-11-30 --purpose prova", "log export --purpose prova", "log export --purpose x --case x",
        "tail --once --outcome ieri", "rollback --to abc --reason prova", "send ieri {}", "plan --routes nessuna", "test --mutate --least 200",
        "graph --all x",
    ],
)  # fmt: skip
def test_words_that_cannot_be_meant_are_wrong_usage_whoever_says_so(bus, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    code, out, err = bus(*words.split())
    assert (code, out, err.startswith("error: ")) == (2, "", True)


def test_what_the_bus_refuses_is_no_wrong_usage(bus, tmp_path):
    body = tmp_path / "body.json"
    body.write_text('{"nome": 7}')
    assert bus("send", "prova.saluto", body)[0] == 1


def test_a_codice_fiscale_is_no_reason(bus):
    code, _, err = bus("report", "accesses", "--from", "2026-11-20", "--purpose", "BNCNNA80A41B429E")
    assert (code, "code: reason.person" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("dead decide RUN --reason x", "say one of them: --happened or --again"),
        ("replay", "say what: a run, a message or a case; or --from and --to; or --bundle"),
        ("log show", "say whose records: an id, or one of --run, --message, --case"),
        ("graph --all x", "say a route or --all, not both"),
        ("report accesses", "Invalid value for --from: say which time: --from with a day, or --from and --to"),
    ],
)
def test_of_words_that_lack_something_it_is_said_what(bus, words, said):
    assert bus(*words.split())[2].splitlines()[0] == f"error: {said}"


@pytest.mark.parametrize(
    "words",
    [
        "log export --from 2026-01-01 --to 2100-01-01 --purpose prova --out",
        "report accesses --from 2026-01-01 --to 2100-01-01 --purpose prova -o",
    ],
)
def test_what_people_said_and_did_is_written_for_the_eyes_of_whoever_asked(bus, tmp_path, words):
    body = tmp_path / "body.json"
    body.write_text('{"nome": "Ada"}')
    assert bus("send", "prova.saluto", body)[0] == 0
    assert bus(*words.split(), tmp_path / "fascicolo")[0] == 0
    assert stat.filemode((tmp_path / "fascicolo").stat().st_mode) == "-rw-------"


def test_a_list_that_ends_at_its_limit_says_so(bus, tmp_path):
    body = tmp_path / "body.json"
    body.write_text('{"nome": "Ada"}')
    for _ in range(2):
        assert bus("send", "prova.saluto", body)[0] == 0
    code, out, err = bus("runs", "--limit", "1")
    assert (code, out.count("prova.saluta@1")) == (0, 1)
    assert err == "the newest 1; there may be older ones: --limit, or `bus log search runs`\n"
    assert bus("runs", "--limit", "1", "--json")[2] == bus("runs")[2] == ""


def test_every_code_of_wrong_words_is_documented():
    page = (ROOT / "docs/reference/errors.md").read_text("utf-8")
    assert {code for code in failures.WRONG_WORDS if f"| `{code}` |" not in page} == set()


def test_the_page_of_the_sysadmin_tells_every_exit_code():
    page = (ROOT / "docs/sysadmin/README.md").read_text("utf-8")
    told = set(map(int, re.findall(r"^\| (\d+) \|", page, re.MULTILINE)))
    known = {failures.FINDINGS, failures.USAGE, failures.UNREACHABLE, OTHERWISE, failures.NOT_VERIFIED, failures.INTERRUPTED}
    assert told == {0} | known


def test_whoever_has_to_act_on_a_call_in_doubt_is_the_operator(bus):
    assert bus("explain", "call.in-doubt")[1].endswith("who acts: The operator\n")
    assert "who acts: Who calls the bus" in bus("explain", "cli.usage")[1]
