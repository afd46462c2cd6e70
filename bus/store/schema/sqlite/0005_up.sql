-- Nothing that a person could be known by stands in a table: tokens (HMAC) and numbers of payloads do. `bus migrate up` seals what lies
-- open and makes the projections again from the log; until then the mark `unprotected` keeps processes of the bus away.
INSERT INTO marks (name, value) SELECT 'unprotected', '5' FROM records LIMIT 1;
ALTER TABLE messages DROP COLUMN correlation;
ALTER TABLE messages DROP COLUMN causation;
DROP TABLE facts;
CREATE TABLE facts (
    adapter TEXT NOT NULL,
    kind    TEXT NOT NULL,
    key     TEXT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (adapter, kind, key)
) WITHOUT ROWID;
CREATE INDEX facts_payload ON facts (payload);
DROP TABLE attachments;
CREATE TABLE attachments (
    file    TEXT NOT NULL,
    sender  TEXT NOT NULL,
    payload TEXT NOT NULL,
    time    TEXT NOT NULL,
    PRIMARY KEY (file, sender)
) WITHOUT ROWID;
-- Which messages have a file with them.
CREATE TABLE enclosures (
    file    TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (file, message)
) WITHOUT ROWID;
CREATE INDEX enclosures_message ON enclosures (message);
-- Whom a message is about.
CREATE TABLE holders (
    holder  TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (holder, message)
) WITHOUT ROWID;
CREATE INDEX holders_message ON holders (message);
CREATE INDEX message_keys_message ON message_keys (message);
-- Keys that were destroyed: a key store restored from a backup is told again.
CREATE TABLE erased_keys (
    key INTEGER PRIMARY KEY
);
PRAGMA user_version = 5;
