DELETE FROM marks WHERE name = 'traced';
DROP VIEW traced;
DROP TABLE traces;
DROP TABLE facets;
UPDATE schema_revision SET revision = 5;
