-- SQLite rounds to milliseconds: of a time in the last half of the last one, `strftime` told the next second.
DROP VIEW traced;
CREATE VIEW traced AS
SELECT r.seq, r.kind, r.message, coalesce(r.run, json_extract(j.value, '$.id')) AS run, coalesce(m.type, '') AS type,
  CAST(strftime('%s', substr(r.time, 1, 19)) AS INTEGER) * 1000000 + CAST(substr(r.time, 21, 6) AS INTEGER) AS at,
  coalesce(json_extract(j.value, '$.route') || '@' || json_extract(j.value, '$.version'), json_extract(CAST(r.content AS TEXT), '$.place'), '') AS place
FROM records r LEFT JOIN messages m ON m.id = r.message
LEFT JOIN json_each(CASE WHEN r.kind = 'received' THEN CAST(r.content AS TEXT) END, '$.data.runs') j;
UPDATE traces SET at = coalesce(
  (SELECT CAST(strftime('%s', substr(r.time, 1, 19)) AS INTEGER) * 1000000 + CAST(substr(r.time, 21, 6) AS INTEGER)
   FROM records r WHERE r.seq = traces.seq), at)
WHERE at % 1000000 >= 999000;
PRAGMA user_version = 8;
