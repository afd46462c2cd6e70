"""Every error of the bus, in families by who must act.

::

    SnodoError
    ├── InputError        whoever sent the request must act      (HTTP 4xx)
    │   ├── Malformed     not JSON/XML within limits
    │   ├── Invalid       well-formed, and not of the declared type
    │   ├── Unauthorized  who are you
    │   ├── Forbidden     you may not
    │   ├── NotFound      no such message, case, attachment
    │   ├── Erased        it was there, and its key was destroyed for good
    │   ├── Conflict      same key, other content
    │   ├── TooLarge      beyond a limit
    │   └── Busy          try again later (carries ``retry_after``)
    │       └── TooMany   you, not the others
    ├── RulesError        the author of YAML must act            (findings, exit 1)
    ├── ExpressionError   the author of an expression must act   (has line and column)
    ├── OutsideError      another system failed, see `bus.adapter`
    │   ├── Unreachable   surely not done
    │   ├── Refused       it answered no
    │   └── InDoubt       cannot know
    ├── ConfigError       the operator must act: settings
    ├── StoreError        the operator must act: database
    │   ├── KeyMissing    the key store is older than what it is to open, or lost a file
    │   ├── Damaged       a text, or the key that opens it, was changed
    │   ├── Changed       its tables are not those that the bus made
    │   ├── Interrupted   surely nothing was written: the same may do well later
    │   └── Unknown       perhaps it was
    └── EvidenceError     the auditor must judge: a signature, proof or checkpoint that does not hold
        └── Unproven      a bundle that does not prove itself     (exit 5)

An error carries a stable ``code`` (``family.reason``), one sentence, and a hint: what to do next.
"""

from __future__ import annotations

import re
from typing import Any

PERSON = re.compile(r"[A-Z]{6}[0-9LMNPQRSTUV]{2}[A-EHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]", re.IGNORECASE)
"""The shape of a codice fiscale, wherever it stands: behind a quote, an escape of a URL, another letter."""


def without_persons(text: str) -> str:
    """The text, with whatever looks like a codice fiscale struck out: for what is said where no person may be named."""
    return PERSON.sub("[codice fiscale]", text)


def one_line(text: str) -> str:
    """The text on one line, without what a terminal obeys: where a list shows one act a line, nobody writes a second one."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def counted(number: int, noun: str) -> str:
    """``1 error``, ``2 errors``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def visible(text: str) -> str:
    """The text, with what nobody sees in it written out (``\\u202e`` turns the rest of a line round): for whoever trusts what is shown."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class SnodoError(Exception):
    """Root of all errors. ``code`` is stable and documented; ``hint`` says what to do next."""

    default_code = "snodo.error"

    def __init__(self, sentence: str, *, code: str | None = None, hint: str = "", **detail: Any) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code or self.default_code
        self.hint = hint
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.in_words}"

    @property
    def in_words(self) -> str:
        """The sentence and the hint, for whoever says it under a code of its own."""
        return f"{self.sentence} ({self.hint})" if self.hint else self.sentence


class InputError(SnodoError):
    """What a sender gave us cannot be taken; ``status`` is the HTTP status that says so."""

    default_code = "input.invalid"
    status = 400


class Malformed(InputError):
    """The text is not what it claims to be, or goes beyond a limit."""

    default_code = "input.malformed"


class Invalid(InputError):
    """Well-formed, but not of the declared type."""

    status = 422


class Unauthorized(InputError):
    """Nobody known: there is no valid key."""

    default_code = "auth.missing"
    status = 401


class Forbidden(InputError):
    default_code = "auth.forbidden"
    status = 403


class NotFound(InputError):
    default_code = "input.not-found"
    status = 404


class Erased(InputError):
    """The text was there, and it or the key that opens it was destroyed: nobody can read it any more."""

    default_code = "payload.erased"
    status = 410


class Conflict(InputError):
    """Same idempotency key, other content."""

    default_code = "input.key-reused"
    status = 422


class TooLarge(InputError):
    default_code = "input.too-large"
    status = 413


class Busy(InputError):
    """We take no more for now; ``detail['retry_after']`` is in seconds."""

    default_code = "bus.busy"
    status = 503


class TooMany(Busy):
    """This caller asks for too much at once; the others go on."""

    default_code = "bus.too-many"
    status = 429


class RulesError(SnodoError):
    """Rules that do not load; ``findings`` says where and why."""

    default_code = "rules.invalid"

    def __init__(self, sentence: str, findings: Any = (), **kwargs: Any) -> None:
        super().__init__(sentence, **kwargs)
        self.findings = tuple(findings)


class ExpressionError(SnodoError):
    """An expression does not compile (has a place) or failed on these values (has none).

    ``others`` is what is wrong with it besides, for reasons of its own.
    """

    default_code = "expression.invalid"

    def __init__(self, sentence: str, *, line: int = 1, column: int = 1, **kwargs: Any) -> None:
        super().__init__(sentence, **kwargs)
        self.line = line
        self.column = column
        self.others: tuple[ExpressionError, ...] = ()


class OutsideError(SnodoError):
    """A call to another system ended without the answer we wanted.

    ``outside_code`` is the code the other system gave, ``evidence`` what it said; neither may hold secrets. Codes stand in records and in
    the table of runs, where nobody can be erased: what looks like a codice fiscale is struck out of them, and what a terminal would obey.
    Of a sentence that repeats what the other system said 2,000 characters are kept, of its code 200: the whole stands in the wire.
    ``answered``: what came was the system's own answer, though of no use; then nobody takes the system for one that is away.
    ``locked_out``: it is about who asks, and not about what: our credentials are not valid (any more), or not enough.
    ``cause``: where there was no answer, why, in words that hold nothing which was said on either side: it stands in records too.
    """

    kind = "outside"

    def __init__(
        self, sentence: str, *, outside_code: str = "", evidence: Any = None, answered: bool = False, locked_out: bool = False,
        cause: str = "", **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(sentence if len(sentence) <= 2_000 else f"{sentence[:1_999]}…", **kwargs)
        self.code = without_persons(self.code)
        self.outside_code = without_persons(one_line(outside_code[:1_000]))[:200]
        self.evidence = evidence
        self.answered = answered
        self.locked_out = locked_out
        self.cause = without_persons(one_line(cause[:1_000]))[:200]


class Unreachable(OutsideError):
    """Surely not applied: refused connection, DNS, TLS, or any failed ``read``."""

    default_code = "outside.unreachable"
    kind = "unreachable"

    def __init__(self, sentence: str, *, retry_after: float | None = None, **kwargs: Any) -> None:
        super().__init__(sentence, **kwargs)
        self.retry_after = retry_after


class Refused(OutsideError):
    """The system understood and said no; asking again the same is useless."""

    default_code = "outside.refused"
    kind = "refused"


class InDoubt(OutsideError):
    """Bytes left and no usable answer came: the effect may or may not have happened."""

    default_code = "outside.in-doubt"
    kind = "in_doubt"


class ConfigError(SnodoError):
    default_code = "config.invalid"


class StoreError(SnodoError):
    default_code = "store.failed"


class KeyMissing(StoreError):
    """The key store does not have the key, which it was never told to destroy: it is older than what it is to open, or lost a file."""

    default_code = "keys.missing"


class Changed(StoreError):
    """The database answers, and is not as the bus made it: a table or a column was dropped, or another thing put in its place."""


class Damaged(StoreError):
    """What stands there is not what was sealed, or its key not as it was made: nobody opens it before it is restored."""


UNREADABLE = (Erased, KeyMissing)
"""Why nobody can open a text, however long one waits."""
UNOPENED = (*UNREADABLE, Damaged)
"""Why one text cannot be opened, though the database answers: for whoever has others to go on with."""


class Interrupted(StoreError):
    """The database ended a transaction, or is away. Surely nothing of it was written: it may be run again."""

    default_code = "store.interrupted"


class Unknown(StoreError):
    """Nobody can say whether a transaction was written: it MUST NOT be run again."""

    default_code = "store.unknown"


class EvidenceError(SnodoError):
    default_code = "evidence.malformed"


class Unproven(EvidenceError):
    """A bundle that does not verify; ``detail['why']`` is what its verifier says, line by line."""

    default_code = "evidence.bundle"
