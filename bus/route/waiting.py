"""How a `wait` or `gather` ends: one that may wait for ever, and what is said of an end that never comes."""

from __future__ import annotations

import re

from bus.route.parse import Parsed
from bus.source import Pointer, Reporter, Severity

_NONE = re.compile(r"\s*(-[0-9]+|0+)\s*")
"""A number of messages that makes nothing complete."""


def ends(step: Parsed) -> bool:
    """Whether a step ends though what it waits for does not come."""
    return step.model.deadline is not None or step.model.by is not None


def check_wait(step: Parsed, report: Reporter) -> None:
    """What a `wait` says of its end, and what a mere delay says that only a message could mean."""
    model = step.model
    if model.wait is not None:
        _ending(step, report)
    elif not ends(step):
        _lacking(step, (), "wait.nothing", "this wait has neither a type nor a deadline", "say what to wait for", report)
    elif idle := [name for name in ("case", "match", "on_late") if getattr(model, name)]:
        sentence = f"`{idle[0]}` says something of a message, and this waits for none"
        _lacking(step, (idle[0],), "wait.nothing", sentence, "say its type: `wait: pagopa.ricevuta`", report)
    elif model.on_deadline:
        sentence = "a mere delay goes on where it ends, so these steps can never run"
        _lacking(step, ("on_deadline",), "step.unreachable", sentence, "write them behind it", report, "warning")
    _never(step, report)


def check_gather(step: Parsed, report: Reporter) -> None:
    """What a `gather` says of when it is complete, and of its end."""
    model = step.model
    if model.count is None and model.until is None and not ends(step):
        _lacking(step, (), "gather.endless", "nothing ends this gather", "say `count`, `until`, `deadline` or `by`", report)
    else:
        _ending(step, report)
    if _NONE.fullmatch(str(model.count)):
        hint = "say how many messages make it complete"
        report.report((*step.pointer, "count"), "expression.wrong-result", "`count` must be at least 1", hint)
    _never(step, report)


def _ending(step: Parsed, report: Reporter) -> None:
    """Whether a wait for messages ends though none comes."""
    if not ends(step) and not step.block("on_deadline"):  # where there are steps, `_never` says so
        hint = "say `deadline`, such as 30d or 10wd, or a date by `by`"
        _lacking(step, (step.kind,), "wait.no-deadline", f"step `{step.model.id}` may wait for ever", hint, report, "warning")
    elif step.kind == "wait" and step.model.again and step.model.deadline is None and ends(step):
        sentence = "`again` renews a wait after its `deadline`, and there is none"
        _lacking(step, ("again",), "wait.again", sentence, "say how long one wait takes, such as `deadline: 10d`", report)


def _never(step: Parsed, report: Reporter) -> None:
    """Steps for a deadline that there is not."""
    if step.block("on_deadline") and not ends(step):
        place, sentence = (*step.pointer, "on_deadline"), "there is no deadline, so these steps can never run"
        report.report(place, "step.unreachable", sentence, "say `deadline`, such as 30d", "warning", key=True)


def _lacking(
    step: Parsed, part: Pointer, code: str, sentence: str, hint: str, report: Reporter, severity: Severity = "error"
) -> None:  # fmt: skip
    """A finding of what a step lacks, unless it says something that is not understood: that is the cause then."""
    if not step.unclear:
        report.report((*step.pointer, *part), code, sentence, hint, severity, key=bool(part))
