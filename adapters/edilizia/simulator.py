"""Simulator of the building office: a real PostgreSQL with the schema of ``contract/``, behind a relay that spoils COMMITs.

The ledger is the office's own tables: kinds ``pratica`` (key: UUID), ``annullamento`` (key: UUID), ``pagamento`` (key: IUV),
``mappale``, ``onere`` and ``documento`` (key: number of the practice). The ready line also says ``database``: the address for the
adapter, whose port stays the same over restarts.

Faults strike at COMMIT, and their ``operation`` is matched with the adapter's transaction name (``apri-pratica``, also the reads).
``refuse`` is a rule of the database itself: a deferred trigger raises the code when the archive is closed for this transaction; one that
only reads has nothing to refuse. ``garbage`` answers with an error that means nothing after the COMMIT took effect, ``html`` with the words
of a gateway before it did; both as PostgreSQL's own messages, since a driver never shows other bytes.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import signal
import struct
import time
from pathlib import Path
from typing import Any, ClassVar

from adapters.database import Database, DatabaseSettings
from adapters.edilizia.adapter import SCHEMA
from adapters.edilizia.postgres import USER, Postgres
from adapters.edilizia.relay import QUIET, Relay, Session
from adapters.simulator import ERROR_PAGE, GARBAGE, Fault, Reply, Request, Simulator, main
from bus.adapter import Call

_CLOSED_ARCHIVE = """
CREATE FUNCTION archivio_chiuso() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF COALESCE(current_setting('snodo.archivio_chiuso', true), '') <> '' THEN
    RAISE EXCEPTION '%', current_setting('snodo.archivio_chiuso', true);
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER archivio_chiuso AFTER INSERT OR UPDATE ON snodo_operazioni DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION archivio_chiuso()
"""

_LEDGER = """
SELECT 'pratica' AS kind, "UUID" AS key, "CODICEISTANZA" AS pratica, "OGGETTO" AS detail, "CODICEISTANZA" AS n, 1 AS k FROM istanze
UNION ALL
SELECT 'mappale', CAST("FKCODICEISTANZA" AS varchar), "FKCODICEISTANZA", "FOGLIO" || '/' || "PARTICELLA", "IDMAPPALE", 2 FROM istanzemappali
UNION ALL
SELECT 'onere', CAST("CODICEISTANZA" AS varchar), "CODICEISTANZA", "Causale" || ' ' || "PREZZO", "ID", 3 FROM istanzeoneri
UNION ALL
SELECT 'documento', CAST("CODICEISTANZA" AS varchar), "CODICEISTANZA", "impronta", "ID", 4 FROM documentiistanza
UNION ALL
SELECT LOWER("TIPOMOVIMENTO"), "Riferimento", "CODICEISTANZA", "MOVIMENTO", "CODICEMOVIMENTO", 5 FROM movimenti
ORDER BY k, n
"""


class EdiliziaSimulator(Simulator):
    """The building office's database."""

    name: ClassVar[str] = "edilizia"

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        super().__init__(folder, options)
        self._postgres = Postgres(folder)
        self._address = ""
        self._tables: Database | None = None

    def begin(self) -> None:
        """Runs in the main thread: the server ends with the thread that started it."""
        self._postgres.start()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stopped)
        port = self.ledger.state("relay", "port") or self.options.second_port
        relay = Relay(port, self._postgres.connect, self._rule)
        self.ledger.remember("relay", "port", relay.port)
        self._address = f"postgresql+psycopg://{USER}@127.0.0.1:{relay.port}/postgres"
        self._tables = Database(DatabaseSettings(url=f"{self._address}?application_name={QUIET}", pool=4))
        if not self.ledger.state("schema", "made"):
            self._tables.script(SCHEMA.read_text(encoding="utf-8"), _CLOSED_ARCHIVE)
            self.ledger.remember("schema", "made", True)

    def described(self) -> dict[str, Any]:
        return {"database": self._address}

    def control(self, request: Request) -> Reply:
        verb = f"{request.method} {request.path.rpartition('/')[2]}"
        if verb == "GET ledger":
            return Reply.json(self._effects(request.query.get("kind")))
        if verb == "POST stop":
            self._postgres.stop()
        return super().control(request)

    def _effects(self, kind: str | None) -> list[dict[str, Any]]:
        assert self._tables is not None
        ctx = Call(key="", timeout=10, now=dt.datetime.now(dt.UTC))
        with self._tables.transaction(ctx, "ledger", read=True) as transaction:
            rows = transaction.rows("ledger", _LEDGER)
        found = [_effect(row) for row in rows if row["kind"] != "apertura" and kind in (None, row["kind"])]
        return [{"id": number, **effect} for number, effect in enumerate(found, 1)]

    def _stopped(self, *_: object) -> None:
        self._postgres.stop()
        os._exit(0)

    # -- faults -------------------------------------------------------------------------------------------------------

    def _rule(self, session: Session, held: bytes) -> None:
        """One COMMIT, under the faults in force."""
        with self._lock:
            self._seen[session.operation] += 1
        wait, fault = self._struck(session.operation)
        with self._counted():
            self.dawdle(wait)
            if fault is None:
                session.forward(held)
            elif fault.fault == "late":
                self._commit_later(fault.seconds, session, held)
            else:
                _spoil(fault, session, held)

    def _commit_later(self, seconds: float, session: Session, held: bytes) -> None:
        """Runs in the session's own thread, so that the session at the server outlives the client's."""
        session.cut_client()
        time.sleep(seconds)
        session.forward(held)


def _spoil(fault: Fault, session: Session, held: bytes) -> None:
    if fault.fault == "die_before":
        os._exit(9)
    if fault.fault == "html":
        session.say_error("08006", f"502 {ERROR_PAGE.decode()}")
        return
    if fault.fault == "refuse":
        _close_archive(session, fault.code)
        session.forward(held)
        return
    session.mute = True
    session.forward(held)
    if fault.fault == "die_after":
        os._exit(9)
    if fault.fault == "garbage":
        session.say_error("?????", GARBAGE.decode().strip("\0"))
        return
    session.cut_client()


def _close_archive(session: Session, code: str) -> None:
    """Inside the client's own transaction, unseen by it: the trigger will refuse its COMMIT."""
    quoted = (code or "ARCHIVIO_CHIUSO").replace("'", "''")
    query = f"SET LOCAL snodo.archivio_chiuso = '{quoted}'".encode() + b"\0"
    session.mute = True
    session.forward(b"Q" + struct.pack("!I", len(query) + 4) + query)
    session.mute = False


def _effect(row: dict[str, Any]) -> dict[str, Any]:
    return {"kind": row["kind"], "key": row["key"], "detail": {"pratica": row["pratica"], "testo": row["detail"]}, "time": 0.0}


if __name__ == "__main__":
    main(EdiliziaSimulator)
