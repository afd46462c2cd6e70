"""Searches over HTTP: asked for by POST, so that no value stands in an address, which others write down."""

from __future__ import annotations

from typing import Any, cast

from bus.engine import accesses
from bus.engine.names import folded
from bus.engine.search import FINDS, MOST, Find, Question
from bus.engine.watching import kinds_of
from bus.errors import Invalid
from bus.replay.window import times
from bus.web.acts import asked
from bus.web.answer import Answer, Call, json_answer

TEXTS = ("find", "key", "type", "route", "step", "outcome", "from", "to", "text", "purpose", "after")
LONGEST = 200
"""Characters of what is searched for, each."""
LARGEST = 16_384
"""Bytes of a question."""
_LONGEST = {"after": LARGEST, "purpose": accesses.LONGEST}


async def search(call: Call) -> Answer:
    """One page of what has a record that is all of what is asked for, newest first; ``next`` is what to send as ``after``, or null."""
    given: dict[str, Any] = await asked(call, {**dict.fromkeys(TEXTS, str), "limit": int}, LARGEST)
    for name in TEXTS:
        longest = _LONGEST.get(name, LONGEST)
        if name in given and not 0 < len(given[name]) <= longest:
            raise Invalid(f"{name} must have 1 to {longest} characters", code="input.invalid", hint="leave it out to let all pass")
    limit = given.get("limit", 50)
    if not 1 <= limit <= MOST:
        raise Invalid(f"limit is {limit}", code="input.invalid", hint=f"a number from 1 to {MOST}")
    question, looker = _question(given), call.caller.looks(given.get("purpose", ""))
    return json_answer(await call.run(lambda: call.app.search(question, limit, given.get("after", ""), looker)))


def _question(given: dict[str, Any]) -> Question:
    find = given.get("find", "messages" if "text" in given else "records")
    if find not in FINDS:
        raise Invalid(f"there is nothing to find that is called {find!r}", code="input.invalid", hint=f"one of {', '.join(FINDS)}")
    if "text" in given and (find != "messages" or not folded(given["text"])):
        raise Invalid(
            "text is looked for in messages", code="search.text", hint="some letters or digits, and find: messages, which show their cases"
        )
    kinds = kinds_of(given.get("outcome", ""), "input.invalid")
    since, until = times(given.get("from"), given.get("to"))
    texts = {name: given[name] for name in ("key", "type", "route", "step", "text") if name in given}
    return Question(cast(Find, find), kinds=kinds, since=since, until=until, **texts)
