"""Each step kind: what it takes, what it refuses, and that its model is documentation enough."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bus.route.steps import KINDS

GOOD: dict[str, list[dict[str, Any]]] = {
    "call": [
        {"call": "a.b"},
        {"call": "a.b", "with": {"x": "body.x"}, "as": "y", "case": {"k": "y.k"}, "timeout": "5s", "undo": "a.c", "when": "true",
         "retry": {"attempts": 3, "wait": "1s", "factor": 1.5, "most": "1h"}, "limit": {"count": 1, "per": "1m"},
         "on_error": [{"when": "error.kind == 'refused'", "steps": []}, {"steps": []}]},
        {"call": "a.b", "mapping": "a.m"},
    ],
    "map": [{"map": "a.m", "as": "x"}],
    "set": [{"set": {"x": 1, "y": {"z": "body.z"}}}],
    "send": [{"send": "a.t"}, {"send": "a.t", "with": {"x": 1}, "as": "sent"}],
    "reply": [{"reply": {"x": "body.x"}}, {"reply": "body"}],
    "wait": [{"wait": "a.t"}, {"wait": None, "deadline": "2d"}, {"wait": None, "by": "body.x"}, {"wait": "a.t", "case": "k", "match": "true", "deadline": "10wd", "again": 2, "as": "x"}],
    "gather": [{"gather": "a.t", "as": "x", "count": 3}, {"gather": "a.t", "as": "x", "count": "size(body.x)", "until": "true", "deadline": "1M"}],
    "choose": [{"choose": [{"when": "true", "steps": []}], "otherwise": []}],
    "each": [{"each": "body.x", "steps": [{"id": "b", "reply": {}}], "item": "x", "collect": "x", "as": "y"}],
    "parallel": [{"parallel": {"a": [], "b": []}}],
    "fail": [{"fail": "a.b"}, {"fail": "a", "reason": "'x'", "undo": False}],
}  # fmt: skip

BAD: dict[str, list[dict[str, Any]]] = {
    "call": [{"call": 1}, {"call": "a.b", "timeout": "5"}, {"call": "a.b", "timeout": "5wd"}, {"call": "a.b", "retry": {"attempts": 0}},
             {"call": "a.b", "retry": {"attempts": "3"}}, {"call": "a.b", "limit": {"count": 1}}, {"call": "a.b", "on_error": [{"when": "true"}]},
             {"call": "a.b", "when": True}, {"call": "a.b", "as_": "x"}],
    "map": [{"map": "a.m"}, {"map": 3, "as": "x"}],
    "set": [{"set": {}}, {"set": "x"}],
    "send": [{"send": None}],
    "reply": [{"reply": {}, "as": "x"}],
    "wait": [{"wait": 3}, {"wait": "a.t", "deadline": "2 days"}, {"wait": "a.t", "again": -1}],
    "gather": [{"gather": "a.t"}, {"gather": "a.t", "as": "x", "count": 1.5}],
    "choose": [{"choose": []}, {"choose": [{"when": "true"}]}],
    "each": [{"each": "body.x", "steps": []}, {"each": ["a"], "steps": [{}]}],
    "parallel": [{"parallel": {"a": []}}, {"parallel": [[], []]}],
    "fail": [{"fail": "Not A Code"}, {"fail": "a.b", "undo": "no"}],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "fields"), [(kind, one) for kind, all_ in GOOD.items() for one in all_])
def test_a_step_takes_what_its_kind_says(kind: str, fields: dict[str, Any]) -> None:
    KINDS[kind].model_validate({"id": "a", **fields})


@pytest.mark.parametrize(("kind", "fields"), [(kind, one) for kind, all_ in BAD.items() for one in all_])
def test_a_step_refuses_what_its_kind_does_not_say(kind: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KINDS[kind].model_validate({"id": "a", **fields})


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_needs_an_id_and_refuses_unknown_fields(kind: str) -> None:
    fields = GOOD[kind][0]
    for wrong in (fields, {"id": "A", **fields}, {"id": "1", **fields}, {"id": "a", "colour": 1, **fields}):
        with pytest.raises(ValidationError):
            KINDS[kind].model_validate(wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_step_is_described(kind: str) -> None:
    schema = KINDS[kind].model_json_schema(by_alias=True)
    assert schema["description"]
    for name, one in schema["properties"].items():
        assert one.get("description"), name
