"""A standby of a real PostgreSQL, to be promoted."""

from __future__ import annotations

import psycopg

from tests.servers import PostgreSQL, _environment


class Standby(PostgreSQL):
    """Follows ``primary`` from its first start on, as ``pg_basebackup --write-recovery-conf`` makes it."""

    def __init__(self, primary: PostgreSQL) -> None:
        super().__init__()
        self._primary = primary

    def _launch(self) -> None:
        if not self.data.exists():
            copy = [str(self.programs / "pg_basebackup"), "-D", str(self.data), "-R", "-X", "stream", "-c", "fast", "--no-sync"]
            self._run([*copy, "-d", f"host=127.0.0.1 port={self._primary.port} user=snodo"], _environment())
        super()._launch()

    def catch_up(self) -> None:
        """Wait until it has all that the primary has written."""
        with psycopg.connect(self._primary.url) as primary, psycopg.connect(self.url, autocommit=True) as here:
            [written] = primary.execute("SELECT pg_current_wal_flush_lsn()::text").fetchall()
            while here.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", written).fetchall() != [(True,)]:
                pass

    def promote(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as session:
            assert session.execute("SELECT pg_promote(true, 120)").fetchall() == [(True,)]
