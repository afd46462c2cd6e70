-- What searches look at: where the records of a kind stand that tell of a place and of a message's type. Made from the log by the
-- sequencer, some moments behind it, so that accepting pays nothing. Nobody's data is in it.
CREATE TABLE facets (
    id    INTEGER PRIMARY KEY,
    kind  TEXT NOT NULL,
    place TEXT NOT NULL,
    type  TEXT NOT NULL,
    UNIQUE (kind, place, type)
);
CREATE TABLE traces (
    facet INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    PRIMARY KEY (facet, at, seq)
) WITHOUT ROWID;
-- How each record is found; one line for each run that a message opened. `at` is in microseconds since 1970.
CREATE VIEW traced AS
SELECT r.seq, r.kind, r.message, coalesce(r.run, json_extract(j.value, '$.id')) AS run, coalesce(m.type, '') AS type,
  CAST(strftime('%s', r.time) AS INTEGER) * 1000000 + CAST(substr(r.time, 21, 6) AS INTEGER) AS at,
  coalesce(json_extract(j.value, '$.route') || '@' || json_extract(j.value, '$.version'), json_extract(CAST(r.content AS TEXT), '$.place'), '') AS place
FROM records r LEFT JOIN messages m ON m.id = r.message
LEFT JOIN json_each(CASE WHEN r.kind = 'received' THEN CAST(r.content AS TEXT) END, '$.data.runs') j;
PRAGMA user_version = 6;
