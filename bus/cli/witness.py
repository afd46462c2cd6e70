"""``bus witness``: the program of another administrator, who cosigns the checkpoints of logs."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bus.cli.common import Json, family, show
from bus.disk import OWNER_ONLY, save
from bus.errors import ConfigError, EvidenceError

if TYPE_CHECKING:
    from bus.witness.settings import Settings

app = family("Witness logs: remember the last checkpoint of each, demand that the next one only adds to it, cosign it.")
Config = Annotated[Path, typer.Option("--config", envvar="SNODO_WITNESS_CONFIG", readable=False, help="The settings of the witness.")]
CONFIG = Path("witness.yaml")


@app.command()
def serve(config: Config = CONFIG, json: Json = False) -> None:
    """Cosign until told to stop; says in one line where it listens (with --json: `{"url": ...}`)."""
    from bus.cli.serve import announce
    from bus.witness.serve import run

    run(_settings(config), lambda url: announce(f"the witness listens on {url}", {"url": url}, json=json))


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Its name, like an address without scheme: testimone.provincia.example/t1.")],
    to: Annotated[Path, typer.Option("--to", help="The file for the private key; it must not exist.")],
    json: Json = False,
) -> None:
    """Make the key of a witness. The public key, one line, is for whoever asks for cosignatures or verifies them."""
    from bus.log.note import COSIGNATURE, Signer

    signer = Signer.new(name, COSIGNATURE)
    save(to, f"{signer.secret()}\n".encode(), OWNER_ONLY, anew=True)
    show({"key": str(to), "public_key": str(signer.verifier)}, json, _made)


@app.command()
def begin(
    config: Config = CONFIG,
    held: Annotated[
        Path | None, typer.Option("--from-checkpoint", help="After a loss: the newest checkpoint that carries the witness's cosignature.")
    ] = None,
    json: Json = False,
) -> None:
    """Before the first start: the logs of which the memory knows nothing begin here. After a loss: put the newest checkpoint back."""
    from bus.log.note import parse, read_signer, verifier
    from bus.witness import memory

    settings = _settings(config)
    origins = [log.origin for log in settings.logs]
    new: list[str] = []
    if held is None:
        new = memory.begin(settings.memory, origins)
    else:
        ours = [read_signer(settings.key).verifier, *map(verifier, settings.former_keys)]
        try:
            memory.put_back(settings.memory, parse(held.read_bytes()), origins, ours)
        except EvidenceError as error:
            hint = "take the newest checkpoint that carries this witness's cosignature: on the bus, bus log checkpoint --cosigned"
            raise ConfigError(f"{held}: {error.sentence}", code="witness.memory", hint=hint) from error
    show({"begin": new, "logs": [_remembered(settings, origin) for origin in origins]}, json, _begun)


@app.command("show")
def show_memory(config: Config = CONFIG, json: Json = False) -> None:
    """The last checkpoint of each log, as it is in the memory; also while the witness runs."""
    settings = _settings(config)
    show({"logs": [_remembered(settings, log.origin) for log in settings.logs]}, json, _logs)


def _settings(path: Path) -> Settings:
    from bus.witness.settings import load

    return load(path)


def _remembered(settings: Settings, origin: str) -> dict[str, Any]:
    from bus.log.checkpoint import checkpoint_of, place_of
    from bus.log.note import in_base64, parse
    from bus.witness.memory import BEGINS, LAST

    file = settings.memory / place_of(origin) / LAST
    if not file.is_file():
        return {"origin": origin, "size": None, "begins": file.with_name(BEGINS).exists()}
    note = parse(file.read_bytes())
    head = checkpoint_of(note.text)
    return {
        "origin": origin,
        "size": head.size,
        "root": in_base64(head.root),  # as checkpoints and `bus log verify` have it: people compare them by eye
        "time": note.signatures[-1].time,
        "file": str(file),
    }


def _made(made: dict[str, Any]) -> None:
    print(f"the private key is in {made['key']}: nobody else may read it, and it leaves this machine only in a sealed copy\n")
    print(f"the public key, for the settings of the log (anchors.witnesses) and for auditors:\n\n  {made['public_key']}")


def _begun(shown: dict[str, Any]) -> None:
    for origin in shown["begin"]:
        print(f"{origin} BEGINS HERE: the first checkpoint that its key signed will be believed, whatever was taken out of it.\n"
              "  If this witness ever cosigned that log, do not start it: bus witness begin --from-checkpoint FILE")  # fmt: skip
    _logs({"logs": [log for log in shown["logs"] if log["origin"] not in shown["begin"]]})


def _logs(shown: dict[str, Any]) -> None:
    for log in shown["logs"]:
        if log["size"] is None:
            said = "nothing was cosigned yet" if log["begins"] else "the memory knows nothing of it; where it was ever cosigned, it is lost"
            print(f"{log['origin']}: {said}")
        else:
            when = dt.datetime.fromtimestamp(log["time"], dt.UTC)
            print(f"{log['origin']}: {log['size']:,} records, root {log['root']}, cosigned {when:%Y-%m-%d %H:%M:%S} UTC\n  {log['file']}")
