"""What the API serves, in one table; each line is routed, authorized and described from here."""

from __future__ import annotations

from functools import partial

from bus.engine.inquiry import MOST_RECORDS
from bus.engine.retention import KINDS
from bus.web import auditing, dead, destruction, files, matters, messages, openapi, public, rules
from bus.web.auth import ANYBODY, EVERYBODY, OPERATORS, READERS, SENDERS, WATCHERS
from bus.web.served import Field, Served

JSON, PROBLEM, BYTES, ANYTHING = "application/json", "application/problem+json", "application/octet-stream", "*/*"
CLOUDEVENT = "application/cloudevents+json"
_public, _operation = partial(Served, tag="public"), partial(Served, tag="operation")
_path, _query, _header = partial(Field, place="path"), partial(Field, place="query"), partial(Field, place="header")
_MOST = matters.MOST_RUNS
_ID = {"type": "string", "format": "uuid"}
_PAGE = (
    _query("after", "`next` of the page before.", {"type": "integer", "minimum": 0}),
    _query("limit", "At most so many records.", {"type": "integer", "minimum": 1, "maximum": MOST_RECORDS, "default": MOST_RECORDS}),
)
_PURPOSE = _header("Snodo-Purpose", "What for, 3 to 500 characters, UTF-8; kept in the log. Whoever sent it needs none.")
_MESSAGE = _path("id", "Id of the message, from the answer that accepted it.", _ID)
_DEAD = _path("run", "Id of the run.", _ID)
_TAKEN = ("Location", "Idempotency-Status", "Snodo-Receipt", "Preference-Applied")
_FILE = ("Content-Disposition",)
_DIGESTS = (
    _header("Content-Digest", "sha-256=:base64: (RFC 9530) of the body, compared with what came. Other algorithms are not looked at."),
    _header("Repr-Digest", "As Content-Digest; of what is sent whole both are the same."),
    _header("Digest", "SHA-256=base64, as ModI's INTEGRITY_REST_01 has it (RFC 3230): as Content-Digest."),
)

MESSAGES = (
    Served(
        "send-message", "POST", "/messages", messages.send, "Send a message; with Prefer: wait=N, ask and get the reply", SENDERS,
        {200: ("The reply came in time.", "Replied", JSON), 202: ("The message is durable.", "Accepted", JSON)}, {404},
        (
            _header(
                "Idempotency-Key", "Your key for this message, 1 to 200 signs of printable ASCII: the same key gives the same answer.",
                {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
            ),
            *_DIGESTS,
            _header("Prefer", "wait=N: the seconds you are ready to wait for the reply (RFC 7240)."),
            _header("Traceparent", "W3C Trace Context; kept with the message."),
        ), body={JSON: "Message", CLOUDEVENT: "CloudEvent"}, headers=dict.fromkeys((200, 202), _TAKEN),
    ),
    Served(
        "get-message", "GET", "/messages/{id}", messages.show, "State of a message: its runs, its reply; what was said, for a purpose",
        EVERYBODY, {200: ("The message's state.", "MessageState", JSON)}, {404, 410},
        (_MESSAGE, _PURPOSE),
    ),
    Served(
        "get-receipt", "GET", "/messages/{id}/receipt", messages.receipt, "The signed promise that came with the 202, to be kept",
        EVERYBODY, {200: ("The receipt.", "", "text/plain")}, {404}, (_MESSAGE,),
    ),
    Served(
        "get-case", "GET", "/cases/{key}", matters.case, "A case with all that happened in it", EVERYBODY,
        {200: ("The case.", "Case", JSON)}, {404},
        (_path("key", "A key of the case, as value or name:value; percent-encode a slash."), *_PAGE), tag="cases",
    ),
)  # fmt: skip
FILES = (
    Served(
        "send-attachment", "POST", "/attachments", files.receive, "Send a file, as it is; messages then name its address", SENDERS,
        {201: ("The file is durable.", "Attachment", JSON)}, (),
        (
            _query("name", "Name of the file, where Content-Disposition does not say it."),
            _header("Content-Disposition", "attachment; filename=…"),
            *_DIGESTS,
        ), body={BYTES: "", ANYTHING: ""}, tag="attachments", headers={201: ("Location",)},
    ),
    Served(
        "get-attachment", "GET", "/attachments/{sha256}", files.give, "The file itself", EVERYBODY,
        {200: ("The file.", "", ANYTHING), 304: ("It is the file that If-None-Match names.", "", "")}, {404, 410},
        (
            _path("sha256", "Its address: SHA-256, 64 lowercase hex digits."), _PURPOSE,
            _header("If-None-Match", "The ETag that came with the file: it is not sent again (304)."),
        ), tag="attachments", headers={200: (*_FILE, "Repr-Digest", "ETag"), 304: ("ETag",)},
    ),
)  # fmt: skip
PUBLIC = (
    _public(
        "get-status", "GET", "/status", public.status, "Is the bus up", ANYBODY,
        {200: ("It is up.", "Status", PROBLEM)},
    ),
    _public(
        "get-metrics", "GET", "/metrics", public.show_metrics, "Figures for monitoring, in Prometheus' text format", WATCHERS,
        {200: ("The figures.", "", "text/plain")},
    ),
    _public(
        "get-catalog", "GET", "/catalog", public.services, "The services of the municipality", ANYBODY,
        {200: ("The services.", "Catalog", JSON)},
    ),
    _public(
        "get-service", "GET", "/catalog/{codice}", public.service, "One service", ANYBODY,
        {200: ("The service.", "Service", JSON)}, {404}, (_path("codice", "Code of the service."),),
    ),
    _public(
        "get-type", "GET", "/types/{type}", public.type_schema, "JSON Schema of a message type", ANYBODY,
        {200: ("The schema.", "Schema", "application/schema+json")}, {404}, (_path("type", "Name of the type."),),
    ),
    _public(
        "get-openapi", "GET", "/openapi.json", openapi.show, "This document", ANYBODY,
        {200: ("The document.", "Schema", JSON)},
    ),
)  # fmt: skip
OPERATION = (
    _operation(
        "list-runs", "GET", "/runs", matters.runs, "The newest runs", READERS,
        {200: ("The runs.", "Runs", JSON)}, (),
        (
            _query("state", "Only runs in this state.", {"type": "string", "enum": list(matters.STATES)}),
            _query("route", "Only runs of this route."),
            _query("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": _MOST, "default": 50}),
        ),
    ),
    _operation(
        "get-run", "GET", "/runs/{id}", matters.run, "A run with its journal", READERS,
        {200: ("The run.", "Run", JSON)}, {404}, (_path("id", "Id of the run.", _ID), *_PAGE),
    ),
    _operation(
        "announce-replay", "POST", "/replays", auditing.announce, "Write in the log who is about to replay what, and for what purpose",
        READERS, {200: ("It is written.", "Announced", JSON)}, body={JSON: "Replay"},
    ),
    _operation(
        "announce-read", "POST", "/reads", auditing.read, "Write in the log who is about to show what was said, and for what purpose",
        READERS, {200: ("It is written.", "ReadAnnounced", JSON)}, body={JSON: "Read"},
    ),
    _operation(
        "list-records", "GET", "/log", matters.log, "The log's records of a message, a run or a case", READERS,
        {200: ("The records.", "Records", JSON)}, {404},
        (
            _query("message", "Id of a message.", _ID),
            _query("run", "Id of a run.", _ID),
            _query("case", "Key of a case."),
            *_PAGE,
        ),
    ),
    _operation(
        "search-log", "POST", "/log/search", matters.search,
        "Records, messages, runs or cases by key, type, route, step, outcome and time", READERS,
        {200: ("One page, newest first.", "Found", JSON)}, body={JSON: "Search"},
    ),
    _operation(
        "export", "POST", "/exports", auditing.export, "A bundle: records with their proofs, rules, payloads; verified without us",
        READERS, {200: ("The bundle.", "", "application/zip")}, {404}, body={JSON: "Export"},
        headers={200: _FILE},
    ),
    _operation(
        "list-dead", "GET", "/dead", dead.letters, "Dead letters: runs that need a person", READERS,
        {200: ("A page of the runs, newest first.", "DeadLetters", JSON)}, (),
        (
            _query("code", "Only runs that ended with this code."),
            _query("route", "Only runs of this route."),
            _query("after", "`next` of the page before.", _ID),
            _query("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": _MOST, "default": _MOST}),
        ),
    ),
    _operation(
        "get-dead", "GET", "/dead/{run}", dead.letter, "Why a run is dead", READERS,
        {200: ("The dead letter.", "DeadLetter", JSON)}, {404, 410}, (_DEAD, _PURPOSE),
    ),
    _operation(
        "get-evidence", "GET", "/dead/{run}/evidence/{id}", dead.evidence, "What another system said to a call of a dead run, as it was",
        READERS, {200: ("The bytes.", "", ANYTHING)}, {404, 410},
        (_DEAD, _path("id", "Id of the evidence, from the dead letter."), _PURPOSE), headers={200: _FILE},
    ),
    _operation(
        "get-wire", "GET", "/runs/{run}/evidence/{id}", dead.evidence, "What was said to another system, or by it, in a call of any run",
        READERS, {200: ("The bytes.", "", ANYTHING)}, {404, 410},
        (_DEAD, _path("id", "Id of the payload: of role wire-out or wire-in, in the records of the run or of its message."), _PURPOSE),
        headers={200: _FILE},
    ),
    *(
        _operation(
            f"{verb}-dead", "POST", f"/dead/{{run}}/{verb}", handler, summary, OPERATORS,
            {200: ("The run as it is now.", "Run", JSON)}, {404, 410}, (_DEAD,), body={JSON: schema},
        )
        for verb, handler, summary, schema in (
            ("redeliver", dead.redeliver, "Make a dead run ready again", "Redeliver"),
            ("decide", dead.decide, "Say what became of a call in doubt", "Decide"),
            ("discard", dead.discard, "Give a run up that is dead, or waits", "Discard"),
        )
    ),
)  # fmt: skip
WATCHING = (
    _operation(
        "tail-log", "GET", "/log/tail", matters.tail, "The log as it grows", READERS,
        {200: ("Records.", "Tail", JSON)}, (),
        (
            _query("after", "Only what is behind this number, in order; without it the newest.", {"type": "integer", "minimum": 0}),
            _query("at", "The id of the record of that number, as the answer before said it: a log that was put back is noticed by it."),
            _query("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": MOST_RECORDS, "default": 100}),
            _query("wait", "Seconds to wait for the first one, with after.", {"type": "integer", "minimum": 0, "maximum": 30}),
            _query("route", "Only what tells of this route."),
            _query("adapter", "Only what tells of this adapter."),
            _query("case", "Only what concerns the case with this key."),
            _query("outcome", "Only these kinds of records, separated by commas; failed is refused, unanswered, dead."),
        ),
    ),
    _operation(
        "get-top", "GET", "/top", matters.top, "How busy routes and systems have been in the last minute", READERS | WATCHERS,
        {200: ("Figures.", "Top", JSON)},
    ),
)  # fmt: skip
RULES = (
    _operation(
        "get-rules", "GET", "/rules", rules.show, "The rules in force", READERS,
        {200: ("The rules.", "Rules", JSON)},
    ),
    _operation(
        "list-activations", "GET", "/rules/history", rules.history, "Which rules were in force, and who changed them", READERS,
        {200: ("The activations.", "Activations", JSON)}, (),
        (_query("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": rules.MOST, "default": 50}),),
    ),
    *(
        _operation(
            f"{verb}-rules", "POST", f"/rules/{verb}", handler, summary, OPERATORS,
            {200: ("What is in force now.", "Changed", JSON)}, {404}, body={JSON: schema},
        )
        for verb, handler, summary, schema in (
            ("activate", rules.activate, "Put other rules in force", "Activate"),
            ("rollback", rules.rollback, "Put earlier rules in force again", "Rollback"),
        )
    ),
)  # fmt: skip
SUBJECTS = (
    _operation(
        "ask-erasure", "POST", "/subjects/erasures", destruction.ask, "Ask for the erasure of a person", OPERATORS,
        {200: ("What it would touch; somebody else must confirm.", "ErasureAsked", JSON)}, {404}, body={JSON: "Erasure"},
    ),
    _operation(
        "list-erasures", "GET", "/subjects/erasures", destruction.waiting, "Erasures that wait for a second person", OPERATORS,
        {200: ("All of them.", "ErasuresAsked", JSON)},
    ),
    _operation(
        "confirm-erasure", "POST", "/subjects/erasures/{id}/confirm", destruction.confirm, "Erase the person, for good", OPERATORS,
        {200: ("It is done.", "Erased", JSON)}, {404}, (_path("id", "Id of the request, from whoever asked.", _ID),),
        body={JSON: "ErasureConfirmed"},
    ),
)  # fmt: skip
_KIND = {"type": "string", "enum": list(KINDS)}
RETENTION = (
    _operation(
        "look-at-age", "GET", "/retention", destruction.look, "What is older than it may be, by month; nothing is changed", READERS,
        {200: ("A page.", "Age", JSON)}, (),
        (_query("kind", "Kind of what is kept.", _KIND, required=True), _query("after", "`after` of the page before.")),
    ),
    _operation(
        "dispose", "POST", "/retention", destruction.dispose, "Destroy a page of what is older than it may be, for good", OPERATORS,
        {200: ("It is done.", "Age", JSON)}, body={JSON: "Dispose"},
    ),
)  # fmt: skip
REPORTS = (
    _operation(
        "list-reports", "GET", "/reports", auditing.reports, "The reports that the law asks for", READERS,
        {200: ("The reports.", "Reports", JSON)},
    ),
    _operation(
        "get-report", "POST", "/reports/{name}", auditing.report, "A page of a report; that it was given is recorded", READERS,
        {200: ("The lines.", "ReportPage", JSON)}, {404}, (_path("name", "Name of the report."),), body={JSON: "ReportAsked"},
    ),
)  # fmt: skip
SERVED: tuple[Served, ...] = (*MESSAGES, *FILES, *PUBLIC, *OPERATION, *WATCHING, *RULES, *SUBJECTS, *RETENTION, *REPORTS)
