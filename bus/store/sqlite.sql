-- What SQLite says in its own way; a name here wins over the same name in common.sql.

-- name: data_version
PRAGMA data_version
