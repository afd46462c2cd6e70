"""What an engine says to everybody who works at the same store: news for those who wait for a message, words for other engines."""

from __future__ import annotations

from collections.abc import Mapping

from bus.message import JsonValue

Bulletin = Mapping[str, JsonValue]
"""Messages that were replied or ended, each with the reply if it has just been given, else None; words, with None."""
LANE = "lane "
"""Begins the word that an ordered lane is free, before its name."""
RUN = "run "
"""Begins the word that a run was rung for which another engine holds, before its id."""
