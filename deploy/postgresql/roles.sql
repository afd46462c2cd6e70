-- Two roles and a database, once, by an administrator of PostgreSQL 15 or later:
--   export OWNER_PASSWORD BUS_PASSWORD
--   psql --file=deploy/postgresql/roles.sql postgres
-- From the environment, for the words of a command are seen by every user of the machine.
-- snodo_owner owns the tables and is used by `bus migrate` only; snodo is who the bus is: it adds records and cannot change them.
\set ON_ERROR_STOP on
\getenv owner_password OWNER_PASSWORD
\getenv bus_password BUS_PASSWORD
CREATE ROLE snodo_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE snodo LOGIN PASSWORD :'bus_password';
CREATE DATABASE snodo OWNER snodo_owner ENCODING 'UTF8' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C';
REVOKE ALL ON DATABASE snodo FROM PUBLIC;
GRANT CONNECT ON DATABASE snodo TO snodo;

\connect snodo
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO snodo_owner;
GRANT USAGE ON SCHEMA public TO snodo;
-- A commit is durable whatever the server's default is, and whoever stops in the midst of a transaction gives it up.
ALTER ROLE snodo SET synchronous_commit = on;
ALTER ROLE snodo SET idle_in_transaction_session_timeout = '30s';
