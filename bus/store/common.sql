-- Queries that SQLite and PostgreSQL understand alike. Parameters are named; times are RFC 3339 text in UTC.

-- name: add_record buffered
INSERT INTO records (id, kind, time, message, run, content) VALUES (:id, :kind, :time, :message, :run, :content)

-- name: add_payload buffered
INSERT INTO payloads (id, message, media_type, nonce, content) VALUES (:id, :message, :media_type, :nonce, :content)

-- name: payload
SELECT content, nonce, media_type FROM payloads WHERE id = :id

-- Only for laying open and sealing again; a payload's row is never changed otherwise.
-- name: set_payload
UPDATE payloads SET content = :content WHERE id = :id

-- name: drop_payloads
DELETE FROM payloads WHERE id IN :list(payloads)

-- Texts and tokens change places in all rows at once (`bus.protecting`). Each row looks for its own: as IN, each text would look through
-- all rows of a table in which nothing is found by its value alone.
-- name: add_text
INSERT INTO texts (old, new) VALUES (:old, :new) ON CONFLICT DO NOTHING

-- name: tell_message_keys
UPDATE message_keys SET value = (SELECT new FROM texts WHERE old = value) WHERE (SELECT new FROM texts WHERE old = value) IS NOT NULL

-- name: tell_case_keys
UPDATE case_keys SET value = (SELECT new FROM texts WHERE old = value) WHERE (SELECT new FROM texts WHERE old = value) IS NOT NULL

-- name: tell_waits
UPDATE waits SET value = (SELECT new FROM texts WHERE old = value) WHERE (SELECT new FROM texts WHERE old = value) IS NOT NULL

-- name: tell_intake_keys
UPDATE intake_keys SET key = coalesce((SELECT new FROM texts WHERE old = key), key),
  content = coalesce((SELECT new FROM texts WHERE old = content), content)

-- name: tell_facts
UPDATE facts SET key = (SELECT new FROM texts WHERE old = key) WHERE (SELECT new FROM texts WHERE old = key) IS NOT NULL

-- name: records_of_run
SELECT seq, content FROM records WHERE run = :run ORDER BY seq

-- name: page_of_run
SELECT seq, content FROM records WHERE run = :id AND seq > :after ORDER BY seq LIMIT :most

-- name: page_of_message
SELECT seq, content FROM records WHERE message = :id AND seq > :after ORDER BY seq LIMIT :most

-- Numbers are found in an index, and only what is shown is read.
-- name: page_of_case
SELECT seq, content FROM records WHERE seq IN (SELECT r.seq FROM messages m JOIN records r ON r.message = m.id
  WHERE m.case_id = :id AND r.seq > :after ORDER BY r.seq LIMIT :most) ORDER BY seq

-- What replay and plan read, some hundred messages at a time.
-- name: newest_received
SELECT seq, message, content FROM records WHERE kind = 'received' ORDER BY seq DESC LIMIT :most

-- name: first_received
SELECT seq, message, content FROM records WHERE kind = 'received' ORDER BY seq LIMIT 1

-- The messages that were accepted in a time, by the log itself: a trace that is not there would hide them.
-- name: received_between
SELECT seq, message, content FROM records
WHERE seq > :after AND seq <= :top AND kind = 'received' AND time >= :since AND time < :until ORDER BY seq LIMIT :most

-- name: accesses_before
SELECT content FROM records WHERE kind = 'access' AND seq < :seq ORDER BY seq DESC LIMIT :most

-- name: message_payloads_among
SELECT id, payload FROM messages WHERE id IN :list(messages)

-- name: message_sizes_among
SELECT m.id, length(p.content) AS size FROM messages m JOIN payloads p ON p.id = m.payload WHERE m.id IN :list(messages)

-- name: runs_among_messages
SELECT id, message, route, version, digest, entry, state, place FROM runs WHERE message IN :list(messages) ORDER BY message, id

-- What these messages woke: the messages of the runs that waited for them, found as in `runs_woken_by`.
-- name: messages_of_woken
SELECT r.message FROM messages s JOIN runs r ON r.case_id = s.case_id JOIN matches m ON m.run = r.id AND m.message = s.id
WHERE s.id IN :list(messages)
UNION SELECT r.message FROM message_keys k JOIN waits w ON w.type = k.type AND w.name = k.name AND w.value = k.value
JOIN matches m ON m.run = w.run AND m.message = k.message JOIN runs r ON r.id = m.run WHERE k.message IN :list(messages)
ORDER BY 1

-- Runs that were given this message while they waited: they are of its case, or waited for a key of it that joins no cases.
-- name: runs_woken_by
SELECT r.id FROM messages s JOIN runs r ON r.case_id = s.case_id JOIN matches m ON m.run = r.id AND m.message = s.id WHERE s.id = :message
UNION SELECT m.run FROM message_keys k JOIN waits w ON w.type = k.type AND w.name = k.name AND w.value = k.value
JOIN matches m ON m.run = w.run AND m.message = k.message WHERE k.message = :message
ORDER BY 1

-- name: records_among_runs
SELECT run, content FROM records WHERE run IN :list(runs) ORDER BY seq

-- name: waits_open_among
SELECT run, path FROM waits WHERE run IN :list(runs) AND state = 'open'

-- name: journals_counted
SELECT run, count(*) AS records FROM records WHERE run IN :list(runs) GROUP BY run

-- Of some messages the records of one kind.
-- name: records_of_kind_among
SELECT message, content FROM records WHERE message IN :list(messages) AND kind = :kind ORDER BY seq

-- name: payloads_among
SELECT id, message, media_type, nonce, content FROM payloads WHERE id IN :list(payloads)

-- name: records_of_kinds
SELECT seq, content FROM records WHERE seq > :after AND kind IN :list(kinds) ORDER BY seq LIMIT :most

-- Of kinds that the index `records_seldom` has, whose words these are; what lies between them is not read.
-- name: records_of_seldom_kinds
SELECT seq, content FROM records WHERE seq IN (
  SELECT seq FROM records WHERE kind IN ('access', 'decided', 'discarded', 'disposed', 'erased', 'erasure', 'exported', 'read', 'redelivered', 'replayed', 'rules', 'served')
  AND kind IN :list(kinds) AND seq > :after ORDER BY seq LIMIT :most) ORDER BY seq

-- name: first_of_seldom_kinds
SELECT min(seq) AS seq FROM records WHERE kind IN ('access', 'decided', 'discarded', 'disposed', 'erased', 'erasure', 'exported', 'read', 'redelivered', 'replayed', 'rules', 'served')
AND kind IN :list(kinds) AND time >= :since AND time < :until AND seq > :after

-- name: record_from
SELECT seq, time FROM records WHERE seq >= :seq ORDER BY seq LIMIT 1

-- The first record behind one that is of a time which has come.
-- name: first_of_a_time
SELECT time FROM records WHERE seq > :after AND time <= :now ORDER BY seq LIMIT 1

-- name: newest_record
SELECT seq FROM records ORDER BY seq DESC LIMIT 1

-- name: records_after
SELECT seq, content FROM records WHERE seq > :after ORDER BY seq LIMIT :most

-- name: newest_records
SELECT seq, content FROM records ORDER BY seq DESC LIMIT :most

-- name: runs_opened
SELECT id, opened FROM runs WHERE id IN :list(runs)

-- name: ready_and_dead
SELECT route, state, count(*) AS runs FROM runs WHERE state IN ('ready', 'dead') GROUP BY route, state

-- name: add_rules
INSERT INTO rules (digest, kind, content) VALUES (:digest, :kind, :content) ON CONFLICT (digest) DO NOTHING

-- name: rules
SELECT content FROM rules WHERE digest = :digest

-- name: rules_among
SELECT digest, content FROM rules WHERE digest IN :list(digests)

-- name: newest_rules
SELECT content FROM records WHERE kind = 'rules' ORDER BY seq DESC LIMIT :most

-- name: runs_by_plan
SELECT route, version, digest, count(*) AS runs, sum(CASE WHEN state = 'dead' THEN 1 ELSE 0 END) AS dead FROM (
  SELECT route, version, digest, state FROM runs WHERE state IN ('ready', 'dead')
  UNION ALL SELECT route, version, digest, state FROM runs WHERE state = 'waiting' AND state IN ('waiting', 'cancelled')) AS unended
GROUP BY route, version, digest ORDER BY route, version

-- name: late_wait_for
SELECT run FROM waits WHERE type = :type AND state = 'late' LIMIT 1

-- name: add_message buffered
INSERT INTO messages (id, type, sender, time, case_id, payload) VALUES (:id, :type, :sender, :time, :case_id, :payload)

-- name: message
SELECT id, type, sender, time, case_id, payload, reply FROM messages WHERE id = :id

-- name: messages_of_case
SELECT id, type, sender, time, case_id, payload, reply FROM messages WHERE case_id = :case_id ORDER BY id

-- name: sends_in_case
SELECT id FROM messages WHERE case_id = :case_id AND sender = :sender LIMIT 1

-- name: set_reply buffered
UPDATE messages SET reply = :reply WHERE id = :id

-- name: move_messages
UPDATE messages SET case_id = :into WHERE case_id = :gone

-- name: add_message_key buffered
INSERT INTO message_keys (name, value, message, type) VALUES (:name, :value, :message, :type) ON CONFLICT DO NOTHING

-- name: add_intake_key buffered
INSERT INTO intake_keys (scope, key, message, content) VALUES (:scope, :key, :message, :content)

-- name: intake_key
SELECT message, content FROM intake_keys WHERE scope = :scope AND key = :key

-- name: add_case buffered
INSERT INTO cases (id, opened) VALUES (:id, :opened) ON CONFLICT DO NOTHING

-- name: drop_case
DELETE FROM cases WHERE id = :id

-- name: case_of_key
SELECT case_id FROM case_keys WHERE name = :name AND value = :value AND strong = 1

-- name: cases_by_value
SELECT DISTINCT case_id, name, strong FROM case_keys WHERE value = :value AND (:name IS NULL OR name = :name)

-- name: add_case_key buffered
INSERT INTO case_keys (name, value, case_id, strong) VALUES (:name, :value, :case_id, :strong) ON CONFLICT DO NOTHING

-- Names of keys that two cases have, each with other values: no strong key belongs to two.
-- name: names_of_both_cases
SELECT DISTINCT name FROM case_keys WHERE case_id = :one AND strong = 1
  AND name IN (SELECT name FROM case_keys WHERE case_id = :other AND strong = 1) ORDER BY name

-- name: copy_case_keys
INSERT INTO case_keys (name, value, case_id, strong) SELECT name, value, :into, strong FROM case_keys WHERE case_id = :gone ON CONFLICT DO NOTHING

-- name: drop_case_keys
DELETE FROM case_keys WHERE case_id = :case_id

-- name: add_run buffered
INSERT INTO runs (id, message, route, version, digest, entry, ordered, case_id, state, place, due, opened, changed)
VALUES (:id, :message, :route, :version, :digest, :entry, :ordered, :case_id, 'ready', :place, :time, :time, :time)

-- name: run
SELECT id, message, route, version, digest, entry, ordered, case_id, state, place, due, reason, opened, changed, owner, lease, fence FROM runs WHERE id = :id

-- name: runs_that_wait
SELECT id, message, route, version, digest, ordered FROM runs WHERE id IN :list(runs)

-- name: runs_of_message
SELECT id, message, route, version, digest, entry, ordered, case_id, state, place, due, reason, opened, changed, owner, lease, fence FROM runs WHERE message = :message ORDER BY id

-- One that is ready is running while somebody has it.
-- name: states_of_case
SELECT DISTINCT CASE WHEN state = 'ready' AND owner IS NOT NULL AND lease >= :now THEN 'running' ELSE state END AS state
FROM runs WHERE case_id = :case_id

-- name: runs_by_state
SELECT id, message, route, version, digest, entry, ordered, case_id, state, place, due, reason, opened, changed, owner, lease, fence FROM runs
WHERE (:state IS NULL OR state = :state) AND (:route IS NULL OR route = :route) ORDER BY id DESC LIMIT :most

-- The same of those that are ready or dead, by their index: a few among all that there ever were. :held is yes for those that somebody has
-- now, no for those that nobody has, and empty for all.
-- name: runs_ready_or_dead
WITH found AS MATERIALIZED (SELECT id FROM runs WHERE state = :state AND state IN ('ready', 'dead') AND (:route IS NULL OR route = :route)
  AND (:held = '' OR :held = CASE WHEN owner IS NOT NULL AND lease >= :now THEN 'yes' ELSE 'no' END))
SELECT id, message, route, version, digest, entry, ordered, case_id, state, place, due, reason, opened, changed, owner, lease, fence FROM runs
WHERE id IN (SELECT id FROM found ORDER BY id DESC LIMIT :most) ORDER BY id DESC

-- Those that are dead, by the same index: of one code, of one route, behind one on the page before.
-- name: dead_letters
WITH found AS MATERIALIZED (SELECT id FROM runs WHERE state = 'dead' AND state IN ('ready', 'dead') AND (:code IS NULL OR reason = :code)
  AND (:route IS NULL OR route = :route) AND (:after IS NULL OR id < :after))
SELECT id, message, route, version, digest, entry, ordered, case_id, state, place, due, reason, opened, changed, owner, lease, fence FROM runs
WHERE id IN (SELECT id FROM found ORDER BY id DESC LIMIT :most) ORDER BY id DESC

-- The same of those that wait or were cancelled, by theirs.
-- name: runs_waiting_or_cancelled
SELECT id, message, route, version, digest, entry, ordered, case_id, state, place, due, reason, opened, changed, owner, lease, fence FROM runs
WHERE state = :state AND state IN ('waiting', 'cancelled') AND (:route IS NULL OR route = :route) ORDER BY id DESC LIMIT :most

-- The same of one route, by theirs: in each state in which runs lie.
-- name: runs_of_route
SELECT id, message, route, version, digest, entry, ordered, case_id, state, place, due, reason, opened, changed, owner, lease, fence FROM runs
WHERE route = :route AND state = :state AND state IN ('done', 'waiting', 'cancelled') ORDER BY id DESC LIMIT :most

-- name: move_runs
UPDATE runs SET case_id = :into WHERE case_id = :gone

-- Whoever had the run and left it in this state has it no more.
-- name: set_run buffered
UPDATE runs SET state = :state, due = :due, place = :place, changed = :time, reason = :reason, owner = NULL, lease = NULL WHERE id = :id

-- name: wake_run buffered
UPDATE runs SET state = 'ready', due = CASE WHEN state = 'ready' AND due < :time THEN due ELSE :time END,
changed = :time WHERE id = :id AND state IN ('waiting', 'ready')

-- name: rule_run
UPDATE runs SET digest = :digest, version = :version WHERE id = :id

-- Claim the runs among :runs that can be claimed: ready and due, held by nobody, and nothing of their case before them (`turn` is the
-- order of acceptance). One that holds an ordered lane goes before its case, because all cases wait for it. Of one case, one is claimed.
-- A claim whose owner vanished is a strike. A run with two may be what ended its owners: a suspect. It is claimed alone, and before those
-- without, who may wait for a lane that it holds; with :suspects 0 not at all. `strikes` counts this claim in.
-- A planner whose statistics are of a quiet hour takes the index of all that is ready for empty, and walks through the whole backlog for
-- each run if it may. It may not: named runs are fetched first, and a state that is asked for as (SELECT …) is not known to be in that index.
-- name: claim_runs
WITH named AS MATERIALIZED (SELECT id, case_id, ordered, state, due, turn, strikes, owner, lease FROM runs WHERE id IN :list(runs)
), wanted AS (
  SELECT n.id, n.case_id, n.ordered, n.due, n.turn, n.strikes + CASE WHEN n.owner IS NULL THEN 0 ELSE 1 END > 1 AS struck,
         EXISTS (SELECT 1 FROM lanes l WHERE l.run = n.id) AS lane
  FROM named n WHERE n.state = 'ready' AND n.due <= :now AND (n.lease IS NULL OR n.lease < :now)
    AND (:suspects = 1 OR n.strikes + CASE WHEN n.owner IS NULL THEN 0 ELSE 1 END < 2)
), free AS (
  SELECT w.id, w.ordered, w.due, w.turn, w.struck, row_number() OVER (PARTITION BY w.case_id, w.ordered ORDER BY w.lane DESC, w.turn) AS place
  FROM wanted w WHERE w.ordered = 0 OR (
    (w.lane OR NOT EXISTS (SELECT 1 FROM runs o WHERE o.case_id = w.case_id AND o.turn < w.turn AND o.ordered = 1
      AND o.state IN ((SELECT 'ready'), (SELECT 'dead'))))
    AND NOT EXISTS (SELECT 1 FROM runs o WHERE o.case_id = w.case_id AND o.state = (SELECT 'ready') AND o.id <> w.id AND o.ordered = 1
      AND o.owner IS NOT NULL AND o.lease >= :now))
), head AS (
  SELECT id, struck FROM free WHERE ordered = 0 OR place = 1 ORDER BY struck DESC, due, turn LIMIT 1
)
UPDATE runs SET owner = :owner, lease = :lease, fence = fence + 1, strikes = strikes + CASE WHEN owner IS NULL THEN 0 ELSE 1 END
WHERE id IN (SELECT f.id FROM free f, head h
  WHERE (f.ordered = 0 OR f.place = 1) AND (f.id = h.id OR NOT h.struck))
RETURNING id, message, route, version, digest, entry, case_id, due, fence, strikes, turn

-- Runs that were never claimed and are alone in their case, as nearly all are when they are opened: nobody goes before them. As `claim_run` leaves them.
-- name: runs_alone
SELECT id, message, route, version, digest, entry, case_id, due, fence + 1 AS fence, strikes, turn FROM runs
WHERE id IN :list(runs) AND state = (SELECT 'ready') AND due <= :now AND fence = 0 AND owner IS NULL AND lease IS NULL
  AND NOT EXISTS (SELECT 1 FROM runs o WHERE o.case_id = runs.case_id AND o.id <> runs.id)

-- Nobody else knows the run yet: this transaction has opened it.
-- name: claim_run buffered
UPDATE runs SET owner = :owner, lease = :lease, fence = fence + 1 WHERE id = :id

-- Runs that were never claimed, of some rules.
-- name: runs_unbegun
SELECT id, digest FROM runs WHERE id IN :list(runs) AND digest IN :list(rules) AND state = (SELECT 'ready') AND fence = 0 AND entry = '' AND owner IS NULL

-- Runs that were never claimed: nobody takes them for a while.
-- name: leave_alone
UPDATE runs SET lease = :until WHERE id IN :list(runs) AND fence = 0 AND owner IS NULL

-- Something came of the claim: nothing earlier counts against them.
-- name: forget_strikes
UPDATE runs SET strikes = 0 WHERE id IN :list(runs)

-- A person sends on what was parked as poison: it is worked apart.
-- name: suspect
UPDATE runs SET strikes = :strikes WHERE id = :id

-- Nobody holds it, and nobody takes it for a while; with :until NULL it can be had at once.
-- name: pause_run
UPDATE runs SET owner = NULL, lease = :until WHERE id = :id AND fence = :fence AND owner = :owner

-- They may be had again at once.
-- name: end_pauses
UPDATE runs SET lease = NULL WHERE id IN :list(runs) AND owner IS NULL

-- name: release_owner
UPDATE runs SET owner = NULL, lease = NULL WHERE state = 'ready' AND state IN ('ready', 'dead') AND owner = :owner

-- Take-over: whoever held them, or left them alone for a while, is no more.
-- name: release_all
UPDATE runs SET owner = NULL, lease = NULL, strikes = strikes + CASE WHEN owner IS NULL THEN 0 ELSE 1 END
WHERE state = 'ready' AND state IN ('ready', 'dead') AND lease IS NOT NULL

-- Its owner is no more; as if the lease had run out.
-- name: void_claims
UPDATE runs SET owner = NULL, lease = NULL, strikes = strikes + 1 WHERE state = 'ready' AND state IN ('ready', 'dead') AND owner = :owner

-- Those that can be claimed, as in `claim_runs`: runs that stand behind others of their case must not fill the page and hide the rest.
-- With :suspects 0 as if there were no suspects (see `claim_runs`). Of :long cases only :firsts are looked at, and who holds a lane.
-- What was due before :since is not looked at; '' is before all.
-- Who looks at what is ready, here and elsewhere, says the condition of its index too: else SQLite walks through all runs there ever were.
-- name: runs_to_ring
SELECT r.id, r.strikes + CASE WHEN r.owner IS NULL THEN 0 ELSE 1 END AS strikes
FROM runs r WHERE r.state = 'ready' AND r.state IN ('ready', 'dead') AND r.due <= :now AND r.due >= :since AND (r.lease IS NULL OR r.lease < :now)
  AND (:suspects = 1 OR r.strikes + CASE WHEN r.owner IS NULL THEN 0 ELSE 1 END < 2)
  AND (r.ordered = 0 OR (
    (EXISTS (SELECT 1 FROM lanes l WHERE l.run = r.id)
      OR (NOT r.case_id IN :list(long) OR r.id IN :list(firsts)) AND NOT EXISTS (SELECT 1 FROM runs o WHERE o.case_id = r.case_id AND o.turn < r.turn AND o.ordered = 1
        AND o.state IN ((SELECT 'ready'), (SELECT 'dead'))))
    AND NOT EXISTS (SELECT 1 FROM runs o WHERE o.case_id = r.case_id AND o.state = (SELECT 'ready') AND o.id <> r.id AND o.ordered = 1
      AND o.owner IS NOT NULL AND o.lease >= :now)))
ORDER BY r.due, r.turn LIMIT :most

-- The suspects (see `claim_runs`) that hold an ordered lane, for which others wait, and can be claimed.
-- name: suspects_with_lane
SELECT r.id, r.strikes + CASE WHEN r.owner IS NULL THEN 0 ELSE 1 END AS strikes
FROM lanes l CROSS JOIN runs r WHERE r.id = l.run AND r.state = (SELECT 'ready') AND r.due <= :now AND (r.lease IS NULL OR r.lease < :now)
  AND r.strikes + CASE WHEN r.owner IS NULL THEN 0 ELSE 1 END > 1
  AND (r.ordered = 0 OR NOT EXISTS (SELECT 1 FROM runs o WHERE o.case_id = r.case_id AND o.state = (SELECT 'ready') AND o.id <> r.id AND o.ordered = 1
    AND o.owner IS NOT NULL AND o.lease >= :now))
ORDER BY r.due, r.turn

-- Cases in which many runs stand in line: behind a dead letter, or behind each other.
-- name: long_cases
SELECT case_id FROM runs WHERE state = 'ready' AND state IN ('ready', 'dead') AND due <= :now AND ordered = 1
GROUP BY case_id HAVING count(*) >= :many ORDER BY count(*) DESC, case_id LIMIT :most

-- How many are due, up to a bound.
-- name: count_ready
SELECT count(*) AS ready FROM (SELECT 1 AS one FROM runs WHERE state = 'ready' AND state IN ('ready', 'dead') AND due <= :now LIMIT :most) AS found

-- Those that somebody left alone for a while and would be ready else.
-- name: runs_paused
SELECT id FROM runs WHERE state = 'ready' AND state IN ('ready', 'dead') AND due <= :now AND owner IS NULL AND lease >= :now
ORDER BY due, turn LIMIT :most

-- Runs that were due at once when they were written, or were put off at a time that has not come yet (:apart, see `bus.clock.APART`), by
-- a clock that was ahead of the present one. Also those that somebody has: he may end.
-- name: runs_of_a_fast_clock
SELECT id, CASE WHEN due > :apart THEN 1 ELSE 0 END AS far FROM runs WHERE state = 'ready' AND state IN ('ready', 'dead') AND due > :now AND (changed >= due OR changed > :apart)
ORDER BY due, turn LIMIT :most

-- name: make_due
UPDATE runs SET due = :now WHERE id IN :list(runs) AND state = 'ready' AND due > :now AND (changed >= due OR changed > :apart)

-- Claims (until :held) and pauses (until :paused) that end later than any is given for.
-- name: leases_of_a_fast_clock
SELECT id, lease FROM runs WHERE state = 'ready' AND state IN ('ready', 'dead') AND lease > CASE WHEN owner IS NULL THEN :paused ELSE :held END
ORDER BY due, turn LIMIT :most

-- As if the lease had run out; not if it was renewed meanwhile.
-- name: end_far_lease
UPDATE runs SET owner = NULL, lease = NULL, strikes = strikes + CASE WHEN owner IS NULL THEN 0 ELSE 1 END
WHERE id = :id AND state = 'ready' AND lease = :lease

-- Of some runs those that were claimed once and are left alone for a while.
-- name: runs_kept_among
SELECT id, owner FROM runs
WHERE id IN :list(runs) AND state = (SELECT 'ready') AND lease >= :now AND (owner IS NOT NULL OR due <= :now AND fence > 0)

-- name: messages_among
SELECT m.id, m.payload, p.nonce, p.content FROM messages m JOIN payloads p ON p.id = m.payload WHERE m.id IN :list(messages)

-- name: add_wait
INSERT INTO waits (run, path, place, type, case_id, name, value, deadline, state, late)
VALUES (:run, :path, :place, :type, (SELECT case_id FROM runs WHERE id = :run), :name, :value, :deadline, :state, :late)
ON CONFLICT (run, path) DO UPDATE SET place = excluded.place, type = excluded.type, name = excluded.name, value = excluded.value,
  deadline = excluded.deadline, state = excluded.state

-- name: close_wait buffered
UPDATE waits SET state = :state WHERE run = :run AND path = :path AND state = 'open'

-- name: close_waits buffered
UPDATE waits SET state = 'given up' WHERE run = :run AND state = 'open'

-- name: wait
SELECT run, path, place, type, name, value, deadline, state FROM waits WHERE run = :run AND path = :path

-- The open waits of a run, and some of the others.
-- name: waits_to_show
SELECT path, type, deadline, state FROM waits WHERE run = :run AND (state = 'open' OR path IN :list(paths)) ORDER BY path

-- name: move_waits
UPDATE waits SET case_id = :into WHERE case_id = :gone

-- name: waits_for_key
SELECT run, path, place, type, name, value, deadline, state FROM waits WHERE type = :type AND name = :name AND value = :value AND state IN ('open', 'late') ORDER BY run, path

-- name: waits_for_case
SELECT run, path, place, type, name, value, deadline, state FROM waits WHERE case_id = :case_id AND type = :type AND name IS NULL AND state IN ('open', 'late') ORDER BY run, path

-- name: waits_for_any
SELECT run, path, place, type, name, value, deadline, state FROM waits
WHERE case_id = :case_id AND type IS NOT NULL AND name IS NULL AND state IN ('open', 'late') ORDER BY run, state DESC, path

-- name: waits_ever_for_key
SELECT w.run, r.message, w.path, w.state FROM waits w JOIN runs r ON r.id = w.run WHERE w.type = :type AND w.name = :name AND w.value = :value

-- name: waits_ever_for_case
SELECT w.run, r.message, w.path, w.state FROM messages m JOIN waits w ON w.case_id = m.case_id JOIN runs r ON r.id = w.run
WHERE m.id = :message AND w.type = :type AND w.name IS NULL

-- A wait whose run somebody took out of the table keeps no other from ending: `bus log verify` names it.
-- name: waits_expired
SELECT w.run, w.path, w.place, r.message, r.digest FROM waits w JOIN runs r ON r.id = w.run
WHERE w.state = 'open' AND w.deadline <= :now ORDER BY w.deadline LIMIT :most

-- What came and a run was not given yet, behind a message, in the order of their ids.
-- name: arrived_for_key
SELECT k.message, m.time FROM message_keys k JOIN messages m ON m.id = k.message
WHERE k.type = :type AND k.name = :name AND k.value = :value AND k.message > :after
  AND NOT EXISTS (SELECT 1 FROM matches m WHERE m.run = :run AND m.message = k.message) ORDER BY k.message LIMIT :most

-- name: arrived_for_case
SELECT k.id AS message, k.time FROM messages k WHERE k.case_id = :case_id AND k.type = :type AND k.id > :after
  AND NOT EXISTS (SELECT 1 FROM matches m WHERE m.run = :run AND m.message = k.id) ORDER BY k.id LIMIT :most

-- name: arrived_ever_for_key
SELECT k.message FROM message_keys k JOIN messages m ON m.id = k.message
WHERE k.type = :type AND k.name = :name AND k.value = :value ORDER BY k.message

-- name: arrived_ever_for_case
SELECT k.id AS message FROM messages m JOIN messages k ON k.case_id = m.case_id WHERE m.id = :message AND k.type = :type ORDER BY k.id

-- name: add_match buffered
INSERT INTO matches (run, message) VALUES (:run, :message) ON CONFLICT DO NOTHING

-- `payload` is the one that holds the last value.
-- name: set_fact
INSERT INTO facts (adapter, kind, key, payload) VALUES (:adapter, :kind, :key, :payload)
ON CONFLICT (adapter, kind, key) DO UPDATE SET payload = excluded.payload

-- name: forget_facts_of
DELETE FROM facts WHERE payload IN :list(payloads)

-- name: fact
SELECT payload FROM facts WHERE adapter = :adapter AND kind = :kind AND key = :key

-- name: sequence
SELECT value FROM sequences WHERE name = :name

-- name: set_sequence
INSERT INTO sequences (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = CASE WHEN excluded.value > sequences.value THEN excluded.value ELSE sequences.value END

-- name: lane
SELECT run, path FROM lanes WHERE name = :name

-- name: lanes_of_run
SELECT path FROM lanes WHERE run = :run

-- name: take_lane
INSERT INTO lanes (name, run, path) VALUES (:name, :run, :path) ON CONFLICT (name) DO UPDATE SET run = excluded.run, path = excluded.path

-- name: leave_lane
DELETE FROM lanes WHERE run = :run AND path = :path

-- name: leave_lanes
DELETE FROM lanes WHERE run = :run

-- Sent again by the same sender, the last time counts.
-- name: add_attachment
INSERT INTO attachments (file, sender, payload, time) VALUES (:file, :sender, :payload, :time)
ON CONFLICT (file, sender) DO UPDATE SET payload = excluded.payload, time = excluded.time

-- name: attachment
SELECT file, sender, payload, time FROM attachments WHERE file = :file AND (:sender IS NULL OR sender = :sender) ORDER BY time LIMIT 1

-- name: attachments_of_file
SELECT file, sender, payload, time FROM attachments WHERE file = :file ORDER BY sender

-- name: attachments_of_files
SELECT file, payload, time FROM attachments WHERE file IN :list(files)

-- name: drop_attachments
DELETE FROM attachments WHERE file IN :list(files)

-- name: add_enclosure buffered
INSERT INTO enclosures (file, message) VALUES (:file, :message) ON CONFLICT DO NOTHING

-- name: enclosures_of_file
SELECT message FROM enclosures WHERE file = :file ORDER BY message

-- name: enclosures_of_files
SELECT file, message FROM enclosures WHERE file IN :list(files)

-- name: files_of_messages
SELECT DISTINCT file FROM enclosures WHERE message IN :list(messages) ORDER BY file

-- What names a person, as the key by which runs of some messages waited.
-- name: forget_waits_for_persons
UPDATE waits SET name = '', value = '' WHERE name IN :list(weak) AND run IN (SELECT id FROM runs WHERE message IN :list(messages))

-- name: drop_enclosures
DELETE FROM enclosures WHERE message IN :list(messages)

-- Whom a message is about, by tokens.
-- name: add_holder buffered
INSERT INTO holders (holder, message) VALUES (:holder, :message) ON CONFLICT DO NOTHING

-- name: messages_of_holder
SELECT h.message, m.case_id FROM holders h JOIN messages m ON m.id = h.message WHERE h.holder = :holder ORDER BY h.message

-- name: holding_among
SELECT DISTINCT message FROM holders WHERE message IN :list(messages)

-- Each with what sealed it.
-- name: members_of_cases
SELECT m.case_id, m.id, p.nonce FROM messages m LEFT JOIN payloads p ON p.id = m.payload WHERE m.case_id IN :list(cases) ORDER BY m.id

-- name: drop_holders
DELETE FROM holders WHERE message IN :list(messages)

-- name: drop_weak_message_keys
DELETE FROM message_keys WHERE message IN :list(messages) AND name IN :list(weak)

-- A weak key of a case goes when no message of the case carries it any more. What they carry is read once: asked about each key, SQLite
-- looked through all messages of a case of thousands, while nobody else could write.
-- name: drop_weak_case_keys
DELETE FROM case_keys WHERE (name, value, case_id) IN (
  SELECT c.name, c.value, c.case_id FROM case_keys c WHERE c.case_id IN :list(cases) AND c.strong = 0
  EXCEPT SELECT k.name, k.value, m.case_id FROM messages m JOIN message_keys k ON k.message = m.id WHERE m.case_id IN :list(cases))

-- name: add_erased_key buffered
INSERT INTO erased_keys (key) VALUES (:key) ON CONFLICT DO NOTHING

-- name: erased_keys_after
SELECT key FROM erased_keys WHERE key > :after ORDER BY key LIMIT :most

-- name: erased_among
SELECT key FROM erased_keys WHERE key IN :numbers(keys)

-- What retention looks at, page by page.
-- name: messages_to_dispose
SELECT m.id, m.time, m.case_id, p.nonce FROM messages m LEFT JOIN payloads p ON p.id = m.payload
WHERE m.id > :after AND m.id < :until AND m.time < :before ORDER BY m.id LIMIT :most

-- When something happened last in some cases: by the state of their runs, and in their messages.
-- name: last_of_cases
SELECT case_id, state, max(changed) AS last FROM runs WHERE case_id IN :list(cases) GROUP BY case_id, state
UNION ALL SELECT case_id, '', max(time) FROM messages WHERE case_id IN :list(cases) GROUP BY case_id

-- name: files_to_dispose
SELECT file, max(time) AS time FROM attachments WHERE file > :after GROUP BY file HAVING max(time) < :before ORDER BY file LIMIT :most

-- Ids from before payloads were sealed do not begin with the number of a key, which is far below this bound.
-- name: sealed_payload_after
SELECT id FROM payloads WHERE id > :after AND id < '01' AND length(id) = 80 ORDER BY id LIMIT 1
-- name: payloads_there
SELECT id, message, nonce FROM payloads WHERE id IN :list(payloads)

-- name: sequences_among
SELECT name, value FROM sequences WHERE name IN :list(names)

-- name: lanes_among
SELECT name, run, path FROM lanes WHERE name IN :list(names)

-- name: polls_before
SELECT seq, content FROM records WHERE kind = 'polled' AND seq < :before ORDER BY seq DESC LIMIT :most

-- name: count_everything
SELECT (SELECT max(seq) FROM records) AS records, (SELECT count(*) FROM runs WHERE state = 'ready' AND state IN ('ready', 'dead')) AS ready,
       (SELECT count(*) FROM runs WHERE state = 'dead' AND state IN ('ready', 'dead')) AS dead

-- name: highest_fence
SELECT coalesce(max(fence), 0) AS fence FROM runs

-- name: set_fences
UPDATE runs SET fence = :fence

-- name: forget_messages
DELETE FROM messages
-- name: forget_message_keys
DELETE FROM message_keys
-- name: forget_intake_keys
DELETE FROM intake_keys
-- name: forget_cases
DELETE FROM cases
-- name: forget_case_keys
DELETE FROM case_keys
-- name: forget_runs
DELETE FROM runs
-- name: forget_waits
DELETE FROM waits
-- name: forget_matches
DELETE FROM matches
-- name: forget_facts
DELETE FROM facts
-- name: forget_sequences
DELETE FROM sequences
-- name: forget_lanes
DELETE FROM lanes
-- name: forget_attachments
DELETE FROM attachments
-- name: forget_holders
DELETE FROM holders
-- name: forget_enclosures
DELETE FROM enclosures
-- name: forget_erased_keys
DELETE FROM erased_keys

-- name: all_sequences
SELECT * FROM sequences ORDER BY name
-- name: all_lanes
SELECT * FROM lanes ORDER BY name
-- name: all_attachments
SELECT * FROM attachments ORDER BY file, sender

-- Duties of one process at a time. Taken by whoever has it, or by anybody once it has run out.
-- name: take_lease
INSERT INTO leases (name, owner, until, fence) VALUES (:name, :owner, :until, 1)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until,
  fence = CASE WHEN leases.owner = excluded.owner THEN leases.fence ELSE leases.fence + 1 END
WHERE leases.owner = excluded.owner OR leases.until < :now OR leases.until > :beyond
RETURNING fence

-- name: leave_leases
UPDATE leases SET until = '' WHERE owner = :owner

-- name: leave_lease
UPDATE leases SET until = '' WHERE name = :name AND owner = :owner

-- name: see_process
INSERT INTO processes (id, role, host, pid, version, rules, started, seen) VALUES (:id, :role, :host, :pid, :version, :rules, :started, :seen)
ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, rules = excluded.rules

-- name: drop_process
DELETE FROM processes WHERE id = :id

-- name: forget_processes
DELETE FROM processes WHERE seen < :before

-- name: processes_seen
SELECT id, role, host, pid, version, rules, started, seen FROM processes ORDER BY role, host, pid

-- What processes must agree on; the first one says it.
-- name: add_mark
INSERT INTO marks (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING

-- What each process says of its gates now and then, as `gates` and its id.
-- name: say_gates
INSERT INTO marks (name, value) VALUES ('gates ' || :id, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: drop_gates
DELETE FROM marks WHERE name = 'gates ' || :id

-- name: forget_gates
DELETE FROM marks WHERE name LIKE 'gates %' AND name NOT IN (SELECT 'gates ' || id FROM processes)

-- name: gates_said
SELECT p.id, m.value FROM processes p JOIN marks m ON m.name = 'gates ' || p.id WHERE p.seen >= :since ORDER BY p.id

-- name: all_erasures
SELECT name, value FROM marks WHERE name LIKE 'erasure %' ORDER BY name

-- name: forget_erasures
DELETE FROM marks WHERE name LIKE 'erasure %'

-- name: drop_mark
DELETE FROM marks WHERE name = :name

-- name: mark
SELECT value FROM marks WHERE name = :name

-- One store copied into another: the log and what it commits to, whole; everything else is made again (`bus.copying`).
-- name: whole_records_after
SELECT seq, id, kind, time, message, run, content FROM records WHERE seq > :after ORDER BY seq LIMIT :most

-- name: payloads_after
SELECT id, message, media_type, nonce, content FROM payloads WHERE id > :after ORDER BY id LIMIT :most

-- name: rules_after
SELECT digest, kind, content FROM rules WHERE digest > :after ORDER BY digest LIMIT :most

-- Tables that are as long as the log, page by page behind a row: a copy is compared with what it was made from.
-- name: rows_of_messages
SELECT * FROM messages WHERE id > :id ORDER BY id LIMIT :most
-- name: rows_of_message_keys
SELECT * FROM message_keys WHERE (type, name, value, message) > (:type, :name, :value, :message) ORDER BY type, name, value, message LIMIT :most
-- name: rows_of_intake_keys
SELECT * FROM intake_keys WHERE (scope, key) > (:scope, :key) ORDER BY scope, key LIMIT :most
-- name: rows_of_cases
SELECT * FROM cases WHERE id > :id ORDER BY id LIMIT :most
-- name: rows_of_case_keys
SELECT * FROM case_keys WHERE (name, value, case_id) > (:name, :value, :case_id) ORDER BY name, value, case_id LIMIT :most
-- name: rows_of_runs
SELECT id, message, route, version, digest, entry, ordered, case_id, state, place, due, reason, opened, changed FROM runs WHERE id > :id ORDER BY id LIMIT :most
-- name: rows_of_waits
SELECT * FROM waits WHERE (run, path) > (:run, :path) ORDER BY run, path LIMIT :most
-- name: rows_of_matches
SELECT * FROM matches WHERE (run, message) > (:run, :message) ORDER BY run, message LIMIT :most
-- name: rows_of_facts
SELECT * FROM facts WHERE (adapter, kind, key) > (:adapter, :kind, :key) ORDER BY adapter, kind, key LIMIT :most
-- name: rows_of_attachments
SELECT * FROM attachments WHERE (file, sender) > (:file, :sender) ORDER BY file, sender LIMIT :most
-- name: rows_of_holders
SELECT * FROM holders WHERE (holder, message) > (:holder, :message) ORDER BY holder, message LIMIT :most
-- name: rows_of_enclosures
SELECT * FROM enclosures WHERE (file, message) > (:file, :message) ORDER BY file, message LIMIT :most

-- Whether a duty is still ours; asked in the transaction that acts on it.
-- name: lease_held
SELECT 1 AS yes FROM leases WHERE name = :name AND owner = :owner AND fence = :fence

-- Whoever had a duty is no more.
-- name: void_lease
UPDATE leases SET until = '' WHERE name = :name

-- The tree over the log (`bus.log.stored`).
-- name: tile
SELECT hashes, first FROM tiles WHERE level = :level AND number = :number

-- name: put_tile
INSERT INTO tiles (level, number, hashes, first) VALUES (:level, :number, :hashes, :first)
ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes

-- The tile of level 0 that has the record with this number.
-- name: tile_of_record
SELECT number, first FROM tiles WHERE level = 0 AND first <= :seq ORDER BY first DESC LIMIT 1

-- name: tiles_between
SELECT level, number, hashes, first FROM tiles WHERE level = :level AND number >= :start AND number < :until ORDER BY number

-- name: rank_of_record
SELECT count(*) AS rank FROM records WHERE seq >= :first AND seq < :seq

-- name: record
SELECT seq, content FROM records WHERE id = :id

-- name: records_of_messages
SELECT seq, content FROM records WHERE message IN :list(messages) AND seq > :after ORDER BY seq

-- name: records_of_rules
SELECT seq, content FROM records WHERE kind = 'rules' AND seq <= :last ORDER BY seq

-- name: add_checkpoint
INSERT INTO checkpoints (size, root, last, time, fence, note) VALUES (:size, :root, :last, :time, :fence, :note)

-- name: last_checkpoint
SELECT size, root, last, time, fence, note FROM checkpoints ORDER BY size DESC LIMIT 1

-- name: checkpoint_after
SELECT size, root, last, time, fence, note FROM checkpoints WHERE size >= :size ORDER BY size LIMIT 1

-- name: checkpoints_after
SELECT size, root, last, time, fence, note FROM checkpoints WHERE size > :after ORDER BY size LIMIT :most

-- name: add_receipt buffered
INSERT INTO receipts (id, note, leaves) VALUES (:id, :note, :leaves)

-- name: receipt
SELECT note, leaves FROM receipts WHERE id = :id

-- name: receipts_after
SELECT id, note, leaves FROM receipts WHERE id > :after ORDER BY id LIMIT :most

-- Which keys signed the log, and since when.
-- name: records_of_keys
SELECT seq, content FROM records WHERE kind = 'keys' ORDER BY seq

-- What edited rules would leave to end as it began.
-- name: runs_in_flight
SELECT route, version, digest, state, count(*) AS runs FROM runs WHERE state NOT IN ('done', 'cancelled')
GROUP BY route, version, digest, state ORDER BY route, version, digest, state

-- Verifying (`bus.log.verify`): everything in its order, page by page.
-- name: checkpoints_beyond
SELECT size, root, last, time, fence, note FROM checkpoints WHERE size > :size AND size <= :until ORDER BY size LIMIT :most

-- name: anchors_beyond
SELECT kind, name, size, time, evidence FROM anchors WHERE kind = :kind AND name = :name AND size > :after ORDER BY size LIMIT :most

-- name: last_anchor_until
SELECT size, evidence FROM anchors WHERE kind = :kind AND name = :name AND size <= :until ORDER BY size DESC LIMIT 1

-- name: anchor_names
SELECT DISTINCT kind, name FROM anchors

-- name: leaves_stored
SELECT number, hashes FROM tiles WHERE level = 0 ORDER BY number DESC LIMIT 1

-- name: size_of_tree
SELECT count(*) AS tiles, coalesce(sum(length(hashes)), 0) AS octets FROM tiles

-- name: messages_by_id
SELECT id, type, sender, time, case_id, payload, reply FROM messages WHERE id IN :list(messages) ORDER BY id

-- name: strong_keys_by_value
SELECT name, value, case_id FROM case_keys WHERE strong = 1 AND value IN :list(values)

-- Rows that no record made, in a stretch of a table behind a place (`bus.log.stretches`): all of it at once takes longer than a database
-- lets one question take.
-- name: messages_unfounded
SELECT m.id FROM (SELECT id FROM messages WHERE id > :first ORDER BY id LIMIT :most) m
WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.message = m.id AND r.kind = 'received') ORDER BY m.id LIMIT 1

-- name: cases_unfounded
SELECT c.id FROM (SELECT id, opened FROM cases WHERE id > :first ORDER BY id LIMIT :most) c
WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = c.id AND m.time = c.opened AND m.case_id = c.id) ORDER BY c.id LIMIT 1

-- name: cases_missing
SELECT m.id FROM (SELECT id, case_id FROM messages WHERE id > :first ORDER BY id LIMIT :most) m
WHERE m.case_id = m.id AND NOT EXISTS (SELECT 1 FROM cases c WHERE c.id = m.id) ORDER BY m.id LIMIT 1

-- name: holders_unfounded
SELECT 'holders' AS name, n.message FROM (SELECT message FROM holders WHERE message > :first ORDER BY message LIMIT :most) n
WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = n.message) LIMIT 1

-- name: enclosures_unfounded
SELECT 'enclosures' AS name, n.message FROM (SELECT message FROM enclosures WHERE message > :first ORDER BY message LIMIT :most) n
WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = n.message) LIMIT 1

-- name: message_keys_unfounded
SELECT 'message_keys' AS name, n.message FROM (SELECT message FROM message_keys WHERE message > :first ORDER BY message LIMIT :most) n
WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = n.message) LIMIT 1

-- Where such a stretch ends; none where it is the last one. Of what stands there for one message the rest need not be asked about.
-- name: end_of_messages
SELECT id AS first, '' AS second, '' AS third FROM messages WHERE id > :first ORDER BY id LIMIT 1 OFFSET :most - 1
-- name: end_of_cases
SELECT id AS first, '' AS second, '' AS third FROM cases WHERE id > :first ORDER BY id LIMIT 1 OFFSET :most - 1
-- name: end_of_runs
SELECT id AS first, '' AS second, '' AS third FROM runs WHERE id > :first ORDER BY id LIMIT 1 OFFSET :most - 1
-- name: end_of_holders
SELECT message AS first, '' AS second, '' AS third FROM holders WHERE message > :first ORDER BY message LIMIT 1 OFFSET :most - 1
-- name: end_of_enclosures
SELECT message AS first, '' AS second, '' AS third FROM enclosures WHERE message > :first ORDER BY message LIMIT 1 OFFSET :most - 1
-- name: end_of_message_keys
SELECT message AS first, '' AS second, '' AS third FROM message_keys WHERE message > :first ORDER BY message LIMIT 1 OFFSET :most - 1
-- name: end_of_case_keys
SELECT case_id AS first, '' AS second, '' AS third FROM case_keys WHERE case_id > :first ORDER BY case_id LIMIT 1 OFFSET :most - 1
-- name: end_of_waits
SELECT run AS first, path AS second, '' AS third FROM waits WHERE (run, path) > (:first, :second) ORDER BY run, path LIMIT 1 OFFSET :most - 1
-- name: end_of_matches
SELECT run AS first, message AS second, '' AS third FROM matches
WHERE (run, message) > (:first, :second) ORDER BY run, message LIMIT 1 OFFSET :most - 1

-- Rows that the keys of their tables take once, in such a stretch: all that stands under one id is in the same.
-- name: cases_twice
SELECT id FROM cases WHERE id > :first AND id <= coalesce((SELECT id FROM cases WHERE id > :first ORDER BY id LIMIT 1 OFFSET :most - 1),
  (SELECT id FROM cases ORDER BY id DESC LIMIT 1)) GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 1

-- name: case_keys_twice
SELECT name, case_id FROM case_keys WHERE case_id > :first
  AND case_id <= coalesce((SELECT case_id FROM case_keys WHERE case_id > :first ORDER BY case_id LIMIT 1 OFFSET :most - 1),
    (SELECT case_id FROM case_keys ORDER BY case_id DESC LIMIT 1))
GROUP BY name, value, case_id HAVING count(*) > 1 ORDER BY case_id LIMIT 1

-- Cases under many keys, in such a stretch: `keys_unfounded` would look through all records of one for each of its keys.
-- name: cases_of_many_keys
SELECT case_id FROM case_keys WHERE case_id > :first
  AND case_id <= coalesce((SELECT case_id FROM case_keys WHERE case_id > :first ORDER BY case_id LIMIT 1 OFFSET :most - 1),
    (SELECT case_id FROM case_keys ORDER BY case_id DESC LIMIT 1))
GROUP BY case_id HAVING count(*) >= :many ORDER BY case_id

-- name: keys_of_case
SELECT name, value, strong FROM case_keys WHERE case_id = :case_id ORDER BY name, value

-- name: rules_missing
SELECT DISTINCT r.digest FROM (SELECT digest FROM runs WHERE id > :first ORDER BY id LIMIT :most) r
WHERE NOT EXISTS (SELECT 1 FROM rules s WHERE s.digest = r.digest)

-- What is known of messages by their texts alone (`bus.engine.verify_names`).
-- What a page of them weighs, which may have a megabyte each, is asked for first: that reads none of them.
-- name: message_sizes_after
SELECT m.id, coalesce(length(p.content), 0) AS size FROM messages m LEFT JOIN payloads p ON p.id = m.payload WHERE m.id > :after ORDER BY m.id LIMIT :most

-- name: sealed_messages_after
SELECT m.id, m.payload, p.nonce, p.content FROM messages m LEFT JOIN payloads p ON p.id = m.payload WHERE m.id > :after ORDER BY m.id LIMIT :most

-- name: names_of_messages
SELECT message, 'holders' AS stands, '' AS name, holder AS value, '' AS type FROM holders WHERE message IN :list(messages)
UNION ALL SELECT message, 'enclosures', '', file, '' FROM enclosures WHERE message IN :list(messages)
UNION ALL SELECT message, 'message_keys', name, value, type FROM message_keys WHERE message IN :list(messages)

-- Cases that hold more than the message they began with.
-- name: cases_of_several
SELECT case_id FROM messages WHERE case_id > :after GROUP BY case_id HAVING count(*) > 1 OR min(id) <> case_id ORDER BY case_id LIMIT :most

-- name: records_that_join
SELECT m.case_id, m.id AS message, r.content FROM messages m JOIN records r ON r.message = m.id
WHERE m.case_id IN :list(cases) AND r.kind IN ('received', 'joined') ORDER BY r.seq

-- name: runs_of_cases
SELECT id, message, route, entry, state, case_id FROM runs WHERE case_id IN :list(cases) ORDER BY id

-- name: record_before_all
SELECT seq, id, kind, time, message, run, content FROM records WHERE seq < 1 ORDER BY seq LIMIT 1

-- name: records_beyond
SELECT count(*) AS records FROM records WHERE seq > :seq

-- Anchors (`bus.anchors`): who else vouches for a checkpoint.
-- name: add_anchor
INSERT INTO anchors (size, kind, name, time, evidence) VALUES (:size, :kind, :name, :time, :evidence) ON CONFLICT (kind, name, size) DO NOTHING

-- name: last_anchor
SELECT size, kind, name, time, evidence FROM anchors WHERE kind = :kind AND name = :name ORDER BY size DESC LIMIT 1

-- name: last_cosigned
SELECT max(size) AS size FROM anchors WHERE kind = 'witness'

-- name: anchors_of
SELECT size, kind, name, time, evidence FROM anchors WHERE size = :size ORDER BY kind, name

-- Of the checkpoints of these sizes the one which most witnesses cosigned; among those, for which most others vouch.
-- name: best_anchored
SELECT size, count(DISTINCT kind) AS kinds, sum(CASE WHEN kind = 'witness' THEN 1 ELSE 0 END) AS witnesses
FROM anchors WHERE size >= :size AND size < :until GROUP BY size ORDER BY witnesses DESC, kinds DESC, size LIMIT 1

-- name: last_checkpoint_until
SELECT size, root, last, time, fence, note FROM checkpoints WHERE time <= :time ORDER BY size DESC LIMIT 1

-- Searches (`bus.engine.search`). Traces are made from the log behind it; `traced` says how far.
-- name: traced_until
SELECT value FROM marks WHERE name = 'traced'

-- In a stretch, as above.
-- name: count_traces
SELECT count(CASE WHEN seq <= :until THEN 1 END) AS among,
  count(CASE WHEN seq > (SELECT CAST(value AS BIGINT) FROM marks WHERE name = 'traced') THEN 1 END) AS beyond
FROM (SELECT seq FROM traces WHERE (facet, at, seq) > (:first, :second, :third) ORDER BY facet, at, seq LIMIT :most) t

-- name: end_of_traces
SELECT facet AS first, at AS second, seq AS third FROM traces
WHERE (facet, at, seq) > (:first, :second, :third) ORDER BY facet, at, seq LIMIT 1 OFFSET :most - 1

-- name: set_traced_until
INSERT INTO marks (name, value) VALUES ('traced', :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: add_facet
INSERT INTO facets (kind, place, type) VALUES (:kind, :place, :type) ON CONFLICT DO NOTHING

-- name: add_trace buffered
INSERT INTO traces (facet, at, seq) VALUES (:facet, :at, :seq) ON CONFLICT DO NOTHING

-- name: facets
SELECT id, kind, place, type FROM facets

-- name: first_trace
SELECT min(t.seq) AS seq FROM facets f JOIN traces t ON t.facet = f.id
WHERE f.kind IN :list(kinds) AND t.at >= :since AND t.at < :until AND t.seq > :after

-- name: traced_after
SELECT seq, at, kind, place, type, message, run FROM traced WHERE seq > :after AND seq <= :top ORDER BY seq LIMIT :most

-- name: traced_among
SELECT seq, at, kind, place, type, message, run FROM traced WHERE seq IN :numbers(seqs)

-- name: messages_of_records
SELECT seq, message FROM records WHERE seq IN :numbers(seqs)

-- name: records_among
SELECT seq, content FROM records WHERE seq IN :numbers(seqs)

-- Of some messages the newest records of some kinds before a place, by what their rows say: how each is found is asked of those that are shown.
-- name: newest_of_messages
SELECT seq, time FROM records WHERE message IN :list(messages) AND seq <= :top AND (:every = 1 OR kind IN :list(kinds))
AND time >= :since AND (time, seq) < (:time, :seq) ORDER BY time DESC, seq DESC LIMIT :most

-- name: traced_of_messages
SELECT seq, at, kind, place, type, message, run FROM traced WHERE message IN :list(messages) AND seq <= :top AND (:every = 1 OR kind IN :list(kinds))

-- name: messages_of_cases
SELECT id FROM messages WHERE case_id IN :list(cases) ORDER BY id DESC LIMIT :most

-- As many of one case as of another.
-- name: newest_messages_of_cases
SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY case_id ORDER BY id DESC) AS place FROM messages WHERE case_id IN :list(cases)) AS ranked
ORDER BY place LIMIT :most

-- name: count_messages_of_cases
SELECT case_id, count(*) AS messages, max(id) AS newest FROM messages WHERE case_id IN :list(cases) GROUP BY case_id

-- name: messages_about
SELECT message FROM holders WHERE holder = :holder ORDER BY message DESC LIMIT :most

-- name: about_among
SELECT message FROM holders WHERE holder = :holder AND message IN :list(messages)

-- name: runs_among
SELECT id, message, route, version, digest, entry, ordered, case_id, state, place, due, reason, opened, changed, owner, lease, fence FROM runs WHERE id IN :list(runs)

-- name: states_of_cases
SELECT case_id, state FROM runs WHERE case_id IN :list(cases) GROUP BY case_id, state

-- A run that has no record of its own stands in the one that opened it.
-- name: runs_unfounded
SELECT r.id FROM (SELECT id, message FROM runs WHERE id > :first ORDER BY id LIMIT :most) r
WHERE NOT EXISTS (SELECT 1 FROM records q WHERE q.run = r.id)
  AND NOT EXISTS (SELECT 1 FROM records q WHERE q.message = r.message AND q.kind = 'received' AND :holds(q.content, r.id))
  AND NOT EXISTS (SELECT 1 FROM matches x JOIN records q ON q.run = x.run WHERE x.message = r.message AND q.kind = 'late' AND :holds(q.content, r.id))
ORDER BY r.id LIMIT 1

-- The key of a case stands in a record of the case, or names a person and is not strong; records from before tokens (revision 5) tell none.
-- name: keys_unfounded
SELECT k.name, k.case_id FROM (
  SELECT name, value, case_id, strong FROM case_keys
  WHERE case_id > :first AND case_id <= coalesce((SELECT case_id FROM case_keys WHERE case_id > :first ORDER BY case_id LIMIT 1 OFFSET :most - 1),
    (SELECT max(case_id) FROM case_keys))) k
WHERE NOT k.case_id IN :list(apart) AND NOT (k.strong = 0 AND k.name IN :list(weak)) AND NOT (k.strong = 1 AND EXISTS (
  SELECT 1 FROM messages m JOIN records q ON q.message = m.id
  WHERE m.case_id = k.case_id AND q.kind IN ('received', 'joined')
    AND (:holds(q.content, '"' || k.name || '":"' || k.value || '"') OR q.kind = 'received' AND NOT :holds(q.content, '"intake":'))))
ORDER BY k.case_id LIMIT 1

-- Of facts, intake keys, waits (by run and path) and matches (by run and message) those that there are of some.
-- name: facts_among
SELECT f.adapter, f.kind, f.key, f.payload FROM :each(names) j
JOIN facts f ON f.adapter = :item(j, 0) AND f.kind = :item(j, 1) AND f.key = :item(j, 2)

-- name: intake_keys_among
SELECT k.scope, k.key, k.message, k.content FROM :each(names) j JOIN intake_keys k ON k.scope = :item(j, 0) AND k.key = :item(j, 1)

-- name: waits_among
SELECT w.run, w.path, w.place, w.type, w.case_id, w.name, w.value, w.deadline, w.state, w.late, r.case_id AS of_run
FROM :each(names) j JOIN waits w ON w.run = :item(j, 0) AND w.path = :item(j, 1) LEFT JOIN runs r ON r.id = w.run

-- name: matches_among
SELECT m.run, m.message FROM :each(names) j JOIN matches m ON m.run = :item(j, 0) AND m.message = :item(j, 1)
