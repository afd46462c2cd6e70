"""A SOAP client that says what happened: done, refused, surely not done, or in doubt.

The request is judged by the contract's XSD before a byte leaves; the reply is read as hostile XML, judged, then turned into plain
values. The address is always ours: the one printed in the WSDL is never called.

Cheap to import: zeep, lxml and requests come at the first call.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.http.link import ALONE, Link
from adapters.http.message import Reply, inflated
from adapters.http.outcome import KEPT_OUT, asked_for, exchanged, is_page, led_away, no_answer, refuse_cut, retry_after_of
from bus.adapter import Call, Effect, OutsideError, Refused, Unreachable, Wire
from bus.errors import ConfigError, Invalid, Malformed

if TYPE_CHECKING:
    from adapters.http.tokens import Tokens
    from adapters.soap.head import Head
    from adapters.soap.wsdl import SoapOperation, Wsdl
    from adapters.soap.xml import Element

BAD_REQUEST = "RICHIESTA_NON_VALIDA"
"""`Refused.outside_code` when our own request does not fit the contract: nothing left."""
TURNED_AWAY = frozenset({401, 404, 405, 411, 413, 414, 415, 429, 431})
"""Statuses by which a web server turns a request away unread, where no envelope comes with them: who it is from, its address, its size, or
how many there are. Not 403, 500 or 503, which some write when the work is done.
"""
_NOT_AUTHENTICATED = frozenset({"FailedAuthentication", "SecurityTokenUnavailable", "InvalidSecurityToken"})
"""Faults of WS-Security (1.1, chapter 12) that are about who asks."""


def put(values: dict[str, Any], path: str, value: str) -> None:
    """Set the value at a place of a request: names joined with dots."""
    *parents, last = path.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
    values[last] = value


@dataclass(frozen=True, slots=True)
class _Asked:
    """One call: its ``effect`` says what it means to have no answer, ``refusals`` which codes are one."""

    operation: SoapOperation
    effect: Effect
    refusals: Mapping[str, str]
    filled: bool

    def failed(self, why: str, *, unread: bool = False, **detail: Any) -> OutsideError:
        """The error of a call without an answer. ``unread``: the request was not read, so it had no effect. See `OutsideError`."""
        return no_answer("read" if unread else self.effect, f"{self.operation.name}: {why}", **detail)

    def refuse(self, why: str, *codes: str, locked_out: bool) -> None:
        """Raises `Refused` with the first of these codes that is a refusal."""
        for code in codes:
            if code and code in self.refusals:
                raise Refused(f"{self.operation.name}: {why}", outside_code=code, locked_out=locked_out)


class SoapClient:
    """One port of one WSDL at one address, over a ``link`` of its own. Thread-safe; keeps connections until `close`.

    ``headers`` (of HTTP), ``head`` (of SOAP) and what the ``tokens`` give go with every request; ``validate_replies`` may be set false for
    a system whose replies stray from its own contract.
    """

    def __init__(
        self, wsdl: str | Path, url: str, link: Link | None = None, *, port: str = "", headers: Mapping[str, str] | None = None,
        head: Head | None = None, max_reply_bytes: int = 20_000_000, validate_replies: bool = True, tokens: Tokens | None = None,
    ) -> None:  # fmt: skip
        self._path, self._port, self._url, self._link = Path(wsdl), port, url, link or Link()
        self._own_headers, self._head, self._tokens = headers or {}, head, tokens
        self._max_reply_bytes, self._validate_replies = max_reply_bytes, validate_replies

    @cached_property
    def wsdl(self) -> Wsdl:
        """The contract, read at first use and shared by the process. Raises `ConfigError`."""
        from adapters.soap.wsdl import load

        return load(self._path, self._port)

    def shapes(self, operation: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the contract says of a request and of its answer, as JSON Schema (`adapters.soap.shapes`)."""
        from adapters.soap.shapes import shapes_of

        return shapes_of(self._path, operation, self._port)

    def missing(self, *operations: str) -> Iterator[str]:
        """A sentence for each of these operations that the contract has not, or one where it cannot be read, or judges no message."""
        try:
            contract = self.wsdl
            _ = contract.schema
        except ConfigError as error:
            yield error.in_words
            return
        for name in operations:
            try:
                contract.operation(name)
            except ConfigError as error:
                yield error.in_words

    def call(
        self, name: str, values: Mapping[str, Any], ctx: Call, *, effect: Effect = "once", refusals: Mapping[str, str] | None = None,
        filled: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Ask one operation; ``values`` and the answer are plain dicts shaped as the contract's elements.

        Raises `Refused` (a fault or HTTP status whose code is in ``refusals``, or a request that is not valid: nothing left),
        `Unreachable` (no byte left, or turned away unread; any other failure of a ``read``), `InDoubt` (any other failure).
        ``refusals`` knows faults by subcode, by code, by the first name in their detail, and statuses as ``HTTP_403``. An element without
        content is None; ``filled``: one that must be there is what its type makes of that (`adapters.soap.kinds.fill`).
        """
        asked = _Asked(self.wsdl.operation(name), effect, refusals or {}, filled)
        reply = self._exchange(asked, *self._request(asked.operation, values), ctx)
        try:
            return self._answer(asked, reply)
        except Unreachable as error:
            if reply.status in (429, 503):  # a gateway says when
                error.retry_after = retry_after_of(reply.headers, ctx.now)
            raise

    def close(self) -> None:
        self._link.close()

    def _exchange(self, asked: _Asked, content: bytes, kept: bytes, ctx: Call) -> Reply:
        """Send and read within ``ctx.left`` seconds; ``kept`` is the evidence. Raises `Unreachable` when no byte left."""
        headers = {"User-Agent": "snodo", "Accept-Encoding": "identity", **self._own_headers, **self._headers(asked.operation)}
        limit, name, begun = self._max_reply_bytes, asked.operation.name, time.monotonic()
        if self._tokens is not None:
            headers.update(self._tokens.headers(ctx, content, headers["Content-Type"]))
        sent = Wire("out", kept, headers["Content-Type"], f"POST {self._url}")
        exchange = partial(self._link.exchange, "POST", self._url, content, headers, limit=limit, fresh=asked.effect in ALONE)
        reply = exchanged(ctx, asked.effect, name, sent, exchange)
        ctx.wire("in", reply.body, reply.headers.get("content-type", ""), f"status {reply.status}")
        refuse_cut(reply, limit, asked.effect, name)
        if reply.status == 401 and self._tokens is not None:
            self._tokens.refuse(name, headers["Authorization"], begun)
        return reply

    def _request(self, operation: SoapOperation, values: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """The request, and what is kept of it: all but its Header."""
        from adapters.soap.xml import serialize

        try:
            envelope = self.wsdl.build_request(operation, values)
        except (Invalid, Malformed) as error:
            raise Refused(error.sentence, outside_code=BAD_REQUEST) from None
        faults = [line for child in envelope[0] for line in self.wsdl.errors(child)]
        if faults:
            raise Refused(f"the request for {operation.name} is not valid: {faults[0]}", outside_code=BAD_REQUEST, evidence=faults)
        kept = serialize(envelope)
        if not self._head:
            return kept, kept
        try:
            self._head.put_into(envelope, self.wsdl, operation)
        except Invalid as error:
            raise Refused(error.sentence, outside_code=BAD_REQUEST) from None
        return serialize(envelope), kept

    def _headers(self, operation: SoapOperation) -> dict[str, str]:
        if self.wsdl.soap12:
            return {"Content-Type": f'application/soap+xml; charset=utf-8; action="{operation.soap_action}"'}
        return {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{operation.soap_action}"'}

    def _answer(self, asked: _Asked, reply: Reply) -> dict[str, Any]:
        from adapters.soap.envelope import fault_in
        from adapters.soap.parts import opened

        body = inflated(reply.body, reply.headers, self._max_reply_bytes)
        if not (asked.operation.reply_tag or body.strip()) and 200 <= reply.status < 300:
            return {}  # the contract says that nothing is answered (WS-I BP 1.1, R2714)
        said = reply.headers.get("content-type", "")
        wrong, kept_out = f"HTTP_{reply.status}" if reply.status >= 300 else "", reply.status in KEPT_OUT
        try:
            envelope = opened(body, said, max_bytes=3 * self._max_reply_bytes)  # in UTF-8 it is longer
        except Malformed as error:
            asked.refuse(f"status {reply.status}", f"HTTP_{reply.status}", locked_out=kept_out)
            why = f": {error.sentence}" if reply.status < 300 and body else led_away(reply.status)
            if reply.status == 401:
                why = f": our credentials are not valid{asked_for(reply.headers)}"
            coding = reply.headers.get("content-encoding", "") if body is reply.body else ""
            coded = f" coded in {coding[:100]}, which nobody asked for" if why and coding else ""
            answered = not (wrong or is_page(reply.headers))
            sentence = f"status {reply.status} and no SOAP reply{coded}{why}"
            unread = reply.status in TURNED_AWAY
            raise asked.failed(sentence, unread=unread, outside_code=wrong, answered=answered, locked_out=kept_out) from None
        fault = fault_in(envelope)
        if fault is not None:
            codes = (fault.subcode, fault.code, fault.detail)
            kept_out = kept_out or not _NOT_AUTHENTICATED.isdisjoint(codes)
            asked.refuse(fault.sentence, *codes, locked_out=kept_out)
            code = fault.subcode or fault.code
            raise asked.failed(f"fault {code}: {fault.sentence}", outside_code=code, answered=True, locked_out=kept_out)
        if wrong:
            raise asked.failed(f"status {reply.status}", outside_code=wrong, locked_out=kept_out)
        return self._values(asked, envelope.body)

    def _values(self, asked: _Asked, body: Element) -> dict[str, Any]:
        operation = asked.operation
        try:
            child = self.wsdl.settle_reply(operation, body)
        except Malformed as error:
            raise asked.failed(error.sentence, answered=True) from None
        if child is None and not operation.reply_tag:
            return {}
        if child is None or child.tag != operation.reply_tag:
            raise asked.failed(f"the reply is not a {operation.reply_tag}", answered=True)
        errors = self.wsdl.errors_of_reply(child) if self._validate_replies else []
        if errors:
            raise asked.failed(f"the reply is not valid: {errors[0]}", answered=True)
        try:
            return self.wsdl.read_reply(operation, child, stray=not self._validate_replies, filled=asked.filled)
        except Malformed as error:
            raise asked.failed(error.sentence, answered=True) from None
