"""What a key of a message or of a case holds: a value that does not tell one matter from the other, or another field than it is called."""

from __future__ import annotations

from math import prod
from typing import Any

from bus.expression.unions import choices_of
from bus.mapping.compile import place_of
from bus.mapping.shapes import CODES, resolve
from bus.mapping.template import Used
from bus.route.values import Values
from bus.source import Reporter

_SHOWN = 3
"""Codes that are told of those that a key may have."""


def check_key(used: Used, values: Values, report: Reporter, *, gathers: bool = False) -> None:
    """Warn of a key, given by an expression at ``key`` or ``case.<name>``, by which different messages are taken for the same.

    ``gathers``: messages are gathered here, perhaps all of one kind, so that a case of all of them may be meant.
    """
    intake = used.pointer == ("key",)
    if not intake and _other_field(used, values, report):
        return
    codes = _codes(used, values)
    if not codes or (gathers and not intake):
        return
    count, said = prod(map(len, codes)), ", ".join(map(str, codes[0][:_SHOWN]))
    several = f"one of {count:,} values ({said}{', …' if len(codes) > 1 or len(codes[0]) > _SHOWN else ''})"
    what = "all messages but the first with each are refused" if intake else "all messages with the same one are of one case"
    hint = "name the field that tells one from the other, such as its number"
    report.report(used.pointer, "key.few-values", f"this key has {several}: {what}", hint, "warning")


def _codes(used: Used, values: Values) -> list[list[Any]]:
    """The only values that each of the fields has which make the key; empty where one of them may have any."""
    read = [one for one in used.reads.references if not one.tested]
    shapes = [values.at(one.path, used).schema for one in read]
    found = [choices_of(one) or list(one.get(CODES, ())) for one in shapes]
    return found if all(found) else []


def _other_field(used: Used, values: Values, report: Reporter) -> bool:
    """Whether a key of the case that is called as a field beside holds another one."""
    name, read = str(used.pointer[-1]), used.reads.references
    if len(read) != 1 or read[0].text != used.expression.text.strip() or len(read[0].path) < 2 or read[0].path[-1] == name:
        return False
    path = read[0].path
    beside = values.at(path[:-1], used).schema
    if name not in resolve(beside, beside).get("properties", {}):
        return False
    meant = ".".join((*path[:-1], name))
    within = place_of(used, path)
    sentence = f"the key `{name}` holds `{path[-1]}`, and `{'.'.join(path[:-1])}` has a field `{name}`: who waits by it finds nothing"
    report.report(used.pointer, "key.other-field", sentence, f"write {meant}, or call the key {path[-1]}", "warning", within=within)
    return True
