"""What a route file says, steps as they are written (`bus.route.steps` knows each kind), and its tests."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from bus import calendar
from bus.clock import moment_of
from bus.mapping.model import NAME
from bus.route.steps.common import ExactDuration, Expression, Model, Steps


class RouteDocument(Model):
    """A route, as its file says it."""

    route: str = Field(pattern=NAME, max_length=120, description="Name of the route, such as edilizia.presenta-pratica")
    version: int = Field(ge=1, description="Goes up when the route changes in a way that people should know")
    owner: str = Field(default="", description="Who answers for it: an e-mail address or an office")
    purpose: str = Field(default="", description="One sentence for auditors")
    on: str = Field(description="Message type that starts it")
    key: Expression | None = Field(default=None, description="Idempotency key of a message: same key, same run")
    case: dict[str, Expression] = Field(default_factory=dict, description="Business keys of the case, from the message")
    order: Literal["case", "none"] = Field(default="case", description="`case`: runs keep their case's order; `none`: they may overtake")
    steps: Steps = Field(min_length=1, description="What to do, in order")
    given: dict[str, Any] = Field(default_factory=dict, description="What the tests have in common; each may say otherwise")
    tests: list[dict[str, Any]] = Field(default_factory=list, description="Tests of the route, beside it")


class Arrival(Model):
    """A message of the case that came before the one that starts the route."""

    arrive: str = Field(description="Type of the message")
    body: Any = Field(default=None, description="Its body, as it is; the one under `given.messages` when not said")
    but: dict[str, Any] | None = Field(default=None, description="Changes to that body; null takes a field away")
    at: str | None = Field(
        default=None,
        description="When it came, as a moment with a time zone; at `clock` when not said",
        json_schema_extra={"pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(Z|[+-][0-9:]{5,})$"},
    )

    @field_validator("at")
    @classmethod
    def _is_moment(cls, text: str | None) -> str | None:
        if text is not None and (problem := check_clock(text)):
            raise ValueError(f"is no moment: {problem}")
        return text


class Happening(Model):
    """One thing that happens in a test after the first message: a message arrives, or time passes."""

    arrive: str | None = Field(default=None, description="Type of a message that arrives")
    body: Any = Field(default=None, description="Its body, as it is; the one under `given.messages` when not said")
    but: dict[str, Any] | None = Field(default=None, description="Changes to that body; null takes a field away")
    pass_: str | None = Field(default=None, alias="pass", description="Time that passes, such as 31d")

    @field_validator("pass_")
    @classmethod
    def _is_duration(cls, text: str | None) -> str | None:
        if text is not None:
            calendar.parse_duration(text)
        return text


class Dead(Model):
    """How the run is expected to stop."""

    code: str | None = Field(default=None, description="Code of the dead letter")
    step: str | None = Field(default=None, description="Id of the step that failed")
    sentence: str | None = Field(default=None, description="What the dead letter says")


class File(Model):
    """A file that comes with the message that starts the route."""

    name: str = Field(min_length=1, description="Its name")
    media_type: str = Field(default="application/pdf", description="Its media type")
    size: int = Field(default=1000, ge=0, description="Its size in bytes")
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", description="Its address; made of the name when not said")


class Expectation(Model):
    """What a test expects at the end; what is not said is not looked at. Values need only hold what is written."""

    state: str | None = Field(default=None, pattern=r"^(waiting|done|dead)$", description="State of the run: waiting, done or dead")
    reply: Any = Field(default=None, description="The last reply to `send`; null: none was given")
    replies: list[Any] | None = Field(default=None, description="All replies, in order, also those to late messages")
    calls: list[str | dict[str, Any]] | None = Field(default=None, description="Operations asked, in order, with fields of their requests")
    tries: dict[str, int] | None = Field(default=None, description="How often each operation was tried, retries included")
    sent: list[str | dict[str, Any]] | None = Field(default=None, description="Types of messages sent, with fields of their bodies")
    case: dict[str, Any] | None = Field(default=None, description="Business keys of the case")
    dead: Dead | None = Field(default=None, description="How it stopped")
    ended: str | None = Field(default=None, description="Code of the `fail` with `dead: false` that ended it")
    records: list[str | dict[str, Any]] | None = Field(
        default=None,
        description="Kinds of the log's records, in order (`parked` left out), with fields: step, operation, type, code, attempt",
    )
    late: list[str] | None = Field(
        default=None, description="States of the runs that late messages opened, in order; `ready`: one before it holds the case"
    )


class TestDocument(Model):
    """One test of a route."""

    __test__ = False  # pytest: this is no test class

    name: str = Field(min_length=1, description="A sentence that says what must hold")
    given: dict[str, Any] = Field(default_factory=dict, description="`clock`, `messages` by type, and what each operation does")
    earlier: list[Arrival] = Field(default_factory=list, description="Messages of the case that came before")
    send: Any = Field(default=None, description="Body of the message that starts the route; the one under `given.messages` when not said")
    but: dict[str, Any] | None = Field(default=None, description="Changes to that body; null takes a field away")
    attachments: list[File] = Field(default_factory=list, description="Files that come with it")
    then: list[Happening] = Field(default_factory=list, description="What happens after, in order")
    expect: Expectation = Field(description="What must be so at the end")


class Conduct(Model):
    """What an operation does when the test's route asks it. A list says it call by call; the last one is kept to."""

    answers: Any = Field(default=None, description="It answers this")
    refuses: str | None = Field(default=None, description="It refuses with this code")
    unreachable: int | bool | None = Field(
        default=None, ge=1, description="It cannot be reached so many times (true: never), then it answers"
    )
    in_doubt: str | None = Field(
        default=None, pattern="^(happened|not)$", description="`happened` or `not`: the first time nobody knows, later it shows"
    )
    silent: bool | None = Field(default=None, description="It takes the request and never answers, nor does its probe")
    faults: int | bool | None = Field(
        default=None,
        ge=1,
        description="It fails with an error that is no refusal so many times (true: always), and does nothing; then it answers",
    )
    delays: ExactDuration | None = Field(
        default=None,
        description="The first time it takes so long, such as 40s: beyond the timeout nobody hears the answer, and it is done all the same",
    )
    dies: int | bool | None = Field(
        default=None,
        ge=1,
        description="It does what it is asked and dies before it answers; it cannot be reached so many times (true: once), then it answers",
    )


THEN_ANSWERS = frozenset({"unreachable", "in_doubt", "faults", "delays", "dies"})
"""What an operation may do before it answers."""


class TestsFile(Model):
    """Tests beside a route: ``x.test.yaml`` holds those of the route in ``x.yaml``."""

    __test__ = False  # pytest: this is no test class

    given: dict[str, Any] = Field(default_factory=dict, description="What these tests have in common, over what the route's file gives")
    tests: list[dict[str, Any]] = Field(min_length=1, description="Tests of the route")


def shared_with(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """What is given in a test: what the route's tests share, and what this one says instead.

    Messages are laid together by type, operations are replaced; one that ends unreachable or in doubt then answers what is shared.
    """
    given = {**shared, **own}
    messages = {name: body for one in (shared, own) if isinstance(one.get("messages"), dict) for name, body in one["messages"].items()}
    if messages:
        given["messages"] = messages
    for name in own.keys() & shared.keys() - {"clock", "messages"}:
        given[name] = _with_answers(own[name], shared[name])
    return given


def _with_answers(own: Any, shared: Any) -> Any:
    answered = next((one for one in (shared if isinstance(shared, list) else [shared]) if isinstance(one, dict) and "answers" in one), None)
    if isinstance(own, list):
        return [*own[:-1], *(_with_answers(one, shared) for one in own[-1:])]
    if answered is None or not isinstance(own, dict) or "answers" in own or not own.keys() & THEN_ANSWERS:
        return own
    return {**own, "answers": answered["answers"]}


def check_clock(text: Any) -> str:
    """Why a test's clock is not one; empty when it is."""
    try:
        moment_of(text)
    except (TypeError, ValueError):
        return 'write a moment with its time zone, such as "2026-03-02T09:00:00+01:00"'
    return ""
