"""Arrivals: what a door or a run hands in, checked and ready to be written. Needs no database, and may be made by any thread.

The type says whether the body is right and who may send it; type and routes say which business keys the message carries, and under which
names it would be known if it came again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple

from bus.catalog import Catalog
from bus.clock import Clock
from bus.engine.interpreter import at_the_door, case_keys
from bus.engine.names import Names, fact_tokens, key_text, key_tokens, names_of
from bus.engine.projection import Entry, entry
from bus.errors import ExpressionError, Forbidden, InputError, Invalid, TooLarge
from bus.log.payload import Text
from bus.log.record import LONGEST, Record, as_line
from bus.mapping.types import MessageType
from bus.message import Attachment, JsonValue, Message, canonical, digest, envelope_of, in_one_writing, new_id
from bus.route.plan import Expression, Plan
from bus.route.tests_check import SERVICES
from bus.services import Servizio
from bus.store import Key, Keys

PROMISE = 200
"""Bytes of a record that are kept free for what a receipt adds to it."""
SEND_FIELD = "send the field that it is read from"
OR_HEADER = f"{SEND_FIELD}, or an Idempotency-Key"


class Submission(NamedTuple):
    """What a door hands in. ``sender`` was authenticated, with ``role``; ``key`` is its idempotency key; ``adapter`` owns ``facts``;
    ``about``: whom it is about besides those it names itself; ``called``: how the sender calls each attachment, where it says so.
    """

    type: str
    body: JsonValue
    sender: str
    source: str = ""
    subject: str | None = None
    key: str | None = None
    dataschema: str | None = None
    correlationid: str = ""
    causationid: str | None = None
    traceparent: str | None = None
    attachments: tuple[Attachment, ...] = ()
    called: tuple[str | None, ...] = ()
    adapter: str | None = None
    facts: tuple[tuple[str, str, JsonValue], ...] = ()
    expect: Mapping[tuple[str, str], JsonValue] = MappingProxyType({})
    wires: tuple[Text, ...] = ()
    role: str = ""
    about: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """What kind of sender this is: an adapter by name, the role of an API key, or the bus itself."""
        return self.adapter or self.role or "bus"


class Arrival(NamedTuple):
    """A checked message, ready to be written by `receive`."""

    entry: Entry
    message: Message
    runs: tuple[str, ...]
    names: Names
    key: Key
    adapter: str | None = None
    expect: Mapping[tuple[str, str], JsonValue] = MappingProxyType({})

    @property
    def opened(self) -> tuple[Any, Key, int]:
        """What is sealed as the message, its key (see `bus.log.log.opened`), and its bytes as JSON."""
        return self.entry.values["message"], self.key, self.entry.payloads[0].commitment.size

    @property
    def sent(self) -> bool:
        """Whether a run of ours sent it: then it belongs to the run's case."""
        return "parent" in self.entry.record.data

    def promised(self, receipt: str) -> Arrival:
        """The same arrival, whose record says which signature promises it. Its bytes are made here, for the promise and the log."""
        record = self.entry.record
        return self._replace(entry=self.entry.of(record._replace(data={**record.data, "receipt": receipt})))


def arrival_of(
    catalog: Catalog, submission: Submission, identity: str, clock: Clock, keys: Keys, parent: str | None = None
) -> Arrival:  # fmt: skip
    """Check a submission and make its ``received`` record, under a key of its own. ``parent`` is the run that sent it, if one did."""
    plans = catalog.plans_for(submission.type, sent=parent is not None)
    check(catalog, submission, bool(plans))
    submission = submission._replace(body=catalog.taken(submission.type, submission.body))
    message = _message(submission, identity, clock)
    envelope = envelope_of(message)
    told = _known_by(catalog.types[submission.type], plans, at_the_door(message, envelope), submission)
    runs: list[dict[str, Any]] = [
        {"id": new_id(), "route": one.route, "version": one.version, "digest": one.digest, "ordered": one.ordered} for one in plans
    ]
    values: dict[str, Any] = {"message": {"envelope": envelope, "body": message.body, "keys": told}}
    if submission.facts:
        values["facts"] = [list(fact) for fact in submission.facts]
    data = _data(submission, told, runs, keys, parent)
    record = Record(new_id(), "received", message.time, message=message.id, actor=message.sender or "bus", data=data)
    key = keys.fresh()
    made = entry(record, key, values, submission.wires)
    if submission.facts or submission.wires:
        _fits(made.record, submission)
    names = names_of(keys, record, values["message"])
    return Arrival(made, message, tuple([run["id"] for run in runs]), names, key, submission.adapter, submission.expect)


def arrival_of_sent(
    catalog: Catalog, plan: Plan, submission: Submission, identity: str, clock: Clock, keys: Keys, parent: str
) -> Arrival:  # fmt: skip
    """`arrival_of` what a run sends. Where the type in force refuses it, a run of earlier rules may send it as the type was then: to
    the routes that took it then.
    """
    try:
        return arrival_of(catalog, submission, identity, clock, keys, parent)
    except InputError:
        for earlier in catalog.earlier(submission.type, plan.digest):
            with suppress(InputError):
                return arrival_of(earlier, submission, identity, clock, keys, parent)
        raise


def names_of_refused(catalog: Catalog, submission: Submission, clock: Clock, keys: Keys) -> tuple[tuple[tuple[str, str], ...], str]:
    """What types in force refuse: by what it would be known had it come before they were (scope, token), and the token of its content."""
    names: tuple[tuple[str, str], ...] = ((_scope_of_key(submission), submission.key),) if submission.key else ()
    if (declared := catalog.types.get(submission.type)) is not None:
        scope = at_the_door(_message(submission, new_id(), clock))
        with suppress(InputError):
            names = _intake_keys(declared.key, catalog.plans_for(submission.type), scope, submission)
    return tuple((scope, keys.token(key)) for scope, key in names), keys.token(_content(submission))


def check(catalog: Catalog, submission: Submission, has_route: bool) -> None:
    """Is the type known, wanted, and the body of that type? Raises `Invalid` with all faults at once."""
    declared = catalog.types.get(submission.type)
    if declared is None:
        hint = catalog.nearest_type(submission.type) or "GET /catalog names the type of each service; for others ask the operator"
        raise Invalid(f"there is no message type {submission.type!r}", code="type.unknown", hint=hint)
    if not declared.takes_from(submission.origin):
        known = ", ".join(sorted(declared.senders))
        raise Forbidden(f"messages of type {submission.type} are not taken from {submission.origin}", hint=f"they come from: {known}")
    if not has_route and submission.type not in catalog.awaited:
        raise Invalid(
            f"no route takes messages of type {submission.type!r}", code="type.no-route", hint="see GET /catalog for those that are"
        )
    faults = catalog.validate(submission.type, submission.body)
    if faults:
        hint = _otherwise(catalog, declared, submission.body) or "mend the fields under `faults`"
        raise Invalid(
            f"the body is not of type {submission.type}: {faults[0].pointer or 'body'}: {faults[0].sentence}", code="body.invalid",
            hint=hint, faults=[{"pointer": f.pointer, "sentence": f.sentence} for f in faults],
        )  # fmt: skip


def _otherwise(catalog: Catalog, declared: MessageType, body: JsonValue) -> str:
    """What is wrong with a body as a whole: there is none, or the service that it names is asked for with another type, or with none."""
    if body is None:
        return "the body of a message stands in `data`"
    fields = [name for name, table in declared.codes.items() if table is catalog.tables.get(SERVICES)]
    codes = [str(body[name]) for name in fields if name in body] if isinstance(body, dict) else []
    for service in (catalog.services[code] for code in codes if code in catalog.services):
        if (type := asked_with(catalog, service)) is None:
            return f"no message asks for the service {service.codice}: GET /catalog/{service.codice} says where it is"
        if type != declared.name:
            return f"messages of type {type} ask for the service {service.codice}: GET /types/{type} is their schema"
    return ""


def asked_with(catalog: Catalog, service: Servizio) -> str | None:
    """The type of the message that asks for a service; None for one that is no application."""
    route = catalog.routes.get(str(service.row()["percorso"])) if service.tipo == "istanza" else None
    return None if route is None else route.plan.on


def sent_by(message: Message, run: str, identity: str, type: str, body: JsonValue, about: Sequence[str]) -> Submission:
    """The submission of a message that a run sends: same correlation, caused by the run's message, about the same persons."""
    return Submission(
        type=type, body=body, sender="bus", source=f"/runs/{run}", key=identity, correlationid=message.correlationid,
        causationid=message.id, traceparent=message.traceparent, attachments=message.attachments,
        about=tuple(about),
    )  # fmt: skip


def _known_by(declared: MessageType, plans: Sequence[Plan], scope: Mapping[str, Any], submission: Submission) -> dict[str, Any]:
    """What is sealed with the message, beside itself: its business keys, its names if it came again, its content, whom it is about."""
    try:
        case = case_keys(scope, declared, *plans)
    except ExpressionError as error:
        hint = f"send the field: GET /types/{submission.type} says what there is"
        raise Invalid(f"the case of this message cannot be told: {error.sentence}", code="case.untold", hint=hint) from error
    names = _intake_keys(declared.key, plans, scope, submission)
    _refuse_nul(submission, names)
    told: dict[str, Any] = {"case": case, "intake": names, "content": _content(submission)}
    if submission.about:
        told["about"] = submission.about
    return told


def _data(
    submission: Submission, told: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], keys: Keys, parent: str | None
) -> dict[str, Any]:  # fmt: skip
    """What the record says to everybody: of names and keys only tokens."""
    tokens = [(scope, keys.token(name)) for scope, name in told["intake"]]
    data: dict[str, Any] = {"type": submission.type, "sender": submission.sender, "runs": runs, "intake": tokens}
    data["content"] = keys.token(told["content"])
    if strong := key_tokens(keys, told["case"]):
        data["keys"] = strong
    if parent is not None:
        data["parent"] = parent
    if submission.adapter is not None:
        data["adapter"] = submission.adapter
    if submission.facts:
        data["facts"] = fact_tokens(keys, submission.facts)
    return data


def _refuse_nul(submission: Submission, names: Sequence[tuple[str, str]]) -> None:
    """Raises `Invalid` for a key or a subject that not every database keeps."""
    if "\0" in "".join([submission.subject or "", *[key for _, key in names], *[key for _, key, _ in submission.facts]]):
        raise Invalid("a key or the subject holds the NUL character", code="input.nul", hint="delete it where it comes from")


def _content(submission: Submission) -> str:
    """The digest that tells a repeated message from another one under the same key."""
    files: list[Any] = [a.sha256 for a in submission.attachments]
    if any(submission.called):
        files = [[sha256, name] for sha256, name in zip(files, submission.called, strict=True)]
    return digest([submission.type, submission.subject, in_one_writing(submission.body), files])


def _fits(record: Record, submission: Submission) -> None:
    """Raises `TooLarge` for more facts and exchanges than the record of a message can name."""
    size = len(canonical(as_line(record)))
    if size > LONGEST - PROMISE:
        told = f"{len(submission.facts):,} facts and {len(submission.wires):,} exchanges"
        raise TooLarge(
            f"a message of type {submission.type} came with {told}: its record would have {size:,} bytes, and the log takes "
            f"{LONGEST - PROMISE:,}",
            code="message.too-many-facts", hint=f"{submission.origin} must hand in less with a message, or several messages",
        )  # fmt: skip


def _message(submission: Submission, identity: str, clock: Clock) -> Message:
    return Message(
        id=identity, type=submission.type, source=submission.source or submission.sender, time=clock.now(), body=submission.body,
        sender=submission.sender, subject=submission.subject, dataschema=submission.dataschema,
        correlationid=submission.correlationid or identity, causationid=submission.causationid, key=submission.key,
        traceparent=submission.traceparent, attachments=submission.attachments,
    )  # fmt: skip


def _intake_keys(
    own: Expression | None, plans: Sequence[Plan], scope: Mapping[str, Any], submission: Submission
) -> tuple[tuple[str, str], ...]:
    """The names under which this message would be known if it came again, each scoped by sender. ``own`` is the key its type tells."""
    names = []
    if submission.key:
        names.append((_scope_of_key(submission), submission.key))
    elif own is not None:
        names.append((f"type {submission.type} {submission.sender}", _key_text(own, scope, f"type {submission.type}", OR_HEADER)))
    names += [(f"route {p.route} {submission.sender}", _key_text(p.key, scope, p.name, SEND_FIELD)) for p in plans if p.key is not None]
    return tuple((whose, key) for whose, key in names if key)


def _scope_of_key(submission: Submission) -> str:
    return f"key {submission.sender}"


def _key_text(key: Expression, scope: Mapping[str, Any], whose: str, hint: str) -> str:
    """The key of a message; nothing where it is null or the empty text, as with keys of the case. ``hint``: what to do if it is untold."""
    try:
        return "" if (value := key(scope)) is None else key_text(value)
    except ExpressionError as error:
        raise Invalid(f"the key of {whose} cannot be read: {error.sentence}", code="key.untold", hint=hint) from error
