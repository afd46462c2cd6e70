"""Searches over HTTP: asked for by POST, so that no value stands in an address, which others write down."""

from __future__ import annotations

import datetime as dt
from typing import Any, cast

from bus.engine.search import FINDS, MOST, Find, Question
from bus.engine.watching import kinds_of
from bus.errors import Invalid
from bus.replay.window import moment
from bus.web.acts import asked
from bus.web.answer import Answer, Call, json_answer

TEXTS = ("find", "key", "type", "route", "step", "outcome", "from", "to", "after")
LONGEST = 200
"""Characters of what is searched for, each."""
LARGEST = 16_384
"""Bytes of a question."""


async def search(call: Call) -> Answer:
    """One page of what has a record that is all of what is asked for, newest first; ``next`` is what to send as ``after``, or null."""
    given: dict[str, Any] = await asked(call, {**dict.fromkeys(TEXTS, str), "limit": int}, LARGEST)
    for name in TEXTS:
        if name in given and not 0 < len(given[name]) <= (LONGEST if name != "after" else LARGEST):
            raise Invalid(f"{name} must have 1 to {LONGEST} characters", code="input.invalid", hint="leave it out to let all pass")
    limit = given.get("limit", 50)
    if not 1 <= limit <= MOST:
        raise Invalid(f"limit is {limit}", code="input.invalid", hint=f"a number from 1 to {MOST}")
    question, app = _question(given), call.house.app
    return json_answer(await call.house.run(lambda: app.search(question, limit, given.get("after", ""))))


def _question(given: dict[str, Any]) -> Question:
    find = given.get("find", "records")
    if find not in FINDS:
        raise Invalid(f"there is nothing to find that is called {find!r}", code="input.invalid", hint=f"one of {', '.join(FINDS)}")
    try:
        kinds = kinds_of(given.get("outcome", ""))
    except KeyError as error:
        hint = "kinds of records, separated by commas; failed is refused, unanswered, dead"
        raise Invalid(f"there is no outcome {error.args[0]!r}", code="input.invalid", hint=hint) from None
    since, until = (_moment(given.get(name)) for name in ("from", "to"))
    if since and until and since >= until:
        raise Invalid("from is not before to", code="search.time", hint="to is the first moment that is not searched any more")
    texts = {name: given[name] for name in ("key", "type", "route", "step") if name in given}
    return Question(cast(Find, find), kinds=kinds, since=since, until=until, **texts)


def _moment(text: str | None) -> dt.datetime | None:
    return None if text is None else moment(text)
