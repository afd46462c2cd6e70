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
        faults = error.errors(include_url=False)
        misspelt = {(place[:-1], meant) for fault in faults if (place := _place(fault)) and (meant := _meant(fault, model, place))}
        for fault in faults:
            if not (fault["type"] == "missing" and (fault["loc"][:-1], f"did you mean {fault['loc'][-1]}?") in misspelt):
                _report_fault(fault, model, report, pointer)
        return None


def _place(fault: Any) -> tuple[Any, ...]:
    return tuple(piece for piece in fault["loc"] if piece != "[key]")


def _meant(fault: Any, model: type[BaseModel], place: tuple[Any, ...]) -> str:
    """The hint of an unknown field: a field that is missing because its name is misspelt is one mistake, not two."""
    return suggestion(str(place[-1]), _fields_at(model, place[:-1])) if fault["type"] == "extra_forbidden" else ""


def _report_fault(fault: Any, model: type[BaseModel], report: Reporter, pointer: Pointer) -> None:
    place = _place(fault)
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
        report.report((*pointer, *place), "field.invalid", f"{label}{sentence_of(fault)}", hint, key="[key]" in fault["loc"])


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
