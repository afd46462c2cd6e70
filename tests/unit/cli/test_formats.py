"""Findings for other programs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest

from bus.cli.common import Format
from bus.cli.formats import written
from bus.route.codes import CODES
from bus.source import Finding, in_order

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
    assert (
        "Say `deadline: 30d`, or a date by `by: body.scadenza`, and what to do then." == run["tool"]["driver"]["rules"][1]["help"]["text"]
    )
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


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


TEXT: dict[str, Any] = {"type": "string"}
MESSAGE = _object(["text"], text=TEXT)
PLACE = _object(
    [],
    physicalLocation=_object(
        ["artifactLocation"],
        artifactLocation=_object([], uri={"type": "string", "format": "uri-reference"}),
        region=_object([], startLine={"type": "integer", "minimum": 1}, startColumn={"type": "integer", "minimum": 1}),
    ),
)
RULE = _object(["id"], id=TEXT, shortDescription=MESSAGE, help=MESSAGE)
RESULT = _object(
    ["message"], ruleId=TEXT, ruleIndex={"type": "integer", "minimum": -1}, message=MESSAGE,
    level={"enum": ["none", "note", "warning", "error"]}, locations={"type": "array", "items": PLACE},
    relatedLocations={"type": "array", "uniqueItems": True, "items": PLACE},
)  # fmt: skip
DRIVER = _object(["name"], name=TEXT, version=TEXT, rules={"type": "array", "uniqueItems": True, "items": RULE})
RUN = _object(
    ["tool"], tool=_object(["driver"], driver=DRIVER), columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results={"type": "array", "items": RESULT},
)  # fmt: skip
LOG = _object(
    ["version", "runs"], version={"enum": ["2.1.0"]}, runs={"type": "array", "items": RUN},
    **{"$schema": {"type": "string", "format": "uri"}},
)  # fmt: skip
"""What the schema of SARIF 2.1.0 says of all that we write, as compared with the one that OASIS published with the committee
specification; it takes no other fields anywhere. It lets a place have an address instead of a file: we write none."""


def test_what_is_written_is_what_the_schema_of_sarif_takes() -> None:
    """Also for every code there is, for a file with odd letters, and for findings without a code that is known."""
    odd = Finding("routes/è strano%/#1?.yaml", 1, 1, "no.such-code", "error", "x")
    every = [Finding("routes/a.yaml", n, 1, code, "warning", "x", "y") for n, code in enumerate(CODES, 1)]
    for found in ([], [ERROR, WARNING, odd], every):
        jsonschema_rs.validate(LOG, json.loads(written(found, Format.sarif)), validate_formats=True)
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(LOG, {"version": "2.1.0", "runs": [{"tool": {"driver": {}}}]})


def test_a_finding_that_several_files_share_has_its_other_places_too() -> None:
    one = replace(ERROR, code="mapping.unknown")
    other = replace(one, file="routes/b.yaml")
    [shared] = in_order([one, replace(one, line=9), replace(other, line=7), replace(other, line=4)])
    said = json.loads(written([shared], Format.sarif))
    places = [one["physicalLocation"] for one in said["runs"][0]["results"][0]["relatedLocations"]]
    found = [(one["artifactLocation"]["uri"], one["region"]["startLine"]) for one in places]
    assert [("routes/a.yaml", 9), ("routes/b.yaml", 4), ("routes/b.yaml", 7)] == found
    jsonschema_rs.validate(LOG, said, validate_formats=True)
    lines = written([shared], Format.github).split("\n")
    assert ["routes/a.yaml,line=3,col=7", "routes/b.yaml,line=4,col=7"] == [line.split("file=")[1].split(",title")[0] for line in lines]
