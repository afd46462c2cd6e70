"""The reference pages of the rules: step kinds and files, from the models that read them (see `tools.reference`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel

from bus.mapping.model import MappingDocument, MappingTest
from bus.mapping.types import ReplyFields, TypeDocument
from bus.route.model import Arrival, Conduct, Dead, Expectation, File, Happening, RouteDocument, TestDocument
from bus.route.steps import KINDS
from bus.route.steps.common import ClauseModel, Duration, ExactDuration, LimitModel, RetryModel, Role, StepModel
from bus.services import Servizio, Tariffa
from tools.text import default_of, holds, link_to, row, sentence_of

EXAMPLES: dict[str, str] = {
    "call": """- id: richiedente
  call: anagrafe.cerca-soggetto
  with: {codice_fiscale: body.richiedente.codice_fiscale}
  timeout: 4s
  retry: {attempts: 3, wait: 1s}
  as: soggetto
  on_error:
    - when: error.kind == "unreachable"
      steps: [{id: da-verificare, set: {soggetto: {verificato: false}}}]""",
    "map": """- id: avviso
  map: edilizia.sollecito
  as: avviso""",
    "set": """- id: diritti
  set:
    importo: number(lookup("procedimenti-edilizi", body.procedimento, "importo"))
    causale: '"Diritti di segreteria, istanza " + body.istanza'""",
    "send": """- id: sollecita
  send: notifiche.avviso
  mapping: edilizia.sollecito""",
    "reply": """- id: rispondi
  reply:
    esito: "'registrata'"
    avviso: {$when: posizione != null, $value: posizione.numero_avviso}""",
    "wait": """- id: pagamento
  wait: pagopa.ricevuta
  case: iuv
  match: arrival.esito == "OK"
  deadline: 30d
  again: 1
  as: ricevuta
  on_deadline: [{id: sollecita, send: notifiche.avviso, mapping: edilizia.sollecito}]""",
    "gather": """- id: pareri
  gather: pareri.espresso
  count: size(body.enti)
  deadline: 45d
  as: pareri""",
    "choose": """- id: oneri
  choose:
    - when: importo > 0
      steps: [{id: dovuti, reply: {importo: importo}}]
  otherwise: [{id: gratuita, reply: {importo: 0}}]""",
    "each": """- id: enti
  each: body.enti
  item: ente
  steps:
    - id: trasmetti
      call: esterni.trasmetti-comunicazione
      with: {ente: ente, oggetto: body.oggetto, contenuto: {istanza: body.istanza}}
      as: ricevuta
  collect: ricevuta.ricevuta
  as: ricevute""",
    "parallel": """- id: insieme
  parallel:
    anagrafe: [{id: chi, call: anagrafe.cerca-soggetto, with: {codice_fiscale: body.codice_fiscale}, as: soggetto}]
    regolarita: [{id: durc, call: esterni.verifica-regolarita, with: {codice_fiscale: body.partita_iva}, as: durc}]""",
    "fail": """- id: richiedente-deceduto
  fail: pratica.richiedente-deceduto
  reason: "'il richiedente risulta deceduto'\"""",
}
"""One step of each kind; a test reads them as a route would."""


def steps() -> Iterator[str]:
    yield "# Steps\n"
    yield "The eleven kinds of steps of a route. Every step has one kind, and these fields:\n"
    yield from rule_fields(StepModel)
    for name, kind in KINDS.items():
        own = {field for field in kind.model_fields if field not in StepModel.model_fields}
        yield from ("", f"## {name}\n", sentence_of(kind), "", "```yaml", EXAMPLES[name].rstrip(), "```", "", *rule_fields(kind, own))
    for part in (ClauseModel, RetryModel, LimitModel):
        yield from ("", f"## {PARTS[part]}\n", sentence_of(part), "", *rule_fields(part))


def rules() -> Iterator[str]:
    yield "# Files of rules\n"
    yield "What each file of `routes/` and `mappings/` may hold. Unknown fields are refused."
    for model, title in FILES.items():
        yield from ("", f"## {title}\n", sentence_of(model), "", *rule_fields(model))


PARTS: dict[type[BaseModel], str] = {ClauseModel: "A clause", RetryModel: "retry", LimitModel: "limit"}
FILES: dict[type[BaseModel], str] = {
    RouteDocument: "A route: routes/**/*.yaml",
    MappingDocument: "A mapping: mappings/**/*.yaml",
    MappingTest: "A test of a mapping: an entry of tests in a mapping",
    TypeDocument: "A message type: mappings/types/*.yaml",
    ReplyFields: "Fields of replies to a message",
    Servizio: "A service: an entry of routes/servizi.yaml",
    Tariffa: "Fee of a service",
    TestDocument: "A test: an entry of tests in a route",
    Conduct: "Conduct of an operation in a test",
    Arrival: "Earlier message of a test",
    Happening: "Event of a test",
    File: "File of a test",
    Expectation: "Expectation of a test",
    Dead: "Dead, in what a test expects",
}


def rule_fields(model: type[BaseModel], only: set[str] | None = None) -> Iterator[str]:
    """The fields of a model, with what their values are in the words of the language."""
    hints = get_type_hints(model, include_extras=True)
    yield row("name", "holds", "default", "meaning")
    yield row("---", "---", "---", "---")
    for name, field in model.model_fields.items():
        if only is None or name in only:
            yield row(f"`{field.alias or name}`", holds(hints[name], _called, _word), default_of(field), field.description or "")


def _called(model: type[BaseModel]) -> str:
    title = (PARTS | FILES)[model]
    return link_to(title, title.partition(":")[0].lower())


def _word(mark: Any) -> str:
    """What a mark of an annotation says: ``expression``, ``steps``, ``duration`` ..."""
    return mark.name if isinstance(mark, Role) else next((word for known, word in DURATIONS if known == mark), "")


DURATIONS = tuple((get_args(kind)[1], word) for kind, word in ((Duration, "duration"), (ExactDuration, "duration in s, m, h or d")))
