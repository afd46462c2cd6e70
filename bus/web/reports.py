"""Reports over HTTP: which there are, and one page of one. A page is asked for by POST: that it was given is written in the log."""

from __future__ import annotations

from typing import Any

from bus.errors import Invalid
from bus.replay.window import times
from bus.reports import named
from bus.web.acts import asked
from bus.web.answer import Answer, Call, json_answer


async def known(call: Call) -> Answer:
    """All reports with their fields and the source of each."""
    found = call.app.reports.values()
    return json_answer({"reports": [{"name": r.name, "title": r.title, "source": r.source, "fields": dict(r.fields)} for r in found]})


async def page(call: Call) -> Answer:
    """One page of a report's lines; ``next`` is what to send as ``after`` for the page that follows, or null.

    ``unopened``, where there are any: the texts that cannot be opened though nobody erased them; their fields are empty.
    """
    given: dict[str, Any] = await asked(call, {"from": str, "to": str, "purpose": str, "after": int})
    named(call.app.reports, call.path["name"])
    since, until = times(given.get("from"), given.get("to"))
    if since is None or until is None:
        missing = " and ".join(sorted({"from", "to"} - set(given)))
        raise Invalid(f"the time of the report is missing: {missing}", code="input.time", hint="a day, or a moment with its offset")
    looker, after = call.caller.looks(given.get("purpose", "")), given.get("after", 0)
    found = await call.run(lambda: call.app.report(call.path["name"], since, until, looker, after))
    unopened = {"unopened": found.unopened} if found.unopened else {}
    return json_answer({"lines": found.lines, "next": found.next, **unopened})
