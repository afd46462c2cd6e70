"""What a mapping file says (mappings/<office>/*.yaml)::

    mapping: edilizia.diritti-a-posizione
    from: edilizia.pratica.presentata        # the type of `body`
    to: pagopa.crea-posizione                # an operation or a message type
    uses: [soggetto, protocollo]             # names of the route's scope it may read beside body
    fields:
      debitore: {codice_fiscale: body.richiedente.codice_fiscale}
      importo: body.importo_diritti

Its values follow `bus.mapping.template`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[a-z][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)+$"


class MappingDocument(BaseModel):
    """A mapping, as its file says it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    mapping: str = Field(pattern=NAME, max_length=120, description="Name of the mapping, such as edilizia.pratica-a-segnatura")
    title: str = Field(default="", description="One line on what it translates")
    from_: str = Field(alias="from", description="Message type of `body`")
    to: str = Field(description="Operation or message type that it makes")
    uses: list[str] = Field(default_factory=list, description="Names of the route's scope that it reads beside body, message, case and now")
    fields: dict[str, Any] = Field(min_length=1, description="Target fields: strings are expressions, other scalars literals")
