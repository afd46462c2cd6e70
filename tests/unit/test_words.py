"""One word per concept: the last column of docs/glossary.md lists what we never say; nobody says it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
GLOSSARY = PROJECT / "docs" / "glossary.md"
PYTHON = sorted(path for folder in ("bus", "adapters") for path in (PROJECT / folder).rglob("*.py"))
YAML = sorted([PROJECT / "config.yaml", *(p for folder in ("routes", "mappings") for p in (PROJECT / folder).rglob("*.yaml"))])
DOCS = sorted(
    {*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "adapters").rglob("*.md")}
    - {GLOSSARY, PROJECT / "docs" / "patterns.md"}
)
"""Without the page of patterns, whose headings are the names that a book gave them."""


def rows_of_the_glossary() -> list[list[str]]:
    table = [line for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def banned() -> dict[str, str]:
    """What we never say, with the word to say instead."""
    return {never.strip(): row[0] for row in rows_of_the_glossary() for never in row[3].split(",") if never.strip()}


BANNED = banned()
# Any ending counts (``requeued``, ``mocks``); a hyphen before does not: ``lxml-stubs`` is the name of a package.
PATTERN = re.compile(
    rf"(?<![\w-])({'|'.join(re.escape(word).replace(chr(92) + ' ', '[ _-]') for word in BANNED)})(?:s|es|d|ed|ing)?(?![a-z])", re.IGNORECASE
)


def in_text(text: str) -> list[str]:
    return [match.group(0) for match in PATTERN.finditer(text)]


def defined_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Names that the code gives to things; names that it only uses belong to others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def words_of(name: str) -> str:
    """``requeueAll`` and ``requeue_all`` are both ``requeue all``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", name).strip().lower()


@cache
def is_banned(name: str) -> bool:
    """Kept: a few names are given a thousand times."""
    return bool(in_text(words_of(name)))


def in_code(source: str) -> list[str]:
    return [f"{line}: {name}" for line, name in defined_names(ast.parse(source)) if is_banned(name)]


def outbound_endpoints(source: str) -> list[str]:
    """Fields of a class that call the place where *we* call an endpoint; that is an address."""
    classes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef))
    fields = (f for c in classes if c.name.endswith("Settings") for f in c.body if isinstance(f, ast.AnnAssign))
    return [f.target.id for f in fields if isinstance(f.target, ast.Name) and "endpoint" in f.target.id]


def keys_of_yaml(text: str) -> list[str]:
    return re.findall(r"(?:^\s*(?:- )?|[{,]\s*)[\"']?([A-Za-z_][\w.-]*)[\"']?\s*:(?:\s|$)", text, re.MULTILINE)


def place(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def test_no_identifier_uses_a_banned_synonym():
    found = {place(path): names for path in PYTHON if (names := in_code(path.read_text(encoding="utf-8")))}
    assert not found


def test_no_file_is_named_with_a_banned_synonym():
    assert not [place(path) for path in [*PYTHON, *YAML, *DOCS] if in_text(words_of(path.stem))]


def test_no_yaml_key_uses_a_banned_synonym():
    present = [path for path in YAML if path.exists()]
    assert not {place(path): words for path in present if (words := in_text(" ".join(keys_of_yaml(path.read_text(encoding="utf-8")))))}


def test_no_document_uses_a_banned_synonym():
    assert not {place(path): words for path in DOCS if (words := in_text(path.read_text(encoding="utf-8")))}


def test_an_endpoint_is_where_a_system_calls_us_never_where_we_call_it():
    sources = {place(path): path.read_text(encoding="utf-8") for path in PYTHON if path.is_relative_to(PROJECT / "adapters")}
    assert not {path: fields for path, source in sources.items() if (fields := outbound_endpoints(source))}


def test_the_glossary_says_each_word_once_and_bans_none_of_its_own():
    words = [word.strip() for row in rows_of_the_glossary() for word in row[0].split(",")]
    assert len(words) == len(set(words))
    assert not set(words) & set(BANNED)


@pytest.mark.parametrize(
    "source", ["def requeue(run): ...", "class MockStore: ...", "def f(stub): ...", "self.workflow = 1", "jobs = []", "auditTrail = 1"]
)
def test_a_banned_identifier_is_found(source):
    assert in_code(source)


@pytest.mark.parametrize("source", ["import unittest.mock", "x = queue.Queue()", "def redeliver(run): ...", "jobless = 1"])
def test_what_others_named_is_left_alone(source):
    assert not in_code(source)


def test_a_banned_word_in_yaml_and_text_is_found():
    assert in_text(" ".join(keys_of_yaml("steps:\n  - id: x\n    compensate: a.b\n")))
    assert in_text("The operator may resubmit it.")
    assert not in_text("Install lxml-stubs.")
    assert outbound_endpoints("class Settings:\n    endpoint_url: str\n") == ["endpoint_url"]
