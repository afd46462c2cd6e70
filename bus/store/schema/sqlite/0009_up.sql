-- The newest runs of a route, in each state in which runs lie: of a route that is seldom used they were looked for among all there ever were.
CREATE INDEX runs_of_route ON runs (route, state, id) WHERE state IN ('done', 'waiting', 'cancelled');
-- What persons did and what systems asked, a few among all records. Reports and retention found them by traces, and missed what had lost its own.
CREATE INDEX records_seldom ON records (seq, kind, time)
WHERE kind IN ('access', 'decided', 'discarded', 'disposed', 'erased', 'erasure', 'exported', 'read', 'redelivered', 'replayed', 'rules', 'served');
PRAGMA user_version = 9;
