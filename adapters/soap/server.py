"""A SOAP service without HTTP of its own: bytes in, bytes out.

Simulators and pagoPA's inbound endpoint are both this. A request is read as hostile XML, found by its body, judged by the
contract's XSD, handed to a function as plain values; the reply is judged too before it leaves, so a service can break, but
never answer against its contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from adapters.soap.envelope import MEDIA_TYPES, Opened, SoapFault, fault_bytes, open_envelope
from adapters.soap.parts import opened
from adapters.soap.wsdl import SoapOperation, load
from adapters.soap.xml import serialize
from bus.errors import Invalid, Malformed

__all__ = ["Handler", "OnError", "OnInvalid", "SoapFault", "SoapReply", "SoapService"]

Handler = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Values of a valid request to values of the reply; may raise `SoapFault`."""

OnInvalid = Callable[[str | None, list[str]], Mapping[str, Any] | None]
"""``(operation, errors)`` to the values of an in-band reply, or None for a fault. ``operation`` is None when it cannot be known."""

OnError = Callable[[str, Exception], Mapping[str, Any] | None]
"""``(operation, error)`` for a handler that broke or answered against the contract; to in-band values, or None for a fault."""


class SoapReply(NamedTuple):
    """What to send back over HTTP."""

    status: int
    body: bytes
    media_type: str


class SoapService:
    """Serves the operations of a contract that have a handler. Thread-safe; under 1 ms a request besides the handler.

    ``on_invalid`` and ``on_error`` let a contract that says no in band do so. Raises `ConfigError` for a handler the contract lacks.
    """

    def __init__(
        self,
        wsdl: str | Path,
        handlers: Mapping[str, Handler],
        *,
        on_invalid: OnInvalid | None = None,
        on_error: OnError | None = None,
        max_bytes: int = 1_000_000,
    ) -> None:
        self._wsdl = load(wsdl)
        self._handlers = {self._wsdl.operation(name).name: handler for name, handler in handlers.items()}
        self._on_invalid, self._on_error, self._max_bytes = on_invalid, on_error, max_bytes
        _ = self._wsdl.schema  # compiled now, not under the first request

    def handle(self, body: bytes, *, soap_action: str = "", media_type: str = "") -> SoapReply:
        """Answer one request; never raises for anything the caller sent. ``media_type`` may say its encoding, and that it is in parts."""
        try:
            envelope = opened(body, media_type, max_bytes=self._max_bytes)
        except Malformed as error:
            return self._invalid(self._wsdl.envelope, self._by_action(soap_action), [error.sentence])
        if envelope.version != self._wsdl.envelope:
            return self.fault("VersionMismatch", "this service speaks another version of SOAP")
        if envelope.demanded:
            return self.fault("MustUnderstand", f"header {envelope.demanded[0]} is not understood")
        operation = self._operation(envelope, soap_action)
        if operation is None or operation.name not in self._handlers:
            return self._fault(envelope.version, SoapFault("Client", "no such operation"))
        errors = self._wsdl.errors(envelope.child) if len(envelope.body) == 1 else ["the body has not exactly one element"]
        if errors:
            return self._invalid(envelope.version, operation, errors)
        return self._served(envelope, operation)

    def refuse(self, sentence: str, *, soap_action: str = "") -> SoapReply:
        """Answer a request that is not read, as one that is not valid; its operation is what SOAPAction says. Never raises."""
        return self._invalid(self._wsdl.envelope, self._by_action(soap_action), [sentence])

    def operation_of(self, body: bytes, soap_action: str = "") -> str:
        """The name of the operation a request asks for, or an empty string; for logs and for faults of simulators."""
        try:
            operation = self._operation(open_envelope(body, max_bytes=self._max_bytes), soap_action)
        except Malformed:
            operation = self._by_action(soap_action)
        return operation.name if operation else ""

    def reply(self, name: str, values: Mapping[str, Any]) -> SoapReply:
        """The reply of an operation with these values, outside any request. Raises `Invalid` when they break the contract."""
        return self._reply(self._wsdl.envelope, self._wsdl.operation(name), values)

    def fault(self, code: str, sentence: str, detail: str = "") -> SoapReply:
        """A fault outside any request."""
        return self._fault(self._wsdl.envelope, SoapFault(code, sentence, detail))

    def _operation(self, opened: Opened, soap_action: str) -> SoapOperation | None:
        """The body decides; when it is strange, SOAPAction tells which operation was misspelt."""
        return (opened.child is not None and self._wsdl.operation_for(opened.child)) or self._by_action(soap_action)

    def _by_action(self, soap_action: str) -> SoapOperation | None:
        action = soap_action.strip().strip('"')
        return next((found for found in self._wsdl.operations.values() if action and action in (found.soap_action, found.name)), None)

    def _served(self, opened: Opened, operation: SoapOperation) -> SoapReply:
        try:
            values = self._handlers[operation.name](self._wsdl.read_request(operation, opened.child))
            return self._reply(opened.version, operation, values)
        except SoapFault as fault:
            return self._fault(opened.version, fault)
        except Exception as error:  # noqa: BLE001 - a broken handler must still answer the caller
            in_band = self._on_error(operation.name, error) if self._on_error else None
            return self._in_band(opened.version, operation, in_band, SoapFault("Server", "internal error"))

    def _invalid(self, version: str, operation: SoapOperation | None, errors: list[str]) -> SoapReply:
        in_band = self._on_invalid(operation.name if operation else None, errors) if self._on_invalid else None
        return self._in_band(version, operation, in_band, SoapFault("Client", f"the request is not valid: {errors[0]}"))

    def _in_band(self, version: str, operation: SoapOperation | None, values: Mapping[str, Any] | None, otherwise: SoapFault) -> SoapReply:
        """The contract's own way of saying no; a fault where there is none or it would itself be invalid."""
        if values is None or operation is None:
            return self._fault(version, otherwise)
        try:
            return self._reply(version, operation, values)
        except Invalid:
            return self._fault(version, otherwise)

    def _reply(self, version: str, operation: SoapOperation, values: Mapping[str, Any]) -> SoapReply:
        envelope = self._wsdl.build_reply(operation, values)
        for child in envelope[0]:
            errors = self._wsdl.errors(child)
            if errors:
                raise Invalid(f"our reply to {operation.name} is not valid: {errors[0]}", code="soap.reply")
        return SoapReply(200, serialize(envelope), MEDIA_TYPES[version])

    def _fault(self, version: str, fault: SoapFault) -> SoapReply:
        return SoapReply(500, fault_bytes(version, fault), MEDIA_TYPES[version])
