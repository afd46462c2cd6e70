-- Texts are compared byte by byte, as in SQLite, whatever the database's own collation is.
CREATE TABLE schema_revision (revision BIGINT NOT NULL);
INSERT INTO schema_revision VALUES (1);

-- The log: append-only. `content` is the canonical JSON of the record, and nothing else is evidence; the other columns repeat it for searching.
CREATE TABLE records (
    seq      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id       TEXT COLLATE "C" NOT NULL UNIQUE,
    kind     TEXT COLLATE "C" NOT NULL,
    time     TEXT COLLATE "C" NOT NULL,
    message  TEXT COLLATE "C",
    run      TEXT COLLATE "C",
    content  BYTEA NOT NULL
);
CREATE INDEX records_run ON records (run, seq) WHERE run IS NOT NULL;
CREATE INDEX records_message ON records (message, seq) WHERE message IS NOT NULL;
CREATE INDEX records_rules ON records (kind, seq) WHERE kind = 'rules';
CREATE FUNCTION records_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'records are append-only'; END $$;
CREATE TRIGGER records_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON records EXECUTE FUNCTION records_are_append_only();

-- What records commit to, apart from them. `id` is the commitment.
CREATE TABLE payloads (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    message    TEXT COLLATE "C",
    media_type TEXT COLLATE "C" NOT NULL,
    nonce      BYTEA NOT NULL,
    content    BYTEA NOT NULL
);

-- Rules by fingerprint, so that a run finishes under those it started with.
CREATE TABLE rules (
    digest  TEXT COLLATE "C" PRIMARY KEY,
    kind    TEXT COLLATE "C" NOT NULL,
    content BYTEA NOT NULL
);

-- Everything below is a projection of the log: `bus.engine.projection` can rebuild it.
CREATE TABLE messages (
    id          TEXT COLLATE "C" PRIMARY KEY,
    type        TEXT COLLATE "C" NOT NULL,
    sender      TEXT COLLATE "C" NOT NULL,
    time        TEXT COLLATE "C" NOT NULL,
    correlation TEXT COLLATE "C" NOT NULL,
    causation   TEXT COLLATE "C",
    case_id     TEXT COLLATE "C" NOT NULL,
    payload     TEXT COLLATE "C" NOT NULL,
    reply       TEXT COLLATE "C"
);
CREATE INDEX messages_case ON messages (case_id, type);

CREATE TABLE message_keys (
    name    TEXT COLLATE "C" NOT NULL,
    value   TEXT COLLATE "C" NOT NULL,
    message TEXT COLLATE "C" NOT NULL,
    type    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (type, name, value, message)
);

-- Idempotent receiver: one row for each way a sender named a message.
CREATE TABLE intake_keys (
    scope   TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    message TEXT COLLATE "C" NOT NULL,
    content TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (scope, key)
);

CREATE TABLE cases (
    id     TEXT COLLATE "C" PRIMARY KEY,
    opened TEXT COLLATE "C" NOT NULL
);

CREATE TABLE case_keys (
    name    TEXT COLLATE "C" NOT NULL,
    value   TEXT COLLATE "C" NOT NULL,
    case_id TEXT COLLATE "C" NOT NULL,
    strong  BIGINT NOT NULL,
    PRIMARY KEY (name, value, case_id)
);
CREATE INDEX case_keys_case ON case_keys (case_id);
CREATE INDEX case_keys_value ON case_keys (value);

CREATE TABLE runs (
    id       TEXT COLLATE "C" PRIMARY KEY,
    message  TEXT COLLATE "C" NOT NULL,
    route    TEXT COLLATE "C" NOT NULL,
    version  BIGINT NOT NULL,
    digest   TEXT COLLATE "C" NOT NULL,
    entry    TEXT COLLATE "C" NOT NULL,
    ordered  BIGINT NOT NULL,
    case_id  TEXT COLLATE "C" NOT NULL,
    state    TEXT COLLATE "C" NOT NULL,
    place    TEXT COLLATE "C" NOT NULL,
    due      TEXT COLLATE "C" NOT NULL,
    reason   TEXT COLLATE "C",
    opened   TEXT COLLATE "C" NOT NULL,
    changed  TEXT COLLATE "C" NOT NULL,
    -- the lease is not a projection: it dies with its owner
    owner    TEXT COLLATE "C",
    lease    TEXT COLLATE "C",
    fence    BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX runs_state ON runs (state, due) WHERE state IN ('ready', 'dead');
CREATE INDEX runs_case ON runs (case_id, state);
CREATE INDEX runs_message ON runs (message);

CREATE TABLE waits (
    run      TEXT COLLATE "C" NOT NULL,
    path     TEXT COLLATE "C" NOT NULL,
    place    TEXT COLLATE "C" NOT NULL,
    type     TEXT COLLATE "C",
    case_id  TEXT COLLATE "C" NOT NULL,
    name     TEXT COLLATE "C",
    value    TEXT COLLATE "C",
    deadline TEXT COLLATE "C",
    state    TEXT COLLATE "C" NOT NULL,
    late     BIGINT NOT NULL,
    PRIMARY KEY (run, path)
);
CREATE INDEX waits_by_key ON waits (type, name, value) WHERE name IS NOT NULL;
CREATE INDEX waits_by_case ON waits (case_id, type);
CREATE INDEX waits_deadline ON waits (deadline) WHERE state = 'open' AND deadline IS NOT NULL;

CREATE TABLE matches (
    run     TEXT COLLATE "C" NOT NULL,
    message TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run, message)
);

CREATE TABLE facts (
    adapter TEXT COLLATE "C" NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    value   BYTEA NOT NULL,
    PRIMARY KEY (adapter, kind, key)
);

CREATE TABLE sequences (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value BIGINT NOT NULL
);

-- Ordered lanes: who holds the last number of a sequence that must be used in order.
CREATE TABLE lanes (
    name TEXT COLLATE "C" PRIMARY KEY,
    run  TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL
);
CREATE INDEX lanes_run ON lanes (run);

CREATE TABLE attachments (
    sha256     TEXT COLLATE "C" NOT NULL,
    size       BIGINT NOT NULL,
    media_type TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    sender     TEXT COLLATE "C" NOT NULL,
    time       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (sha256, sender)
);
