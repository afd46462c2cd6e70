"""The kit every simulator is built on: a process that stands in for one outside system. Standard library only.

A simulator is a subclass of `Simulator` and a last line ``if __name__ == "__main__": main(Registro)``. It speaks the system's
protocol on a loopback port, writes every effect to a durable `Ledger` **before** it answers, and can be told to misbehave.

Control interface, under ``/_control/``:

* ``GET status``: name, process id, requests seen by operation, requests and late effects pending, faults in force;
* ``GET ledger[?kind=K]``: the effects, oldest first;
* ``POST faults`` with a JSON list of faults (added after those in force), ``DELETE faults``;
* ``POST stop``.

A fault is ``{"fault": F, "operation"?: substring of the operation's name, "seconds"?, "code"?, "times"? (absent: always),
"probability"?, "seed"?}``. The first fault that matches a request rules it; ``slow`` lets the following ones have their say.

========== =================================================================================
slow       wait ``seconds``, or until the faults are taken away, then serve
die_before the process ends (exit 9) before the effect
die_after  the process ends after the effect is durable, without a reply
lose_reply the effect happens, the socket is closed without a byte of reply
late       the socket is closed at once, the effect happens ``seconds`` later
refuse     the system says no with ``code``; no effect
garbage    the effect happens, the reply is a 200 whose body means nothing
html       a 502 with an HTML page; no effect
========== =================================================================================

Faults live in memory (a restarted simulator is well again); the ledger and what was remembered survive ``kill -9``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args
from urllib.parse import parse_qsl, urlsplit

FaultName = Literal["slow", "die_before", "die_after", "lose_reply", "late", "refuse", "garbage", "html"]
CONTROL = "/_control/"
MAX_BODY = 200_000_000
GARBAGE = b"\x00<<{{ this is not an answer"
ERROR_PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS effects (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL,
                                    detail TEXT NOT NULL, time REAL NOT NULL);
CREATE INDEX IF NOT EXISTS effects_by_key ON effects (kind, key);
CREATE TABLE IF NOT EXISTS state (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key));
"""


class NotReady(Exception):
    """A simulator cannot begin, for want of something that it names: one sentence, for whoever started it."""


class Ledger:
    """Durable book of the effects of one simulator (SQLite, WAL, synchronous=FULL). Thread-safe.

    What stands inside one ``with ledger.transaction()`` is atomic, also against other threads and against ``kill -9``.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Whoever has a simulator in a process that goes on ends it so; what was written is kept."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction; nested ones join the outermost."""
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                if self._depth == 1:
                    self._db.execute("ROLLBACK")
                raise
            else:
                if self._depth == 1:
                    self._db.execute("COMMIT")
            finally:
                self._depth -= 1

    def effect(self, kind: str, key: str, detail: Mapping[str, Any]) -> int:
        """Write one effect down; its number (1, 2, ...) is durable on return when outside a transaction."""
        with self.transaction():
            row = self._db.execute(
                "INSERT INTO effects (kind, key, detail, time) VALUES (?, ?, ?, ?)",
                (kind, key, json.dumps(dict(detail), ensure_ascii=False), time.time()),
            )
            return int(row.lastrowid or 0)

    def once(self, kind: str, key: str, detail: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """The effect of that kind and key, and whether it was made now: an idempotent system in one line."""
        with self.transaction():
            found = self.find(kind, key)
            if found is not None:
                return found, False
            self.effect(kind, key, detail)
            made = self.find(kind, key)
            assert made is not None
            return made, True

    def find(self, kind: str, key: str) -> dict[str, Any] | None:
        """The first effect of that kind and key, or None."""
        with self._lock:
            row = self._db.execute("SELECT * FROM effects WHERE kind = ? AND key = ? ORDER BY id LIMIT 1", (kind, key)).fetchone()
        return None if row is None else _effect_of(row)

    def effects(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Every effect (of one kind), oldest first, as ``{id, kind, key, detail, time}``."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM effects WHERE ?1 IS NULL OR kind = ?1 ORDER BY id", (kind,)).fetchall()
        return [_effect_of(row) for row in rows]

    def remember(self, kind: str, key: str, value: Any) -> None:
        """Keep one JSON value per kind and key; the last one wins."""
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", (kind, key, json.dumps(value, ensure_ascii=False)))

    def state(self, kind: str, key: str) -> Any:
        """What was last remembered under kind and key, or None."""
        with self._lock:
            row = self._db.execute("SELECT value FROM state WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        return None if row is None else json.loads(row["value"])


def _effect_of(row: sqlite3.Row) -> dict[str, Any]:
    return {"id": row["id"], "kind": row["kind"], "key": row["key"], "detail": json.loads(row["detail"]), "time": row["time"]}


@dataclass(frozen=True, slots=True)
class Request:
    """What reached the simulator. Header names are lowercase; ``path`` is as sent, without the query."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; raises ValueError."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the simulator answers."""

    status: int
    body: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Reply:
        """A JSON reply; keywords are header names with ``_`` for ``-``."""
        return cls(status, json.dumps(value, ensure_ascii=False).encode(), "application/json", _named(headers))

    @classmethod
    def problem(cls, status: int, code: str, detail: str = "", **headers: str) -> Reply:
        """A problem+json reply (RFC 9457) with our extension ``code``; keywords as in `json`."""
        body = {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code}
        return cls(status, json.dumps(body).encode(), "application/problem+json", _named(headers))


def _named(keywords: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): text for name, text in keywords.items()}


@dataclass(slots=True)
class Fault:
    """One way to misbehave, see the module's table."""

    fault: FaultName
    operation: str = ""
    seconds: float = 0.0
    code: str = ""
    times: int | None = None
    probability: float = 1.0
    seed: int = 0
    dice: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.fault not in get_args(FaultName):
            raise ValueError(f"no fault named {self.fault!r}; there are {', '.join(get_args(FaultName))}")
        self.dice = random.Random(self.seed)  # noqa: S311 - repeatable on purpose

    def strikes(self, operation: str) -> bool:
        """Does it rule this request? Uses up one of its times when it does."""
        if self.operation not in operation or self.times == 0 or self.dice.random() >= self.probability:
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def shown(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.init}


class Simulator:
    """Base of every simulator: subclass it, give it a ``name``, override `handle`, `refuse` and `operation_of`.

    `handle` runs in many threads at once and MUST write its effects to the ledger before it returns; it MUST keep nothing
    that the ledger does not hold, because it is killed and started again.
    """

    name: ClassVar[str] = "simulator"

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.options = folder, options
        self.ledger = Ledger(folder / f"{self.name}.sqlite")
        self.url = ""
        self._faults: list[Fault] = []
        self._seen: Counter[str] = Counter()
        self._pending = 0
        self._cleared = threading.Event()
        self._lock = threading.Lock()

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the simulator's own command-line arguments; they arrive as ``self.options``."""

    def begin(self) -> None:
        """Runs once when the port is known (``self.url``) and before the first request. Raises `NotReady` when that cannot be."""

    def described(self) -> dict[str, Any]:
        """More facts for the ready line and for ``status``, such as a second port."""
        return {}

    def operation_of(self, request: Request) -> str:
        """The name that faults are matched on."""
        return f"{request.method} {request.path}"

    def handle(self, request: Request) -> Reply:
        """Serve one request of the system's protocol, effects included."""
        raise NotImplementedError

    def refuse(self, request: Request, code: str) -> Reply:
        """How this system says no with that code; in band where the real one does."""
        return Reply.problem(422, code, "refused as told")

    def serve(self, request: Request) -> Reply | None:
        """The reply under the faults in force; None closes the socket without a byte."""
        operation = self.operation_of(request)
        with self._lock:
            self._seen[operation] += 1
        wait, fault = self._struck(operation)
        with self._counted():
            self.dawdle(wait)
            return self.handle(request) if fault is None else self._misbehave(fault, request)

    def dawdle(self, seconds: float) -> None:
        """Be slow for so long, or until the faults are taken away."""
        with self._lock:
            cleared = self._cleared
        cleared.wait(seconds)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._pending += 1
        try:
            yield
        finally:
            with self._lock:
                self._pending -= 1

    def _late(self, seconds: float, request: Request) -> None:
        with self._counted():
            time.sleep(seconds)
            self.handle(request)

    def _struck(self, operation: str) -> tuple[float, Fault | None]:
        """How long to wait first, and the fault that rules the request."""
        wait = 0.0
        with self._lock:
            for fault in self._faults:
                if fault.strikes(operation):
                    if fault.fault != "slow":
                        return wait, fault
                    wait += fault.seconds
        return wait, None

    def _misbehave(self, fault: Fault, request: Request) -> Reply | None:
        if fault.fault == "refuse":
            return self.refuse(request, fault.code)
        if fault.fault == "html":
            return Reply(502, ERROR_PAGE, "text/html")
        if fault.fault == "late":
            threading.Thread(target=self._late, args=(fault.seconds, request), daemon=True).start()
            return None
        if fault.fault == "die_before":
            os._exit(9)
        reply = self.handle(request)
        if fault.fault == "die_after":
            os._exit(9)
        return Reply(200, GARBAGE, reply.media_type) if fault.fault == "garbage" else None

    def control(self, request: Request) -> Reply:
        """Serve the control interface."""
        verb = f"{request.method} {request.path.removeprefix(CONTROL)}"
        if verb == "GET status":
            return Reply.json(self._status())
        if verb == "GET ledger":
            return Reply.json(self.ledger.effects(request.query.get("kind")))
        if verb == "POST faults":
            return self._add_faults(request)
        if verb == "DELETE faults":
            with self._lock:
                self._faults.clear()
                self._cleared.set()
                self._cleared = threading.Event()
            return Reply.json([])
        if verb == "POST stop":
            threading.Timer(0.05, os._exit, (0,)).start()
            return Reply.json({"stopping": True})
        return Reply.problem(404, "NO_SUCH_CONTROL", verb)

    def _status(self) -> dict[str, Any]:
        with self._lock:
            faults = [fault.shown() for fault in self._faults]
            counts = {"requests": dict(self._seen), "pending": self._pending}
        return {"name": self.name, "url": self.url, "pid": os.getpid(), **counts, "faults": faults, **self.described()}

    def _add_faults(self, request: Request) -> Reply:
        try:
            added = [Fault(**fault) for fault in request.json()]
        except (TypeError, ValueError) as error:
            return Reply.problem(422, "BAD_FAULT", str(error))
        with self._lock:
            self._faults.extend(added)
            return Reply.json([fault.shown() for fault in self._faults])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, port: int, simulator: Simulator) -> None:
        self.simulator = simulator
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is everyday life in these tests; anything else is told on standard error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536
    server: _Server

    def _serve(self) -> None:
        request = self._request()
        if request is None:
            return
        simulator = self.server.simulator
        reply = simulator.control(request) if request.path.startswith(CONTROL) else simulator.serve(request)
        if reply is None:
            self.close_connection = True
            return
        self._send(reply)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve

    def _request(self) -> Request | None:
        split = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = self._chunks() if headers.get("transfer-encoding", "").lower() == "chunked" else self._sized(headers)
        except ValueError:
            self.close_connection = True
            self._send(Reply.problem(400, "BAD_BODY"))
            return None
        return Request(self.command, split.path, dict(parse_qsl(split.query, keep_blank_values=True)), headers, body)

    def _sized(self, headers: Mapping[str, str]) -> bytes:
        length = int(headers.get("content-length", "0"))
        if not 0 <= length <= MAX_BODY:
            raise ValueError("too large")
        return self.rfile.read(length)

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := int(self.rfile.readline(20).split(b";")[0], 16):
            if len(body) + size > MAX_BODY:
                raise ValueError("too large")
            body += self.rfile.read(size)
            self.rfile.readline(4)
        while self.rfile.readline(8192).strip():
            pass
        return bytes(body)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        if reply.body or reply.status != 204:
            self.send_header("Content-Type", reply.media_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: what matters is in the ledger."""


def main(cls: type[Simulator]) -> None:
    """Run one simulator until it is stopped or killed; prints one JSON line ``{"name", "url", "pid", ...}`` when ready."""
    parser = argparse.ArgumentParser(prog=cls.name, description=cls.__doc__)
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    parser.add_argument("--second-port", type=int, default=0, help="for what is not HTTP, such as mail; 0 takes a free one")
    parser.add_argument("--folder", type=Path, required=True, help="where the ledger lives")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input closes")
    cls.arguments(parser)
    options = parser.parse_args()
    simulator = cls(options.folder, options)
    server = _Server(options.port, simulator)
    simulator.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        simulator.begin()
    except NotReady as error:
        sys.exit(f"the simulator of {cls.name} cannot begin: {error}")
    if options.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    print(json.dumps({"name": cls.name, "url": simulator.url, "pid": os.getpid(), **simulator.described()}), flush=True)
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        os._exit(0)


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)
