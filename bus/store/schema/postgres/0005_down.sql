-- The tables as revision 4 had them. `bus migrate down` has laid payloads and keys open before (`bus.protecting`).
DELETE FROM marks WHERE name IN ('laid-open', 'unprotected');
DROP INDEX message_keys_message;
DROP TABLE erased_keys;
DROP TABLE holders;
DROP TABLE enclosures;
-- What a payload says as JSON, NULL where it is none: it may be empty, another's text, or bytes that nobody can open any more. A join
-- may look at any of them, whatever its conditions are. PostgreSQL reads no JSON with a NUL character in it: that, and the backslash
-- that another one precedes, stand here as escapes which canonical JSON has no use for.
CREATE FUNCTION json_of(content BYTEA) RETURNS json LANGUAGE plpgsql AS $$ BEGIN
  RETURN replace(replace(convert_from(content, 'UTF8'), '\\', '\u005c'), '\u0000', '\ue000')::json;
EXCEPTION WHEN data_exception THEN
  RETURN NULL;
END $$;
ALTER TABLE messages ADD COLUMN correlation TEXT COLLATE "C", ADD COLUMN causation TEXT COLLATE "C";
UPDATE messages m SET correlation = json_of(p.content) #>> '{envelope,correlationid}',
  causation = json_of(p.content) #>> '{envelope,causationid}' FROM payloads p WHERE p.id = m.payload;
UPDATE messages SET correlation = id WHERE correlation IS NULL;
ALTER TABLE messages ALTER COLUMN correlation SET NOT NULL;
ALTER TABLE facts RENAME TO facts_5;
CREATE TABLE facts (
    adapter TEXT COLLATE "C" NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    value   BYTEA NOT NULL,
    CONSTRAINT facts_pkey_4 PRIMARY KEY (adapter, kind, key)
);
INSERT INTO facts SELECT DISTINCT ON (f.adapter, f.kind, f.key) f.adapter, f.kind, f.key,
  convert_to(replace(replace((j.value -> 2)::text, '\ue000', '\u0000'), '\u005c', '\\'), 'UTF8')
FROM facts_5 f JOIN payloads p ON p.id = f.payload, LATERAL (SELECT json_of(p.content) AS said OFFSET 0) s,
  json_array_elements(CASE WHEN json_typeof(s.said) = 'array' THEN s.said END) WITH ORDINALITY j (value, place)
WHERE j.value ->> 0 = f.kind AND j.value ->> 1 = f.key ORDER BY f.adapter, f.kind, f.key, j.place DESC;
DROP FUNCTION json_of;
DROP TABLE facts_5;
ALTER TABLE facts RENAME CONSTRAINT facts_pkey_4 TO facts_pkey;
DROP TABLE attachments;
CREATE TABLE attachments (
    sha256     TEXT COLLATE "C" NOT NULL,
    size       BIGINT NOT NULL,
    media_type TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    sender     TEXT COLLATE "C" NOT NULL,
    time       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (sha256, sender)
);
UPDATE schema_revision SET revision = 4;
