"""A run sends a message that came before by the key of a route: nothing happens twice, and the log says which one stands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bus import config
from bus.app import App
from bus.engine.arrival import Submission
from bus.errors import Conflict
from bus.log import log
from bus.replay import window
from tests.small_bus import at_work, wait_reply, write

SENDS = """route: prova.saluta
version: 1
on: prova.saluto
steps:
  - {id: uno, send: prova.silenzio, with: {nome: body.nome}}
  - {id: due, send: prova.silenzio, with: {nome: body.nome}}
"""
TAKES = """route: prova.tace
version: 1
on: prova.silenzio
key: body.nome
steps:
  - {id: niente, set: {niente: body.nome}}
"""


def test_what_a_run_sends_again_is_told_to_stand_already(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / "routes/prova/saluta.yaml").write_text(SENDS)
    (tmp_path / "routes/prova/tace.yaml").write_text(TAKES)
    with at_work(App(config.load(settings), adapters={})) as app:
        first, second = (app.send(Submission("prova.saluto", {"nome": "Ada"}, "portale", key=key)).result(30).id for key in "ab")
        for one in (first, second):
            assert wait_reply(app, one, 30)["state"] == "done"
        with app.store.read() as tx:
            sent = [[made.data for made in log.of_messages(tx, [one]) if made.kind == "sent"] for one in (first, second)]
        [stands] = [one for page in window.newest(app.store, 10) for one, type in page if type == "prova.silenzio"]
        told = [one for several in sent for one in several]
        assert [one.get("stands") for one in told] == [stands if one["sent"] != stands else None for one in told]
        assert [one["sent"] for one in told].count(stands) == 1
    replay = [sys.executable, "-m", "bus", "replay", "--all", "--from", "2020-01-01", "--config", str(settings)]  # it arms a guard for good
    said = subprocess.run(replay, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stdout + said.stderr


def test_which_key_a_message_of_other_content_has_in_common_with_another_is_told(tmp_path: Path) -> None:
    settings = write(tmp_path)
    (tmp_path / "routes/prova/tace.yaml").write_text(TAKES)
    with at_work(App(config.load(settings), adapters={})) as app:
        first = app.send(Submission("prova.silenzio", {"nome": "Ada"}, "portale", subject="una", key="una")).result(30).id
        for key, said in (("una", "this key was used before"), ("altra", "the route prova.tace knows a message by a key in its body")):
            with pytest.raises(Conflict) as caught:
                app.send(Submission("prova.silenzio", {"nome": "Ada"}, "portale", subject="altra", key=key)).result(30)
            assert (caught.value.sentence[: len(said)], caught.value.detail["message_id"]) == (said, first)
