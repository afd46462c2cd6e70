"""Findings for other programs: SARIF 2.1.0 (code scanners, editors) and the workflow commands of GitHub (annotations in a pull request)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from bus.cli.common import Format
from bus.source import Finding, render

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def written(findings: Sequence[Finding], form: Format) -> str:
    """The findings in a form."""
    if form is Format.sarif:
        return sarif(findings)
    if form is Format.github:
        return "\n".join(map(_command, findings))
    return render(findings, form.value)


def sarif(findings: Sequence[Finding]) -> str:
    """One run of a static analysis; lines and columns from 1, in characters."""
    codes = sorted({finding.code for finding in findings})
    driver = {
        "name": "bus validate",
        "version": version("snodo"),
        "rules": [_rule(code) for code in codes],
    }
    results = [_result(finding, codes.index(finding.code)) for finding in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, ensure_ascii=False, indent=2)


def _rule(code: str) -> dict[str, Any]:
    from bus.route.codes import CODES

    known = CODES.get(code)
    if known is None:
        return {"id": code}
    return {"id": code, "shortDescription": {"text": known.meaning}, "help": {"text": known.cure}}


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    region = {"startLine": finding.line, "startColumn": finding.column}
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": _sentence(finding)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(finding.file)}, "region": region}}],
    }


def _sentence(finding: Finding) -> str:
    return f"{finding.sentence} ({finding.hint})" if finding.hint else finding.sentence


def _command(finding: Finding) -> str:
    place = f"file={_property(finding.file)},line={finding.line},col={finding.column},title={_property(finding.code)}"
    return f"::{finding.severity} {place}::{_data(_sentence(finding))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
