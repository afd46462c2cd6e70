-- Nothing that a person could be known by stands in a table: tokens (HMAC) and numbers of payloads do. `bus migrate up` seals what lies
-- open and makes the projections again from the log; until then the mark `unprotected` keeps processes of the bus away.
INSERT INTO marks (name, value) SELECT 'unprotected', '5' FROM records LIMIT 1;
ALTER TABLE messages DROP COLUMN correlation;
ALTER TABLE messages DROP COLUMN causation;
DROP TABLE facts;
CREATE TABLE facts (
    adapter TEXT COLLATE "C" NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    payload TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (adapter, kind, key)
);
CREATE INDEX facts_payload ON facts (payload);
DROP TABLE attachments;
CREATE TABLE attachments (
    file    TEXT COLLATE "C" NOT NULL,
    sender  TEXT COLLATE "C" NOT NULL,
    payload TEXT COLLATE "C" NOT NULL,
    time    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (file, sender)
);
-- Which messages have a file with them.
CREATE TABLE enclosures (
    file    TEXT COLLATE "C" NOT NULL,
    message TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (file, message)
);
CREATE INDEX enclosures_message ON enclosures (message);
-- Whom a message is about.
CREATE TABLE holders (
    holder  TEXT COLLATE "C" NOT NULL,
    message TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (holder, message)
);
CREATE INDEX holders_message ON holders (message);
CREATE INDEX message_keys_message ON message_keys (message);
-- Keys that were destroyed: a key store restored from a backup is told again.
CREATE TABLE erased_keys (
    key BIGINT PRIMARY KEY
);
UPDATE schema_revision SET revision = 5;
