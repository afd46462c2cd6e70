"""Values as a plan shows them: short, and without what names a person."""

from __future__ import annotations

import re

from bus.jsontext import dumps
from bus.message import JsonValue
from bus.replay.fields import MISSING

LONGEST = 60
_DIGIT = "[0-9LMNPQRSTUV]"
_NAMES = {
    "codice fiscale": re.compile(rf"\b[A-Z]{{6}}{_DIGIT}{{2}}[A-EHLMPRST]{_DIGIT}{{2}}[A-Z]{_DIGIT}{{3}}[A-Z]\b", re.IGNORECASE),
    "IBAN": re.compile(r"\b[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\b"),
    "e-mail": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "phone": re.compile(r"\+39[ \d]{8,14}\d"),
}


class Masks:
    """Numbers what it hides: the same value has the same number in the whole plan, so that a change can be seen."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def shown(self, value: JsonValue) -> str:
        """A value in one line; `MISSING` is a dash."""
        if value is MISSING:
            return "–"
        text = dumps(value).decode()
        for what, pattern in _NAMES.items():
            text = pattern.sub(lambda found, what=what: self._hidden(what, found[0]), text)  # type: ignore[misc]
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

    def _hidden(self, what: str, value: str) -> str:
        mine = [key for key in self._numbers if key[0] == what]
        return f"‹{what} {self._numbers.setdefault((what, value.upper()), len(mine) + 1)}›"
