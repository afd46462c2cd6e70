-- The log: append-only. `content` is the canonical JSON of the record, and nothing else is evidence; the other columns repeat it for searching.
CREATE TABLE records (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL UNIQUE,
    kind     TEXT NOT NULL,
    time     TEXT NOT NULL,
    message  TEXT,
    run      TEXT,
    content  BLOB NOT NULL
);
CREATE INDEX records_run ON records (run, seq) WHERE run IS NOT NULL;
CREATE INDEX records_message ON records (message, seq) WHERE message IS NOT NULL;
CREATE INDEX records_rules ON records (kind, seq) WHERE kind = 'rules';
CREATE TRIGGER records_are_never_changed BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
CREATE TRIGGER records_are_never_deleted BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;

-- What records commit to, apart from them. `id` is the commitment.
-- With a rowid, because the id is random: rows then stand in the order of writing, and only the index is scattered (half the CPU time).
CREATE TABLE payloads (
    id         TEXT NOT NULL PRIMARY KEY,
    message    TEXT,
    media_type TEXT NOT NULL,
    nonce      BLOB NOT NULL,
    content    BLOB NOT NULL
);

-- Rules by fingerprint, so that a run finishes under those it started with.
CREATE TABLE rules (
    digest  TEXT PRIMARY KEY,
    kind    TEXT NOT NULL,
    content BLOB NOT NULL
) WITHOUT ROWID;

-- Everything below is a projection of the log: `bus.engine.projection` can rebuild it.
CREATE TABLE messages (
    id          TEXT PRIMARY KEY,
    type        TEXT NOT NULL,
    sender      TEXT NOT NULL,
    time        TEXT NOT NULL,
    correlation TEXT NOT NULL,
    causation   TEXT,
    case_id     TEXT NOT NULL,
    payload     TEXT NOT NULL,
    reply       TEXT
) WITHOUT ROWID;
CREATE INDEX messages_case ON messages (case_id, type);

CREATE TABLE message_keys (
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    message TEXT NOT NULL,
    type    TEXT NOT NULL,
    PRIMARY KEY (type, name, value, message)
) WITHOUT ROWID;

-- Idempotent receiver: one row for each way a sender named a message.
CREATE TABLE intake_keys (
    scope   TEXT NOT NULL,
    key     TEXT NOT NULL,
    message TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;

CREATE TABLE cases (
    id     TEXT PRIMARY KEY,
    opened TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE case_keys (
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    case_id TEXT NOT NULL,
    strong  INTEGER NOT NULL,
    PRIMARY KEY (name, value, case_id)
) WITHOUT ROWID;
CREATE INDEX case_keys_case ON case_keys (case_id);
CREATE INDEX case_keys_value ON case_keys (value);

CREATE TABLE runs (
    id       TEXT PRIMARY KEY,
    message  TEXT NOT NULL,
    route    TEXT NOT NULL,
    version  INTEGER NOT NULL,
    digest   TEXT NOT NULL,
    entry    TEXT NOT NULL,
    ordered  INTEGER NOT NULL,
    case_id  TEXT NOT NULL,
    state    TEXT NOT NULL,
    place    TEXT NOT NULL,
    due      TEXT NOT NULL,
    reason   TEXT,
    opened   TEXT NOT NULL,
    changed  TEXT NOT NULL,
    -- the lease is not a projection: it dies with its owner
    owner    TEXT,
    lease    TEXT,
    fence    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX runs_state ON runs (state, due) WHERE state IN ('ready', 'dead');
CREATE INDEX runs_case ON runs (case_id, state);
CREATE INDEX runs_message ON runs (message);

CREATE TABLE waits (
    run      TEXT NOT NULL,
    path     TEXT NOT NULL,
    place    TEXT NOT NULL,
    type     TEXT,
    case_id  TEXT NOT NULL,
    name     TEXT,
    value    TEXT,
    deadline TEXT,
    state    TEXT NOT NULL,
    late     INTEGER NOT NULL,
    PRIMARY KEY (run, path)
) WITHOUT ROWID;
CREATE INDEX waits_by_key ON waits (type, name, value) WHERE name IS NOT NULL;
CREATE INDEX waits_by_case ON waits (case_id, type);
CREATE INDEX waits_deadline ON waits (deadline) WHERE state = 'open' AND deadline IS NOT NULL;

CREATE TABLE matches (
    run     TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (run, message)
) WITHOUT ROWID;

CREATE TABLE facts (
    adapter TEXT NOT NULL,
    kind    TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   BLOB NOT NULL,
    PRIMARY KEY (adapter, kind, key)
) WITHOUT ROWID;

CREATE TABLE sequences (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- Ordered lanes: who holds the last number of a sequence that must be used in order.
CREATE TABLE lanes (
    name TEXT PRIMARY KEY,
    run  TEXT NOT NULL,
    path TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX lanes_run ON lanes (run);

CREATE TABLE attachments (
    sha256     TEXT NOT NULL,
    size       INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    name       TEXT NOT NULL,
    sender     TEXT NOT NULL,
    time       TEXT NOT NULL,
    PRIMARY KEY (sha256, sender)
) WITHOUT ROWID;
PRAGMA user_version = 1;
