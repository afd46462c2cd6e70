"""Findings for other programs: SARIF 2.1.0 (code scanners, editors) and the workflow commands of GitHub (annotations in a pull request)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from bus.cli.common import Format
from bus.source import Finding, Place, render

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def written(findings: Sequence[Finding], form: Format) -> str:
    """The findings in a form."""
    if form is Format.sarif:
        return sarif(findings)
    if form is Format.github:
        return "\n".join(line for finding in findings for line in _commands(finding))
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
    others = {"relatedLocations": [_place(one) for one in finding.others]} if finding.others else {}
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": _sentence(finding)},
        "locations": [_place(finding)],
        **others,
    }


def _place(one: Finding | Place) -> dict[str, Any]:
    region = {"startLine": one.line, "startColumn": one.column}
    return {"physicalLocation": {"artifactLocation": {"uri": quote(os.fsencode(one.file))}, "region": region}}


def _sentence(finding: Finding) -> str:
    return f"{finding.sentence} ({finding.hint})" if finding.hint else finding.sentence


def _commands(finding: Finding) -> Iterator[str]:
    """An annotation at the place of a finding, and one in each other file where it shows: a pull request shows one for each line."""
    told = f"title={_property(finding.code)}::{_data(_sentence(finding))}"
    everywhere: list[Finding | Place] = [finding, *finding.others]
    places = {one.file: one for one in reversed(everywhere)}
    for _, one in sorted(places.items()):
        yield f"::{finding.severity} file={_property(one.file)},line={one.line},col={one.column},{told}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
