DELETE FROM marks WHERE name = 'traced';
DROP VIEW traced;
DROP TABLE traces;
DROP TABLE facets;
PRAGMA user_version = 5;
