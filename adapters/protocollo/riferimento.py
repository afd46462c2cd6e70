"""Our reference in the object of a registration: DOCAREA has no field of its own by which a registration could be found again."""

from __future__ import annotations

import unicodedata


def mark(riferimento: str) -> str:
    """How our reference stands in the object, so that it can be searched and never matches a longer one."""
    return f"[rif. {riferimento}]"


def marked(oggetto: str, riferimento: str, most: int) -> str:
    """An object with our reference behind it, cut before it where both together would be more than ``most`` characters."""
    room = most - len(mark(riferimento)) - 1
    return f"{oggetto if len(oggetto) <= room else oggetto[: room - 1].rstrip() + '…'} {mark(riferimento)}"


def is_marked(oggetto: str | None, riferimento: str) -> bool:
    """Whether an object that the register holds is that of our reference; some registers write objects in capitals, or fold blanks."""
    return " ".join(mark(riferimento).casefold().split()) in " ".join((oggetto or "").casefold().split())


def says(held: str, text: str) -> bool:
    """Whether an object that the register holds says this text, word for word, but for capitals, accents, blanks and marks."""
    return _words(text) in _words(held)


def _words(text: str) -> str:
    """One blank around each: a lot 1/2 is not lot 12."""
    plain = (c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return f" {' '.join(''.join(c if c.isalnum() else ' ' for c in plain).split())} "
