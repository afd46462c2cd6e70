"""A route as a picture is drawn of it: an outline of its steps and ways; as text, and as Mermaid. `bus.route.svg` draws it.

Made of the document alone (`bus.route.plan.Plan.rules`), so that it shows what is written, with its own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bus.route.steps import KINDS

Side = Literal["below", "aside", "late", "inside"]
"""Where a way is drawn: under its step (one of several), beside it (only when something happens; ``late``: to another run), or inside it
(again and again).
"""

_LEAST = 36
"""Longer conditions are cut in Mermaid, and other texts twice as long."""


@dataclass(frozen=True, slots=True)
class Way:
    """Steps under a label; ``side`` says what kind of way it is."""

    label: str
    steps: tuple[Card, ...]
    side: Side

    @property
    def ends(self) -> bool:
        """Whether nobody comes back from it."""
        return self.side == "late" or (bool(self.steps) and self.steps[-1].ends)


@dataclass(frozen=True, slots=True)
class Card:
    """One step: its kind, what it does in a few words, under which condition, and the ways that lead off."""

    id: str
    kind: str
    says: str
    when: str = ""
    ways: tuple[Way, ...] = field(default=())

    @property
    def ends(self) -> bool:
        """Whether the run never gets past it."""
        below = [way for way in self.ways if way.side == "below"]
        return not self.when and (self.kind == "fail" or (bool(below) and all(way.ends for way in below)))


def outline(route: Mapping[str, Any]) -> tuple[Card, ...]:
    """The steps of a route's document."""
    return _cards(route["steps"])


def _cards(steps: Sequence[Mapping[str, Any]]) -> tuple[Card, ...]:
    return tuple(map(_card, steps))


def _card(step: Mapping[str, Any]) -> Card:
    kind = next(name for name in KINDS if name in step)
    return Card(str(step["id"]), kind, _says(kind, step), str(step.get("when", "")), tuple(_ways(kind, step)))


def _says(kind: str, step: Mapping[str, Any]) -> str:
    match kind:
        case "call" | "map" | "send" | "fail":
            return str(step[kind])
        case "wait":
            return f"{step['wait']}{_bound(step)}" if step["wait"] else _end(step, "for", "until")
        case "gather":
            many = f"{step['count']} × " if "count" in step else ""
            return f"{many}{step['gather']}{_bound(step)}"
        case "set":
            return ", ".join(step["set"])
        case "reply":
            return ", ".join(step["reply"]) if isinstance(step["reply"], dict) else "reply"
        case "each":
            return f"{step.get('item', 'item')} of {step['each']}"
        case _:
            return f"one of {len(step['choose']) + 1}" if kind == "choose" else f"{len(step[kind])} side by side"


def _bound(step: Mapping[str, Any]) -> str:
    """How long it waits, where no way of its own (`on_deadline`) says so."""
    return f" {_end(step, 'for', 'until')}" if {"deadline", "by"} & step.keys() and not step.get("on_deadline") else ""


def _end(step: Mapping[str, Any], length: str, moment: str) -> str:
    """When a wait ends: its ``length`` or, if that is sooner, the ``moment`` that it names."""
    said = [f"{word} {step[part]}" for word, part in ((length, "deadline"), (moment, "by")) if part in step]
    return " or ".join(said) or f"{length} ever"


def _ways(kind: str, step: Mapping[str, Any]) -> Iterator[Way]:
    match kind:
        case "call":
            for clause in step.get("on_error", ()):
                yield Way(_when(clause, "any error"), _cards(clause["steps"]), "aside")
        case "choose":
            for clause in step["choose"]:
                yield Way(_when(clause, "always"), _cards(clause["steps"]), "below")
            yield Way("otherwise", _cards(step.get("otherwise", ())), "below")
        case "wait" | "gather":
            if step.get("on_deadline"):
                again = f", {step['again'] + 1} times" if step.get("again") else ""
                yield Way(f"{_end(step, 'after', 'after')}{again}", _cards(step["on_deadline"]), "aside")
            if step.get("on_late"):
                yield Way("one that comes late", _cards(step["on_late"]), "late")
        case "each":
            yield Way("", _cards(step["steps"]), "inside")
        case "parallel":
            for name, steps in step["parallel"].items():
                yield Way(str(name), _cards(steps), "below")


def _when(clause: Mapping[str, Any], default: str) -> str:
    return " ".join(str(clause["when"]).split()) if "when" in clause else default


# --- text ------------------------------------------------------------------------------------------------------------


def as_text(route: Mapping[str, Any]) -> str:
    """An outline, one line for each step and way; nothing is cut: it is the picture for who does not see it."""
    head = f"{route['route']}@{route['version']}  on {route['on']}"
    return "\n".join([head, *_lines(outline(route), "")])


def _lines(cards: Sequence[Card], lead: str) -> Iterator[str]:
    for position, card in enumerate(cards):
        last = position == len(cards) - 1
        when = f"  (if {_one_line(card.when)})" if card.when else ""
        yield f"{lead}{'└─' if last else '├─'} {card.id}: {card.kind} {_one_line(card.says)}{when}"
        inner = f"{lead}{'   ' if last else '│  '}"
        for number, way in enumerate(card.ways):
            if way.side == "inside":
                yield from _lines(way.steps, inner)
                continue
            end = number == len(card.ways) - 1
            yield f"{inner}{'└─' if end else '├─'} {_label(card, way)}{'' if way.steps else ': nothing'}"
            yield from _lines(way.steps, inner + ("   " if end else "│  "))


def _label(card: Card, way: Way) -> str:
    words = {} if way.label in {"otherwise", "any error"} else {"call": "on error", "choose": "if", "parallel": "beside"}
    return f"{words.get(card.kind, '')} {_one_line(way.label)}".strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _short(text: str, most: int = 2 * _LEAST) -> str:
    text = _one_line(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


# --- Mermaid ---------------------------------------------------------------------------------------------------------

_SHAPES = {"choose": ("{{", "}}"), "wait": ("([", "])"), "gather": ("([", "])"), "fail": ("[[", "]]"), "reply": (">", "]")}


def as_mermaid(route: Mapping[str, Any]) -> str:
    """A flowchart; GitHub, GitLab and many editors draw it. Its title is what a screen reader says of the picture."""
    lines = ["flowchart TD", f"  accTitle: {route['route']}@{route['version']}", f"  start([{_quoted(str(route['on']))}])"]
    ends = list(_drawn(outline(route), [("start", "")], lines))
    lines += [f"  {name} -->{_edge(label)} done((done))" for name, label in ends]
    return "\n".join(lines)


def _drawn(cards: Sequence[Card], sources: list[tuple[str, str]], lines: list[str]) -> list[tuple[str, str]]:
    """Draw cards one after the other; returns where the next one is led to from: (node, label of the edge).

    A step with a condition is asked for first: one way past it, however many lead to it.
    """
    for card in cards:
        id = re.sub(r"\W", "_", card.id)
        name, passed = f"s_{id}", list[tuple[str, str]]()
        if card.when:
            asked = f"if_{id}"
            lines.append(f"  {asked}{{{{{_quoted(f'if {card.when}')}}}}}")
            lines += [f"  {source} -->{_edge(label)} {asked}" for source, label in sources]
            sources, passed = [(asked, "yes")], [(asked, "no")]
        opened, closed = _SHAPES.get(card.kind, ("[", "]"))
        lines.append(f"  {name}{opened}{_quoted(f'{card.id}: {card.kind} {card.says}')}{closed}")
        lines += [f"  {source} -->{_edge(label)} {name}" for source, label in sources]
        sources = [*_ways_drawn(card, name, lines), *passed]
    return sources


def _ways_drawn(card: Card, name: str, lines: list[str]) -> list[tuple[str, str]]:
    left: list[tuple[str, str]] = [] if any(way.side == "below" for way in card.ways) or card.kind == "fail" else [(name, "")]
    for way in card.ways:
        ends = _drawn(way.steps, [(name, way.label)], lines)
        if way.side == "inside":
            lines += [f"  {source} -.->|next| {name}" for source, _ in ends if source != name]
        elif way.side != "late":
            left += ends
    return left


def _edge(label: str) -> str:
    return f"|{_quoted(_short(label, _LEAST))}|" if label else ""


def _quoted(text: str) -> str:
    return '"' + _short(text).replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;") + '"'
