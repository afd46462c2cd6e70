"""A client for portals, in one file with nothing but the standard library, of Python 3.9 or later: copy it where you need it.

::

    with Client("https://snodo.comune.example", key) as snodo:
        accepted = snodo.send("edilizia.pratica.presentata", {...}, key="istanza-2026-0001")
        reply = snodo.ask("anagrafe.certificato.richiesto", {...}, key="certificato-77", wait=20)

One connection is kept per thread, and a process that was forked makes its own. A call that failed on the way is made again only where
that is safe: reading always, sending because it always goes with an idempotency key (yours, or a fresh one), so the bus takes the
message once.
"""

from __future__ import annotations

import email.utils
import http.client
import io
import json
import math
import os
import selectors
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

if TYPE_CHECKING:
    from typing import Self, TypeAlias

ENDED = frozenset({"done", "dead", "cancelled"})
"""States after which nothing more happens to a message, unless a person acts."""
PASSING = frozenset({429, 502, 503, 504})
"""Statuses of what may be over soon."""
PIECE = 1 << 18
LONGEST_PAUSE = 60.0
"""Seconds that are waited at most because a bus asked for it (``Retry-After``)."""
STRICT = range(80, 94)
"""What OpenSSL says of certificates that are not as RFC 5280 wants them; it looks at that where Python 3.13 or later tells it to."""
Reply: TypeAlias = tuple[int, Mapping[str, str], bytes]
"""Status, headers by lowercase name, content."""
Body: TypeAlias = "bytes | Callable[[], Iterable[bytes]] | None"


class ClientError(Exception):
    """The bus said no, or could not be reached (``status`` 0). Carries the fields of the problem (RFC 9457).

    ``code`` is stable: decide by it. ``hint`` says what to do next. ``retry_after`` is in seconds, when the bus named it. ``key`` is
    that of the message that was sent, also where the client made it: sent again with it, it is taken once.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None = None, key: str = "") -> None:
        self.status = status
        self.code = str(problem.get("code") or ("client.unreachable" if status == 0 else "client.unexpected"))
        self.detail = str(problem.get("detail") or problem.get("title") or "")
        self.hint = str(problem.get("hint") or "")
        faults = problem.get("faults")  # it may be another server's problem
        self.faults: list[dict[str, Any]] = faults if isinstance(faults, list) else []
        self.instance = str(problem.get("instance") or "")
        self.problem = dict(problem)
        self.retry_after, self.key = retry_after, key
        super().__init__(f"{self.code}: {self.detail}" + (f" ({self.hint})" if self.hint else ""))


class Client:
    """Talks to one bus with one API key. Safe to share between threads, and with processes that are forked from this one; close it, or use
    it in a ``with`` block.

    ``timeout`` is in seconds, for each wait on the network; ``attempts`` bounds how often a call is made when the bus cannot be
    reached, also by a server before it (502, 504), or is busy (503, 429: after the time that it names), with growing pauses between.
    """

    def __init__(self, url: str, key: str = "", *, timeout: float = 30.0, attempts: int = 4, pause: float = 0.2) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not _is_place(parts):
            raise ValueError(f"{url!r} is not the http(s) address of a bus")
        if not (key.isascii() and key.isprintable()):
            raise ValueError("the API key has characters that no key has: is a line break among them, or a typographic sign?")
        self._parts, self._key, self._timeout, self._attempts, self._pause = parts, key, timeout, max(1, attempts), pause
        self._base = parts.path.rstrip("/")
        self._open: dict[threading.Thread, http.client.HTTPConnection] = {}
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of all threads of this process."""
        self._ours()
        with self._lock:
            for connection in self._open.values():
                connection.close()
            self._open.clear()

    def _ours(self) -> None:
        """In a process that was forked, begin anew."""
        if self._process != os.getpid():
            self._begin()

    def _begin(self) -> None:
        """Without any connection, and for this process: on one line two processes would read each other's answers.

        What a forked process closes here are its own ends of its parent's connections, which stand. Nothing is locked: who held the lock
        of the parent is not in this process.
        """
        for connection in self._open.values():
            connection.close()
        self._open = {}
        self._local, self._lock, self._process = threading.local(), threading.Lock(), os.getpid()

    # -- sending -----------------------------------------------------------------------------------------------------

    def send(
        self,
        type: str,
        body: Any,
        key: str | None = None,
        wait: float = 0,
        attachments: Iterable[str | Mapping[str, Any]] = (),
        *,
        subject: str | None = None,
        source: str | None = None,
    ) -> dict[str, Any]:
        """Send a message: ``{id, type, time, links}`` once it is durable, with ``reply`` when one came within ``wait`` seconds.

        ``key`` names this message for you: sent again with the same key it is the same message, and the answer has ``repeated: True`` (also
        where this call was made again by itself, and the bus had taken the first). ``attachments`` are what `attach` returned, or addresses
        alone.
        """
        envelope: dict[str, Any] = {"type": type, "data": body}
        files = [one if isinstance(one, str) else {"sha256": one["sha256"], "name": one["name"]} for one in attachments]
        envelope |= {name: value for name, value in (("subject", subject), ("source", source), ("attachments", files)) if value}
        key = _named(key)
        headers = {"Content-Type": "application/json", "Idempotency-Key": _utf8(key)}
        if wait > 0:
            headers["Prefer"] = f"wait={math.ceil(wait)}"
        try:
            status, fields, content = self._call("POST", "/messages", json.dumps(envelope).encode(), headers, longer=wait)
            answer = self._answer(status, fields, content, needs="id")
        except ClientError as error:
            error.key = key
            raise
        return {**answer, "repeated": True} if fields.get("idempotency-status") == "repeated" else answer

    def ask(
        self, type: str, body: Any, key: str | None = None, wait: float = 30, attachments: Iterable[str | Mapping[str, Any]] = ()
    ) -> Any:
        """Send and return the reply. Raises `ClientError` with code ``client.no-reply`` when none came in time; the message stands."""
        key = _named(key)
        answer = self.send(type, body, key, wait, attachments)
        if "reply" not in answer:
            said = f"no reply within {wait:g} seconds to message {answer['id']}"
            raise ClientError(202, {"code": "client.no-reply", "detail": said, "message": answer}, key=key)
        return answer["reply"]

    def attach(self, file: str | Path | bytes | IO[bytes], name: str = "", media_type: str = "application/octet-stream") -> dict[str, Any]:
        """Send a file, streamed: ``{sha256, size, media_type, name}``. A path, bytes, or a binary stream that can seek."""
        if isinstance(file, bytes):
            return self.attach(io.BytesIO(file), name, media_type)
        if isinstance(file, (str, Path)):
            with Path(file).open("rb") as stream:
                return self.attach(stream, name or Path(file).name, media_type)
        if not file.seekable():
            raise ValueError("the stream cannot seek, and a call may have to be made again: give a path, or the bytes")
        size = file.seek(0, os.SEEK_END)
        headers = {
            "Content-Type": media_type,
            "Content-Length": str(size),
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        }
        return self._json("POST", "/attachments", lambda: _pieces(file), headers, needs="sha256")

    # -- reading -----------------------------------------------------------------------------------------------------

    def message(self, identity: str, purpose: str = "") -> dict[str, Any]:
        """A message's state, its runs, its reply; who did not send it is shown what was said for a ``purpose``, which the log keeps."""
        return self._json("GET", f"/messages/{quote(identity, safe='')}", None, _purpose(purpose), needs="state")

    def case(self, key: str, after: int = 0, limit: int = 0) -> dict[str, Any]:
        """A case by one of its keys, ``value`` or ``name:value``: all of it, page by page.

        With ``limit`` a single page: at most so many records, behind ``after``, the ``next`` of the page before.
        """
        shown = self._page_of_case(key, after, limit)
        while not limit and shown.get("next"):
            page = self._page_of_case(key, shown["next"], limit)
            page["keys"] = shown["keys"] + [one for one in page["keys"] if one not in shown["keys"]]
            shown = page | {name: shown[name] + page[name] for name in ("messages", "runs", "timeline")}
        return shown

    def _page_of_case(self, key: str, after: int, limit: int) -> dict[str, Any]:
        query = urlencode({name: value for name, value in (("after", after), ("limit", limit)) if value})
        return self._json("GET", f"/cases/{quote(key, safe=':')}" + (f"?{query}" if query else ""), needs="timeline")

    def wait_for(self, identity: str, states: Iterable[str] = ENDED, timeout: float = 60, every: float = 0.2) -> dict[str, Any]:
        """The message as soon as its state is one of ``states``; raises `ClientError` (``client.timeout``) when it was not in time."""
        wanted, until = frozenset(states), time.monotonic() + timeout
        while True:
            shown = self.message(identity)
            if shown["state"] in wanted:
                return shown
            if time.monotonic() + every > until:
                raise ClientError(
                    0, {"code": "client.timeout", "detail": f"message {identity} is {shown['state']} after {timeout:g} seconds"}
                )
            time.sleep(every)

    def get(self, path: str, purpose: str = "", /, **query: str | int | None) -> dict[str, Any]:
        """Anything else that is read: ``get("/runs", state="dead")``; ``purpose`` says what for, where something that was said is shown."""
        given = {name: value for name, value in query.items() if value is not None}
        return self._json("GET", path + (f"?{urlencode(given)}" if given else ""), None, _purpose(purpose))

    def content(self, path: str, purpose: str = "") -> bytes:
        """Bytes that are not JSON, whole: ``content("/attachments/<sha256>")``; who did not send them says what for."""
        return self._bytes("GET", path, None, _purpose(purpose))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """An operator's act: ``post("/dead/<run>/redeliver", {"reason": "..."})``. Never made twice by itself."""
        return self._json("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"}, again=False)

    def export(self, scope: Mapping[str, str], purpose: str, *, payloads: bool = False, timeout: float = 300) -> bytes:
        """A bundle (a ZIP) of ``{"case": …}``, ``{"message": …}`` or ``{"from": …, "to": …}``; the log records who took it, and why."""
        body = json.dumps({**scope, "purpose": purpose, "payloads": payloads}).encode()
        try:
            return self._bytes("POST", "/exports", body, {"Content-Type": "application/json"}, again=False, longer=timeout)
        except ClientError as error:
            if not isinstance(error.__cause__, http.client.IncompleteRead):
                raise
            said = "the bundle ended before it was whole: something in it was erased while it was sent, or the bus stopped"
            hint = "ask for it again: what is gone is left out then"
            raise ClientError(0, {"code": "client.unanswered", "detail": said, "hint": hint}) from error

    # -- the wire ----------------------------------------------------------------------------------------------------

    def _json(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None, *, needs: str = "", **how: Any
    ) -> dict[str, Any]:
        """The answer as an object; ``needs``: what is always in it. Something before the bus may answer 200 to anything."""
        return self._answer(*self._call(method, path, body, headers, **how), needs)

    def _bytes(self, method: str, path: str, body: Body, headers: Mapping[str, str], **how: Any) -> bytes:
        status, fields, content = self._call(method, path, body, headers, **how)
        if status >= 300:
            self._answer(status, fields, content)
        return content

    def _answer(self, status: int, fields: Mapping[str, str], content: bytes, needs: str = "") -> dict[str, Any]:
        """The object that the bus answered; raises `ClientError` when it says no, or when no bus would answer so."""
        try:
            value = json.loads(content) if content else {}
        except (ValueError, RecursionError):
            raise _strange(status, fields, "that is not JSON") from None
        if not isinstance(value, dict) or (status >= 300 and not value):
            raise _strange(status, fields, "that is no JSON object" if content else "without content")
        if self._base and value.get("code") == "input.not-found":
            value["hint"] = f"is {self._base}, the path in the address of the bus, right? {value.get('hint', '')}".strip()
        if status >= 300:
            raise ClientError(status, value, _seconds(fields))
        if needs and needs not in value:
            raise _strange(status, fields, f"without {needs!r}")
        return value

    def _below(self, path: str) -> str:
        """Where it is asked for: an address out of an answer (``links``) begins with the path of the bus already."""
        return path if self._base and path.startswith(f"{self._base}/") else self._base + path

    def _call(
        self,
        method: str,
        path: str,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        *,
        again: bool = True,
        longer: float = 0,
    ) -> Reply:
        """One call, made again where that is safe; the answer as it is, or `ClientError` when there is none.

        What may not stand in an address as it is (blanks, ``è``) is escaped in ``path``; what is escaped already stays.
        """
        path = quote(path, safe="%:/?#[]@!$&'()*+,;=")
        self._ours()
        if not again:
            self._drop()  # a kept connection may have been closed meanwhile, and this call has one try only
        for attempt in range(1, self._attempts + 1):
            last, asked = attempt == self._attempts, False
            try:
                connection = self._connected(self._timeout + longer)
                asked = True
                status, fields, content = self._once(connection, method, path, body() if callable(body) else body, headers or {})
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                if last or not (again or isinstance(error, ConnectionRefusedError)):
                    raise ClientError(0, self._no_answer(error, perhaps=asked and not again)) from error
                time.sleep(self._pause * 2 ** (attempt - 1))
                continue
            except BaseException:
                self._drop()  # half a request may stand in it, which the next call would go on with
                raise
            if status in PASSING and again and not last:
                named = _seconds(fields)
                time.sleep(min(self._pause * 2 ** (attempt - 1) if named is None else named, LONGEST_PAUSE))
                continue
            return status, fields, content
        raise AssertionError("unreachable")

    def _no_answer(self, error: Exception, *, perhaps: bool) -> dict[str, Any]:
        """``perhaps``: it was asked once for what must not be done twice, and may have done it."""
        where = f"{self._parts.scheme}://{self._parts.netloc.rpartition('@')[2]}"
        why = getattr(error, "strerror", None) or error  # without the number that Python puts before it
        if perhaps:
            return {
                "code": "client.unanswered",
                "detail": f"the bus at {where} has not said what became of it ({why}): it may be done, now or in a moment",
                "hint": "look before you ask again: bus status --history, bus dead, bus runs; bus doctor says what holds the bus up",
            }
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            return {"code": "client.unreachable", **_tls_failed(error, where)}
        return {
            "code": "client.unreachable",
            "detail": f"cannot reach the bus at {where}: {why}",
            "hint": "is it running, and there? SNODO_URL or --url says where; bus serve starts one, bus demo --stay one to try",
        }

    def _once(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
    ) -> Reply:
        key = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        broken: OSError | None = None
        try:
            connection.request(method, self._below(path), body, {"Accept": "application/json", **key, **headers})
        except (BrokenPipeError, ConnectionResetError) as error:
            # The bus may have refused a large body before all of it was sent: then its answer is already here.
            broken = error
        try:
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException):
            if broken is not None:
                raise broken from None
            raise
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def _connected(self, timeout: float) -> http.client.HTTPConnection:
        connection = self._connection()
        if connection.sock is not None and _has_ended(connection.sock):
            connection.close()
        connection.timeout = timeout
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(timeout)
        return connection

    def _connection(self) -> http.client.HTTPConnection:
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if kept is None:
            made = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
            kept = self._local.connection = made(str(self._parts.hostname), self._parts.port, timeout=self._timeout)
            with self._lock:
                for thread in [thread for thread in self._open if not thread.is_alive()]:
                    self._open.pop(thread).close()
                self._open[threading.current_thread()] = kept
        return kept

    def _drop(self) -> None:
        """Close this thread's connection and what waits in it to be written; the next call makes another."""
        kept: http.client.HTTPConnection | None = self._local.__dict__.pop("connection", None)
        if kept is not None:
            kept.close()


def _tls_failed(error: ssl.SSLError, where: str) -> dict[str, str]:
    """Somebody answered who is not the one that the address names, or cannot prove it."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        what = (error.reason or str(error)).replace("_", " ").lower()
        return {"detail": f"what answers at {where} does not speak TLS as we do: {what}", "hint": "is this the port for https?"}
    hint = "its authority must be one that this machine trusts: SSL_CERT_FILE names the file of one of your own, in PEM"
    if error.verify_code in STRICT:
        hint = "Python 3.13 and later takes no certificates that lack this: have them issued anew, also the authority's own"
    return {"detail": f"the certificate of {where} is not to be trusted: {error.verify_message}", "hint": hint}


def _has_ended(kept: socket.socket) -> bool:
    """Whether a kept connection was closed: nothing was asked, so what there is to read is its end."""
    if kept.fileno() < 0:
        return True
    with selectors.DefaultSelector() as watch:
        watch.register(kept, selectors.EVENT_READ)
        return bool(watch.select(0))


def _is_place(parts: SplitResult) -> bool:
    """Whether there can be such a host and port at all."""
    try:
        _ = parts.port
        return bool((parts.hostname or "").encode("idna"))
    except ValueError:
        return False


def _named(key: str | None) -> str:
    """The key of a message: the caller's, or a fresh one."""
    return str(uuid.uuid4()) if key is None else key


def _purpose(text: str) -> dict[str, str]:
    """The header that says what for."""
    return {"Snodo-Purpose": _utf8(" ".join(text.split()))} if text.strip() else {}


def _utf8(text: str) -> str:
    """A header in UTF-8: ``http.client`` writes headers as Latin-1."""
    return text.encode().decode("latin-1")


def _pieces(stream: IO[bytes]) -> Iterable[bytes]:
    stream.seek(0)
    while piece := stream.read(PIECE):
        yield piece


def _seconds(fields: Mapping[str, str]) -> float | None:
    """What ``Retry-After`` says: seconds, or a date, as servers before the bus say it."""
    text = fields.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _strange(status: int, fields: Mapping[str, str], how: str) -> ClientError:
    """What no bus answers: something before it does, or another server."""
    elsewhere = fields.get("location") if 300 <= status < 400 else None
    hint = f"redirects are not followed: the bus may be at {elsewhere}" if elsewhere else "is this really the address of a bus?"
    if status in PASSING:
        hint = "a server before the bus does not reach it, or has too much to do: try again later, under the same key"
    problem = {"title": f"HTTP {status}", "detail": f"the answer is HTTP {status} {how}", "hint": hint}
    return ClientError(status, problem, _seconds(fields))
