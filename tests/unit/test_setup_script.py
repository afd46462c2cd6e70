"""`make setup`, with stand-ins for Python and uv: what it does where a home or an index is not as they mostly are."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PIP = '#!/bin/sh\nif [ "$2" = pip ]; then echo "pip $PIP_NO_CACHE_DIR" >>"$CALLS"; case "$*" in *requirements-dev*) exit "$INDEX";; esac; fi\n'
UV = '#!/bin/sh\necho "uv $UV_NO_CACHE" >>"$CALLS"\nexit "$INDEX"\n'


@pytest.fixture
def project(tmp_path):
    """A copy of what the script reads, with an environment in which Python and uv only tell how they were called."""
    folder = tmp_path / "città mia"
    for name, text in {"python": PIP, "uv": UV}.items():
        program = folder / ".venv/bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    (folder / "tools").mkdir()
    shutil.copy(PROJECT / "tools/setup.sh", folder / "tools")
    for name in ("requirements-dev.lock", "requirements-setup.lock", "pyproject.toml"):
        (folder / name).touch()
    return folder


def set_up(project: Path, home: Path, index: int = 0) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    calls = project / "calls"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "XDG_"))}
    given = {**kept, "HOME": str(home), "CALLS": str(calls), "INDEX": str(index)}
    done = subprocess.run([project / "tools/setup.sh"], env=given, capture_output=True, text=True, check=False)
    return done, calls.read_text().splitlines()


@pytest.mark.parametrize(("home", "none"), [("home", ""), ("a file/home", "1")])
def test_a_home_that_cannot_be_written_to_is_not_asked_for_a_cache(project, home, none):
    (project / "home").mkdir()
    (project / "a file").touch()  # root may write into any folder, and makes none below a file
    done, calls = set_up(project, project / home)
    assert (done.returncode, done.stderr) == (0, "")
    assert calls == [f"pip {none}", f"uv {none}", f"pip {none}"]


def test_libraries_that_cannot_be_had_are_told_with_what_to_try(project):
    done, _ = set_up(project, project, index=1)
    assert done.returncode == 1
    assert "HTTPS_PROXY" in done.stderr.splitlines()[-1]
    assert not (project / ".venv/.installed").exists()
