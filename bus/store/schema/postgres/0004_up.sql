-- Who else vouches for a checkpoint: a witness (its cosigned note), a time-stamping authority (its answer), the protocol register (its number).
CREATE TABLE IF NOT EXISTS anchors (
    kind     TEXT COLLATE "C" NOT NULL,
    name     TEXT COLLATE "C" NOT NULL,
    size     BIGINT NOT NULL,
    time     TEXT COLLATE "C" NOT NULL,
    evidence BYTEA NOT NULL,
    PRIMARY KEY (kind, name, size)
);
CREATE INDEX IF NOT EXISTS anchors_size ON anchors (size);
CREATE OR REPLACE FUNCTION anchors_are_final() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'anchors are final'; END $$;
CREATE OR REPLACE TRIGGER anchors_are_final BEFORE UPDATE OR DELETE OR TRUNCATE ON anchors EXECUTE FUNCTION anchors_are_final();
UPDATE schema_revision SET revision = 4;
