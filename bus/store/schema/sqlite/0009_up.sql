-- The newest runs of a route, in each state in which runs lie: of a route that is seldom used they were looked for among all there ever were.
CREATE INDEX runs_of_route ON runs (route, state, id) WHERE state IN ('done', 'waiting', 'cancelled');
PRAGMA user_version = 9;
