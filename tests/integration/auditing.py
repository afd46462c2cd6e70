"""What the tests of `bus log verify` share: an auditor who may only read, and a change behind the log's back."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

from bus.cli import main
from tests.tamper.logs import WITNESS


class Auditor:
    """`bus log verify` on a file, with the keys of its log; ``says`` gives exit code and text, ``shows`` exit code and JSON."""

    def __init__(self, file, small, capsys):
        self.url, self.small, self.capsys = f"sqlite:///{file}", small, capsys
        self.keys = ["--key", str(small.signer.verifier), "--witness-key", str(WITNESS.verifier)]

    def says(self, *options, keys=True) -> tuple[int, str]:
        self.capsys.readouterr()
        code = main(["log", "verify", "--store", self.url, *(self.keys if keys else []), *map(str, options)])
        said = self.capsys.readouterr()
        return code, said.out + said.err

    def shows(self, *options, keys=True):
        code, said = self.says("--json", *options, keys=keys)
        return code, json.loads(said)


def change(file, statement, *values):
    """One statement on a SQLite file, without the triggers that would refuse it."""
    with closing(sqlite3.connect(file)) as raw, raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        raw.execute(statement, values)
    raw.close()
