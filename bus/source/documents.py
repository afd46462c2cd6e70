"""Documents as pydantic models: what does not fit becomes findings in the words of their author."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from bus.faults import sentence_of
from bus.source.findings import Pointer, Reporter, suggestion

M = TypeVar("M", bound=BaseModel)


def validated(document: Any, model: type[M], report: Reporter, pointer: Pointer = ()) -> M | None:
    """A document as a pydantic model; what does not fit becomes findings ``field.unknown``, ``field.missing``, ``field.invalid``."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        faults = _joined([{**fault, "place": _place(fault, document)} for fault in error.errors(include_url=False)])
        misspelt = {(fault["place"][:-1], meant) for fault in faults if (meant := _meant(fault, model, fault["place"]))}
        strange = {fault["place"][:-1] for fault in faults if fault["type"] == "extra_forbidden"}
        for fault in faults:
            place = fault["place"]
            if fault["type"] == "missing":
                misplaced = place[-1] == "steps" and place[:-1] in strange  # what they should hold stands where they should
                if misplaced or (place[:-1], f"did you mean {place[-1]}?") in misspelt:
                    continue
            _report_fault(fault, model, report, pointer)
        return None


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


def _meant(fault: Any, model: type[BaseModel], place: tuple[Any, ...]) -> str:
    """The hint of an unknown field: a field that is missing because its name is misspelt is one mistake, not two."""
    return suggestion(str(place[-1]), _fields_at(model, place[:-1])) if fault["type"] == "extra_forbidden" else ""


def _report_fault(fault: Any, model: type[BaseModel], report: Reporter, pointer: Pointer) -> None:
    place = fault["place"]
    name = str(place[-1]) if place else ""
    known = _fields_at(model, place[:-1])
    if fault["type"] == "extra_forbidden":
        hint = suggestion(name, known) or ("it takes " + ", ".join(known) if known else "")
        report.report((*pointer, *place), "field.unknown", f"there is no field `{name}` here", hint, key=True)
    elif fault["type"] == "missing":
        report.report((*pointer, *place[:-1]), "field.missing", f"the field `{name}` is missing", _described(model, place))
    else:
        last = place[-1] if place else None
        label = f"item {last + 1} " if isinstance(last, int) else f"`{name}` " if name else "this "
        hint = _described(model, place) if isinstance(last, str) else ""
        report.report((*pointer, *place), "field.invalid", f"{label}{fault['sentence']}", hint, key="[key]" in fault["loc"])


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
