"""What the tests of the whole bus share: a town, applications to send, and ledgers to judge by."""

from __future__ import annotations

import datetime as dt
import io
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters.anagrafe.simulator import people
from bus.client import Client
from bus.testing.patience import until
from bus.testing.ports import free_port
from bus.testing.town import Town as TownOfOne
from tests.nursery import Born, BornSimulator

ROOT = Path(__file__).parents[2]
ADA = "BLLDAA71E43B429M"
TULLIO = "LPRTLL45P09B429C"
"""Deceased, in the registry of the simulators."""
STRANGER = "RSSMRA80A01H501U"
"""A valid codice fiscale that the registry does not have."""
BUILDING, CERTIFICATE, SERVICE = "edilizia.pratica.presentata", "anagrafe.certificato.richiesto", "servizi.istanza.presentata"
HASTE = {"engine": {"lease": 3, "sweep": 0.2}, "adapters": {"protocollo": {"assestamento": 2.5}}}
"""Settings under which a crash and a doubt are over in seconds."""


class Town(TownOfOne):
    """A town that keeps one client for each caller, and closes them; its processes are born with their modules (`tests.nursery`)."""

    def __init__(self, folder: Path, rules: Path = ROOT, changes: dict[str, Any] | None = None, workers: int = 0) -> None:
        super().__init__(folder, rules, changes, workers=workers)
        self._clients: dict[str, Client] = {}

    @staticmethod
    def begin(module: str, folder: Path, *arguments: str) -> BornSimulator:
        return BornSimulator(module, folder, arguments, free_port())

    def _launch(self, command: str) -> Born:
        return Born("bus.cli", [command, "--config", str(self.config_path)], dict(os.environ), self.folder / "bus.log")

    def client(self, name: str = "portale") -> Client:
        return self._clients.setdefault(name, super().client(name))

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        super().close()


class ShiftedClock:
    """The system's, and some days."""

    ahead = dt.timedelta()

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.ahead


def hasty_rules(folder: Path) -> Path:
    """The shipped rules with short times for calls and for retries, so that a doubt need not wait for half a minute."""
    for name in ("routes", "mappings"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "config.yaml", folder)
    for path in (folder / "routes").rglob("*.yaml"):
        text = path.read_text("utf-8")
        for slow, quick in (("wait: 2s", "wait: 1s"), ("wait: 5s", "wait: 1s"), ("wait: 10s, most: 15m", "wait: 1s, most: 1s")):
            text = text.replace(slow, quick)
        lines = []
        for line in text.splitlines():
            lines.append(line)
            if line.strip() == "call: protocollo.registra":
                lines.append(f"{line.partition('call')[0]}timeout: 2s")
        path.write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def building(istanza: str, procedimento: str = "SCIA", who: str = ADA, **more: Any) -> dict[str, Any]:
    """A building application; ``more`` goes over it."""
    return {
        "istanza": istanza,
        "procedimento": procedimento,
        "oggetto": "Ristrutturazione edilizia con opere interne",
        "richiedente": {"codice_fiscale": who, "cognome": "Bellomo", "nome": "Ada", "email": f"{istanza.lower()}@posta.example"},
        "mappali": [{"foglio": "0083", "particella": "412", "sub": "7"}],
        **more,
    }


def neighbours() -> list[str]:
    """Invented people the registry finds alive and alone."""
    known = [one for one in people() if not one["data_decesso"] and not one["aire"] and not one["nota"].startswith("entered twice")]
    return [one["codice_fiscale"] for one in known]


def ledger(town: Town, system: str, kind: str, holds: Callable[[dict[str, Any]], bool] = lambda _: True) -> list[dict[str, Any]]:
    """The effects of one kind that ``holds`` says yes to."""
    return [effect for effect in town.simulators[system].ledger(kind) if holds(effect)]


def registrations(town: Town, istanza: str) -> list[dict[str, Any]]:
    return ledger(town, "protocollo", "registrazione", lambda e: e["key"] == istanza)


def desk_items(town: Town, riferimento: str) -> list[dict[str, Any]]:
    return ledger(town, "scrivania", "elemento", lambda e: e["detail"]["richiesta"]["riferimento"] == riferimento)


def positions(town: Town, iuv: str) -> list[dict[str, Any]]:
    return ledger(town, "pagopa", "posizione", lambda e: e["detail"]["iuv"] == iuv)


def practices(town: Town, pratica: str, kind: str = "pratica") -> list[dict[str, Any]]:
    return ledger(town, "edilizia", kind, lambda e: str(e["detail"]["pratica"]) == pratica)


def notices(town: Town, istanza: str) -> list[str]:
    """The channels on which a citizen was told about an application: ``io`` and ``email``, once for each message."""
    named = re.compile(rf"(?<![\w-]){re.escape(istanza)}(?![\w-])").search

    def about(content: dict[str, Any]) -> bool:
        return any(named(str(content.get(name, ""))) for name in ("subject", "markdown", "oggetto", "testo"))

    io_sent = ledger(town, "notifiche", "messaggio-io", lambda e: about(e["detail"]["content"]))
    mailed = ledger(town, "notifiche", "email", lambda e: about(e["detail"]))
    return ["io"] * len(io_sent) + ["email"] * len(mailed)


def present(town: Town, body: dict[str, Any], type: str = BUILDING, wait: float = 25, files: tuple[bytes, ...] = ()) -> dict[str, Any]:
    """Send and wait for the reply: ``{id, reply, ...}``."""
    portal = town.client()
    sent = [portal.attach(io.BytesIO(one), f"allegato-{n}.pdf", "application/pdf") for n, one in enumerate(files, 1)]
    return portal.send(type, body, attachments=sent, wait=wait)


def case_when(town: Town, key: str, states: tuple[str, ...] = ("done",), within: float = 60.0) -> dict[str, Any]:
    """The case as soon as it is in one of the states; a dead one that should not be is told at once."""
    operator = town.client("sistemista")

    def look() -> dict[str, Any] | None:
        shown = operator.case(key)
        letters = [operator.get(f"/dead/{run['id']}", "prova") for run in shown["runs"] if run["state"] == "dead"]
        assert "dead" in states or not letters, letters
        return shown if shown["state"] in states else None

    return until(look, f"case {key} is {states}", within)


def dead_of(town: Town, key: str) -> dict[str, Any]:
    """The dead letter of a case: as ``GET /dead/{run}`` shows it."""
    shown = case_when(town, key, ("dead",))
    run = next(one["id"] for one in shown["runs"] if one["state"] == "dead")
    return town.client("sistemista").get(f"/dead/{run}", "prova")


def keys_of(case: dict[str, Any]) -> dict[str, str]:
    return {key["name"]: key["value"] for key in case["keys"]}


def kinds(case: dict[str, Any], place: str) -> list[str]:
    """The kinds of the records of one step, in order."""
    return [line["kind"] for line in case["timeline"] if line.get("place", "").endswith(f"/{place}")]
