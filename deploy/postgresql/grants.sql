-- What the bus may do with the tables; after every `bus migrate up`, as snodo_owner:
--   psql --file=deploy/postgresql/grants.sql "$OWNER_URL"    (an address without password, which is in PGPASSWORD)
\set ON_ERROR_STOP on
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO snodo;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO snodo;
-- The evidence: added to, never changed. `bus doctor` looks at this.
REVOKE UPDATE, DELETE, TRUNCATE ON records, payloads, rules, checkpoints, receipts, anchors FROM snodo;
REVOKE DELETE, TRUNCATE ON tiles FROM snodo;
-- Which schema this is, only its owner says: a migration is his.
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON schema_revision FROM snodo;
