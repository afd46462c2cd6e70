"""Digests that a sender says of what it sends, compared with what came; ids in capitals."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator

import pytest

from bus.web.serve import Server
from tests.small_bus import Caller, running

OTHER = "A" * 43 + "="
MESSAGE = {"type": "prova.saluto", "data": {"nome": "x"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("bus")) as server:
        yield server


@pytest.fixture
def call(server: Server) -> Caller:
    return Caller(server.port)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Digest": f"sha-256=:{OTHER}:"}, {"Repr-Digest": "sha-256=abc"}, {"Digest": f"SHA-256={OTHER}"}, {"Digest": "SHA-256=:abc:"},
        {"Digest": "sha-512=AAAA,SHA-256=abc"},
    ],
)  # fmt: skip
def test_what_is_not_what_its_digest_names_is_refused(call: Caller, headers: dict[str, str]) -> None:
    said = call("POST", "/messages", MESSAGE, headers)
    assert (said.status, said.json["code"]) == (422, "input.digest")
    said = call("POST", "/attachments?name=x", b"x", headers)
    assert (said.status, said.json["code"]) == (422, "attachment.digest")


def test_a_message_whose_digest_is_its_own_is_taken(call: Caller) -> None:
    body = json.dumps({"type": "prova.saluto", "data": {"nome": "Ada"}}).encode()
    said = base64.b64encode(hashlib.sha256(body).digest()).decode()
    own = {"Content-Digest": f"sha-512=:AAAA:, sha-256=:{said}:", "Digest": f"SHA-256={said},SHA-512=AAAA", "Content-MD5": "nobody looks"}
    assert call("POST", "/messages", body, own).status == 202


def test_an_id_is_found_in_capitals_too(server: Server, call: Caller) -> None:
    """RFC 9562 §4: whoever reads one takes either."""
    sent = call("POST", "/messages", {"type": "prova.saluto", "data": {"nome": "Ada"}}, {"Prefer": "wait=25"}).json["id"]
    run = call("GET", f"/messages/{sent.upper()}").json["runs"][0]["id"]
    ask = Caller(server.port, "revisore")
    assert ask("GET", f"/runs/{run.upper()}").json["id"] == run
    assert ask("GET", f"/log?run={run.upper()}").json == ask("GET", f"/log?run={run}").json
    file = call("POST", "/attachments?name=a", b"x").json["sha256"]
    assert call("GET", f"/attachments/{file.upper()}").content == b"x"
