"""Which messages pass between the routes: a step that sends one that nobody takes, or waits for one that cannot come."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from bus.mapping.types import MessageType
from bus.route.outline import Outline, united
from bus.route.parse import Parsed, walk
from bus.source import Reporter, suggestion

BUS = "bus"
"""What `senders` of a type calls the routes."""
_TOGETHER = "`gather` them in one step, and tell them apart afterwards: `until` says when all are there"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What all routes do with messages: types that one begins with or waits for, types that one sends, and by type the keys of the case
    that the routes which begin with it read of it; ``next``: by type those that each message of it surely makes routes send, to routes;
    ``apart``: types with which no route begins and whose keys nothing else gives to a case.
    """

    taken: frozenset[str]
    sent: frozenset[str]
    keys: Mapping[str, frozenset[str]]
    next: Mapping[str, frozenset[str]]
    apart: frozenset[str]

    def circle(self, start: str) -> list[str]:
        """Types each of which surely makes routes send the following one, from ``start`` back to it, by the shortest way; else none."""
        ways, seen = [[start]], set[str]()
        for way in ways:
            for name in sorted(self.next.get(way[-1], frozenset()) - seen):
                if name == start:
                    return [*way, name]
                seen.add(name)
                ways.append([*way, name])
        return []

    def about(self, outline: Outline) -> list[Any]:
        """What of it the findings of one route depend on, as JSON."""
        keys = [[name, sorted(self.keys.get(name, ()))] for name in sorted(outline.awaited)]
        circle = self.circle(outline.on) if outline.surely else []
        return [sorted(outline.sent & self.taken), sorted(outline.awaited & self.sent), keys, circle, sorted(outline.awaited & self.apart)]


def traffic_of(outlines: Iterable[Outline], types: Mapping[str, MessageType]) -> Traffic:
    """The traffic between routes, by their outlines. A message with a key may be one that came before, and one that a run waits for begins
    nothing: neither is surely the next.
    """
    known = list(outlines)
    keys = united((one.on, one.told) for one in known)
    taken = frozenset[str]().union(*(one.awaited for one in known))
    begun = {one.on for one in known} - taken - {name for name, declared in types.items() if declared.key is not None}
    following = united((one.on, one.surely & begun) for one in known)
    given = Counter(key for one in types.values() for key in one.case) + Counter(key for one in known for key in one.keys)
    apart = {name for name, one in types.items() if one.case and name not in keys and all(given[key] == 1 for key in one.case)}
    sent = frozenset[str]().union(*(one.sent for one in known))
    return Traffic(taken | {one.on for one in known}, sent, keys, following, frozenset(apart))


def check_sent(step: Parsed, sent: MessageType, traffic: Traffic | None, report: Reporter) -> None:
    """A message that the bus would refuse when the step sends it; without ``traffic`` nobody knows who takes it."""
    place = (*step.pointer, "send")
    if not sent.takes_from(BUS):
        hint = f"its senders are {', '.join(sent.senders)}: add `{BUS}` to them, or send a type of your own"
        report.report(place, "send.refused", f"messages of type `{sent.name}` are not taken from routes", hint)
    elif traffic is not None and sent.name not in traffic.taken:
        hint = suggestion(sent.name, traffic.taken) or "write the route that begins with it, or delete the step"
        sentence = f"no route begins with `{sent.name}` and no step waits for it: it would be refused"
        report.report(place, "send.unheard", sentence, hint, "warning")


def check_endless(step: Parsed, begins: str, traffic: Traffic, report: Reporter) -> None:
    """A message that surely leads to another one of the type with which the route ``begins``, and so for ever."""
    circle = traffic.circle(begins)
    if circle[1:2] == [step.model.send]:
        sentence = f"each message leads to another one, for ever: {' → '.join(circle)}"
        hint = "send it under a condition (`when`), or give the type or the route a `key`, by which one that came before is known"
        report.report((*step.pointer, "send"), "send.endless", sentence, hint, "warning")


def check_awaited(step: Parsed, awaited: MessageType, traffic: Traffic, report: Reporter) -> None:
    """A wait or gather that no message can ever end."""
    sent, key = awaited.name in traffic.sent, step.model.case
    if awaited.senders == (BUS,) and not sent:
        sentence = f"only routes send messages of type `{awaited.name}`, and none does"
        report.report((*step.pointer, step.kind), "wait.never-sent", sentence, "send one, or name other senders in the type", "warning")
        return
    if key is None and not sent and awaited.name in traffic.apart:
        keys = ", ".join(f"`{one}`" for one in sorted(awaited.case))
        sentence = f"no case has a key {keys}, which messages of type `{awaited.name}` carry: none is ever found"
        hint = "a key has one name everywhere: under `case` of the type say the name that the case knows it by"
        report.report((*step.pointer, step.kind), "wait.no-key", sentence, hint, "warning")
        return
    carried = {*awaited.case, *traffic.keys.get(awaited.name, ())}
    if (key is None and (carried or sent)) or key in carried:
        return
    named = "no key of a case" if key is None else f"no key `{key}`"
    known = suggestion(key, carried) if key else ""
    hint = known or (f"they carry {', '.join(sorted(carried))}" if carried else "say under `case` of the type what their key is")
    place = (*step.pointer, step.kind if key is None else "case")
    report.report(place, "wait.no-key", f"messages of type `{awaited.name}` carry {named}: none is ever found", hint, "warning")


def check_shared(parallel: Parsed, report: Reporter) -> None:
    """Branches that look for different messages of one type: what one of them looked at and let pass is not seen by the others."""
    earlier: list[tuple[str, Parsed]] = []
    for branch in parallel.model.parallel:
        here = [step for step in walk(parallel.block("parallel", branch)) if step.kind in ("wait", "gather") and not step.unclear]
        for step in here:
            other = next((name for name, seen in earlier if _pass_by(step, seen)), None)
            if other is not None:
                sentence = f"branch `{other}` waits for `{step.what}` too: what one of them looks at and lets pass is not seen by the other"
                report.report((*step.pointer, step.kind), "wait.shared", sentence, _TOGETHER, "warning")
        earlier += [(branch, step) for step in here]


def _pass_by(one: Parsed, other: Parsed) -> bool:
    """Whether both may find the same message and do not take the same ones (a gather takes all)."""
    keys = {one.model.case, other.model.case}
    together = bool(one.what) and one.what == other.what and (len(keys) == 1 or None in keys)
    return together and getattr(one.model, "match", None) != getattr(other.model, "match", None)


def check_in_line(steps: list[Parsed], report: Reporter) -> None:
    """Waits one behind the other for different messages of one type: what the first lets pass, the next never sees.

    Where a step between them asks for the message, it cannot come before.
    """
    earlier: list[Parsed] = []
    for step in steps:
        looks = step.kind == "wait" and not step.unclear and step.model.match is not None
        other = next((seen for seen in earlier if looks and _pass_by(step, seen) and None in (seen.model.when, step.model.when)), None)
        if other is not None:
            sentence = f"step `{other.model.id}` waits for `{step.model.wait}` too: what it looks at and lets pass is not seen here"
            report.report((*step.pointer, "match"), "wait.shared", sentence, _TOGETHER, "warning")
        if any(one.kind in ("call", "send") for one in walk([step])):
            earlier = []
        if looks:
            earlier.append(step)


def check_in_turn(each: Parsed, report: Reporter) -> None:
    """A wait that looks for the message of one item: what it lets pass is not seen when the turn of the other items comes.

    Where the turn itself asks for the message, that of a later item cannot come first.
    """
    item = re.compile(rf"(?<![\w.?\"']){re.escape(each.model.item)}\b")
    for step in takewhile(lambda one: one.kind not in ("call", "send"), walk(each.block("steps"))):
        if step.kind == "wait" and not step.unclear and step.model.wait is not None and item.search(step.model.match or ""):
            sentence = f"the message of another `{each.model.item}`, when it comes first, is let pass here and not seen when its turn comes"
            hint = "`gather` them in one step without `each`, and tell them apart afterwards: `until` says when all are there"
            report.report((*step.pointer, "match"), "wait.shared", sentence, hint, "warning")
