"""What commands share: the options to reach a bus, JSON or words, settings."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote

import typer
from typer.core import TyperGroup

from bus.errors import SnodoError

if TYPE_CHECKING:
    from bus.client import Client

T = TypeVar("T")
Url: TypeAlias = Annotated[
    str, typer.Option("--url", envvar="SNODO_URL", help="Address of the running bus; without it that of http.host and http.port.")
]
Key: TypeAlias = Annotated[
    str, typer.Option("--key", envvar="SNODO_KEY", help="API key; better in the environment than on the command line.")
]
LogKey: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--log-key", help="Public key of the log that --bundle is of, as published; else the one in the bundle is believed."),
]
Purpose: TypeAlias = Annotated[str, typer.Option("--purpose", help="What for, where something that was said is shown; the log keeps it.")]
Reason: TypeAlias = Annotated[str, typer.Option("--reason", help="Why; the log keeps it.")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON instead of words.")]
Since: TypeAlias = Annotated[str, typer.Option("--from", help="Messages accepted from then on: a day, or a moment with its offset.")]
Until: TypeAlias = Annotated[str, typer.Option("--to", help="Messages accepted before then.")]
Store: TypeAlias = Annotated[
    str,
    typer.Option("--store", envvar="SNODO_STORE", help="The database to read, instead of store.url: for a user that may only read."),
]
Settings: TypeAlias = Annotated[Path, typer.Option("--config", envvar="SNODO_CONFIG", readable=False, help="The settings.")]
"""Whether this user may read them is asked by whoever does, and told with the remedy (``readable``: typer would call it wrong usage)."""


class Format(StrEnum):
    """How findings are written."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"


LOCAL = "http://127.0.0.1:8080"
CONFIG = Path("config.yaml")
WHOLE = 1000
"""Letters that no sentence about a command has."""


def family(help: str = "", *, bare: str = "", other: str = "") -> typer.Typer:
    """A family of commands; without ``help`` the only one that it has, with that one's help.

    ``bare``: the command for when none is said (``bus runs --json`` is ``bus runs list --json``); ``other``: the one for what is no command
    but the name of something (``bus runs ID`` is ``bus runs show ID``). Help has no frames: a screen reader would read each of their lines.
    """

    class Family(TyperGroup):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            if not args and not bare:
                print(ctx.get_help(), end="\n\n", file=sys.stderr)
                ctx.fail("say what to do")
            if args[:1] == ["help"]:  # as others have it, and as `bus help` does
                args = [*args[1:2], ctx.help_option_names[0]]
            first = args[0] if args else "-"
            if first in ctx.help_option_names or first in self.commands:
                return super().parse_args(ctx, args)
            if first.startswith("-"):
                return super().parse_args(ctx, [bare, *args] if bare else args)
            meant = difflib.get_close_matches(first, self.commands, n=1, cutoff=0.8)
            return super().parse_args(ctx, args if meant or not other else [other, *args])

        def format_commands(self, ctx: Any, formatter: Any) -> None:
            """Each with its first sentence, whole."""
            told = [(name, command.get_short_help_str(WHOLE)) for name, command in self.commands.items()]
            with formatter.section("Commands"):
                formatter.write_dl(told)

    made = typer.Typer(help=help, cls=Family, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    if help:
        made.callback()(lambda: None)  # or typer would take a family of one command for that command
    return made


def client(url: str, key: str, config: Path | None = None) -> Client:
    """A client of the bus at ``url``, or of the one whose settings these are; else those of ``SNODO_CONFIG``, or of this folder."""
    from bus.cli.patient import PatientClient

    try:
        return PatientClient(url or address(config or Path(os.environ.get("SNODO_CONFIG", CONFIG))), key)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def escaped(name: str) -> str:
    """A name as one part of an address, whatever characters it has."""
    return quote(name, safe="")


def address(config: Path) -> str:
    """Where the bus of these settings listens on this machine; the usual place where they do not say it: absent, wrong or secret."""
    from bus import config as settings

    try:
        http = settings.load(config, secrets=False).http
    except SnodoError:
        return LOCAL
    if not (http.host and http.port):
        return LOCAL
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(http.host, http.host)  # noqa: S104 - the bus listens everywhere, we ask here
    return f"http://{f'[{host}]' if ':' in host else host}:{http.port}"


def unused(path: Path) -> Path:
    """The place of a file that is not there yet; raises FileExistsError: what was written down once is not lost under a second one."""
    if path.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    return path


def pages(ask: Callable[[Any], dict[str, Any]], after: Any = None, next: str = "next") -> Iterator[dict[str, Any]]:
    """Page after page of what is too much for one answer; ``ask`` is told where the one before ended, which says that as its ``next``."""
    while True:
        yield (page := ask(after))
        after = page.get(next)
        if after is None:
            return


def given(values: Mapping[str, T]) -> dict[str, T]:
    """The values that were said."""
    return {name: value for name, value in values.items() if value}


class Granted(NamedTuple):
    """What a key may see, and the key store of the log in which its purpose was written."""

    sees: frozenset[str]
    keystore: str


def announced(url: str, key: str, config: Path, act: str, purpose: str, **scope: str) -> Granted | None:
    """Have the running bus write down that this command shows what was said. None without a purpose: nothing may be shown."""
    if not purpose:
        return None
    with client(url, key, config) as bus:
        told = bus.post("/reads", {"act": act, "purpose": purpose, **given(scope)})
    return Granted(frozenset(told["sees"]), told["keystore"])


@contextlib.contextmanager
def bar(doing: str, what: str) -> Iterator[Callable[[int, int], None]]:
    """How far a command is, on a terminal; it is told how many are done, of how many."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TextColumn(what), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("")
        yield lambda done, of: progress.update(task, completed=done, total=of)


def show(value: Any, as_json: bool, words: Callable[[Any], None]) -> None:
    """Print a value for a program or for a person."""
    if as_json:
        from bus.cli.failures import in_json

        print(in_json(value, indent=True))
    else:
        words(value)
