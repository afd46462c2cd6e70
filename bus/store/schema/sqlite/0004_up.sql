-- Who else vouches for a checkpoint: a witness (its cosigned note), a time-stamping authority (its answer), the protocol register (its number).
CREATE TABLE IF NOT EXISTS anchors (
    kind     TEXT NOT NULL,
    name     TEXT NOT NULL,
    size     INTEGER NOT NULL,
    time     TEXT NOT NULL,
    evidence BLOB NOT NULL,
    PRIMARY KEY (kind, name, size)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS anchors_size ON anchors (size);
CREATE TRIGGER IF NOT EXISTS anchors_are_never_changed BEFORE UPDATE ON anchors BEGIN SELECT RAISE(ABORT, 'anchors are final'); END;
CREATE TRIGGER IF NOT EXISTS anchors_are_never_deleted BEFORE DELETE ON anchors BEGIN SELECT RAISE(ABORT, 'anchors are final'); END;
PRAGMA user_version = 4;
