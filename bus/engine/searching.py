"""Searching: a search by somebody, who may also find by what names a person and by text, for a purpose that is recorded first.

Text is looked for in what somebody may see of the messages that all else found: each of them is opened for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bus.clock import Clock, text_of
from bus.engine import accesses
from bus.engine.accesses import Looker
from bus.engine.names import folded
from bus.engine.search import Cursor, Page, Question, named, names_person, search
from bus.errors import UNOPENED, Forbidden
from bus.log import log
from bus.mapping.protected import is_mask
from bus.mapping.types import MessageType
from bus.message import JsonObject, JsonValue
from bus.store import Store, Tx

FIELDS = ("body", "subject", "reply")


def find(
    store: Store, clock: Clock, types: Mapping[str, MessageType], question: Question, most: int, after: str, looker: Looker
) -> JsonObject:
    """One page. With a text it opens ``most`` messages at most and shows those that say it, with the ``places``.

    Raises `Invalid` for a cursor of another question, or without a purpose where it takes one; `Forbidden` without the right.
    """
    opens = _opens(question, looker)
    with store.read() as tx:
        cursor = Cursor.read(tx, after, question) if after else None
        among = named(tx, question.key, persons=opens and "personal" in looker.sees) if question.key else None
        page = search(tx, question, cursor, most, text_of(clock.now()), among)
        following = page.after.text(tx, question) if page.after else None
    if opens:
        store.write(lambda tx: _tell(tx, question, page, looker, clock)).result()
    told: JsonObject = {"found": list[JsonValue](page.found), "next": following, "unseen": page.unseen}
    if question.text:
        with store.read() as tx:
            told |= _saying(tx, page, question.text, types, looker)
    return told


def _opens(question: Question, looker: Looker) -> bool:
    """Whether a search is for a purpose."""
    person = names_person(question.key)
    if person or question.text:
        accesses.purpose_of(looker.purpose)
    if person and "personal" not in looker.sees:
        raise Forbidden(
            "only a key that sees personal data finds persons", code="access.rights",
            hint="it takes a key that sees personal: `sees`, or `rights` of its role, in the settings",
        )  # fmt: skip
    return bool(looker.purpose)


def _tell(tx: Tx, question: Question, page: Page, looker: Looker, clock: Clock) -> None:
    """Write what is opened, or how much was found. What was asked for may name a person, who may be erased one day: its token is kept."""
    data = {"opened": [one["id"] for one in page.found]} if question.text else {"found": len(page.found)}
    accesses.look(tx, looker, "search", clock, data={**data, "asked": question.token(tx)})


def _saying(tx: Tx, page: Page, text: str, types: Mapping[str, MessageType], looker: Looker) -> JsonObject:
    """The messages of a page that say a text in their bodies, subjects and, for whoever may see everything, replies."""
    wanted, found, unreadable = folded(text), list[JsonValue](), 0
    for one in page.found:
        try:
            shown = _shown(tx, str(one["id"]), types, looker)
        except UNOPENED:
            unreadable += 1
            continue
        if places := [place for name in FIELDS for place in _places(shown.get(name), wanted, name)]:
            found.append({**one, "places": list[JsonValue](places)})
    return {"found": found, "opened": len(page.found), "unreadable": unreadable}


def _shown(tx: Tx, identity: str, types: Mapping[str, MessageType], looker: Looker) -> JsonObject:
    shown, row = accesses.said(tx, identity, types, looker), tx.one("message", id=identity)
    reply = log.json_payload(tx, row["reply"]) if row is not None and row["reply"] is not None else None
    return {**shown, "reply": accesses.replied(reply, str(row["type"]) if row is not None else "", types, looker)}


def _places(value: JsonValue, wanted: str, place: str) -> Iterator[str]:
    """Where in a value the text stands; never in the place of what is masked."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _places(one, wanted, f"{place}.{name}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _places(one, wanted, f"{place}[{number}]")
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool) and not is_mask(value) and wanted in folded(str(value)):
        yield place
