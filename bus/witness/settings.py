"""Settings of a witness: ``witness.yaml``, checked whole at start."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from bus import source
from bus.errors import ConfigError, EvidenceError
from bus.exact import Exact, File, Text
from bus.log import note
from bus.log.checkpoint import RECEIPTS


def _public(said: str, type: int, whose: str) -> str:
    try:
        key = note.verifier(said)
    except EvidenceError as error:
        raise ValueError(error.sentence) from None
    if key.type != type:
        raise ValueError(f"{said} is no key of {whose}")
    return said


LogKey = Annotated[str, AfterValidator(partial(_public, type=note.ED25519, whose="a log"))]
WitnessKey = Annotated[str, AfterValidator(partial(_public, type=note.COSIGNATURE, whose="a witness"))]


class Log(Exact):
    """A log that is witnessed."""

    origin: Text = Field(description="Its name: the first line of its checkpoints.")
    keys: tuple[LogKey, ...] = Field(description="Its public keys; while it changes its key, the old and the new one.", min_length=1)

    @model_validator(mode="after")
    def _sign_the_log(self) -> Self:
        if wrong := [key for key in map(note.verifier, self.keys) if key.name == self.origin + RECEIPTS]:
            raise ValueError(f"{wrong[0].name} ({wrong[0].key_id.hex()}) signs receipts, not the log: `bus log key show` shows both")
        return self


class Settings(Exact):
    """All settings."""

    key: File = Field(description="File of the private key that cosigns, mode 600: `bus witness key` makes it.")
    former_keys: tuple[WitnessKey, ...] = Field(
        default=(), description="Public keys that cosigned before: what they signed is still taken for our own memory."
    )
    memory: File = Field(description="Folder of the last checkpoint of each log, on a local disk. Whoever empties it lets a log be forked.")
    host: Text = Field(default="127.0.0.1", description="Address to listen on; TLS is a reverse proxy's.")
    port: int = Field(default=8090, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    logs: tuple[Log, ...] = Field(description="The logs that are witnessed; checkpoints of others are refused.", min_length=1)


def load(path: Path) -> Settings:
    """Read and check; relative paths are relative to the file. Raises `ConfigError` with all faults at once."""
    if not path.is_file():
        raise ConfigError(f"there is no {path}", code="config.unreadable", hint="name it with --config")
    document = source.read_file(path)
    if document.findings:
        raise ConfigError(source.render(document.findings), code="config.malformed")
    settings = source.validated(document.plain(), Settings, document)
    if settings is None:
        raise ConfigError(source.render(document.findings), code="config.invalid", hint="docs/sysadmin/witness.md lists all settings")
    base = path.resolve().parent
    return settings.model_copy(update={"key": base / settings.key, "memory": base / settings.memory})
