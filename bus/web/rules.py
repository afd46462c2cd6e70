"""The rules over HTTP: which are in force, which were, and a sysadmin's two acts: activate others, roll back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from bus.errors import Invalid, RulesError
from bus.message import JsonObject
from bus.web.acts import asked
from bus.web.answer import Answer, Call, json_answer, number_of

LARGEST = 32_000_000
"""Bytes of all files of an activation together."""
MOST = 1000


async def show(call: Call) -> Answer:
    """What is in force, since when, by whom and why; its parts and files; processes; runs that go on under earlier rules."""
    return json_answer(await call.run(call.app.rules_in_force))


async def history(call: Call) -> Answer:
    """Activations, the newest first."""
    most = number_of(call.query, "limit", 1, MOST, 50)
    return json_answer({"activations": await call.run(lambda: call.app.rules.history(most))})


async def activate(call: Call) -> Answer:
    """Put other rules in force: ``files`` by path, or without them those in the folder of the process that is asked."""
    body = await asked(call, {"reason": str, "files": dict, "expected": str, "as": str}, LARGEST)
    files = body.get("files")
    if files is not None and not all(isinstance(content, str) for content in files.values()):
        raise Invalid("the content of each file must be text", code="input.invalid", hint='in JSON: {"files": {"routes/….yaml": "…"}}')
    given = None if files is None else {path: content.encode() for path, content in files.items()}
    hint = "`bus validate` shows them with their lines; where it finds none, the settings are newer than this process: restart it"
    return await _change(call, lambda how: call.app.activate(given, call.caller.name, body.get("reason", ""), **how), body, hint)


async def rollback(call: Call) -> Answer:
    """Put earlier rules in force again: so many ``steps`` back, or those whose fingerprint begins with ``to``."""
    body = await asked(call, {"reason": str, "to": str, "steps": int, "expected": str, "as": str})
    steps, to = body.get("steps", 1), body.get("to", "")
    if "to" in body and "steps" in body:
        raise Invalid("`to` says which rules and `steps` how many back", code="input.invalid", hint="say one of the two")
    if steps < 1:
        raise Invalid("steps must be 1 or more", code="input.invalid", hint="1 goes back to the rules before these")
    hint = "these are the files as they were then, out of the log: what they need is not here any more; go back to others"
    return await _change(
        call, lambda how: call.app.rollback(call.caller.name, body.get("reason", ""), steps=steps, to=to, **how), body, hint
    )


async def _change(call: Call, act: Callable[[dict[str, Any]], JsonObject], body: dict[str, Any], hint: str) -> Answer:
    """``hint``: what to do where the rules have errors."""
    how = {"expected": body.get("expected", ""), "on_behalf": body.get("as", "")}
    try:
        return json_answer(await call.run(lambda: act(how)))
    except RulesError as error:
        findings = list(map(asdict, error.findings))
        raise Invalid(error.sentence, code=error.code, hint=hint if findings else error.hint, findings=findings) from error
