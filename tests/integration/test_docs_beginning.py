"""The page on beginning, played in an empty folder: what it says to write is all that a bus needs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bus.cli import main
from bus.client import Client
from bus.testing.ports import free_port

PROJECT = Path(__file__).parents[2]


def section() -> str:
    page = (PROJECT / "docs/sysadmin/editor.md").read_text("utf-8")
    return page.partition("### In an empty folder\n")[2].partition("\n## ")[0]


def test_a_folder_with_nothing_but_the_settings_of_the_page_becomes_a_bus(tmp_path, monkeypatch, capsys):
    [settings] = re.findall(r"^```yaml\n# config.yaml\n(.*?)^```", section(), re.DOTALL | re.MULTILINE)
    here, there = re.findall(r"^```sh\n(.*?)^```", section(), re.DOTALL | re.MULTILINE)
    *commands, last = [shlex.split(line, comments=True) for line in here.splitlines()]
    assert last == ["bus", "serve"]
    monkeypatch.chdir(tmp_path)
    port = free_port()
    Path("config.yaml").write_text(f"{settings}http: {{port: {port}}}\n", "utf-8")
    for _, *words in commands:
        capsys.readouterr()
        assert main(words) == 0, words
    told = capsys.readouterr().out
    key, (line,) = re.findall(r"snodo_\S+", told)[0], re.findall(r"^  (- name: portale\n(?:    .*\n)+)", told, re.MULTILINE)
    with Path("config.yaml").open("a", encoding="utf-8") as file:
        file.write(f"keys:\n  {line}")
    send = shlex.split(there.splitlines()[1])
    served = subprocess.Popen(
        [sys.executable, "-m", "bus", "serve"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert served.stdout is not None
        assert any(b"listens on" in one for one in served.stdout)
        monkeypatch.setenv("SNODO_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("SNODO_KEY", key)
        capsys.readouterr()
        assert main(send[1:]) == 0
        with Client(f"http://127.0.0.1:{port}", key) as snodo:
            assert snodo.case("richiesta:R-1")["state"] == "done"
    finally:
        served.terminate()
        served.communicate(timeout=30)


@pytest.mark.parametrize("command", ["validate", "serve"])
def test_who_begins_where_nothing_is_learns_what_to_write(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([command]) == 2
    assert "to begin one, write there: organization: {name:" in capsys.readouterr().err
    Path("config.yaml").write_text('organization: {name: Comune di Prova, fiscal_code: "00000000000"}', "utf-8")
    assert main(["validate"]) == 1
    assert "`bus new route ufficio.procedimento` begins the first route in it" in capsys.readouterr().out
