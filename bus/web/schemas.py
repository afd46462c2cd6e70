"""The shapes of the API's JSON, as OpenAPI 3.0 schemas; tests hold real answers against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bus.engine.accesses import ACTS
from bus.engine.retention import KINDS

Shape = dict[str, Any]


def _object(required: Sequence[str], properties: Mapping[str, Shape], *, more: bool = False) -> Shape:
    return {"type": "object", "required": list(required), "properties": dict(properties), "additionalProperties": more}


def _list(of: str) -> Shape:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{of}"}}


def _one(of: str, items: Sequence[str] = ()) -> Shape:
    return {"type": of, **({"enum": list(items)} if items else {})}


TEXT: Shape = {"type": "string"}
NUMBER: Shape = {"type": "integer"}
TRUTH: Shape = {"type": "boolean"}
ANYTHING: Shape = {"type": "object", "additionalProperties": True}
MAYBE: Shape = {"type": "string", "nullable": True}
UUID, TIME = {"type": "string", "format": "uuid"}, {"type": "string", "format": "date-time"}
STATES = ("accepted", "ready", "running", "waiting", "done", "dead", "cancelled")
LINKS: Shape = {"type": "object", "additionalProperties": TEXT}
_RUN: dict[str, Shape] = {
    "id": UUID,
    "message": UUID,
    "route": TEXT,
    "version": NUMBER,
    "state": _one("string", STATES),
    "place": TEXT,
    "reason": MAYBE,
    "due": {**TIME, "nullable": True},
    "opened": TIME,
    "changed": TIME,
}
_ADDRESS: Shape = {**TEXT, "pattern": "^[0-9a-f]{64}$"}
_ACCEPTED: dict[str, Shape] = {
    "id": UUID,
    "type": TEXT,
    "time": TIME,
    "links": LINKS,
    "receipt": {**TEXT, "description": "A signed promise to keep the message in the log; keep it, it proves an omission."},
}
_ACTIVATION: dict[str, Shape] = {
    "rules": {**TEXT, "description": "Fingerprint of the catalog: what runs notice."},
    "edition": {**TEXT, "description": "Digest of the files, comments too."},
    "act": _one("string", ("started", "activated", "rolled-back")),
    "routes": NUMBER,
    "time": TIME,
    "actor": TEXT,
    "as": {**TEXT, "description": "The person, as the holder of the key said."},
    "reason": TEXT,
    "restores": {**MAYBE, "description": "The record of the activation that a rollback went back to."},
    "record": UUID,
}
_EXPECTED: dict[str, Shape] = {
    "expected": {**TEXT, "description": "The fingerprint, or its beginning, of the rules that must be in force, or nothing changes."},
    "as": {**TEXT, "description": "The person who does it; kept with the reason."},
}
_REASON: dict[str, Shape] = {"reason": {**TEXT, "minLength": 1, "description": "Why; the log keeps it."}}

SCHEMAS: dict[str, Shape] = {
    "Problem": _object(
        ("type", "title", "status", "detail"),
        {
            "type": {**TEXT, "format": "uri", "description": "urn:snodo:error: and the code."},
            "title": TEXT,
            "status": NUMBER,
            "detail": TEXT,
            "instance": {**TEXT, "description": "Names this very problem in the bus's own log."},
            "code": {**TEXT, "description": "Stable; listed in docs/reference/errors.md."},
            "hint": {**TEXT, "description": "What to do next."},
            "faults": {"type": "array", "items": _object(("pointer", "sentence"), {"pointer": TEXT, "sentence": TEXT})},
        },
        more=True,
    ),
    "Message": _object(
        ("type", "data"),
        {
            "specversion": _one("string", ("1.0",)),
            "id": {**TEXT, "description": "Becomes the idempotency key if there is no Idempotency-Key."},
            "source": TEXT,
            "type": TEXT,
            "subject": TEXT,
            "time": TIME,
            "datacontenttype": TEXT,
            "dataschema": TEXT,
            "correlationid": TEXT,
            "causationid": TEXT,
            "traceparent": TEXT,
            "data": {"description": "The body; its schema is at /types/{type}."},
            "attachments": {
                "type": "array",
                "items": {"anyOf": [_ADDRESS, _object(("sha256", "name"), {"sha256": _ADDRESS, "name": {**TEXT, "maxLength": 255}})]},
                "maxItems": 50,
                "description": "Addresses of files that came before; with a name, the file is called so in this message.",
            },
        },
    ),
    "Accepted": _object(("id", "type", "time", "links"), _ACCEPTED),
    "Replied": _object(("id", "type", "time", "links", "reply"), {**_ACCEPTED, "reply": {"description": "What the route replied."}}),
    "MessageState": _object(
        ("id", "type", "time", "sender", "state", "runs"),
        {
            "id": UUID,
            "type": TEXT,
            "time": TIME,
            "sender": TEXT,
            "correlationid": MAYBE,
            "state": _one("string", STATES),
            "runs": _list("RunLine"),
            "reply": {"nullable": True, "description": "What the route replied, if it has."},
            "withheld": {**TRUTH, "description": "What was said is not shown: you are not its sender, and gave no purpose."},
            "body": {"nullable": True, "description": "What the message said; for a purpose only."},
            "subject": {**MAYBE, "description": "Whom it is about; for a purpose only."},
        },
    ),
    "RunLine": _object(tuple(_RUN), _RUN),
    "Run": _object((*_RUN, "waits", "journal"), {**_RUN, "waits": {"type": "array", "items": ANYTHING}, "journal": _list("Record")}),
    "Runs": _object(("runs",), {"runs": _list("RunLine")}),
    "Record": _object(
        ("v", "id", "kind", "time", "actor"), {"v": NUMBER, "id": UUID, "kind": TEXT, "time": TIME, "actor": TEXT}, more=True
    ),
    "Records": _object(("records",), {"records": _list("Record")}),
    "Case": _object(
        ("case", "state", "keys", "messages", "runs", "timeline"),
        {
            "case": UUID,
            "state": _one("string", STATES),
            "keys": {"type": "array", "items": _object(("name", "value"), {"name": TEXT, "value": TEXT})},
            "messages": {
                "type": "array",
                "items": _object(("id", "type", "time", "sender"), {"id": UUID, "type": TEXT, "time": TIME, "sender": TEXT}),
            },
            "runs": _list("RunLine"),
            "timeline": _list("Record"),
        },
    ),
    "Attachment": _object(
        ("sha256", "size", "media_type", "name", "links"),
        {"sha256": TEXT, "size": NUMBER, "media_type": TEXT, "name": TEXT, "links": LINKS},
    ),
    "Service": _object(("codice", "titolo", "ufficio", "tipo"), {"codice": TEXT, "titolo": TEXT, "ufficio": TEXT, "tipo": TEXT}, more=True),
    "Catalog": _object(("servizi",), {"servizi": _list("Service")}),
    "Schema": ANYTHING,
    "Reports": _object(("reports",), {"reports": _list("Report")}),
    "Report": _object(("name", "title", "source", "fields"), {"name": TEXT, "title": TEXT, "source": TEXT, "fields": LINKS}),
    "ReportPage": _object(("lines", "next"), {"lines": {"type": "array", "items": ANYTHING}, "next": {**NUMBER, "nullable": True}}),
    "ReportAsked": _object(
        ("from", "to", "purpose"),
        {
            "from": {**TEXT, "description": "A day (its beginning in Rome), or a moment with its offset."},
            "to": {**TEXT, "description": "The first moment that is not in the report any more."},
            "purpose": {**TEXT, "minLength": 3, "maxLength": 500, "description": "What it is for; the log keeps it."},
            "after": {**NUMBER, "description": "`next` of the page before."},
        },
    ),
    "DeadLetters": _object(("dead",), {"dead": _list("RunLine")}),
    "DeadLetter": _object(
        ("run", "message", "route", "place", "code", "sentence", "since", "doubt", "detail"),
        {
            "run": UUID,
            "message": UUID,
            "route": TEXT,
            "place": TEXT,
            "path": MAYBE,
            "code": TEXT,
            "sentence": TEXT,
            "since": TIME,
            "doubt": {**TRUTH, "description": "A call is in doubt: decide, before anything else."},
            "detail": ANYTHING,
            "withheld": {**TRUTH, "description": "Without sentence and detail: no purpose was given."},
            "evidence": {"type": "array", "items": ANYTHING, "description": "What the other system said in the last try."},
        },
    ),
    "Export": _object(
        ("purpose",),
        {
            "case": {**TEXT, "description": "A key of a case."},
            "message": UUID,
            "from": {**TEXT, "description": "Messages accepted from then on: a day, or a moment with its offset."},
            "to": {**TEXT, "description": "Messages accepted before then."},
            "purpose": {**TEXT, "description": "Why; kept in the log with the name of the key's holder."},
            "payloads": {**TRUTH, "description": "With what was said, not only that it was."},
        },
    ),
    "Search": _object(
        (),
        {
            "find": _one("string", ("records", "messages", "runs", "cases")),
            "key": {**TEXT, "description": "A key of a case: value or name:value."},
            "type": {**TEXT, "description": "Only messages of this type, and what concerns them."},
            "route": {**TEXT, "description": "A route, or route@version."},
            "step": {**TEXT, "description": "Id of a step."},
            "outcome": {**TEXT, "description": "Kinds of records, separated by commas; failed is refused, unanswered, dead."},
            "from": {**TEXT, "description": "Recorded from then on: a day, or a moment with its offset."},
            "to": {**TEXT, "description": "Recorded before then."},
            "text": {
                **TEXT,
                "description": "Only messages that say it, in what may be seen of them; takes a purpose. Each page opens `limit` messages.",
            },
            "purpose": {
                **TEXT,
                "minLength": 3,
                "maxLength": 500,
                "description": "What for; the log keeps it. It takes one to find by text, or by what names a person.",
            },
            "limit": {**NUMBER, "minimum": 1, "maximum": 200, "default": 50},
            "after": {**TEXT, "description": "`next` of the page before, with the same question."},
        },
    ),
    "Found": _object(
        ("found", "next", "unseen"),
        {
            "found": {
                "type": "array",
                "items": ANYTHING,
                "description": "Records, messages, runs or cases; a page may have fewer than limit.",
            },
            "next": {**MAYBE, "description": "What to send as `after` for the page that follows; null at the end."},
            "unseen": {**NUMBER, "description": "About how many of the newest records were not looked at: they cannot be found yet."},
            "opened": {**NUMBER, "description": "With `text`: how many messages were opened for this page; those found say `places`."},
            "unreadable": {**NUMBER, "description": "With `text`: how many of them nobody can open any more."},
        },
    ),
    "Replay": _object(
        ("purpose",),
        {
            "purpose": {**TEXT, "minLength": 1, "description": "Why; the log keeps it."},
            "what": {**TEXT, "description": "Id of a run or a message, or a key of a case."},
            "bundle": {**TEXT, "description": "SHA-256 of the manifest of a bundle."},
            "from": TEXT,
            "to": TEXT,
        },
    ),
    "Read": _object(
        ("act", "purpose"),
        {
            "act": _one("string", ACTS),
            "purpose": {**TEXT, "minLength": 3, "maxLength": 500, "description": "What for; the log keeps it."},
            "what": {**TEXT, "description": "Id of a run or a message, or a key of a case."},
            "from": TEXT,
            "to": TEXT,
        },
    ),
    "ReadAnnounced": _object(("record", "sees", "keystore"), {"record": UUID, "sees": {"type": "array", "items": TEXT}, "keystore": UUID}),
    "Announced": _object(("record",), {"record": UUID}),
    "Redeliver": _object(("reason",), {**_REASON, "current_rules": {**TRUTH, "description": "Under the route as it is now."}}),
    "Decide": _object(
        ("reason", "decision"),
        {
            **_REASON,
            "decision": _one("string", ("happened", "again")),
            "answer": {**ANYTHING, "description": "What the system answered, if it happened."},
        },
    ),
    "Discard": _object(("reason",), _REASON),
    "Erasure": _object(
        ("subject", "reason"),
        {
            "subject": {**TEXT, "minLength": 3, "maxLength": 200, "description": "A codice fiscale, or what else names the person."},
            "reason": {**TEXT, "minLength": 1, "description": "Why, without naming the person; the log keeps it."},
        },
    ),
    "ErasureAsked": _object(
        ("id", "until", "messages", "files", "open"),
        {
            "id": UUID,
            "until": {**TIME, "description": "When the request expires."},
            "messages": {**NUMBER, "description": "How many messages are about the person."},
            "files": NUMBER,
            "open": {"type": "array", "items": ANYTHING, "description": "Runs that must be over first: id, route, state."},
        },
    ),
    "ErasureConfirmed": _object((), {}),
    "Erased": _object(
        ("id", "record", "messages", "files", "lost"),
        {"id": UUID, "record": UUID, "messages": NUMBER, "files": NUMBER, "lost": {"type": "array", "items": TEXT}},
    ),
    "Age": _object(
        ("kind", "before", "months", "after", "record"),
        {
            "kind": _one("string", KINDS),
            "before": {**TIME, "nullable": True, "description": "What is of before then may go; null: it is kept for ever."},
            "months": {
                "type": "array",
                "items": _object(
                    ("month", "held", "things", "payloads"), {"month": TEXT, "held": TEXT, "things": NUMBER, "payloads": NUMBER}
                ),
                "description": "`held` is empty for what goes, else why it does not: open, recent, minimum.",
            },
            "after": {**MAYBE, "description": "Where to go on; null at the end."},
            "record": {**UUID, "nullable": True},
        },
    ),
    "Dispose": _object(
        ("kind", "reason"), {**_REASON, "kind": _one("string", KINDS), "after": {**TEXT, "description": "`after` of the page before."}}
    ),
    "Rules": _object(
        (*_ACTIVATION, "parts", "files", "earlier", "carried", "processes", "settings"),
        {
            **_ACTIVATION,
            "parts": {**ANYTHING, "description": "Fingerprints of routes, mappings, types, tables and services, by name."},
            "files": {"type": "object", "additionalProperties": TEXT, "description": "SHA-256 of each file."},
            "earlier": {
                "type": "array",
                "items": _object(
                    ("route", "version", "digest", "runs"), {"route": TEXT, "version": NUMBER, "digest": TEXT, "runs": NUMBER}
                ),
                "description": "Runs that have not ended and go on under earlier rules.",
            },
            "carried": {"type": "array", "items": TEXT, "description": "Types that only runs of earlier rules still need."},
            "processes": {"type": "array", "items": ANYTHING},
            "settings": {"type": "object", "additionalProperties": TEXT, "description": "Digest of each section at the start."},
        },
    ),
    "Activations": _object(("activations",), {"activations": {"type": "array", "items": _object(tuple(_ACTIVATION), _ACTIVATION)}}),
    "Changed": _object(
        ("rules", "edition", "changed", "record"),
        {"rules": TEXT, "edition": TEXT, "changed": {**TRUTH, "description": "False: they were in force already."}, "record": UUID},
    ),
    "Activate": _object(
        ("reason",),
        {
            **_REASON,
            **_EXPECTED,
            "files": {
                "type": "object",
                "additionalProperties": TEXT,
                "description": "Content by path; without it, the process's own folder.",
            },
        },
    ),
    "Rollback": _object(
        ("reason",),
        {**_REASON, **_EXPECTED, "steps": {**NUMBER, "minimum": 1}, "to": {**TEXT, "description": "The beginning of a fingerprint."}},
    ),
    "Tail": _object(
        ("records", "next"),
        {
            "records": {
                "type": "array",
                "items": _object(
                    ("seq", "id", "kind", "time", "actor"),
                    {"seq": NUMBER, "id": UUID, "kind": TEXT, "time": TIME, "actor": TEXT},
                    more=True,
                ),
            },
            "next": {**NUMBER, "description": "What to say as `after` the next time."},
            "hint": {
                **TEXT,
                "description": "The route or system that was probably meant, where nothing was found of one that there is not.",
            },
        },
    ),
    "Top": _object(
        ("time", "seconds", "received", "routes", "adapters", "processes", "rules"),
        {
            "time": TIME,
            "seconds": {"type": "number", "description": "How long back the figures look."},
            "received": {"type": "number", "description": "Messages a second."},
            "routes": ANYTHING,
            "adapters": ANYTHING,
            "processes": {"type": "array", "items": ANYTHING},
            "rules": TEXT,
        },
    ),
}
