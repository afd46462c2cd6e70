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
-- A value is what is left of [kind, key, value] without the first two and the brackets. A join may look at any payload, whatever its
-- conditions are: each CASE guards its own function.
INSERT OR REPLACE INTO facts SELECT f.adapter, f.kind, f.key, CAST(substr(j.said, 2, length(j.said) - 2) AS BLOB) FROM facts_5 f JOIN (
  SELECT p.id, CASE e.type WHEN 'array' THEN json_extract(e.value, '$[0]') END AS kind,
    CASE e.type WHEN 'array' THEN json_extract(e.value, '$[1]') END AS key,
    CASE e.type WHEN 'array' THEN json_remove(e.value, '$[0]', '$[0]') END AS said
  FROM payloads p JOIN json_each(CASE WHEN json_valid(CAST(p.content AS TEXT)) THEN CAST(p.content AS TEXT) END) e
) j ON j.id = f.payload AND j.kind = f.kind AND j.key = f.key;
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
