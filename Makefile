# Every target does its own set-up: Python 3.11 or newer, git and make are all that is needed
# (for all tests also RabbitMQ: tools/services.sh installs Debian's where it may).
#   make demo    one building application, end to end, between real processes
#   make test    all tests
#   make check   format, lint, types, floors, words, docs, rules
#   make fault   the long storms of kills; writes benchmarks/results/fault-<date>.md (40 minutes; MINUTES=8: as much as that, the next call goes on)
#   make tamper  10,000 random tamperings with the log, all to be found; 1,000 clean logs, none to be suspected (about 5 minutes)
#   make bench   benchmarks
#   make reference, make lock   after a change of settings or operations, of dependencies
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test check fault tamper bench reference lock clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

help:
	@sed -n '3,9s/^#  //p' Makefile

setup: $(STAMP)

# The stamp holds the digest of what was installed: a second run is quick, a changed lock installs again.
$(STAMP): requirements-setup.lock requirements-dev.lock pyproject.toml
	@./tools/setup.sh $(VENV)

demo: $(STAMP)
	@$(BIN)/bus demo

# Files in their order, not those with most tests first: the long ones (tests/fault) come early, and no worker is idle at the end.
# Two workers more than processors (tests/conftest.py).
# Bytecode first: where the environment forbids to write it on the way, each of some hundred processes would compile what has changed.
test: $(STAMP)
	@./tools/services.sh
	@$(BIN)/python -m compileall -q bus adapters tests
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_floors.py tests/unit/test_words.py tests/unit/test_docs.py tests/unit/test_docs_rules.py
	$(BIN)/bus validate
	$(BIN)/bus test --coverage

fault: $(STAMP)
	@./tools/services.sh
	@$(BIN)/python -m tests.fault $(if $(MINUTES),--minutes $(MINUTES))

tamper: $(STAMP)
	@$(BIN)/python -m tests.tamper

bench: $(STAMP)
	@$(BIN)/python -m benchmarks

# The pages of docs/reference that are written from the code.
reference: $(STAMP)
	@$(BIN)/python -m tools.reference

# uv resolves and installs, pip can do without it: the locks are plain pip files with hashes, for every platform, without the address of any index.
LOCK := uv pip compile --no-config --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --custom-compile-command "make lock" --quiet
lock: $(STAMP)
	$(BIN)/pip install --quiet uv
	echo uv | $(BIN)/$(LOCK) - -o requirements-setup.lock
	$(BIN)/$(LOCK) pyproject.toml -o requirements.lock
	$(BIN)/$(LOCK) pyproject.toml --extra dev -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis var
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
