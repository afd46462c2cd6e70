DROP INDEX runs_waiting;
PRAGMA user_version = 6;
