"""Every finding code: what it means, an example that gives it, and what to do.

``bus explain CODE`` and docs/reference/findings.md say this.

Add a code here before using it: a test compares the table with the code and with the page.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One code: a sentence, an example (YAML, CSV or an expression) and the cure."""

    meaning: str
    example: str
    cure: str


CODES: dict[str, Code] = {
    # --- the notation
    "yaml.alias": Code("An alias (`*name`) repeats a value from elsewhere; aliases are not taken.", "b: *uno", "Write the value out."),
    "yaml.anchor": Code(
        "An anchor (`&name`) marks a value to repeat; anchors are not taken.", "a: &uno 1", "Write the value where it is needed."
    ),
    "yaml.byte-order-mark": Code(
        "The file starts with an invisible byte order mark.", "(first bytes EF BB BF)", "Save it as UTF-8 without BOM."
    ),
    "yaml.control-character": Code(
        "The file holds a control character.", "a: x(BEL)", "Delete it, or write it as an escape in double quotes."
    ),
    "yaml.documents": Code("A file holds one document; `---` starts a second one.", "a: 1\n---\nb: 2", "Use one file for each."),
    "yaml.duplicate-key": Code("The same key is written twice in one map; one would silently win.", "a: 1\na: 2", "Keep one."),
    "yaml.empty": Code("The file says nothing.", "# only a comment", "Write the document, or delete the file."),
    "yaml.encoding": Code("The file is not UTF-8.", "a: caff(E8)", "Save it as UTF-8."),
    "yaml.key": Code("A key is a number, a null or a list; keys are text.", "1: a", 'Put it in quotes: `"1": a`.'),
    "yaml.leading-zero": Code(
        "A value looks like a number with a leading zero: it may be a code, whose zeros count.",
        "cap: 00118",
        'Put it in quotes: `cap: "00118"`.',
    ),
    "yaml.long-number": Code(
        "A value looks like a number with more than 15 digits: surely a code.", "avviso: 302001234567890123", "Put it in quotes."
    ),
    "yaml.merge": Code("A merge key (`<<`) is not taken.", "<<: {a: 1}", "Write the fields out."),
    "yaml.not-finite": Code("`.inf` and `.nan` are numbers without a value.", "a: .nan", "Put it in quotes if it is text."),
    "yaml.odd-number": Code(
        "YAML reads the value as a number and its author perhaps does not.",
        "telefono: +39055123",
        "Put it in quotes, or write plain digits.",
    ),
    "yaml.syntax": Code(
        "The text is not YAML.", "owner: ufficio: tecnico", "See the sentence; often a quote, a bracket or the indentation."
    ),
    "yaml.tab": Code("A tab stands in the indentation.", "(tab)a: 1", "Indent with spaces."),
    "yaml.tag": Code("A tag (`!!int`) forces a type; tags are not taken.", "a: !!str 1", "Write the value as it is meant."),
    "yaml.too-deep": Code("More than 40 levels stand within one another.", "[[[[...]]]]", "Make it flatter."),
    "yaml.too-large": Code("The file is larger than 1 MB.", "(1,000,001 bytes)", "Split it."),
    # --- documents
    "catalog.misplaced": Code(
        "The file says to be something else than what is read from its folder.",
        "# routes/pareri/parere.yaml\ntype: pareri.parere",
        "Put it where its kind is read: `routes/`, `mappings/`, `mappings/types/`, and tests of a route beside it.",
    ),
    "catalog.not-read": Code(
        "The file looks like rules, and is not read for how it is called or where it is, or it is a link to a folder or to nothing: "
        "what it says is not in force.",
        "(routes/pareri/parere.yml)",
        "Call it `.yaml`, a table `.csv`; types and tables stand in their folders without further ones; link files, not folders. "
        "Delete it if it is not meant.",
    ),
    "catalog.no-routes": Code(
        "The folder of rules has no folder `routes`; or what is to be activated has no route, and there are some in force.",
        "bus validate /tmp",
        "Point to the right folder; look whether its disk is mounted. In a new one `bus new route` begins the first route.",
    ),
    "catalog.not-a-map": Code("The file holds a list or a single value, not fields.", "- route: x", "Start with the fields."),
    "field.unknown": Code(
        "There is no such field at this place.", "onwer: sue@comune.example", "Correct its name; the reference lists the fields."
    ),
    "field.missing": Code("A field that must be there is not.", "route: a.b   # no version", "Add it."),
    "field.invalid": Code(
        "The value is not one that the field takes.", "deadline: 30 giorni", "Write what the sentence says, such as `30d`."
    ),
    # --- steps
    "step.unknown-kind": Code(
        "The step has none of the eleven kinds.",
        "- {id: a, cal: x.y}",
        "Use call, map, set, send, reply, wait, gather, choose, each, parallel or fail.",
    ),
    "step.two-kinds": Code("The step has two kinds.", "- {id: a, reply: {}, set: {b: 1}}", "Make two steps of it."),
    "step.two-bodies": Code("Both `with` and `mapping` say the request.", "- {id: a, call: x.y, with: {}, mapping: m.n}", "Keep one."),
    "each.forgets": Code(
        "A step within an `each` gives another value to a name from before. With the next item, and after the last one, the name has its"
        " first value again.",
        "each: body.righe, steps: [{id: somma, set: {totale: totale + item.importo}}]   # and after it: totale",
        "Keep something of each item with `collect` and `as`, and read that list (`sum(importi)`); or choose another name.",
    ),
    "each.keeps-nothing": Code(
        "An `each` names a list with `as` and has no `collect`: the list is always empty.",
        "- {id: righe, each: body.righe, steps: [...], as: esiti}",
        "Say in `collect` what to keep of each item, or leave `as` out.",
    ),
    "step.duplicate-id": Code(
        "Two steps of the route have the same id.",
        "- {id: a, reply: {}}\n- {id: a, reply: {}}",
        "Ids are unique in the whole route, nested steps too.",
    ),
    "step.unreachable": Code(
        "The step can never run: all ways to it have ended, or no condition leads there.",
        "- {id: a, fail: x.y}\n- {id: b, reply: {}}",
        "Move or delete it.",
    ),
    "route.duplicate": Code("Two files describe a route of the same name.", "route: edilizia.presenta-pratica", "Rename one."),
    "route.too-long": Code("The route has more than 500 steps.", "(501 steps)", "Send a message to a second route."),
    # --- names and expressions
    "expression.invalid": Code(
        "The text is not a valid expression.", "when: body.a = 1", "Correct it at the place shown; `==` compares, `&&` is and, `||` is or."
    ),
    "expression.not-text": Code("An expression must be text.", "each: 3", "Put it in quotes."),
    "expression.wrong-type": Code(
        "The types in the expression do not go together: it would fail on every message.",
        "x: body.istanza + 1   # a text and a number",
        "Convert one of them: text(...), number(...); the place shown is the operator or the function.",
    ),
    "expression.quoted-path": Code(
        "A path to a field stands in quotes, or in braces within a text: it is text, and stays as it is.",
        "riferimento: '\"body.istanza\"'",
        "Write `body.istanza` without quotes of its own; `+` joins a text and a field.",
    ),
    "expression.literal": Code(
        "A function or an operator is given a fixed text or number that it cannot take: it would fail on every message, or (a warning)"
        " on those where what it stands for is missing. Or a date stands without quotes: 2026-12-01 is 2026 minus 12 minus 1.",
        'x: date_add(body.data, "10 giorni")',
        "Write it as the sentence says, such as `10d`; the place shown is the text or number.",
    ),
    "expression.wrong-result": Code(
        "The expression gives something else than this part needs.",
        "when: body.importo   # a number, not true or false",
        "Compare it with something: `body.importo > 0`; `each` needs a list, `count` a whole number, `by` a date or a moment, "
        "`reason` a text, a key of the case a text or a number.",
    ),
    "expression.date-with-moment": Code(
        "A date is compared with a moment. Both are texts: equal they never are, and every moment of a day is later than the day.",
        "when: body.scadenza < now   # already true on the day itself",
        "Compare dates: `body.scadenza < date_of(now)`.",
    ),
    "condition.constant": Code(
        "The condition is always true, or always false: it reads nothing, compares a field with itself, or no value makes it otherwise"
        " (`size(...)` is never less than 0).",
        'when: body.tipo != "dehors" || body.tipo != "evento"   # whatever it is, it is not both',
        "Delete it, or what it guards; to switch a step off, take it out: the old version is in the log.",
    ),
    "key.constant": Code(
        "A key reads nothing of the message, and is the same for every one. By such a `key` the second message is taken for the first one,"
        " and refused; by such a key of the case all messages are of one case, and wait for one another.",
        "key: \"'istanza'\"   # the text, not the field",
        "Write the field: `body.istanza`.",
    ),
    "key.few-values": Code(
        "A key is made of fields that have a few values only. By such a `key` all messages but the first with each value are refused; by"
        " one of the case all messages with one value are of one case, wait for one another, and are shown to the senders of each.",
        "key: body.procedimento   # SCIA, CILA, …",
        "Write the field that tells one message from the other, such as `body.istanza`. What is gathered by kind is not told of.",
    ),
    "key.other-field": Code(
        "A key of the case is called as one field and holds the one beside it: what comes later with the right value is not of this case.",
        "case: {iuv: posizione.numero_avviso}",
        "Write `posizione.iuv`; a key has one meaning everywhere: `avviso: posizione.numero_avviso`.",
    ),
    "path.not-in-enumeration": Code(
        "A field is compared with a code that it never has: the condition never holds.",
        'match: arrival.esito == "OKK"',
        "Use one of the codes in the hint; those of `error.code` are the refusals that the operation declares.",
    ),
    "function.unknown": Code(
        "There is no such function, or it takes other arguments.", "x: euros(3)", "The reference lists the functions."
    ),
    "reply.undeclared": Code(
        "The type says which fields of replies may be seen by whom, and nothing of this one, which is nearly one of them.",
        "reply: {esitto: ...}   # the type says reply: {shown: [esito]}",
        "Correct it, or name it under `reply` of the type: `shown`, `personal` or `sensitive`.",
    ),
    "name.undefined": Code(
        "Nothing has this name at this point of the route.", "reply: {x: soggeto.nome}", "Correct it, or define it in a step before."
    ),
    "name.maybe-undefined": Code(
        "The name is defined on some ways to this step and not on others.",
        "reply: {x: esito}   # set in one branch only",
        "Define it on every way, or write `{$value: esito, $default: null}`.",
    ),
    "name.unused": Code(
        "A step gives a name that nothing in the route reads, and is nearly one that is read.",
        "set: {esitto: error.code}   # esito is what is read",
        "Correct it, or delete it.",
    ),
    "name.maybe-null": Code(
        "On some ways to this step the name is null (after a deadline, where a call fails, the first item of an empty list), and no"
        " condition on the way asks whether it is; or one holds only where it is null; or it is null on all ways. Null has no fields, and"
        " most functions and operators do not take it.",
        "reply: {importo: ricevuta.importo}   # also after the deadline",
        "Ask first (`when: ricevuta != null`), end the run in `on_deadline`, or write `{$value: ..., $default: ...}`.",
    ),
    "name.reserved": Code("The name is a reserved word of expressions, or cannot be a name.", "as: package", "Choose another."),
    "name.built-in": Code("body, message, case and now are always there and cannot be defined.", "set: {body: 1}", "Choose another name."),
    "path.unknown-field": Code(
        "The declared type has no such field. A warning where it may have others than it names, and the field is nearly one of those.",
        "body.richiedente.codice_fiscal",
        "Correct it; the hint lists the fields. Or declare it in the type.",
    ),
    "path.maybe-missing": Code(
        "By the contract this field may be missing, and nothing asks first whether it is there: on a message without it the run would"
        " stop here or, where a key is read from it, the message be refused. A condition that reads the field does not count as asking,"
        " unless one before it has asked. In `{...}[body.tipo]` the contract knows a code of which the map has no entry. In"
        " `has(body.x) || body.x > 1` the field is read just where it is missing: `&&` was meant.",
        "each: body.righe   # righe is optional",
        "Walk `body.?righe.orValue([])`, write `{$value: ..., $default: ...}`, ask `has(body.righe)` in a `when` before, or make the"
        " field mandatory in its contract.",
    ),
    "path.kept-null": Code(
        "By the contract this may be null, and nothing asks: `orValue` puts another value in the place of what is missing, not of null.",
        'when: body.?email.orValue("") != ""   # email may be null, which is not ""',
        'Write `default(body.?email.orValue(null), "")`, or ask `body.email != null` in a `when` before.',
    ),
    "table.too-many-rows": Code(
        "Macros go over the rows of a table, or of several, one within the other: more than one expression may go over. It would fail"
        " (`expression.budget`) whenever it is evaluated.",
        'when: size(rows("vie").filter(v, v.nome == body.via)) == 1   # vie.csv has 12,000 rows',
        'Make what is looked for the key of the table and read `lookup("vie", body.via)`, or split the table.',
    ),
    "table.unknown": Code("There is no such table.", 'lookup("ufici", "SUE")', "Correct it, or add mappings/tables/NAME.csv."),
    "table.unknown-column": Code(
        "The table has no such column.", 'lookup("uffici", "SUE", "piano")', "Correct it; the first line of the CSV names the columns."
    ),
    "table.unknown-key": Code(
        "The table has no row with this key.", 'lookup("uffici", "SUAP", "nome")', "Correct it, or add the row to mappings/tables/NAME.csv."
    ),
    "table.computed": Code(
        "The name of the table is computed; then nobody could say which tables a route needs.",
        "lookup(body.tabella, body.codice)",
        "Write the name as text.",
    ),
    # --- templates
    "template.unknown-directive": Code(
        "A map with `$` directives holds something else.", "{$value: body.a, nome: body.b}", "Put the fields under `$value`."
    ),
    "template.no-value": Code("The directive does not say its value.", "{$when: body.a > 1}", "Add `$value`."),
    "template.as-without-each": Code(
        "`$as` names the item of an `$each`; there is none.", "{$as: riga, $value: body.a}", "Add `$each`, or delete `$as`."
    ),
    # --- what steps speak of
    "operation.unknown": Code(
        "No adapter offers this operation.",
        "call: anagrafe.cerca-sogetto",
        "Correct it; docs/reference/operations.md and the adapters' pages list them.",
    ),
    "type.unknown": Code(
        "There is no such message type.", "on: edilizia.pratica.presentato", "Correct it, or add a file to mappings/types."
    ),
    "type.unknown-field": Code(
        "The schema of the type has no such field.", "forms: {datti: ...}", "Correct it; the hint lists the fields."
    ),
    "type.unknown-form": Code("There is no message type for the form.", "servizi.modulo-semplce", "Correct it, or add the type."),
    "type.unknown-sender": Code(
        "No role of an API key that sends, and no adapter, has this name: nobody could send such a message.",
        "senders: [portale]",
        "Correct it: `portal`, `sysadmin`, `bus` or the name of an adapter.",
    ),
    "type.whole-reply": Code(
        "A path under `reply` names no field; it would stand for the whole reply, with all that it will ever hold.",
        'reply: {shown: [""]}',
        "Name each field that may be seen.",
    ),
    "service.unsuitable-route": Code(
        "No portal presents the type that starts the route: its `senders` are others, or it names none and routes send it or wait for it.",
        "percorso: pagamenti.ricevuta",
        "Name a route that starts from an application; if it is one, name `portal` among the senders of its type.",
    ),
    "type.duplicate": Code("Two files describe a type of the same name.", "type: pagopa.ricevuta", "Rename one."),
    "mapping.unknown": Code("There is no such mapping.", "mapping: edilizia.diriti", "Correct it, or add a file to mappings."),
    "mapping.duplicate": Code("Two files describe a mapping of the same name.", "mapping: edilizia.diritti", "Rename one."),
    "mapping.unknown-target": Code("`to` is neither an operation nor a message type.", "to: pagopa.crea", "Correct it."),
    "mapping.wrong-target": Code(
        "The mapping makes something else than this step needs.",
        "call: scrivania.assegna\nmapping: edilizia.diritti-a-posizione",
        "Use the mapping made for it.",
    ),
    "mapping.not-given": Code(
        "A mapping uses a name that nothing gives where a step applies it.",
        "mapping: edilizia.assegnazione   # uses: [fascicolo]",
        "Give the name in a step before (`as`, `set`), or correct `uses` in the mapping.",
    ),
    "mapping.wrong-source": Code(
        "The mapping reads another type of message than the route's.",
        "on: pagopa.ricevuta\n# mapping from edilizia.pratica.presentata",
        "Use a mapping from the route's type.",
    ),
    "target.unknown-field": Code(
        "What is asked or sent has no such field.", "with: {codice_fiscal: body.cf}", "Correct it; the hint lists the fields."
    ),
    "target.missing-field": Code("A field that the operation or type needs is not given.", "with: {}", "Add it."),
    "target.wrong-type": Code(
        "The value has another type than the field.",
        "with: {codice_fiscale: 12}",
        "Convert it: text(...), number(...), or quote it twice for a text.",
    ),
    "target.not-in-enumeration": Code(
        "The field takes only certain values, and this is none; or what is read has one that conditions on the way here do not leave out.",
        "with: {flusso: '\"X\"'}",
        'Use one of those in the hint, or ask before: `when: body.flusso != "I"`.',
    ),
    "target.outside-limits": Code(
        "The contract bounds the field (pattern, length, smallest, largest), and the written value is outside.",
        "with: {cap: '\"181\"'}   # five digits",
        "Write a value that the sentence allows.",
    ),
    "target.other-unit": Code(
        "One contract says of an amount that it is in cents, the other in euro (`description`, or the name of the field): what is sent is a"
        " hundred times too much, or too little.",
        "with: {importo: int(math.round(body.tariffa_euro))}   # cents are wanted",
        "`cents(...)` makes cents of euro, `euro(...)` the text with two decimals; or correct the description that is wrong.",
    ),
    "target.maybe-null": Code(
        "A field that is never null is fed by one that the contract lets be null: on such a message the run would stop here.",
        "with: {oggetto: body.note}   # note may be null",
        "Say what then with `$default`, or pass the step over with `when: body.note != null`.",
    ),
    "case.unknown-key": Code(
        "The case has no key of this name at this step: it holds those of the route's `case` and of the calls before, in `on_late` none.",
        "case: iuvv",
        "Correct it, or learn the key in a `call` before: `case: {iuv: posizione.iuv}`; in `on_late` read the `body`.",
    ),
    "case.names-person": Code(
        "A key of a case stands for a matter: two messages that have it are of one case. One that names a person would make one case of all"
        " matters of that person, and what stands for the person would stay in the log's records after an erasure.",
        "case: {cf: body.richiedente.codice_fiscale}",
        "Keys called `codice_fiscale`, `partita_iva`, `email` name persons, as the bus knows: a step waits by them, they join no cases.",
    ),
    "case.last-of-several": Code(
        "The step waits by a key that an `each` before it learns once for each item: it looks for the last one only.",
        "- {id: rate, each: body.rate, steps: [{call: ..., case: {iuv: posizione.iuv}}]}\n- {id: paga, wait: pagopa.ricevuta, case: iuv}",
        "Leave `case` out: then any message of the case is taken. Or put the step into the `each`.",
    ),
    "refusal.unhandled": Code(
        "The operation declares that it may refuse so, and the route does not say what to do then: the run would stop as a dead letter.",
        "- {id: a, call: anagrafe.cerca-soggetto, with: {...}, as: soggetto}   # no on_error",
        "Say it in `on_error`; if a person should look at it, `dead_on: any` (or the codes) says that you know.",
    ),
    "refusal.unknown": Code(
        "The operation never refuses with this code.", "dead_on: [NON_TROVATA]", "Use one of the codes that it declares."
    ),
    "order.effect-before-read": Code(
        "A question that may be refused, and then ends the run, is asked after something has already been done outside.",
        "- {id: registra, call: protocollo.registra, ...}\n- {id: cerca, call: anagrafe.cerca-soggetto, ...}",
        "Ask first and act after (for many items: one `each` asks, the next acts); or declare the `undo`, so that `fail` takes it back.",
    ),
    "retry.cut": Code(
        "The time before the second attempt is longer than the longest one, `most`, which is 5 minutes where nothing is said.",
        "retry: {attempts: 20, wait: 10m}",
        "Say in `most` how long a wait may be: `retry: {attempts: 20, wait: 10m, most: 1h}`.",
    ),
    "retry.once": Code(
        "An operation of effect `once` must not be repeated by itself: it could take effect twice.",
        "call: notifiche.email\nretry: {attempts: 3}",
        "Leave `retry` out; in doubt, a person decides.",
    ),
    "undo.not-declared": Code(
        "The adapter does not declare that this operation takes the other back.",
        "undo: edilizia.leggi-pratica",
        "Use the declared one, or none.",
    ),
    "send.endless": Code(
        "Every message of the type makes the route send one that leads to another message of the type, and so for ever: each is a run "
        "and stands in the log.",
        "send: prova.istanza   # in the route that begins with it",
        "Send it under a condition (`when`), or wait before; or give the type or the route a `key`, so that the same matter does not begin "
        "twice.",
    ),
    "send.refused": Code(
        "The type names its senders, and routes are none of them: each such message would be refused, and the run end there.",
        "send: pagopa.ricevuta   # the type says senders: [pagopa]",
        "Send a type of your own, or add `bus` to the senders of this one.",
    ),
    "send.unheard": Code(
        "No route begins with the type and no step waits for it: each such message would be refused, and the run end there.",
        "send: notifiche.avvisi",
        "Correct the type, or write the route that begins with it.",
    ),
    "wait.never-sent": Code(
        "Only routes may send the type, and none does: the step waits for nothing.",
        "wait: pareri.espresso   # the type says senders: [bus]",
        "Send it from a route, or name in the type who else does.",
    ),
    "wait.no-key": Code(
        "Messages of the type do not carry the key by which the step waits for them, or only keys that nothing else gives to a case: it"
        " would take none, ever.",
        "wait: pagopa.ricevuta\ncase: avviso   # the type says case: {iuv: body.iuv}",
        "Wait by a key that they carry, or say under `case` of their type what it is.",
    ),
    "wait.shared": Code(
        "Branches side by side, the turns of an `each`, or steps one behind the other wait for messages of one type and `match` different "
        "ones. A run looks at each message once: what one of the waits lets pass, the others never see.",
        'parallel:\n  a: [{id: x, wait: pareri.espresso, match: arrival.ufficio == "verde"}]\n'
        '  b: [{id: y, wait: pareri.espresso, match: arrival.ufficio == "suap"}]',
        '`gather` them in one step: `until: \'["verde", "suap"].all(u, items.exists(i, i.ufficio == u))\'`.'
        " Where each item has a day of its own, `send` each to a route that waits by the item's own key, and gather what these report.",
    ),
    "wait.again": Code(
        "`again` renews the wait after its `deadline`, and there is none: a date that has passed does not come again.",
        "wait: pagopa.ricevuta\nby: body.scadenza\nagain: 2",
        "Say how long one wait takes, such as `deadline: 10d`: it is renewed until the date of `by`.",
    ),
    "wait.no-deadline": Code(
        "The step may wait for ever.",
        "wait: pagopa.ricevuta",
        "Say `deadline: 30d`, or a date by `by: body.scadenza`, and what to do then.",
    ),
    "wait.nothing": Code(
        "The wait has neither a type nor a deadline; or it has no type, and says which message it takes.",
        'wait:\nmatch: arrival.esito == "OK"',
        "Say what to wait for, or for how long.",
    ),
    "gather.endless": Code("Nothing ends the gather.", "gather: pareri.espresso", "Say `count`, `until`, `deadline` or `by`."),
    "parallel.clash": Code(
        "Two branches that run side by side define the same name.",
        "parallel: {a: [{id: x, set: {n: 1}}], b: [{id: y, set: {n: 2}}]}",
        "Give each branch its own names.",
    ),
    # --- tests of routes
    "test.clock": Code(
        "The clock of a test is not a moment with a time zone.", "clock: 2026-03-02", 'Write `clock: "2026-03-02T09:00:00+01:00"`.'
    ),
    "test.conduct": Code(
        "An operation in a test does several things at once, or nothing.",
        "{silent: true, refuses: X}",
        "Say one; a list says one for each call.",
    ),
    "test.unknown-refusal": Code("The operation never refuses with this code.", "{refuses: NON_TROVATA}", "Use a declared code."),
    "test.event": Code(
        "An event of a test is neither an arrival nor a passing of time, or both.", "then: [{body: {}}]", "Write `arrive` or `pass`."
    ),
    "test.unknown-step": Code("The route has no such step.", "dead: {step: pagamneto}", "Correct it."),
    "test.no-route": Code(
        "Tests beside a route that is not there.",
        "# routes/lampioni.test.yaml, and no routes/lampioni.yaml",
        "Name it after its route's file.",
    ),
    "test.unused": Code("The route says what its tests share, and has no tests.", "given: {clock: ...}   # no tests", "Write a test."),
    "test.messages": Code("`messages` does not map types to bodies.", "messages: [a]", "Write `messages: {pagopa.ricevuta: {...}}`."),
    "test.not-asked": Code(
        "The route never asks this operation.", "given: {sito.pubblica-catalogo: {silent: true}}", "Delete it, or correct it."
    ),
    "test.not-awaited": Code("The route never waits for this type.", "then: [{arrive: pagopa.ricevuta}]", "Delete it, or correct it."),
    "test.not-sent": Code("The route never sends this type.", "sent: [notifiche.avviso]", "Delete it, or correct it."),
    "test.no-body": Code(
        "The test does not say what a message holds, or a name that the mapping uses.",
        "then: [{arrive: pagopa.ricevuta}]",
        "Write its body, or share it under `given.messages`.",
    ),
    "test.body": Code("The body in the test is not of its type.", "send: {istansa: A1}", "Correct it at the place shown."),
    "test.expects-nothing": Code("The test expects nothing, so it cannot fail.", "expect: {}", "Say at least `state`."),
    "test.unknown-name": Code("The mapping reads no such name.", "given: {soggeto: {...}}", "Correct it, or add it to `uses`."),
    "test.two-ends": Code(
        "A test of a mapping expects a value and a failure.", "{expect: {importo: 1}, fails: importo}", "Make two tests of it."
    ),
    "test.unknown-field": Code(
        "The test expects a field that the operation's request, or the message, does not have: a value never comes, and null always does.",
        "calls: [{scrivania.assegna: {protocolo: null}}]",
        "Correct it.",
    ),
    "test.unknown-key": Code("The route never gives its case such a key.", "expect: {case: {iuvv: x}}", "Correct it."),
    "test.duplicate-name": Code("Two tests of one route or mapping have the same name.", "name: it works", "Rename one."),
    # --- schemas, tables, services
    "schema.invalid": Code("The schema is not a JSON Schema 2020-12.", "schema: {type: strng}", "Correct it at the place shown."),
    "schema.unknown-keyword": Code(
        "JSON Schema has no such keyword; validators would silently ignore it.", "{type: string, maxLenght: 3}", "Correct it."
    ),
    "schema.contradiction": Code(
        "Two words of the schema do not go together: no value is both.",
        "{type: integer, enum: [uno, due]}, {minLength: 5, maxLength: 3}",
        "Correct one of them.",
    ),
    "schema.idle-keyword": Code(
        "The word says nothing of values of this type: it would be passed over in silence.",
        "{type: string, minimum: 0}",
        "Use the word for the type (`minLength` for texts, `minItems` for lists), or correct the type.",
    ),
    "schema.outside-reference": Code(
        "The schema refers to another file or address.",
        '{$ref: "https://example.org/x.json"}',
        "Put the schema under `$defs` and refer to `#/$defs/...`.",
    ),
    "table.syntax": Code("The table is not CSV.", 'a,"b', "Close the quote."),
    "table.empty": Code("The table has no header.", "(empty file)", "The first line names the columns, the first column is the key."),
    "table.header": Code(
        "A column's name is not a name, or is there twice.", "codice;nome", "Separate with commas; use letters, digits and underscores."
    ),
    "table.ragged": Code(
        "A row has more or fewer values than the header.", "SUE,Sportello, edilizia,U1", "Put a value that holds a comma in double quotes."
    ),
    "table.duplicate-key": Code("Two rows have the same key.", "SUE,a\nSUE,b", "Keep one."),
    "table.blank-key": Code(
        "A blank or a tab stands before or behind a key, or the key has a character that nobody sees, such as a blank without width.",
        "SUE ,Sportello edilizia,U1",
        "Delete it.",
    ),
    "table.empty-key": Code("A row has no key.", ",Anagrafe,U2", "Write its key."),
    "table.encoding": Code(
        "The table is not UTF-8, or holds a byte order mark or a control character.",
        "(saved by a spreadsheet)",
        "Save it as CSV UTF-8 without BOM.",
    ),
    "table.no-number": Code(
        "A cell, of which an expression makes a number, says none, or one with decimals where it is reckoned with whole numbers: it would"
        " fail on each message that leads to its row.",
        'number(lookup("tariffe", body.zona, "importo"))   # one cell holds 12O',
        'Correct the cell; where it may be empty ask first: `riga.importo != "" ? number(riga.importo) : 0`.',
    ),
    "table.too-large": Code("The table is larger than 1 MB.", "(1,000,001 bytes)", "Ask a system instead, through an adapter."),
    "table.reserved": Code(
        "The table `servizi` is made of routes/servizi.yaml.", "mappings/tables/servizi.csv", "Give the file another name."
    ),
    "service.duplicate": Code("Two services have the same code.", "codice: cambio-abitazione", "Rename one."),
    "service.missing-field": Code("A service of this kind needs the field.", "tipo: istanza   # no modulo", "Add it."),
    "service.wrong-field": Code(
        "The field is for services of another kind, or `modulo` stands beside a route of its own.",
        "tipo: informativo\nmodulo: servizi.modulo-semplice",
        "Delete it, or change the kind; with `percorso` the route's message type is the form.",
    ),
    "service.unknown-office": Code(
        "The table uffici has no such office.", "ufficio: edilisia", "Correct it, or add the office to mappings/tables/uffici.csv."
    ),
    "service.unknown-form": Code(
        "There is no message type for the form.", "modulo: servizi.modulo-semplce", "Correct it, or add the type."
    ),
    "service.unknown-route": Code(
        "There is no such route.", "percorso: anagrafe.certificati", "Correct it; without `percorso` servizi.istanza-generica serves it."
    ),
}
