"""Whoever waits for the reply of a message is woken with it, and nobody else is."""

from __future__ import annotations

from bus.message import JsonValue
from bus.news import News


def test_each_who_waits_hears_of_its_message_only_and_only_while_it_listens() -> None:
    news, heard = News(), list[tuple[str, JsonValue]]()
    with news.listen("a", lambda reply: heard.append(("first", reply))), news.listen("a", lambda reply: heard.append(("second", reply))):
        news.tell({"a": {"x": 1}, "b": None})
        news.tell({"a": None})
    news.tell({"a": {"x": 2}})
    assert heard == [("first", {"x": 1}), ("second", {"x": 1}), ("first", None), ("second", None)]


def test_nothing_is_kept_of_those_who_went_away() -> None:
    news = News()
    with news.listen("a", lambda reply: None):
        pass
    assert news._waiting == {}
