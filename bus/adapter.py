"""The adapter contract: all that the bus knows of an outside system, in one page.

An adapter is a class that wraps one system. It declares

* **operations**: what we can ask of it. A method marked with `operation`, annotated with two pydantic models::

      class Anagrafe(Adapter):
          @operation(effect="read", timeout=5, refusals={"NON_TROVATO": "nobody with that codice fiscale"})
          def cerca_soggetto(self, request: Ricerca, ctx: Call) -> Soggetto: ...

  Its name in routes is ``<adapter>.<method with hyphens>``: ``anagrafe.cerca-soggetto``.
* **endpoints**: where the system calls us (`Endpoint`).
* **pollers**: how we ask it "anything new?" (`Poller`).

Contract of an operation's method

* MUST be safe to call from several threads at once.
* MUST return a model of the declared answer type, or raise one of three errors:
  `Unreachable` (surely not applied: no byte left, or the system promises so), `Refused` (the system answered no; carries
  its code), `InDoubt` (bytes left and no usable answer came; never for a ``read``).
* MUST hand every byte that crossed the wire to ``ctx.wire``, both ways, also an HTML error page.
* of a ``keyed`` operation MUST return the answer where the system refuses because an earlier call with the same key has done it, having
  compared the content. Refusals of which it cannot tell whether they are such ones are declared as ``echoes``.
* SHOULD say of a no that is about who asks, and not about what, that we are ``locked_out`` (`bus.errors.OutsideError`).
* MUST NOT retry, sleep, or keep state that a restart would need.
* MUST obey ``ctx.timeout`` (seconds), all its exchanges together: ``ctx.left`` says what remains. The clients of `adapters` do.

The **effect** says what the engine may promise (docs/decisions/effect-classes.md): ``read``, ``keyed``, ``queryable``, ``once``.
``settle`` is the longest time, in seconds, after which a call that timed out can still take effect; before that a
``probe`` proves nothing.
"""

from __future__ import annotations

import datetime as dt
import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Annotated, Any, ClassVar, Literal, Protocol, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo
from pydantic.json_schema import GenerateJsonSchema

from bus.errors import InDoubt, OutsideError, Refused, Unreachable
from bus.exact import Exact, Text
from bus.message import Attachment, JsonObject, JsonValue

__all__ = [
    "Adapter", "Call", "Caution", "Contract", "Delivery", "Door", "Effect", "Endpoint", "Exchange", "Fact", "Inbound", "InDoubt",
    "LocalFile", "LocalFileOrNone", "Operation", "Outbound", "OutsideError", "Poller", "Prepared", "Refused", "Report", "Settings", "Text",
    "Unreachable", "Wire", "operation", "schema_of", "told_by",
]  # fmt: skip

Effect = Literal["read", "keyed", "queryable", "once"]


class Contract(BaseModel):
    """Base of every request and answer model: strict about names, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings(Exact):
    """Base of an adapter's settings in ``config.yaml``; unknown settings are refused."""


def _placed(given: str | None, info: ValidationInfo) -> str | None:
    return str(Path(info.context["folder"]) / given) if given and info.context else given


LocalFile = Annotated[str, AfterValidator(_placed)]
"""A setting that is a file of this machine: a relative path is relative to the folder of ``config.yaml``."""
LocalFileOrNone = Annotated[str | None, AfterValidator(_placed)]
"""The same, where it may be left out."""


@dataclass(frozen=True, slots=True)
class Wire:
    """Bytes that crossed the border, as they were. ``direction`` is seen from the bus; ``note`` (method, URL, status) holds no secret."""

    direction: Literal["out", "in"]
    content: bytes
    media_type: str
    note: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something an adapter must remember to answer its system later: one JSON value for each kind and key, the last one wins.

    Facts are committed with the record that carries them and are rebuilt from the log.
    """

    kind: str
    key: str
    value: JsonValue


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `Operation.prepare` made of a request before anything leaves: the final request and the facts to remember with the intent.

    While a try is in doubt, ``ctx.now`` is the time when it first went out: the same request goes out again, though it is tomorrow.
    """

    request: BaseModel
    facts: tuple[Fact, ...] = ()


@dataclass(slots=True)
class Call:
    """What surrounds one call: made by the engine, read by the operation.

    ``key`` is our idempotency key: 64 hex digits, the same over retries, redeliveries and restarts.
    ``number`` is set when the operation declares a ``sequence``: durable, monotonic, the same over retries.
    ``open_attachment(sha256)`` reads a file that came with the case; ``save_attachment(stream, media_type, name)`` keeps one that
    the system gave us, so that the answer carries its address and not its bytes.
    """

    key: str
    timeout: float
    now: dt.datetime
    attempt: int = 1
    number: int | None = None
    message_id: str = ""
    correlation_id: str = ""
    traceparent: str | None = None
    attachments: tuple[Attachment, ...] = ()
    open_attachment: Callable[[str], IO[bytes]] | None = None
    save_attachment: Callable[[IO[bytes], str, str], Attachment] | None = None
    exchanges: list[Wire] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    _begun: float = field(default_factory=time.monotonic, init=False, repr=False, compare=False)

    @property
    def left(self) -> float:
        """Seconds of ``timeout`` that remain since this call was made; zero or less when it is over."""
        return self.timeout - (time.monotonic() - self._begun)

    def wire(self, direction: Literal["out", "in"], content: bytes, media_type: str = "application/octet-stream", note: str = "") -> None:
        """Keep bytes as they crossed the border."""
        self.exchanges.append(Wire(direction, content, media_type, note))

    def remember(self, kind: str, key: str, value: JsonValue) -> None:
        """Commit a fact together with the answer of this call."""
        self.facts.append(Fact(kind, key, value))


@dataclass(frozen=True)
class Operation:
    """The declaration of one operation; the engine and the checker use nothing else.

    ``timeout`` and ``settle`` are seconds. ``refusals`` maps each code the system may refuse with to a sentence.
    ``expected`` are those of them that are statuses of the protocol (``HTTP_404``) and yet of the matter, since the contract declares them.
    ``echoes`` are those that may come because an earlier call with the same key had its effect ("exists already"): they end no doubt.
    ``failed_when`` says in words how the system says no inside a success (``lngErrNumber != 0``).
    ``undo`` names the operation that takes this one back; it is asked with this one's answer.
    ``concurrency`` is declared only where the system itself bears no more calls of this operation at once; such an operation has
    a gate of its own, the others share that of their adapter (``concurrency`` in its settings, else ``engine.threads``). Each process has
    its own gates: what several together let out is bounded only in an ordered lane.
    ``sequence`` names a durable counter; its next value reaches the method as ``ctx.number``. With ``concurrency`` 1 it is an
    ordered lane: the next number goes out only when the call with the last one has surely ended.
    """

    name: str
    effect: Effect
    request: type[BaseModel]
    answer: type[BaseModel]
    timeout: float
    method: str
    settle: float = 0.0
    probe: str | None = None
    prepare: str | None = None
    undo: str | None = None
    sequence: str | None = None
    failed_when: str = ""
    refusals: Mapping[str, str] = field(default_factory=dict)
    expected: frozenset[str] = frozenset()
    echoes: frozenset[str] = frozenset()
    concurrency: int | None = None
    doc: str = ""

    @property
    def in_lane(self) -> bool:
        """Whether the numbers of its sequence must go out one at a time and in order: a sequence with ``concurrency`` 1."""
        return self.sequence is not None and self.concurrency == 1

    def is_technical(self, code: str) -> bool:
        """Whether a refusal with this code is a status of the protocol, which judges the try and not the matter (``HTTP_401``)."""
        return code.startswith("HTTP_") and code not in self.expected

    def __post_init__(self) -> None:
        if (self.effect == "queryable") != (self.probe is not None):
            raise TypeError(f"operation {self.name}: a `queryable` operation, and no other, has a probe")
        if self.effect == "read" and self.undo:
            raise TypeError(f"operation {self.name}: a `read` has nothing to undo")


class _Marked:
    """What `operation` leaves on a method until `Adapter.__init_subclass__` reads it."""

    def __init__(self, method: Callable[..., Any], declared: dict[str, Any]) -> None:
        self.method, self.declared = method, declared

    def probe(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Marks ``(self, request, ctx) -> answer | None``: did it happen? None means it surely did not."""
        self.declared["probe"] = method.__name__
        return method

    def prepare(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Marks ``(self, request, ctx) -> Prepared``: pure, run before the intent is committed."""
        self.declared["prepare"] = method.__name__
        return method


def operation(*, effect: Effect, timeout: float, **declared: Any) -> Callable[[Callable[..., Any]], Any]:
    """Mark a method ``(self, request: Model, ctx: Call) -> Model`` as an operation; keywords are the fields of `Operation`."""

    def mark(method: Callable[..., Any]) -> _Marked:
        return _Marked(method, {"effect": effect, "timeout": timeout, **declared})

    return mark


class Caution(str):
    """A sentence of `Adapter.check` that is a warning, and no error."""

    __slots__ = ()


class Adapter:
    """Base of every adapter. ``name`` is given by ``config.yaml``; ``settings`` is an instance of the class's ``Settings``.

    ``concurrency``: at most so many calls of it at once, in one process, when ``config.yaml`` says so.
    """

    Settings: ClassVar[type[BaseModel]] = Settings
    operations: ClassVar[Mapping[str, Operation]] = {}
    concurrency: int | None = None

    def __init__(self, name: str, settings: Any) -> None:
        self.name = name
        self.settings = settings

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        found = dict(cls.operations)
        for attribute, marked in list(vars(cls).items()):
            if isinstance(marked, _Marked):
                setattr(cls, attribute, marked.method)
                declared = _declare(attribute, marked)
                found[declared.name] = declared
        cls.operations = found

    def endpoints(self) -> Sequence[Endpoint]:
        """Where the system calls us; none unless overridden."""
        return ()

    def pollers(self) -> Sequence[Poller]:
        """What we ask periodically; none unless overridden."""
        return ()

    def reports(self) -> Sequence[Report]:
        """What the law wants told of the exchanges with this system; none unless overridden."""
        return ()

    def check(self) -> Iterable[str]:
        """One sentence per thing wrong with the settings that only a look at the contract shows; used by ``bus validate``.

        A `Caution` is one for what can be lived with.
        """
        return ()

    def close(self) -> None:
        """Give back sessions and connections; called once at shutdown."""


@lru_cache(maxsize=1024)
def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of what a request or an answer takes; the same object each time."""
    return model.model_json_schema(by_alias=True)


@lru_cache(maxsize=1024)
def told_by(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of what an answer tells, where a field with a default is always there; the same object each time."""
    return model.model_json_schema(by_alias=True, mode="serialization", schema_generator=_Told)


class _Told(GenerateJsonSchema):
    def field_is_required(self, field: Any, total: bool) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)


def _declare(attribute: str, marked: _Marked) -> Operation:
    hints = get_type_hints(marked.method)
    doc = inspect.cleandoc(marked.method.__doc__ or "")
    return Operation(
        name=attribute.replace("_", "-"), method=attribute, request=hints["request"], answer=hints["return"], doc=doc, **marked.declared
    )


@dataclass(frozen=True, slots=True)
class Inbound:
    """A request that reached one of our endpoints. Header names are lowercase."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    client: str


@dataclass(frozen=True, slots=True)
class Outbound:
    """Our answer to an `Inbound`."""

    status: int
    body: bytes
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What `Door.accept` promises: the message is durable. ``repeated`` says that it had been accepted before under the same key."""

    message_id: str
    repeated: bool


class Door(Protocol):
    """What the bus offers to an endpoint or a poller of one adapter. Thread-safe."""

    def accept(
        self,
        type: str,
        body: JsonObject,
        *,
        key: str,
        subject: str | None = None,
        facts: Sequence[Fact] = (),
        expect: Mapping[tuple[str, str], JsonValue] | None = None,
        exchanges: Sequence[Wire] = (),
    ) -> Delivery:
        """Take a message in, durably, with its facts, in one transaction; blocks until committed.

        Raises `bus.errors.Conflict` when ``key`` was used with another body, `Conflict` with code ``fact.changed``
        when a fact named in ``expect`` no longer has the expected value, `bus.errors.Invalid` when the body is not of its type.
        """
        ...

    def served(
        self,
        operation: str,
        outcome: str,
        *,
        request: JsonObject,
        answer: JsonObject,
        exchanges: Sequence[Wire] = (),
        about: tuple[str, str] | None = None,
    ) -> None:
        """Keep in the log that the system asked ``operation`` of us and what we say; durable when it returns, so before the answer leaves.

        ``outcome`` is the system's own word, without personal data. ``about`` names a fact (kind, key) whose person this concerns:
        what is erased with the one is erased with the other. Raises `bus.errors.StoreError`.
        """
        ...

    def fact(self, kind: str, key: str) -> JsonValue:
        """The last value of a fact of this adapter, or None."""
        ...

    def now(self) -> dt.datetime:
        """The bus's clock, aware UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path under ``/in/`` where a system calls us.

    ``handle`` runs in a thread, MUST answer within ``budget`` seconds and MUST NOT raise for bad input.

    A body in gzip reaches it as it was before, one in another coding as it came, with its ``content-encoding``. A body beyond
    ``max_bytes`` never reaches it: ``too_large`` answers in the system's own words, under the same rules, with an `Inbound` whose body
    is at most the first ``max_bytes`` bytes, or empty. Without it the answer is 413 in plain text.
    """

    path: str
    handle: Callable[[Inbound, Door], Outbound]
    methods: tuple[str, ...] = ("POST",)
    budget: float = 2.0
    max_bytes: int = 1_000_000
    too_large: Callable[[Inbound, Door], Outbound] | None = None


@dataclass(frozen=True, slots=True)
class Poller:
    """``poll(door, watermark) -> watermark`` every ``interval`` seconds; the returned watermark (JSON) is durable."""

    name: str
    interval: float
    poll: Callable[[Door, JsonValue], JsonValue]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange with the system as the log has it: what a `Report` makes its lines of.

    ``inbound``: the system asked us. ``ended`` is None while no end is known. ``outcome``: ``answered``, ``refused``, ``unreachable``,
    ``in_doubt``, ``invalid``, ``open``, or for an inbound one the word we gave. A text that was erased is empty.
    """

    operation: str
    inbound: bool
    began: dt.datetime
    ended: dt.datetime | None
    outcome: str
    code: str
    request: JsonObject
    answer: JsonObject
    record: str


@dataclass(frozen=True, slots=True)
class Report:
    """Lines about exchanges, in a form that somebody prescribes. ``source`` says who; ``fields``: each column with its meaning.

    ``lines`` is pure and gives dictionaries with these columns; columns may be left out. ``keep``: how long the exchanges must be kept at
    least (``24M``); empty: as long as the settings say.
    """

    name: str
    title: str
    source: str
    fields: Mapping[str, str]
    lines: Callable[[Exchange], Iterable[Mapping[str, JsonValue]]]
    keep: str = ""
