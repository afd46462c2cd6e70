"""What people's acts have in common: a JSON object, its fields checked by name and type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bus.errors import Invalid
from bus.jsontext import parse_object
from bus.web import bodies
from bus.web.answer import Call
from bus.web.envelope import media_type
from bus.web.problems import WrongMedia

_KINDS: Mapping[type, tuple[str, str]] = {
    str: ("text", '"…"'),
    bool: ("true or false", "true"),
    dict: ("an object", '{"…": "…"}'),
    int: ("a whole number", "1"),
}
"""What each kind of field is called, and an example."""


async def asked(call: Call, fields: Mapping[str, type], limit: int = 0) -> dict[str, Any]:
    """The body of an act, at most ``limit`` bytes (those of a message if it is 0)."""
    if media_type(call.headers) != "application/json":
        raise WrongMedia("an act comes as application/json", hint='send {"reason": "…"}')
    limit = limit or call.app.config.http.max_body
    found = parse_object(await bodies.whole(call.receive, call.headers, limit), limit)
    for name, value in found.items():
        if name not in fields:
            raise Invalid(f"there is no field {name!r}", code="input.invalid", hint=f"known here: {', '.join(fields)}")
        if not isinstance(value, fields[name]) or (isinstance(value, bool) and fields[name] is int):
            kind, example = _KINDS[fields[name]]
            raise Invalid(f"{name} must be {kind}", code="input.invalid", hint=f'in JSON: {{"{name}": {example}}}')
    return found
