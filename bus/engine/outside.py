"""Outside calls: find the operation, prepare the request, perform it in a thread of the adapter's own.

Which calls may go out is said by `bus.engine.gates`; here are as many threads as its places, so that a call that may go out goes at once.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Protocol

from pydantic import BaseModel, ValidationError

from bus import adapter as contract
from bus.adapter import Adapter, Fact, InDoubt, Operation, OutsideError, Unreachable, Wire
from bus.engine.asks import Call
from bus.engine.gates import sizes
from bus.engine.threads import Threads
from bus.errors import InputError, Invalid, StoreError, without_persons
from bus.failpoint import reach
from bus.faults import first_of
from bus.log.payload import Text
from bus.message import Attachment, JsonValue, Message, as_kept
from bus.metrics import count

_MEDIA_TYPE = re.compile(r"[\x20-\x7e]{0,500}")


class Files(Protocol):
    """Attachments by content address; see `bus.engine.attachments`."""

    def open(self, sha256: str) -> IO[bytes]: ...
    def save(self, content: IO[bytes], media_type: str, name: str, sender: str, message: str) -> Attachment: ...


@dataclass(frozen=True, slots=True)
class Asking:
    """A call made ready: its final request, what to remember with the intent, and the number it was given."""

    call: Call
    operation: Operation
    request: BaseModel
    facts: tuple[Fact, ...]
    number: int | None
    probe: bool = False
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """How an asking ended. ``answer`` is None after a probe that found nothing; ``took``: seconds from when it went out.

    ``lost``: the claim was no longer ours, so it did not go out at all.
    """

    asking: Asking
    answer: JsonValue = None
    error: OutsideError | None = None
    facts: tuple[Fact, ...] = ()
    exchanges: tuple[Wire, ...] = ()
    took: float | None = None
    lost: bool = False


class Outside:
    """All adapters of this bus. Thread-safe. ``places``: of every gate, by name (`bus.engine.gates.sizes`). ``ticks`` gives seconds."""

    def __init__(
        self, adapters: Mapping[str, Adapter], files: Files | None = None, threads: int = 16, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self.adapters, self._ticks = adapters, ticks
        self.places = sizes(adapters, threads)
        self._files = files
        self._threads = {name: Threads(self._threads_of(name), f"snodo-{name}") for name in adapters}

    def _threads_of(self, adapter: str) -> int:
        return sum(places for gate, places in self.places.items() if gate.partition(".")[0] == adapter)

    def operation(self, name: str) -> Operation:
        """Raises KeyError for an operation nobody declares."""
        adapter, _, operation = name.partition(".")
        return self.adapters[adapter].operations[operation]

    def sequence(self, name: str) -> str:
        """The name, in the log and the store, of an operation's sequence; if it is ordered that of its lane too."""
        return f"{name.partition('.')[0]}.{self.operation(name).sequence}"

    def prepare(self, call: Call, message: Message, now: dt.datetime, number: int | None, attempt: int) -> Asking:
        """Validate the request and let the adapter prepare it. Pure but for the adapter's settings. Raises `Invalid`."""
        operation, request = self.operation(call.operation), self.check(call)
        facts: tuple[Fact, ...] = ()
        if operation.prepare is not None:
            ctx = contract.Call(key=call.key, timeout=0, now=now, number=number, message_id=message.id)
            prepared = getattr(self.adapters[call.adapter], operation.prepare)(request, ctx)
            request, facts = prepared.request, prepared.facts
        return Asking(call, operation, request, facts, number, attempt=attempt)

    def check(self, call: Call) -> BaseModel:
        """The request as the operation's model; raises `Invalid`."""
        try:
            return self.operation(call.operation).request.model_validate(call.request)
        except ValidationError as error:
            raise Invalid(f"{call.operation} cannot be asked this: {first_of(error)}", code="call.invalid-request") from error

    def perform(
        self, asking: Asking, message: Message, now: dt.datetime, done: Callable[[Result], None],
        ours: Callable[[], bool] = lambda: True, delay: float = 0.0,
    ) -> None:  # fmt: skip
        """Do it in a thread of its adapter, after ``delay`` seconds; ``done`` is called, mostly from there, always, exactly once.

        ``ours`` is asked last of all, in the thread: whether the run's claim still holds. If not, nothing leaves. It MUST NOT raise.
        """

        def work() -> None:
            if delay > 0:
                time.sleep(delay)
            self._perform(asking, message, now, done, ours)

        try:
            self._threads[asking.call.adapter].run(work)
        except RuntimeError as error:  # closed, or the system gives no more threads
            done(Result(asking, error=Unreachable(f"the call could not be started: {error}", code="call.not-started")))

    def _perform(
        self, asking: Asking, message: Message, now: dt.datetime, done: Callable[[Result], None], ours: Callable[[], bool]
    ) -> None:
        try:
            result = self._ask(asking, message, now) if ours() else Result(asking, lost=True)
        except BaseException as crash:  # noqa: BLE001 - there was no memory to say how it ended: the run would wait for ever
            result = Result(asking, error=_crashed(asking, crash))
        done(result)

    def _ask(self, asking: Asking, message: Message, now: dt.datetime) -> Result:
        adapter, operation = self.adapters[asking.call.adapter], asking.operation
        method = operation.probe if asking.probe else operation.method
        ctx, begun = self._context(asking, message, now), self._ticks()
        answer: JsonValue = None
        error: OutsideError | None = None
        try:
            model = getattr(adapter, str(method))(asking.request, ctx)
            answer = None if model is None else _answer(model)
            reach("call.after-answer")
        except OutsideError as outside:
            error = outside
        except BaseException as crash:  # noqa: BLE001 - an adapter that crashes has said nothing about its effect
            error = _crashed(asking, crash)
        if isinstance(error, InDoubt) and operation.effect == "read":
            error = _not_had(error)
        count("snodo_calls", asking.call.operation, error.kind if error else "answered")
        return Result(asking, answer, error, tuple(ctx.facts), tuple(ctx.exchanges), self._ticks() - begun)

    def _context(self, asking: Asking, message: Message, now: dt.datetime) -> contract.Call:
        files, crossed = self._files, list[Wire]()
        # What another system gives for a message belongs to whoever sent the message, and is erased with it.
        save = None if files is None else partial(files.save, sender=message.sender, message=message.id)
        return contract.Call(
            key=asking.call.key, timeout=asking.call.timeout or asking.operation.timeout, now=now, attempt=asking.attempt,
            number=asking.number, message_id=message.id, correlation_id=message.correlationid, traceparent=message.traceparent,
            attachments=message.attachments, exchanges=crossed,
            open_attachment=partial(_opened, files, crossed) if files else None, save_attachment=save,
        )  # fmt: skip

    def threads(self) -> int:
        """How many threads were made so far; never more than places."""
        return sum(threads.count() for threads in self._threads.values())

    def close(self, seconds: float = 5.0) -> None:
        """Let calls in flight end, for so many seconds; close the adapters, but none that is still at a call."""
        until = time.monotonic() + seconds
        for name, threads in self._threads.items():
            if threads.close(until):
                self.adapters[name].close()


def _opened(files: Files, crossed: list[Wire], sha256: str) -> IO[bytes]:
    """A file for a call. That it cannot be had is our fault: nothing was asked while nothing has ``crossed`` the border."""
    try:
        return files.open(sha256)
    except (InputError, StoreError) as error:
        failed = InDoubt if crossed else Unreachable
        raise failed(f"a file of the message cannot be had: {error.sentence}", code=error.code, answered=True) from error


def _crashed(asking: Asking, crash: BaseException) -> OutsideError:
    error = InDoubt(f"the adapter {asking.call.adapter} failed: {type(crash).__name__}: {crash}", code="adapter.crashed")
    return _not_had(error) if asking.operation.effect == "read" else error


def _not_had(error: InDoubt) -> Unreachable:
    """The same failure of a ``read``, which has no effect that could be in doubt."""
    more = {"code": error.code, "hint": error.hint, "outside_code": error.outside_code, "evidence": error.evidence, "cause": error.cause}
    return Unreachable(error.sentence, answered=error.answered, locked_out=error.locked_out, **more)


def _answer(model: BaseModel) -> JsonValue:
    """An answer as the journal gives it back: a run goes on with the same after a restart, and in a replay.

    Raises `InDoubt` for what JSON cannot say here: a whole number beyond 64 bits, half a character of UTF-16.
    """
    try:
        return as_kept(model.model_dump(mode="json"))
    except TypeError as error:
        raise InDoubt(f"the answer cannot be kept as JSON: {error}") from None


def facts_as_json(facts: tuple[Fact, ...]) -> list[list[Any]]:
    """Facts as the log keeps them."""
    return [[fact.kind, fact.key, fact.value] for fact in facts]


def wire_texts(exchanges: Iterable[Wire]) -> tuple[Text, ...]:
    """Wire bytes as the log keeps them: in order, each a payload of its own.

    A media type stands in the record itself, as the other system said it: nobody's codice fiscale does, and nothing that no record holds.
    """
    return tuple(Text(f"wire-{wire.direction}", wire.content, _media_type(wire.media_type)) for wire in exchanges)


def _media_type(said: str) -> str:
    return without_persons(said) if _MEDIA_TYPE.fullmatch(said) else "application/octet-stream"
