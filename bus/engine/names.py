"""Names: what a message is known by, and whom it is about, as the tokens that stand in the tables in their place."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bus.errors import ExpressionError
from bus.functions import cf_valid
from bus.log.record import WEAK, Record
from bus.message import JsonValue, in_one_writing
from bus.store import Keys

MOST_OF_CODE = 24
"""Characters of a text that may be a codice fiscale, blanks around it included."""


class Names(NamedTuple):
    """Tokens of all that a received message is known by: business keys by name, ``intake`` (scope, key), its content, whom it is about,
    its files. Making them reads no table, so whoever hands a message in has them ready before the transaction.
    """

    case: Mapping[str, str]
    intake: Sequence[tuple[str, str]] = ()
    content: str = ""
    holders: Sequence[str] = ()
    files: Sequence[str] = ()


def names_of(keys: Keys, record: Record, message: Any) -> Names:
    """The tokens of a received message; ``message`` is None when nobody can open it any more: then only what its record tells."""
    case = case_tokens(keys, record, message and message["keys"]["case"])
    intake, content = _intake_names(keys, record, message)
    if message is None:
        return Names(case, intake, content)
    holders = [keys.token(holder(name)) for name in about(message)]
    files = [keys.token(file["sha256"]) for file in message["envelope"].get("attachments", ())]
    return Names(case, intake, content, holders, files)


def _intake_names(keys: Keys, record: Record, message: Any) -> tuple[Sequence[tuple[str, str]], str]:
    """The names of a message by scope and token, and the token of its content."""
    if "intake" in record.data or message is None:
        return record.data.get("intake", ()), record.data.get("content", "")
    told = message["keys"]
    return [(scope, keys.token(key)) for scope, key in told["intake"]], keys.token(told["content"])


def case_tokens(keys: Keys, record: Record, case: Mapping[str, str] | None) -> dict[str, str]:
    """Tokens of business keys by name: strong ones as the record tells them, weak ones only while their values can be read."""
    told: Mapping[str, str] = record.data.get("keys", {})
    return {**{name: keys.token(value) for name, value in (case or {}).items() if name not in told}, **told}


def key_tokens(keys: Keys, case: Mapping[str, str]) -> dict[str, str]:
    """What a record tells of business keys: tokens of those that name a matter. What names a person stands in the payload alone."""
    return {name: keys.token(value) for name, value in case.items() if name not in WEAK}


def key_text(value: JsonValue) -> str:
    """A key as a text; of a number the same one however it was written: 12 for 12.0."""
    return str(in_one_writing(value))


def key_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Business keys as texts; nulls and empty texts are no keys. Raises ExpressionError for a text that no database keeps."""
    texts = {name: key_text(value) for name, value in values.items() if value is not None and value != ""}
    if "\0" in "".join(texts.values()):
        raise ExpressionError("a business key holds the NUL character", code="input.nul", hint="delete it where it comes from")
    return texts


def fact_tokens(keys: Keys, facts: Iterable[Sequence[Any]]) -> list[list[str]]:
    """What a record tells of facts (kind, key, value)."""
    return [[str(fact[0]), keys.token(str(fact[1]))] for fact in facts]


def about(message: Mapping[str, Any]) -> list[str]:
    """Whom a message is about: the values of its weak keys, its subject, each codice fiscale in its body, and whom its cause was about."""
    named = [value for name, value in message["keys"]["case"].items() if name in WEAK]
    subject = message["envelope"].get("subject")
    written = persons_in(message.get("body"))
    return list(dict.fromkeys([*named, *([subject] if subject else []), *written, *message["keys"].get("about", ())]))


def persons_in(body: Any) -> list[str]:
    """Each text of a body that is the codice fiscale of a person and nothing else, wherever it stands, also as a name; in capitals."""
    found: set[str] = set()
    left = [body]
    for value in left:  # which grows
        if value.__class__ is str:
            if 16 <= len(value) <= MOST_OF_CODE and cf_valid(code := value.strip().upper()):
                found.add(code)
        elif isinstance(value, Mapping):
            left.extend(value)
            left.extend(value.values())
        elif isinstance(value, list | tuple):
            left.extend(value)
    return sorted(found)


def folded(text: str) -> str:
    """A text without the differences that a search passes by: small and capital letters, forms of a character, white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def holder(name: str) -> str:
    """One way of writing whom a message is about, so that all of theirs are found."""
    return "holder " + folded(name)
