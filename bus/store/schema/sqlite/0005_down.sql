-- The tables as revision 4 had them. `bus migrate down` has laid payloads and keys open before (`bus.protecting`).
DELETE FROM marks WHERE name IN ('laid-open', 'unprotected');
DROP INDEX message_keys_message;
DROP TABLE erased_keys;
DROP TABLE holders;
DROP TABLE enclosures;
ALTER TABLE messages RENAME TO messages_5;
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
INSERT INTO messages SELECT m.id, m.type, m.sender, m.time,
  CASE WHEN json_valid(CAST(p.content AS TEXT)) THEN coalesce(json_extract(CAST(p.content AS TEXT), '$.envelope.correlationid'), m.id) ELSE m.id END,
  CASE WHEN json_valid(CAST(p.content AS TEXT)) THEN json_extract(CAST(p.content AS TEXT), '$.envelope.causationid') END,
  m.case_id, m.payload, m.reply FROM messages_5 m LEFT JOIN payloads p ON p.id = m.payload;
DROP TABLE messages_5;
CREATE INDEX messages_case ON messages (case_id, type);
ALTER TABLE facts RENAME TO facts_5;
CREATE TABLE facts (
    adapter TEXT NOT NULL,
    kind    TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   BLOB NOT NULL,
    PRIMARY KEY (adapter, kind, key)
) WITHOUT ROWID;
INSERT OR REPLACE INTO facts SELECT f.adapter, f.kind, f.key, CAST(json_extract(j.value, '$[2]') AS BLOB) FROM facts_5 f JOIN payloads p ON p.id = f.payload
  JOIN json_each(CASE WHEN json_valid(CAST(p.content AS TEXT)) THEN CAST(p.content AS TEXT) ELSE '[]' END) j
  WHERE json_extract(j.value, '$[0]') = f.kind AND json_extract(j.value, '$[1]') = f.key;
DROP TABLE facts_5;
DROP TABLE attachments;
CREATE TABLE attachments (
    sha256     TEXT NOT NULL,
    size       INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    name       TEXT NOT NULL,
    sender     TEXT NOT NULL,
    time       TEXT NOT NULL,
    PRIMARY KEY (sha256, sender)
) WITHOUT ROWID;
PRAGMA user_version = 4;
