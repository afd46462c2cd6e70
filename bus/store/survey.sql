-- What `bus doctor` and /metrics ask of the database: figures only, nobody's data. Understood by SQLite and PostgreSQL alike.

-- name: backlog
SELECT count(*) AS runs, min(due) AS oldest FROM runs WHERE state = 'ready' AND state IN ('ready', 'dead') AND due <= :now

-- How many of them stand behind a dead letter of their case: they wait for a person.
-- name: count_behind_dead
SELECT count(*) AS behind FROM (SELECT case_id, min(turn) AS turn FROM runs WHERE state = 'dead' AND state IN ('ready', 'dead') AND ordered = 1 GROUP BY case_id) AS d
JOIN runs r ON r.case_id = d.case_id AND r.state = (SELECT 'ready') AND r.turn > d.turn WHERE r.ordered = 1 AND r.due <= :now

-- What processes say of their gates.
-- name: gates_at_work
SELECT m.value FROM processes p JOIN marks m ON m.name = 'gates ' || p.id ORDER BY p.id

-- name: dead_by_reason
SELECT coalesce(reason, '') AS reason, count(*) AS runs, min(changed) AS oldest FROM runs WHERE state = 'dead' AND state IN ('ready', 'dead') GROUP BY reason ORDER BY runs DESC, reason

-- name: lanes_of_the_dead
SELECT l.name, l.run FROM lanes l JOIN runs r ON r.id = l.run WHERE r.state = 'dead' ORDER BY l.name

-- name: expired_leases
SELECT owner, count(*) AS runs, min(lease) AS lease FROM runs
WHERE state = 'ready' AND state IN ('ready', 'dead') AND owner IS NOT NULL AND lease < :now GROUP BY owner ORDER BY owner

-- name: processes_at_work
SELECT id, role, host, pid, version, rules, seen FROM processes ORDER BY role, host, pid

-- name: folder_of_attachments
SELECT value FROM marks WHERE name = 'attachments'

-- Files from before payloads were sealed lie under other names.
-- name: newest_attachments
SELECT file FROM attachments WHERE length(payload) = 80 ORDER BY time DESC, file LIMIT 100

-- name: keystore_of_payloads
SELECT value FROM marks WHERE name = 'keystore'

-- A migration ended between its two transactions (`bus.protecting`).
-- name: lies_open
SELECT name FROM marks WHERE name IN ('unprotected', 'laid-open')

-- Commits that are gone: since when, and when a process that had made some found it out (`bus.store.postgres`).
-- name: rolled_back
SELECT substr(name, 13) AS since, value AS found FROM marks WHERE name LIKE 'rolled-back %' ORDER BY value

-- name: oldest_unsealed
SELECT time AS oldest FROM records WHERE seq > coalesce((SELECT last FROM checkpoints ORDER BY size DESC LIMIT 1), 0) ORDER BY seq LIMIT 1

-- name: time_of_last_record
SELECT time FROM records ORDER BY seq DESC LIMIT 1

-- Open runs that were written by a clock which was ahead: what is ready then, or would be after a wait, is due so much later.
-- name: runs_ahead
SELECT count(*) AS runs, max(changed) AS until FROM runs WHERE changed > :now
AND ((state = 'ready' AND state IN ('ready', 'dead') AND due > :now) OR (state = 'waiting' AND state IN ('waiting', 'cancelled')))

-- What tells how long the log was: its last checkpoint, the tree (256 hashes of 32 bytes in a tile), whoever vouched for it, and the first
-- and the last message, of which there is a record. Numbers of records are not given out again: the last one says nothing of those before.
-- name: ends_of_log
SELECT coalesce(max(size), 0) AS size, coalesce(max(last), 0) AS sealed,
  (SELECT coalesce(max(seq), 0) FROM records) AS last,
  (SELECT count(*) FROM records WHERE seq = (SELECT last FROM checkpoints ORDER BY size DESC LIMIT 1)) AS sealed_there,
  (SELECT count(*) FROM (SELECT id FROM (SELECT id FROM messages ORDER BY id LIMIT 1) AS first
    UNION ALL SELECT id FROM (SELECT id FROM messages ORDER BY id DESC LIMIT 1) AS newest) AS m
    WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.message = m.id)) AS untold,
  coalesce((SELECT number * 256 + length(hashes) / 32 FROM tiles WHERE level = 0 ORDER BY number DESC LIMIT 1), 0) AS leaves,
  (SELECT coalesce(max(size), 0) FROM anchors) AS vouched
FROM (SELECT size, last FROM checkpoints ORDER BY size DESC LIMIT 1) AS newest

-- Whether those who vouched for the log can be looked at; of whom, `bus.anchors.lateness` says.
-- name: anchored
SELECT count(*) AS anchors FROM (SELECT 1 FROM anchors LIMIT 1) AS a

-- Whether what the key store is compared with can be looked at, as `anchored`.
-- name: sealed
SELECT (SELECT count(*) FROM (SELECT 1 FROM payloads LIMIT 1) AS p) AS payloads,
  (SELECT count(*) FROM (SELECT 1 FROM erased_keys LIMIT 1) AS k) AS destroyed

-- name: count_pending
SELECT (SELECT max(seq) FROM records) AS records, (SELECT count(*) FROM runs WHERE state = 'ready' AND state IN ('ready', 'dead')) AS ready,
  (SELECT count(*) FROM runs WHERE state = 'dead' AND state IN ('ready', 'dead')) AS dead

-- Goes through all waits: not to be asked often.
-- name: count_waits
SELECT count(*) AS waiting FROM waits WHERE state = 'open'
