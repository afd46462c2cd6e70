"""The eleven step kinds: one file and one model each. The kind of a step is the one of these keys that it has."""

from __future__ import annotations

from bus.route.steps.call import Call
from bus.route.steps.choose import Choose
from bus.route.steps.common import StepModel
from bus.route.steps.each import Each
from bus.route.steps.fail import Fail
from bus.route.steps.gather import Gather
from bus.route.steps.map import Map
from bus.route.steps.parallel import Parallel
from bus.route.steps.reply import Reply
from bus.route.steps.send import Send
from bus.route.steps.set import Set
from bus.route.steps.wait import Wait

KINDS: dict[str, type[StepModel]] = {
    "call": Call, "map": Map, "set": Set, "send": Send, "reply": Reply, "wait": Wait, "gather": Gather, "choose": Choose, "each": Each,
    "parallel": Parallel, "fail": Fail,
}  # fmt: skip
