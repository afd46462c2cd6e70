"""Documents as pydantic models: what does not fit becomes findings in the words of their author."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from bus.faults import sentence_of
from bus.source.findings import Pointer, Reporter, nearest

M = TypeVar("M", bound=BaseModel)

_OTHERWISE = {
    "se": "when", "quando": "when", "altrimenti": "otherwise", "allora": "steps", "passi": "steps", "scadenza": "deadline", "con": "with",
    "tipo": "type", "titolo": "title", "rotta": "route", "versione": "version", "titolare": "owner", "scopo": "purpose", "chiave": "key",
    "caso": "case", "mittenti": "senders", "codici": "codes", "moduli": "forms", "come": "as", "mappatura": "mapping", "campi": "fields",
    "da": "from", "usa": "uses", "prove": "tests", "dati": "with", "motivo": "reason", "conta": "count", "raccogli": "collect",
    "scade": "deadline", "entro": "by", "fino_a": "by",
    "then": "steps", "do": "steps", "if": "when", "else": "otherwise", "default": "otherwise",
    **dict.fromkeys(("body", "params", "args", "request", "input", "parameters", "data"), "with"),
    **dict.fromkeys(("result", "into", "output", "register", "name"), "as"),
    **dict.fromkeys(("catch", "rescue", "on_failure", "on_fail", "errors"), "on_error"),
    "office": "ufficio", "type": "tipo", "kind": "tipo",
    "retries": "retry", "timeout": "deadline", "until": "by", "on_timeout": "on_deadline", "rollback": "undo",
}  # fmt: skip
"""What people write who know other notations, and the field that they mean."""
_ELSEWHERE = dict.fromkeys(
    ("otherwise", "else", "default", "altrimenti"), "what is done otherwise stands beside `choose`: `otherwise: [...]`"
)
"""Fields that stand at another place."""
_LISTED = frozenset({"on_error", "choose"})
"""Lists of which people write the one item alone."""


def validated(document: Any, model: type[M], report: Reporter, pointer: Pointer = ()) -> M | None:
    """A document as a pydantic model; what does not fit becomes findings ``field.unknown``, ``field.missing``, ``field.invalid``."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        faults = _joined([{**fault, "place": _place(fault, document)} for fault in error.errors(include_url=False)])
        _report_causes(faults, document, model, report, pointer)
        return None


def _report_causes(faults: Sequence[dict[str, Any]], document: Any, model: type[BaseModel], report: Reporter, pointer: Pointer) -> None:
    """Each cause once: nothing is missing besides where it is misspelt, or a step stands in the place of its clause."""
    unknown, missing = ([one["place"] for one in faults if one["type"] == type] for type in ("extra_forbidden", "missing"))
    strange, misspelt = {place[:-1] for place in unknown}, {(*place[:-1], _meant(place, model)) for place in unknown}
    bare = {place[:-1] for place in missing if place[-1] == "steps"} & {place[:-1] for place in unknown if place[-1] == "id"}
    for fault in faults:
        place, type = fault["place"], fault["type"]
        misplaced = place[-1:] == ("steps",) and place[:-1] in strange  # what they should hold stands where they should
        if place[:-1] in bare and type in ("missing", "extra_forbidden"):
            if place[-1] == "id":
                sentence, hint = "a step stands here, where its clause is missing", "write `- steps: [...]` around it"
                report.report((*pointer, *place[:-1]), "field.invalid", sentence, hint)
        elif type != "missing" or not (misplaced or place in misspelt):
            _report_fault(fault, model, report, pointer, _at(document, place[:-1]))


def meant_by(name: str, known: Collection[str]) -> str | None:
    """The known field that was probably meant by an unknown one."""
    meant = _OTHERWISE.get(name)
    return meant if meant in known else nearest(name, known)


def wrong_fields(document: Any, model: type[BaseModel]) -> set[str]:
    """The fields at the top that are wrong, missing or not known; the empty name where it is no map at all."""
    try:
        model.model_validate(document)
    except ValidationError as error:
        return {str(fault["loc"][0]) if fault["loc"] else "" for fault in error.errors(include_url=False)}
    return set()


def _place(fault: Any, document: Any) -> tuple[Any, ...]:
    """Where a fault is in the document: without what pydantic says of keys, and of which of several types it tried."""
    place: list[Any] = []
    here = document
    for piece in fault["loc"]:
        if (isinstance(here, list) and isinstance(piece, int) and piece < len(here)) or (isinstance(here, dict) and piece in here):
            here = here[piece]
        elif fault["type"] != "missing" or piece is not fault["loc"][-1]:
            continue
        place.append(piece)
    return tuple(place)


def _joined(faults: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A value that is none of several types is one fault, which names them all."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for fault in faults:
        said = sentence_of(fault)
        place = fault["place"]
        key = (place, len(found)) if len(fault["loc"]) == len(place) or fault["type"] in ("missing", "extra_forbidden") else (place,)
        if key in found:
            before, _, given = found[key]["sentence"].partition(", ")
            more = said.partition(", ")[0].removeprefix("must be ")
            found[key]["sentence"] = f"{before} or {more}" + (f", {given}" if given else "")
        else:
            found[key] = {**fault, "sentence": said}
    return list(found.values())


def _meant(unknown: Sequence[Any], model: type[BaseModel]) -> str | None:
    """The field that was probably meant by an unknown one at its place: if the field is missing, that is one mistake, not two."""
    return meant_by(str(unknown[-1]), _fields_at(model, unknown[:-1]))


def _at(document: Any, place: Sequence[Any]) -> Any:
    for piece in place:
        document = document[piece]
    return document


def _left_empty(around: Any, name: str, known: Collection[str]) -> str | None:
    """The field before an unknown one, if nothing is written there: what belongs under it may not be indented."""
    before = list(around)[: list(around).index(name)] if isinstance(around, dict) and name in around else []
    above = next((one for one in reversed(before) if one in known), None)
    return above if above is not None and around[above] is None else None


def _report_fault(fault: Any, model: type[BaseModel], report: Reporter, pointer: Pointer, around: Any) -> None:
    place = fault["place"]
    name = str(place[-1]) if place else ""
    if fault["type"] == "extra_forbidden":
        hint = _instead(name, _fields_at(model, place[:-1]), around)
        report.report((*pointer, *place), "field.unknown", f"there is no field `{name}` here", hint, key=True)
    elif fault["type"] == "missing":
        report.report((*pointer, *place[:-1]), "field.missing", f"the field `{name}` is missing", _described(model, place))
    else:
        label = f"item {place[-1] + 1} " if place and isinstance(place[-1], int) else f"`{name}` " if name else "this "
        hint = _fitting(fault, model)
        report.report((*pointer, *place), "field.invalid", f"{label}{fault['sentence']}", hint, key="[key]" in fault["loc"])


def _instead(name: str, known: Sequence[str], around: Any) -> str:
    """What to write in the place of an unknown field."""
    if meant := meant_by(name, [one for one in known if not isinstance(around, dict) or one not in around]):
        return f"did you mean {meant}?"
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    hint = "it takes " + ", ".join(known) if known else ""
    if set(known) == {"when", "steps"}:
        hint += "; what is done stands under `steps`, each step with an `id`"
    above = _left_empty(around, name, known)
    return f"does it belong to `{above}`? Then indent it; here {hint}" if above else hint


def _fitting(fault: Any, model: type[BaseModel]) -> str:
    """What a value should be that does not fit; empty where the sentence says what to mend."""
    last = fault["place"][-1] if fault["place"] else None
    if last in _LISTED and isinstance(fault.get("input"), dict):
        return "write `- ` before its first field: it is a list of clauses"
    of_all_in_it = fault["type"] == "value_error" and isinstance(fault["input"], dict | list | tuple)
    return _described(model, fault["place"]) if isinstance(last, str) and not of_all_in_it else ""


def _described(model: type[BaseModel], place: Sequence[Any]) -> str:
    owner = _model_at(model, place[:-1])
    for name, info in owner.model_fields.items() if owner else ():
        if place[-1] in {name, info.alias}:
            return info.description or ""
    return ""


def _fields_at(model: type[BaseModel], place: Sequence[Any]) -> list[str]:
    owner = _model_at(model, place)
    return [info.alias or name for name, info in owner.model_fields.items()] if owner else []


def _model_at(model: type[BaseModel] | None, place: Sequence[Any]) -> type[BaseModel] | None:
    """The model that describes a place inside a document."""
    for piece in place:
        if model is None:
            return None
        if isinstance(piece, int):
            continue
        found = next((info for name, info in model.model_fields.items() if piece in {name, info.alias}), None)
        model = _model_in(found.annotation) if found else model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for argument in get_args(annotation) if (inner := _model_in(argument))), None)
