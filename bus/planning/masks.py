"""Values as a plan shows them: short, and without what names a person."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bus.jsontext import dumps
from bus.message import JsonValue
from bus.replay.fields import MISSING
from bus.replay.people import CODICE_FISCALE, EMAIL, HIDDEN, PHONE, kind_of

LONGEST = 60
_NAMES = {
    "codice fiscale": CODICE_FISCALE,
    "IBAN": re.compile(r"\b[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}\b"),
    "e-mail": EMAIL,
    "phone": PHONE,
}


class Masks:
    """Numbers what it hides: the same value has the same number in the whole plan, so that a change can be seen."""

    def __init__(self, people: Mapping[str, str], *, hides: bool) -> None:
        self._hides = hides
        self._numbers: dict[tuple[str, str], int] = {}
        self._kinds = {text.upper(): kind for text, kind in people.items()}
        names = sorted(map(re.escape, people), key=lambda one: (-len(one), one))
        self._people = re.compile(rf"(?<!\w)(?:{'|'.join(names)})(?!\w)", re.IGNORECASE) if names else None

    def shown(self, value: JsonValue, fields: Sequence[str] = ()) -> str:
        """A value in one line; `MISSING` is a dash. ``fields`` are those that it is the value of."""
        if value is MISSING:
            return "–"
        if self._hides:
            return HIDDEN
        kind = next((kind for one in fields if (kind := kind_of(one.rpartition(".")[2]))), "")
        text = dumps(self._without_names(value, kind)).decode()
        for what, pattern in _NAMES.items():
            text = pattern.sub(lambda found, what=what: self._hidden(what, found[0]), text)  # type: ignore[misc]
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

    def _without_names(self, value: JsonValue, kind: str) -> JsonValue:
        """A value without the texts that name a person: by the field they stand in, or because another field has them."""
        if isinstance(value, dict):
            return {name: self._without_names(inner, kind_of(name)) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._without_names(inner, kind) for inner in value]
        if not isinstance(value, str) or not value:
            return value
        if kind:
            return self._hidden(kind, value)
        return self._people.sub(lambda found: self._hidden(self._kinds[found[0].upper()], found[0]), value) if self._people else value

    def _hidden(self, what: str, value: str) -> str:
        mine = [key for key in self._numbers if key[0] == what]
        return f"‹{what} {self._numbers.setdefault((what, value.upper()), len(mine) + 1)}›"
