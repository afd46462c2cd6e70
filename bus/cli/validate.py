"""``bus validate``: every finding in the settings and the rules, with its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bus.cli.common import CONFIG, Format, Json, Settings, family
from bus.errors import counted

if TYPE_CHECKING:
    from bus.cli.rules import Declared
    from bus.config import Config
    from bus.earlier import Earlier
    from bus.rulefiles import Files
    from bus.source import Finding

app = family()


@app.command()
def validate(
    folder: Annotated[Path | None, typer.Argument(help="Folder of routes/ and mappings/, instead of that of the settings.")] = None,
    config: Settings = CONFIG,
    form: Annotated[Format, typer.Option("--format", help="How findings are written.")] = Format.text,
    json: Json = False,
    cache: Annotated[bool, typer.Option(help="Whether what was found before, of what is as it was, counts.")] = True,
) -> None:
    """Check everything and show all findings at once; exit code 1 when one of them is an error."""
    from bus.cli.formats import written
    from bus.cli.rules import declared
    from bus.rulefiles import strays

    if folder is not None and not folder.is_dir():
        raise typer.BadParameter(f"{folder} is no folder; all files are checked together: name the folder that holds routes/, or nothing")
    known = declared(config)
    rules = folder or known.config.rules
    findings = [*_settings(config, known), *strays(rules), *found_in(rules, known, cache=cache)]
    errors = sum(finding.severity == "error" for finding in findings)
    said = written(findings, Format.json if json else form)
    if json or form is not Format.text:
        print(said)
    else:
        told = f"{counted(errors, 'error')}, {counted(len(findings) - errors, 'warning')}"
        print(said, told, sep="\n\n" if findings else "")
    raise typer.Exit(1 if errors else 0)


def found_in(folder: Path, known: Declared, *, cache: bool = True) -> list[Finding]:
    """The findings in the rules of a folder; ``cache``: what was found before counts, of what is as it was."""
    from bus.earlier import digest_of, of_folder, written_ground
    from bus.rulefiles import files_of

    if not (folder / "routes").is_dir():
        from bus.examine import examine

        return examine(folder, known.operations)[1]
    files = files_of(folder)
    if not cache:
        from bus.examine import review

        return review(files, known.operations)
    earlier = of_folder(folder, written_ground(known.classes, known.config.fingerprints))
    written = earlier.key(digest_of(files), known.missing.encode())
    found = earlier.findings(written)
    return _anew(files, known, earlier, written) if found is None else found


def _anew(files: Files, known: Declared, earlier: Earlier, written: str) -> list[Finding]:
    """What is found now that the adapters are asked; kept as ``written`` when their code alone says what they offer."""
    from bus.earlier import digest_of, ground_of

    whole, found = written, None
    if not known.fixed:
        earlier.stand_on(ground_of(known.operations, known.config.fingerprints))
        whole = earlier.key(digest_of(files))
        found = earlier.findings(whole)
    if found is None:
        from bus.examine import review

        found = review(files, known.operations, earlier)
        earlier.keep(whole, found)
        earlier.save()
    return found


def _addresses(config: Config) -> None:
    """Raises `ConfigError` for a store or a broker that nothing here speaks; an address that is a secret may not be at hand.

    What is slow to load is asked for only where an address looks strange.
    """
    from bus.config import SCHEMES

    if config.store.url and not config.store.url.startswith(SCHEMES):
        from bus.store.opening import refuse_unusable

        refuse_unusable(config.store.url)
    if config.channel.url.partition(":")[0] not in {"", "memory", "amqp", "amqps"}:
        from bus.channel.refusal import refuse_unsafe

        refuse_unsafe(config.channel.url, config.channel.options)


def _settings(path: Path, known: Declared) -> Iterator[Finding]:
    """What the adapters say of their own settings once they have seen the contracts."""
    from bus.adapter import Caution
    from bus.engine.least import check
    from bus.source import Finding
    from bus.systems import check_settings, minima_of

    check(known.config.retention, minima_of(known.adapters))
    _addresses(known.config)
    if known.missing:
        check_settings(known.config)
        hint = "the rules and all other settings were checked; where all secrets are set, the adapters are asked about their contracts too"
        for line, column, sentence in known.config.lacking():
            yield Finding(str(path), line, column, "config.secret-missing", "warning", sentence, hint)
            hint = ""  # once for all of them
    for name, adapter in known.adapters.items():
        spot = known.config.spot_of("adapters", name, key=True)
        for said in adapter.check():
            level: Literal["error", "warning"] = "warning" if isinstance(said, Caution) else "error"
            yield Finding(str(path), *spot, "config.adapter-contract", level, f"adapters.{name}: {said}")
