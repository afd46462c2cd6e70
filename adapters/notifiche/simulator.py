"""App IO and a mail server in one process; ledger kinds ``messaggio-io`` and ``email``.

Mail arrives on a second loopback port (``smtp_port`` in the ready line). Faults on it are matched on the operation ``email`` and
strike when the mail has been handed over.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import socketserver
import threading
from email import message_from_bytes
from email.policy import default
from typing import Any

from adapters.simulator import Reply, Request, Simulator, main

NAMES = {"/profiles": "profilo", "/messages": "messaggio", "/mail": "email"}
NOTICE = re.compile(r"[0123][0-9]{17}")
MAX_MAIL = 10_000_000


class Notifications(Simulator):
    """App IO's services API and a mail server."""

    name = "notifiche"
    _mail_port = 0

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--api-key", default="", help="subscription key callers must send; none asked when empty")
        parser.add_argument("--absent", action="append", default=[], help="codice fiscale of somebody who is not on App IO")
        parser.add_argument("--blocked", action="append", default=[], help="codice fiscale of somebody who blocked our service")
        parser.add_argument("--bounce", action="append", default=[], help="address the mail server does not take")

    def begin(self) -> None:
        server = _MailServer(self.ledger.state("smtp", "port") or self.options.second_port, self)
        self._mail_port = server.server_address[1]
        self.ledger.remember("smtp", "port", self._mail_port)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def described(self) -> dict[str, Any]:
        return {"smtp_port": self._mail_port}

    def operation_of(self, request: Request) -> str:
        return NAMES.get(request.path, super().operation_of(request))

    def refuse(self, request: Request, code: str) -> Reply:
        if request.method == "SMTP":
            return Reply(550, f"{code if code.isdigit() else '550 5.7.1'} refused as told".encode())
        status = int(code.removeprefix("HTTP_")) if code.startswith("HTTP_") else 400
        return Reply.problem(status, code, **({"Retry_After": "7"} if status == 429 else {}))

    def handle(self, request: Request) -> Reply:
        if request.method == "SMTP":
            return self._mail(request)
        if self.options.api_key and request.headers.get("ocp-apim-subscription-key") != self.options.api_key:
            return Reply.problem(401, "Unauthorized")
        try:
            asked = request.json()
            person = str(asked["fiscal_code"])
        except (ValueError, KeyError, TypeError):
            return Reply.problem(400, "Bad Request")
        if (request.method, request.path) == ("POST", "/profiles"):
            return self._profile(person)
        if (request.method, request.path) == ("POST", "/messages"):
            return self._message(person, asked)
        return Reply.problem(404, "Not Found")

    def _profile(self, person: str) -> Reply:
        if person in self.options.absent:
            return Reply.problem(404, "Profile not found")
        return Reply.json({"sender_allowed": person not in self.options.blocked, "preferred_languages": ["it_IT"]})

    def _message(self, person: str, asked: dict[str, Any]) -> Reply:
        content = asked.get("content", {})
        if not _acceptable(content):
            return Reply.problem(400, "Bad Request", "content is not acceptable")
        with self.ledger.transaction():
            number = self.ledger.effect("messaggio-io", person, {"content": content})
            identifier = f"01SIMULATO{number:016d}"
            self.ledger.remember("messaggio-io", identifier, "ACCEPTED")
        return Reply.json({"id": identifier}, 201, Location=f"/messages/{identifier}")

    def _mail(self, request: Request) -> Reply:
        mail = message_from_bytes(request.body, policy=default)
        body = mail.get_body(("plain",))
        text = body.get_content() if body is not None else ""
        detail = {"da": request.headers["from"], "oggetto": str(mail["Subject"]), "testo": text, "id": str(mail["Message-ID"])}
        digest = hashlib.sha256(request.body).hexdigest()
        number = self.ledger.effect("email", request.headers["to"], {**detail, "sha256": digest})
        return Reply(250, f"250 2.0.0 queued as {number:08d}".encode())


def _acceptable(content: Any) -> bool:
    """The limits of the published contract, counted in UTF-16 units as the platform does."""
    if not isinstance(content, dict):
        return False
    subject, text = (len(str(content.get(name, "")).encode("utf-16-le")) // 2 for name in ("subject", "markdown"))
    payment = content.get("payment_data")
    payable = payment is None or (
        NOTICE.fullmatch(str(payment.get("notice_number"))) is not None and 1 <= int(payment.get("amount", 0)) <= 9_999_999_999
    )
    return 10 <= subject <= 120 and 80 <= text <= 10_000 and payable


class _MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, simulator: Notifications) -> None:
        self.simulator = simulator
        super().__init__(("127.0.0.1", port), _MailSession)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are everyday life in tests."""


class _MailSession(socketserver.StreamRequestHandler):
    """One SMTP session (RFC 5321, what a client needs)."""

    server: _MailServer
    disable_nagle_algorithm = True

    def handle(self) -> None:
        self._say("220 simulatore ESMTP")
        envelope: dict[str, str] = {}
        while line := self.rfile.readline(4096):
            verb = line.decode("ascii", "replace").strip()
            command = verb[:4].upper()
            if command == "QUIT":
                self._say("221 2.0.0 bye")
                return
            if command == "DATA" and "to" in envelope:
                if not self._take(envelope):
                    return
                envelope = {}
            else:
                self._say(self._answer(command, verb, envelope))

    def _answer(self, command: str, verb: str, envelope: dict[str, str]) -> str:
        address = verb.partition("<")[2].partition(">")[0]
        if command in {"EHLO", "HELO"}:
            return "250-simulatore\r\n250 SIZE 10000000"
        if command == "MAIL":
            envelope["from"] = address
            return "250 2.1.0 ok"
        if command == "RCPT" and "from" in envelope:
            if address in self.server.simulator.options.bounce:
                return "550 5.1.1 no such mailbox"
            envelope["to"] = address
            return "250 2.1.5 ok"
        return {"RSET": "250 2.0.0 ok", "NOOP": "250 2.0.0 ok"}.get(command, "503 5.5.1 bad sequence")

    def _take(self, envelope: dict[str, str]) -> bool:
        """Read one mail and let the simulator say what becomes of it; False when the socket is to be closed."""
        self._say("354 go on")
        body = bytearray()
        while (line := self.rfile.readline(65_536)) != b".\r\n":
            if not line or len(body) > MAX_MAIL:
                return False
            body += line[1:] if line.startswith(b".") else line
        reply = self.server.simulator.serve(Request("SMTP", "/mail", {}, envelope, bytes(body)))
        if reply is not None:
            self.wfile.write(reply.body + b"\r\n")
        return reply is not None

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


if __name__ == "__main__":
    main(Notifications)
