DROP INDEX runs_of_route;
UPDATE schema_revision SET revision = 8;
