-- What PostgreSQL says in its own way, and cannot be said by the words of bus/store/queries.py. Lists come as JSON arrays.

-- name: known_among
SELECT 'intake' AS what, k.scope AS first, k.key AS second, '' AS third
FROM jsonb_array_elements((:intake)::jsonb) j JOIN intake_keys k ON k.scope = j ->> 0 AND k.key = j ->> 1
UNION ALL
SELECT 'case', k.name, k.value, '' FROM jsonb_array_elements((:case)::jsonb) j
CROSS JOIN LATERAL (SELECT name, value FROM case_keys WHERE name = j ->> 0 AND value = j ->> 1 AND strong = 1 LIMIT 1) k
UNION ALL
SELECT 'wait', w.type, w.name, w.value FROM jsonb_array_elements((:waits)::jsonb) j
JOIN waits w ON w.type = j ->> 0 AND w.name = j ->> 1 AND w.value = j ->> 2 WHERE w.state IN ('open', 'late')

-- Hold on to runs that are ours for longer, and say which of them are.
-- name: hold_runs
UPDATE runs SET lease = :lease FROM jsonb_array_elements((:claims)::jsonb) j
WHERE runs.owner = :owner AND runs.id = j ->> 0 AND runs.fence = (j ->> 1)::bigint RETURNING runs.id

-- Which of these runs are ours; nobody else gets them before this transaction ends.
-- name: runs_held
SELECT r.id FROM jsonb_array_elements((:claims)::jsonb) j JOIN runs r ON r.id = j ->> 0 AND r.fence = (j ->> 1)::bigint
WHERE r.owner = :owner FOR NO KEY UPDATE OF r

-- Who can go on in the cases of some runs: they themselves, the first in line, who holds a lane. Whoever stands behind these is asked for when they leave.
-- name: runs_behind
WITH mine AS MATERIALIZED (SELECT me.id, me.case_id FROM runs me WHERE me.id = ANY (ARRAY(SELECT j ->> 0 FROM jsonb_array_elements((:claims)::jsonb) j)))
SELECT r.id FROM runs r WHERE r.id = ANY (ARRAY(SELECT id FROM mine
  UNION SELECT (SELECT f.id FROM runs f WHERE f.case_id = mine.case_id AND f.state = (SELECT 'ready') AND f.ordered = 1 ORDER BY f.turn LIMIT 1) FROM mine
  UNION SELECT l.run FROM lanes l WHERE (SELECT h.case_id FROM runs h WHERE h.id = l.run) IN (SELECT case_id FROM mine)))
AND r.state = (SELECT 'ready') AND r.due <= :now AND (r.lease IS NULL OR r.lease < :now)

-- The first in line of each of some cases.
-- name: runs_first
SELECT f.id FROM jsonb_array_elements_text((:cases)::jsonb) c CROSS JOIN LATERAL
  (SELECT r.id FROM runs r WHERE r.case_id = c AND r.state = (SELECT 'ready') AND r.ordered = 1 ORDER BY r.turn LIMIT 1) f

-- name: copy_record buffered
INSERT INTO records (seq, id, kind, time, message, run, content) OVERRIDING SYSTEM VALUE
VALUES (:seq, :id, :kind, :time, :message, :run, :content)

-- name: go_on_counting
SELECT setval(pg_get_serial_sequence('records', 'seq'), max(seq)) AS seq FROM records

-- A transaction that writes nothing does not wait for a synchronous standby: now it does, for all that was committed before it.
-- name: wait_for_standbys
SELECT pg_logical_emit_message(true, 'snodo', '')

-- To the end of the transaction nobody else has the database, and it may take its time; nothing where somebody has it.
-- name: take_alone
SELECT set_config(name, '0', true) FROM pg_settings
WHERE name IN ('idle_in_transaction_session_timeout', 'statement_timeout', 'transaction_timeout')
  AND (SELECT pg_try_advisory_xact_lock(1399745926, quote_ident(current_schema())::regnamespace::oid::int4))

-- name: make_texts
CREATE TEMPORARY TABLE texts (old TEXT COLLATE "C" PRIMARY KEY, new TEXT NOT NULL) ON COMMIT DROP

-- It goes with the transaction: after a DROP TABLE psycopg no longer knows what it has prepared.
-- name: drop_texts
DELETE FROM texts

-- The newest traces of each facet before a place: one row for each, a JSON array of [at, seq].
-- name: newest_traces
SELECT (SELECT json_agg(json_build_array(at, seq)) FROM (SELECT at, seq FROM traces
  WHERE facet = j::bigint AND at >= :since AND (at, seq) < (:at, :seq) ORDER BY at DESC, seq DESC LIMIT :most) AS found)::text AS found
FROM jsonb_array_elements((:facets)::jsonb) j

-- How many traces some records make, and the first of the records that searches would not find: one that lacks a trace, or that the view `traced` tells
-- otherwise, which whoever owns the database may have replaced. What it should tell is written out here. Traces are asked for one by one, however many there are.
-- name: traces_of
WITH told AS MATERIALIZED (SELECT r.seq, r.kind, r.message, coalesce(r.run, j.value -> 'id' #>> '{}') COLLATE "C" AS run, coalesce(m.type, '') COLLATE "C" AS type,
  (extract(epoch FROM r.time::timestamptz) * 1000000)::bigint AS at,
  coalesce((j.value -> 'route' #>> '{}') || '@' || (j.value -> 'version' #>> '{}'), c.line -> 'place' #>> '{}', '') COLLATE "C" AS place
  FROM records r CROSS JOIN LATERAL (SELECT convert_from(r.content, 'UTF8')::json AS line OFFSET 0) c LEFT JOIN messages m ON m.id = r.message
  LEFT JOIN LATERAL json_array_elements(CASE WHEN r.kind = 'received' THEN c.line -> 'data' -> 'runs' END) j ON true
  WHERE r.seq > :after AND r.seq <= :until),
seen AS MATERIALIZED (SELECT seq, kind, message, run, type, at, place FROM traced WHERE seq > :after AND seq <= :until),
held AS MATERIALIZED (SELECT told.seq, (SELECT max(x.seq) FROM traces x WHERE x.facet = f.id AND x.at = told.at AND x.seq = told.seq) AS found
  FROM (SELECT DISTINCT seq, at, kind, place, type FROM told) told LEFT JOIN facets f ON f.kind = told.kind AND f.place = told.place AND f.type = told.type),
hidden AS (SELECT seq FROM held WHERE found IS NULL UNION ALL SELECT seq FROM (SELECT * FROM told EXCEPT SELECT * FROM seen) x
  UNION ALL SELECT seq FROM (SELECT * FROM seen EXCEPT SELECT * FROM told) y)
SELECT (SELECT count(*) FROM held) AS told, (SELECT min(seq) FROM hidden) AS missing

-- As they lie in the table, which is the order in which their messages came: in that of their tokens each would be looked for elsewhere among
-- all records. `first` is the number of a page of the table, which holds 40 of them and more.
-- name: intake_keys_unfounded
SELECT k.scope, k.key, k.message FROM (SELECT scope, key, message FROM intake_keys
  WHERE ctid >= format('(%s,0)', coalesce(nullif(:first, ''), '0'))::tid
    AND ctid < format('(%s,0)', coalesce(nullif(:first, ''), '0')::bigint + :most / 40 + 1)::tid OFFSET 0) k
WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.message = k.message AND r.kind = 'received'
  AND position(convert_to('["' || k.scope || '","' || k.key || '"]', 'UTF8') IN r.content) > 0)

-- name: end_of_intake_keys
SELECT (here.page + :most / 40 + 1)::text AS first, '' AS second, '' AS third FROM (SELECT coalesce(nullif(:first, ''), '0')::bigint AS page) here
WHERE (here.page + :most / 40 + 1) * current_setting('block_size')::bigint < pg_relation_size('intake_keys')

-- name: waits_unfounded
WITH stretch AS MATERIALIZED (SELECT run, path FROM waits WHERE (run, path) > (:first, :second) ORDER BY run, path LIMIT :most),
told AS (SELECT r.run, substring(r.content FROM position('"path":"'::bytea IN r.content) + 8) AS rest
  FROM records r WHERE r.run IN (SELECT run FROM stretch) AND r.kind IN ('waiting', 'closed'))
SELECT run, convert_from(what, 'UTF8') AS what FROM (SELECT run, convert_to(path, 'UTF8') AS what FROM stretch
  EXCEPT SELECT run, substring(rest FROM 1 FOR greatest(position('"'::bytea IN rest) - 1, 0)) FROM told) unfounded
ORDER BY run, what

-- name: matches_unfounded
WITH stretch AS MATERIALIZED (SELECT run, message FROM matches WHERE (run, message) > (:first, :second) ORDER BY run, message LIMIT :most),
told AS (SELECT r.run, substring(r.content FROM position('"arrival":"'::bytea IN r.content) + 11) AS rest
  FROM records r WHERE r.run IN (SELECT run FROM stretch) AND r.kind IN ('matched', 'late'))
SELECT run, convert_from(what, 'UTF8') AS what FROM (SELECT run, convert_to(message, 'UTF8') AS what FROM stretch
  EXCEPT SELECT run, substring(rest FROM 1 FOR greatest(position('"'::bytea IN rest) - 1, 0)) FROM told) unfounded
ORDER BY run, what
