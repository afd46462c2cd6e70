"""Euro or cents: what a contract says an amount is in, by its description or its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bus.mapping.shapes import resolve
from bus.mapping.template import Used
from bus.route.known import type_of
from bus.route.values import Values

EURO, CENTS = "euro", "cents"
_EURO = re.compile(r"\beuros?\b|\bEUR\b|€", re.IGNORECASE)
_CENTS = re.compile(r"\b(?:euro)?cents?\b|\b(?:euro)?centesim[io]\b", re.IGNORECASE)
_OF_EURO = re.compile(r"cent\w*\s+(?:of|di|d')\s*(?:an?\s+|un\s*)?euro|euro[- ]?cent", re.IGNORECASE)
_CONVERTS = re.compile(r"\b100(?:\.0*)?\b|\b0?\.01\b|\b(?:euro|cents)\s*\(|\s\?\s")
"""What makes euro of cents, or cents of euro, or chooses between values."""
_AMOUNTS = frozenset({"integer", "number", "string"})


def other_unit(used: Used, values: Values, wanted: Mapping[str, Any], name: str) -> tuple[str, str] | None:
    """What an expression reads in the other unit than that of the field ``name``, of the schema ``wanted``, and what is right; else None.

    Where it converts, or chooses by an amount, nothing is said.
    """
    unit = unit_of(wanted, name)
    if not unit or _CONVERTS.search(used.expression.text):
        return None
    for one in used.reads.references:
        said = unit_of(values.at(one.path, used).schema, one.path[-1])
        if said and said != unit and not one.tested:
            hint = (
                f"cents({one.text}) makes cents of it"
                if unit == CENTS
                else f"euro({one.text}) is the text, double({one.text}) / 100.0 the number"
            )
            return f"is in {unit}, {one.text} in {said}", hint
    return None


def unit_of(schema: Mapping[str, Any], name: str) -> str:
    """The unit of an amount: what its description says, else its name; empty where neither does, or it is none."""
    if type_of(resolve(schema, schema)) not in _AMOUNTS:
        return ""
    text = str(schema.get("description", ""))
    euro, cents = _EURO.search(text), _CENTS.search(text)
    if cents and (not euro or _OF_EURO.search(text)):
        return CENTS
    if euro or cents:
        return "" if cents else EURO
    return _by_name(re.split(r"[_-]|(?<=[a-z])(?=[A-Z])", name))


def _by_name(pieces: Sequence[str]) -> str:
    said = {piece.lower() for piece in pieces}
    return EURO if said & {"euro", "eur"} else CENTS if said & {"cents", "cent", "centesimi"} else ""
