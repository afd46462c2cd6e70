"""What commands share: the options to reach a bus, JSON or words, settings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from typer.core import TyperGroup

from bus.client import Client
from bus.jsontext import dumps

Url: TypeAlias = Annotated[str, typer.Option("--url", envvar="SNODO_URL", help="Address of the running bus.")]
Key: TypeAlias = Annotated[
    str, typer.Option("--key", envvar="SNODO_KEY", help="API key; better in the environment than on the command line.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON instead of words.")]
Store: TypeAlias = Annotated[
    str,
    typer.Option("--store", envvar="SNODO_STORE", help="The database to read, instead of store.url: for a user that may only read."),
]
Settings: TypeAlias = Annotated[Path, typer.Option("--config", envvar="SNODO_CONFIG", help="The settings.")]


class Format(StrEnum):
    """How findings are written."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"


class Plain(StrEnum):
    """How a result is written."""

    text = "text"
    json = "json"


LOCAL = "http://127.0.0.1:8080"
CONFIG = Path("config.yaml")


def family(help: str) -> typer.Typer:
    """A family of commands; a family with one command is that command."""
    return typer.Typer(help=help, add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


class Listing(TyperGroup):
    """A group whose command is ``list`` when none is said: ``bus runs --json`` is ``bus runs list --json``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        bare = not args or (args[0].startswith("-") and args[0] != "--help")
        return super().parse_args(ctx, ["list", *args] if bare else args)


class Running(TyperGroup):
    """A group whose command is ``run`` when none of its commands is said: ``bus test PATH`` is ``bus test run PATH``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        other = not args or (args[0] not in self.commands and args[0] != "--help")
        return super().parse_args(ctx, ["run", *args] if other else args)


def running(help: str) -> typer.Typer:
    """A family of commands that runs when it is not told what else to do."""
    return typer.Typer(help=help, cls=Running, add_completion=False, pretty_exceptions_enable=False)


def listing(help: str) -> typer.Typer:
    """A family of commands that lists when it is not told what to do."""
    return typer.Typer(help=help, cls=Listing, add_completion=False, pretty_exceptions_enable=False)


def client(url: str, key: str) -> Client:
    try:
        return Client(url, key)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from None


def show(value: Any, as_json: bool, words: Callable[[Any], None]) -> None:
    """Print a value for a program or for a person."""
    if as_json:
        sys.stdout.write(dumps(value, indent=True).decode() + "\n")
    else:
        words(value)
