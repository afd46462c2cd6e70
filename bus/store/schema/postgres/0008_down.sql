UPDATE schema_revision SET revision = 7;
