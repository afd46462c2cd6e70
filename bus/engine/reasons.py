"""Why somebody does something: the purpose of whoever looks, the reason of whoever acts. The log keeps both, whoever is erased later.

Every door that takes one asks here. A reason that named a person would outlive the erasure of that person, so it names none: what has the
form and the check character of a codice fiscale is refused, wherever it stands, however it is spaced, also in full width.
"""

from __future__ import annotations

import re
import unicodedata

from bus.errors import PERSON, Invalid, one_line
from bus.functions import cf_valid

_ANYWHERE = re.compile(f"(?=({PERSON.pattern}))")
"""Each place where the form of a codice fiscale begins, also within another one's."""


def given(text: str, code: str) -> str:
    """A reason as the log keeps it; raises `Invalid`: with ``code`` when nothing is said, ``reason.person`` when it names somebody."""
    told = one_line(text)
    if not told:
        raise Invalid("say why: the log keeps the reason", code=code, hint="--reason '…', without naming a person")
    return nameless(told)


def nameless(text: str) -> str:
    """The text; raises `Invalid` when it says the codice fiscale of a person."""
    if any(map(cf_valid, _ANYWHERE.findall("".join(one_line(unicodedata.normalize("NFKC", text)).upper().split())))):
        raise Invalid(
            "a purpose, a reason and what was asked for stay in the log when the person is erased, and this says a codice fiscale",
            code="reason.person",
            hint="name the case instead, or the number under which the request was registered",
        )
    return text
