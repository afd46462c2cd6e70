"""Findings for other programs."""

from __future__ import annotations

import json

from bus.cli.common import Format
from bus.cli.formats import written
from bus.source import Finding

ERROR = Finding("routes/a.yaml", 3, 7, "target.missing-field", "error", "x needs 100%: y", "add it,\nplease")
WARNING = Finding("routes/a, b.yaml", 9, 1, "wait.no-deadline", "warning", "step `p` may wait for ever")


def test_github_gets_one_annotation_a_line_with_everything_escaped() -> None:
    assert written([ERROR, WARNING], Format.github).split("\n") == [
        "::error file=routes/a.yaml,line=3,col=7,title=target.missing-field::x needs 100%25: y (add it,%0Aplease)",
        "::warning file=routes/a%2C b.yaml,line=9,col=1,title=wait.no-deadline::step `p` may wait for ever",
    ]


def test_sarif_has_the_places_the_levels_and_the_texts_of_the_codes() -> None:
    said = json.loads(written([ERROR, WARNING, ERROR], Format.sarif))
    [run] = said["runs"]
    assert "2.1.0" == said["version"]
    assert ["target.missing-field", "wait.no-deadline"] == [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert "Say `deadline: 30d` and what to do then." == run["tool"]["driver"]["rules"][1]["help"]["text"]
    assert [("error", 0), ("warning", 1), ("error", 0)] == [(one["level"], one["ruleIndex"]) for one in run["results"]]
    assert {
        "artifactLocation": {"uri": "routes/a.yaml"}, "region": {"startLine": 3, "startColumn": 7},
    } == run["results"][0]["locations"][0]["physicalLocation"]  # fmt: skip


def test_a_file_is_a_uri_in_sarif() -> None:
    [result] = json.loads(written([WARNING], Format.sarif))["runs"][0]["results"]
    assert "routes/a%2C%20b.yaml" == result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]


def test_nothing_found_is_still_a_sarif_log() -> None:
    assert [] == json.loads(written([], Format.sarif))["runs"][0]["results"]
    assert "" == written([], Format.github)
