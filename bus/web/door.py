"""The HTTP door: from an ASGI request to an answer, and every error to a problem.

Addresses without parameters are found in a table at once; the others by patterns. Nothing here blocks.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from itertools import chain

from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from bus import diagnostics
from bus.app import App
from bus.errors import Busy, Forbidden, Malformed, NotFound, StoreError, TooMany, Unauthorized, Unknown
from bus.message import as_id
from bus.web import inbound
from bus.web.accesses import LOOK
from bus.web.answer import Answer, Call
from bus.web.api import SERVED
from bus.web.auth import Caller
from bus.web.exchange import exchange_of
from bus.web.house import House
from bus.web.problems import MethodRefused, Unexpected, headers_too_large, problem_of
from bus.web.served import Served

MOST_AT_ONCE = 2_000
"""Requests in progress; beyond it the bus is busy (503) instead of slow for everybody."""
MOST_HEADERS = 32_768
"""Bytes of all headers and of the path with its query."""
_PARAMETERS = {"/cases/{key}": "/cases/{key:path}"}
"""Addresses whose last part may hold slashes (protocol numbers do)."""
_SINGLE = frozenset(
    {b"host", b"idempotency-key", b"content-type", b"content-length", b"authorization", b"x-api-key", b"snodo-purpose", b"traceparent"}
)
"""Headers of which there is one alone."""
_EMPTY = re.compile(r"/(?=/|$)")
"""Where an address lacks what should stand between two slashes, or at its end."""
_SLASH = re.compile("%2f", re.IGNORECASE)


class HttpDoor:
    """The ASGI application for an app that somebody else starts and stops. ``close`` gives its threads back."""

    def __init__(self, app: App) -> None:
        self.house = House(app)
        self._inbound = inbound.mounted(self.house)
        self._fixed: dict[str, dict[str, Served]] = {}
        self._routes: dict[str, tuple[re.Pattern[str], dict[str, Served]]] = {}
        self._open = 0
        self._asking: Counter[str] = Counter()
        self._most_of_one = app.config.http.at_once
        self._log = diagnostics.logger("snodo.http").bind()  # bound once: a lazy logger is bound again at every line
        self._tells_all = app.config.log_level == "debug"
        for served in SERVED:
            self._add(served)

    def _add(self, served: Served) -> None:
        if "{" not in served.path:
            methods = self._fixed.setdefault(served.path, {})
        else:
            path = _PARAMETERS.get(served.path, served.path)
            _, methods = self._routes.setdefault(path, (_pattern(path), {}))
        methods[served.method] = served
        if served.method == "GET":
            methods["HEAD"] = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        self._open += 1
        try:
            answer = await self._answer_or_problem(scope, receive)
            try:
                await answer.deliver(scope, send)
            except StoreError as error:  # within a file: the connection ends, so that nobody takes a part for the whole
                answer = self._failed(scope, error)
            except asyncio.CancelledError:  # as above, while somebody takes a file slowly
                answer = self._failed(scope, Unknown("the process stopped before all of the answer was taken"))
        finally:
            self._open -= 1
        self._say(scope, answer, start)

    async def _answer_or_problem(self, scope: Scope, receive: Receive) -> Answer:
        try:
            return await self._answer(scope, receive)
        except asyncio.CancelledError:  # by uvicorn, once its time to stop is over; what was handed in may still be written
            return self._failed(scope, Unknown("the process stopped before this request had an answer"))
        except Exception as error:  # noqa: BLE001 - the last clause: every error becomes a problem, and only a problem
            return self._failed(scope, error)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        """The answer; leaves in the scope the address as the log may say it: without what the caller put in."""
        headers = _headers(scope)
        _refuse_strange(scope["http_version"], headers)
        if self._open > MOST_AT_ONCE:
            raise Busy("too many requests at once", hint="try again in a moment")
        mount = self._inbound.get(scope["path"])
        if mount is not None:
            scope["place"] = scope["path"]
            return await inbound.answer(mount, scope, receive, headers)
        served, path = self._find(scope)
        scope["place"] = served.path
        caller = await self._caller(scope, headers, served)
        call = Call(self.house, scope["method"], headers, receive, caller, path, served.query(scope["query_string"]), exchange_of(scope))
        if caller.role is None:
            return await served.handler(call)
        if self._asking[caller.name] >= self._most_of_one:
            raise TooMany(f"{caller.name} asks for too much at once", retry_after=1, hint="wait for answers before asking for more")
        self._asking[caller.name] += 1
        try:
            return await served.handler(call)
        finally:
            self._asking[caller.name] -= 1

    async def _caller(self, scope: Scope, headers: Mapping[bytes, bytes], served: Served) -> Caller:
        """Who calls. Persons who come in, or are refused, are told to the log (`bus.web.accesses`)."""
        accesses, address = self.house.accesses, (scope.get("client") or ("",))[0]
        try:
            caller = self.house.keys.caller(headers, served.roles)
        except (Unauthorized, Forbidden):
            if accesses.refuse(address):
                await self.house.enter(accesses.tell)
            raise
        if accesses.enters(caller, address):
            await self.house.enter(lambda: accesses.enter(caller, address))
        return caller

    def _find(self, scope: Scope) -> tuple[Served, Mapping[str, str]]:
        if "\0" in scope["path"]:  # no store has it, and not every database can be asked for it
            raise NotFound("an address holds no NUL character", hint="leave %00 out")
        if b"%00" in scope["query_string"]:
            raise Malformed("a query holds no NUL character", hint="leave %00 out")
        path: Mapping[str, str] = {}
        methods = self._fixed.get(scope["path"])
        if methods is None:
            methods, path = self._match(scope)
        served = methods.get(scope["method"])
        if served is None:
            raise MethodRefused(
                f"{scope['method']} is not taken here", hint="GET /openapi.json says what is", allow=", ".join(sorted(methods))
            )
        return served, path

    def _match(self, scope: Scope) -> tuple[dict[str, Served], dict[str, str]]:
        for pattern, methods in self._routes.values():
            if found := pattern.fullmatch(scope["path"]):  # a key of a case is a sender's own word
                return methods, {name: part if name == "key" else as_id(part) for name, part in found.groupdict().items()}
        here, as_sent = scope["path"], scope["raw_path"].decode("latin-1")
        meant = {": the id in it is empty": _EMPTY.sub("/0", here), ": the id in it holds a /, and no id does": _SLASH.sub("0", as_sent)}
        why = (said for said, path in meant.items() if path not in (here, as_sent) and self._leads(path))
        raise NotFound("there is nothing at this address" + next(why, ""), hint="GET /openapi.json lists all addresses")

    def _leads(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern, _ in self._routes.values())

    def _failed(self, scope: Scope, error: Exception) -> Answer:
        """What nobody expected is told with its traceback; a bus that refuses, or a database that is away, by the line of the request."""
        answer = problem_of(error)
        self.house.app.hear_failure(error)
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self._log.error("request failed", method=scope["method"], instance=answer.told["instance"], exc_info=error)
        return answer

    def _say(self, scope: Scope, answer: Answer, start: float) -> None:
        """One line for each request; those that went well are told at level debug, the log itself has their records."""
        if answer.status < 400 and not self._tells_all:
            return
        say = self._log.debug
        if answer.status >= 400:
            say = self._log.info if answer.status < 500 else self._log.warning
        place, milliseconds = scope.get("place", "-"), round((time.perf_counter() - start) * 1000, 1)
        say("request", method=scope["method"], at=place, status=answer.status, milliseconds=milliseconds, **answer.told)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        telling = asyncio.create_task(self._tell())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        telling.cancel()
        await self.house.leave()
        await send({"type": "lifespan.shutdown.complete"})

    async def _tell(self) -> None:
        """Tell the log who has gone, and who was refused, also while nobody else comes."""
        while True:
            await asyncio.sleep(LOOK)
            if self.house.accesses.due():
                with suppress(StoreError):  # it is told later
                    await self.house.enter(self.house.accesses.tell)

    def close(self) -> None:
        self.house.close()


def _pattern(path: str) -> re.Pattern[str]:
    """What finds an address by all of it: a line end in it, or behind it, is a character like others."""
    return re.compile(compile_path(path)[0].pattern, re.DOTALL)


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Headers by name; one that came twice is joined by a comma (RFC 9110 §5.3), but for those of which there is one alone."""
    raw = scope["headers"]
    found = dict(raw)
    size = len(b"".join(chain.from_iterable(raw)))
    if size + len(scope["raw_path"]) + len(scope["query_string"]) > MOST_HEADERS:
        raise headers_too_large(MOST_HEADERS)
    if len(found) == len(raw):
        return found
    joined: dict[bytes, bytes] = {}
    for name, value in raw:
        if name in joined and (name in _SINGLE or name.startswith(b"ce-")):
            raise Malformed(f"the header {name.decode('latin-1')} came twice", code="input.header-twice", hint="send it once")
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


_HOST = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]*|\[[0-9A-Fa-fv.:]+\])(?::[0-9]*)?")
"""As RFC 3986 §3.2.2 has it; empty where an address has none (RFC 9112 §3.2)."""
_HOST_IS = "HTTP/1.1 asks for one: the name of the bus, and its port, as in its address"


@lru_cache(maxsize=64)
def _is_host(said: bytes) -> bool:
    return _HOST.fullmatch(said) is not None


def _refuse_strange(version: str, headers: Mapping[bytes, bytes]) -> None:
    """What the server lets by and nobody here does: no host, or none that could be one (RFC 9112 §3.2), a body in another coding (§6.1), an
    expectation that is none (RFC 9110 §10.1.1). 0.3 µs.
    """
    host = headers.get(b"host")
    if host is None and version == "1.1":
        raise Malformed("there is no Host header", hint=_HOST_IS)
    if host is not None and not _is_host(host):
        raise Malformed("the Host header is not the name of a host", hint=_HOST_IS)
    if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        said = headers[b"transfer-encoding"].decode("latin-1")[:100]
        raise Malformed(
            f"the body comes in the transfer coding {said!r}",
            code="input.encoding",
            hint="send it as it is, with Content-Length or chunked alone",
        )
    if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise Unexpected(
            f"nobody here does what is expected: {headers[b'expect'].decode('latin-1')[:100]!r}",
            hint="leave Expect out, or send 100-continue",
        )
