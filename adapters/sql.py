"""The adapter ``sql``: named statements of a database, written in ``config.yaml``. What failures mean is `adapters.database`'s."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from adapters.database import REFUSALS, Database, DatabaseSettings, Row, parameters_of
from adapters.shapes import Configured, ConfiguredOperation, Shape, faults_of, shape_of
from bus.adapter import Call, Operation, Refused, Unreachable
from bus.message import canonical

_CAST = re.compile(r"(?<![:\w\\]):(\w+)::")
"""A parameter with a cast of PostgreSQL's behind it."""
_AS_JSON = re.compile(r"CAST\s*\(\s*:(\w+)\s+AS\s+jsonb?\s*\)", re.IGNORECASE)
"""A parameter that is taken as JSON."""
_COMMENTS = r"(?>\s|--[^\n]*\n|/\*.*?\*/)*+"
"""What may stand before a statement."""
_OF_THE_TRANSACTION = re.compile(
    _COMMENTS + r"(?:BEGIN|START\s+TRANSACTION|COMMIT|END|ROLLBACK|ABORT|PREPARE\s+TRANSACTION)\b", re.IGNORECASE | re.DOTALL
)
"""What would end the transaction before its answer is known to be good, or undo what is then said to be done."""
_COPY = re.compile(_COMMENTS + r"COPY\b", re.IGNORECASE | re.DOTALL)
"""Not a statement with rows but another protocol on the line, which nobody speaks here."""


class SqlOperation(ConfiguredOperation):
    """One named operation: statements run in one transaction; the rows of the last one make the answer.

    Parameters are ``:field`` of the request, and ``:call_key`` (our key); an object, or a list of them, comes as JSON text, as does each
    list that is taken so (``CAST(:field AS jsonb)``). ``keyed`` is a promise of whoever writes it: the
    statements leave one effect when they run twice (``INSERT ... ON CONFLICT (chiave) DO NOTHING``).
    """

    statements: tuple[str, ...] = Field(min_length=1, description="run in this order; the last one answers rows")
    request: Shape = Field(description="JSON Schema of an object")
    answer: Shape = Field(description="JSON Schema of an object: one row, or the field that takes them all")
    list_field: str | None = Field(None, description="the answer's field that takes all rows; without it the answer is the first row")
    none_found: str = Field("NON_TROVATO", description="code of the refusal when the last statement answers no row")


class ConfiguredSettings(DatabaseSettings):
    """Settings of the adapter ``sql``."""

    operations: dict[str, SqlOperation] = Field(min_length=1, description="what routes may call, by name")


class Sql(Configured):
    """A database described in ``config.yaml``: its operations exist per instance."""

    Settings = ConfiguredSettings

    def __init__(self, name: str, settings: ConfiguredSettings) -> None:
        super().__init__(name, settings)
        self._database = Database(settings)
        self._offer({name: _declared(name, declared) for name, declared in settings.operations.items()})

    def close(self) -> None:
        self._database.close()

    def check(self) -> Iterator[str]:
        """Has the request every field that its statements name, and the answer the list that takes all rows?"""
        for name, asked in self.settings.operations.items():
            if asked.list_field and "array" not in asked.answer.get("properties", {}).get(asked.list_field, {}).get("type", ()):
                yield f"operations.{name}.list_field: no list {asked.list_field} is said under `answer`"
            known = {"call_key", *asked.request.get("properties", {})}
            named = {parameter for statement in asked.statements for parameter in parameters_of(statement)}
            yield from (f"operations.{name}: a statement names :{one}, and the request has no such field" for one in sorted(named - known))
            if any(_OF_THE_TRANSACTION.match(statement) for statement in asked.statements):
                yield f"operations.{name}: all its statements are one transaction already: write no BEGIN, COMMIT or ROLLBACK"
            if any(_COPY.match(statement) for statement in asked.statements):
                yield f"operations.{name}: COPY gives no rows and takes none: write SELECT or INSERT"
            cast = {found for statement in asked.statements for found in _CAST.findall(statement)}
            yield from (f"operations.{name}: :{one}:: is not read as a parameter: write CAST(:{one} AS …)" for one in sorted(cast))

    def _ask(self, operation_name: str, request: BaseModel, ctx: Call) -> BaseModel:
        asked: SqlOperation = self.settings.operations[operation_name]
        declared = self.operations[operation_name]
        said, shapes = request.model_dump(mode="json", exclude_unset=True), asked.request.get("properties", {})
        in_json = {name for statement in asked.statements for name in _AS_JSON.findall(statement)}
        fields = {"call_key": ctx.key, **{name: self._bound(said.get(name), shape, name in in_json) for name, shape in shapes.items()}}
        with self._database.transaction(ctx, operation_name, read=asked.effect == "read") as transaction:
            *before, last = asked.statements
            for statement in before:
                transaction.run(operation_name, statement, fields)
            found = transaction.rows(operation_name, last, fields)
            return _answer_of(declared, asked, found)

    def _bound(self, value: Any, shape: Mapping[str, Any], in_json: bool) -> Any:
        """A field as the driver takes it: it has nothing for objects, and SQLite nothing for lists. An empty one is what its shape says."""
        if isinstance(value, list):
            objects = "object" in shape.get("items", {}).get("type", ()) or any(isinstance(one, dict) for one in value)
            return canonical(value).decode() if objects or in_json or self._database.is_sqlite else value
        return canonical(value).decode() if isinstance(value, dict) else value


def _answer_of(declared: Operation, asked: SqlOperation, found: Sequence[Row]) -> BaseModel:
    """The declared answer; rows of another shape, or that no record holds, undo the transaction, since nobody could use them."""
    if asked.list_field is None and not found:
        raise Refused(f"{declared.name}: no row", outside_code=asked.none_found)
    value = _said({asked.list_field: list(found)} if asked.list_field else found[0], asked.answer)
    try:
        answer = declared.answer.model_validate(value)
        canonical(answer.model_dump(mode="json"))
    except (ValidationError, TypeError) as error:
        why = faults_of(error) if isinstance(error, ValidationError) else f"{error}: let the answer be text"
        sentence = f"{declared.name}: the rows do not have the agreed shape: {why}"
        if asked.effect == "read":
            raise Unreachable(sentence, answered=True) from None
        raise Refused(sentence, outside_code="NON_ESEGUIBILE") from None
    return answer


def _said(value: Any, shape: Mapping[str, Any]) -> Any:
    """A value whose numbers are texts where the answer has texts: of a ``numeric`` 12 comes as a whole number, 12.50 as a text."""
    if isinstance(value, list):
        return [_said(one, shape.get("items", {})) for one in value]
    if isinstance(value, dict):
        return {name: _said(inner, shape.get("properties", {}).get(name, {})) for name, inner in value.items()}
    return str(value) if type(value) in (int, float) and "string" in shape.get("type", ()) else value


def _declared(name: str, asked: SqlOperation) -> Operation:
    """A field that takes all rows is always there, empty where there is none; a database that only reads refuses nothing else."""
    request = shape_of(f"{name}-request", asked.request, closed=True)
    always = [*asked.answer.get("required", ()), *([asked.list_field] if asked.list_field in asked.answer.get("properties", {}) else ())]
    answer = shape_of(f"{name}-answer", {**asked.answer, "required": always}, closed=False)
    none_found = {} if asked.list_field else {asked.none_found: "the last statement answered no row"}
    return asked.declared(name, request, answer, {**({} if asked.effect == "read" else REFUSALS), **none_found})
