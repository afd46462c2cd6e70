"""The client, against a small bus and against servers that misbehave."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import bus.client as module
from bus.bundle import verify
from bus.cli import main, patient
from bus.client import Client, ClientError
from bus.log import log
from bus.web import matters
from tests.contract.tls_peer import peer, self_signed, server_side
from tests.small_bus import key_of, running


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("bus"), attachments={"folder": "files", "limit": 1_000_000}) as server:
        yield server


@pytest.fixture
def client(server):
    with Client(server.url, key_of("portale")) as client:
        yield client


def test_it_is_one_file_on_the_standard_library():
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize("path", [module.__file__, verify.__file__])
def test_what_is_copied_to_other_machines_runs_under_python_3_9(path):
    """RHEL 9 has 3.9, Ubuntu 22.04 has 3.10: the grammar of then, and neither names nor unions of types that came later."""
    tree = ast.parse(Path(path).read_text(encoding="utf-8"), feature_version=(3, 9))
    taken = {name.name for one in tree.body if isinstance(one, ast.ImportFrom) and one.module == "typing" for name in one.names}
    assert taken <= {"IO", "TYPE_CHECKING", "Any", "NamedTuple"}
    asked = [one for one in ast.walk(tree) if isinstance(one, ast.Call) and isinstance(one.func, ast.Name) and one.func.id == "isinstance"]
    assert [one.lineno for one in asked if isinstance(one.args[1], ast.BinOp)] == []


def test_sending_asking_and_following(client):
    accepted = client.send("prova.saluto", {"nome": "Ida"}, key="ida")
    assert client.send("prova.saluto", {"nome": "Ida"}, key="ida") == {**accepted, "repeated": True}
    assert "repeated" not in accepted
    assert client.ask("prova.saluto", {"nome": "Bea"}) == {"saluto": "ciao Bea"}
    assert client.wait_for(accepted["id"], timeout=60)["state"] == "done"
    assert client.case("istanza:Ida")["messages"][0]["id"] == accepted["id"]


def test_a_case_is_read_page_by_page_and_told_as_one(server, client, monkeypatch, capsys):
    sent = [client.send("prova.saluto", {"nome": "Pia"}, key=f"pia-{number}")["id"] for number in range(3)]
    for one in sent:
        client.wait_for(one)
    whole, pages, after = client.case("istanza:Pia"), [], 0
    while after is not None:
        pages.append(client.case("istanza:Pia", after, limit=2))
        after = pages[-1]["next"]
    assert len(pages) == (len(whole["timeline"]) + 1) // 2 > 3
    for name in ("messages", "runs", "timeline"):
        assert [line for page in pages for line in page[name]] == whole[name]
    assert ({page["state"] for page in pages}, [one["id"] for one in whole["messages"]]) == ({"done"}, sent)
    monkeypatch.setattr(matters, "MOST_RECORDS", 2)
    assert client.get("/cases/istanza:Pia")["next"] is not None
    assert client.case("istanza:Pia") == whole
    assert main(["log", "show", "istanza:Pia", "--json", "--url", server.url, "--key", key_of("revisore")]) == 0
    assert json.loads(capsys.readouterr().out) == {"records": whole["timeline"]}
    assert main(["case", "show", "istanza:Pia", "--limit", "2", "--url", server.url, "--key", key_of("portale")]) == 0
    assert f"more: --after {pages[0]['next']}" in capsys.readouterr().out


def test_asking_what_nobody_answers_says_so_and_the_message_stands(client):
    with pytest.raises(ClientError) as caught:
        client.ask("prova.attesa", {"nome": "Ciro"}, wait=1)
    assert caught.value.code == "client.no-reply"
    asked = caught.value.problem["message"]["id"]
    assert client.message(asked)["state"] == "waiting"
    assert client.send("prova.attesa", {"nome": "Ciro"}, key=caught.value.key)["id"] == asked


def test_waiting_has_an_end(client):
    accepted = client.send("prova.attesa", {"nome": "Dina"})
    with pytest.raises(ClientError) as caught:
        client.wait_for(accepted["id"], timeout=0.3)
    assert caught.value.code == "client.timeout"


def test_a_problem_becomes_an_error_with_its_fields(client):
    with pytest.raises(ClientError) as caught:
        client.send("prova.saluto", {"nome": ""})
    error = caught.value
    assert (error.status, error.code, error.faults[0]["pointer"]) == (422, "body.invalid", "/nome")
    assert error.instance.startswith("urn:uuid:")
    assert "faults" in error.hint


def test_files_from_a_path_bytes_or_a_stream(server, client, tmp_path):
    path = tmp_path / "modulo è.pdf"
    path.write_bytes(b"contenuto")
    one, two, three = (
        client.attach(path, media_type="application/pdf"),
        client.attach(b"contenuto", "a"),
        client.attach(io.BytesIO(b"contenuto"), "b"),
    )
    assert one["sha256"] == two["sha256"] == three["sha256"]
    assert (one["name"], one["size"], one["media_type"]) == ("modulo è.pdf", 9, "application/pdf")
    message = client.send("prova.saluto", {"nome": "Elio"}, attachments=[one, two, three["sha256"]])["id"]
    with server.app.store.read() as tx:
        assert [file["name"] for file in log.message(tx, message)[0]["envelope"]["attachments"]] == ["modulo è.pdf", "a", "b"]


def test_a_stream_that_cannot_seek_is_refused_with_what_to_give_instead(client):
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as stream, pytest.raises(ValueError, match="give a path, or the bytes"):
        client.attach(stream, "c")


def test_a_file_that_is_refused_while_it_is_sent_gives_the_problem(client):
    with pytest.raises(ClientError) as caught:
        client.attach(b"x" * 30_000_000, "grande")
    assert (caught.value.status, caught.value.code) == (413, "attachment.too-large")


def test_one_client_serves_many_threads(client):
    replies = []
    threads = [threading.Thread(target=lambda n=n: replies.append(client.ask("prova.saluto", {"nome": f"F{n}"}))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(reply["saluto"] for reply in replies) == [f"ciao F{n}" for n in range(8)]


def test_a_bus_that_is_not_there_is_unreachable():
    with Client("http://127.0.0.1:9", "x", attempts=2, pause=0.01) as client, pytest.raises(ClientError) as caught:
        client.send("a.b", {})
    assert (caught.value.status, caught.value.code) == (0, "client.unreachable")


def test_a_certificate_that_is_not_trusted_is_told_as_that(tmp_path):
    """Whether the bus is running is not the question: it has answered."""
    certificate = self_signed(tmp_path)

    def greet(line):
        with contextlib.suppress(OSError):
            server_side(line, certificate).close()

    with (
        peer(greet) as port,
        Client(f"https://127.0.0.1:{port}", "x", attempts=1) as client,
        pytest.raises(ClientError, match="SSL_CERT_FILE names") as caught,
    ):
        client.send("a.b", {})
    assert caught.value.detail == f"the certificate of https://127.0.0.1:{port} is not to be trusted: self-signed certificate"


def test_an_authority_that_later_pythons_do_not_take_is_to_be_made_anew():
    """Python 3.13 looks more closely; no file that SSL_CERT_FILE names would help."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 92, "CA cert does not include key usage extension"
    told = module._tls_failed(error, "https://snodo.comune.example")
    assert told["detail"].endswith("is not to be trusted: CA cert does not include key usage extension")
    assert told["hint"].startswith("Python 3.13 and later takes no certificates that lack this")


def test_what_speaks_no_tls_is_told_as_that():
    with (
        peer(lambda line: line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port,
        Client(f"https://127.0.0.1:{port}", "x", attempts=1) as client,
        pytest.raises(ClientError, match="is this the port for https"),
    ):
        client.send("a.b", {})


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://h:abc", "http://h:99999", "http://.h"])
def test_what_is_no_address_is_said_at_once(url):
    with pytest.raises(ValueError, match="not the http"):
        Client(url)


@pytest.mark.parametrize("url", ["http://[::1]:8080/snodo", "https://snodo.comune.example", "http://città.example:80"])
def test_an_address_is_taken_whatever_it_is_made_of(url):
    Client(url).close()


@pytest.mark.parametrize("key", ["chiave\n", "“chiave”"])
def test_what_is_no_key_is_said_at_once(key):
    with pytest.raises(ValueError, match="the API key"):
        Client("http://127.0.0.1:9", key)


def test_a_password_in_the_address_is_not_told():
    with Client("http://ada:segreta@127.0.0.1:9", attempts=1) as client, pytest.raises(ClientError) as caught:
        client.get("/status")
    assert "http://127.0.0.1:9:" in caught.value.detail
    assert "segreta" not in str(caught.value)


def test_threads_that_ended_leave_no_connection_open(client):
    for _ in range(5):
        thread = threading.Thread(target=client.get, args=("/status",))
        thread.start()
        thread.join(60)
    client.get("/status")
    assert [thread for thread in client._open if thread is not threading.current_thread()] == []


FORKING = """
import os, sys
from bus.client import Client
client = Client(sys.argv[1])
lines = [client.get("/padre")["line"]]
read, write = os.pipe()
child = os.fork()
if not child:
    lines = [client.get(path)["line"] for path in ("/figlio", "/figlio")]
    client.close()
    os.write(write, f"{lines[0]} {lines[1]}".encode())
    os._exit(0)
ended = os.waitpid(child, 0)[1]
lines.append(client.get("/padre")["line"])
print(*lines, os.read(read, 100).decode(), ended)
"""


def test_a_process_that_was_forked_does_not_share_its_parent_s_connection(moody):
    done = subprocess.run(
        [sys.executable, "-c", FORKING, f"http://127.0.0.1:{moody._parts.port}"],
        cwd=Path(module.__file__).parents[1], capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    parent, again, child, once_more, ended = done.stdout.split()
    assert (parent, child, ended) == (again, once_more, "0")
    assert parent != child


@pytest.mark.parametrize("key", ["istanza €", ""])
def test_an_idempotency_key_that_is_not_taken_or_empty_gives_the_problem_and_is_not_replaced_by_another(client, key):
    with pytest.raises(ClientError) as caught:
        client.send("prova.saluto", {"nome": "Ada"}, key=key)
    assert caught.value.code == "input.idempotency-key"


def test_a_call_that_could_not_be_written_leaves_nothing_for_the_next_to_go_on_with(client):
    for wrong in (lambda: client.send("prova.saluto", {"nome": "Ada"}, key="a\nb"), lambda: client.attach(b"x", "a", "text/plain\n")):
        with pytest.raises(ValueError, match="header"):
            wrong()
        assert client.ask("prova.saluto", {"nome": "Ada"}) is not None


class Moody(BaseHTTPRequestHandler):
    """Fails as told, then answers; remembers the keys it saw."""

    protocol_version = "HTTP/1.1"
    moods: list[str] = []
    keys: list[str | None] = []
    again = "0"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.keys.append(self.headers["Idempotency-Key"])
        mood = self.moods.pop(0) if self.moods else "well"
        if mood == "cut":
            self.close_connection = True
            return
        status, content = {
            "well": (202, b'{"id": "1"}'),
            "busy": (503, b'{"code": "bus.busy", "detail": "later"}'),
            "html": (200, b"<html>"),
            "list": (200, b"[]"),
            "mute": (500, b""),
            "empty": (200, b""),
            "other": (200, b'{"status": "ok"}'),
            "deep": (200, b"[" * 100_000),
            "odd": (422, b'{"code": "x.y", "detail": null, "hint": null, "faults": 5}'),
            "gone": (502, b"<html>"),
            "moved": (308, b"<html>"),
        }[mood]
        self.send_response(status)
        if mood == "moved":
            self.send_header("Location", "https://snodo.comune.example/messages")
        self.send_header("Content-Length", str(len(content)))
        if mood == "busy":
            self.send_header("Retry-After", self.again)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        content = json.dumps({"asked": self.path, "line": self.client_address[1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def moody():
    Moody.moods, Moody.keys = [], []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Moody)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    with Client(f"http://127.0.0.1:{server.server_port}", "x", attempts=3, pause=0.01) as client:
        yield client
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["/messages/1", "/snodo/messages/1"])
def test_an_address_out_of_an_answer_is_followed_below_the_path_of_the_bus(moody, path):
    with Client(f"{moody._parts.geturl()}/snodo/", "x") as below:
        assert below.get(path, da="qui")["asked"] == "/snodo/messages/1?da=qui"


def test_a_wrong_path_in_the_address_of_the_bus_is_told_as_that(server):
    with Client(f"{server.url}/api", key_of("portale")) as client, pytest.raises(ClientError) as caught:
        client.message("x")
    assert (caught.value.code, caught.value.hint.split(",")[0]) == ("input.not-found", "is /api")


@pytest.mark.parametrize("moods", [["cut"], ["busy"], ["cut", "busy"], ["cut", "cut"], ["gone"]])
def test_sending_is_tried_again_with_the_same_key(moody, moods):
    Moody.moods = list(moods)
    assert moody.send("a.b", {}) == {"id": "1"}
    assert len(Moody.keys) == len(moods) + 1
    assert len(set(Moody.keys)) == 1


@pytest.mark.parametrize(
    ("said", "pauses"),
    [("3", [3, 3]), ("Fri, 27 Nov 2026 12:00:20 GMT", [20, 20]), ("Fri, 27 Nov 2026 11:00:00 GMT", [0, 0]), ("presto", [0.01, 0.02])],
)
def test_a_bus_that_is_busy_is_asked_again_when_it_says_or_after_growing_pauses(moody, monkeypatch, said, pauses):
    slept = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    monkeypatch.setattr(module.time, "time", lambda: 1795780800.0)  # noon of that day
    monkeypatch.setattr(Moody, "again", said)
    Moody.moods = ["busy", "busy"]
    assert moody.send("a.b", {}) == {"id": "1"}
    assert slept == pauses


def test_trying_again_has_an_end(moody):
    Moody.moods = ["cut"] * 9
    with pytest.raises(ClientError) as caught:
        moody.send("a.b", {})
    assert caught.value.code == "client.unreachable"
    assert len(Moody.keys) == 3


@pytest.mark.parametrize("moods", [["cut"] * 3, ["busy"] * 3, ["mute"], ["html"]])
def test_who_does_not_know_whether_a_message_was_taken_can_send_it_again_under_the_key_that_the_client_made(moody, moods):
    Moody.moods = list(moods)
    with pytest.raises(ClientError) as caught:
        moody.send("a.b", {})
    moody.send("a.b", {}, key=caught.value.key)
    assert len(set(Moody.keys)) == 1


def test_an_operator_s_act_is_never_made_twice(moody):
    Moody.moods = ["cut"]
    with pytest.raises(ClientError) as caught:
        moody.post("/dead/x/redeliver", {"reason": "x"})
    assert len(Moody.keys) == 1
    assert (caught.value.status, caught.value.code) == (0, "client.unanswered")  # it may be done: "is it running?" would mislead


def test_an_operator_s_act_that_surely_was_not_asked_for_is_told_as_that():
    with Client("http://127.0.0.1:9", "x", attempts=2, pause=0.01) as client, pytest.raises(ClientError) as caught:
        client.post("/dead/x/redeliver", {"reason": "x"})
    assert caught.value.code == "client.unreachable"


def test_a_problem_of_another_server_is_told_too(moody):
    Moody.moods = ["odd"]
    with pytest.raises(ClientError) as caught:
        moody.send("a.b", {})
    assert (caught.value.code, caught.value.hint, caught.value.faults) == ("x.y", "", [])


def test_a_kept_connection_that_the_server_closed_meanwhile_is_no_try(moody, monkeypatch):
    """Servers close what is idle: with one attempt alone each call after a pause would fail."""
    monkeypatch.setattr(Moody, "timeout", 0.05)
    with Client(f"http://{moody._parts.netloc}", "x", attempts=1) as client:
        client.send("a.b", {})
        kept = client._local.connection.sock
        assert kept.recv(1, socket.MSG_PEEK) == b""
        assert client.send("a.b", {}) == {"id": "1"}


def test_a_kept_connection_that_was_closed_meanwhile_is_opened_again(moody):
    moody.send("a.b", {})
    moody._local.connection.sock.close()
    assert moody.send("a.b", {}) == {"id": "1"}


@pytest.mark.parametrize(
    ("mood", "status", "said"),
    [
        ("html", 200, "HTTP 200 that is not JSON"),
        ("list", 200, "HTTP 200 that is no JSON object"),
        ("mute", 500, "HTTP 500 without content"),
        ("empty", 200, "HTTP 200 without 'id'"),
        ("other", 200, "HTTP 200 without 'id'"),
        ("deep", 200, "HTTP 200 that is not JSON"),
        ("moved", 308, "https://snodo.comune.example/messages"),
        ("gone", 502, "a server before the bus does not reach it, or has too much to do: try again later, under the same key"),
    ],
)
def test_what_no_bus_answers_is_said(moody, mood, status, said):
    Moody.moods = [mood] * 3
    with pytest.raises(ClientError, match=said) as caught:
        moody.send("a.b", {})
    assert (caught.value.status, caught.value.code) == (status, "client.unexpected")
    json.dumps(caught.value.problem)


def test_a_command_says_that_it_waits_for_a_bus_that_stands_still(monkeypatch, capsys):
    """It takes connections, since the kernel does that, and answers nobody: for two minutes the command seemed to stand still itself."""
    monkeypatch.setattr(patient, "QUIET", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as frozen, patient.PatientClient(f"http://127.0.0.1:{frozen.getsockname()[1]}") as client:
        told = threading.Event()
        tell = client._tell
        monkeypatch.setattr(client, "_tell", lambda: (tell(), told.set()))
        monkeypatch.setattr(client, "_once", lambda *_: (told.wait(60), (200, {}, b"{}"))[1])
        client.get("/rules")
    assert f"the bus at http://127.0.0.1:{client._parts.port} does not answer yet" in capsys.readouterr().err


def test_a_command_that_is_answered_says_nothing_of_waiting(server, capsys):
    with patient.PatientClient(server.url, key_of("sistemista")) as client:
        client.get("/rules")
    assert "" == capsys.readouterr().err
