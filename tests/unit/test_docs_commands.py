"""Every command `bus …` that a page, a message or a comment of ours names is one that the program takes, with these options.

The pages of the sysadmin whose blocks can run are played in `tests/integration`; here all of them are read.
"""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer

from bus.cli import COMMANDS
from bus.cli.failures import HELP
from tests.unit.sources import PROJECT

PAGES = sorted({*PROJECT.glob("*.md"), *PROJECT.glob("*.yaml"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "adapters").rglob("*.md")})
DEPLOYED = sorted(path for path in (PROJECT / "deploy").rglob("*") if path.is_file())
HINTS = sorted((PROJECT / "bus").rglob("*.py"))
ENDS = frozenset({"|", ";", "&&", "||", ">", ">>", "<", "&", ")", "("})


def commands_in(text: str) -> list[list[str]]:
    """The words of each command, without ``bus``: from blocks of a shell, and from what stands between backticks."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    quoted = re.findall(r"(?<![`\w])`((?:\w+=\S+ )?bus [^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [command for line in [*lines, *quoted] for command in _of_a_line(line)]


def _of_a_line(line: str) -> list[list[str]]:
    if line.startswith("ln "):
        return []
    lexer = shlex.shlex(line.replace("…", "X"), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quotation that goes over several lines
        return []
    found: list[list[str]] = []
    inside = False
    for word in words:
        if word in ENDS:
            inside = False
        elif inside:
            found[-1].append(word)
        elif word == "bus" or word.endswith("bin/bus"):
            found.append([])
            inside = True
    return found


def refused(words: list[str]) -> str:
    """Why the program does not take these words; nothing when it does. What is missing is no reason: the text goes on about it."""
    if not words or words[0] in ("COMMAND", "help") or words[0].startswith("-"):
        return ""
    if len(words) == 1 and words[0] in COMMANDS:  # the name of a family, as one speaks of it
        return ""
    if words[0] not in COMMANDS:
        return f"there is no command {words[0]}"
    module, _, name = COMMANDS[words[0]][0].partition(":")
    command: Any = typer.main.get_command(getattr(import_module(f"bus.cli.{module}"), name or "app"))
    given = words[1:]
    try:
        while hasattr(command, "commands"):
            context = command.make_context("bus", list(given), resilient_parsing=True)
            rest = [*getattr(context, "_protected_args", ()), *context.args]
            _, command, given = command.resolve_command(context, rest)
            if command is None:
                return f"there is no {rest[0]} of {words[0]}"
        _, more, _ = command.make_parser(typer.Context(command, help_option_names=HELP)).parse_args(list(given))
        return f"too many words: {more}" if more else ""
    except typer.TyperException as error:
        said = str(error.format_message())  # type: ignore[attr-defined]
        return "" if said.endswith("requires an argument.") else said


@pytest.mark.parametrize("path", [*PAGES, *DEPLOYED, *HINTS], ids=lambda path: str(path.relative_to(PROJECT)))
def test_commands_that_are_named_are_taken(path: Path):
    named = commands_in(path.read_text("utf-8"))
    assert {" ".join(words): why for words in named if (why := refused(words))} == {}


def test_a_command_that_is_not_taken_is_found():
    page = "```sh\nA=1 bus plan --route x | bus nope\n```\nsay `bus dead lst` or `bus runs show ID more`, `bus runs --stat dead`, or `bus dead list`\n"
    assert [bool(refused(words)) for words in commands_in(page)] == [True, True, True, True, True, False]
