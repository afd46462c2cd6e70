"""Every fault that pydantic can find in our models has a sentence of ours."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorType

from bus.faults import first_of, sentence_of


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    n: int = Field(ge=1, le=9)


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    text: str = Field(default="a", pattern=r"^(uno|due)$", max_length=5)
    id: str = Field(default="a", pattern=r"^[a-z][a-z0-9-]*$")
    word: Literal["case", "none"] = "case"
    inner: Inner = Inner(n=1)
    items: Annotated[list[str], Field(min_length=1)] = ["a"]
    flag: bool = False
    map: dict[str, str] = {}


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ({"text": 3}, "text must be a text, not a whole number"),
        ({"text": None}, "text must be a text, and nothing is written"),
        ({"text": "tre"}, "text must be written as uno or due"),
        ({"id": "A b"}, "id must be written as small letters, digits and hyphens, starting with a letter"),
        ({"word": "x"}, "word must be case or none"),
        ({"inner": {"n": 0}}, "inner.n must be at least 1"),
        ({"inner": {"n": 10}}, "inner.n may be at most 9"),
        ({"inner": {"n": "1"}}, "inner.n must be a whole number, not a text"),
        ({"inner": []}, "inner must be a map of fields, not a list"),
        ({"items": []}, "items may not be empty"),
        ({"items": "a"}, "items must be a list, not a text"),
        ({"flag": "no"}, "flag must be true or false, not a text"),
        ({"map": {"a": 1}}, "map.a must be a text, not a whole number"),
        ({"altro": 1}, "altro is not one of the fields"),
        ({"inner": {}}, "inner.n is missing"),
    ],
)
def test_a_fault_is_said_in_our_words(written: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(written)
    assert sentence == first_of(caught.value)


def test_no_kind_of_fault_falls_back_on_the_words_of_the_library() -> None:
    context = dict.fromkeys(
        ("ge", "gt", "le", "lt", "multiple_of", "max_length", "min_length", "actual_length", "pattern", "expected", "error",
         "discriminator", "expected_tags"), "x",
    )  # fmt: skip
    for kind in get_args(ErrorType):
        said = sentence_of({"type": kind, "ctx": context, "input": object()})
        assert said.startswith(("must ", "may ", "needs ", "cannot ", "is ", "x")), kind
        assert "input" not in said.lower()


def test_a_check_of_several_fields_is_told_in_its_own_words():
    class Two(BaseModel):
        @model_validator(mode="after")
        def _check(self) -> Two:
            raise ValueError("voucher and pdnd say the same header")

    with pytest.raises(ValidationError) as caught:
        Two()
    assert first_of(caught.value) == "voucher and pdnd say the same header"
