"""The guard of tests/conftest.py must be able to fail; each of these would be red without it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import network_guard
import pytest

PROJECT = Path(__file__).parents[2]
OUTSIDE = "192.0.2.1"  # TEST-NET-1, RFC 5737: nobody is there


@pytest.fixture
def report(tmp_path, monkeypatch):
    """Lets a test provoke the guard without failing for it."""
    path = tmp_path / "report"
    monkeypatch.setenv(network_guard.REPORT, str(path))
    path.touch()
    yield path
    path.write_text("")


def test_connecting_to_another_machine_is_forbidden(report):
    with socket.socket() as sock, pytest.raises(network_guard.NetworkForbidden, match="connect to"):
        sock.connect((OUTSIDE, 80))
    assert OUTSIDE in report.read_text()


def test_connect_ex_is_no_way_round(report):
    with socket.socket() as sock, pytest.raises(network_guard.NetworkForbidden):
        sock.connect_ex((OUTSIDE, 80))


def test_listening_on_all_interfaces_is_forbidden(report):
    with socket.socket() as sock, pytest.raises(network_guard.NetworkForbidden, match="bind to"):
        sock.bind(("0.0.0.0", 0))


def test_sending_a_datagram_to_another_machine_is_forbidden(report):
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(network_guard.NetworkForbidden, match="send to"):
        sock.sendto(b"x", (OUTSIDE, 53))


@pytest.mark.parametrize("ask", [lambda: socket.getaddrinfo("comune.example", 80), lambda: socket.gethostbyname("comune.example")])
def test_resolving_a_name_is_forbidden(report, ask):
    with pytest.raises(network_guard.NetworkForbidden, match="resolve"):
        ask()


def test_a_name_under_invalid_fails_as_dns_would():
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nobody.invalid", 80)


def test_loopback_and_unix_sockets_are_allowed(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(("localhost", server.getsockname()[1])):
        pass
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(tmp_path / "s"))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        (b"localhost", True),
        (None, True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.comune.example", False),
        ("127.0.0.1.comune.example", False),
    ],
)
def test_what_counts_as_loopback(host, expected):
    assert expected == network_guard.is_loopback(host)


def test_a_process_started_by_a_test_is_guarded_too(report):
    program = f"import socket; socket.create_connection(({OUTSIDE!r}, 80), timeout=1)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert "network guard" in ended.stderr
    assert OUTSIDE in report.read_text()


def _pytest(tmp_path, source, **environment):
    """Runs a small test file under the rules of tests/conftest.py; returns the ended process."""
    (tmp_path / "test_it.py").write_text(source)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
        str(tmp_path / "test_it.py"),
    ]
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(command, cwd=PROJECT, env={**inherited, **environment}, capture_output=True, text=True, timeout=120)


def test_a_test_that_swallows_the_exception_fails_all_the_same(tmp_path):
    source = f"""
import socket
def test_it():
    try:
        socket.create_connection(({OUTSIDE!r}, 80), timeout=1)
    except Exception:
        pass
"""
    ended = _pytest(tmp_path, source)
    assert ended.returncode == 1
    assert "network guard" in ended.stdout


SKIPPING = "import pytest\n@pytest.mark.skip(reason='no such folder')\ndef test_it(): ...\n"
SKIPPING_ALL = "import pytest\npytest.skip('nothing here', allow_module_level=True)\n"


@pytest.mark.parametrize(("source", "why"), [(SKIPPING, "no such folder"), (SKIPPING_ALL, "nothing here")])
def test_under_ci_a_skipped_test_is_a_failure_with_its_reason(tmp_path, source, why):
    ended = _pytest(tmp_path, source, CI="true")
    assert ended.returncode != 0
    assert why in ended.stdout


def test_elsewhere_a_test_may_be_skipped(tmp_path):
    assert _pytest(tmp_path, SKIPPING).returncode == 0
