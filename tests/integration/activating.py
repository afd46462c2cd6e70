"""What the tests of activation share: a bus that starts again on the same store, and its command line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus import config
from bus.app import App
from bus.web.serve import Server
from tests.files import edit
from tests.small_bus import Caller, key_of, wait_reply, write

SALUTA = "routes/prova/saluta.yaml"


class Bus:
    """A bus in this process that may be started again on the same store."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder, self.changes = folder, changes
        self.config = write(folder, **changes)
        self.start()

    def start(self) -> None:
        self.server = Server(App(config.load(self.config), adapters={}), "127.0.0.1", 0)
        self.server.start()
        self.call = Caller(self.server.port, "sistemista")

    def stop(self) -> None:
        self.server.stop()

    def again(self) -> None:
        self.stop()
        self.start()

    def edit(self, path: str, old: str, new: str) -> None:
        edit(self.folder / path, old, new)

    def put(self, path: str, text: str) -> None:
        """A file in the place of another, in one act: who looks on sees the one or the other."""
        new = self.folder / "new"
        new.write_text(text, "utf-8")
        new.replace(self.folder / path)

    def files(self) -> dict[str, str]:
        return {path.relative_to(self.folder).as_posix(): path.read_text("utf-8") for kind in ("routes", "mappings")
                for path in (self.folder / kind).rglob("*.*")}  # fmt: skip

    def activate(self, reason: str = "a test", **more: Any) -> Any:
        return self.call("POST", "/rules/activate", {"reason": reason, "files": self.files(), **more})

    def greet(self, name: str = "Ada") -> Any:
        return self.send("prova.saluto", name, wait=10)["reply"]

    def send(self, type: str, name: str, wait: int = 0) -> Any:
        sent = self.call(
            "POST", "/messages", {"type": type, "data": {"nome": name}}, {"Prefer": f"wait={wait}"} if wait else {}, name="portale"
        )
        assert sent.status in (200, 202), sent.json
        return sent.json

    def rules(self) -> Any:
        return self.call("GET", "/rules").json


def reply_of(bus: Bus, message: str) -> Any:
    shown = wait_reply(bus.server.app, message, 60)
    assert "done" == shown["state"], shown
    return shown["reply"]


@contextlib.contextmanager
def here(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SNODO_URL", bus.server.url)
    monkeypatch.setenv("SNODO_KEY", key_of("sistemista"))
    monkeypatch.setenv("SNODO_CONFIG", str(bus.config))
    yield
