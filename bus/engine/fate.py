"""The fate of a call: what the engine makes of a try, by the effect class of the operation. Pure.

=============  ===============  ============================================================
how it ended   effect           fate
=============  ===============  ============================================================
answered       any              done
refused        any              done, as a failure the route may handle
refused        keyed, in doubt  with a status of the protocol (``HTTP_401``), which says nothing of the
                                earlier try, or for what that may have done (`Operation.echoes`):
                                a failure of kind ``in_doubt``
unreachable    any              surely not applied: retry, after so many tries a failure;
                                but where an earlier try is in doubt, the call stays so
in doubt       read             as unreachable
in doubt       keyed            retry with the same key
in doubt       queryable        wait ``settle``, probe; found: done; not found: retry
in doubt       once             a failure of kind ``in_doubt``: a person (or the route) decides
=============  ===============  ============================================================

A fate is an `Outcome`: `Done`, the ask has its event and the walk goes on; or `Retry`, ask again at ``due``, or probe first when the last
try is in doubt. `Live.record_outcome` makes its record. What becomes of the run is told by its walk: it waits while asks are open, and is
dead when it has failed.

``settle`` counts from the start of the call. One whose try never came back (the process died) may have started long after its intent was
written, having waited for a thread: it is in doubt from the moment that we find it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import tenacity
from tenacity.wait import wait_exponential

from bus.adapter import Operation
from bus.clock import APART
from bus.engine.asks import Answered, Call, Failed
from bus.errors import OutsideError
from bus.message import JsonObject, JsonValue, as_kept
from bus.route import plan


@dataclass(frozen=True, slots=True)
class Done:
    event: Answered | Failed


@dataclass(frozen=True, slots=True)
class Retry:
    """``doubt``: the last try may have had its effect. ``probe``: look before asking again."""

    due: dt.datetime
    error: JsonObject
    doubt: bool = False
    probe: bool = False


Outcome: TypeAlias = Done | Retry


@dataclass(slots=True)
class Tries:
    """What is known of the tries of one call since the last redelivery."""

    count: int = 0
    probes: int = 0
    """Probes without an answer since the last try."""
    asked: dt.datetime | None = None
    """When the last try went out."""
    prepared: dt.datetime | None = None
    """The time for which the adapter prepared the request that may have had its effect: as long as that is in doubt, the same request
    goes out again, also on the next day.
    """
    due: dt.datetime | None = None
    """When the next try goes out."""
    put_off: dt.datetime | None = None
    """When that was decided."""
    in_air: bool = False
    """Nobody saw the end of the last try."""
    doubt: bool = False
    """One of the tries may have had its effect."""
    probe: bool = False
    """What goes out next asks whether it had."""
    key: str | None = None
    """The outgoing key that its intent on record names, from before a restart."""
    number: int | None = None
    """The call's number in an ordered lane."""

    def asks(self, now: dt.datetime) -> None:
        """A try goes out."""
        self.asked, self.prepared = now, self.prepares(now)

    def waits(self, now: dt.datetime) -> dt.datetime | None:
        """When the next try goes out, if that is still to come. What a clock that was ahead has put off is not waited for."""
        if self.due is None or self.due <= now or (self.put_off is not None and self.put_off > now + APART):
            return None
        return self.due

    def prepares(self, now: dt.datetime) -> dt.datetime:
        """The time for which a request is prepared now."""
        return self.prepared if self.doubt and self.prepared is not None else now


def after_error(call: Call, operation: Operation, tries: Tries, error: OutsideError, now: dt.datetime) -> Outcome:
    """The fate of a try that ended with an error. ``tries.count`` includes it."""
    kind = "unreachable" if error.kind == "in_doubt" and operation.effect == "read" else error.kind
    retry_after = getattr(error, "retry_after", None)
    code = error.outside_code
    doubt = tries.doubt and (kind == "unreachable" or operation.is_technical(code) or code in operation.echoes)
    told = _told(call, operation, tries, error, "in_doubt" if doubt else kind)
    if doubt:
        told["sentence"] = f"{told['sentence']}; an earlier try may have had its effect"
    if kind == "refused":
        return Done(Failed(now, told))
    if kind == "in_doubt":
        return _in_doubt(call, operation, tries, told, now)
    return _again(call, tries, told, now, retry_after, doubt=doubt)


def after_crash(call: Call, operation: Operation, tries: Tries, now: dt.datetime) -> Outcome:
    """The fate of a try whose end nobody saw: the process that asked is gone."""
    sentence = "the bus stopped between asking and hearing the answer"
    told = error_of(call, tries.count, "in_doubt", "call.interrupted", sentence, effect=operation.effect)
    outcome = _in_doubt(call, operation, replace(tries, asked=now), told, now)
    if isinstance(outcome, Retry) and not outcome.probe:
        return replace(outcome, due=now)  # pauses spare systems that fail; here we did
    return outcome


def after_failed_probe(call: Call, operation: Operation, tries: Tries, error: OutsideError, now: dt.datetime) -> Outcome:
    """The probe itself got no answer: the doubt stays. ``tries.probes`` includes this one."""
    told = _told(call, operation, tries, error, "in_doubt")
    if tries.probes >= call.retry.attempts:
        return Done(Failed(now, told))
    return Retry(now + _wait(call, tries.probes, getattr(error, "retry_after", None)), told, doubt=True, probe=True)


def after_empty_probe(call: Call, tries: Tries, now: dt.datetime) -> Outcome:
    """The probe says: it did not happen. Ask again, if tries are left."""
    told = error_of(call, tries.count, "unreachable", "call.not-applied", "the other system has no trace of the call")
    return Done(Failed(now, told)) if tries.count >= call.retry.attempts else Retry(now, told)


GIVEN_UP = "call.given-up"


def given_up(call: Call, tries: Tries, now: dt.datetime) -> Done:
    """The run has failed elsewhere, and this call surely had no effect: it is not tried any more."""
    return Done(Failed(now, error_of(call, tries.count, "unreachable", GIVEN_UP, "the run had failed at another step")))


def not_asked(call: Call, tries: Tries, now: dt.datetime) -> Done:
    """The circuit is open, and the route has a plan for that: it need not wait longer than its own tries would have taken."""
    sentence = "the other system has not answered for a while, so it was not asked"
    return Done(Failed(now, error_of(call, tries.count, "unreachable", "call.circuit-open", sentence)))


def patience(retry: plan.Retry) -> dt.timedelta:
    """How long all tries of a call take when nobody answers the door."""
    return sum((pause(retry, tries) for tries in range(1, retry.attempts)), dt.timedelta())


def pause(retry: plan.Retry, tries: int) -> dt.timedelta:
    """How long to wait after so many tries."""
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.attempt_number = tries
    return dt.timedelta(seconds=wait_exponential(multiplier=retry.wait, exp_base=retry.factor, max=retry.most)(state))


def _in_doubt(call: Call, operation: Operation, tries: Tries, told: JsonObject, now: dt.datetime) -> Outcome:
    match operation.effect:
        case "once":
            return Done(Failed(now, told))
        case "queryable":
            settled = min(tries.asked or now, now) + dt.timedelta(seconds=(call.timeout or operation.timeout) + operation.settle)
            return Retry(max(now, settled), told, doubt=True, probe=True)
        case _:
            return _again(call, tries, told, now, None, doubt=True)


def _again(call: Call, tries: Tries, told: JsonObject, now: dt.datetime, retry_after: float | None, *, doubt: bool) -> Outcome:
    if tries.count >= call.retry.attempts:
        return Done(Failed(now, told))
    return Retry(now + _wait(call, tries.count, retry_after), told, doubt=doubt)


def _wait(call: Call, tries: int, retry_after: float | None) -> dt.timedelta:
    """As long as the other system says, and no less than we wait anyway: its clock may be behind ours, and says a moment that is over."""
    return max(pause(call.retry, tries), dt.timedelta(seconds=retry_after or 0.0))


def error_of(call: Call, attempts: int, kind: str, code: str, sentence: str, outside_code: str = "", **more: JsonValue) -> JsonObject:
    """What ``on_error`` and the dead letter are told of a call that failed."""
    return {
        "kind": kind, "code": code, "outside_code": outside_code, "sentence": sentence, "operation": call.operation, "attempts": attempts,
        **more,
    }  # fmt: skip


def _told(call: Call, operation: Operation, tries: Tries, error: OutsideError, kind: str) -> JsonObject:
    code = error.outside_code if kind == "refused" else error.code
    sentence = error.sentence or operation.refusals.get(error.outside_code, "")
    told = error_of(call, tries.count, kind, code, sentence, error.outside_code, effect=operation.effect)
    if error.evidence is not None:
        told["evidence"] = _sayable(error.evidence)
    return told


def _sayable(evidence: Any) -> JsonValue:
    """Evidence as the journal gives it back; as text where JSON cannot say it (half a character, a whole number beyond 64 bits)."""
    try:
        return as_kept(evidence)
    except TypeError:
        return ascii(evidence) if isinstance(evidence, (dict, list, str, int)) else str(evidence)
