"""A loopback peer of one connection that speaks TLS, and its certificate."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from contextlib import contextmanager, suppress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def self_signed(folder, name_in_it=None):
    """(file of a self-signed certificate for 127.0.0.1, or for a name alone, file of its key), both in the folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "prova")])
    now = dt.datetime.now(dt.UTC)
    bearer = x509.DNSName(name_in_it) if name_in_it else x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - dt.timedelta(1), now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([bearer]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    (folder / "k.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return str(folder / "c.pem"), str(folder / "k.pem")


@contextmanager
def peer(talk):
    """A loopback port whose connections are handed to ``talk``."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def server_side(connection, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context.wrap_socket(connection, server_side=True)


def web(certificate, seen):
    def talk(connection):
        with server_side(connection, certificate) as secure:
            got = b""
            while not got.endswith(b'{"a":1}') and (chunk := secure.recv(65536)):
                got += chunk
            seen.append(got)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    return talk
