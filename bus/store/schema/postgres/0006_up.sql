-- What searches look at: where the records of a kind stand that tell of a place and of a message's type. Made from the log by the
-- sequencer, some moments behind it, so that accepting pays nothing. Nobody's data is in it.
CREATE TABLE facets (
    id    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind  TEXT COLLATE "C" NOT NULL,
    place TEXT COLLATE "C" NOT NULL,
    type  TEXT COLLATE "C" NOT NULL,
    UNIQUE (kind, place, type)
);
CREATE TABLE traces (
    facet BIGINT NOT NULL,
    at    BIGINT NOT NULL,
    seq   BIGINT NOT NULL,
    PRIMARY KEY (facet, at, seq)
);
-- How each record is found; one line for each run that a message opened. `at` is in microseconds since 1970. Only what is wanted of a
-- record is taken as text: a text somewhere else in it may hold what PostgreSQL has no character for.
CREATE VIEW traced AS
SELECT r.seq, r.kind, r.message, coalesce(r.run, j.value -> 'id' #>> '{}') COLLATE "C" AS run, coalesce(m.type, '') COLLATE "C" AS type,
  (extract(epoch FROM r.time::timestamptz) * 1000000)::bigint AS at,
  coalesce((j.value -> 'route' #>> '{}') || '@' || (j.value -> 'version' #>> '{}'), c.line -> 'place' #>> '{}', '') COLLATE "C" AS place
FROM records r CROSS JOIN LATERAL (SELECT convert_from(r.content, 'UTF8')::json AS line OFFSET 0) c LEFT JOIN messages m ON m.id = r.message
LEFT JOIN LATERAL json_array_elements(CASE WHEN r.kind = 'received' THEN c.line -> 'data' -> 'runs' END) j ON true;
UPDATE schema_revision SET revision = 6;
