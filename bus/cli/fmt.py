"""``bus fmt``: rules in one layout."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from bus.cli.common import CONFIG, Json, Settings, family, show
from bus.disk import OWNER_ONLY, whole
from bus.errors import counted

app = family()


@app.command()
def fmt(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files or folders; all rules of the settings when not said.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 when a file would change.")] = False,
    config: Settings = CONFIG,
    json: Json = False,
) -> None:
    """Lay out files of rules in one way.

    Comments stay where they belong, values and the rules' digest stay the same; a file that is no YAML is left alone.
    """
    from bus.cli.layout import NotLaidOutError, laid_out
    from bus.source import read

    changed: list[str] = []
    refused: list[dict[str, str]] = []
    say = (lambda *_, **__: None) if json else print
    for path in _files(paths or [], config):
        data = path.read_bytes()
        try:
            text = data.decode("utf-8").replace("\r\n", "\n")
            after = laid_out(text, str(path))
        except (NotLaidOutError, UnicodeDecodeError) as wrong:
            error = wrong if isinstance(wrong, NotLaidOutError) else read(data, str(path)).findings[0]
            refused.append({"file": str(path), "why": str(error)})
            say(f"left as it is: {error}")
            continue
        if after != text:
            changed.append(str(path))
            if check:
                before = text.splitlines(True)
                say(*difflib.unified_diff(before, after.splitlines(True), str(path), f"{path} (laid out)", n=1), sep="")
            else:
                _replace(path, after)
                say(f"laid out: {path}")
    alone = f", {counted(len(refused), 'file')} left alone" if refused else ""
    told = {"changed": [] if check else changed, "would_change": changed if check else [], "left_alone": refused}
    show(told, json, lambda _: print(f"{counted(len(changed), 'file')} {'would change' if check else 'changed'}{alone}"))
    raise typer.Exit(1 if refused or (check and changed) else 0)


def _files(paths: list[Path], config: Path) -> Iterator[Path]:
    if not paths:
        from bus.config import load

        rules = load(config, secrets=False).rules
        paths = [rules / "routes", rules / "mappings"]
    for path in paths:
        if path.suffix != ".yaml" and path.is_file():
            raise typer.BadParameter(f"{path} is not read as rules: the names of such files end in .yaml; rename it")
        yield from sorted(_within(path)) if path.is_dir() else [path]


def _within(folder: Path) -> Iterator[Path]:
    from bus.rulefiles import ASIDE, closed

    for here, _, names in os.walk(folder, onerror=closed):
        found = (Path(here, name) for name in names if name.endswith(".yaml") and not name.startswith(ASIDE))
        yield from (path for path in found if path.is_file())  # a link to nothing is for `bus validate` to tell


def _replace(path: Path, text: str) -> None:
    """All of it or nothing: whoever reads meanwhile sees the one or the other."""
    path = path.resolve()
    with whole(path, OWNER_ONLY) as file:
        file.write(text.encode())
        os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
