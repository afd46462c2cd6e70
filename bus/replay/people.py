"""Who is named in a value, as far as the names of its fields and the shapes of its texts tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bus.errors import PERSON
from bus.message import JsonValue

HIDDEN = "‹say --purpose›"
"""What stands for a value that nobody gave a purpose for."""

CODICE_FISCALE = re.compile(rf"\b{PERSON.pattern}\b", re.IGNORECASE)
"""As a word of its own; `bus.errors.PERSON` is wider."""
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
PHONE = re.compile(r"\+39[ ./-]?[0-9](?:[ ./-]{0,3}[0-9]){5,13}(?![0-9])")
"""With the country before it: else it may be any number."""

NAME, SURNAME, WHOLE = "nome", "cognome", "nominativo"
FIELDS: Mapping[str, str] = {
    **dict.fromkeys(("nome", "givenname", "firstname", "nomi"), NAME),
    **dict.fromkeys(("cognome", "surname", "familyname", "lastname", "cognomi"), SURNAME),
    **dict.fromkeys(("nominativo", "intestatario", "denominazione", "fullname", "ragionesociale", "referente"), WHOLE),
    **dict.fromkeys(("via", "indirizzo", "residenza", "domicilio", "toponimo", "streetname"), "via"),
    **dict.fromkeys(("telefono", "cellulare", "recapito", "phone"), "telefono"),
    **dict.fromkeys(("datanascita", "birthdate", "natoil", "nascita"), "nascita"),
}  # fmt: skip
"""What a field says of a person, by its name in small letters."""


def kind_of(name: str) -> str:
    """What a field of this name says of a person; empty when nothing."""
    return FIELDS.get(re.sub(r"[^a-z]", "", name.lower()), "")


def objects(value: JsonValue) -> Iterator[dict[str, Any]]:
    """All objects in a value."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from objects(inner)


def named(value: JsonValue) -> dict[str, str]:
    """The texts that name a person somewhere in a value, and what each is."""
    found = ((text, kind_of(name)) for one in objects(value) for name, text in one.items() if isinstance(text, str) and len(text) > 1)
    return {text: kind for text, kind in found if kind}
