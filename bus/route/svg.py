"""Routes drawn as SVG: a route is nested, so its layout is too, and needs no library. A picture knows its size and its axis.

The way of the message goes down along the axis. One of several ways: side by side below. Ways that are taken only when something happens
(a refusal, a deadline): beside the step, behind a dashed line, coming back where `↩` stands. Again and again: in a frame.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import accumulate
from typing import Any

from bus.route.graph import Card, Way, outline

CARD, HEIGHT, GAP, ASIDE, BETWEEN = 236.0, 46.0, 26.0, 44.0, 28.0
_BOLD = 1.12  # how much wider letters are then
SIZES = {"id": 13 * _BOLD, "says": 11.5, "kind": 10.5 * _BOLD, "label": 11.0, "title": 18 * _BOLD, "purpose": 12.0}
"""The size of the letters of each kind of text, in pixels, as in `STYLE`."""
_SLIM, _NARROW, _BROAD = frozenset("ijlI.,:;'|! "), frozenset('ftr-()[]{}/"\\'), frozenset("mwMW@%=<>&+…")
_MARGIN = 28.0
COLOURS = {
    "call": ("#e8f1fd", "#2563a8"), "map": ("#f1f3f5", "#5b6770"), "set": ("#f1f3f5", "#5b6770"), "send": ("#e7f6ec", "#2c7a4b"),
    "reply": ("#e7f6ec", "#2c7a4b"), "wait": ("#fdf3dc", "#8f5e00"), "gather": ("#fdf3dc", "#8f5e00"), "choose": ("#f1ebfb", "#6b46b8"),
    "each": ("#f1ebfb", "#6b46b8"), "parallel": ("#f1ebfb", "#6b46b8"), "fail": ("#fdeaea", "#b3261e"),
}  # fmt: skip
STYLE = """
text { font: 12px "Inter", "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #1d2733 }
.id { font-weight: 600; font-size: 13px } .says { fill: #4a5763; font-size: 11.5px } .kind { font-size: 10.5px; font-weight: 600 }
.label { font-size: 11px; fill: #4a5763 } .title { font-size: 18px; font-weight: 600 } .purpose { fill: #4a5763 }
.way { fill: none; stroke: #75828e; stroke-width: 1.4 } .aside { stroke-dasharray: 4 3; stroke: #b07a3c }
.frame { fill: none; stroke: #9a82d6; stroke-width: 1.2; stroke-dasharray: 5 4 }
"""


@dataclass
class Picture:
    """Drawn from (0, 0) to (``width``, ``height``). The way enters at the top of ``axis`` and leaves at its bottom, unless it ``ends``.

    ``led``: it draws the last piece of the way to it itself.
    """

    width: float
    height: float
    axis: float
    ends: bool = False
    led: bool = False
    parts: list[str] = field(default_factory=list)

    def put(self, other: Picture, x: float, y: float) -> None:
        self.parts.append(f'<g transform="translate({x:.1f} {y:.1f})">{"".join(other.parts)}</g>')

    def line(self, *points: tuple[float, float], aside: bool = False, arrow: bool = True) -> None:
        """A way through these points."""
        path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        end = ' marker-end="url(#arrow)"' if arrow else ""
        self.parts.append(f'<path class="way{" aside" if aside else ""}" d="{path}"{end}/>')

    def lead(self, x: float, start: float, end: float, to: Picture) -> None:
        """The way straight down to another picture."""
        self.line((x, start), (x, end - (0 if to.led else 2)), arrow=not to.led)

    def text(self, x: float, y: float, text: str, kind: str, most: float = 0, more: str = "") -> None:
        shown = cut(text, most, kind) if most else text
        hover = f"<title>{escape(text)}</title>" if shown != text else ""
        self.parts.append(f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{more}>{escape(shown)}{hover}</text>')


def breadth(text: str, kind: str) -> float:
    """Pixels that a text takes, in the widest letters that a machine without the first ones of `STYLE` has (DejaVu Sans, Verdana)."""
    return SIZES[kind] * sum(map(_breadth, text))


def _breadth(letter: str) -> float:
    """How broad a letter is, as a part of its height."""
    if letter in _SLIM:
        return 0.32
    if letter in _NARROW:
        return 0.43
    if letter in _BROAD or ord(letter) > 0x2000:
        return 1.0
    return 0.75 if letter.isupper() else 0.62


def cut(text: str, most: float, kind: str) -> str:
    """A text that fits some pixels."""
    text = " ".join(text.split())
    if breadth(text, kind) <= most:
        return text
    kept = list(accumulate((SIZES[kind] * _breadth(letter) for letter in text), initial=breadth("…", kind)))
    return text[: max(bisect_right(kept, most) - 1, 0)] + "…"


def route_svg(route: Mapping[str, Any]) -> str:
    """A whole route: what starts it, its steps, its end."""
    steps = _sequence(outline(route))
    started = _pill(str(route["on"]))
    name = f"{route['route']}@{route['version']}"
    width = max(steps.width, started.axis + steps.axis, breadth(name, "title"), 420.0)
    whole = Picture(width, 0, steps.axis)
    whole.text(0, 16, name, "title")
    whole.text(0, 36, str(route.get("purpose", "")), "purpose", most=width + 40)
    top = 56.0
    below = top + started.height
    whole.put(started, steps.axis - started.axis, top)
    whole.lead(steps.axis, below, below + GAP, steps)
    whole.put(steps, 0, below + GAP)
    bottom = below + GAP + steps.height
    if not steps.ends:
        whole.line((steps.axis, bottom), (steps.axis, bottom + GAP - 2))
        whole.parts.append(f'<circle cx="{steps.axis:.1f}" cy="{bottom + GAP + 7:.1f}" r="7" fill="#2c7a4b"/>')
        bottom += GAP + 16
    whole.height = bottom
    left = max(0.0, started.axis - steps.axis)
    return document(whole, name, left)


def document(whole: Picture, name: str, left: float = 0.0) -> str:
    """An SVG file of a picture; its name is what a screen reader says first.

    XML takes no control characters, and texts of rules may hold some.
    """
    width, height = whole.width + left + 2 * _MARGIN, whole.height + 2 * _MARGIN
    arrow = (
        '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0.6 L7.4 4 L0 7.4 z" fill="#75828e"/></marker>'
    )
    named, parts = (
        "".join(one if one.isprintable() or one == "\n" else " " for one in text) for text in (escape(name), "".join(whole.parts))
    )
    size = f'width="{width:.0f}" height="{height:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" lang="en" viewBox="0 0 {width:.0f} {height:.0f}" {size}>'
        f"<title>{named}</title><style>{STYLE}</style><defs>{arrow}</defs>"
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<g transform="translate({_MARGIN + left:.1f} {_MARGIN:.1f})">{parts}</g></svg>\n'
    )


def _pill(text: str) -> Picture:
    width = 30 + breadth(text, "id")
    made = Picture(width, 30, width / 2)
    made.parts.append(f'<rect width="{width:.1f}" height="30" rx="15" fill="#1d2733"/>')
    made.parts.append(f'<text class="id" x="{width / 2:.1f}" y="19.5" text-anchor="middle" style="fill:#ffffff">{escape(text)}</text>')
    return made


# --- steps -----------------------------------------------------------------------------------------------------------


def _sequence(cards: Sequence[Card], sideways: bool = False) -> Picture:
    """One under the other, along one axis; the first is entered from above, or ``sideways``."""
    drawn = [_step(card, sideways and not position) for position, card in enumerate(cards)]
    axis = max((one.axis for one in drawn), default=4.0)
    right = max((one.width - one.axis for one in drawn), default=4.0)
    made = Picture(axis + right, 0.0, axis)
    y = 0.0
    for position, one in enumerate(drawn):
        if position:
            if not drawn[position - 1].ends:
                made.lead(axis, y, y + GAP, one)
            y += GAP
        made.put(one, axis - one.axis, y)
        y += one.height
    made.height = y
    made.ends = bool(drawn) and drawn[-1].ends
    made.led = bool(drawn) and drawn[0].led
    return made


def _step(card: Card, sideways: bool) -> Picture:
    inside = [way for way in card.ways if way.side == "inside"]
    below = [way for way in card.ways if way.side == "below"]
    aside = [way for way in card.ways if way.side in {"aside", "late"}]
    drawn = _card(card, sideways, CARD / 2 + 14 if aside else CARD + 60)
    if inside:
        drawn = _framed(drawn, _sequence(inside[0].steps))
    if below:
        drawn = _spread(drawn, below)
    drawn = _beside(drawn, aside, sideways) if aside else drawn
    drawn.ends = card.ends
    return drawn


def _card(card: Card, sideways: bool, most: float) -> Picture:
    """One step, and over it its condition, at most so wide."""
    fill, stroke = COLOURS[card.kind]
    top = 18.0 if card.when else 0.0
    made = Picture(CARD, HEIGHT + top, CARD / 2)
    if card.when:
        made.led = True
        made.text(CARD / 2 + 8, 8, f"if {card.when}", "label", most=most)
        made.width = max(CARD, CARD / 2 + 8 + min(most, breadth(f"if {card.when}", "label")) - 24)
        if not sideways:
            made.line((CARD / 2, 0), (CARD / 2, top - 2))
    hover = f"<title>{escape(f'{card.id}: {card.kind} {card.says}')}</title>"
    made.parts.append(
        f'<g>{hover}<rect y="{top}" width="{CARD}" height="{HEIGHT}" rx="7" fill="{fill}" stroke="{stroke}" stroke-width="1.2"/>'
        f'<rect y="{top}" width="5" height="{HEIGHT}" rx="2.5" fill="{stroke}"/></g>'
    )
    made.text(16, top + 19, card.id, "id", most=CARD - 34 - breadth(card.kind, "kind"))
    made.text(CARD - 10, top + 18, card.kind, "kind", more=f' text-anchor="end" style="fill:{stroke}"')
    made.text(16, top + 36, card.says, "says", most=CARD - 26)
    return made


def _framed(card: Picture, inner: Picture) -> Picture:
    """A card, and in a frame what is done for each item."""
    axis = max(card.axis, inner.axis + 16)
    made = Picture(axis + max(card.width - card.axis, inner.width - inner.axis + 16), 0, axis)
    made.put(card, axis - card.axis, 0)
    made.parts.append(
        f'<rect class="frame" x="{axis - inner.axis - 16:.1f}" y="{card.height + 8:.1f}" width="{inner.width + 32:.1f}"'
        f' height="{inner.height + GAP + 10:.1f}" rx="9"/>'
    )
    made.lead(axis, card.height, card.height + GAP, inner)
    made.put(inner, axis - inner.axis, card.height + GAP)
    made.height = card.height + inner.height + GAP + 18
    made.led = card.led
    return made


def _spread(card: Picture, ways: Sequence[Way]) -> Picture:
    """Several ways side by side, which come together again."""
    drawn = [_labelled(way) for way in ways]
    width = sum(one.width for one in drawn) + BETWEEN * (len(drawn) - 1)
    axes, x = [], 0.0
    for one in drawn:
        axes.append(x + one.axis)
        x += one.width + BETWEEN
    middle = (axes[0] + axes[-1]) / 2
    axis = max(card.axis, middle)
    shift = axis - middle
    made = Picture(max(axis + card.width - card.axis, shift + width), 0, axis)
    made.put(card, axis - card.axis, 0)
    split = card.height + 12
    deepest = max(one.height for one in drawn)
    join = split + deepest + 18
    made.line((axis, card.height), (axis, split), arrow=False)
    for one, at in zip(drawn, axes, strict=True):
        here = at + shift
        made.line((axis, split), (here, split), arrow=False)
        made.put(one, here - one.axis, split)
        if not one.ends:
            made.line((here, split + one.height), (here, join), (axis, join), arrow=False)
    made.led = card.led
    made.height = join if any(not one.ends for one in drawn) else split + deepest
    return made


def _labelled(way: Way) -> Picture:
    """A way under its label."""
    steps = _sequence(way.steps)
    space = max(steps.width - steps.axis, 96.0)
    made = Picture(steps.axis + max(steps.width - steps.axis, min(space, 9 + breadth(way.label, "label"))), steps.height + 34, steps.axis)
    made.text(steps.axis + 7, 16, way.label, "label", most=space + 4)
    direct = bool(way.steps) and not steps.led
    made.line((steps.axis, 0), (steps.axis, 32 if direct else 34), arrow=direct)
    made.put(steps, 0, 34)
    made.ends = way.ends
    return made


def _lower(card: Card) -> float:
    """How far below the top of its picture a card stands."""
    if any(way.side in {"aside", "late"} for way in card.ways):
        return 20.0
    return 18.0 if card.when else 0.0


def _beside(card: Picture, ways: Iterable[Way], sideways: bool) -> Picture:
    """Ways that are taken when something happens: to the right, one under the other."""
    when = 18.0 if card.led else 0.0
    down = 20.0 - when  # room for the label, so that the first way leads straight to the right
    made = Picture(card.width, card.height + down, card.axis, led=True)
    made.put(card, 0, down)
    if not sideways:
        made.lead(card.axis, 0, down, card)
    start = down + when + HEIGHT / 2
    rail, left = card.axis + CARD / 2 + 16, max(card.axis + CARD / 2, card.width) + ASIDE
    y, last = 0.0, start
    for way in ways:
        steps = _sequence(way.steps, sideways=True)
        lower = _lower(way.steps[0]) if way.steps else 0.0
        entry = y + 12
        made.text(left - 6, entry - 4, way.label, "label", most=max(steps.width, CARD) + 10)
        made.put(steps, left, entry + 8)
        middle = entry + 8 + HEIGHT / 2 + lower
        made.line((rail, last), (rail, middle), (left + steps.axis - CARD / 2 - 3, middle), aside=True)
        last = middle
        y = entry + 8 + steps.height
        if not way.ends:
            made.text(left + steps.axis, y + 13, "↩", "label", more=' text-anchor="middle"')
            y += 18
        made.width = max(made.width, left + max(steps.width, CARD))
        y += 12
    made.line((card.axis + CARD / 2, start), (rail, start), aside=True, arrow=False)
    made.height = max(card.height + down, y)
    if made.height > card.height + down and not card.ends:
        made.line((card.axis, card.height + down), (card.axis, made.height), arrow=False)
    return made
