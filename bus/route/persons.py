"""Keys of a case that name a person: by a key of that kind all matters of somebody would become one.

The log, too, goes by the name of a key: a record tells a token of those that name a matter, and nothing of those in `WEAK`.
"""

from __future__ import annotations

from collections.abc import Iterable

from bus.log.record import WEAK
from bus.mapping.template import Used
from bus.source import Reporter

_CALLED = {
    "cf": "codice_fiscale", "codicefiscale": "codice_fiscale", "piva": "partita_iva", "partitaiva": "partita_iva",
    "email": "email", "mail": "email", "pec": "email",
}  # fmt: skip
"""What fields and keys that name a person are called, and the key that each of them is."""


def check_keys(keys: Iterable[Used], report: Reporter) -> None:
    """Warn of a key of a case, given by an expression at ``case.<name>``, that names a person and is not known to do so."""
    for key in keys:
        *_, name = key.pointer
        meant = _read(key) or _person(str(name))
        if meant is not None and name not in WEAK:
            sentence = f"the key `{name}` names a person, not a matter: by it all cases of that person would become one"
            hint = f"call it {meant}: by such a key a step can wait, and it joins no cases"
            report.report(key.pointer, "case.names-person", sentence, hint, "warning", key=True)


def _read(key: Used) -> str | None:
    """The key that it is when all that it reads names a person."""
    read = {_person(reference.path[-1]) for reference in key.expression.reads.references if not reference.tested}
    return next(iter(read)) if len(read) == 1 else None


def _person(name: str) -> str | None:
    """The key that a field or key of this name is; None when the name is not that of a person."""
    return _CALLED.get(name.replace("_", "").lower())
