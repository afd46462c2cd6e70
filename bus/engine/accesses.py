"""Accesses: who may see what was said, for what purpose, and the record of it, which is durable before anything is shown.

Every way that shows a payload to a person asks here. Fields are masked by what their type declares (`bus.mapping.protected`); what no
type declares (fields of replies, answers of systems, texts of failures, wire bytes, files, bundles) takes the right to see everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from bus.clock import Clock
from bus.engine import reasons
from bus.engine.projection import write_apart
from bus.errors import Forbidden, Invalid, one_line
from bus.log import log
from bus.log.record import Record
from bus.mapping.protected import EVERYTHING, masked, masked_but, masked_whole
from bus.mapping.types import MessageType
from bus.message import JsonObject, JsonValue, new_id
from bus.store import Tx

SHORTEST, LONGEST = 3, 500
"""Characters of a purpose."""
WITHHELD = "‹withheld: say what for›"
"""What stands in the place of a text that nobody gave a purpose for."""
Act = Literal["why", "test", "plan"]
ACTS: tuple[str, ...] = get_args(Act)
"""What a command that reads the database by itself is about to show."""


class Looker(NamedTuple):
    """Somebody who wants to see what was said: the name of a key, the kinds of protected fields it may see, and what for."""

    name: str
    sees: frozenset[str] = frozenset()
    purpose: str = ""

    @property
    def all(self) -> bool:
        """Whether it may see what no type declares."""
        return self.sees >= EVERYTHING


NOBODY = Looker("")
"""Somebody who may see nothing of what was said, and says no purpose."""


def purpose_of(text: str) -> str:
    """A purpose that says something, and names nobody; raises `Invalid`."""
    told = one_line(text)
    if not SHORTEST <= len(told) <= LONGEST:
        amiss = "without a purpose" if not told else f"for a purpose that is too {'long' if len(told) > LONGEST else 'short'}"
        raise Invalid(
            f"what was said is not shown {amiss}",
            code="purpose.missing",
            hint=f"{SHORTEST} to {LONGEST} characters: --purpose '…'; over HTTP `purpose` in the body, or the header Snodo-Purpose",
        )
    return reasons.nameless(told)


def needs_all(looker: Looker, what: str) -> None:
    """Raises `Forbidden` for whoever may not see every kind of field: ``what`` cannot be masked field by field."""
    if not looker.all:
        raise Forbidden(
            f"{what} cannot be masked field by field", code="access.rights",
            hint=f"it takes a key that sees {' and '.join(sorted(EVERYTHING))}: `sees`, or `rights` of its role, in the settings",
        )  # fmt: skip


def look(
    tx: Tx, looker: Looker, what: str, clock: Clock, *, message: str | None = None, run: str | None = None,
    data: Mapping[str, Any] | None = None, scope: JsonObject | None = None,
) -> str:  # fmt: skip
    """Write that somebody opens something; returns the id of the record. ``scope`` is sealed with the purpose."""
    told = {"role": what, **(data or {}), **({} if looker.all else {"sees": sorted(looker.sees)})}
    record = Record(new_id(), "read", clock.now(), message=message, run=run, actor=looker.name, data=told)
    write_apart(tx, record, {"purpose": {"text": purpose_of(looker.purpose), **(scope or {})}})
    return record.id


def announce_replay(tx: Tx, actor: str, purpose: str, scope: JsonObject, clock: Clock) -> str:
    """Write who recomputes what, and why; returns the id of the record. A key of a case is said in the payload, not in the record.

    Raises `Invalid` for a scope, too, that says a codice fiscale.
    """
    what = _nameless(scope)
    message, run = _named(tx, what)
    if what:
        kind = "run" if run else "message" if message else "case"
    else:
        kind = "bundle" if "bundle" in scope else "time"
    record = Record(new_id(), "replayed", clock.now(), actor=actor, message=message, data={"scope": kind})
    write_apart(tx, record, {"purpose": {"text": purpose_of(purpose), **scope}})
    return record.id


def announce(tx: Tx, looker: Looker, act: Act, scope: JsonObject, clock: Clock) -> str:
    """Write that a command elsewhere is about to show what was said of ``scope``; returns the id of the record. Raises `Invalid`."""
    message, run = _named(tx, _nameless(scope))
    return look(tx, looker, act, clock, message=message, run=run, scope=scope)


def _nameless(scope: JsonObject) -> str:
    """What is asked for; like the purpose it is kept when a person is erased, so it says no codice fiscale."""
    for said in scope.values():
        reasons.nameless(str(said))
    return str(scope.get("what", ""))


def _named(tx: Tx, what: str) -> tuple[str | None, str | None]:
    """The message and the run that an id names."""
    run = tx.one("run", id=what)
    if run is not None:
        return run["message"], what
    return (None, None) if tx.one("message", id=what) is None else (what, None)


def said(tx: Tx, identity: str, types: Mapping[str, MessageType], looker: Looker) -> JsonObject:
    """What a message said, as far as somebody may see it: ``body``, ``subject``, ``correlationid``, ``attachments`` (of each file its
    ``sha256``, ``name``, ``media_type`` and ``size``). Raises `Erased`.
    """
    message = log.message(tx, identity)[0]
    envelope, body = message["envelope"], message["body"]
    declared = types.get(str(envelope["type"]))
    subject = envelope.get("subject")
    return {
        "body": undeclared(body, looker) if declared is None or looker.all else masked(body, declared, types, looker.sees),
        "subject": subject if subject is None or "personal" in looker.sees else masked_whole(subject),
        "correlationid": str(envelope.get("correlationid", identity)),
        "attachments": undeclared(list(envelope.get("attachments", ())), looker),
    }


def replied(reply: JsonValue, type: str, types: Mapping[str, MessageType], looker: Looker) -> JsonValue:
    """What was replied to a message of a type, as far as somebody may see it; a field that the type does not declare takes everything."""
    declared = types.get(type)
    return undeclared(reply, looker) if declared is None or looker.all else masked_but(reply, declared.reply, looker.sees)


def undeclared(value: JsonValue, looker: Looker) -> JsonValue:
    """What no type declares, as far as somebody may see it: all of it, or which fields there are."""
    return value if looker.all else masked_whole(value)
