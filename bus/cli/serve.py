"""``bus serve``: the whole bus in one process."""

from __future__ import annotations

from typing import Annotated

import typer

from bus.cli.common import CONFIG, Json, Settings, family

app = family("Run the bus: the HTTP door and the engine, in one process. SIGTERM stops it gracefully.")


@app.command()
def serve(
    config: Settings = CONFIG,
    host: Annotated[str, typer.Option(help="Address to listen on, instead of http.host.")] = "",
    port: Annotated[
        int, typer.Option(min=-1, max=65535, show_default=False, help="Port to listen on, instead of http.port; 0 picks a free one.")
    ] = -1,
    json: Json = False,
) -> None:
    """Run the bus until it is told to stop; says in one line where it listens (with --json: ``{"url": ...}``)."""
    from bus import config as settings
    from bus.app import App
    from bus.jsontext import dumps
    from bus.web.serve import Server

    loaded = settings.load(config)
    server = Server(App(loaded), host or loaded.http.host, loaded.http.port if port < 0 else port)
    server.run(lambda url: print(dumps({"url": url}).decode() if json else f"snodo listens on {url}", flush=True))
