"""The whole municipality on one page: which messages start which routes, what these ask of which systems, and what they send on.

Three columns: types, routes, systems with their operations. Lines: a type starts a route; a route calls (solid), sends (green, back to the
types) and waits (dashed).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from bus.route.svg import Picture, cut, document

_TYPE, _ROUTE, _SYSTEM, _APART = 250.0, 262.0, 240.0, 190.0
_ROUTES, _SYSTEMS = _TYPE + _APART, _TYPE + _ROUTE + 2 * _APART
_LINES = {"starts": "#1d2733", "calls": "#2563a8", "sends": "#2c7a4b", "waits for": "#8f5e00"}
_DASHED = {"waits for": ' stroke-dasharray="5 4"'}


@dataclass(frozen=True, slots=True)
class Link:
    """``source`` does something (``starts``, ``calls``, ``sends``, ``waits for``) with ``target``: names of types, routes, operations."""

    source: str
    does: str
    target: str


def links(routes: Iterable[Mapping[str, Any]]) -> list[Link]:
    """What routes have to do with types and operations, in the order of their names and steps, each once."""
    found: dict[Link, None] = {}
    for route in sorted(routes, key=lambda one: str(one["route"])):
        name = str(route["route"])
        found[Link(str(route["on"]), "starts", name)] = None
        for kind, target in _touched(route["steps"]):
            does = {"call": "calls", "send": "sends"}.get(kind, "waits for")
            found[Link(name, does, target)] = None
    return list(found)


def _touched(steps: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Kind and name of everything that steps ask, send or wait for, nested ones too; so much of a step as is a document with an id."""
    for step in _documents(steps):
        for kind in ("call", "send", "wait", "gather"):
            if isinstance(step.get(kind), str):
                yield kind, step[kind]


def _documents(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for one in value:
            yield from _documents(one)
    elif isinstance(value, dict):
        if "id" in value:
            yield value
        for inner in value.values():
            yield from _documents(inner)


# --- text and Mermaid ------------------------------------------------------------------------------------------------


def as_text(routes: Iterable[Mapping[str, Any]]) -> str:
    """One block for each route."""
    found = links(routes)
    blocks = [
        [
            f"{link.source} → {link.target}",
            *(f"   {one.does} {one.target}" for one in found if one.source == link.target and one.does != "starts"),
        ]
        for link in found
        if link.does == "starts"
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks)


def as_mermaid(routes: Iterable[Mapping[str, Any]], title: str) -> str:
    """A flowchart from types over routes to systems; a screen reader says its title."""
    found = links(routes)
    lines = ["flowchart LR", f"  accTitle: {' '.join(title.split())}"]
    systems: dict[str, set[str]] = {}
    for link in found:
        if link.does == "calls":
            systems.setdefault(link.target.partition(".")[0], set()).add(link.target)
    for system, operations in sorted(systems.items()):
        lines += [f"  subgraph {system}", *(f'    o_{_name(one)}["{one.partition(".")[2]}"]' for one in sorted(operations)), "  end"]
    lines += [f'  t_{_name(one)}(["{one}"])' for one in sorted(_types(found))]
    lines += [f'  r_{_name(one)}["{one}"]' for one in sorted({link.target for link in found if link.does == "starts"})]
    return "\n".join([*lines, *(f"  {_mermaid(link)}" for link in found)])


def _mermaid(link: Link) -> str:
    source, target = _name(link.source), _name(link.target)
    match link.does:
        case "starts":
            return f"t_{source} --> r_{target}"
        case "calls":
            return f"r_{source} --> o_{target}"
        case "sends":
            return f"r_{source} -->|sends| t_{target}"
        case _:
            return f"t_{target} -.->|awaited| r_{source}"


def _name(text: str) -> str:
    return text.replace(".", "_").replace("-", "__")


def _types(found: Sequence[Link]) -> set[str]:
    return {link.source if link.does == "starts" else link.target for link in found if link.does != "calls"}


# --- SVG -------------------------------------------------------------------------------------------------------------


def as_svg(routes: Iterable[Mapping[str, Any]], title: str) -> str:
    """The page: types on the left, routes in the middle, systems on the right."""
    found = links(routes)
    names = sorted({link.target for link in found if link.does == "starts"})
    operations = sorted({link.target for link in found if link.does == "calls"})
    middle = _stacked(names, 46.0)
    messages = [one for one in found if one.does != "calls"]
    tied = [(one.source, one.target) if one.does == "starts" else (one.target, one.source) for one in messages]
    left = _stacked(_near(sorted(_types(found)), tied, middle), 30.0)
    calls = [(one.target, one.source) for one in found if one.does == "calls"]
    right = _stacked(_near(operations, calls, middle), 26.0, blank=4.0, gap=40.0, top=40.0)
    height = max(max(at + size for at, size in one.values()) for one in (left, middle, right) if one)
    for one in (left, middle, right):
        used = max((at + size for at, size in one.values()), default=0.0)
        for name, (at, size) in one.items():
            one[name] = (at + (height - used) / 2 + 56, size)
    whole = Picture(_SYSTEMS + _SYSTEM, height + 56, 0)
    legend = _SYSTEMS - 300
    whole.text(0, 16, cut(title, legend - 20, "title"), "title")
    for x, word in ((0.0, "messages"), (_ROUTES, "routes"), (_SYSTEMS, "systems")):
        whole.text(x, 40, word, "purpose")
    for position, (word, colour) in enumerate(_LINES.items()):
        x = legend + 90 * position
        whole.parts.append(f'<path d="M{x} 12 h22" stroke="{colour}" stroke-width="1.6"{_DASHED.get(word, "")}/>')
        whole.text(x + 27, 16, word, "label")
    for link in found:
        _curve(whole, link, left, middle, right)
    _boxes(whole, left, middle, right)
    return document(whole, title)


def _stacked(
    names: Sequence[str], size: float, *, blank: float = 12.0, gap: float = 14.0, top: float = 0.0
) -> dict[str, tuple[float, float]]:
    """Top and height of each name, one under the other; ``gap`` is what is left free besides between offices, or systems."""
    placed: dict[str, tuple[float, float]] = {}
    y, office = top, ""
    for name in names:
        own = name.partition(".")[0]
        y += gap if office and own != office else 0.0
        placed[name], office = (y, size), own
        y += size + blank
    return placed


def _near(names: Sequence[str], pairs: Sequence[tuple[str, str]], middle: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names in the order of what they are tied to, offices together."""

    def centre(name: str) -> float:
        tied = [middle[other][0] for one, other in pairs if one == name and other in middle]
        return sum(tied) / len(tied) if tied else 0.0

    offices: dict[str, list[str]] = {}
    for name in names:
        offices.setdefault(name.partition(".")[0], []).append(name)
    ordered = sorted(offices.values(), key=lambda several: sum(map(centre, several)) / len(several))
    return [name for several in ordered for name in sorted(several, key=centre)]


def _curve(whole: Picture, link: Link, left: Mapping[str, Any], middle: Mapping[str, Any], right: Mapping[str, Any]) -> None:
    match link.does:
        case "starts":
            start, end = (_TYPE, _centre(left, link.source)), (_ROUTES - 2, _centre(middle, link.target))
        case "calls":
            start, end = (_ROUTES + _ROUTE, _centre(middle, link.source)), (_SYSTEMS - 2, _centre(right, link.target))
        case "sends":
            start, end = (_ROUTES, _centre(middle, link.source) + 9), (_TYPE + 2, _centre(left, link.target) + 5)
        case _:
            start, end = (_TYPE, _centre(left, link.target) - 5), (_ROUTES - 2, _centre(middle, link.source) - 9)
    (x1, y1), (x2, y2) = start, end
    bend = (x2 - x1) / 2
    whole.parts.append(
        f'<path d="M{x1:.1f} {y1:.1f} C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}" fill="none"'
        f' stroke="{_LINES[link.does]}" stroke-opacity="0.75" stroke-width="1.3"{_DASHED.get(link.does, "")} marker-end="url(#arrow)">'
        f"<title>{escape(f'{link.source} {link.does} {link.target}')}</title></path>"
    )


def _centre(placed: Mapping[str, tuple[float, float]], name: str) -> float:
    top, size = placed[name]
    return top + size / 2


def _boxes(whole: Picture, left: Mapping[str, Any], middle: Mapping[str, Any], right: Mapping[str, Any]) -> None:
    for name, (top, size) in left.items():
        _box(whole, 0, top, _TYPE, size, ("#f4f5f7", "#5b6770"), 15)
        whole.text(14, top + 19, name, "says", most=_TYPE - 24)
    for name, (top, size) in middle.items():
        _box(whole, _ROUTES, top, _ROUTE, size, ("#f1ebfb", "#6b46b8"), 7)
        whole.text(_ROUTES + 14, top + 28, name, "id", most=_ROUTE - 24)
    system = ""
    for name, (top, size) in right.items():
        own, _, operation = name.partition(".")
        if own != system:
            whole.text(_SYSTEMS, top - 8, own, "id")
            system = own
        _box(whole, _SYSTEMS, top, _SYSTEM, size, ("#e8f1fd", "#2563a8"), 6)
        whole.text(_SYSTEMS + 12, top + 17, operation, "says", most=_SYSTEM - 22)


def _box(whole: Picture, x: float, y: float, width: float, height: float, colours: tuple[str, str], radius: float) -> None:
    fill, stroke = colours
    whole.parts.append(
        f'<rect x="{x}" y="{y:.1f}" width="{width}" height="{height}" rx="{radius}" fill="{fill}" stroke="{stroke}" stroke-width="1.1"/>'
    )
