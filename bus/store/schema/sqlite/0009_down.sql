DROP INDEX runs_of_route;
DROP INDEX records_seldom;
PRAGMA user_version = 8;
