"""What programs rely on: lists by default, errors as JSON, one record of truth on standard output."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from bus import source
from bus.cli import demo, watch
from bus.client import Client, ClientError
from bus.disk import READ_ONLY
from bus.errors import ConfigError, counted
from bus.testing.simulators import SimulatorFailed
from bus.testing.town import Town
from bus.testing.town import key_of as town_key
from tests.small_bus import key_of, write
from tests.unit.cli.conftest import sent

ROOT = Path(__file__).parents[3]


def ended(bus, tmp_path, type, nome):
    """The id of a message that has come to its end: what is shown of it changes no more."""
    message = sent(bus, tmp_path, type, nome)["id"]
    with Client(os.environ["SNODO_URL"], key_of("sistemista")) as client:
        client.wait_for(message)
    return message


def run_of(bus, message):
    return next(one["id"] for one in json.loads(bus("runs", "--json")[1])["runs"] if one["message"] == message)


def failed(told):
    """The exit code and the object of an error; nothing else was printed."""
    code, out, err = told
    assert out == ""
    assert err.count("\n") == 1
    return code, json.loads(err)


@pytest.mark.parametrize(("name", "field"), [("runs", "runs"), ("dead", "dead"), ("services", "servizi")])
def test_a_family_that_lists_does_so_when_it_is_told_nothing(bus, tmp_path, name, field):
    ended(bus, tmp_path, "prova.saluto", "Ada")
    code, out, err = bus(name, "--json")
    assert (code, err) == (0, "")
    assert field in json.loads(out)
    assert bus(name, "--json")[1] == bus(name, "list", "--json")[1]


def test_a_family_that_lists_needs_no_option(bus):
    assert bus("services") == bus("services", "list")
    assert bus("services")[0] == 0


def test_a_family_that_shows_does_so_when_it_is_told_what(bus, tmp_path):
    message = ended(bus, tmp_path, "prova.saluto", "Eva")
    run = run_of(bus, message)
    assert bus("runs", run) == bus("runs", "show", run)
    assert bus("case", "istanza:Eva") == bus("case", "show", "istanza:Eva")
    assert bus("case", "istanza:Eva")[0] == 0
    assert "No such command 'lst'" in bus("runs", "lst")[2]


def test_a_body_may_be_written_on_the_command_line(bus):
    code, out, _ = bus("send", "prova.saluto", '{"nome": "Fia"}', "--wait", 10)
    assert (code, '"ciao Fia"' in out) == (0, True)
    assert "BODY" in bus("send", "prova.saluto", '{"nome": ')[2]


def test_options_of_the_list_are_taken_without_its_name(bus):
    assert json.loads(bus("services", "--ufficio", "nessuno", "--json")[1]) == {"servizi": []}


def test_help_of_a_family_that_lists_still_names_its_commands(bus):
    code, out, _ = bus("runs", "--help")
    assert code == 0
    assert "list" in out
    assert "show" in out


def test_the_log_takes_the_id_of_a_message_of_a_run_or_the_key_of_a_case(bus, tmp_path):
    message = ended(bus, tmp_path, "prova.saluto", "Dina")
    run = run_of(bus, message)
    for kind, id in (("--message", message), ("--run", run), ("--case", "istanza:Dina")):
        code, out, _ = bus("log", "show", id, "--json")
        assert code == 0
        assert json.loads(out)["records"]
        assert json.loads(out) == json.loads(bus("log", "show", kind, id, "--json")[1])


def test_runs_are_shown_by_the_id_of_their_message_and_by_the_key_of_their_case(bus, tmp_path):
    message = ended(bus, tmp_path, "prova.saluto", "Gino")
    run = run_of(bus, message)
    one = bus("runs", "show", run, "--json")
    assert one[0] == 0
    assert one == bus("runs", "show", message, "--json") == bus("runs", "show", "istanza:Gino", "--json")
    ended(bus, tmp_path, "prova.saluto", "Gino")
    assert [run] == [each["id"] for each in json.loads(bus("runs", "show", "istanza:Gino", "--json")[1])][:1]
    assert bus("runs", "show", "istanza:Gino")[1].count("\nrun ") == 1
    assert failed(bus("runs", "show", "istanza:Nessuno", "--json"))[1]["code"] == "run.unknown"


def test_the_log_of_what_nobody_knows_or_of_two_things_is_refused(bus):
    code, error = failed(bus("log", "show", "mai-visto", "--json"))
    assert (code, error["status"]) == (2, 404)
    assert bus("log", "show", "x", "--run", "y")[0] == 2
    assert failed(bus("log", "show", "x", "--json", "--key", "sbagliata"))[1]["status"] == 401


def test_an_answer_that_says_no_is_one_object(bus, tmp_path):
    (tmp_path / "b.json").write_text('{"nome": ""}')
    code, error = failed(bus("send", "prova.saluto", tmp_path / "b.json", "--json"))
    assert (code, error["code"], error["status"]) == (1, "body.invalid", 422)
    assert error["detail"]
    assert error["hint"]
    assert error["faults"][0]["pointer"] == "/nome"


@pytest.mark.parametrize("command", ["dead show", "runs show", "services show", "case show", "message", "subject confirm"])
@pytest.mark.parametrize("name", ["perché", "a b", "a\x01b", "a?b#c"])
def test_a_name_with_odd_characters_is_one_that_there_is_not(bus, command, name):
    code, _, err = bus(*command.split(), name, "--json")
    told = json.loads(err)
    assert (code, told["status"], told["code"] != "input.not-found") == (2, 404, True), "the name was one part of the address"


@pytest.mark.parametrize("command", ["dead show", "runs list --state", "services show", "case show", "message", "tail --once --case"])
def test_a_word_that_is_not_utf_8_is_told_as_such(bus, command):
    """A terminal of another encoding: Python keeps its bytes as lone surrogates."""
    code, _, err = bus(*command.split(), "perch\udce9")
    assert (code, err.splitlines()[0]) == (2, "error: one of the words is not UTF-8, and the bus has no such word")


@pytest.mark.parametrize(
    "words",
    [
        ("case", "show", "{}"), ("message", "{}"), ("runs", "show", "codice_fiscale:{}"), ("log", "show", "{}"), ("log", "show", "--case", "{}"),
        ("tail", "--once", "--case", "richiedente:{}"), ("dead", "show", "{}"), ("services", "{}"),
        ("runs", "--route", "{}"), ("runs", "--state", "{}"), ("dead", "--route", "a.{}"), ("dead", "--code", "{}"), ("tail", "--once", "--route", "{}"),
        ("tail", "--once", "--adapter", "{}"), ("tail", "--once", "--outcome", "{}"), ("log", "show", "--run", "{}"), ("log", "show", "--message", "{}"),
        ("dead", "redeliver", "{}", "--reason", "prova"), ("dead", "redeliver", "--code", "{}", "--reason", "prova"),
        ("runs", "evidence", "x", "{}", "--purpose", "prova"), ("dead", "decide", "{}", "--again", "--reason", "prova"),
        ("dead", "discard", "{}", "--reason", "prova"), ("subject", "confirm", "{}"),
    ],
)  # fmt: skip
def test_no_codice_fiscale_gets_into_an_address(bus, monkeypatch, words):
    """Every proxy on the way writes addresses down, and finds nothing by it: a case does not go by what names a person."""
    monkeypatch.setattr(Client, "_call", lambda *_, **__: pytest.fail("it was asked for"))
    code, error = failed(bus(*(one.format("bncnna80a41b429e") for one in words), "--json"))
    assert (code, error["code"], "has no place" in error["detail"]) == (2, "cli.usage", True)


@pytest.mark.parametrize(
    "words",
    [
        ("log", "search", "--case", ""), ("tail", "--once", "--case="), ("runs", "--state", ""), ("plan", "--from", ""),
        ("log", "verify", "--key", "x", "--key", ""), ("message", "x", "--purpose", ""), ("runs", "list", "--url", ""),
    ],
)  # fmt: skip
def test_an_option_that_is_said_and_empty_is_not_taken_for_one_that_is_left_out(bus, words):
    """A variable that is not set, in quotes: a search for nothing in particular finds everything."""
    code, error = failed(bus(*words, "--json"))
    assert (code, error["code"], "it is empty: leave it out" in error["detail"]) == (2, "cli.usage", True)


def test_an_idempotency_key_with_a_line_break_is_wrong_usage(bus):
    code, _, err = bus("send", "prova.saluto", '{"nome": "Ada"}', "--idempotency-key", "a\n")
    assert (code, "is a line break among them?" in err) == (2, True)


def test_wrong_usage_is_one_object(bus):
    for arguments in (("runs", "--nulla", "--json"), ("case", "show", "--json"), ("nulla", "--json")):
        code, error = failed(bus(*arguments))
        assert (code, error["code"]) == (2, "cli.usage")
        assert set(error) == {"code", "detail", "hint"}
        assert error["detail"]


def test_settings_that_are_not_there_are_one_object(bus, tmp_path):
    code, error = failed(bus("validate", "--json", "--config", tmp_path / "no.yaml"))
    assert (code, error["code"]) == (2, "config.unreadable")


@pytest.mark.parametrize(("command", "code"), [("validate", "config.unreadable"), ("witness show", "cli.file")])
def test_settings_that_are_not_ours_to_read_are_no_wrong_usage(bus, tmp_path, monkeypatch, command, code):
    path = tmp_path / "config.yaml"
    path.write_text("organization: {name: Comune}\n")

    def closed(place):
        raise PermissionError(13, "Permission denied", str(place))

    monkeypatch.setattr("os.access", lambda place, mode: str(place) != str(path))  # root may read everything
    monkeypatch.setattr(source, "read_file", closed)
    exit_code, error = failed(bus(*command.split(), "--json", "--config", path))
    assert (exit_code, error["code"]) == (2, code)
    assert "Permission denied" in error["detail"]


def test_a_place_that_takes_no_writes_is_no_matter_of_rights(bus, tmp_path, monkeypatch):
    """systemd lets a unit write in its ReadWritePaths alone: the start said "is it there, and yours to read and write?", which it was."""

    def mounted_so(place):
        raise OSError(errno.EROFS, "Read-only file system", str(place))

    (tmp_path / "witness.yaml").touch()
    monkeypatch.setattr(source, "read_file", mounted_so)
    _, error = failed(bus("witness", "show", "--json", "--config", tmp_path / "witness.yaml"))
    assert (error["code"], error["hint"]) == ("cli.file", READ_ONLY)


def test_settings_that_are_looked_for_here_say_where_that_is(bus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNODO_CONFIG", raising=False)
    assert f"there is no config.yaml in {tmp_path}" in bus("validate")[2]


@pytest.mark.parametrize(("arguments", "page"), [(("dead", "show"), "bus dead show"), (("log", "verify", "--kye", "x"), "bus log verify")])
def test_wrong_usage_names_the_page_of_that_command(bus, arguments, page):
    assert f"next: {page} --help" in bus(*arguments)[2]


@pytest.mark.parametrize("name", ["config.yaml", "nulla"])
def test_validate_of_a_file_says_that_it_takes_the_folder(bus, name):
    code, out, err = bus("validate", "--config", ROOT / "config.yaml", ROOT / name)
    assert (code, out) == (2, "")
    assert f"{name} is no folder" in err


def test_who_has_no_key_is_told_how_a_command_gets_one(bus):
    assert "next: put one into SNODO_KEY" in bus("runs", "--key", "indovinata")[2]


def test_a_word_that_an_option_does_not_take_is_told_without_our_tools_words(bus):
    said = bus("graph", "prova.saluto", "--format", "png")[2]
    assert "'png' is not one of" in said
    assert "Value error" not in said


def test_why_a_bus_cannot_be_reached_is_told_in_words(bus):
    assert "error: cannot reach the bus at http://127.0.0.1:9: Connection refused\n" in bus("runs", "--url", "http://127.0.0.1:9")[2]


def test_a_bus_that_is_not_there_is_one_object_without_status(bus):
    code, error = failed(bus("runs", "--json", "--url", "http://127.0.0.1:9"))
    assert (code, error["code"]) == (3, "client.unreachable")
    assert "status" not in error


def test_a_message_of_which_nobody_knows_whether_it_was_taken_can_be_sent_again_under_the_key_that_is_told(bus):
    send = ("send", "prova.saluto", '{"nome": "Ada"}', "--url", "http://127.0.0.1:9")
    code, error = failed(bus(*send, "--json"))
    assert (code, len(error["idempotency-key"])) == (3, 36)
    assert "  idempotency-key: mia\n" in bus(*send, "--idempotency-key", "mia")[2]


def test_json_after_the_end_of_options_is_no_option(bus):
    assert bus("case", "show", "--url", "ftp://x", "--", "--json")[2].startswith("error: ")


def test_a_family_that_is_told_nothing_says_so(bus):
    code, out, error = bus("case")
    assert (code, out) == (2, "")
    assert error.startswith("Usage: bus case [OPTIONS] COMMAND [ARGS]...\n")
    assert error.endswith("error: say what to do\n  code: cli.usage\n  next: bus case --help\n")


@pytest.mark.parametrize("name", ["", "runs", "runs list", "send"])
def test_help_is_had_by_one_letter_too(bus, name):
    code, out, _ = bus(*name.split(), "-h")
    assert (code, out) == bus(*name.split(), "--help")[:2]


@pytest.mark.parametrize("name", ["log", "log verify", "fmt", "send"])
def test_help_is_read_aloud_as_words(bus, name):
    """No frames, of which a screen reader says each piece; no type of Python for what may be said several times; no sentence cut."""
    told = bus(*name.split(), "--help")[1]
    assert not [sign for sign in told if 0x2500 <= ord(sign) < 0x2580]
    assert [line for line in told.splitlines() if line != line.rstrip()] == []
    assert "list[" not in told
    assert "..." not in told.replace("[ARGS]...", "").replace("[paths]...", "").replace("paths...", "")


def test_serve_announces_itself_as_json(tmp_path):
    command = [sys.executable, "-m", "bus.cli", "serve", "--json", "--port", "0", "--config", str(write(tmp_path))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["url"].startswith("http://127.0.0.1:")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def test_findings_are_counted_as_people_count(bus, tmp_path):
    assert [counted(n, "warning") for n in (0, 1, 1200)] == ["0 warnings", "1 warning", "1,200 warnings"]
    config = write(tmp_path, store={"url": {"env": "SNODO_NON_ESISTE"}})
    out = bus("validate", "--config", config)[1]
    assert out.endswith("0 errors, 1 warning\n")


# -- the demonstration, its town replaced by one that starts nothing ---------------------------------------------------------


class Quiet:
    """A town that stays closed."""

    opened = 0
    url = "http://127.0.0.1:1"
    simulators: dict[str, object] = {"node": SimpleNamespace(url="http://127.0.0.1:2")}

    def __init__(self, folder, rules):
        """As `bus.testing.town.Town`."""
        self.folder, self.config_path = folder, folder / "config.yaml"

    def __enter__(self):
        Quiet.opened += 1
        return self

    def __exit__(self, *_):
        """Nothing was started."""

    def attend(self):
        """Ctrl-C comes at once."""


@pytest.fixture
def quiet(monkeypatch):
    """Give the end of the story: its case and its faults."""
    monkeypatch.setattr(Quiet, "opened", 0)
    monkeypatch.setattr(demo, "Town", Quiet)

    def ending(case, faults):
        def story(_):
            print("the story")
            return case, faults

        monkeypatch.setattr(demo, "_story", story)

    return ending


def test_the_demo_looks_for_its_folder_before_it_starts_anything(bus, tmp_path, quiet):
    quiet({}, [])
    code, out, err = bus("demo", "--config", tmp_path / "config.yaml")
    assert (code, out, Quiet.opened) == (2, "", 0)
    assert "is not the folder of the project: no config.yaml, routes, mappings/tables/uffici.csv" in err
    assert failed(bus("demo", "--json", "--config", tmp_path / "config.yaml"))[1]["code"] == "config.unreadable"


def test_the_demo_goes_to_the_folder_of_rules_that_the_settings_name(bus, tmp_path, quiet):
    quiet({"case": "c"}, [])
    settings = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    (tmp_path / "config.yaml").write_text(json.dumps({**settings, "rules": str(ROOT)}))
    assert 0 == bus("demo", "--config", tmp_path / "config.yaml")[0], (
        "settings of another demonstration, which `env.sh` names, are no reason not to play one"
    )


def test_each_thing_the_demo_needs_is_named_when_it_is_missing(tmp_path):
    (tmp_path / "config.yaml").touch()
    (tmp_path / "routes").mkdir()
    with pytest.raises(ConfigError, match=r"no mappings/tables/uffici\.csv \("):
        demo._look(tmp_path)
    demo._look(ROOT)


def test_the_demo_as_json_is_the_case_and_nothing_else(bus, quiet):
    quiet({"case": "c1", "state": "done"}, [])
    code, out, err = bus("demo", "--json", "--config", ROOT / "config.yaml")
    assert (code, json.loads(out)) == (0, {"case": "c1", "state": "done"})
    assert "the story\ndemo: ok\n" in err


def test_a_demo_that_failed_ends_with_an_error(bus, quiet):
    quiet({"case": "c1"}, ["edilizia has 2 effects"])
    code, out, err = bus("demo", "--json", "--config", ROOT / "config.yaml")
    assert (code, json.loads(out)) == (1, {"case": "c1"})
    assert json.loads(err.splitlines()[-1]) == {
        "code": "demo.failed",
        "detail": "the demonstration failed",
        "hint": "",
        "why": "edilizia has 2 effects",
    }
    code, out, _ = bus("demo", "--config", ROOT / "config.yaml")
    assert code == 1
    assert "demo: failed: edilizia has 2 effects\n" in out
    assert "demo: ok" not in out


def test_a_demo_that_stays_says_first_that_all_went_well(bus, quiet):
    quiet({"case": "c1"}, [])
    code, out, _ = bus("demo", "--stay", "--config", ROOT / "config.yaml")
    assert code == 0
    assert 0 < out.index("demo: ok\n") < out.index("The town stays open")


def test_a_demo_that_stays_sets_another_terminal_up(bus, quiet, tmp_path, monkeypatch):
    """The line that it prints, typed into a shell: the program, the bus, the key, and settings that name database and rules."""
    told = {}

    def waited(_):
        [file] = tmp_path.glob("snodo-demo-*/env.sh")
        words = f'. "{file}"; command -v bus; echo $SNODO_URL; echo $SNODO_KEY; echo $SNODO_CONFIG'
        told["file"] = file
        told["words"] = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=True).stdout.split()

    quiet({"case": "c1"}, [])
    monkeypatch.setattr(Quiet, "attend", waited)
    monkeypatch.setattr(demo.tempfile, "tempdir", str(tmp_path))
    _, out, _ = bus("demo", "--stay", "--config", ROOT / "config.yaml")
    assert f"\n  . {told['file']}\n" in out
    assert "\n  curl -sS http://127.0.0.1:2/pay -d '{" in out, "a notice that is never paid shows only half of the story"
    program, *settings = told["words"]
    assert Path(program).parent == Path(sys.executable).parent
    assert settings == ["http://127.0.0.1:1", town_key("sistemista"), str(told["file"].with_name("config.yaml"))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_stays_is_ended_by_a_signal_and_stops_what_it_started(tmp_path, number):
    """A process of its own, with threads as the real one has: what it started is stopped, its folder goes, and it says no error."""
    program = f"""
import signal, sys, threading, tempfile
from pathlib import Path
from bus.cli import demo
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background has it ignored
from tests.unit.cli.test_programs import Quiet, ROOT
class Town(Quiet):
    def __exit__(self, *_): print("stopped", flush=True)
    def attend(self): threading.Event().wait()
tempfile.tempdir, demo.Town, demo._story = {str(tmp_path)!r}, Town, lambda _: ({{"case": "c1"}}, [])
threading.Thread(target=threading.Event().wait, daemon=True).start()
sys.exit(demo.run(ROOT, stay=True))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        lines = iter(process.stdout.readline, "")
        assert any(line.startswith("Ctrl-C ends it") for line in lines)
        process.send_signal(number)
        assert list(lines) == ["stopped\n"]
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_stays_ends_when_its_bus_does(bus, quiet, tmp_path, monkeypatch):
    """Whoever works with it in another terminal would be told for ever that nothing can be reached."""

    def attended(_):
        town = Town(tmp_path, ROOT)
        town.bus = subprocess.Popen([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
        (tmp_path / "bus.log").write_text("the last line\n")
        town.attend()

    quiet({"case": "c1"}, [])
    monkeypatch.setattr(Quiet, "attend", attended)
    code, out, _ = bus("demo", "--stay", "--config", ROOT / "config.yaml")
    assert code == 1
    assert out.endswith("demo: failed: the bus ended, which nobody here told it to (signal 9)\nthe last line\n")


def test_a_system_that_does_not_start_ends_the_demonstration_with_its_own_words(monkeypatch, capsys):
    class Shut:
        def __init__(self, *_):
            pass

        def __enter__(self):
            raise SimulatorFailed("adapters.sito.simulator did not get ready: no such port")

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(demo, "Town", Shut)
    assert demo.run(ROOT) == 1
    assert "demo: failed: adapters.sito.simulator did not get ready: no such port" in capsys.readouterr().out


def test_a_machine_of_another_locale_gets_the_verifier_byte_by_byte_and_each_line_as_far_as_it_can_be_written(server):
    with Client(server.url, key_of("portale")) as portal:
        portal.send("prova.saluto", {"nome": "Ada"}, wait=20)
    for encoding in ("ascii", "latin-1"):

        def said(*words, encoding=encoding):
            environment = {**os.environ, "PYTHONIOENCODING": encoding, "SNODO_KEY": key_of("revisore")}
            return subprocess.run([sys.executable, "-m", "bus.cli", *words], capture_output=True, env=environment, timeout=60)

        assert said("log", "verifier").stdout == (ROOT / "bus/bundle/verify.py").read_bytes()
        found = said("log", "search", "--url", server.url)
        assert (found.returncode, found.stderr) == (0, b"")
        assert b"*  prova.saluto received from portale" in found.stdout


def in_a_terminal_of(encoding, *words):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SNODO_")}  # no secrets of a bus of ours
    environment["PYTHONIOENCODING"] = encoding
    return subprocess.run([sys.executable, "-m", "bus.cli", *words], capture_output=True, env=environment, timeout=120, cwd=ROOT)


def test_a_terminal_that_cannot_draw_is_shown_a_route_in_plain_letters():
    drawn = in_a_terminal_of("latin-1", "graph", "pagamenti.ricevuta")
    assert drawn.stdout.decode("ascii").splitlines()[1:5] == [
        "|- senza-posizione: set posizione",
        "|- posizione: call pagopa.leggi-posizione  (if has(body.iupd))",
        '|  `- on error error.code == "NON_TROVATA"',
        "|     `- posizione-ignota: set posizione",
    ]


def test_json_is_utf_8_in_a_terminal_of_another_locale():
    said = in_a_terminal_of("ascii", "validate", "però", "--json")
    assert json.loads(said.stderr.decode("utf-8"))["detail"].startswith("però is no folder")
    for words in (("schema", "route"), ("graph", "--all", "--format", "svg")):
        assert in_a_terminal_of("ascii", *words).stdout == in_a_terminal_of("utf-8", *words).stdout


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems have no such names")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_name_of_a_file_that_is_no_utf_8_is_told_as_its_bytes_and_in_json_as_text(tmp_path, encoding):
    folder = tmp_path / os.fsdecode(b"citt\xe0")
    shutil.copytree(ROOT / "routes", folder / "routes")
    shutil.copytree(ROOT / "mappings", folder / "mappings")
    shutil.copy(ROOT / "config.yaml", folder)
    config = str(folder / "config.yaml")
    for form in ("json", "sarif", "github", "text"):
        said = in_a_terminal_of(encoding, "validate", "--config", config, "--format", form)
        assert (said.returncode, said.stderr) == (0, b""), form
        if form in ("json", "sarif"):
            assert json.loads(said.stdout.decode("utf-8"))
        else:
            assert b"citt\xe0/config.yaml" in said.stdout
    gone = in_a_terminal_of(encoding, "validate", "--config", f"{config}.old", "--json")
    assert (gone.returncode, json.loads(gone.stderr)["code"]) == (2, "config.unreadable")
    assert b"citt\xe0" in in_a_terminal_of(encoding, "validate", "--config", f"{config}.old").stderr


def test_a_bus_that_is_away_is_told_once_for_as_long_as_it_is(monkeypatch, capsys):
    def away():
        raise ClientError(0, {"code": "client.unreachable", "detail": "x"})

    monkeypatch.setattr("bus.cli.watch.time", SimpleNamespace(sleep=lambda _: None))
    found = watch._again(away, {"next": 7, "records": [1]})
    found = watch._again(away, found)
    assert (found["next"], found["records"]) == (7, [])
    assert watch._again(lambda: {"next": 8, "records": []}, found) == {"next": 8, "records": []}
    assert capsys.readouterr().err == "the bus cannot be reached; still trying\n"


def test_a_command_that_is_interrupted_while_it_starts_says_nothing():
    program = "import bus.cli.__main__ as it; it.main = lambda: signal.raise_signal(signal.SIGINT)"
    program = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {program}; it.start()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_standard_input_that_is_closed_holds_nothing():
    for command in ("send prova.saluto -", "log search --values -"):
        program = f"{sys.executable} -m bus.cli {command} <&-"
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: standard input: not JSON: the text is empty\n  code: input.malformed\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize("command", ["--help", "--version", "explain call.refused"])
def test_a_full_disk_is_told(command):
    program = f"{sys.executable} -m bus.cli {command} > /dev/full"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert (done.returncode, done.stderr.partition(":")[0]) == (2, "error")
    assert "No space left on device: bus" in done.stderr
