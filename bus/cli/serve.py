"""``bus serve``, ``bus web``, ``bus worker``: the processes of the bus. SIGTERM stops each in good order."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bus.cli.common import CONFIG, Json, Settings, family
from bus.cli.failures import let_output_go
from bus.errors import ConfigError, RulesError
from bus.jsontext import dumps

if TYPE_CHECKING:
    from bus.app import App

Host = Annotated[str, typer.Option(help="Address to listen on, instead of http.host.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on, instead of http.port; 0 picks a free one.")]
MetricsPort = Annotated[int | None, typer.Option(min=0, max=65535, help="Serve /metrics on this port of 127.0.0.1; 0 picks a free one.")]
Watch = Annotated[bool, typer.Option("--watch", help="While you write rules: activate the files whenever they change and have no error.")]
app = family()
web = family()
worker = family()


@app.command("serve")
def serve_all(config: Settings = CONFIG, host: Host = "", port: Port = None, watch: Watch = False, json: Json = False) -> None:
    """Run the bus, door and engine, until it is told to stop; says in one line where it listens (with --json: `{"url": ...}`)."""
    _serve("all", config, host, port, json=json, watch=watch)


@web.command("web")
def serve_web(config: Settings = CONFIG, host: Host = "", port: Port = None, json: Json = False) -> None:
    """Take messages until told to stop; says in one line where it listens (with --json: `{"url": ...}`)."""
    _serve("web", config, host, port, json=json)


@worker.command("worker")
def work(config: Settings = CONFIG, metrics_port: MetricsPort = None, json: Json = False) -> None:
    """Work until told to stop; says in one line that it works (with --json: `{"worker": ...}`, the name of its claims)."""
    from bus import config as settings
    from bus import memory
    from bus import worker as workers
    from bus.app import App

    memory.share()
    app = App(settings.load(config), role="worker")
    told: dict[str, str | int] = {"worker": app.engine.owner}
    with ExitStack() as started:
        if metrics_port is not None:
            told["metrics_port"], stop = _serve_metrics(app, metrics_port)
            started.callback(stop)
        workers.run(app, lambda: announce(f"snodo works as {app.engine.owner}", told, json=json, well=app.well))


def _serve_metrics(app: App, port: int) -> tuple[int, Callable[[], None]]:
    from bus import figures, metrics

    try:
        return metrics.serve(port, lambda: figures.of(app))
    except OSError as error:
        app.stop()
        raise ConfigError(
            f"cannot listen on 127.0.0.1:{port}: {error.strerror}", code="config.port", hint="choose another --metrics-port"
        ) from error


def _serve(role: str, config: Path, host: str, port: int | None, *, json: bool, watch: bool = False) -> None:
    from bus import config as settings
    from bus import memory
    from bus.app import App
    from bus.web.serve import Server

    memory.share()
    loaded = settings.load(config)
    server = Server(App(loaded, role=role), host or loaded.http.host, loaded.http.port if port is None else port)  # type: ignore[arg-type]
    if watch:
        server.app.rules.watch(loaded.rules, _told_of_files)
    server.run(lambda url: announce(f"snodo listens on {url}", {"url": url}, json=json, well=server.app.well))


def _told_of_files(error: RulesError | None) -> None:
    from bus.source import render

    bad = f"{render(error.findings)}\n\n{error.sentence}; the earlier rules stay in force" if error else ""
    print(bad or "the files are in force now", file=sys.stderr, flush=True)


def announce(words: str, facts: Mapping[str, str | int], *, json: bool, well: Callable[[], bool] = lambda: True) -> None:
    """Say on standard output, and to systemd if it started us, that we are ready; to systemd from now on also that we are well."""
    try:
        print(dumps(facts).decode() if json else words, flush=True)
    except (OSError, ValueError):  # a full disk, a closed pipe: who works need not be heard
        let_output_go()
    _tell_systemd("READY=1")
    if every := int(os.environ.get("WATCHDOG_USEC", "0")) / 3e6:
        threading.Thread(target=_keep_telling, args=(well, every), name="snodo-watchdog", daemon=True).start()


def _keep_telling(well: Callable[[], bool], every: float) -> None:
    """Thrice in the time that systemd waits (`WatchdogSec`), as long as the process is well and its threads get their turn."""
    while True:
        if well():
            _tell_systemd("WATCHDOG=1")
        time.sleep(every)


def _tell_systemd(state: str) -> None:
    """The protocol of sd_notify(3): a datagram to the socket that the service manager named. One that cannot go ends nothing: who
    manages us restarts us where it misses them, and takes the next one where it was away for a moment.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError as error:
        _say_untold(str(error))


@cache
def _say_untold(error: str) -> None:
    """Each reason once: it would come again thrice in each of systemd's waits."""
    from bus.diagnostics import logger

    hint = "is the socket in NOTIFY_SOCKET there, and may we write to it? without it systemd restarts this process after WatchdogSec"
    logger("snodo.systemd").warning("systemd.not-told", error=error, hint=hint)
