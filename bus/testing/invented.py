"""Invented people in the place of real ones: the same real person is the same invented one wherever a test speaks of them.

What names a person is known by the field it stands in (name, surname, address, telephone …) and by its shape (codice fiscale, e-mail,
IBAN, telephone). What is replaced is replaced everywhere, in composed texts too. Sex and year of birth are kept, since rules may ask for
them; amounts, dates of acts, numbers of practices and notices are kept as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bus.functions import OMOCODIA, cf_valid
from bus.message import JsonValue, texts_in
from bus.replay.people import CODICE_FISCALE, EMAIL, NAME, PHONE, SURNAME, WHOLE, kind_of, objects

WOMEN = ("Ada", "Bice", "Clelia", "Dora", "Elvira", "Flora", "Gilda", "Irma")
MEN = ("Aldo", "Bruno", "Carlo", "Dario", "Ezio", "Furio", "Guido", "Ivo")
SURNAMES = ("Inventati", "Fittizi", "Provetti", "Esempi", "Finzioni", "Ipotetici", "Supposti", "Immaginari")
_IBAN = re.compile(r"\bIT[0-9]{2}[A-Z][0-9]{10}[A-Z0-9]{12}\b")
IBAN = "IT60X0542811101000000123456"
"""The one that the standard's own examples use."""


@dataclass
class Invented:
    """Learns who is named in some values (`learn`), then says them with invented people (`said`)."""

    _real: dict[str, str] = field(default_factory=dict)
    _people: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def learn(self, value: JsonValue) -> None:
        """See who is named; call it for all values before the first is said."""
        for fields in objects(value):
            named = _named(fields)
            codes = [text.upper() for text in fields.values() if isinstance(text, str) and CODICE_FISCALE.fullmatch(text)]
            if codes or named.keys() & {NAME, SURNAME}:
                self._person(codes[0] if codes else "", named.get(NAME, ""), named.get(SURNAME, ""))
        for fields in objects(value):
            named = _named(fields)
            for kind in ("via", "telefono", WHOLE):
                if named.get(kind):
                    self._invent(kind, named[kind])
            if date := named.get("nascita"):
                self._real.setdefault(date, f"{date[:4]}-01-01" if re.match(r"\d{4}-\d\d-\d\d", date) else date)
        for text in texts_in(value):
            for found in CODICE_FISCALE.findall(text):
                self._person(found.upper(), "", "")
            for kind, pattern in (("email", EMAIL), ("iban", _IBAN), ("telefono", PHONE)):
                for found in pattern.findall(text):
                    self._invent(kind, found)

    def said(self, value: JsonValue) -> JsonValue:
        """The value with invented people."""
        if isinstance(value, str):
            return self._said(value)
        if isinstance(value, list):
            return [self.said(inner) for inner in value]
        if isinstance(value, dict):
            return {name: self.said(inner) for name, inner in value.items()}
        return value

    @property
    def replaced(self) -> int:
        """How many names, codes and addresses were replaced."""
        return len(self._real)

    def _said(self, text: str) -> str:
        """The longest first, each as a word of its own; capitals stay capitals."""
        for real in sorted(self._real, key=lambda one: (-len(one), one)):
            pattern = re.compile(rf"(?<!\w){re.escape(real)}(?!\w)", re.IGNORECASE)
            text = pattern.sub(lambda found, to=self._real[real]: _as_written(found[0], to), text)  # type: ignore[misc]
        return text

    def _person(self, code: str, name: str, surname: str) -> None:
        """Remember a real person under an invented one: known by the code, else by the name."""
        key = code or f"{name} {surname}".strip().upper()
        if key not in self._people:
            number = len(self._people)
            woman = code[9:11].translate(OMOCODIA) > "40" if code else number % 2 == 0
            known = {*name.upper().split(), *(to.upper() for to, _, _ in self._people.values())}
            names = [one for one in (WOMEN if woman else MEN) if one.upper() not in known] or list(WOMEN if woman else MEN)
            first = names[number % len(names)]
            last = SURNAMES[number % len(SURNAMES)] + ("" if number < len(SURNAMES) else _roman(number // len(SURNAMES)))
            self._people[key] = first, last, _code(first, last, code) if code else ""
        first, last, made = self._people[key]
        for real, invented in ((code, made), (name, first), (surname, last)):
            if len(real) > 1:
                self._real.setdefault(real, invented)

    def _invent(self, kind: str, real: str) -> None:
        if real in self._real or (kind == WHOLE and any(known.upper() in real.upper() for known in self._real)):
            return  # a composed name is said by its parts
        number = self._counts[kind] = self._counts.get(kind, 0) + 1
        invented = {
            "email": f"persona{number}@posta.example", "telefono": f"333 000{number:04}", "iban": IBAN, "via": f"Via Immaginaria {number}",
            WHOLE: f"Persona Inventata {_roman(number)}",
        }  # fmt: skip
        self._real[real] = invented[kind]


def _code(name: str, surname: str, real: str) -> str:
    """A valid codice fiscale of an invented person of the same sex and year of birth, born on the first of January in no town."""
    year, day = real[6:8].translate(OMOCODIA), real[9:11].translate(OMOCODIA)
    begin = f"{_letters(surname, surname=True)}{_letters(name)}{year}A{'41' if day > '40' else '01'}Z999"
    return next((begin + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if cf_valid(begin + last)), f"{begin}X")


def _letters(text: str, *, surname: bool = False) -> str:
    """Three letters as the tax office takes them: consonants, then vowels, then X; of a name with four consonants not the second."""
    consonants = [letter for letter in text.upper() if letter.isalpha() and letter not in "AEIOU"]
    vowels = [letter for letter in text.upper() if letter in "AEIOU"]
    if not surname and len(consonants) > 3:
        del consonants[1]
    return "".join([*consonants, *vowels, "X", "X", "X"])[:3]


def _roman(number: int) -> str:
    return ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")[number % 10] or str(number)


def _as_written(real: str, invented: str) -> str:
    if real.isupper():
        return invented.upper()
    return invented.lower() if real.islower() else invented


def _named(fields: Mapping[str, Any]) -> dict[str, str]:
    """What an object says of a person, by kind of field."""
    return {kind: text for name, text in fields.items() if isinstance(text, str) and text and (kind := kind_of(name))}
