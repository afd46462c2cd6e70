"""Commands that write something say to a program what they wrote, with ``--json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bus.cli import main
from tests.small_bus import Caller, key_of, running, wait_reply


def test_what_was_written_is_told_to_a_program_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(json.dumps({"organization": {"name": "Comune di Prova", "fiscal_code": "00000000000"}}), "utf-8")
    monkeypatch.chdir(tmp_path)

    def told(*words: str, code: int = 0) -> dict[str, Any]:
        assert code == main([*words, "--json"])
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    type, route = "mappings/types/ambiente.ritiro.richiesta.yaml", "routes/ambiente/ritiro.yaml"
    made = told("new", "route", "ambiente.ritiro")
    assert ([str(tmp_path / type), str(tmp_path / route)], f"next: bus validate; bus test {route}") == (made["written"], made["next"][-1])
    for words in (
        ("mapping", "ambiente.a-avviso", "--from", "ambiente.ritiro.richiesta", "--to", "ambiente.ritiro.richiesta"),
        ("service", "ritiro-ingombranti", "--titolo", "Ritiro", "--ufficio", "ambiente"), ("adapter", "tributi"),
    ):  # fmt: skip
        made = told("new", *words)
        assert (True, True) == (all(Path(one).is_file() for one in made["written"]), made["next"][0].startswith("next: ")), made
    assert {"changed": [], "would_change": [], "left_alone": []} == told("fmt", route)
    Path(route).write_text(Path(route).read_text("utf-8").replace("version: 1", "version:   1"), "utf-8")
    Path(type).write_text("a: [", "utf-8")
    checked = told("fmt", "--check", route, type, code=1)
    assert ([], [route], [type]) == (checked["changed"], checked["would_change"], [one["file"] for one in checked["left_alone"]])
    assert [route] == told("fmt", route)["changed"]
    Path(type).unlink()
    written = told("schema", "--folder", "schemi")["written"]
    assert ["routes/**/*.yaml", "!routes/servizi.yaml", "!routes/**/*.test.yaml"] == written["schemi/route.json"]
    made = told("log", "key", "new", "nuova.key")
    assert (True, True) == (Path(made["key"]).is_file(), made["public_key"] not in Path(made["key"]).read_text("utf-8"))


def test_what_was_exported_and_published_is_told_to_a_program_too(tmp_path, capsys):
    with running(tmp_path) as server:
        sent = Caller(server.port)("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}).json["id"]
        wait_reply(server.app, sent, 60)
        capsys.readouterr()
        door = ["--url", server.url, "--key", key_of("revisore")]
        words = ["log", "export", "--case", "istanza:Ada", "--purpose", "prova", "--out", str(tmp_path / "f.zip")]
        assert main([*words, *door, "--json"]) == 0
        raw = (tmp_path / "f.zip").read_bytes()
        told = json.loads(capsys.readouterr().out)
    assert told == {"file": str(tmp_path / "f.zip"), "bytes": len(raw), "proves": True, "unruled": [], "damaged": []}
    assert main(["log", "tiles", str(tmp_path / "registro"), "--config", str(tmp_path / "config.yaml"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["folder"], told["records"] > 3, told["files"] > 2) == (str(tmp_path / "registro"), True, True)
