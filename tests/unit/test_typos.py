"""What a sysadmin mistypes most, in a route that ships: told once, at its line, with what to write instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bus.cli.rules import offered
from bus.config import load
from bus.examine import examine
from bus.rulefiles import files_of

ROOT = Path(__file__).parents[2]
ROUTE = "routes/edilizia/presenta-pratica.yaml"
NO_KEY = ("this line is no `key: value`", "a colon and a blank stand after the key")
DEAD = "motivo: \"'Il richiedente risulta deceduto'\""
CASES = [
    ("    call: anagrafe.cerca-soggetto", "    call anagrafe.cerca-soggetto", *NO_KEY),
    ("    as: soggetto", "    as:soggetto", *NO_KEY),
    ("    with: {codice_fiscale", "   with: {codice_fiscale", "does not fit what is above", "starts in the same column"),
    ("  - id: in-vita", "    id: in-vita", "`id` was already written on line 11", "write `- ` before it"),
    ("  - id: in-vita", "  -id: in-vita", "a blank is missing after the dash", "write `- `"),
    ("body.richiedente.codice_fiscale}", "body.richiedente.codice_fiscale", "`{` is not closed", "write `}` where it ends"),
    ("istanza \" + body.istanza'", 'istanza " + body.istanza', "a quote is not closed", "write ' where the text ends"),
    ("    call: anagrafe", "\tcall: anagrafe", "a tab in the indentation", "indent with spaces"),
    ("purpose: Presentation", "purpose: SUE: presentation", "a colon starts a second value here", "in quotes"),
    ("owner: sue@", "owner: @sue", "`@` cannot start a value", "in quotes"),
    ("esito: \"'respinta'\"", "esito: “respinta”", "unexpected `“`", "straight quotes"),
    ("esito: \"'respinta'\"", "esito: respinta", "there is no `respinta` here", "quotes of its own: '\"respinta\"'"),
    (DEAD, "motivo: Il richiedente risulta deceduto", "unexpected `richiedente`", "quotes of its own"),
    (DEAD, "motivo: \"'L'istanza'\"", "unexpected `istanza`", "an apostrophe ends a text"),
    (DEAD, "motivo: \"'prima dell''inizio'\"", "unexpected `'inizio'`", "an apostrophe ends a text"),
    ("when: importo > 0", "when: importo > 0 and registrato", "unexpected `and`", "write &&"),
    ('error.code == "CF_ERRATO"', 'error.code == "CF_ERRATO" or true', "unexpected `or`", "write ||"),
    ("SUE, istanza \" + body.istanza'", "SUE, istanza \" . body.istanza'", "a text has no fields", "+ joins texts"),
    ("$value: posizione.scadenza", "$value: now + 30d", "unexpected `d`", 'date_add(date_of(now), "30d")'),
    ("    retry: {attempts: 3", "    timeout: 500ms\n    retry: {attempts: 3", "such as 30s, 15m, 2h, 2d", "Longest wait"),
    ("when: importo > 0", "when: if importo > 0", "`if` is a reserved word", "the condition alone"),
    ("when: importo > 0", "when: importo > 0,50", "unexpected `,`", "with a point"),
    ('error.code == "CF_ERRATO"', 'error.code = "CF_ERRATO"', "unexpected `=`", "write == to compare"),
    ("SUE, istanza \" + body.istanza'", "SUE, \" + text(importo)'", "there is no `importo` here", "this very step gives it"),
    (
        "$value: posizione.scadenza",
        "$value: posizione.scadenza + 30",
        "does not move posizione.scadenza",
        'date_add(posizione.scadenza, "30d")',
    ),
    ("importo: ricevuta.importo,", "importo: 15.00,", "`importo` is integer, not number", "whole cents"),
    ("registrato: true", "registrato: vero", "there is no `vero` here", "write true"),
    ("anagrafe.cerca-soggetto", "anagrafe.cerca-sogetto", "no operation `anagrafe.cerca-sogetto`", "did you mean anagrafe.cerca-soggetto?"),
    ("anagrafe.cerca-soggetto", "tributi.cerca-soggetto", "no operation `tributi.cerca-soggetto`", "no adapter is called `tributi`: under"),
    ("with: {codice_fiscale:", "with: {cf:", "no field `cf`", "did you mean codice_fiscale?"),
    ("    retry: {attempts: 3", "    retri: {attempts: 3", "there is no field `retri` here", "did you mean retry?"),
    ("route: edilizia", "Route: edilizia", "there is no field `Route` here", "did you mean route?"),
    ("    deadline: 30d\n", "    deadline: posizione.scadenza\n", "stands under `by`", "such as 30d"),
    (
        "    as: ricevuta\n    again",
        "    until: posizione.scadenza\n    as: ricevuta\n    again",
        "there is no field `until` here",
        "did you mean by?",
    ),
    (
        "      - steps:\n          - id: da-verificare",
        "      - otherwise:\n          - id: da-verificare",
        "there is no field `otherwise` here",
        "stands beside `choose`",
    ),
    (
        "        steps:\n          - id: respingi-codice",
        "        fail: a.b\n        steps:\n          - id: respingi-codice",
        "there is no field `fail` here",
        "stands under `steps`",
    ),
    ("      esito: \"'registrata'\"", "      esito:\"'registrata'\"", *NO_KEY),
    ("when: importo > 0", "when: has(importo)", "has() takes a field", "whether a name has a value: importo != null"),
    ("when: importo > 0", "when: importo > ceil(1.5)", "there is no function `ceil`", "write math.ceil(x)"),
    (
        "when: importo > 0",
        "when: date_of(now) > 2026-01-01",
        "cannot be applied to (a text, a whole number)",
        'quotes of its own: "2026-01-01"',
    ),
    ("when: importo > 0", "when: date_of(now) - body.istanza > 0", "cannot be applied to (a text, anything)", "days_between(start, end)"),
    ("$value: posizione.scadenza", "$value: posizione.scadenza - 7d", "unexpected `d`", 'date_add(date_of(now), "-7d")'),
    ("$value: posizione.scadenza", '$value: posizione.get("scadenza")', "there is no function `get`", "write x[key] for a map"),
    (DEAD, "motivo: \"'Il richiedente', body.istanza\"", "unexpected `,`", "+ joins texts"),
    ("$value: posizione.scadenza", "$value: posizione?.scadenza.orValue(1)", "the expression ends too early", "posizione.?scadenza"),
    ("SUE, istanza \" + body.istanza'", "SUE, istanza \" + [body.istanza]'", "cannot be applied to (a text, a list)", "list + [x]"),
    ("wait: 1s}", "wait: 1 s}", "'1 s' is not a duration", "such as 5s"),
    ("{codice_fiscale: body", "{pippo: now, codice_fiscale: body", "has no field `pippo`", "it has codice_fiscale"),
    ("    as: soggetto", "    as: soggettò", "`soggettò` is not a name", "write soggetto"),
    ("{codice_fiscale: body", "{codice_fiscale:body", "a blank is missing after the colon", "write `codice_fiscale: …`"),
    ("SUE, istanza \" + body.istanza'", "SUE, istanza \" & body.istanza'", "unexpected `&`", "+ to join texts"),
    (
        "$value: posizione.scadenza",
        '$value: body.istanza.orValue("")',
        "`orValue` cannot be applied to (a text, a text)",
        "x.?y.orValue(…)",
    ),
    ("when: importo > 0", 'when: days(now, "2026-01-01") > 0', "there is no function `days`", "days_between(start, end)"),
]


@pytest.fixture(scope="module")
def world():
    return files_of(ROOT), offered(load(ROOT / "config.yaml", secrets=False))


def test_a_field_that_is_not_indented_below_an_empty_one_is_told_where_it_stands_with_what_to_do(world):
    files, operations = world
    flat = (
        files[ROUTE]
        .decode()
        .replace("    with: {codice_fiscale: body.richiedente.codice_fiscale}", "    with:\n    codice_fiscale: body.x", 1)
    )
    [found] = examine({**files, ROUTE: flat.encode()}, operations)[1]
    assert (found.line, found.hint.partition("; ")[0]) == (
        flat[: flat.index("codice_fiscale: body.x")].count("\n") + 1,
        "does it belong to `with`? Then indent it",
    )


def test_a_key_that_the_message_has_and_the_route_does_not_say_is_to_be_written_at_its_top(world):
    files, operations = world
    text = files[ROUTE].decode().replace("\ncase: {istanza: body.istanza}", "", 1).replace("    case: iuv", "    case: istanza", 1)
    [found] = [one for one in examine({**files, ROUTE: text.encode()}, operations)[1] if one.code == "case.unknown-key"]
    assert found.hint == "the message has it: write `case: {istanza: body.istanza}` at the top of the route"


@pytest.mark.parametrize(("written", "typo", "sentence", "hint"), CASES, ids=[case[1].strip() for case in CASES])
def test_a_typo_is_one_finding_at_its_line_that_says_what_to_write(world, written, typo, sentence, hint):
    files, operations = world
    text = files[ROUTE].decode()
    assert written in text
    catalog, findings = examine({**files, ROUTE: text.replace(written, typo, 1).encode()}, operations)
    assert catalog is None
    assert len(findings) == 1, [str(one) for one in findings]
    [found] = findings
    assert (found.file, found.line) == (ROUTE, text[: text.index(written)].count("\n") + 1)
    assert sentence in found.sentence
    assert hint in found.hint


def test_a_field_that_holds_nothing_is_told_where_it_stands(world):
    """Passed over in silence, its name would be missed further down, where nothing is wrong."""
    files, operations = world
    text = files[ROUTE].decode().replace("    as: soggetto\n", "    as:\n", 1)
    _, findings = examine({**files, ROUTE: text.encode()}, operations)
    assert (findings[0].code, findings[0].sentence) == ("field.invalid", "`as` says nothing")


ELSEWHERE = [
    ("mappings/types/servizi.modulo-minore.yaml", "type: servizi.modulo-minore", "type: {a: 1}", 1, "must be a text"),
    ("mappings/types/servizi.modulo-impresa.yaml", "additionalProperties", "aditionalProperties", 6, "no keyword of JSON Schema"),
    ("mappings/types/servizi.modulo-contributo.yaml", "  properties:", "  Properties:", 8, "no keyword of JSON Schema"),
    ("mappings/types/servizi.modulo-contributo.yaml", "  properties:", "  properties:\n  x-y:", 9, "no keyword of JSON Schema"),
    (
        "mappings/types/notifiche.avviso.yaml",
        "      required: [numero_avviso",
        "<<<<<<< HEAD\n      required: [numero_avviso",
        20,
        "no `key: value`",
    ),
    ("mappings/types/notifiche.avviso.yaml", "title: A citizen", 'title: "A citizen', 2, "a quote is not closed"),
    ("mappings/edilizia/presa-in-carico.yaml", "to: notifiche.avviso", "to: notifiche.aviso", 3, "no operation or message type"),
    ("mappings/edilizia/sollecito.yaml", "\nto:", "\n---\nto:", 3, "a second document starts here"),
    ("mappings/tables/uffici.csv", "\nanagrafe,", "\n#\nanagrafe,", 2, "the row has 1 value,"),
    ("mappings/tables/uffici.csv", "\nanagrafe,", "\nanagrafe ,", 2, "a blank stands beside the key `anagrafe`"),
    ("mappings/tables/procedimenti-edilizi.csv", "\nSCIA,", "\n\tSCIA,", None, "a blank stands beside the key `SCIA`"),
    ("routes/pagamenti/ricevuta.yaml", "  messages:", "  messgaes:", 49, "there is no operation `messgaes`"),
    ("mappings/edilizia/presa-in-carico.yaml", "  oggetto: '", "  oggetto:'", 8, "a blank is missing after the colon"),
    ("mappings/edilizia/presa-in-carico.yaml", "  oggetto: '", "\u00a0 oggetto: '", 8, "this is no plain blank (U+00A0)"),
    ("routes/pagamenti/ricevuta.yaml", "\n    choose:", "\n   \u00a0choose:", 24, "this is no plain blank (U+00A0)"),
    (
        "routes/edilizia/presenta-pratica.yaml",
        "      oggetto: ",
        "      <<: {a: 1}\n      oggetto: ",
        None,
        "a merge key (<<) is not taken",
    ),
    ("routes/pagamenti/ricevuta.yaml", "\nsteps:", "\u2028\nsteps:", None, "a line ends here that nobody sees (U+2028)"),
]


@pytest.mark.parametrize(
    ("file", "written", "typo", "line", "sentence"), ELSEWHERE, ids=[f"{one[0]} {one[2].strip()}" for one in ELSEWHERE]
)
def test_a_typo_in_a_file_that_others_speak_of_is_told_once_and_there(world, file, written, typo, line, sentence):
    files, operations = world
    text = files[file].decode()
    assert written in text
    catalog, findings = examine({**files, file: text.replace(written, typo, 1).encode()}, operations)
    assert catalog is None
    assert [file] == [one.file for one in findings], [str(one) for one in findings]
    [found] = findings
    assert line in (None, found.line)
    assert sentence in found.sentence


def test_a_schema_whose_properties_are_empty_is_told_and_nothing_falls(world):
    files, operations = world
    for file in (name for name in files if name.startswith("mappings/types/")):
        text = files[file].decode()
        catalog, findings = examine({**files, file: text.replace("  properties:", "  properties:\n  minLength:", 1).encode()}, operations)
        assert catalog is None
        assert {file} == {one.file for one in findings}


def test_a_misspelt_name_for_an_answer_is_one_finding_in_every_route(world):
    files, operations = world
    for path in sorted(name for name in files if name.startswith("routes/")):
        text = files[path].decode()
        for given in re.finditer(r"\bas: (\w{3,})", text.partition("\ntests:")[0]):
            middle = (given.start(1) + given.end(1)) // 2
            _, findings = examine({**files, path: (text[:middle] + text[middle + 1 :]).encode()}, operations)
            assert len(findings) == 1, (path, given.group(1), [str(one) for one in findings])


ELSEWHERE = [
    ("routes/anagrafe/certificato.yaml", "\ngiven:", "\ngien:", "field.unknown", "did you mean given?"),
    ("routes/sito/catalogo.yaml", "\ngiven:", "\ngien:", "field.unknown", "did you mean given?"),
    ("routes/notifiche/avviso.yaml", "    notifiche.avviso:", "    notiiche.avviso:", "type.unknown", "did you mean notifiche.avviso?"),
    ("routes/servizi/istanza-generica.yaml", "      richiedente: {", "      richiednte: {", "test.body", ""),
    ("routes/anagrafe/certificato.yaml", '"refused"', '"refsed"', "path.not-in-enumeration", "did you mean refused?"),
    ("routes/servizi/istanza-generica.yaml", "when: servizio.tariffa", "when: servizio.tarifa", "path.unknown-field", "did you mean tariffa?"),
    ("routes/anagrafe/certificato.yaml", "$value", "$vaue", "template.unknown-directive", "did you mean $value?"),
    ("mappings/edilizia/pratica-a-fascicolo.yaml", "body.?indirizzo.", "boy.?indirizzo.", "name.undefined", "did you mean body?"),
    ("routes/servizi/istanza-generica.yaml", "match: arrival.esito", "match: body.esito", "path.unknown-field", "arrival`: arrival.esito"),
    ("mappings/edilizia/presa-in-carico.yaml", "uses: [fascicolo]\n", "", "name.undefined", "a name of the route is read where `uses` lists it"),
    ("mappings/types/servizi.modulo-semplice.yaml", "type: servizi.modulo", "type: servizi.moulo", "service.unknown-form", "and 12 more places)"),
    ("mappings/types/anagrafe.certificato.richiesto.yaml", "esito", "esto", "reply.undeclared", "(also at 50:15, 61:21, 89:15"),
]  # fmt: skip


def test_a_mapping_for_a_system_that_the_settings_do_not_name_says_so(world):
    """An adapter that was written and not named yet: no operation of another system was meant."""
    files, operations = world
    mapping = b"mapping: prova.registra\nfrom: servizi.istanza.presentata\nto: %s\nfields: {oggetto: body.servizio}\n"
    for to, hint in ((b"tributi.registra", "no adapter is called `tributi`"), (b"protocolo.registra", "did you mean protocollo.registra?")):
        _, [finding] = examine({**files, "mappings/prova.yaml": mapping % to}, operations)
        assert ("mapping.unknown-target", True) == (finding.code, finding.hint.startswith(hint)), str(finding)
    _, [finding] = examine({**files, "mappings/prova.yaml": mapping % b"zz"}, operations)
    assert ("mapping.unknown-target", "") == (finding.code, finding.hint)


@pytest.mark.parametrize(("path", "written", "typo", "code", "hint"), ELSEWHERE, ids=[f"{one[0]} {one[2].strip()}" for one in ELSEWHERE])
def test_a_typo_that_shows_in_many_places_is_one_finding(world, path, written, typo, code, hint):
    files, operations = world
    text = files[path].decode()
    assert written in text
    _, findings = examine({**files, path: text.replace(written, typo, 1).encode()}, operations)
    assert [one.code for one in findings] == [code], [str(one) for one in findings]
    assert hint in findings[0].hint
