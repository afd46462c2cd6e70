-- `turn`: the order in which runs were accepted; ids of several processes do not tell it. `strikes`: claims whose owner vanished.
-- The turn is the rowid: SQLite counts it by itself, and every index of the table carries it for nothing.
CREATE TABLE runs_2 (
    turn     INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
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
    -- from here on it is no projection: the lease dies with its owner
    owner    TEXT,
    lease    TEXT,
    fence    INTEGER NOT NULL DEFAULT 0,
    strikes  INTEGER NOT NULL DEFAULT 0
);
INSERT INTO runs_2 (id, message, route, version, digest, entry, ordered, case_id, state, place, due, reason, opened, changed, owner, lease, fence)
SELECT id, message, route, version, digest, entry, ordered, case_id, state, place, due, reason, opened, changed, owner, lease, fence
FROM runs ORDER BY id;
DROP TABLE runs;
ALTER TABLE runs_2 RENAME TO runs;
CREATE INDEX runs_state ON runs (state, due) WHERE state IN ('ready', 'dead');
CREATE INDEX runs_case ON runs (case_id, state);
CREATE INDEX runs_message ON runs (message);

-- What several processes must know of each other; nothing of it is a projection.
-- Duties that one process has at a time.
CREATE TABLE leases (
    name  TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    until TEXT NOT NULL,
    fence INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE processes (
    id      TEXT PRIMARY KEY,
    role    TEXT NOT NULL,
    host    TEXT NOT NULL,
    pid     INTEGER NOT NULL,
    version TEXT NOT NULL,
    rules   TEXT NOT NULL,
    started TEXT NOT NULL,
    seen    TEXT NOT NULL
) WITHOUT ROWID;

-- What they must agree on.
CREATE TABLE marks (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 2;
