"""Every key is changed as docs/sysadmin/running.md says, while portals send: nothing is lost or doubled, and all evidence holds."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bus.cli import main
from bus.client import Client
from bus.testing.town import key_of
from tests.fault import chaos
from tests.fault.house import PROJECT, House, Shape, opened
from tests.fault.judge import judge
from tests.fault.portal import Portal
from tests.fault.rules import Sending

SEED, SENDERS, OF_EACH, FEW = 20261201, 4, 60, 10
SEALERS, DOORS = ("serve", "worker"), ("serve", "web")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("shape", ["embedded", "production"])
def test_keys_are_changed_at_work(shape: Shape, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = {"key": str(tmp_path / "log.key"), "receipt_key": str(tmp_path / "receipt.key"), "origin": "registro.comune.example/prova"}
    keystore = {"folder": str(tmp_path / "keys"), "master": str(tmp_path / "master.key")}
    with opened(tmp_path / "house", shape, {"log": log, "keystore": keystore}, workers=2) as (house, portal):
        change = Changing(house, portal, tmp_path, capsys)
        house.start()
        first = change.public()
        receipts = [_receipt_of(portal.send(Sending("prima", "prova.ricevuta", {"chi": "prima"})), house)]
        changes = (change.log, change.log, change.log_is_known, change.receipts, change.master, change.callers, change.caller_is_known)
        _beside(portal, changes)
        receipts.append(_receipt_of(portal.promises()[-1].id, house))
        house.drained()
        last = change.public()
        bundle = tmp_path / "fascicolo.zip"
        told = ("--purpose", "prova", "--from", "2026-01-01", "--url", house.url, "--key", key_of("sistemista"), "--json")
        assert main(["log", "export", "--output", str(bundle), *told]) == 0
        house.stop()
        with house.store() as store:
            verdict = judge(store, portal.promises(), {name: system.ledger() for name, system in house.systems.items()})
        assert (verdict.faults, verdict.messages > SENDERS * OF_EACH * 0.8) == ([], True)  # some are sent twice
        assert first["log"] != last["log"] and first["receipts"] != last["receipts"]
        for known in (first["log"], last["log"]):
            assert main(["log", "verify", "--names", "--config", str(house.config_path), "--key", known]) == 0
        for receipt, of_receipts in zip(receipts, (first["receipts"], last["receipts"]), strict=True):
            (tmp_path / "receipt.txt").write_text(receipt, "utf-8")
            keys = ("--key", of_receipts, "--log-key", last["log"])
            assert main(["log", "check-receipt", str(tmp_path / "receipt.txt"), *keys, "--config", str(house.config_path)]) == 0
    verified = subprocess.run([sys.executable, "-I", str(PROJECT / "bus/bundle/verify.py"), str(bundle), "--key", last["log"]], check=False)
    assert verified.returncode == 0


class Changing:
    """An administrator who changes the keys of a house, one after the other, as the page says."""

    def __init__(self, house: House, portal: Portal, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._house, self._portal, self._folder, self._capsys = house, portal, folder, capsys

    def public(self) -> dict[str, str]:
        """The public keys of now."""
        self._capsys.readouterr()
        assert main(["log", "key", "show", "--config", str(self._house.config_path), "--json"]) == 0
        return dict(json.loads(self._capsys.readouterr().out))

    def log(self) -> None:
        self._end(SEALERS)
        before = self._put_away("log.key")
        self._edit(lambda settings: settings["log"].update(previous_key=before))
        assert main(["log", "key", "new", "--config", str(self._house.config_path)]) == 0
        self._house.start()

    def log_is_known(self) -> None:
        self._end(SEALERS)
        self._edit(lambda settings: settings["log"].pop("previous_key"))
        self._house.start()

    def receipts(self) -> None:
        self._end(DOORS)
        self._put_away("receipt.key")
        self._house.start()

    def master(self) -> None:
        self._house.stop()
        assert main(["subject", "rekey", "--config", str(self._house.config_path)]) == 0
        self._house.start()

    def callers(self) -> None:
        """Two keys of one name for a while."""
        new = {"name": "portale", "role": "portal", "sha256": hashlib.sha256(b"chiave nuova").hexdigest()}
        self._end(DOORS)
        self._edit(lambda settings: settings["keys"].append(new))
        self._house.start()
        with Client(self._house.url, "chiave nuova") as client:
            assert client.message(self._portal.promises()[0].id)

    def caller_is_known(self) -> None:
        """The portal of this test has the old key to the end, so here it is the new one that goes."""
        self._end(DOORS)
        self._edit(lambda settings: settings["keys"].pop())
        self._house.start()

    def _end(self, roles: tuple[str, ...]) -> None:
        for name, member in self._house.members.items():
            if name.startswith(roles):
                member.stop()

    def _put_away(self, name: str) -> str:
        return str((self._folder / name).rename(self._folder / f"{name}.{len([*self._folder.iterdir()])}"))

    def _edit(self, how: Callable[[dict[str, Any]], object]) -> None:
        settings = json.loads(self._house.config_path.read_text("utf-8"))
        how(settings)
        self._house.config_path.write_text(json.dumps(settings), "utf-8")


def _beside(portal: Portal, changes: tuple[Callable[[], None], ...]) -> None:
    """All changes, one after the other, while portals send; they have sent between any two."""
    sent, over = threading.Semaphore(0), threading.Event()

    def send(sender: int) -> None:
        """Those that belong together all go: a run that waits for what nobody sends would never end."""
        for few in itertools.count():
            for message in chaos.messages(SEED, sender + SENDERS * few, FEW):
                portal.send(message)
                sent.release()
            if over.is_set() and few * FEW >= OF_EACH:
                return

    with ThreadPoolExecutor(SENDERS) as pool:
        sending = [pool.submit(send, sender) for sender in range(SENDERS)]
        try:
            for change in changes:
                for _ in range(10):
                    assert sent.acquire(timeout=120)
                change()
        finally:
            over.set()
        for one in sending:
            one.result()


def _receipt_of(message: str, house: House) -> str:
    with house.client("portale") as client:
        return client.content(f"/messages/{message}/receipt").decode()
