-- Here times were told well; see that of SQLite.
UPDATE schema_revision SET revision = 8;
