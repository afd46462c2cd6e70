"""A bus for the benchmarks: its settings, its process, and what is read from outside of how far it is."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from pathlib import Path
from typing import Any, Self

from benchmarks.outside import WSDL
from benchmarks.processes import Process, ask
from benchmarks.work import INSERT, THREADS

ROLES = {
    "python": "web", "snodo-writer": "writer", "snodo-engine": "engine", "snodo-publish": "channel", "snodo-consume": "channel",
    "snodo-consegna": "adapters", "snodo-registro": "adapters", "snodo-archivio": "adapters", "snodo-altro": "adapters",
    "snodo-http": "readers", "": "other",
}  # fmt: skip
"""What a thread of the bus does, by the beginning of its name."""
KEYS = {"portale": "portal", "sistemista": "sysadmin"}
_TEXT = {"type": "string"}
_RECEIPT = {"type": "object", "required": ["ricevuta"], "properties": {"ricevuta": _TEXT}}
_FIELDS = (
    "numero tipo titolo codice_fiscale cognome nome intestatario email via civico cap comune provincia recapito "
    "foglio particella sub importo data"
)


def settings(folder: Path, systems: str, database: str, other: str = "") -> dict[str, Any]:
    """``config.yaml``: the generic adapters, each described here, and nothing else. ``other``: a system that may be dead."""
    deliver = dict.fromkeys(_FIELDS.split(), _TEXT) | {"gratuita": {"type": "boolean"}}
    cash = {"iuv": _TEXT, "importo": {"type": "integer"}, "ricevuta": _TEXT}
    row = dict.fromkeys(("istanza", "servizio", "codice_fiscale", "cognome", "nome", "nascita"), _TEXT)
    return {
        "organization": {"name": "Comune di prova", "fiscal_code": "80001130857"},
        "rules": str(Path(__file__).parent / "rules"),
        "store": {"url": f"sqlite:///{folder}/snodo.db"},
        "attachments": {"folder": str(folder / "attachments")},
        "log_level": "warning",
        "keys": [{"name": name, "role": role, "sha256": hashlib.sha256(key_of(name).encode()).hexdigest()} for name, role in KEYS.items()],
        "engine": {"threads": THREADS},
        "adapters": {
            "consegna": {
                "use": "rest", "url": systems, "pool": THREADS,
                "operations": {
                    "trasmetti": _rest("/consegne", deliver), "incassa": _rest("/incassi", cash), "attendi": _rest("/lente", cash),
                },
            },
            "altro": {"use": "rest", "url": other or systems, "operations": {"incassa": {**_rest("/incassi", cash), "timeout": 2}}},
            "registro": {
                "use": "soap", "wsdl": str(WSDL), "url": f"{systems}/anagrafe",
                "operations": {"cerca": {"operation": "ricercaSoggetto", "effect": "read", "timeout": 10}},
            },
            "archivio": {
                "use": "sql", "url": database, "pool": THREADS,
                "operations": {
                    "iscrivi": {
                        "effect": "keyed",
                        "statements": [INSERT.replace(":chiave", ":call_key"), "SELECT 1 AS fatto"],
                        "request": {"type": "object", "required": list(row), "properties": row},
                        "answer": {"type": "object", "required": ["fatto"], "properties": {"fatto": {"type": "integer"}}},
                    }
                },
            },
        },
    }  # fmt: skip


def _rest(path: str, fields: dict[str, Any]) -> dict[str, Any]:
    request = {"type": "object", "required": list(fields), "properties": fields}
    return {"method": "POST", "path": path, "effect": "keyed", "request": request, "answer": _RECEIPT}


def key_of(name: str) -> str:
    """The API key of a caller."""
    return f"banco-{name}-" + hashlib.sha256(name.encode()).hexdigest()[:32]


class Bus(Process):
    """A running bus; see `benchmarks.serve` for ``options``."""

    def __init__(self, folder: Path, systems: str, database: str, *options: str, other: str = "") -> None:
        folder.mkdir(parents=True)
        config = folder / "config.yaml"
        config.write_text(json.dumps(settings(folder, systems, database, other)), "utf-8")
        super().__init__("benchmarks.serve", str(config), *options, log=folder / "bus.log")
        self._db = sqlite3.connect(f"file:{folder}/snodo.db?mode=ro", uri=True, isolation_level=None)

    def runs(self, state: str, type: str) -> int:
        """Runs in a state, of one route (ours are named as their types)."""
        count: int = self._db.execute("SELECT count(*) FROM runs WHERE state = ? AND route = ?", (state, type)).fetchone()[0]
        return count

    def wait_until_done(self, type: str, count: int, seconds: float = 120.0) -> float:
        """The moment at which so many runs of a route are done; raises RuntimeError when that does not come, or one is dead."""
        until = time.monotonic() + seconds
        while self._busy() or self.runs("done", type) < count:
            if time.monotonic() > until or self.runs("dead", type):
                raise RuntimeError(f"{type}: {self.runs('done', type)} of {count} done, {self.runs('dead', type)} dead")
            time.sleep(0.01)
        return time.monotonic()

    def _busy(self) -> bool:
        """Answered by an index of ready runs alone, so that looking costs the bus nothing."""
        return self._db.execute("SELECT 1 FROM runs WHERE state = 'ready' AND state IN ('ready', 'dead') LIMIT 1").fetchone() is not None

    def commits(self) -> int:
        """Transactions so far; each is one fsync of the write-ahead log."""
        told = ask(self.port, "/status", headers={"X-Api-Key": key_of("sistemista")})
        commits: int = told["bus"]["store"]["commits"]
        return commits

    def threads(self) -> dict[str, float]:
        """Milliseconds of CPU so far by role; see `ROLES`."""
        found = dict.fromkeys(ROLES.values(), 0.0)
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            name, spent = (task / "comm").read_text().strip(), (task / "schedstat").read_text().split()[0]
            role = next((role for prefix, role in ROLES.items() if name.startswith(prefix)), "other")
            found[role] += int(spent) / 1e6
        return found

    def __enter__(self) -> Self:
        return self

    def stop(self) -> None:
        self._db.close()
        super().stop()
