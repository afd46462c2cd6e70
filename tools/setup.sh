#!/usr/bin/env bash
# Make the virtual environment named by $1 from the lock, with nothing but Python 3.11+ and pip.
# A lock in the environment's folder lets two commands started at once wait for each other.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}

# The system's own comes first: distributions build Python with profile-guided optimisation, pyenv does not unless it is told to, and the
# bus is a fifth slower for it (docs/design/performance-history.md).
find_python() {
  local candidate
  for candidate in /usr/bin/python3.11 python3.11 python3 python3.12 python3.13 python; do
    if command -v "$candidate" >/dev/null 2>&1 \
      && "$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      echo "$candidate"
      return 0
    fi
  done
  echo "setup: Python 3.11 or newer, with venv, is needed and was not found on PATH" >&2
  return 1
}

mkdir -p "$venv"
exec 9>"$venv/.setup"  # not .lock: that one is uv's own
flock 9 2>/dev/null || true

wanted=$(cat requirements-*.lock pyproject.toml | sha256sum | cut -d' ' -f1)
if [ -x "$venv/bin/bus" ] && [ "$(cat "$venv/.installed" 2>/dev/null)" = "$wanted" ]; then
  touch "$venv/.installed"
  exit 0
fi
python=$(find_python)
echo "setup: installing the locked libraries into $venv (once)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# Where the home cannot be written to (a user of a service, a container) nothing is kept for the next time; uv would give up instead.
cache=${XDG_CACHE_HOME:-${HOME:-}/.cache}
if ! { mkdir -p "$cache" && [ -w "$cache" ]; } 2>/dev/null; then
  export UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1
fi
pip() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
# uv installs the same lock many times faster than pip; where it cannot be had, or cannot reach the index, pip does it.
if ! { pip --no-compile --require-hashes --only-binary :all: -r requirements-setup.lock \
  && timeout 300 "$venv/bin/uv" pip install --compile-bytecode --system-certs --no-config --quiet --python "$venv/bin/python" --require-hashes --no-build -r requirements-dev.lock; }; then
  echo "setup: uv could not, pip does it (some minutes)"
  pip --require-hashes --only-binary :all: -r requirements-dev.lock || {
    echo "setup: the libraries could not be had, pip says above why; a proxy is named by HTTPS_PROXY, a mirror by PIP_INDEX_URL; then try again" >&2
    exit 1
  }
fi
pip --no-deps --no-build-isolation --editable .
# A process of the bus starts in 40 % of the time when its bytecode is there, also where the environment forbids to write it on the way.
"$venv/bin/python" -m compileall -q bus adapters tests benchmarks
echo "$wanted" >"$venv/.installed"
