-- The runs that wait, and those that were cancelled: a few among all that there ever were. Those that are ready or dead have runs_state.
CREATE INDEX runs_waiting ON runs (state, id) WHERE state IN ('waiting', 'cancelled');
UPDATE schema_revision SET revision = 7;
