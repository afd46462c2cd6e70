"""Where a command finds the bus: at --url, else where the settings say that it listens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bus.cli import main
from bus.cli.common import LOCAL, address
from tests.small_bus import key_of, running, write


@pytest.mark.parametrize(
    ("http", "found"),
    [
        ({"port": 9200}, "http://127.0.0.1:9200"),
        ({"host": "0.0.0.0", "port": 9200}, "http://127.0.0.1:9200"),
        ({"host": "::", "port": 9200}, "http://[::1]:9200"),
        ({"host": "10.0.0.5", "port": 80}, "http://10.0.0.5:80"),
        ({"port": 0}, LOCAL),
        ({"port": "none"}, LOCAL),
        ({"host": {"env": "SNODO_UNSET"}}, LOCAL),
    ],
)
def test_the_settings_say_where_the_bus_is(tmp_path: Path, http: dict[str, object], found: str) -> None:
    assert address(write(tmp_path, http=http)) == found


def test_without_settings_it_is_in_the_usual_place(tmp_path: Path) -> None:
    assert address(tmp_path / "config.yaml") == LOCAL


def test_commands_talk_to_the_bus_of_the_settings_they_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SNODO_URL", raising=False)
    monkeypatch.setenv("SNODO_KEY", key_of("sistemista"))
    with running(tmp_path) as server:
        path = write(tmp_path, http={"port": server.port})
        assert main(["status", "--history", "--config", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)
        monkeypatch.setenv("SNODO_CONFIG", str(path))
        assert main(["runs", "--json"]) == 0
        assert main(["runs", "--url", "http://127.0.0.1:1", "--json"]) == 3
