"""Protected fields: which fields of a message type are personal or sensitive, and a body without those that somebody may not see.

A path goes through objects by names and through lists by ``[]``: ``richiedente.codice_fiscale``, ``mappali[].intestatario``. What a
path leads to is protected with all that is in it. A field whose type is told by the message itself (``forms``) is masked as that type says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bus.errors import ExpressionError
from bus.expression.reading import as_written
from bus.expression.typing import resolved
from bus.message import JsonValue
from bus.source import Pointer, Reporter, suggestion

if TYPE_CHECKING:
    from bus.mapping.types import MessageType

EVERYTHING = frozenset({"personal", "sensitive"})
"""The kinds of protected fields; who sees all of them sees also what no type declares."""
SHOWN = "shown"
"""The kind of fields of a reply that whoever opens the message may see."""


@dataclass(slots=True)
class Protected:
    """What is protected at a place of a body and below it: ``kind`` if the place itself is."""

    kind: str = ""
    below: dict[str, Protected] = field(default_factory=dict)


def protected(paths: Mapping[str, Iterable[str]]) -> Protected:
    """Paths by kind, as a tree. Of two kinds for one path the later one counts: `sensitive` is named last."""
    root = Protected()
    for kind, several in paths.items():
        for path in several:
            here = root
            for piece in pieces(path):
                here = here.below.setdefault(piece, Protected())
            here.kind = kind
    return root


def pieces(path: str) -> list[str]:
    """``a.b[].c`` as ``a``, ``b``, ``[]``, ``c``."""
    return [piece for name in path.replace("[]", ".[]").split(".") if (piece := name.strip())]


def masked(body: JsonValue, declared: MessageType, types: Mapping[str, MessageType], sees: frozenset[str]) -> JsonValue:
    """A body of a type without what ``sees`` does not name; the fields stay, their values do not."""
    shown = _masked(_described(body, [declared.schema], declared.schema), declared.protected, sees)
    if not isinstance(body, dict) or not isinstance(shown, dict):
        return shown
    for name, expression in declared.forms.items():
        if name in body and shown[name] is not None and not is_mask(shown[name]):
            form = types.get(_form(expression, body))
            shown = {**shown, name: masked_whole(body[name]) if form is None else masked(body[name], form, types, sees)}
    return shown


def _form(expression: Any, body: Mapping[str, Any]) -> str:
    try:
        return str(expression({"body": body}))
    except ExpressionError:
        return ""


def _described(value: JsonValue, schemas: list[Any], root: Any) -> JsonValue:
    """A value without the fields that are not among those of its schema: a message of last year may have what no type can declare today.

    Where a schema names no fields at all, everything is as it is.
    """
    if isinstance(value, list):
        items = [one for schema in schemas for one in _inner(schema, "[]", root)]
        return [_described(one, items, root) for one in value] if items else value
    parts = [part for schema in schemas for part in _parts(schema, root)]
    if not isinstance(value, dict) or not any("properties" in part for part in parts):
        return value
    known = {name: [part["properties"][name] for part in parts if name in part.get("properties", {})] for name in value}
    rest = any("patternProperties" in part or isinstance(part.get("additionalProperties"), dict) for part in parts)
    return {name: _described(one, known[name], root) if known[name] or rest else masked_whole(one) for name, one in value.items()}


def _masked(value: JsonValue, tree: Protected, sees: frozenset[str]) -> JsonValue:
    """A value with its protected fields masked. Where it does not have the shape that the paths are written for, what may hold something
    protected is not shown.
    """
    if tree.kind and tree.kind not in sees:
        return _mask(tree.kind)
    if not tree.below:
        return value
    if isinstance(value, list):
        return [_masked(one, tree.below.get("[]", tree), sees) for one in value]
    if isinstance(value, dict) and "[]" in tree.below:  # one, where there are several today
        value = _masked(value, tree.below["[]"], sees)
    if isinstance(value, dict):
        return {name: _masked(one, tree.below[name], sees) if name in tree.below else one for name, one in value.items()}
    return masked_whole(value)


def masked_but(value: JsonValue, tree: Protected, sees: frozenset[str]) -> JsonValue:
    """A value that no schema describes: shown is what ``tree`` says is `SHOWN` or of a kind that ``sees`` names, the fields of the rest."""
    if tree.kind == SHOWN:
        return _masked(value, Protected("", tree.below), sees)
    if tree.kind:
        return _masked(value, tree, sees)
    if isinstance(value, list):
        return [masked_but(one, tree.below.get("[]", tree), sees) for one in value]
    if isinstance(value, dict):
        return {name: masked_but(one, tree.below.get(name, _UNDECLARED), sees) for name, one in value.items()}
    return masked_whole(value)


def masked_whole(value: JsonValue) -> JsonValue:
    """The fields of a value and none of its texts and numbers."""
    if isinstance(value, dict):
        return {name: masked_whole(one) for name, one in value.items()}
    if isinstance(value, list):
        return [masked_whole(one) for one in value]
    return None if value is None else _mask("undeclared")


_UNDECLARED = Protected()


def _mask(kind: str) -> str:
    return f"‹{kind}›"


_MASKS = frozenset(map(_mask, (*EVERYTHING, "undeclared")))


def is_mask(value: JsonValue) -> bool:
    """Whether it stands in the place of something that is not shown."""
    return isinstance(value, str) and value in _MASKS


def check(paths: Mapping[str, Iterable[str]], schema: Any, forms: Iterable[str], report: Reporter) -> bool:
    """Whether the schema has every protected path; findings for those that it has not."""
    good = True
    for kind, several in paths.items():
        for number, path in enumerate(several):
            if fault := _fault(pieces(path), schema, frozenset(forms)):
                why, hint = fault
                sentence = f"the schema has no `{path}`: {why}" if why else f"the schema has no field `{path}`"
                report.report((kind, number), "type.unknown-field", sentence, hint)
                good = False
    return good


def check_reply(paths: Mapping[str, Iterable[str]], report: Reporter) -> bool:
    """Whether every path of a reply, which no schema describes, names a field: one that names none would be the whole reply."""
    empty: list[Pointer] = [(kind, number) for kind, several in paths.items() for number, path in enumerate(several) if not pieces(path)]
    for pointer in empty:
        sentence = f"this names no field, so all of the reply would be `{pointer[0]}`"
        report.report(("reply", *pointer), "type.whole-reply", sentence, "name each field: a path such as esito or protocollo.numero")
    return not empty


def _fault(path: list[str], root: Any, forms: frozenset[str]) -> tuple[str, str] | None:
    """Why a path leads nowhere, with a hint; None when it leads somewhere."""
    if not path:
        return "it names no field", "a path such as richiedente.codice_fiscale or mappali[].foglio"
    here, way = [root], ""
    for position, piece in enumerate(path):
        if position == 1 and path[0] in forms:
            return f"another type says what is in `{path[0]}`", "declare it there"
        inner = [one for schema in here for one in _inner(schema, piece, root)]
        if not inner:
            if piece == "[]":
                return f"`{way}` is no list", f"without []: {way}"
            if any(True for schema in here for _ in _inner(schema, "[]", root)):
                return f"`{way}` is a list", f"did you mean {way}[].{piece}?"
            if not way and piece == "body" and _fault(path[1:], root, forms) is None:
                return "", f"a path begins within the body: {as_written(path[1:])}"
            known = {name for schema in here for part in _parts(schema, root) for name in part.get("properties", {})}
            return f"there is no field `{piece}` in `{way}`" if way else "", suggestion(piece, known)
        here, way = inner, f"{way}[]" if piece == "[]" else f"{way}.{piece}" if way else piece
    return None


def _inner(schema: Any, piece: str, root: Any) -> Iterator[Any]:
    """The schemas that a piece of a path leads to."""
    for part in _parts(schema, root):
        if piece == "[]":
            yield from part.get("prefixItems", ())
            if isinstance(part.get("items"), dict):
                yield part["items"]
        elif piece in part.get("properties", {}):
            yield part["properties"][piece]


def _parts(schema: Any, root: Any) -> Iterator[dict[str, Any]]:
    """A schema with its references followed, and all that it is put together from."""
    left, seen = [schema], set[int]()
    while left:
        here = left.pop()
        if not isinstance(here, dict) or id(here) in seen:
            continue
        seen.add(id(here))
        found = resolved(here, root)[0]
        if isinstance(found, dict):
            yield found
            left += [one for word in ("allOf", "anyOf", "oneOf") for one in (*found.get(word, ()), *here.get(word, ()))]
            left += [one[word] for one in (found, here) for word in ("if", "then", "else") if word in one]
