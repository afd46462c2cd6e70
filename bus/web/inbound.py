"""The adapters' endpoints, under ``/in/``: where outside systems call us, in their own protocol.

No API key: an adapter authenticates its system itself. It answers in its own words, errors included; what it raises in spite of
its contract becomes a plain 500 that says nothing. An answer beyond the budget is still given, and said in the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope

from bus import diagnostics
from bus.adapter import Door, Endpoint, Inbound, Outbound
from bus.errors import Busy, InputError, StoreError, TooLarge
from bus.message import new_id
from bus.web import bodies
from bus.web.answer import Answer
from bus.web.house import House
from bus.web.problems import MethodRefused, of_store, retry_later

PREFIX = "/in"
CLOSE = (b"connection", b"close")
Handle = Callable[[Inbound, Door], Outbound]


@dataclass(frozen=True, slots=True)
class Mounted:
    """An endpoint at its address, and the house in which it answers."""

    adapter: str
    endpoint: Endpoint
    door: Door
    house: House


def mounted(house: House) -> dict[str, Mounted]:
    """All endpoints by path (``/in/pagopa``)."""
    return {
        f"{PREFIX}/{endpoint.path.strip('/').removeprefix('in/')}": Mounted(name, endpoint, house.app.door(name), house)
        for name, endpoint in house.app.endpoints()
    }


async def answer(mount: Mounted, scope: Scope, receive: Receive, headers: Mapping[bytes, bytes]) -> Answer:
    """Let the adapter answer. Bounds are ours, words are the adapter's."""
    endpoint = mount.endpoint
    if scope["method"] not in endpoint.methods:
        allow = ", ".join(endpoint.methods)
        raise MethodRefused(f"{scope['method']} is not taken here", hint=f"this endpoint takes {allow}", allow=allow)
    tapped = bodies.Tapped(receive, endpoint.max_bytes)
    try:
        if endpoint.too_large is None or b"expect" in headers:  # nobody wants to see how it begins, or it comes only if we ask for it
            bodies.refuse_large(headers, endpoint.max_bytes)
        content = await bodies.whole(tapped, headers, endpoint.max_bytes, coded=True)
        content, headers = bodies.inflated(content, headers, endpoint.max_bytes)
    except TooLarge as error:
        if endpoint.too_large is None:
            return plain(error.status, error.sentence, [])
        return await _handled(mount, endpoint.too_large, _inbound(scope, headers, tapped.start))
    except InputError as error:
        return plain(error.status, error.sentence, [CLOSE])
    return await _handled(mount, endpoint.handle, _inbound(scope, headers, content))


async def _handled(mount: Mounted, handle: Handle, inbound: Inbound) -> Answer:
    """What the adapter says, in one of the threads for endpoints."""
    endpoint, start = mount.endpoint, time.monotonic()
    try:
        outbound = await mount.house.answer(len(inbound.body), lambda: handle(inbound, mount.door))
    except Exception as error:  # noqa: BLE001 - whatever an adapter raises, the outside system gets a clean answer
        return _failed(mount, error)
    took = time.monotonic() - start
    if took > endpoint.budget:
        diagnostics.logger("snodo.inbound").warning(
            "late answer", adapter=mount.adapter, path=endpoint.path, seconds=round(took, 3), budget=endpoint.budget
        )
    headers_out = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in outbound.headers.items()]
    return Answer(outbound.status, outbound.body, headers_out, outbound.media_type.encode("latin-1"))


def _inbound(scope: Scope, headers: Mapping[bytes, bytes], content: bytes) -> Inbound:
    client = scope.get("client")
    return Inbound(
        method=scope["method"],
        path=scope["path"],
        headers={k.decode("latin-1"): v.decode("latin-1") for k, v in headers.items()},
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        body=content,
        client=client[0] if client else "",
    )


def _failed(mount: Mounted, error: Exception) -> Answer:
    if isinstance(error, Busy | StoreError):  # the adapter has no word of its own for it: its system may come again
        refused = plain(503, error.sentence if isinstance(error, Busy) else "nothing can be kept now", retry_later(error))
        return replace(refused, told={"code": error.code, **of_store(error)})
    if isinstance(error, TooLarge):  # it came whole, and its record would be too large
        return replace(plain(error.status, f"{error.sentence}: {error.hint}", []), told={"code": error.code})
    incident = new_id()
    diagnostics.logger("snodo.inbound").error(
        "endpoint failed", adapter=mount.adapter, path=mount.endpoint.path, incident=incident, exc_info=error
    )
    return plain(500, f"internal error {incident}", [])


def plain(status: int, sentence: str, headers: list[tuple[bytes, bytes]]) -> Answer:
    return Answer(status, f"{sentence}\n".encode(), headers, b"text/plain; charset=utf-8")
