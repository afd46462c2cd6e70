-- `turn`: the order in which runs were accepted; ids of several processes do not tell it. `strikes`: claims whose owner vanished.
-- What stands there already keeps the order of its ids, and new runs come after it.
ALTER TABLE runs ADD COLUMN turn BIGINT;
UPDATE runs SET turn = o.turn FROM (SELECT id, row_number() OVER (ORDER BY id) AS turn FROM runs) o WHERE o.id = runs.id;
ALTER TABLE runs ALTER COLUMN turn SET NOT NULL, ALTER COLUMN turn ADD GENERATED ALWAYS AS IDENTITY;
SELECT setval(pg_get_serial_sequence('runs', 'turn'), (SELECT coalesce(max(turn), 0) + 1 FROM runs), false);
ALTER TABLE runs ADD COLUMN strikes BIGINT NOT NULL DEFAULT 0;
DROP INDEX runs_state;
CREATE INDEX runs_state ON runs (state, due, turn) WHERE state IN ('ready', 'dead');
DROP INDEX runs_case;
CREATE INDEX runs_case ON runs (case_id, state, turn);
-- A row of these changes several times in its short life: room for it in its page, and vacuum before it is a burden.
ALTER TABLE runs SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE waits SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

-- What several processes must know of each other; nothing of it is a projection.
-- Duties that one process has at a time.
CREATE TABLE leases (
    name  TEXT COLLATE "C" PRIMARY KEY,
    owner TEXT COLLATE "C" NOT NULL,
    until TEXT COLLATE "C" NOT NULL,
    fence BIGINT NOT NULL
);

CREATE TABLE processes (
    id      TEXT COLLATE "C" PRIMARY KEY,
    role    TEXT COLLATE "C" NOT NULL,
    host    TEXT COLLATE "C" NOT NULL,
    pid     BIGINT NOT NULL,
    version TEXT COLLATE "C" NOT NULL,
    rules   TEXT COLLATE "C" NOT NULL,
    started TEXT COLLATE "C" NOT NULL,
    seen    TEXT COLLATE "C" NOT NULL
);

-- What they must agree on.
CREATE TABLE marks (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);
UPDATE schema_revision SET revision = 2;
