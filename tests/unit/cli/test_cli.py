"""The command line: what it prints, what it returns, what it imports; against a small bus."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import typer
from rich.console import Console

from bus.cli import COMMANDS, explain, main, watch
from bus.cli.trial import _untried
from bus.client import Client, ClientError
from bus.testing.patience import until
from bus.web import matters
from tests.small_bus import key_of, running, write
from tests.unit.cli.conftest import sent

ROOT = Path(__file__).parents[3]
HEAVY = (
    "typer",
    "rich",
    "pydantic",
    "starlette",
    "uvicorn",
    "kombu",
    "zeep",
    "lxml",
    "requests",
    "sqlalchemy",
    "cel_expr_python",
    "structlog",
    "jsonschema_rs",
    "orjson",
)


def test_help_is_quick_because_it_imports_nothing_heavy():
    program = "import sys; from bus.cli import main; code = main(['--help']); print(sorted(sys.modules), file=sys.stderr); sys.exit(code)"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    print(f"bus --help: {(time.perf_counter() - start) * 1000:.0f} ms")
    assert done.returncode == 0
    modules = {name.partition(".")[0] for name in eval(done.stderr)}
    assert not modules & set(HEAVY)
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_help_names_every_command_once_and_fits_the_terminal(monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(COMMANDS) == sorted(line.split()[0] for line in lines if re.match(r"  \S", line))
    assert all(re.match(r"  \S+  ", line) for line in lines if re.match(r"  \S", line))
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("module", ["bus", "bus.cli"])
def test_the_package_itself_is_the_command(module):
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "snodo", "")


@pytest.mark.parametrize("name", ["send", "case", "runs", "dead", "validate", "test", "log", "services", "serve"])
def test_help_of_a_command_imports_no_room_of_the_bus(name):
    program = f"import sys; from bus.cli import main; main(['{name}', '--help']); print([m for m in sys.modules if m.partition('.')[0] in {HEAVY[2:]} or m.startswith('adapters')], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert set(eval(done.stderr.splitlines()[-1])) <= {"orjson", "orjson.orjson", "structlog"}


def test_a_process_that_starts_imports_no_library_that_only_some_systems_and_commands_need():
    only = {"requests", "zeep", "lxml", "sqlalchemy", "alembic", "psycopg", "rich", "pygments"}
    program = f"import sys, bus.app, bus.web.serve, bus.worker; print(sorted({only} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["doctor", "fmt", "graph", "plan", "replay", "send", "serve", "status", "tail", "top", "validate"])
def test_help_of_a_command_begins_with_what_it_does(bus, name):
    """Not with an exit code, nor with the rest of a sentence that stands in another list."""
    told = " ".join(bus(name, "--help")[1].replace("Usage:", "").split("[OPTIONS]")[1].split())
    assert COMMANDS[name][1].split()[0] in told.split()[:4], told[:200]


@pytest.mark.parametrize("name", ["validate", "log export", "log key new", "retention apply"])
def test_help_shows_no_value_at_a_flag_that_takes_none(bus, name):
    """``--json <bool>`` would be written ``--json true``, which is refused."""
    told = bus(*name.split(), "--help")[1]
    assert "--help" in told
    assert "<bool>" not in told


def test_apply_is_not_said_to_change_nothing_unless_it_is_told_so(bus):
    """Without --dry-run `bus retention apply` destroys; `bus retention` alone does not."""
    said = "that is what is done when nothing else is said"
    told = {name: " ".join(bus("retention", name, "--help")[1].split()) for name in ("look", "apply")}
    assert [said in told["look"], said in told["apply"]] == [True, False]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_a_module_with_help(bus, name):
    module, _, named = COMMANDS[name][0].partition(":")
    family = getattr(import_module(f"bus.cli.{module}"), named or "app")
    assert family.info.help or family.registered_commands[0].callback.__doc__
    code, out, _ = bus(name, "--help")
    assert code == 0
    assert "Usage" in out


def test_send_waits_and_shows_the_reply(bus, tmp_path):
    assert sent(bus, tmp_path, "prova.saluto", "Ada", "--wait", "10")["reply"] == {"saluto": "ciao Ada"}


def test_send_reads_standard_input(bus, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"nome": "Bea"}')))
    code, out, _ = bus("send", "prova.saluto", "-", "--wait", "10")
    assert code == 0
    assert "ciao Bea" in out


def test_send_says_that_a_message_was_taken_before(bus, tmp_path):
    again = ("--idempotency-key", "una volta sola")
    first = sent(bus, tmp_path, "prova.saluto", "Bice", *again)
    assert sent(bus, tmp_path, "prova.saluto", "Bice", *again) == {**first, "repeated": True}
    code, out, _ = bus("send", "prova.saluto", '{"nome": "Bice"}', *again)
    assert (code, out.splitlines()[0]) == (0, f"accepted {first['id']}  taken before: nothing new was begun")


def test_send_of_a_wrong_body_says_what_why_and_next(bus, tmp_path):
    (tmp_path / "b.json").write_text('{"nome": ""}')
    code, out, err = bus("send", "prova.saluto", str(tmp_path / "b.json"))
    assert (code, out) == (1, "")
    assert err.startswith("error: the body is not of type prova.saluto")
    assert "code: body.invalid" in err
    assert "faults: /nome: " in err
    assert "next: " in err


def test_send_of_what_is_not_json_names_file_and_place(bus, tmp_path):
    (tmp_path / "b.json").write_text('{"nome": NaN}')
    code, _, err = bus("send", "prova.saluto", str(tmp_path / "b.json"))
    assert code == 2
    assert "b.json: not JSON" in err
    assert "line 1 column" in err


def test_a_case_is_a_timeline(bus, tmp_path):
    sent(bus, tmp_path, "prova.saluto", "Ciro", "--wait", "10")
    code, out, _ = bus("case", "show", "istanza:Ciro")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("case ")
    assert any(line.split() == ["istanza", "Ciro"] for line in lines)
    told = [line for line in lines if "prova.saluta@1" in line or "received" in line]
    assert "prova.saluto received from sistemista" in told[0]
    assert any("the sender was answered" in line and "prova.saluta@1/rispondi" in line for line in told)
    assert json.loads(bus("case", "show", "Ciro", "--json")[1])["state"] == "done"


def test_a_portal_is_told_who_may_look_at_a_dead_letter(bus, tmp_path):
    """Its key may see the case, and not run the command that comes next."""
    portal = ("--key", key_of("portale"))
    sent(bus, tmp_path, "prova.guasto", "Elvira", "--wait", "10", *portal)
    told = bus("case", "show", "istanza:Elvira", *portal)[1].splitlines()[-1]
    run = told.removeprefix("next: bus dead show ").partition(" ")[0]
    assert told == f"next: bus dead show {run}  by a sysadmin or an auditor: other keys may not"
    assert "it takes a key with role auditor or sysadmin" in bus("dead", "show", run, *portal)[2]
    assert bus("dead", "show", run)[0] == 0


def waiting_run(bus, message):
    runs = json.loads(bus("runs", "list", "--state", "waiting", "--json")[1])["runs"]
    return next((one for one in runs if one["message"] == message), None)


def test_message_runs_and_log_show_the_same_run(bus, tmp_path):
    message = sent(bus, tmp_path, "prova.attesa", "Dina")
    code, out, _ = bus("message", message["id"])
    assert code == 0
    assert "prova.attesa" in out
    run = until(lambda: waiting_run(bus, message["id"]), "the run waits")
    assert run["id"] in bus("runs", "list", "--route", "prova.aspetta")[1]
    assert "prova.sveglia" in bus("runs", "show", run["id"])[1]
    assert "prova.attesa received" in bus("log", "show", "--message", message["id"])[1]
    assert json.loads(bus("log", "show", "--run", run["id"], "--json")[1])["records"]


def test_a_long_journal_is_shown_whole(bus, tmp_path, monkeypatch):
    message = sent(bus, tmp_path, "prova.attesa", "Dina")
    run = until(lambda: waiting_run(bus, message["id"]), "the run waits")
    sent(bus, tmp_path, "prova.sveglia", "Dina")
    until(lambda: json.loads(bus("message", message["id"], "--json")[1])["state"] == "done", "the run has ended")
    whole = json.loads(bus("runs", "show", run["id"], "--json")[1])
    assert [wait["state"] for wait in whole["waits"]] == ["matched"], "it is told by one page alone"
    monkeypatch.setattr(matters, "MOST_RECORDS", 1)
    assert json.loads(bus("runs", "show", run["id"], "--json")[1]) == whole
    assert len(whole["journal"]) > 1


@pytest.mark.parametrize("asked", ["send", "log export", "runs show"])
def test_help_before_a_command_is_the_help_of_that_command(bus, asked):
    assert bus("help", *asked.split()) == bus(*asked.split(), "--help")
    assert f"Usage: bus {asked} " in bus("help", *asked.split())[1]


@pytest.mark.parametrize(
    ("asked", "shown"), [("runs help", "runs"), ("dead help evidence", "dead evidence"), ("log key help", "log key"), ("case help", "case")]
)
def test_help_after_a_family_is_its_help_and_not_the_name_of_something(bus, asked, shown):
    code, out, err = bus(*asked.split())
    assert (code, out.splitlines()[0], err) == (0, bus(*shown.split(), "--help")[1].splitlines()[0], "")


@pytest.mark.parametrize("family", ["runs", "services", "dead"])
def test_an_empty_name_is_told_as_such(bus, family):
    """A variable that is not set, in quotes: it is not the list that was meant."""
    code, out, err = bus(family, "")
    assert (code, out) == (2, "")
    assert "error: there is nothing at this address: the id in it is empty" in err


def test_services(bus):
    assert "ritiro-ingombranti" in (listed := bus("services", "list")[1])
    assert listed.splitlines()[0].split() == ["codice", "tipo", "ufficio", "tariffa", "titolo"]
    assert "Ufficio" not in bus("services", "list", "--ufficio", "nessuno")[1]
    assert json.loads(bus("services", "show", "ritiro-ingombranti", "--json")[1])["ufficio"] == "ambiente"


def test_exit_codes(bus):
    assert bus("nulla")[0] == 2
    assert bus("runs", "lst")[0] == 2
    assert bus("runs", "list", "--nulla")[0] == 2
    assert bus("log", "show")[0] == 2
    assert bus("serve", "--port", "-1", "--config", "/nulla.yaml")[2].startswith("error: Invalid value for '--port'")
    assert bus("runs", "list", "--url", "http://127.0.0.1:9")[0] == 3
    assert bus("runs", "list", "--url", "ftp://x")[0] == 2
    assert bus("runs", "list", "--key", "sbagliata")[0] == 1


@pytest.mark.parametrize(
    "words",
    [
        ("message", "x"), ("case", "show", "x"), ("runs", "x"), ("log", "show", "x"), ("dead", "show", "x"), ("services", "show", "x"),
        ("log", "export", "--case", "x", "--purpose", "prova"), ("report", "x", "--from", "2026-11-01", "--purpose", "prova"),
        ("graph", "x"), ("explain", "x"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_wrong_usage_whoever_looks_for_it(bus, words):
    """The bus, the files, or the table of codes; of a replay, 1 would say that a run is different."""
    code, out, err = bus(*words)
    assert (code, out, err.startswith("error: ")) == (2, "", True)


@pytest.mark.parametrize(("status", "code"), [(0, 3), (502, 3), (503, 3), (504, 3), (404, 2), (401, 1), (422, 1), (500, 1)])
def test_a_bus_that_cannot_work_now_is_as_one_that_is_not_there(monkeypatch, capsys, status, code):
    def answered(*_, **__):
        raise ClientError(status, {"detail": "prova"})

    monkeypatch.setattr("bus.client.Client._call", answered)
    assert main(["runs", "--url", "http://127.0.0.1:9"]) == code


@pytest.mark.parametrize(
    ("number", "next"), [("ENOSPC", "make room"), ("EMFILE", "LimitNOFILE"), ("EEXIST", "choose another name"), ("EACCES", "yours to read")]
)
def test_what_to_do_about_a_file_follows_what_the_system_says_of_it(monkeypatch, capsys, number, next):
    def answered(*_, **__):
        code = getattr(errno, number)
        raise OSError(code, os.strerror(code), "/srv/uscita.json")

    monkeypatch.setattr("bus.client.Client._call", answered)
    assert main(["runs", "--url", "http://127.0.0.1:9"]) == 2
    assert next in capsys.readouterr().err


def test_a_mistyped_command_is_understood(bus):
    assert "did you mean bus validate?" in bus("valdate")[2]


def test_validate_is_silent_on_good_rules_and_points_at_bad_ones(bus, tmp_path):
    config = write(tmp_path)
    assert bus("validate", "--config", str(config))[0] == 0
    route = tmp_path / "routes/prova/saluta.yaml"
    route.write_text(route.read_text().replace("body.nome}", "body.cognom}"))
    code, out, _ = bus("validate", "--config", str(config))
    assert code == 1
    assert "routes/prova/saluta.yaml:7:" in out
    assert "^" in out
    findings = json.loads(bus("validate", "--config", str(config), "--json")[1])
    assert any(finding["severity"] == "error" and finding["line"] == 7 for finding in findings)


@pytest.mark.parametrize(
    "name", ["routes/prova/altra.yml", "routes/altra.YAML", "routes/altra.yaml.txt", "mappings/types/prova/altra.yaml", "mappings/uffici.csv",
             "mappings/tables/uffici.CSV", "mappings/tables/uffici.xlsx"]
)  # fmt: skip
def test_a_file_that_looks_like_rules_and_is_not_read_is_told(bus, tmp_path, name):
    config = write(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("route: prova.altra\n")
    (tmp_path / "routes/README.md").write_text("nothing that is read")
    code, out, _ = bus("validate", "--config", str(config), "--json")
    assert code == 0
    assert [(one["file"], one["code"], one["severity"]) for one in json.loads(out)] == [(name, "catalog.not-read", "warning")]


def test_links_to_nothing_or_to_a_folder_are_told(bus, tmp_path):
    config = write(tmp_path)
    (tmp_path / "altrove").mkdir()
    (tmp_path / "altrove/saluta.yaml").write_bytes((tmp_path / "routes/prova/saluta.yaml").read_bytes())
    (tmp_path / "routes/prova/saluta.yaml").unlink()
    (tmp_path / "routes/prova/saluta.yaml").symlink_to(tmp_path / "altrove/saluta.yaml")
    assert [] == json.loads(bus("validate", "--config", str(config), "--json")[1])
    (tmp_path / "routes/altre").symlink_to(tmp_path / "altrove")
    (tmp_path / "routes/prova/tolta.yaml").symlink_to(tmp_path / "nulla.yaml")
    found = json.loads(bus("validate", "--config", str(config), "--json")[1])
    assert [("routes/altre", "catalog.not-read"), ("routes/prova/tolta.yaml", "catalog.not-read")] == [
        (one["file"], one["code"]) for one in found
    ]


def test_settings_that_are_not_there_or_wrong(bus, tmp_path):
    assert bus("validate", "--config", str(tmp_path / "no.yaml"))[0] == 2
    (tmp_path / "config.yaml").write_text("organization: {name: X}\ncolore: blu\n")
    code, _, err = bus("validate", "--config", str(tmp_path / "config.yaml"))
    assert code == 2
    assert "colore" in err
    assert bus("serve", "--config", str(tmp_path / "config.yaml"))[0] == 2


def test_secrets_are_not_needed_to_check_rules(bus, tmp_path):
    config = write(tmp_path, store={"url": {"env": "SNODO_NON_ESISTE"}}, channel={"url": {"file": "non-esiste"}})
    config.write_text(json.dumps(json.loads(config.read_text()), indent=2))
    code, out, _ = bus("validate", "--config", str(config), "--json")
    assert code == 0
    lines = config.read_text().splitlines()
    assert [(one["code"], one["line"], one["column"], one["sentence"]) for one in json.loads(out)] == [
        ("config.secret-missing", number + 1, lines[number].index(name), sentence)
        for name, sentence in (
            ("SNODO_NON_ESISTE", "the environment has no SNODO_NON_ESISTE"),
            ("non-esiste", "cannot read the secret in non-esiste: No such file or directory"),
        )
        for number in range(len(lines))
        if name in lines[number]
    ]


@pytest.mark.parametrize(("written", "slip", "told"), [
    ("subscription_key:", "subscripton_key:", "subscripton_key is not one of the fields, did you mean subscription_key?"),
    ("id_broker_pa:", "id_broker:", "id_broker is not one of the fields, did you mean id_broker_pa?"),
    ("smtp_port: 8025", "smtp_port: tanti", "adapters.notifiche: smtp_port must be a whole number"),
    ("sqlite:///", "sqlte:///", "no store speaks 'sqlte'"),
    ("memory://", "memry://", "nothing here speaks 'memry'"),
])  # fmt: skip
def test_a_slip_in_settings_is_told_also_without_the_secrets(bus, tmp_path, monkeypatch, written, slip, told):
    for name in [name for name in os.environ if name.startswith("SNODO_")]:
        monkeypatch.delenv(name)
    text = (ROOT / "config.yaml").read_text()
    assert written in text
    (tmp_path / "config.yaml").write_text(text.replace(written, slip))
    code, _, err = bus("validate", str(ROOT), "--config", str(tmp_path / "config.yaml"))
    assert code == 2
    assert told in err


def test_the_tests_of_routes_are_run(bus, tmp_path):
    config = write(tmp_path)
    route = tmp_path / "routes/prova/saluta.yaml"
    test = 'tests:\n  - name: greets\n    send: {nome: Ada}\n    expect: {state: done, reply: {saluto: "%s"}}\n'
    route.write_text(route.read_text() + test % "ciao Ada")
    assert bus("test", "--config", str(config)) == (0, "1 passed, 0 failed\n", "")
    route.write_text(route.read_text().replace("ciao Ada", "addio Ada"))
    code, out, _ = bus("test", "prova.saluta", "--config", str(config))
    assert code == 1
    assert "FAILED routes/prova/saluta.yaml:12: greets" in out
    assert bus("test", str(tmp_path / "routes/prova/tace.yaml"), "--config", str(config))[0] == 0
    assert bus("test", "nulla", "--config", str(config))[0] == 2
    assert "next: did you mean prova.saluta?" in bus("test", "prova.salut", "--config", str(config))[2]
    code, out, _ = bus("test", "--coverage", "--config", str(config))
    assert code == 1
    assert re.search(r"^UNTESTED routes/prova/tace.yaml:\d+:\d+: prova.tace: ", out, re.MULTILINE)
    assert "prova.saluta" not in out.replace("(prova.saluta)", "")


def test_what_no_test_takes_is_told_to_a_pipeline_as_the_manual_says(bus, tmp_path):
    """The page on tests shows the keys of the JSON; here they are what `bus test --coverage --json` prints."""
    page = (Path(__file__).parents[3] / "docs/sysadmin/tests.md").read_text(encoding="utf-8")
    [shown] = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)]
    config = write(tmp_path)
    route = tmp_path / "routes/prova/saluta.yaml"
    route.write_text(route.read_text() + "tests:\n  - {name: greets, send: {nome: Ada}, expect: {state: done}}\n")
    code, out, _ = bus("test", "--coverage", "--json", "--config", str(config))
    told = json.loads(out)
    assert code == 1
    assert list(shown) == list(told)
    assert shown["tests"][0].keys() == told["tests"][0].keys()
    ways = [way for part in ("untested", "untried") for found in (shown, told) for ways in found[part].values() for way in ways]
    assert {("place", "way")} == {tuple(way) for way in ways}
    assert [] != told["untested"]["prova.tace"]
    assert "prova.saluta" not in told["untested"]


def test_faults_that_no_test_tries_are_one_line_a_step():
    ways = [("3:9", "leggi: unreachable"), ("3:9", "leggi: in_doubt"), ("7:9", "scrivi: NO")]
    ways += [("9:9", f"chiedi: {fault}") for fault in ("HTTP_400", "HTTP_404", "NO", "HTTP_4XX", "in_doubt")]
    faults = {"a.b": [{"place": f"a/b.yaml:{place}", "way": way} for place, way in ways]}
    leggi, scrivi, chiedi = _untried(faults)
    assert leggi == "untried a/b.yaml:3:9: a.b: leggi: unreachable, in_doubt"
    assert scrivi == "untried a/b.yaml:7:9: a.b: scrivi: NO"
    assert chiedi == "untried a/b.yaml:9:9: a.b: chiedi: NO, in_doubt, HTTP_... (3)"


def test_a_key_is_made_and_its_hash_is_what_the_settings_need(bus):
    import hashlib

    code, out, _ = bus("keys", "new", "portale", "--role", "portal", "--json")
    made = json.loads(out)
    assert code == 0
    assert made["sha256"] == hashlib.sha256(made["key"].encode()).hexdigest()
    assert bus("keys", "new", "portale", "--role", "re")[0] == 2
    assert bus("keys", "new", "Portale!", "--role", "portal")[0] == 2


def test_codes_are_explained(bus):
    code, out, _ = bus("explain", "input.key-reused")
    assert code == 0
    assert "idempotency key" in out
    assert "did you mean" in bus("explain", "input.key-reusd")[2]


def test_codes_are_explained_without_the_sources_too(bus, tmp_path, monkeypatch):
    [(folder, pages)] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"].items()
    assert (Path(folder) / Path(pages[0]).name, len(pages)) == (explain.INSTALLED, 1)
    installed = tmp_path / explain.INSTALLED
    installed.parent.mkdir(parents=True)
    shutil.copy(ROOT / pages[0], installed)
    monkeypatch.setattr(explain, "PAGES", (tmp_path / "sorgenti", installed))
    assert "several times" in bus("explain", "client.unreachable")[1]


def test_a_narrow_terminal_cuts_no_name_or_figure_of_top(bus, monkeypatch):
    monkeypatch.setattr("bus.cli.timeline.console", lambda: Console(force_terminal=True, width=30, highlight=False, color_system=None))
    out = bus("top", "--once")[1]
    assert "…" not in out
    assert [line.split()[0] for line in out.splitlines() if "unanswered" in line or "ended/s" in line] == ["route", "system"]


def test_a_narrow_terminal_breaks_no_command_that_is_to_be_copied(bus, tmp_path, monkeypatch):
    message = sent(bus, tmp_path, "prova.guasto", "Elda", "--wait", "10")
    monkeypatch.setattr("bus.cli.timeline.console", lambda: Console(force_terminal=True, width=40, highlight=False, color_system=None))
    run = next(one["id"] for one in json.loads(bus("dead", "list", "--json")[1])["dead"] if one["message"] == message["id"])
    assert f"next: bus dead show {run} --purpose '…'  shows what was said" in bus("dead", "show", run)[1]
    assert f"next: bus dead redeliver {run} --reason '…'\n" in bus("dead", "show", run)[1]
    assert f"next: bus dead show {run}  by a sysadmin" in bus("case", "show", "istanza:Elda")[1]


def test_who_sent_a_message_reads_it_too_for_a_purpose(bus, tmp_path):
    message = sent(bus, tmp_path, "prova.saluto", "Edda", "--wait", "10")["id"]
    assert "body" not in json.loads(bus("message", message, "--json")[1])
    told = json.loads(bus("message", message, "--purpose", "prova", "--json")[1])
    assert (told["body"], told["reply"]) == ({"nome": "Edda"}, {"saluto": "ciao Edda"})


def test_a_terminal_obeys_nothing_of_what_another_system_said(bus, monkeypatch):
    """Its title, its clipboard, lines over other lines; into a file, or a pipe, goes what crossed the border."""
    said = "<e>\x1b]0;padrone\x07 perché\u202e\r\n\tfine</e>".encode()
    monkeypatch.setattr(Client, "content", lambda *_: said)
    assert bus("dead", "evidence", "RUN", "ID", "--purpose", "prova")[1].encode() == said
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert bus("dead", "evidence", "RUN", "ID", "--purpose", "prova")[1] == "<e>\\x1b]0;padrone\\x07 perché\\u202e\n\tfine</e>\n"


@pytest.mark.parametrize("command", ["--help", "--version", "runs list --limit 500", "services", "dead show --help", "log search"])
def test_output_that_nobody_reads_is_no_error(server, command):
    program = f"{sys.executable} -m bus.cli {command} | true; exit ${{PIPESTATUS[0]}}"
    settings = os.environ | {"SNODO_URL": server.url, "SNODO_KEY": key_of("sistemista")}
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT, env=settings)
    assert (done.returncode, done.stderr) == (0, "")


def test_who_waits_for_the_first_record_is_not_kept_until_the_second(server):
    """`bus tail … | head -1` in a script: nothing else happens for a long time, and nothing is written that could fail."""
    program = f"{sys.executable} -m bus.cli tail --last 1 --json | head -1; exit ${{PIPESTATUS[0]}}"
    settings = os.environ | {"SNODO_URL": server.url, "SNODO_KEY": key_of("sistemista")}
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT, env=settings)
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 1, "")


@pytest.mark.parametrize("command", ["dead list", "log search runs", "report", "services", "top", "tail --once"])
def test_reading_commands_take_json(bus, command):
    code, out, _ = bus(*command.split(), "--json")
    assert code == 0
    assert [json.loads(text) for text in (out.splitlines() if command == "tail --once" else [out])]


RAW = {"dead evidence", "graph", "log checkpoint", "log verifier"}
"""What is written of them is itself what a program reads."""


def test_each_command_takes_json_but_those_that_give_a_file_as_it_is():
    def without(command, name):
        below = getattr(command, "commands", {})
        if not below:
            return [] if any("--json" in one.opts for one in command.params) else [name]
        return [one for word, inner in below.items() for one in without(inner, f"{name} {word}")]

    families = {name: COMMANDS[name][0].partition(":") for name in COMMANDS}
    apps = {name: getattr(import_module(f"bus.cli.{module}"), family or "app") for name, (module, _, family) in families.items()}
    assert {one for name, app in apps.items() for one in without(typer.main.get_command(app), name)} == RAW


def test_an_error_is_an_object_where_json_was_asked_for_in_any_way(bus):
    for way in (["--json"], ["--format", "json"], ["--format=json"]):
        code, out, err = bus("validate", "nulla", *way)
        assert (code, out, json.loads(err)["code"]) == (2, "", "cli.usage")


@pytest.mark.parametrize("since", ["2026-02-29", "28/11/2026", "2026-11-28T16:00:00+01:00", "9999-12-31"])
def test_a_report_of_what_is_no_day_and_has_no_end_is_refused_by_what_was_written(bus, since):
    code, out, err = bus("report", "accesses", "--from", since, "--purpose", "prova")
    assert (code, out) == (2, "")
    assert f"Invalid value for --from: {since!r} is no day" in " ".join(err.split())


def test_no_dead_letter_is_said_as_that(tmp_path, bus):
    with running(tmp_path) as quiet:
        assert bus("dead", "--url", quiet.url)[1] == "no dead letters\n"


def test_without_a_terminal_one_look_at_what_is_busy_is_printed(bus):
    code, out, _ = bus("top")
    assert (code, "of the last 60 s" in out) == (0, True)


def test_a_dumb_terminal_is_shown_one_look_too(bus, monkeypatch):
    """A live picture moves the cursor, which such a terminal (of an editor, of a screen reader) cannot: it would stay empty."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("bus.cli.timeline.console", lambda: Console(force_terminal=True, width=80, highlight=False, color_system=None))
    monkeypatch.setattr(watch, "_live", lambda *_: pytest.fail("a live picture"))
    code, out, _ = bus("top")
    assert (code, "of the last 60 s" in out) == (0, True)


def test_a_live_picture_says_that_it_is_old_while_the_bus_cannot_be_reached(bus, monkeypatch):
    """What is said on standard error is drawn over."""
    monkeypatch.setattr(watch.time, "sleep", lambda _: None)

    def away():
        raise ClientError(0, {"detail": "no answer"})

    shown = json.loads(bus("top", "--json")[1])
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(watch._picture(watch._again(away, shown)))
    console.print(watch._picture(shown))
    assert console.export_text().splitlines().count(watch.AWAY) == 1
