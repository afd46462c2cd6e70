"""``bus demo``: one building application, from the citizen's click to the employee's desk, between real processes on loopback.

Starts every outside system as a simulator and a bus, lets a portal present an application, a citizen pay and the node deliver the
receipt; prints the case as one timeline and checks the systems' own ledgers: one effect each.
"""

from __future__ import annotations

import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from bus.cli.common import CONFIG, Json, Settings, family
from bus.cli.failures import say
from bus.cli.timeline import print_case
from bus.config import load
from bus.errors import ConfigError
from bus.jsontext import dumps
from bus.testing.simulators import SimulatorFailed
from bus.testing.town import KEYS, Town, key_of

app = family()
APPLICATION: dict[str, Any] = {
    "istanza": "SUE-2026-000117",
    "procedimento": "SCIA",
    "oggetto": "Ristrutturazione edilizia con opere interne",
    "richiedente": {"codice_fiscale": "BLLDAA71E43B429M", "cognome": "Bellomo", "nome": "Ada", "email": "ada.bellomo@posta.example"},
    "mappali": [{"foglio": "0083", "particella": "412", "sub": "7"}, {"foglio": "0083", "particella": "413"}],
    "indirizzo": "Via delle Zagare 12",
}
"""An invented person; the population registry's simulator knows her."""

EFFECTS = (
    ("protocollo", "registrazione"),
    ("edilizia", "pratica"),
    ("edilizia", "pagamento"),
    ("pagopa", "posizione"),
    ("scrivania", "elemento"),
)
SECONDS = 60.0
NEEDED = ("config.yaml", "routes", "mappings/tables/uffici.csv")
"""What the folder of the rules must hold before anything is started."""


@app.command()
def demo(
    config: Settings = CONFIG,
    stay: Annotated[bool, typer.Option("--stay", help="Keep everything running until Ctrl-C.")] = False,
    json: Json = False,
) -> None:
    """Start every outside system as a simulator and a bus; present, pay, assign; print the case. Exit code 0 when all went well.

    With --json standard output is the case and nothing else; the story goes to standard error.
    """
    rules = load(config, secrets=False).rules if config.is_file() else config.resolve().parent
    raise typer.Exit(run(rules, stay=stay, as_json=json))


def run(rules: Path, *, stay: bool = False, as_json: bool = False) -> int:
    """Run the demonstration; 0 when the case was paid and assigned and every system did its part once.

    Raises `ConfigError` when ``rules`` is not the project's folder.
    """
    _look(rules)
    out = sys.stdout
    with _ends_on_sigterm(), redirect_stdout(sys.stderr if as_json else out), tempfile.TemporaryDirectory(prefix="snodo-demo-") as folder:
        print("starting nine outside systems and a bus, each a process of its own …", flush=True)
        try:
            with Town(Path(folder), rules) as town:
                case, faults = _story(town)
                if as_json and case:
                    print(dumps(case, indent=True).decode(), file=out, flush=True)
                _verdict(faults, as_json)
                if stay and not faults:
                    _stay(town)
        except SimulatorFailed as error:
            faults = [str(error)]
            _verdict(faults, as_json)
    return 1 if faults else 0


@contextmanager
def _ends_on_sigterm() -> Iterator[None]:
    """SIGTERM does what Ctrl-C does, so that whatever was started is stopped and the folder goes. Main thread only."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _look(rules: Path) -> None:
    """Is this the folder of the project? Better said now than when half of the town is up."""
    missing = [name for name in NEEDED if not (rules / name).exists()]
    if missing:
        hint = "run bus demo in the folder of the project, or name its config.yaml with --config"
        raise ConfigError(f"{rules} is not the folder of the project: no {', '.join(missing)}", code="config.unreadable", hint=hint)


def _verdict(faults: list[str], as_json: bool) -> None:
    if as_json and faults:
        say("the demonstration failed", code="demo.failed", why="\n".join(faults), as_json=True)
        return
    print("\n".join(f"demo: failed: {fault}" for fault in faults) or "demo: ok", flush=True)


def _story(town: Town) -> tuple[dict[str, Any], list[str]]:
    """Present, pay, assign; the case (empty when it never began or was not paid) and what went wrong."""
    portal = town.client()
    print(f"the bus listens on {town.url}\n")
    print("the portal presents a building application (POST /messages, Prefer: wait)")
    file = portal.attach(b"%PDF-1.7 relazione tecnica asseverata", name="relazione.pdf", media_type="application/pdf")
    sent = portal.send("edilizia.pratica.presentata", APPLICATION, attachments=[file], wait=20)
    reply = sent.get("reply")
    if not reply:
        return {}, [f"no reply to the portal: {sent}"]
    print("  replied: protocol {protocollo}, practice {pratica}, notice {avviso}, to pay by {scadenza}".format(**reply))
    print("the citizen pays; pagoPA's node verifies, activates and delivers the receipt (SOAP)")
    story = town.pay(reply["avviso"])
    if not story.get("paid"):
        return {}, [f"the payment failed: {story}"]
    case = _until_done(town, f"istanza:{APPLICATION['istanza']}")
    print()
    print_case(case)
    return case, _judge(town, case)


def _until_done(town: Town, key: str) -> dict[str, Any]:
    """The case as soon as nothing of it is under way."""
    client, until = town.client("sistemista"), time.monotonic() + SECONDS
    while True:
        case: dict[str, Any] = client.case(key)
        if case["state"] in ("done", "dead") or time.monotonic() > until:
            return case
        time.sleep(0.05)


def _judge(town: Town, case: dict[str, Any]) -> list[str]:
    """What the case and the systems' own ledgers say; one effect each."""
    faults = [] if case["state"] == "done" else [f"the case is {case['state']}"]
    print("\nwhat the systems wrote in their own ledgers:")
    for name, kind in EFFECTS:
        count = len(town.simulators[name].ledger(kind))
        print(f"  {name:<11} {kind:<14} {count}")
        if count != 1:
            faults.append(f"{name} has {count} effects of kind {kind}, not one")
    told = len(town.simulators["notifiche"].ledger())
    print(f"  {'notifiche':<11} {'messaggio':<14} {told}\n")
    return faults if told else [*faults, "the citizen was told nothing"]


def _stay(town: Town) -> None:
    """Keep everything running until Ctrl-C or SIGTERM; a file sets another terminal up. Raises `SimulatorFailed` as `Town.attend`."""
    print(f"The town stays open. The bus: {town.url}")
    for name in KEYS:
        print(f"  key of {name:<11} {key_of(name)}")
    for name, simulator in town.simulators.items():
        print(f"  {name:<11} {simulator.url}")
    print(f"In another terminal, in this folder:\n  . {_environment(town)}\n  bus case show istanza:{APPLICATION['istanza']}")
    pay = f"""curl -sS {town.simulators["node"].url}/pay -d '{{"noticeNumber": "NOTICE"}}'"""
    print(f"A citizen pays a notice (`avviso` in the reply to an application):\n  {pay}")
    with suppress(KeyboardInterrupt):
        print("Ctrl-C ends it.", flush=True)
        town.attend()


def _environment(town: Town) -> Path:
    """A file for the shell: the program, the address, the sysadmin's key, the settings (so the database and the rules) of this town."""
    file: Path = town.folder / "env.sh"
    values = {"SNODO_URL": town.url, "SNODO_KEY": key_of("sistemista"), "SNODO_CONFIG": town.config_path}
    lines = [f"export {name}={shlex.quote(str(value))}" for name, value in values.items()]
    file.write_text("\n".join([f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH", *lines, ""]), "utf-8")
    return file
