"""The files of the corpus, and what each is expected to be told."""

from __future__ import annotations

import shutil
from pathlib import Path

HERE = Path(__file__).parent
WORLD = HERE / "world"
PLACES = {
    "route": "routes/rotta.yaml",
    "mapping": "mappings/rotta.yaml",
    "type": "mappings/types/rotta.yaml",
    "services": "routes/servizi.yaml",
}
BROKEN = sorted(path for kind in PLACES for path in (HERE / kind).glob("*.yaml"))


def world_in(folder: Path) -> Path:
    """The good rules alone, in a folder of their own."""
    return Path(shutil.copytree(WORLD, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__")))


def expected(path: Path) -> list[tuple[str, int, int]]:
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    wanted = [part.split() for part in first.removeprefix("# expect:").split(";")]
    return [(code, int(line), int(column)) for code, line, column in wanted]
