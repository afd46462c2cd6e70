DROP INDEX runs_of_route;
DROP INDEX records_seldom;
UPDATE schema_revision SET revision = 8;
