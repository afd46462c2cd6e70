"""Pictures of routes: everything is in them, nothing lies on anything else."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from bus.cli import main
from bus.route import overview
from bus.route.graph import as_mermaid, as_text
from bus.route.parse import parse_route
from bus.route.svg import CARD, COLOURS, STYLE, route_svg
from bus.source import Notes, read_file

PROJECT = Path(__file__).parents[3]
SHIPPED = [path for path in PROJECT.glob("routes/*/*.yaml") if not path.name.endswith(".test.yaml")]
FILES = [
    *SHIPPED,
    *PROJECT.glob("docs/patterns/routes/*.yaml"),
    PROJECT / "tests/corpus/world/routes/buona.yaml",
]


def document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_file(path).plain()
    return found


def ids(route: dict[str, Any]) -> list[str]:
    parsed = parse_route(route, Notes("x"))
    assert parsed is not None
    return [step.model.id for step in parsed.every]


def boxes(element: ET.Element, x: float = 0.0, y: float = 0.0) -> list[tuple[float, float, float, float]]:
    """The cards of a picture: left, top, right, bottom."""
    moved = re.match(r"translate\((\S+) (\S+)\)", element.get("transform", ""))
    if moved:
        x, y = x + float(moved[1]), y + float(moved[2])
    found = []
    if element.tag.endswith("rect") and element.get("width") == str(CARD):
        left, top = x + float(element.get("x", 0)), y + float(element.get("y", 0))
        found.append((left, top, left + CARD, top + float(element.get("height", 0))))
    return found + [box for child in element for box in boxes(child, x, y)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_picture_holds_every_step_and_no_card_lies_on_another(path: Path) -> None:
    route = document(path)
    root = ET.fromstring(route_svg(route))
    cards = boxes(root)
    assert len(ids(route)) == len(cards)
    apart = [a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a, b in combinations(cards, 2)]
    assert all(apart)
    width, height = (float(root.get(name, "0")) for name in ("width", "height"))
    assert all(left >= 0 and top >= 0 and right <= width and bottom <= height for left, top, right, bottom in cards)
    words = {text.text for text in root.iter() if text.tag.endswith("text")}
    assert [one for one in ids(route) if len(one) < 20 and one not in words] == []


def test_a_picture_is_xml_whatever_the_texts_of_a_route_hold() -> None:
    route = document(PROJECT / "routes/edilizia/presenta-pratica.yaml") | {"purpose": "a\0b\x1b[2J\x85c"}
    assert "a b [2J c" in {text.text for text in ET.fromstring(route_svg(route)).iter()}


def test_a_picture_says_its_name_and_a_long_one_stays_in_it() -> None:
    svg, name, house = "{http://www.w3.org/2000/svg}", "attivita." + "w" * 60, "Unione dei Comuni" + " della Bassa Pianura" * 4
    root = ET.fromstring(route_svg({"route": name, "version": 1, "on": "c.d", "steps": [{"id": "a", "reply": {}}]}))
    assert f"{name}@1" == root.findtext(f"{svg}title")
    assert float(root.get("width", "0")) > 10 * len(name)
    whole = ET.fromstring(overview.as_svg([document(path) for path in SHIPPED], house))
    assert house == whole.findtext(f"{svg}title")
    [shown] = [str(one.text) for one in whole.iter(f"{svg}text") if one.get("class") == "title"]
    assert shown.endswith("…") and len(shown) < 60


def test_broad_letters_stay_in_their_box_and_slim_ones_are_not_cut_for_nothing() -> None:
    """As broad as in DejaVu Sans, bold: an m takes 1.04 of its size, an i 0.34."""
    broad, slim = "m" * 40, "il" * 19
    steps = [{"id": one, "call": "a.b", "on_error": [{"steps": [{"id": "c", "reply": {}}]}]} for one in (broad, slim)]
    root = ET.fromstring(route_svg({"route": "a.b", "version": 1, "on": broad, "steps": steps}))
    started, *names = [str(one.text) for one in root.iter() if one.get("class") == "id"]
    pills = [float(one.get("width", "0")) for one in root.iter() if one.get("rx") == "15"]
    assert (started, slim) == (broad, names[2])
    assert min(pills) > 1.04 * 13 * len(broad)
    assert len(names[0]) * 1.04 * 13 < CARD - 16 - 24 - 10, "the word call stands behind it"


def luminance(colour: str, opacity: float = 1.0) -> float:
    """How bright it is on white (WCAG 2.1)."""
    parts = (opacity * int(colour[at : at + 2], 16) / 255 + 1 - opacity for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


def test_words_and_lines_of_a_picture_are_seen_by_weak_eyes() -> None:
    """WCAG 2.1 AA, which the law asks of an administration: 4.5 : 1 for words (1.4.3), 3 : 1 for what a picture is made of (1.4.11)."""
    whole = overview.as_svg([document(path) for path in SHIPPED], "Comune")
    [words] = {re.search(r"\.says \{ fill: (#\w{6})", STYLE)[1]}  # type: ignore[index]
    on_cards = [(fill, word) for fill, stroke in COLOURS.values() for word in (stroke, words)]
    assert [pair for pair in on_cards if contrast(*map(luminance, pair)) < 4.5] == []
    drawn = [(colour, 1.0) for colour in re.findall(r'(?:stroke: |fill=")(#\w{6})', STYLE + whole) if luminance(colour) < 0.6]
    drawn += [(colour, float(opacity)) for colour, opacity in re.findall(r'stroke="(#\w{6})" stroke-opacity="([\d.]+)"', whole)]
    assert len(drawn) > 20
    assert {one for one in drawn if contrast(luminance(*one), 1.0) < 3} == set()
    assert 'lang="en"' in whole


def test_a_condition_is_whole_where_nothing_stands_beside_it() -> None:
    route = document(PROJECT / "routes/edilizia/presenta-pratica.yaml")
    words = [text.text for text in ET.fromstring(route_svg(route)).iter() if text.tag.endswith("text")]
    assert 1 == words.count("if posizione != null && ricevuta == null")


def test_one_arrow_leads_to_a_first_step_that_has_ways_beside_it() -> None:
    """The step draws the last piece of the way to it itself, where its ways need room above."""
    wait = {"id": "b", "wait": None, "deadline": "1d", "on_deadline": [{"id": "c", "reply": {}}]}
    drawn = route_svg({"route": "a.b", "version": 1, "on": "c.d", "steps": [{"id": "a", "each": "body.x", "steps": [wait]}]})
    [frame] = re.findall(r'<rect class="frame"[^>]*>(<path[^>]*>)', drawn)
    assert "arrow" not in frame


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_text_and_mermaid_hold_every_step(path: Path) -> None:
    route = document(path)
    text, mermaid = as_text(route), as_mermaid(route)
    assert [one for one in ids(route) if not re.search(rf"─ {one}: ", text)] == []
    assert [one for one in ids(route) if f'"{one}: ' not in mermaid] == []
    assert mermaid.splitlines()[1] == f"  accTitle: {route['route']}@{route['version']}"


def test_an_outline_tells_the_ways() -> None:
    text = as_text(document(PROJECT / "tests/corpus/world/routes/buona.yaml"))
    assert "│  ├─ after 10wd, 2 times\n│  │  └─ sollecita: send prova.ricevuta\n│  └─ one that comes late\n" in text
    waits = as_text(document(PROJECT / "routes/edilizia/presenta-pratica.yaml"))
    assert "─ pagata-in-extremis: wait pagopa.ricevuta for 7d\n" in waits, "a deadline without steps of its own is one too"
    assert '─ ultimo-termine: wait pagopa.ricevuta until date_add(posizione.scadenza, "7d")  (if' in waits
    assert "├─ righe: each riga of body.righe  (if has(body.righe))\n│  └─ riga: set cap\n" in text


def test_an_outline_cuts_nothing() -> None:
    """It is what a screen reader reads in the place of a picture, where the rest of a condition is under the cursor."""
    when = " && ".join(f"body.campo_{n} != null" for n in range(12))
    step = {"id": "a", "when": when, "call": "a.b", "on_error": [{"when": when, "steps": [{"id": "b", "each": when, "steps": []}]}]}
    assert as_text({"route": "a.b", "version": 1, "on": "c.d", "steps": [step]}).count(when) == 3


def test_what_is_written_cannot_break_a_picture() -> None:
    step = {"id": "a", "when": 'body.x < 3 && "<&" != body.y', "set": {"n": "1"}}
    ET.fromstring(route_svg({"route": "a.b", "version": 1, "on": "<x>&", "purpose": '"<', "steps": [step]}))


def test_a_condition_is_drawn_once_in_mermaid_however_many_ways_lead_to_it() -> None:
    """One arrow past each of several steps in a row from each way before them made a route of a page unreadable."""
    when = "posizione != null && ricevuta == null"
    steps: list[dict[str, Any]] = [{"id": "a", "call": "a.b", "on_error": [{"steps": [{"id": "b", "set": {"n": "1"}}]}]}]
    steps += [{"id": f"c-{n}", "when": when, "set": {"n": "1"}} for n in range(5)]
    mermaid = as_mermaid({"route": "a.b", "version": 1, "on": "c.d", "steps": steps})
    assert mermaid.count(when) == 5
    assert f'  if_c_0{{{{"if {when}"}}}}\n  s_a --> if_c_0\n  s_b --> if_c_0\n' in mermaid
    assert '  if_c_0 -->|"yes"| s_c_0\n' in mermaid
    assert '  s_c_0 --> if_c_1\n  if_c_0 -->|"no"| if_c_1\n' in mermaid
    assert mermaid.count("-->") == 2 + 3 * 5 + 2


def test_what_mermaid_reads_as_a_sign_of_its_own_is_shown_as_it_is_written() -> None:
    clause = {"when": 'body.x == "#quot;"', "steps": [{"id": "b", "set": {"n": "1"}}]}
    mermaid = as_mermaid({"route": "a.b", "version": 1, "on": "c.d", "steps": [{"id": "a", "choose": [clause]}]})
    assert '|"body.x == #quot;#35;quot;#quot;"|' in mermaid


def test_the_municipality_is_drawn_with_all_its_links() -> None:
    routes = [document(path) for path in SHIPPED]
    found = overview.links(routes)
    assert overview.Link("pagopa.ricevuta", "starts", "pagamenti.ricevuta") in found
    assert overview.Link("edilizia.presenta-pratica", "waits for", "pagopa.ricevuta") in found
    assert overview.Link("servizi.istanza-generica", "calls", "protocollo.registra") in found
    root = ET.fromstring(overview.as_svg(routes, "Comune & Città"))
    titles = {one.text for one in root.iter() if one.tag.endswith("title")}
    assert {f"{link.source} {link.does} {link.target}" for link in found} <= titles
    assert all(f"   {link.does} {link.target}" in overview.as_text(routes) for link in found if link.does != "starts")
    mermaid = overview.as_mermaid(routes, "Comune & Città\n")
    assert mermaid.count("-->") + mermaid.count("-.->") == len(found)
    assert mermaid.splitlines()[1] == "  accTitle: Comune & Città"


def test_the_command_prints_or_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(PROJECT / "config.yaml")
    assert 0 == main(["graph", "edilizia.presenta-pratica", "--config", config])
    assert "on edilizia.pratica.presentata" in capsys.readouterr().out
    assert 0 == main(["graph", "--all", "--format", "svg", "-o", str(tmp_path / "a.svg"), "--config", config])
    ET.parse(tmp_path / "a.svg")
    assert 0 != main(["graph", "--config", config])
    assert 0 != main(["graph", "edilizia.presenta-praticaa", "--config", config])
    assert "did you mean edilizia.presenta-pratica?" in capsys.readouterr().err
