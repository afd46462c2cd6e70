"""Every finding code is explained, and every explained code is used."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from bus.route.codes import CODES

PROJECT = Path(__file__).parents[3]
RULES = [
    PROJECT / "bus" / name for name in ("examine.py", "rulefiles.py", "services.py")
] + [path for folder in ("source", "mapping", "route", "expression") for path in (PROJECT / "bus" / folder).rglob("*.py") if path.name != "codes.py"]  # fmt: skip
CODE = re.compile(r"[a-z]+\.[a-z]+(?:-[a-z]+)*")
AT_RUN_TIME = {
    "expression.failed", "expression.budget", "expression.name", "expression.not-a-condition", "expression.not-a-list", "route.failed",
    "rules.format", "rules.invalid",
}  # fmt: skip
"""Codes of errors, not of findings: docs/reference/errors.md has them."""


def used() -> set[str]:
    found = set()
    for path in RULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                found.add(node.value)
    return {code for code in found if code.partition(".")[0] in {known.partition(".")[0] for known in CODES}} - AT_RUN_TIME


def test_every_code_in_use_is_explained() -> None:
    assert set() == used() - set(CODES)


def test_every_explained_code_is_in_use() -> None:
    assert set() == set(CODES) - used()


@pytest.mark.parametrize("code", sorted(CODES))
def test_an_explanation_has_sentence_example_and_cure(code: str) -> None:
    assert CODES[code].example
    for part in (CODES[code].meaning, CODES[code].cure):
        assert part.endswith((".", "`."))
