"""Settings: ``config.yaml``, checked whole at start; unknown settings are refused with their place and a hint.

A secret is never written in the file: ``{env: NAME}`` takes it from the environment, ``{file: path}`` from a file that only the
bus can read. Relative paths are relative to the folder of ``config.yaml``.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator

from bus import faults, source
from bus.errors import ConfigError
from bus.exact import Exact, File, FileOrNone, Text
from bus.message import digest
from bus.network import ProxyOrNone
from bus.secrets import EXAMPLE, named, not_in_the_environment, secret_of, secrets_in, still_the_example, with_secrets

Role = Literal["portal", "sysadmin", "auditor", "monitor"]
Sees = Literal["personal", "sensitive"]
_HOUR, _DAY, _YEAR = 3600, 86_400, 31_536_000
"""Seconds: whoever says more has thought of milliseconds."""


class _Section(Exact):
    """Some of the settings."""


S = TypeVar("S", bound=_Section)


class Organization(_Section):
    """The municipality."""

    name: Text = Field(description="Its name as citizens know it.")
    fiscal_code: str = Field(description="Its fiscal code, 11 digits.", pattern=r"^[0-9]{11}$")


SCHEMES = ("sqlite:///", "postgresql://", "postgres://")
"""What the address of a store begins with."""


def file_of(url: str) -> Path | None:
    """The file of the SQLite database that an address of a store names; None where it names another thing."""
    return Path(url.removeprefix(SCHEMES[0])) if url.startswith(SCHEMES[0]) else None


class Store(_Section):
    """Where the log and its projections live."""

    url: Text = Field(
        default="sqlite:///var/snodo.db",
        description="`sqlite:///path` (one process, a local disk) or `postgresql://user@host/database` (any number of processes).",
    )

    @property
    def shared(self) -> bool:
        """Whether several processes may use it at once."""
        return not self.url.startswith("sqlite:")


class Log(_Section):
    """The log as evidence: its name and the keys that sign it. A key that is not there is made at the first start."""

    origin: str = Field(
        default="",
        description="Name of the log in its checkpoints, such as `bus.comune.example/log`; it never changes. Empty: `snodo/FISCAL_CODE`.",
        pattern=r"^[^\s+]*$",
    )
    key: File = Field(
        default=Path("var/log.key"), description="The key that signs checkpoints; only the process that numbers the log reads it."
    )
    previous_key: FileOrNone = Field(
        default=None, description="While keys are being changed, the one before: it signs too, until all who verify know the new one."
    )
    lost_keys: tuple[str, ...] = Field(
        default=(), description="Public keys of the log whose files are lost: only then may a key sign that none of them vouches for."
    )
    receipt_key: File = Field(default=Path("var/receipts.key"), description="The key with which the doors sign receipts.")
    promise: float = Field(
        default=86_400, gt=0, le=_YEAR, description="Seconds within which a receipt promises that its record is in the tree."
    )

    @field_validator("lost_keys")
    @classmethod
    def _are_of_the_log(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [key for key in given if not _is_public_key(key, 1)]:
            raise ValueError(f"{wrong[0][:200]!r} is no public key of a log: one line NAME+NUMBER+BASE64, as `bus log key show` printed it")
        return given


def _is_public_key(said: str, type: int) -> bool:
    """Whether a text is a key as it is published (c2sp.org/signed-note), of this type: 1 of a log, 4 of a witness."""
    name, id, material = [*said.strip().split("+", 2), "", ""][:3]
    if not name or re.search(r"\s", name) or not re.fullmatch("[A-Za-z0-9+/]{44}", material):
        return False
    raw = base64.b64decode(material)
    return raw[0] == type and hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex() == id


class WitnessAt(_Section):
    """A witness of the log, of another administrator."""

    url: str = Field(description="Its address; `/add-checkpoint` is added.", pattern=r"^https?://")
    key: str = Field(description="Its public key, one line: `bus witness key` shows it.")
    proxy: ProxyOrNone = None

    @field_validator("key")
    @classmethod
    def _is_of_a_witness(cls, given: str) -> str:
        if not _is_public_key(given, 4):
            raise ValueError("is no public key of a witness: one line NAME+NUMBER+BASE64, as `bus witness key` shows it")
        return given


class Timestamps(_Section):
    """Time stamps (RFC 3161) of checkpoints."""

    url: str = Field(description="Address of the time-stamping authority.", pattern=r"^https?://")
    ca: File = Field(description="File (PEM) of the root certificate of the authority.")
    proxy: ProxyOrNone = None
    every: float = Field(default=3600, gt=0, le=_YEAR, description="Seconds between two stamps, while the log grows.")
    late: float = Field(
        default=14_400, gt=0, le=_YEAR, description="Seconds for which a checkpoint may be without a stamp before that is reported."
    )


class DailyAnchor(_Section):
    """The day's last checkpoint, handed to the protocol register."""

    type: Text = Field(
        default="registro.sigillo.giornaliero", description="Type of the message that hands it in; a route takes it from there."
    )
    at: str = Field(
        default="00:00",
        description="When the day ends, in Italy. It bears the date that most of it had: at `00:30` the one before, at `23:00` that one.",
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
    )
    late: float = Field(
        default=108_000,
        gt=0,
        le=_YEAR,
        description="Seconds for which a checkpoint may be without a protocol number before that is reported; the default is 30 hours.",
    )


class Anchors(_Section):
    """Who outside vouches for the log's checkpoints."""

    witnesses: tuple[WitnessAt, ...] = Field(default=(), description="Witnesses, each asked to cosign the newest checkpoint.")
    every: float = Field(default=10, gt=0, le=_YEAR, description="Seconds between two turns in which they are asked, while the log grows.")
    late: float = Field(
        default=600, gt=0, le=_YEAR, description="Seconds for which a checkpoint may be without a cosignature before that is reported."
    )
    timestamps: Timestamps | None = Field(default=None, description="Time stamps of checkpoints; without this there are none.")
    daily: DailyAnchor | None = Field(
        default=None, description="The day's last checkpoint in the protocol register; without this it is not."
    )

    @field_validator("witnesses")
    @classmethod
    def _have_names_of_their_own(cls, given: tuple[WitnessAt, ...]) -> tuple[WitnessAt, ...]:
        """What they cosign is kept by the name of the key: of two of one name the second would never be asked."""
        names = [one.key.strip().partition("+")[0] for one in given]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two keys have the name {twice[0]}: each witness has one of its own (bus witness key NAME)")
        return given


class Channel(_Section):
    """Where tickets wait."""

    url: Text = Field(
        default="memory://",
        description="A kombu URL: `memory://` in one process, `amqp://user@host/vhost` (RabbitMQ) between several.",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="kombu's options of the transport, such as `ssl: {ca_certs: /etc/ssl/comune.pem}` for `amqps://`."
    )

    @property
    def shared(self) -> bool:
        """Whether other processes hear what this one rings."""
        return not self.url.lower().startswith("memory:")


class Attachments(_Section):
    """Files that come with messages."""

    folder: File = Field(default=Path("var/attachments"), description="Where files are kept, by content address.")
    limit: int = Field(default=200_000_000, gt=0, description="The largest file, in bytes.")


class Keystore(_Section):
    """What opens payloads, apart from the database: destroying a key erases what it sealed."""

    folder: File = Field(default=Path("var/keys"), description="Where the keys are; one folder for all processes, readable by them alone.")
    master: File = Field(
        default=Path("var/master.key"), description="The key that wraps all others, mode 0600; made at the first start. Back it up apart."
    )


class Http(_Section):
    """The HTTP door."""

    host: Text = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    prefix: str = Field(
        default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path under which a reverse proxy shows the bus (`/snodo`), which it takes away; addresses in answers begin with it.",
    )  # fmt: skip
    max_body: int = Field(default=1_000_000, gt=0, description="The largest message, in bytes.")
    at_once: int = Field(
        default=1000, gt=0, description="Requests of one API key in progress in one process; that key gets 429 beyond it, the others go on."
    )
    max_wait: float = Field(default=30, ge=0, le=300, description="The longest `Prefer: wait=N` that is honoured, in seconds.")


class Key(_Section):
    """An API key: who, in which role, and the SHA-256 of the key (`bus keys new` makes both)."""

    name: str = Field(
        description="Who holds it; becomes the sender of its messages and the actor in the log.", pattern=r"^[a-z][a-z0-9-]*$"
    )
    role: Role = Field(description="`portal` sends and sees its own; `sysadmin` runs the bus; `auditor` reads the log; `monitor` watches.")
    sha256: str = Field(description="SHA-256 of the key, 64 hex digits.", pattern=r"^[0-9a-f]{64}$")
    sees: tuple[Sees, ...] | None = Field(
        default=None, description="Which protected fields it may see; when not said, what `rights` says of its role."
    )

    @field_validator("name")
    @classmethod
    def _is_not_the_bus(cls, given: str) -> str:
        if given == "bus":
            raise ValueError("may not be bus: what the bus sends by itself has that sender")
        return given


class Rights(_Section):
    """Which fields that message types declare as `personal` or `sensitive` a role may see. What no type declares takes both."""

    sysadmin: tuple[Sees, ...] = Field(default=("personal", "sensitive"), description="Keys of sysadmins.")
    auditor: tuple[Sees, ...] = Field(default=("personal", "sensitive"), description="Keys of auditors.")

    def of(self, key: Key) -> frozenset[str]:
        """What a key may see; portals see what is their own, monitors nothing."""
        if key.sees is not None:
            return frozenset(key.sees)
        return frozenset(getattr(self, key.role, ()))


class Circuit(_Section):
    """When a system that does not answer is left alone; times are seconds."""

    after: int = Field(
        default=5, gt=0, description="Calls in a row that nobody answered, after which an adapter is not called for a while."
    )
    pause: float = Field(default=1, gt=0, le=_DAY, description="How long it is left alone at first; each trial that fails doubles that.")
    longest: float = Field(default=60, gt=0, le=_DAY, description="For how long at most.")


class Engine(_Section):
    """How the engine works; times are seconds."""

    lease: float = Field(default=10, gt=0, le=_HOUR, description="How long a claim on a run is good for without renewal.")
    sweep: float = Field(default=1, gt=0, le=_HOUR, description="How often the sweeper rings for runs whose ticket got lost.")
    threads: int = Field(
        default=16,
        gt=0,
        le=256,
        description="Calls of one adapter at once, at most, in one process; `concurrency` in an adapter's settings says it for that one.",
    )
    circuit: Circuit = Circuit()
    backlog: int = Field(
        default=200_000,
        gt=0,
        description="How many runs may be due, not counting those behind a dead letter; beyond it the doors answer 503 with `Retry-After`.",
    )
    stop: float = Field(
        default=20,
        gt=0,
        le=_HOUR,
        description="How long calls in flight may come home when the process is told to stop; the rest is left to its lease.",
    )


_TERM = r"^([1-9][0-9]{0,3}[dwM]|[1-9][0-9]{0,2}y)$"


class Retention(_Section):
    """How long what was said is kept, by kind: `24M`, `10y`; a kind without a time is kept for ever. Records themselves never go."""

    payloads: str | None = Field(
        default=None,
        pattern=_TERM,
        description="Messages, answers, replies, reasons: since the last thing that happened in their case, when nothing of it is open.",
    )
    wire: str | None = Field(default=None, pattern=_TERM, description="The bytes of exchanges with other systems, likewise.")
    attachments: str | None = Field(
        default=None, pattern=_TERM, description="Files, likewise: at most as long as `payloads`, by which an erasure finds them."
    )
    accesses: str | None = Field(default=None, pattern=_TERM, description="From where persons came, and their purposes; at least `6M`.")
    journals: dict[str, str] = Field(
        default_factory=dict,
        description="Exchanges that the law wants kept, by adapter: at least what it declares (`pagopa`: `24M`), whatever stands above.",
    )

    @field_validator("journals")
    @classmethod
    def _are_terms(cls, given: dict[str, str]) -> dict[str, str]:
        if wrong := [name for name, term in given.items() if not re.fullmatch(_TERM, term)]:
            raise ValueError(f"{wrong[0]}: a number and d, w, M or y, such as 24M")
        return given


class Config(_Section):
    """All settings."""

    organization: Organization
    rules: Path = Field(default=Path(), description="The folder that holds `routes/` and `mappings/`.")
    activate_at_start: bool = Field(
        default=False,
        description="Whether rules of the folder that differ from those in force are activated at start; else only by `bus activate`.",
    )
    store: Store = Store()
    log: Log = Log()
    anchors: Anchors = Anchors()
    channel: Channel = Channel()
    attachments: Attachments = Attachments()
    keystore: Keystore = Keystore()
    http: Http = Http()
    engine: Engine = Engine()
    keys: tuple[Key, ...] = Field(default=(), description="API keys by hash.")
    rights: Rights = Rights()
    retention: Retention = Retention()
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="How much the bus says of itself on stderr."
    )
    adapters: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Each outside system: `use` names its adapter, `concurrency` bounds its calls at once in one process (three workers "
        "may have three times as many out), the rest are its own settings.",
    )
    _written: dict[str, Any] = PrivateAttr(default_factory=dict)
    _folder: Path | None = PrivateAttr(default=None)
    _document: source.Source | None = PrivateAttr(default=None)

    @field_validator("keys")
    @classmethod
    def _are_each_of_one_caller(cls, given: tuple[Key, ...]) -> tuple[Key, ...]:
        """A key stands for one caller: of two entries with one key the log would name the same caller for both."""
        holders: dict[str, str] = {}
        for key in given:
            if key.sha256 in holders:
                raise ValueError(f"of {holders[key.sha256]} and {key.name} are the same key: make one for each (bus keys new)")
            holders.update({key.sha256: key.name} if key.sha256 else {})  # one that is not read is none
        return given

    @field_validator("adapters")
    @classmethod
    def _no_key_is_called_so(cls, given: dict[str, dict[str, Any]], info: ValidationInfo) -> dict[str, dict[str, Any]]:
        """The name of a sender says who it is: nobody's key may send, or read, as an outside system."""
        if taken := [key.name for key in info.data.get("keys", ()) if key.name in given]:
            raise ValueError(f"may not hold {taken[0]}: an API key has that name and would send as that system; give the key another one")
        return given

    def written_as(self, settings: Mapping[str, Any], folder: Path, document: source.Source | None) -> None:
        """Remember what stands in the file, before secrets were put in, where it stands, and the folder that it is in."""
        self._written.update(settings)
        self._folder, self._document = folder, document

    def place_of(self, *pointer: str | int, key: bool = False) -> str:
        """Where a setting stands, or its ``key``, as findings begin: ``config.yaml:32:5: ``; empty for settings of no file."""
        line, column = self.spot_of(*pointer, key=key)
        return f"{self._document.file}:{line}:{column}: " if self._document else ""

    def spot_of(self, *pointer: str | int, key: bool = False) -> tuple[int, int]:
        """Line and column of a setting, or of its ``key``; the first of settings of no file."""
        return self._document.place(pointer, key=key) if self._document else (1, 1)

    @property
    def folder(self) -> Path | None:
        """The folder of ``config.yaml``, to which relative paths are relative; None for settings of no file."""
        return self._folder

    @property
    def written(self) -> Mapping[str, Any]:
        """What stands in the file, where a secret is named and not told."""
        return self._written

    def lacking(self) -> Iterator[tuple[int, int, str]]:
        """Secrets that are not there: line and column of each use in the file, and a sentence; nothing for settings of no file."""
        if self._document is None or self._folder is None:
            return
        for pointer, name in named(self._written):
            try:
                secret_of(str(pointer[-1]), name, self._folder)
            except ConfigError as error:
                yield *self._document.place(pointer), error.sentence

    @property
    def fingerprints(self) -> dict[str, str]:
        """The digest of each section as it is written, each adapter by itself; a secret counts by where it is taken from."""
        written = {**self._written, **{f"adapters.{name}": own for name, own in (self._written.get("adapters") or {}).items()}}
        return {name: digest(value) for name, value in sorted(written.items()) if name != "adapters"}


def load(path: Path, *, secrets: bool | None = True) -> Config:
    """Read and check ``config.yaml``; raises `ConfigError` with all faults at once.

    Without ``secrets`` each of them is an empty text, or the default of a setting that can be none; with None those that are not there.
    """
    try:
        document = _read(path)
    except OSError as error:
        sentence, hint = f"{path} cannot be read: {error.strerror}", "let the user who runs this read the file and enter its folder"
        raise ConfigError(sentence, code="config.unreadable", hint=hint) from None
    if document.findings:
        raise ConfigError(source.render(document.findings), code="config.malformed")
    return parse(document.plain(), path, secrets=secrets, document=document)


def _read(path: Path) -> source.Source:
    """Raises `ConfigError` where there is no such file, OSError where this user may not read it."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", code="config.unreadable", hint=f"name the file: {path / 'config.yaml'}")
    if path.exists() and not path.is_file():
        hint = "write the settings into a file: they are read more than once, and places in them are as seen from its folder"
        raise ConfigError(f"{path} is no file of its own, but a pipe or a device", code="config.unreadable", hint=hint)
    if not path.is_file():
        sentence = f"there is no {path}" if path.is_absolute() else f"there is no {path} in {Path.cwd()}"
        hint = "go to the folder of the project, or name it with --config or SNODO_CONFIG"
        hint += '; to begin one, write there: organization: {name: Comune di …, fiscal_code: "…"}'
        raise ConfigError(sentence, code="config.unreadable", hint=hint)
    return source.read_file(path)


def parse(settings: Any, path: Path, *, secrets: bool | None = True, document: source.Source | None = None) -> Config:
    """Check settings that were read from ``path``; resolves secrets and relative paths. ``document`` tells places."""
    base = path.resolve().parent
    _refuse_unnamed(settings, path, document)
    _refuse_variables(settings, path, document)
    in_environment = sorted({name for kind, name in secrets_in(settings) if kind == "env"})
    if secrets and (absent := [name for name in in_environment if name not in os.environ]):
        raise not_in_the_environment(absent)
    if secrets and (known := [name for name in in_environment if EXAMPLE in os.environ[name]]):
        raise still_the_example(known)
    resolved = with_secrets(settings, None if secrets is False else base, bool(secrets))
    try:
        config = Config.model_validate(resolved)
    except ValidationError as error:
        said = [f"{path}: {fault}" for fault in faults.all_of(error)] if document is None else _findings(resolved, document)
        raise ConfigError("\n".join(said), code="config.invalid", hint="docs/reference/settings.md lists all settings") from error
    config.written_as(settings, base, document)
    placed, file = _placed(config, base), file_of(config.store.url)
    log = placed.log.model_copy(update={"origin": config.log.origin or f"snodo/{config.organization.fiscal_code}"})
    store = config.store if file is None else Store(url=f"sqlite:///{base / file}")
    return placed.model_copy(update={"log": log, "store": store})


_VARIABLE = re.compile(r"^\$[A-Z][A-Z0-9_]*$|\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_KINDS: Mapping[str, str] = {"env": "variable, a text", "file": "file, a text"}


def _refuse_unnamed(settings: Any, path: Path, document: source.Source | None) -> None:
    """Raises `ConfigError` for secrets that are to be taken from what is no name, each at its place."""
    said = []
    for pointer in (pointer for pointer, name in named(settings) if not (isinstance(name, str) and name)):
        kind = str(pointer[-1])
        place = ".".join(map(str, pointer)) if document is None else "{}:{}".format(*document.place(pointer))
        said.append(f"{path}:{place}: `{kind}` takes the name of a secret's {_KINDS[kind]}")
    if said:
        raise ConfigError("\n".join(said), code="config.invalid", hint="{env: SNODO_PASSWORD}, or {file: secrets/password}")


def _refuse_variables(settings: Any, path: Path, document: source.Source | None) -> None:
    """Raises `ConfigError` for what a shell or compose would fill in from the environment, and which would be the secret itself here."""
    said, hint = [], ""
    for pointer, text in _texts(settings):
        if found := _VARIABLE.search(text):
            place = ".".join(map(str, pointer)) if document is None else "{}:{}".format(*document.place(pointer))
            said.append(f"{path}:{place}: nothing fills in `{found[0]}`")
            hint = hint or f"write {{env: {found[0].strip('${}')}}} for the whole value"
    if said:
        raise ConfigError("\n".join(said), code="config.invalid", hint=hint)


def _texts(value: Any, pointer: source.Pointer = ()) -> Iterator[tuple[source.Pointer, str]]:
    match value:
        case str():
            yield pointer, value
        case dict() | list():
            for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
                yield from _texts(inner, (*pointer, step))


def _placed(section: S, base: Path) -> S:
    """The same settings with each path in its place."""
    found = {name: getattr(section, name) for name in type(section).model_fields}
    paths = {name: base / value for name, value in found.items() if isinstance(value, Path)}
    inner = {name: _placed(value, base) for name, value in found.items() if isinstance(value, _Section)}
    return section.model_copy(update={**paths, **inner})


def _findings(settings: Any, document: source.Source) -> list[str]:
    """What is wrong, each with its place; not with its line, in which a secret may stand."""
    source.validated(settings, Config, document)
    return [source.render([replace(one, excerpt="")]) for one in sorted(document.findings, key=lambda one: (one.line, one.column))]
