"""`/status`: is the bus up. Public and minimal; a sysadmin sees more. Its 200 is a problem too, as the Italian API rules want."""

from __future__ import annotations

from bus.web.answer import Answer, Call, json_answer
from bus.web.problems import MEDIA_TYPE


async def status(call: Call) -> Answer:
    """200 when the store answers, else 503 (the store's error says so)."""
    detail = await call.house.run(call.house.app.status)
    shown = {"type": "about:blank", "title": "OK", "status": 200, "detail": "the bus takes messages"}
    if call.caller.role == "sysadmin":
        shown = {**shown, "bus": detail}
    return json_answer(shown, media_type=MEDIA_TYPE)
