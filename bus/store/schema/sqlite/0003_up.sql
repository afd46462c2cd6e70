-- The Merkle tree over the records, as tiles of 256 hashes (c2sp.org/tlog-tiles): made from the log, kept because roots must never change.
-- `first` is the number (`seq`) of the first record of a tile of level 0 (of others it is 0); a leaf's place is its record's rank from there.
CREATE TABLE IF NOT EXISTS tiles (
    level  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    first  INTEGER NOT NULL,
    PRIMARY KEY (level, number)
);
CREATE INDEX IF NOT EXISTS tiles_first ON tiles (first) WHERE level = 0;
CREATE TRIGGER IF NOT EXISTS tiles_only_grow BEFORE UPDATE ON tiles
WHEN OLD.level <> NEW.level OR OLD.number <> NEW.number OR OLD.first <> NEW.first
  OR substr(NEW.hashes, 1, length(OLD.hashes)) <> OLD.hashes OR length(NEW.hashes) > 8192
BEGIN SELECT RAISE(ABORT, 'tiles only grow'); END;
CREATE TRIGGER IF NOT EXISTS tiles_are_never_deleted BEFORE DELETE ON tiles BEGIN SELECT RAISE(ABORT, 'tiles only grow'); END;

-- Signed heads of the tree; `last` is the number of the last record in it. One for a size, for ever.
CREATE TABLE IF NOT EXISTS checkpoints (
    size  INTEGER PRIMARY KEY,
    root  BLOB NOT NULL,
    last  INTEGER NOT NULL,
    time  TEXT NOT NULL,
    fence INTEGER NOT NULL,
    note  BLOB NOT NULL
);
CREATE TRIGGER IF NOT EXISTS checkpoints_are_never_changed BEFORE UPDATE ON checkpoints BEGIN SELECT RAISE(ABORT, 'checkpoints are final'); END;
CREATE TRIGGER IF NOT EXISTS checkpoints_are_never_deleted BEFORE DELETE ON checkpoints BEGIN SELECT RAISE(ABORT, 'checkpoints are final'); END;
CREATE INDEX IF NOT EXISTS records_keys ON records (seq) WHERE kind = 'keys';

-- Promises to include, signed many at once: the tree over one transaction's messages. `leaves` are its leaf hashes, 32 bytes each.
CREATE TABLE IF NOT EXISTS receipts (
    id     TEXT PRIMARY KEY,
    note   BLOB NOT NULL,
    leaves BLOB NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 3;
