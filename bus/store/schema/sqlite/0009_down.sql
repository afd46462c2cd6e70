DROP INDEX runs_of_route;
PRAGMA user_version = 8;
