"""Figures that the pages tell are those of the code, which nobody changes there alone."""

from __future__ import annotations

import re

import pytest

from bus import rulefiles
from bus.channel import line, outbox, publisher
from bus.cli import activate
from bus.engine import erasure, inquiry, retention, search, watching
from bus.jsontext import DEPTH, LIMIT
from bus.log import record
from bus.mapping import types
from bus.planning import course
from bus.store import survey
from bus.web import accesses, bridge, house, serve
from tests.unit.sources import PROJECT

WORDS = {5: "five", 7: "seven", 10: "ten", 25: "25"}
TOLD = [
    ("portal-developer.md", f"An answer may take {bridge.PATIENCE:.0f} seconds"),
    ("portal-developer.md", f"or more than {DEPTH} levels is taken; at most {LIMIT // 1_000_000} MB a message"),
    ("portal-developer.md", f"for a body of more than {types._SMALL:,} values only the first"),
    ("portal-developer.md", {100: "up to a hundred;"}[types._MOST]),
    ("portal-developer.md", {1000: "A case of more than a thousand records comes in pages"}[inquiry.MOST_RECORDS]),
    ("auditor.md", f"One page looks at {search.LOOKED_AT:,} matching records at most"),
    ("auditor.md", f"Newer records are looked at one by one, up to {search.UNTRACED:,};"),
    ("auditor.md", f"A record never has more than {record.LONGEST:,} bytes"),
    ("auditor.md", {900.0: "ends when none came for a quarter of an hour"}[accesses.IDLE]),
    ("auditor.md", {60.0: "refusals of one address are counted together each minute"}[accesses.EVERY]),
    ("sysadmin/activating.md", f"{WORDS[activate.WITHIN]} seconds at most; a process that does not by then is named"),
    ("sysadmin/activating.md", f"the command waits, {WORDS[rulefiles.PATIENCE]} seconds at most"),
    ("sysadmin/broker.md", f"at most {line._BOUNDS['x-max-length']:,} tickets of {outbox.MOST} runs"),
    ("sysadmin/broker.md", f"each for at most {WORDS[line._BOUNDS['x-message-ttl'] // 60_000]} minutes"),
    ("sysadmin/broker.md", f"given up because {outbox.BOUND:,} already waited"),
    ("sysadmin/broker.md", f"confirms nothing for {WORDS[publisher.DEAD_SECONDS]} seconds on an open line"),
    ("sysadmin/broker.md", f"that takes {publisher.ELECTED_SECONDS:.0f} seconds or more"),
    ("sysadmin/broker.md", f"after {WORDS[publisher.CONFIRM_SECONDS]} seconds without a confirmation"),
    ("sysadmin/personal-data.md", f"It goes in pages of {retention.PAGE}, each with a record"),
    ("sysadmin/personal-data.md", {3600.0: "again within the last hour"}[erasure.ABANDONED.total_seconds()]),
    ("sysadmin/planning.md", f"what those send in turn, {WORDS[course.DEEPEST]} messages deep"),
    ("sysadmin/production.md", {8: "one for each of the eight views"}[house.READING]),
    ("sysadmin/running.md", f"does not answer within {house.GLANCE:.0f} seconds"),
    ("sysadmin/running.md", f"out of the newest {watching.LOOKED_AT:,})"),
    ("sysadmin/running.md", f"What a door cannot answer in {serve.GRACE} seconds"),
    ("sysadmin/running.md", f"say it for {survey.TOLD.days} days"),
]  # fmt: skip


@pytest.mark.parametrize(("page", "told"), TOLD, ids=[told for _, told in TOLD])
def test_a_figure_is_that_of_the_code(page, told):
    text = re.sub(r"\s+", " ", (PROJECT / "docs" / page).read_text("utf-8"))
    assert told in text


@pytest.mark.parametrize(("unit", "seconds"), [("snodo-web@.service", 45), ("snodo-worker@.service", 45), ("snodo.service", 75)])
def test_a_process_has_as_long_to_stop_as_its_page_says(unit, seconds):
    assert f"TimeoutStopSec={seconds}\n" in (PROJECT / "deploy/systemd" / unit).read_text("utf-8")
    assert "ends within 45 seconds (`bus serve`: 75)" in (PROJECT / "docs/sysadmin/running.md").read_text("utf-8")
