"""A small bus, and its command line, as a person runs it."""

from __future__ import annotations

import json

import pytest

from bus.cli import main
from tests.small_bus import key_of, running


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("bus")) as server:
        yield server


@pytest.fixture
def bus(server, monkeypatch, capsys):
    """Run a command; gives exit code, standard output, standard error."""
    monkeypatch.setenv("SNODO_URL", server.url)
    monkeypatch.setenv("SNODO_KEY", key_of("sistemista"))
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments):
        code = main([str(one) for one in arguments])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    return run


def sent(bus, tmp_path, type, nome, *more):
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"nome": nome}))
    code, out, _ = bus("send", type, str(body), "--json", *more)
    assert code == 0
    return json.loads(out)
