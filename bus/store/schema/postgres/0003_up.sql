-- The Merkle tree over the records, as tiles of 256 hashes (c2sp.org/tlog-tiles): made from the log, kept because roots must never change.
-- `first` is the number (`seq`) of the first record of a tile of level 0 (of others it is 0); a leaf's place is its record's rank from there.
CREATE TABLE IF NOT EXISTS tiles (
    level  BIGINT NOT NULL,
    number BIGINT NOT NULL,
    hashes BYTEA NOT NULL,
    first  BIGINT NOT NULL,
    PRIMARY KEY (level, number)
);
CREATE INDEX IF NOT EXISTS tiles_first ON tiles (first) WHERE level = 0;
CREATE OR REPLACE FUNCTION tiles_only_grow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF TG_OP = 'UPDATE' AND OLD.level = NEW.level AND OLD.number = NEW.number AND OLD.first = NEW.first
     AND substring(NEW.hashes FROM 1 FOR length(OLD.hashes)) = OLD.hashes AND length(NEW.hashes) <= 8192 THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'tiles only grow';
END $$;
CREATE OR REPLACE TRIGGER tiles_only_grow BEFORE UPDATE OR DELETE ON tiles FOR EACH ROW EXECUTE FUNCTION tiles_only_grow();
CREATE OR REPLACE TRIGGER tiles_are_never_emptied BEFORE TRUNCATE ON tiles EXECUTE FUNCTION tiles_only_grow();

-- Signed heads of the tree; `last` is the number of the last record in it. One for a size, for ever.
CREATE TABLE IF NOT EXISTS checkpoints (
    size  BIGINT PRIMARY KEY,
    root  BYTEA NOT NULL,
    last  BIGINT NOT NULL,
    time  TEXT COLLATE "C" NOT NULL,
    fence BIGINT NOT NULL,
    note  BYTEA NOT NULL
);
CREATE OR REPLACE FUNCTION checkpoints_are_final() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'checkpoints are final'; END $$;
CREATE OR REPLACE TRIGGER checkpoints_are_final BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoints EXECUTE FUNCTION checkpoints_are_final();
CREATE INDEX IF NOT EXISTS records_keys ON records (seq) WHERE kind = 'keys';

-- Promises to include, signed many at once: the tree over one transaction's messages. `leaves` are its leaf hashes, 32 bytes each.
CREATE TABLE IF NOT EXISTS receipts (
    id     TEXT COLLATE "C" PRIMARY KEY,
    note   BYTEA NOT NULL,
    leaves BYTEA NOT NULL
);
UPDATE schema_revision SET revision = 3;
