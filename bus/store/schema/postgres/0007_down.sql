DROP INDEX runs_waiting;
UPDATE schema_revision SET revision = 6;
