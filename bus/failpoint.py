"""Fail points: named places of a message's walk at which a process can be told to die, so that a test can look at what is left.

``SNODO_FAILPOINT=name`` kills the process (SIGKILL) when it reaches that place, ``name:n`` when it reaches it for the n-th time.
Nothing else arms one, and an armed process says so when it starts. Elsewhere `reach` costs one look at a global.

``before-commit`` is inside the transaction, ``after-commit`` is when it is durable and nobody has been told.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator, Mapping

from bus.errors import ConfigError

VARIABLE = "SNODO_FAILPOINT"
POINTS: Mapping[str, str] = {
    "intake.before-commit": "messages are written, not committed; their senders wait",
    "intake.after-commit": "messages are durable; nobody is rung and no sender is told",
    "commit.before": "the store's writer is about to commit, whatever it is",
    "commit.after": "the store's writer has committed; who asked for it does not know yet",
    "dispatch.before-publish": "a ticket is taken from the outbox and not published",
    "dispatch.after-publish": "a ticket is published",
    "dispatch.after-take": "a ticket is acknowledged to the broker; the engine has not heard of it",
    "claim.before-commit": "runs are claimed, not committed",
    "claim.after-commit": "runs are ours; nothing is done with them yet",
    "intent.before-commit": "the intent of a call is decided, not committed",
    "intent.after-commit": "the intent of a call is durable; the call has not gone out",
    "call.before-first-byte": "a connection is open; no byte of the request has left",
    "call.after-first-byte": "the head of a request has left, its body has not",
    "call.after-last-byte": "the whole request has left; nothing of the answer is read",
    "call.after-answer": "the answer is read; the engine has not heard of it",
    "answer.before-record": "the engine has the answer; nothing of it is written",
    "settle.before-commit": "what runs decided is written, not committed",
    "settle.after-commit": "what runs decided is durable; no call of it has gone out, nobody is rung or told",
    "reply.before-told": "a reply is durable; whoever waits for it is not told",
    "sweeper.before-look": "the sweeper is about to look for runs whose ticket got lost",
    "sweeper.after-look": "the sweeper knows them; they are not claimed",
    "timers.before-commit": "deadlines are expired, not committed",
    "timers.after-commit": "deadlines are expired; their runs are not rung for",
}
"""Every fail point and the state of the world there. The fault suite takes its list from here."""


class _Armed:
    """One fail point, and at which reach of it the process ends."""

    def __init__(self, name: str, at: int) -> None:
        self.name, self.at = name, at
        self._reached: Iterator[int] = itertools.count(1)

    def strike(self) -> None:
        if next(self._reached) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def armed() -> str | None:
    """``name:n`` when this process has a fail point armed; raises `ConfigError` for one that does not exist."""
    text = os.environ.get(VARIABLE)
    if text and _armed is None:
        raise ConfigError(f"there is no fail point {text!r}", code="config.failpoint", hint=f"unset {VARIABLE}; bus.failpoint lists them")
    return None if _armed is None else f"{_armed.name}:{_armed.at}"


def reach(name: str) -> None:
    """The walk is at this place: the process ends here when the place is armed and its turn has come."""
    if _armed is not None and _armed.name == name:
        _armed.strike()


def _parse(text: str) -> _Armed | None:
    name, colon, at = text.partition(":")
    at = at if colon else "1"
    return _Armed(name, int(at)) if name in POINTS and at.isdecimal() and int(at) > 0 else None


_armed = _parse(os.environ.get(VARIABLE, ""))
