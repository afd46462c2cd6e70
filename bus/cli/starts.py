"""The files that ``bus new`` begins with: commented, correct, with a test that passes. ``@NAME@`` and its like are put in."""

from __future__ import annotations

ROUTE = """\
# @ROUTE@: say in `purpose` what it is for; auditors read it.
# `bus validate` checks it, `bus test @FILE@` runs its tests. All steps: docs/reference/steps.md
route: @ROUTE@
version: 1
owner: ""                  # who answers for it: an e-mail address or an office
purpose: ""
on: @TYPE@
@KEY@steps:
  # A system is asked with `call`; its answer is kept under a name for the steps after it:
  #
  # - id: soggetto
  #   call: anagrafe.cerca-soggetto
  #   with: {codice_fiscale: body.richiedente.codice_fiscale}
  #   as: soggetto
  #   dead_on: any         # whatever it refuses with: a person looks at it; or say what to do in `on_error`
  #
  # Values are expressions, so a fixed text has two pairs of quotes.
  - id: rispondi
    reply: {esito: '"presa in carico"'}
tests:
  - name: whoever sends it is answered
    send: @BODY@
    expect: {state: done, reply: {esito: presa in carico}}
"""

TYPE = """\
# What the message says. Everything that the schema does not allow is refused at the door, with all faults at once.
type: @TYPE@
title: "@TITLE@"
case: {richiesta: body.richiesta}     # by which key the matter is known: bus case show richiesta:...
schema:
  type: object
  additionalProperties: false
  required: [richiesta]
  properties:
    richiesta: {type: string, minLength: 1, maxLength: 40, description: The sender's own number}
    note: {type: string, maxLength: 2000}
"""

MAPPING = """\
# @NAME@: from a message of @FROM@ to @TO@. A route uses it as `mapping: @NAME@`.
# `bus validate` checks it against both, `bus test @FILE@` runs its tests.
# Values are expressions on `body`; {$value: ..., $default: ...} says what stands where nothing is; lookup(table, key) reads a table.
# `uses: [name]` lets it read names of the route too, such as the answer of a step.
mapping: @NAME@
title: ""
from: @FROM@
to: @TO@
fields:
@FIELDS@
"""

MAPPING_TEST = """\
tests:
  - name: a message is translated
    given: {body: @BODY@}
    # what is made of it, as far as it is written here; `fails: a.field` instead: that field cannot be made
    expect: @MADE@
"""

SERVICE = """\

  # @TITLE@: @ABOUT@
  - codice: @CODE@
    titolo: @QUOTED@
    ufficio: @OFFICE@
@REST@
"""

SERVICE_TEST = """\
  - name: "@NAME@: the application reaches its office"
    but: {servizio: @CODE@}@THEN@
    expect:
      state: done
      calls: [protocollo.registra, @PAYING@{scrivania.assegna: {ufficio: @OFFICE@, servizio: @CODE@}}]
"""

ADAPTER = '''\
"""@CLASS@: say in one line what the system is and what we ask of it."""

from __future__ import annotations

from pydantic import Field

from adapters.rest import HTTP_REFUSALS, RestClient, RestSettings
from bus.adapter import Adapter, Call, Contract, Text, operation


class @CLASS@Settings(RestSettings):
    """Settings, as `config.yaml` says them; `url`, timeouts and certificates are those of every REST adapter."""

    chiave: Text = Field(description="API key of the bus, sent as X-Api-Key")


class Registrazione(Contract):
    """What we ask. Neutral names: the system's own words stay in this file."""

    riferimento: str = Field(min_length=1, max_length=120, description="Our reference")
    oggetto: str = Field(min_length=1, max_length=500)


class Registrata(Contract):
    """What we are answered."""

    numero: str


class @CLASS@(Adapter):
    """The system behind `POST /registrazioni`."""

    Settings = @CLASS@Settings

    def __init__(self, name: str, settings: @CLASS@Settings) -> None:
        super().__init__(name, settings)
        self._client = RestClient(settings, {"X-Api-Key": settings.chiave})

    def close(self) -> None:
        self._client.close()

    # The effect class is what the system promises, not what one hopes: read, keyed, queryable (with probe and settle), once.
    @operation(
        effect="keyed",
        timeout=10,
        settle=30,
        refusals={
            "NON_AMMESSA": "the system does not take such a thing",
            "CHIAVE_RIUSATA": "our key was used before with other content",
            **HTTP_REFUSALS,
        },
        echoes=frozenset({"CHIAVE_RIUSATA"}),
    )
    def registra(self, request: Registrazione, ctx: Call) -> Registrata:
        """Register something; the same key registers it once."""
        refusals = self.operations["registra"].refusals
        body = request.model_dump(exclude_none=True)
        reply = self._client.send(ctx, "keyed", "POST", "/registrazioni", body=body, expect=(200, 201), refusals=refusals, idempotent=True)
        return reply.model(Registrata, extra="ignore")
'''

SIMULATOR = '''\
"""A stand-in for the system: keeps what it was told in its ledger (kind ``registrazione``), and can be told to misbehave."""

from __future__ import annotations

import argparse

from adapters.simulator import Reply, Request, Simulator, main


class @CLASS@Simulato(Simulator):
    """The system behind `POST /registrazioni`."""

    name = "@NAME@"

    @classmethod
    def arguments(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--api-key", default="", help="the key callers must send; none asked when empty")

    def operation_of(self, request: Request) -> str:
        return "registra" if request.path == "/registrazioni" else super().operation_of(request)

    def refuse(self, request: Request, code: str) -> Reply:
        return Reply.problem(409 if code == "CHIAVE_RIUSATA" else 422, code)

    def handle(self, request: Request) -> Reply:
        if self.options.api_key and request.headers.get("x-api-key") != self.options.api_key:
            return Reply.problem(401, "NON_AUTENTICATO")
        if (request.method, request.path) != ("POST", "/registrazioni"):
            return Reply.problem(404, "NON_TROVATO")
        key = request.headers.get("idempotency-key", "")
        try:
            asked = request.json()
        except ValueError:
            return Reply.problem(400, "JSON_NON_VALIDO")
        if not key or not isinstance(asked, dict) or not asked.get("riferimento"):
            return Reply.problem(400, "RICHIESTA_NON_VALIDA")
        made, fresh = self.ledger.once("registrazione", key, {"richiesta": asked})
        if made["detail"]["richiesta"] != asked:
            return Reply.problem(409, "CHIAVE_RIUSATA")
        return Reply.json({"numero": f"R-{made['id']:06d}"}, 201 if fresh else 200)


if __name__ == "__main__":
    main(@CLASS@Simulato)
'''

CONTRACT = """\
openapi: 3.0.3
info:
  title: @CLASS@
  version: 1.0.0
  description: What the adapter `@NAME@` expects of the system. Our own text, with the system's names and types.
paths:
  /registrazioni:
    post:
      operationId: registra
      summary: Register something; the same Idempotency-Key registers it once.
      parameters:
        - {name: Idempotency-Key, in: header, required: true, schema: {type: string}}
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Registrazione"}}}
      responses:
        "201":
          description: Registered.
          content: {application/json: {schema: {$ref: "#/components/schemas/Registrata"}}}
        "422":
          description: Not taken; `code` says why.
components:
  schemas:
    Registrazione:
      type: object
      required: [riferimento, oggetto]
      properties:
        riferimento: {type: string, minLength: 1, maxLength: 120}
        oggetto: {type: string, minLength: 1, maxLength: 500}
    Registrata:
      type: object
      required: [numero]
      properties:
        numero: {type: string}
"""

README = """\
# @NAME@

Say what the system is, and who runs it. Contract: `contract/@NAME@.yaml`.

| operation | effect | why |
|---|---|---|
| `@NAME@.registra` | `keyed` | takes our `Idempotency-Key` |

| setting | meaning |
|---|---|
| `url` | base address |
| `chiave` | API key of the bus, sent as `X-Api-Key` |

| refusal | meaning |
|---|---|
| `NON_AMMESSA` | the system does not take such a thing |
| `CHIAVE_RIUSATA` | our key was used before with other content |

Simulator: `python -m @PACKAGE@.simulator --folder DIR [--api-key KEY]`; ledger kind `registrazione`.
"""

TEST = '''\
"""The adapter @NAME@ against its simulator: the suite that every adapter passes. Run it with `python -m pytest @TEST@`."""

from @PACKAGE@.adapter import @CLASS@
from bus.testing.adapter_contract import AdapterContract, Example, call

RICHIESTA = {"riferimento": "prova-{unico}", "oggetto": "Una prova"}


class Test@CLASS@(AdapterContract):
    adapter_class = @CLASS@
    module = "@PACKAGE@.simulator"
    arguments = ("--api-key", "segreto-di-prova")
    secrets = ("segreto-di-prova",)
    examples = (Example("registra", RICHIESTA, effect_kind="registrazione", refusal="NON_AMMESSA", operation_match="registra"),)

    @classmethod
    def settings(cls, url, facts):
        return {"url": url, "chiave": "segreto-di-prova"}

    def test_a_number_is_given(self, adapter):
        answer, _ = call(adapter, "registra", RICHIESTA)
        assert answer.numero.startswith("R-")
'''


def filled(text: str, **values: str) -> str:
    """A start with its values put in."""
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", value)
    return text
