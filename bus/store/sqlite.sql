-- What SQLite says in its own way, and cannot be said by the words of bus/store/queries.py. Lists come as JSON arrays.

-- Of intake keys, case keys and what waits would look for (lists of texts), those that there are; all in one question.
-- name: known_among
SELECT 'intake' AS what, k.scope AS first, k.key AS second, '' AS third FROM json_each(:intake) j
JOIN intake_keys k ON k.scope = json_extract(j.value, '$[0]') AND k.key = json_extract(j.value, '$[1]')
UNION ALL
SELECT 'case', k.name, k.value, '' FROM json_each(:case) j
JOIN case_keys k ON k.name = json_extract(j.value, '$[0]') AND k.value = json_extract(j.value, '$[1]') WHERE k.strong = 1
UNION ALL
SELECT 'wait', w.type, w.name, w.value FROM json_each(:waits) j
JOIN waits w ON w.type = json_extract(j.value, '$[0]') AND w.name = json_extract(j.value, '$[1]') AND w.value = json_extract(j.value, '$[2]')
WHERE w.state IN ('open', 'late')

-- Hold on to runs that are ours for longer, and say which of them are.
-- name: hold_runs
UPDATE runs SET lease = :lease
WHERE owner = :owner AND (id, fence) IN (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:claims)) RETURNING id

-- Which of these runs are ours; nobody else gets them before this transaction ends.
-- name: runs_held
SELECT r.id FROM json_each(:claims) j JOIN runs r ON r.id = json_extract(j.value, '$[0]') AND r.fence = json_extract(j.value, '$[1]') WHERE r.owner = :owner

-- Who can go on in the cases of some runs: they themselves, the first in line, who holds a lane. Whoever stands behind these is asked for when they leave.
-- name: runs_behind
WITH mine AS MATERIALIZED (SELECT me.id, me.case_id FROM json_each(:claims) j JOIN runs me ON me.id = json_extract(j.value, '$[0]'))
SELECT r.id FROM runs r WHERE r.id IN (SELECT id FROM mine
  UNION SELECT (SELECT f.id FROM runs f WHERE f.case_id = mine.case_id AND f.state = (SELECT 'ready') AND f.ordered = 1 ORDER BY f.turn LIMIT 1) FROM mine
  UNION SELECT l.run FROM lanes l WHERE (SELECT h.case_id FROM runs h WHERE h.id = l.run) IN (SELECT case_id FROM mine))
AND r.state = (SELECT 'ready') AND r.due <= :now AND (r.lease IS NULL OR r.lease < :now)

-- The first in line of each of some cases.
-- name: runs_first
SELECT f.id FROM json_each(:cases) c JOIN runs f ON f.id =
  (SELECT r.id FROM runs r WHERE r.case_id = c.value AND r.state = (SELECT 'ready') AND r.ordered = 1 ORDER BY r.turn LIMIT 1)

-- name: copy_record buffered
INSERT INTO records (seq, id, kind, time, message, run, content) VALUES (:seq, :id, :kind, :time, :message, :run, :content)

-- name: go_on_counting
SELECT max(seq) AS seq FROM records

-- What is committed is on the disk.
-- name: wait_for_standbys
SELECT 1 AS durable

-- name: make_texts
CREATE TEMPORARY TABLE texts (old TEXT PRIMARY KEY, new TEXT NOT NULL)

-- name: drop_texts
DROP TABLE texts

-- The newest traces of each facet before a place: one row for each, a JSON array of [at, seq].
-- name: newest_traces
SELECT (SELECT json_group_array(json_array(at, seq)) FROM (SELECT at, seq FROM traces
  WHERE facet = j.value AND at >= :since AND (at, seq) < (:at, :seq) ORDER BY at DESC, seq DESC LIMIT :most)) AS found
FROM json_each(:facets) j

-- How many traces some records make, and the first of the records that searches would not find: one that lacks a trace, or that the view `traced` tells
-- otherwise, which whoever owns the database may have replaced. What it should tell is written out here. Traces are asked for one by one, however many there are.
-- name: traces_of
WITH told AS MATERIALIZED (SELECT r.seq, r.kind, r.message, coalesce(r.run, json_extract(j.value, '$.id')) AS run, coalesce(m.type, '') AS type,
  CAST(strftime('%s', substr(r.time, 1, 19)) AS INTEGER) * 1000000 + CAST(substr(r.time, 21, 6) AS INTEGER) AS at,
  coalesce(json_extract(j.value, '$.route') || '@' || json_extract(j.value, '$.version'), json_extract(CAST(r.content AS TEXT), '$.place'), '') AS place
  FROM records r LEFT JOIN messages m ON m.id = r.message
  LEFT JOIN json_each(CASE WHEN r.kind = 'received' THEN CAST(r.content AS TEXT) END, '$.data.runs') j
  WHERE r.seq > :after AND r.seq <= :until),
seen AS MATERIALIZED (SELECT seq, kind, message, run, type, at, place FROM traced WHERE seq > :after AND seq <= :until),
held AS MATERIALIZED (SELECT told.seq, (SELECT max(x.seq) FROM traces x WHERE x.facet = f.id AND x.at = told.at AND x.seq = told.seq) AS found
  FROM (SELECT DISTINCT seq, at, kind, place, type FROM told) told LEFT JOIN facets f ON f.kind = told.kind AND f.place = told.place AND f.type = told.type),
hidden AS (SELECT seq FROM held WHERE found IS NULL UNION ALL SELECT seq FROM (SELECT * FROM told EXCEPT SELECT * FROM seen) x
  UNION ALL SELECT seq FROM (SELECT * FROM seen EXCEPT SELECT * FROM told) y)
SELECT (SELECT count(*) FROM held) AS told, (SELECT min(seq) FROM hidden) AS missing

-- name: intake_keys_unfounded
SELECT k.scope, k.key, k.message FROM (
  SELECT scope, key, message FROM intake_keys WHERE (scope, key) > (:first, :second) ORDER BY scope, key LIMIT :most) k
WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.message = k.message AND r.kind = 'received'
  AND instr(r.content, CAST('["' || k.scope || '","' || k.key || '"]' AS BLOB)) > 0)

-- name: end_of_intake_keys
SELECT scope AS first, key AS second, '' AS third FROM intake_keys
WHERE (scope, key) > (:first, :second) ORDER BY scope, key LIMIT 1 OFFSET :most - 1

-- name: waits_unfounded
WITH stretch AS MATERIALIZED (SELECT run, path FROM waits WHERE (run, path) > (:first, :second) ORDER BY run, path LIMIT :most),
told AS (SELECT r.run, substr(r.content, instr(r.content, CAST('"path":"' AS BLOB)) + 8) AS rest
  FROM records r WHERE r.run IN (SELECT run FROM stretch) AND r.kind IN ('waiting', 'closed'))
SELECT run, path AS what FROM stretch EXCEPT SELECT run, CAST(substr(rest, 1, instr(rest, CAST('"' AS BLOB)) - 1) AS TEXT) FROM told
ORDER BY run, what

-- name: matches_unfounded
WITH stretch AS MATERIALIZED (SELECT run, message FROM matches WHERE (run, message) > (:first, :second) ORDER BY run, message LIMIT :most),
told AS (SELECT r.run, substr(r.content, instr(r.content, CAST('"arrival":"' AS BLOB)) + 11) AS rest
  FROM records r WHERE r.run IN (SELECT run FROM stretch) AND r.kind IN ('matched', 'late'))
SELECT run, message AS what FROM stretch EXCEPT SELECT run, CAST(substr(rest, 1, instr(rest, CAST('"' AS BLOB)) - 1) AS TEXT) FROM told
ORDER BY run, what
