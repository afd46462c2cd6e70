"""What a mapping file says (mappings/<office>/*.yaml)::

    mapping: edilizia.diritti-a-posizione
    from: edilizia.pratica.presentata        # the type of `body`
    to: pagopa.crea-posizione                # an operation or a message type
    uses: [soggetto, protocollo]             # names of the route's scope it may read beside body
    fields:
      debitore: {codice_fiscale: body.richiedente.codice_fiscale}
      importo: body.importo_diritti
    given: {body: {...}, importo: 5000}      # what the tests have in common
    tests:
      - name: who pays is named in full
        expect: {debitore: {denominazione: Anna Bianchi}}
      - name: nobody pays without a codice fiscale
        but: {richiedente: {codice_fiscale: null}}
        fails: debitore.codice_fiscale

Its values follow `bus.mapping.template`. Tests, and what they share, are no part of the rules: they change no digest.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$"
"""The name of a route, mapping or type: an office, then what it is."""


class MappingDocument(BaseModel):
    """A mapping, as its file says it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    mapping: str = Field(pattern=NAME, max_length=120, description="Name of the mapping, such as edilizia.pratica-a-segnatura")
    title: str = Field(default="", description="One line on what it translates")
    from_: str = Field(alias="from", description="Message type of `body`")
    to: str = Field(description="Operation or message type that it makes")
    uses: list[str] = Field(default_factory=list, description="Names of the route's scope that it reads beside body, message, case and now")
    fields: dict[str, Any] = Field(min_length=1, description="Target fields: strings are expressions, other scalars literals")
    given: dict[str, Any] = Field(default_factory=dict, description="What the tests have in common; each may say otherwise")
    tests: list[dict[str, Any]] = Field(default_factory=list, description="Tests of the mapping, without any route")


class MappingTest(BaseModel):
    """One test of a mapping: what it is given, and what it makes of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(min_length=1, description="A sentence that says what must hold")
    given: dict[str, Any] = Field(default_factory=dict, description="Values by name: `body`, those of `uses`, `message`, `case`, `now`")
    but: dict[str, Any] | None = Field(default=None, description="Changes to the body; null takes a field away")
    expect: Any = Field(default=None, description="What is made; it need only hold what is written. null: the field is not there")
    fails: str | None = Field(
        default=None, min_length=1, description="Field that cannot be made, or that the target does not take, such as debitore.email"
    )
