"""A time-stamping authority of our own: a root, a certificate that may only stamp, and ``openssl ts -reply`` behind HTTP on loopback."""

from __future__ import annotations

import datetime as dt
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import CertificateBuilder, load_pem_x509_certificate

CONFIGURATION = """
[ tsa ]
default_tsa = ours
[ ours ]
dir = {folder}
serial = $dir/serial
crypto_device = builtin
signer_cert = $dir/tsa.pem
signer_key = $dir/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
clock_precision_digits = 0
ordering = yes
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[ root ]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[ stamping ]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[ req ]
distinguished_name = name
[ name ]
"""


class Authority:
    """Give it a folder, and ``close`` it in the end. ``answer`` may be replaced, to misbehave."""

    def __init__(self, folder: Path, name: str = "prova") -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "serial").write_text("01\n")
        (folder / "openssl.cnf").write_text(CONFIGURATION.format(folder=folder))
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-days", "90",
                      "-subj", f"/CN=Radice {name}", "-config", "openssl.cnf", "-extensions", "root")  # fmt: skip
        self._openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "tsa.key",
            "-out",
            "tsa.csr",
            "-subj",
            f"/CN=Marche {name}",
            "-config",
            "openssl.cnf",
        )
        self._openssl("x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "30",
                      "-out", "tsa.pem", "-extfile", "openssl.cnf", "-extensions", "stamping")  # fmt: skip
        self.root, self.asked = folder / "root.pem", 0
        self.answer = self.stamp
        self._one = threading.Lock()
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                query = self.rfile.read(int(self.headers["Content-Length"]))
                authority.asked += 1
                content = authority.answer(query)
                self.send_response(200 if content else 500)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/tsa"

    def certified(self, days_ago: int, until: dt.datetime) -> None:
        """Give it another certificate for the same key."""
        own, root = (load_pem_x509_certificate((self.folder / name).read_bytes()) for name in ("tsa.pem", "root.pem"))
        made = CertificateBuilder(root.subject, own.subject, own.public_key(), own.serial_number + 1, extensions=list(own.extensions))
        made = made.not_valid_before(until - dt.timedelta(days=days_ago)).not_valid_after(until)
        signed = made.sign(load_pem_private_key((self.folder / "root.key").read_bytes(), None), SHA256())  # type: ignore[arg-type]
        (self.folder / "tsa.pem").write_bytes(signed.public_bytes(Encoding.PEM))

    def chained(self) -> None:
        """Stamp with a certificate of an authority in between from here on, whose own goes with each answer, in no order."""
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "between.key", "-out", "between.csr", "-subj", "/CN=Intermedia",
                      "-config", "openssl.cnf")  # fmt: skip
        for csr, issuer, kind, made in (("between.csr", "root", "root", "between.pem"), ("tsa.csr", "between", "stamping", "tsa.pem")):
            self._openssl("x509", "-req", "-in", csr, "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key", "-CAcreateserial", "-days", "30",
                          "-out", made, "-extfile", "openssl.cnf", "-extensions", kind)  # fmt: skip
        (self.folder / "both.pem").write_bytes((self.folder / "tsa.pem").read_bytes() + (self.folder / "between.pem").read_bytes())
        settings = (self.folder / "openssl.cnf").read_text("utf-8")
        (self.folder / "openssl.cnf").write_text(settings.replace("signer_key =", "certs = $dir/both.pem\nsigner_key ="), "utf-8")

    def stamp(self, query: bytes) -> bytes:
        """The answer to a request (DER)."""
        with self._one:
            (self.folder / "query").write_bytes(query)
            self._openssl("ts", "-reply", "-config", "openssl.cnf", "-section", "ours", "-queryfile", "query", "-out", "reply")
            return (self.folder / "reply").read_bytes()

    def anonymous(self, query: bytes) -> bytes:
        """A stamp as good as any, but that it does not name its certificate (RFC 3161, 2.4.2), put together by hand."""
        answer = self.stamp(query)
        (self.folder / "reply").write_bytes(answer)
        self._openssl("ts", "-reply", "-in", "reply", "-token_out", "-out", "token")
        self._openssl("cms", "-verify", "-noverify", "-inform", "DER", "-in", "token", "-binary", "-out", "said", "-purpose", "any")
        self._openssl("cms", "-sign", "-binary", "-nodetach", "-econtent_type", "1.2.840.113549.1.9.16.1.4", "-in", "said", "-md", "sha256",
                      "-signer", "tsa.pem", "-inkey", "tsa.key", "-outform", "DER", "-out", "anonymous", "-nosmimecap")  # fmt: skip
        inner = bytes.fromhex("3003020100") + (self.folder / "anonymous").read_bytes()
        return b"\x30\x82" + len(inner).to_bytes(2, "big") + inner

    def says(self, stamped: bytes, answer: bytes) -> str:
        """What OpenSSL itself thinks of a stamp."""
        (self.folder / "data").write_bytes(stamped)
        (self.folder / "answer").write_bytes(answer)
        command = ["openssl", "ts", "-verify", "-data", "data", "-in", "answer", "-CAfile", "root.pem"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        return done.stdout + done.stderr

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, check=True)
