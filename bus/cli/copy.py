"""``bus copy SOURCE``: a store copied into the empty one that the settings name."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from bus.cli.common import CONFIG, Json, Settings, family, show
from bus.errors import ConfigError

app = family()


@app.command()
def copy(
    source: Annotated[str, typer.Argument(help="Where the old store is, as in store.url: sqlite:///path or postgresql://….")],
    config: Settings = CONFIG,
    json: Json = False,
) -> None:
    """Copy the log, make the rest again from it, compare; a copy that differs is taken back."""
    from bus import config as settings
    from bus import copying
    from bus.log.keystore import unlock
    from bus.store.opening import open_store

    if (path := settings.file_of(source)) is not None and not path.is_file():
        raise ConfigError(f"there is no database at {source}", code="copy.no-source", hint="write sqlite:/// and its path")
    chosen = settings.load(config)
    target = settings.file_of(chosen.store.url)
    if chosen.store.url == source or (path is not None and target is not None and target.exists() and target.samefile(path)):
        hint = "let store.url in the settings name the new one first"
        raise ConfigError("store.url names the store that is to be copied", code="copy.not-empty", hint=hint)
    with closing(open_store(source, exclusive=True)) as old:
        keys = unlock(old, chosen.keystore)
        with closing(open_store(chosen.store.url, exclusive=True)) as new:
            new.keys = keys
            counts = copying.copy(old, new)
    show(counts, json, lambda _: print("copied and compared: " + ", ".join(f"{rows:,} {table}" for table, rows in counts.items())))
