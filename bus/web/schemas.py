"""The shapes of the API's JSON, as OpenAPI 3.0 schemas; tests hold real answers against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bus.engine.accesses import ACTS
from bus.engine.retention import KINDS
from bus.engine.search import FINDS, MOST
from bus.message import MAX_TYPE_LENGTH

Shape = dict[str, Any]


def _object(properties: Mapping[str, Shape], *, more: bool = False) -> Shape:
    """What ends in ``?`` may be missing. A list of what is required is never empty: OpenAPI 3.0 knows no such document."""
    required = [name for name in properties if not name.endswith("?")]
    named = {name.removesuffix("?"): shape for name, shape in properties.items()}
    return {"type": "object", **({"required": required} if required else {}), "properties": named, "additionalProperties": more}


def _array(items: Shape, description: str = "") -> Shape:
    return {"type": "array", "items": items, **({"description": description} if description else {})}


def _text(description: str, **more: int) -> Shape:
    return {"type": "string", "description": description, **more}


def _number(description: str) -> Shape:
    return {"type": "integer", "description": description}


def _list(of: str) -> Shape:
    return _array({"$ref": f"#/components/schemas/{of}"})


def _one(of: Sequence[str]) -> Shape:
    return {"type": "string", "enum": list(of)}


TEXT: Shape = {"type": "string"}
NUMBER: Shape = {"type": "integer"}
TRUTH: Shape = {"type": "boolean"}
ANYTHING: Shape = {"type": "object", "additionalProperties": True}
MAYBE: Shape = {"type": "string", "nullable": True}
UUID, TIME = {"type": "string", "format": "uuid"}, {"type": "string", "format": "date-time"}
STATES = ("accepted", "ready", "running", "waiting", "done", "dead", "cancelled")
_SHORT = {"minLength": 1, "maxLength": 200}
"""What an attribute of an event may be long (`bus.web.envelope`)."""
TEXTS: Shape = {"type": "object", "additionalProperties": TEXT}
_RUN: dict[str, Shape] = {
    "id": UUID,
    "message": UUID,
    "route": TEXT,
    "version": NUMBER,
    "state": _one(STATES),
    "place": _text("The step at which it is, as route@version/id."),
    "reason": {**MAYBE, "description": "The code with which it was left, as of a dead run."},
    "due": {**TIME, "nullable": True, "description": "When a run that is `ready` goes on by itself; null in every other state."},
    "opened": TIME,
    "changed": TIME,
}
_NEXT: Shape = {**NUMBER, "nullable": True, "description": "What to send as `after` for the page that follows; null at the end."}
_ADDRESS: Shape = {**TEXT, "pattern": "^[0-9a-f]{64}$"}
_VERSION = _one(("1.0",))
_ENVELOPE: dict[str, Shape] = {
    "id?": _text("Becomes the idempotency key if there is no Idempotency-Key.", **_SHORT),
    "source?": _text("Where it comes from, as its sender says it, such as portale/sue.", **_SHORT),
    "type": _text("The name of the message's type.", minLength=1, maxLength=MAX_TYPE_LENGTH),
    "subject?": _text("Whom or what it is about.", **_SHORT),
    "time?": {**TIME, "description": "Not kept: the time of a message is when the bus took it."},
    "datacontenttype?": {**TEXT, "pattern": r"^application/(?:[a-z0-9.-]+\+)?json$"},
    "dataschema?": {**TEXT, **_SHORT},
    "correlationid?": {**TEXT, **_SHORT},
    "causationid?": {**TEXT, **_SHORT},
    "traceparent?": {**TEXT, **_SHORT},
    "data": {"description": "The body; its schema is at /types/{type}."},
    "attachments?": {
        "type": "array",
        "items": {"anyOf": [_ADDRESS, _object({"sha256": _ADDRESS, "name": {**TEXT, "maxLength": 255}})]},
        "maxItems": 50,
        "description": "Addresses of files that came before; with a name, the file is called so in this message.",
    },
}
_ACCEPTED: dict[str, Shape] = {
    "id": UUID,
    "type": TEXT,
    "time": TIME,
    "links": TEXTS,
    "receipt?": _text("A signed promise to keep the message in the log; keep it, it proves an omission."),
}
_ACTIVATION: dict[str, Shape] = {
    "rules": _text("Fingerprint of the catalog: what runs notice."),
    "edition": _text("Digest of the files, comments too."),
    "act": _one(("started", "activated", "rolled-back")),
    "routes": NUMBER,
    "time": TIME,
    "actor": TEXT,
    "as": _text("The person, as the holder of the key said."),
    "reason": TEXT,
    "restores": {**MAYBE, "description": "The record of the activation that a rollback went back to."},
    "record": UUID,
}
_REQUEST: dict[str, Shape] = {
    "id": UUID,
    "asked": {**TIME, "description": "When it was asked for."},
    "until": {**TIME, "description": "When the request expires."},
    "by": _text("The name of the key of whoever asked: somebody else confirms."),
    "messages": {**NUMBER, "description": "How many messages were about the person then."},
}
_EXPECTED: dict[str, Shape] = {
    "expected?": _text("The fingerprint, or its beginning, of the rules that must be in force, or nothing changes."),
    "as?": _text("The person who does it; kept with the reason."),
}
_REASON: dict[str, Shape] = {"reason": _text("Why; the log keeps it.", minLength=1)}
_GATE = _object(
    {
        "places": _number("Calls at once, of this process."),
        "out": _number("Calls under way."),
        "in_line": _number("Those that wait for a place."),
        "turned_away": _number("Calls that come again later: there was no place, or the system is away."),
        "circuit": {**_one(("closed", "open")), "description": "Open: the system is taken to be away."},
        "locked_out": _array(TEXT, "Operations that the system refused because of who asks."),
    },
    more=True,
)
_HOW: dict[str, Shape] = {
    "role": _one(("all", "web", "worker")),
    "time": TIME,
    "rules": _text("The fingerprint of those in force."),
    "routes": NUMBER,
    "adapters": _array(TEXT),
    "engine": {**ANYTHING, "properties": {"gates": {"type": "object", "additionalProperties": _GATE}}},
    "channel": {**ANYTHING, "properties": {"connected": TRUTH}},
    "store": ANYTHING,
    "processes": _array(ANYTHING),
    "anchors": _array(_object({"kind": TEXT, "name": TEXT, "size": NUMBER, "behind": {"type": "number"}, "late": TRUTH})),
}

_SHAPES: dict[str, Mapping[str, Shape]] = {
    "Problem": {
        "type": {**TEXT, "format": "uri", "description": "urn:snodo:error: and the code."},
        "title": TEXT,
        "status": NUMBER,
        "detail": TEXT,
        "instance?": _text("Names this very problem in the bus's own log."),
        "code?": _text("Stable; listed in docs/reference/errors.md."),
        "hint?": _text("What to do next."),
        "faults?": _array(_object({"pointer": TEXT, "sentence": TEXT})),
    },
    "Status": {
        "type": _text("about:blank"),
        "title": TEXT,
        "status": NUMBER,
        "detail": _text("Whether the bus takes messages now."),
        "bus?": {**_object(_HOW, more=True), "description": "How it is; to a key that watches the bus."},
    },
    "Message": {"specversion?": _VERSION, **_ENVELOPE},
    "CloudEvent": {"specversion": _VERSION, **_ENVELOPE},
    "Accepted": _ACCEPTED,
    "Replied": {**_ACCEPTED, "reply": {"description": "What the route replied."}},
    "MessageState": {
        "id": UUID,
        "type": TEXT,
        "time": TIME,
        "sender": TEXT,
        "correlationid?": MAYBE,
        "state": _one(STATES),
        "runs": _list("RunLine"),
        "woke?": _array(UUID, "Of a message that begins no run: the runs that waited for it; none, as long as nothing does."),
        "reply?": {"nullable": True, "description": "What the route replied, if it has."},
        "withheld?": {**TRUTH, "description": "What was said is not shown: you are not its sender, and gave no purpose."},
        "body?": {"nullable": True, "description": "What the message said; to sysadmins and auditors for a purpose."},
        "subject?": {**MAYBE, "description": "Whom it is about; as `body`."},
        "unopened?": {**TEXTS, "description": "Why the reply cannot be opened, where it cannot; as `body`."},
        "attachments?": _array(ANYTHING, "The files that came with it: sha256, name, media_type and size of each; as `body`."),
    },
    "RunLine": _RUN,
    "Run": {
        **_RUN,
        "waits": _array(ANYTHING, "Those that are open, and those that this page tells of."),
        "journal": {**_list("Record"), "description": "In order, the oldest first."},
        "next": _NEXT,
    },
    "Runs": {"runs": _list("RunLine")},
    "Record": {"v": NUMBER, "id": UUID, "kind": TEXT, "time": TIME, "actor": TEXT},
    "Records": {"records": _list("Record"), "next": _NEXT},
    "Case": {
        "case": UUID,
        "state": {**_one(STATES), "description": "Of the whole case, not of this page."},
        "keys": _array(_object({"name": TEXT, "value": TEXT}), "Those that this page tells of."),
        "messages": _array(_object({"id": UUID, "type": TEXT, "time": TIME, "sender": TEXT}), "Those that came in this page."),
        "runs": {**_list("RunLine"), "description": "Those that the messages of this page began."},
        "timeline": {**_list("Record"), "description": "In order, the oldest first."},
        "next": _NEXT,
    },
    "Attachment": {"sha256": TEXT, "size": NUMBER, "media_type": TEXT, "name": TEXT, "links": TEXTS},
    "Service": {
        "codice": TEXT,
        "titolo": TEXT,
        "ufficio": TEXT,
        "tipo": TEXT,
        "messaggio?": _text("Type of the message that asks for it; of an istanza only."),
    },
    "Catalog": {"servizi": _list("Service")},
    "Reports": {"reports": _list("Report")},
    "Report": {"name": TEXT, "title": TEXT, "source": TEXT, "fields": TEXTS},
    "ReportPage": {"lines": _array(ANYTHING), "next": {**NUMBER, "nullable": True}, "unopened?": _list("Unopened")},
    "Unopened": {
        "record": UUID,
        "message": {**UUID, "nullable": True},
        "role": TEXT,
        "why": _text("Why this text cannot be opened, though nobody erased it: the fields that it tells are empty."),
    },
    "ReportAsked": {
        "from": _text("A day (its beginning in Rome), or a moment with its offset."),
        "to": _text("The first moment that is not in the report any more."),
        "purpose": _text("What it is for; the log keeps it.", minLength=3, maxLength=500),
        "after?": {**NUMBER, "description": "`next` of the page before."},
    },
    "DeadLetters": {"dead": _list("RunLine"), "next?": {**UUID, "description": "There are older ones: ask again, `after` this one."}},
    "DeadLetter": {
        "run": UUID,
        "message": UUID,
        "route": TEXT,
        "place": TEXT,
        "path?": MAYBE,
        "code": TEXT,
        "sentence": TEXT,
        "since": TIME,
        "doubt": {**TRUTH, "description": "A call is in doubt: decide, before anything else."},
        "detail": ANYTHING,
        "withheld?": {**TRUTH, "description": "Without sentence and detail: no purpose was given."},
        "evidence?": _array(ANYTHING, "What the other system said in the last try."),
    },
    "Export": {
        "case?": _text("A key of a case."),
        "message?": UUID,
        "from?": _text("Messages accepted from then on: a day, or a moment with its offset."),
        "to?": _text("Messages accepted before then."),
        "purpose": _text("Why; kept in the log with the name of the key's holder.", minLength=3, maxLength=500),
        "payloads?": {**TRUTH, "description": "With what was said, not only that it was."},
    },
    "Search": {
        "find?": _one(FINDS),
        "key?": _text("A key of a case: value or name:value."),
        "type?": _text("Only messages of this type, and what concerns them."),
        "route?": _text("A route, or route@version."),
        "step?": _text("Id of a step."),
        "outcome?": _text("Kinds of records, separated by commas; failed is refused, unanswered, dead."),
        "from?": _text("Recorded from then on: a day, or a moment with its offset."),
        "to?": _text("Recorded before then."),
        "text?": _text("Only messages that say it, in what may be seen of them; takes a purpose. Each page opens `limit` messages."),
        "purpose?": _text(
            "What for; the log keeps it. It takes one to find by text, or by what names a person.", minLength=3, maxLength=500
        ),
        "limit?": {**NUMBER, "minimum": 1, "maximum": MOST, "default": 50},
        "after?": _text("`next` of the page before, with the same question."),
    },
    "Found": {
        "found": _array(ANYTHING, "Records, messages, runs or cases; a page may have fewer than limit."),
        "next": {**MAYBE, "description": "What to send as `after` for the page that follows; null at the end."},
        "unseen": {**NUMBER, "description": "About how many of the newest records were not looked at: they cannot be found yet."},
        "opened?": {**NUMBER, "description": "With `text`: how many messages were opened for this page; those found say `places`."},
        "unreadable?": {**NUMBER, "description": "With `text`: how many of them nobody can open any more."},
    },
    "Replay": {
        "purpose": _text("Why; the log keeps it.", minLength=3, maxLength=500),
        "what?": _text("Id of a run or a message, or a key of a case."),
        "bundle?": _text("SHA-256 of the manifest of a bundle."),
        "from?": TEXT,
        "to?": TEXT,
    },
    "Read": {
        "act": _one(ACTS),
        "purpose": _text("What for; the log keeps it.", minLength=3, maxLength=500),
        "what?": _text("Id of a run or a message, or a key of a case."),
        "from?": TEXT,
        "to?": TEXT,
    },
    "ReadAnnounced": {"record": UUID, "sees": _array(TEXT), "keystore": UUID},
    "Announced": {"record": UUID},
    "Redeliver": {**_REASON, "current_rules?": {**TRUTH, "description": "Under the route as it is now."}},
    "Decide": {
        **_REASON,
        "decision": _one(("happened", "again")),
        "answer?": {**ANYTHING, "description": "What the system answered, if it happened."},
    },
    "Discard": _REASON,
    "Erasure": {
        "subject": _text("A codice fiscale, or what else names the person.", minLength=3, maxLength=200),
        "reason": _text("Why, without naming the person; the log keeps it.", minLength=1),
    },
    "ErasureAsked": {
        "id": UUID,
        "until": {**TIME, "description": "When the request expires."},
        "messages": {**NUMBER, "description": "How many messages are about the person."},
        "files": NUMBER,
        "open": _array(ANYTHING, "Runs that must be over first: id, route, state."),
    },
    "ErasuresAsked": {
        "requests": _array(_object(_REQUEST), "Those that nobody confirmed yet; whom they are about is not said."),
    },
    "ErasureConfirmed": {},
    "Erased": {"id": UUID, "record": UUID, "messages": NUMBER, "files": NUMBER, "lost": _array(TEXT)},
    "Age": {
        "kind": _one(KINDS),
        "before": {**TIME, "nullable": True, "description": "What is older than that may go; null: it is kept for ever."},
        "months": _array(
            _object({"month": TEXT, "held": TEXT, "things": NUMBER, "payloads": NUMBER}),
            "`held` is empty for what goes, else why it does not: open, recent, minimum.",
        ),
        "after": {**MAYBE, "description": "Where to go on; null at the end."},
        "record": {**UUID, "nullable": True},
    },
    "Dispose": {**_REASON, "kind": _one(KINDS), "after?": _text("`after` of the page before.")},
    "Rules": {
        **_ACTIVATION,
        "parts": {**ANYTHING, "description": "Fingerprints of routes, mappings, types, tables and services, by name."},
        "files": {**TEXTS, "description": "SHA-256 of each file."},
        "earlier": _array(
            _object({"route": TEXT, "version": NUMBER, "digest": TEXT, "runs": NUMBER, "dead": NUMBER}),
            "Runs that have not ended and go on under earlier rules; the `dead` among them when a person moves them.",
        ),
        "carried": _array(TEXT, "Types that only runs of earlier rules still need."),
        "processes": _array(ANYTHING),
        "settings": {**TEXTS, "description": "Digest of each section at the start."},
    },
    "Activations": {"activations": _array(_object(_ACTIVATION))},
    "Changed": {"rules": TEXT, "edition": TEXT, "changed": {**TRUTH, "description": "False: they were in force already."}, "record": UUID},
    "Activate": {**_REASON, **_EXPECTED, "files?": {**TEXTS, "description": "Content by path; without it, the process's own folder."}},
    "Rollback": {**_REASON, **_EXPECTED, "steps?": {**NUMBER, "minimum": 1}, "to?": _text("The beginning of a fingerprint.")},
    "Tail": {
        "records": _array(_object({"seq": NUMBER, "id": UUID, "kind": TEXT, "time": TIME, "actor": TEXT}, more=True)),
        "next": {**NUMBER, "description": "What to say as `after` the next time."},
        "at": _text("What to say as `at` then."),
        "put_back?": {
            **TRUTH,
            "description": "The log does not go on from `after`: an older copy of it was put in its place. These are the newest.",
        },
        "hint?": _text("Where nothing was found of a route or system that there is not: that, and which was probably meant."),
    },
    "Top": {
        "time": TIME,
        "seconds": {"type": "number", "description": "How long back the figures look."},
        "received": {"type": "number", "description": "Messages a second."},
        "routes": ANYTHING,
        "adapters": ANYTHING,
        "processes": _array(ANYTHING),
        "rules": TEXT,
    },
}
"""The fields of each schema, by its name; what ends in ``?`` may be missing."""
_OPEN = frozenset({"Problem", "Record", "Service"})
"""May have other fields besides."""
SCHEMAS = {"Schema": ANYTHING, **{name: _object(fields, more=name in _OPEN) for name, fields in _SHAPES.items()}}
