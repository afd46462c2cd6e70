"""What the pages show to whoever writes a portal, typed as it stands there, one after the other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bus.testing.town import Town, key_of

PROJECT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", (PROJECT / page).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [block for block in found if "SNODO_URL" in block]


def typed(command: list[str], folder: Path, town: Town) -> str:
    known = {**os.environ, "SNODO_URL": town.url, "SNODO_KEY": key_of("portale"), "PYTHONPATH": str(PROJECT)}
    return subprocess.run(command, cwd=folder, env=known, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with the files that the pages name."""
    [curl] = blocks("README.md", "sh")
    (tmp_path / "messaggio.json").write_text(curl[curl.index("-d '") + 4 : curl.rindex("'")], "utf-8")
    (tmp_path / "relazione.pdf").write_bytes(b"%PDF-1.4")
    return tmp_path


def test_who_types_what_the_pages_show_is_answered(town: Town, desk: Path) -> None:
    first, again, file = [
        json.loads(typed(["bash", "-c", block], desk, town))
        for page in ("README.md", "docs/portal-developer.md")
        for block in blocks(page, "sh")
    ]
    assert "registrata" == first["reply"]["esito"]
    assert (first["id"], 8) == (again["id"], file["size"])
    [program] = blocks("docs/portal-developer.md", "python")
    assert "'esito': 'registrata'" in typed([sys.executable, "-c", program], desk, town)
