"""`bus doctor` looks at outside systems: their adapters, addresses, certificates. Servers that are there, and such that are not."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from bus.cli import main
from bus.doctor import systems
from bus.testing.ports import free_port
from tests.small_bus import running, write
from tests.unit.examining import examined, levels


@contextlib.contextmanager
def listening(context: ssl.SSLContext | None = None):
    """A server that takes connections, and counts the bytes that clients say in clear after the TLS handshake."""
    heard: list[bytes] = []

    def serve() -> None:
        while True:
            line, whose = server.accept()
            with line, contextlib.suppress(ssl.SSLError, ConnectionError):  # who looks at a certificate may hang up at once
                if whose == last.getsockname():
                    return
                with context.wrap_socket(line, server_side=True) if context else line as said:
                    heard.append(said.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as last:
        last.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], heard
        last.connect(server.getsockname())  # connections are taken in their order: those of before have been heard then
        thread.join(60)


def sito(**more: Any) -> dict[str, Any]:
    return {"use": "sito", "chiave": "una-chiave-di-prova", **more}


def test_an_adapter_with_wrong_settings_is_wrong_and_the_others_are_looked_at(tmp_path):
    with listening() as (port, heard):
        found = examined(write(tmp_path, adapters={"sito": sito(url=f"http://127.0.0.1:{port}"), "rotto": sito()}))
    assert sorted(levels(found, "doctor.adapters")) == ["ok", "wrong"]
    assert levels(found, "doctor.address") == ["ok"]
    assert heard == [b""], "a connection is opened and nothing is said"


def test_what_can_be_lived_with_does_not_keep_the_bus_from_starting_and_is_not_told_so(tmp_path):
    pdnd = {"client": "a", "kid": "b", "key": "nessuna.pem", "purpose": "c", "url": "http://127.0.0.1:9/token"}
    found = examined(write(tmp_path, adapters={"esterni": {"url": "http://127.0.0.1:9", "pdnd": pdnd}}))
    [told] = [one for one in found["doctor.adapters"] if one.level == "warning"]
    assert told.what == "adapters.esterni: pdnd.key: no private RSA key can be read there: No such file or directory"
    assert told.why.startswith("the bus starts with it")


def test_who_is_asked_before_a_system_is_looked_for_too(tmp_path):
    with listening() as (port, heard):
        named = {"audience": "https://127.0.0.1:1", "e_service": "https://127.0.0.1:2"}  # whom it is for, and nobody to be called
        pdnd = {"client": "a", "kid": "b", "key": "k.pem", "purpose": "c", "url": f"http://127.0.0.1:{port}/token.oauth2", **named}
        found = examined(write(tmp_path, adapters={"esterni": {"url": f"http://127.0.0.1:{port}", "pdnd": pdnd}}))
    told = [(one.level, one.what) for one in found["doctor.address"]]
    assert told == [("ok", "esterni takes connections"), ("ok", "pdnd of esterni takes connections")]
    assert heard == [b"", b""]


def test_a_system_that_cannot_be_reached_is_a_doubt_not_an_error(tmp_path, capsys):
    port = free_port()
    path = write(tmp_path, adapters={"sito": sito(url=f"http://127.0.0.1:{port}")})
    assert main(["doctor", "--config", str(path)]) == 0
    assert f"sito cannot be reached: Connection refused at 127.0.0.1:{port}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"url": "https://sito.comune.example/api"}, ["sito.comune.example:443"]), ({"url": "postgresql+psycopg://u:p@db.comune.example/x"}, ["db.comune.example:5432"]),
     ({"url": "sqlite:///x.db"}, []), ({"smtp_host": "posta.comune.example", "smtp_port": 25}, ["posta.comune.example:25"]),
     ({"url": "http://[::1]:81/", "url_ricerca": "", "port": ""}, ["::1:81"])],
)  # fmt: skip
def test_addresses_are_found_in_the_settings_of_any_adapter(settings, expected):
    assert [str(address) for address in systems._addresses("sito", list(settings.items()))] == expected


def certificate(folder: Path, days: int) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, good for so many days."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "prova")])
    address = x509.SubjectAlternativeName([x509.IPAddress(__import__("ipaddress").ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - dt.timedelta(days=100)).not_valid_after(now + dt.timedelta(days=days))
        .add_extension(address, critical=False).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize(("days", "trusted", "level"), [(90, True, "ok"), (10, True, "warning"), (-1, True, "wrong"), (90, False, "wrong")])
def test_a_certificate_is_looked_at_as_the_adapter_would(tmp_path, days, trusted, level):
    file, key = certificate(tmp_path, days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    with listening(context) as (port, heard):
        found = examined(
            write(tmp_path, adapters={"sito": sito(url=f"https://127.0.0.1:{port}", **({"ca": str(file)} if trusted else {}))})
        )
    assert levels(found, "doctor.tls") == [level]
    assert not any(heard)


def test_on_a_machine_without_authorities_the_doctor_says_what_to_install_and_finds_no_system_wrong(tmp_path, monkeypatch):
    """The adapters call with the authorities that their library brings along."""
    file, key = certificate(tmp_path, 90)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    monkeypatch.setattr("bus.doctor.systems.has_authorities", lambda: False)
    with listening(context) as (port, _):
        found = examined(write(tmp_path, adapters={"sito": sito(url=f"https://127.0.0.1:{port}")}))
    assert [("warning", "install the package ca-certificates")] == [(one.level, one.next) for one in found["doctor.tls"]]


@pytest.mark.parametrize(("days", "level"), [(90, "ok"), (10, "warning"), (-1, "wrong"), (None, "wrong")])
def test_our_own_certificate_is_looked_at_whether_the_system_can_be_reached_or_not(tmp_path, days, level):
    """A server looks at it only when the connection stands (TLS 1.3): the day after it ended each call fails, and nothing had told."""
    file, key = (tmp_path / "assente.pem", tmp_path / "key.pem") if days is None else certificate(tmp_path, days)
    own = sito(url="https://127.0.0.1:9", certificate=str(file), certificate_key=str(key))
    assert levels(examined(write(tmp_path, adapters={"sito": own})), "doctor.tls") == [level]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("snodo.db", "doctor.store-disk"),
        ("snodo.db.lock", "doctor.store-disk"),
        ("keys/1", "doctor.keystore"),
        ("log.key", "doctor.secrets"),
    ],
)
def test_what_root_left_behind_is_told_with_whose_it_must_be(tmp_path, monkeypatch, file, code):
    """The first two were not told, the third as a key store that is too old, the last as a check that broke."""
    with running(tmp_path):
        pass
    told, opened, theirs = os.access, Path.read_text, tmp_path / "var" / file

    def read(path, *how, **named):
        if path == theirs:
            raise PermissionError(13, "Permission denied")
        return opened(path, *how, **named)

    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != theirs and told(path, mode))
    monkeypatch.setattr(Path, "read_text", read)
    found = examined(tmp_path / "config.yaml")
    [one] = [one for group in found.values() for one in group if one.level == "wrong"]
    assert (one.code, one.where, one.next) == (code, str(theirs), "chown it to the user of the bus: was the bus run as root once?")
