"""One filter for whatever the bus says of itself: no line names a person by codice fiscale, however the text came into it."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog

from bus import diagnostics
from bus.errors import Refused, without_persons

WHO = "RSSMRA80A01H501U"


@pytest.fixture(autouse=True)
def configured():
    kept, handlers = structlog.get_config(), list(logging.getLogger().handlers)
    yield
    structlog.configure(**kept)
    logging.getLogger().handlers[:] = handlers


def raised() -> Exception:
    try:
        {}[WHO]
    except KeyError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    "fields",
    [
        {"sentence": f"nobody is called {WHO}"},
        {"error": repr(raised())},
        {"error": raised()},
        {"nested": {"list": [f"cf={WHO}"], WHO: 1}},
        {"url": f"https://a.example/x?q=%3D{WHO}%26y"},
        {"file": f"cf_{WHO.lower()}_1.pdf"},
        {"bytes": WHO.encode()},
        {WHO: "as the name of a field"},
        {"exc_info": raised()},
    ],
)
def test_no_line_names_a_person_however_deep_it_stands(capsys, fields):
    diagnostics.configure("debug")
    diagnostics.logger("snodo.prova").error("prova.riga", **fields)
    said = capsys.readouterr().err
    assert WHO not in said.upper()
    assert "[codice fiscale]" in said
    assert json.loads(said)["event"] == "prova.riga"


def test_lines_of_libraries_go_through_the_same_filter_and_have_the_same_form(capsys):
    diagnostics.configure()
    diagnostics.configure()
    logging.getLogger("altrui").warning("cannot open %s", f"/tmp/{WHO}.xml")
    logging.getLogger("altrui").critical("of 100 %")
    logging.getLogger("altrui").info("not said")
    try:
        raise ValueError(WHO)
    except ValueError:
        logging.getLogger("altrui").exception("and its trace")
    said = capsys.readouterr().err
    assert WHO not in said
    assert said.count("cannot open /tmp/[codice fiscale].xml") == 1
    lines = [json.loads(line) for line in said.splitlines()]
    assert [(line["level"], line["library"], line["event"]) for line in lines] == [
        ("warning", "altrui", "cannot open /tmp/[codice fiscale].xml"), ("error", "altrui", "of 100 %"), ("error", "altrui", "and its trace"),
    ]  # fmt: skip
    assert "ValueError: [codice fiscale]" in lines[2]["exception"]
    diagnostics.configure("error")
    logging.getLogger("altrui").warning("not said either")
    assert capsys.readouterr().err == ""


def test_codes_that_other_systems_give_name_nobody():
    error = Refused("no", outside_code=f"SOGGETTO {WHO} IGNOTO", code=f"outside.{WHO}")
    assert (error.outside_code, error.code) == ("SOGGETTO [codice fiscale] IGNOTO", "outside.[codice fiscale]")
    assert Refused("no", outside_code="A\0B\x1b[2J").outside_code == "A B [2J", "no terminal obeys it, and every database takes it"


def test_what_another_system_says_without_end_is_cut_in_a_sentence_and_a_code():
    """A fault of five megabytes was a sentence of five megabytes, in each list of dead letters."""
    error = Refused("x" * 5_000_000, outside_code="x" * 195 + WHO)
    assert (len(error.sentence), error.sentence[-2:]) == (2_000, "x…")
    assert error.outside_code == "x" * 195 + "[codi"


@pytest.mark.parametrize("text", ["0199e1c5-7a50-7c3f-8d65-0a4a6d6a2f11", "NON_TROVATA", "a" * 64, "RSSMRA80A01", "80001130857", ""])
def test_what_only_resembles_one_is_left_alone(text):
    assert without_persons(text) == text


NOBODY_CAUGHT = """
import sys, threading
from bus import diagnostics
diagnostics.configure()
class Bad:
    def __del__(self):
        raise KeyError(sys.argv[1])
def fails():
    raise KeyError(sys.argv[1])
thread = threading.Thread(target=fails, name="prova")
thread.start(), thread.join()
bad = Bad()
del bad
fails()
"""


def test_what_nobody_caught_names_nobody():
    """In a thread, a destructor, the process: Python itself would print it."""
    done = subprocess.run([sys.executable, "-c", NOBODY_CAUGHT, WHO], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("KeyError: '[codice fiscale]'"), WHO in done.stderr) == (1, 3, False)
    assert "Exception in thread prova:" in done.stderr


def test_lines_that_cannot_be_said_harm_nobody_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    diagnostics.configure("info")
    speaking = diagnostics.logger("snodo.prova")
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 - a device
        monkeypatch.setattr(sys, "stderr", full)
        speaking.warning("one")
        logging.getLogger("altri").warning("two")
        monkeypatch.setattr(sys, "stderr", None)
        speaking.warning("three")
        heard = io.StringIO()
        monkeypatch.setattr(sys, "stderr", heard)
        speaking.warning("four")
        speaking.warning("five")
        lines = [json.loads(line) for line in heard.getvalue().splitlines()]
        with contextlib.suppress(OSError):
            full.close()
    assert [line["event"] for line in lines] == ["log.lost", "four", "five"]
    assert lines[0]["lines"] == 3


def test_a_reader_that_stands_still_holds_up_nobody_and_is_told_how_much_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a journal that is stopped, or a container's log that nobody takes: the bus stood still with it, and could not be ended."""
    diagnostics.configure("info")
    speaking, (reading, writing) = diagnostics.logger("snodo.prova"), os.pipe()
    with open(reading, encoding="utf-8") as reader, open(writing, "w", encoding="utf-8") as said:  # noqa: PTH123 - a pipe
        monkeypatch.setattr(sys, "stderr", said)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: speaking.warning("many", number=number, text="à" * (number % 7) * 1000), range(200)))
        taken = os.read(reading, 1 << 20)
        speaking.warning("again")
        monkeypatch.undo()
        said.close()
        taken += reader.read().encode()
    lines = [line for line in taken.decode().splitlines() if line]
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    assert [line["event"] for line in whole[-2:]] == ["log.lost", "again"]
    assert len(lines) - len(whole) <= 1  # the one within which it stood still
    assert len(whole) - 2 + whole[-2]["lines"] == 200
