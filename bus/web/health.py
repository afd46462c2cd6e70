"""`/status`: is the bus up. Public and minimal; who watches the bus sees more. Its 200 is a problem too, as the Italian API rules want.

`/metrics`: figures for Prometheus. Both are answered without a look at anybody's data.
"""

from __future__ import annotations

from bus import figures, metrics
from bus.errors import StoreError
from bus.web.answer import Answer, Call, json_answer
from bus.web.auth import WATCHERS
from bus.web.problems import MEDIA_TYPE

METRICS = b"text/plain; version=0.0.4; charset=utf-8"


async def status(call: Call) -> Answer:
    """200 when the store answers in seconds, takes what comes and is ours, and engine and sequencer turn, else 503; the log says why.

    Asked with a key of ``sysadmin`` or ``monitor`` it holds ``bus`` too: processes, store, channel, and how each outside system does.
    """
    if call.app.unfit is not None:
        raise call.app.unfit
    if not call.app.well():
        raise StoreError(
            "what was taken in is not worked on, or not sealed, here", code="bus.not-well",
            hint="restart this process; its log says what came before",
        )  # fmt: skip
    detail = await call.house.glance(call.app.status)
    # Still 200: a balancer that left this door would keep from everybody the answer that says when to come again.
    now = "the bus has more to do than it may have: it refuses messages for now" if call.app.backlog.full else "the bus takes messages"
    shown = {"type": "about:blank", "title": "OK", "status": 200, "detail": now}
    if call.caller.role in WATCHERS:
        shown = {**shown, "bus": detail}
    return json_answer(shown, media_type=MEDIA_TYPE)


async def show_metrics(call: Call) -> Answer:
    """Figures of this process and of the store in Prometheus' text format; counters begin with the process."""
    return Answer(200, await call.house.glance(lambda: metrics.page(lambda: figures.of(call.app))), media_type=METRICS)
